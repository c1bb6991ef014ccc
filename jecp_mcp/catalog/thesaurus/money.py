"""Words of money: currencies, shares, coins, loans, accounts, cards."""

from __future__ import annotations

from typing import Final

ALIKE: Final = """
# currencies
exchange fx forex conversion
currency money
currency foreign+exchange
currency cash
swap exchange convert
dollar usd
bucks dollar
greenback dollar
euro eur
pound gbp sterling
quid pound
yen jpy
swiss chf franc
yuan cny renminbi
yuan rmb
rupee inr
reais brl
peso mxn
ruble rouble rub
krona sek
sweden krona
krone nok dkk
poland zloty
zloty pln
lira turkish
rand zar
cents currency
fiat currency
# markets
stock share equity
shares stock
stockmarket stock
stock stock+market
equities stock
ticker stock symbol
nasdaq stock
nyse dow stock
dax ftse nikkei index
index indices
etf stock
fund etf
broker trading
portfolio investment invest
portfolio asset
asset allocation
diversify diversification portfolio
volatility risk
return profit
dividend stock
dividend payout
option derivative
hedge option
call+option put+option option
strike option
futures derivative
commodity gold oil
bond yield
gilt bund treasury bond
coupon bond
yield return
yield interest+rate
inflation cpi
gdp inflation economy
economy macroeconomic economic
quarterly fundamentals
profit fundamentals earnings
revenue fundamentals
turnover fundamentals
balance+sheet fundamentals
ebitda earnings
listed public
ipo listing
# coins
crypto cryptocurrency bitcoin ethereum coin token
btc bitcoin
eth ether ethereum
sol solana
usdc usdt stablecoin
stablecoin crypto
nft token
blockchain crypto
blockchain chain ledger
wallet address
wallet balance
holdings balance
gwei gas+fees
ethereum gas
gas+fees network+fees transaction+fees
defi crypto
staking yield
miner mining
# loans and saving
loan mortgage credit
mortgage home+loan
annuity loan
instalment loan mortgage
repayment mortgage
amortisation repayment
debt loan
owe debt
savings interest
interest compound
pension savings
deposit savings
nest+egg savings
insurance premium
insurance policy
# accounts and cards
iban account
account+number iban
sort+code bank
routing swift
swift bic
bic bank+code
sepa iban
beneficiary iban
payee beneficiary
transfer remittance wire
cheque bank
cheque check
direct+debit debit
statement transactions
transactions bank+statement
transaction booking
budget plan
budget spending
card credit+card
visa mastercard amex card
debit card
payment pay
checkout payment
ledger account
# taxes
tax vat duty
gst vat
sales+tax vat
taxpayer tax
tax taxation
income+tax tax
customs import tariff
# what things are worth
valuation worth value
appraisal valuation
estimate approximate
"""

IMPLIED: Final = """
# one currency in another
exchange rate, euros dollars, pounds euros, dollars pounds, how much dollars, worth in euros > currency exchange rate
worth in dollars, in dollars, in euros, in pounds, in yen, in francs, pounds to, dollars to > currency exchange rate
euros to, in my currency, change money, money abroad, holiday money, how many dollars > currency exchange rate
how many euros, how many yen, how many pounds, usd eur, gbp usd, usd jpy, eur gbp > currency exchange rate
brazil currency, brazilian currency, brl > real currency
korean won > currency krw
# shares
share price, stock price, shares trade, apple shares, tesla shares, share cost now, stock doing > stock quote
shares doing, stock now, shares worth, ticker, stock market today, yahoo finance, bloomberg > stock quote
what is tesla trading > stock quote
share years ago, stock years ago, share price history, stock history, price over years > share price history stock
closing prices, ten years stock, price in 2010, chart of share, ohlc, candlestick > share price history stock
backtest > share price history stock
balance sheet, earnings, profit and loss, p&l, cash flow, how profitable, profitable > company fundamentals financial
makes profit, company profit, company debts, how much debt, price earnings, p/e > company fundamentals financial
revenue of, annual results > company fundamentals financial
earnings > stock
shareholders get, payout shareholders > dividend
government bonds, treasuries, bund, ten year yield, interest bonds, yield curve > bond yield
stocks risk, portfolio, spread investments, split savings, which mix, mix stocks > portfolio optimise optimisation
mix of stocks, divide between shares, weight stocks, how divide, balance risk > portfolio optimise optimisation
efficient frontier, sharpe, put eggs > portfolio optimise optimisation
portfolio > optimise
option worth, call option, put option, implied volatility, black scholes, fair value option > option pricing
# coins
bitcoin, bitcoin worth, price bitcoin, ether price, dogecoin, doge, btc, coinbase, binance > crypto coin price
coinmarketcap > crypto coin price
etherscan, in wallet, in my wallet, wallet holds, what's in wallet, coins address > wallet balance crypto
address holds, how much in wallet, metamask, how much crypto > wallet balance crypto
transaction cost ethereum, cost ethereum, expensive to send, fee blockchain, gas now, gas high > gas network fees
transfer ethereum fees > gas network fees
# borrowing and saving
monthly payment, house loan, monthly rate, buy house, afford house, afford, home loan > mortgage loan calculator
pay off, paid off, house payments, borrow for house, financing house, interest house > mortgage loan calculator
pay back loan, loan cost, payments per month > mortgage loan calculator
savings, retirement, month rich, putting aside, put aside, save month, save every month > savings compound interest
save up, savings grow, grow over years, money grow, in twenty years, in thirty years > savings compound interest
in 20 years, nest egg, how long until million, millionaire, piggy bank > savings compound interest
# accounts and cards
account number, account number right, account valid, iban right, iban correct > iban bank account check
bank account exist, right bank account, typo iban, before transfer, which bank > iban bank account check
before paying > iban bank account check
bank code, swift code, wire abroad, transfer abroad, international transfer, code of bank, code for bank > swift bic
bank identifier, pay abroad > swift bic
card number valid, card number, card genuine, credit card number, luhn, which card, card issued > card check bin
debit or credit, first six digits, card from which country > card check bin
where money went, where money goes, spend on, spent on, how much spend > transaction categories categorise
sort expenses, sort spending, group expenses, household budget, my spending > transaction categories categorise
bank movements, food rent, groceries rent > transaction categories categorise
bank statement, bank pdf, account statement, statement pdf, statements into > bank statement transactions
bank statements excel, bookings from bank, statement csv, movements from pdf > bank statement transactions
paypal, stripe, venmo > payment
# putting by
put away, putting away, tuck away, squirrel away > savings compound interest
trading at > stock quote
heating bill, power bill, energy bill > energy electricity
"""
