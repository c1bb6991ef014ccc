"""Words of firms: what they are, whom they hire, what they sign, what they owe whom."""

from __future__ import annotations

from typing import Final

ALIKE: Final = """
# firms
company business firm corporation enterprise
company organisation
office company
incorporation company
incorporated incorporation registered
headquarters company
headquarters seat head+office
ltd company
gmbh company
llc plc inc corp company
startup company
supplier company
partner business
subsidiary company
parent subsidiary
ceo director
ceo chief+executive
founder director
board director
director officer company
shareholder owner
owner owns
owner ownership proprietor
beneficial+owner owner
register registry registration
register handelsregister registrar registry
registration registered
bankrupt insolvency bankruptcy
solvent solvency creditworthy credit
industry sector branch
funding investment investor
venture funding
merger acquisition takeover
turnover revenue
employees staff headcount
# bills
invoice bill billing
receipt bill
bookkeeping accounting ledger
accountant accounting bookkeeper
expense spending cost
reimburse expense receipt
purchase+order order
overdue unpaid
dunning reminder overdue
deadline due
# law
contract clause
clause term terms
terms conditions
nda contract agreement confidentiality
nda non+disclosure
lease contract
lease tenancy rental
legal law lawyer
lawyer solicitor barrister attorney counsel
lawsuit court
lawsuit litigation sue
judge court
court judgment ruling case+law
judgment verdict ruling
tribunal court
precedent case+law
statute legislation act
regulation rule law
compliance regulation
liability liable
terminate termination cancel
breach violation
notice termination
inheritance estate
divorce custody
power+attorney authorisation
notary legal
patent invention
inventor patent
intellectual+property patent trademark
brand trademark
infringement trademark
trademark trade+mark
copyright licence
permit licence
permit permission
privacy gdpr
policy terms
# who one deals with
kyc compliance
aml kyc
aml anti+money+laundering
money+laundering kyc
screen screening check
sanction watchlist
sanction embargo
pep sanction
pep+list sanction
ofac sanction
blacklist sanction
terrorist sanction
due+diligence compliance
background+check screening
identity identification
verify authenticate
# work
job vacancy position employment
job career
job role occupation
vacancies job
vacancy opening
opening position
hire job
remote jobs
remote home+office
fulltime full+time
parttime part+time
freelance freelancer contractor
internship intern trainee
apprentice apprenticeship
boss manager supervisor
colleague coworker
worker employee staff
employee personnel
hr recruiting
hr human+resources
recruit hire recruiting
headhunter recruiting
candidate applicant
applicants cv
shortlist rank candidates
interview candidate
skills competence qualification
unbiased job
inclusive unbiased
salary pay wage earn
salary income
payroll salary
wages salary
pay+gap salary
raise salary
overtime hours
pension retirement
leave vacation
fired dismissed dismissal
# the state as a customer
tenders procurement
tender bid procurement
rfp tender request+proposal
government public
authority public
municipality council
grant funding
subsidy grant
charity nonprofit ngo
# days and deadlines
meeting appointment
appointment booking
appointment schedule
calendar schedule
calendar ics ical
holiday holidays bank+holiday public+holiday vacation
workday working+day business+day
weekday day
"""

IMPLIED: Final = """
# does it exist, who runs it, can it pay
company exist, company real, company registered, is company legit, legit company > company register director
legitimate business, firm exist, registered firm, business registered, who runs > company register director
who runs company, who owns company, who directs, who signs for, behind company > company register director
behind the firm, directors of, company number, registration number company > company register director
companies house, letterbox company, shell company > company register director
handelsregister > company register germany
companies house > company register uk united kingdom
sec edgar > company financial usa
annual accounts, annual report > company financial
pay their bills, pays bills, pay its bills, pays on time, can they pay, will they pay > credit score company
going bust, going broke, insolvent, creditworthy, credit worthy, default risk > credit score company
payment behaviour, supplier solvent, customer solvent, risk of not paying > credit score company
# papers with clauses
nda > disclosure contract
keep secret agreement, keep secrets, keep quiet agreement, secrecy > non disclosure contract draft
contract for, agreement for, contract with freelancer, rental agreement, write contract > contract draft drafting
need contract, contract template, service agreement, agreement between, employment contract > contract draft drafting
risky clause, check contract, bad clauses, traps, nasty surprises, what signing > contract review clauses
am i signing, before signing, before i sign, sign this, should i sign, small print > contract review clauses
fine print, unfair terms, hidden in contract, dangers contract, problems contract > contract review clauses
catch contract, look over contract, terms fair, get out of contract > contract review clauses
court ruling, legal ruling, precedent, legal precedent, how judges, judges decided > case law court decision
court said, courts decided, courts say, what courts, similar cases, decided before > case law court decision
landmark case > case law court decision
invented, prior art, my invention, invention new, been invented, already invented > patent search
thought of this before, somebody invented, protect idea, protect invention > patent search
brand registered, brand name, name protected, name already, name taken, already registered > trademark search
someone else's brand, brand taken, use this name, use the name legally, name legally, trademark > trademark search
# whom one may deal with
allowed to do business, may we do business, can we trade, deal with person, dirty money > sanctions screening
wanted list, politically exposed, banned person, banned company, banned people, watch list > sanctions screening
on list criminals, oligarch, blacklisted > sanctions screening
# tax on what is sold
vat, turbotax, hmrc, irs, finanzamt > tax
tax number, vat id, vatin, tax id, uid number, ust-id, eu customer number, tax number valid > vat number check
vat valid, vat number > vat number check
how much tax, which tax, tax rate, tax percent, sales tax, tax charge, mehrwertsteuer, value added > vat tax rate
tax on books, tax on food, tax when selling, tax invoice > vat tax rate
quickbooks, xero, datev, sage > accounting bookkeeping
# over the border
customs code, tariff number, tariff code, goods code, commodity code, taric, harmonized code > tariff hs code
code for customs > tariff hs code
import duty, import cost, customs charge, import from, import tax, bring into country > customs duty landed import
order from china, order from usa, ordering from abroad, shipment from china > customs duty landed import
from overseas, duty, cost to import, customs cost, pay at customs, customs pay > customs duty landed import
# people and pay
earn, paid job, paid enough, fair pay, fair salary, how much earn, typical pay, ask for salary > salary pay benchmark
underpaid, pay rise, raise salary, what do earn, how much paid, wage, going rate, glassdoor > salary pay benchmark
paid job > salary
applicants rank, best applicant, best candidate, suits job, which applicant > cv screening resume candidate
which candidate, candidate fit, fits job, fit for job, hundreds of applications > cv screening resume candidate
sort applications, pile of applications, match cv, cvs against, resumes against > cv screening resume candidate
applicant suitable, pre-select, preselect, shortlist > cv screening resume candidate
looking for work, job hunting, find work, find job, new job, who hiring, is hiring, hiring near, jobs as > job search
open positions, out of work, unemployed, career change, vacancies > job search
hire someone, looking for nurse, looking for developer, job ad, job advert > job advertisement write
job advertisement, post job, advertise position, text for vacancy, attract women > job advertisement write
gender neutral, attract applicants > job advertisement write
public contracts, government contracts, city wants, state buys, public bodies, calls for tender > tender procurement
call for bids, sell to government, councils buying, municipal contracts, town looking for > tender procurement
# days off
bank holiday, day off, shops closed, shops open, banks closed, anyone office, december office > holiday public
work on monday, offices closed, offices open, business day, working day, school closed, work that day > holiday public
is it a holiday > holiday public
# the climate's bill
co2, flight emissions, carbon, climate impact, how green, environment impact > carbon emissions footprint
environmental impact, harm climate, offset, greenhouse, bad for climate > carbon emissions footprint
bad for the environment, eco friendly > carbon emissions footprint
# money owed for work
send bill, bill customer, bill client, charge client, charge customer > invoice
# with whom, and for how much
allowed trade, allowed to trade, allowed deal, trade with person > sanctions screening
nasty lease, nasty contract, nasty in, stitched up > contract review clauses
charity number > charity register
fire employee, dismissal letter > employment contract
off work, shut on, closed on holiday > holiday public
"""
