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
invoice billing
receipt bill
bookkeeping accounting ledger
accountant accounting bookkeeper
ledger bookkeeping
expense receipt
expense spending cost
reimburse expense receipt
purchase+order order
overdue unpaid
dunning reminder overdue
deadline due
expire expiry expires
renew renewal
# law
contract agreement
contract clause
clause contract
clause term terms
terms conditions
nda contract agreement confidentiality
nda non+disclosure
lease contract
lease tenancy rental
legal law lawyer
lawyer solicitor barrister attorney counsel
attorney lawyer
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
will testament
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
embargo sanction
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
manager management
colleague coworker
worker employee staff
employee personnel
hr recruiting
hr human+resources
recruit hire recruiting
recruiter recruiting
headhunter recruiting
candidate applicant
applicant application
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
tender procurement
tenders procurement
tender bid procurement
bid tender
rfp tender request+proposal
government public
authority public
municipality council
grant funding
subsidy grant
charity nonprofit ngo
donation donate
# days and deadlines
meeting appointment
appointment booking
appointment schedule
calendar schedule
calendar ics ical
reminder remind
holiday holidays bank+holiday public+holiday vacation
workday working+day business+day
weekday day
"""

IMPLIED: Final = """
# does it exist, who runs it, can it pay
company exist, company exists, company real, company registered, exists company, real company, is company legit, legit company, legitimate business, firm exist, registered firm, business registered, who runs, who runs company, who owns company, who directs, who signs for, behind company, behind the firm, directors of, company number, registration number company, companies house, letterbox company, shell company > company register director
handelsregister > company register germany
companies house > company register uk united kingdom
sec edgar > company financial usa
annual accounts, annual report > company financial
pay their bills, pays bills, pay its bills, pays on time, pay on time, can they pay, will they pay, going bust, go bust, going broke, insolvent, creditworthy, credit worthy, default risk, payment behaviour, payment behavior, supplier solvent, customer solvent, risk of not paying > credit score company
# papers with clauses
nda > disclosure contract
keep secret agreement, keep secrets, keep quiet agreement, secrecy > non disclosure contract draft
contract for, agreement for, contract with freelancer, rental agreement, write contract, need contract, contract template, service agreement, agreement between, employment contract > contract draft drafting
risky clause, check contract, bad clauses, traps, nasty surprises, what signing, am i signing, before signing, before i sign, sign this, should i sign, small print, fine print, unfair terms, hidden in contract, dangers contract, problems contract, catch contract, look over contract, terms fair, get out of contract > contract review clauses
ruling, precedent, legal precedent, how judges, judges decided, court said, courts decided, courts say, what courts, similar cases, decided court, decided before, landmark case > case law court decision
invented, prior art, my invention, invention new, been invented, already invented, thought of this before, somebody invented, protect idea, protect invention > patent search
brand registered, brand name, name protected, name already, name taken, already registered, someone else's brand, brand taken, use this name, use the name legally, name legally, trademark > trademark search
# whom one may deal with
allowed to do business, may we do business, can we trade, deal with person, dirty money, wanted list, politically exposed, banned person, banned company, banned people, watch list, on list criminals, oligarch, blacklisted > sanctions screening
# tax on what is sold
vat > tax
tax number, vat id, vatin, tax id, uid number, ust-id, eu customer number, tax number valid, vat valid, vat number > vat number check
how much tax, which tax, tax rate, tax percent, sales tax, tax charge, charge tax, mehrwertsteuer, value added, tax on books, tax on food, tax when selling, tax invoice > vat tax rate
turbotax, hmrc, irs, finanzamt > tax
quickbooks, xero, datev, sage > accounting bookkeeping
# over the border
customs code, tariff number, tariff code, goods code, commodity code, taric, harmonized code, harmonised code, code for customs > tariff hs code
import duty, import cost, customs charge, import from, import tax, bring into country, order from china, order from usa, ordering from abroad, shipment from china, from overseas, duty, cost to import, customs cost, pay at customs, customs pay, pay customs > customs duty landed import
# people and pay
earn, paid job, paid enough, fair pay, fair salary, how much earn, typical pay, ask for salary, underpaid, pay rise, raise salary, what do earn, how much paid, how much make, wage, going rate, glassdoor > salary pay benchmark
paid job > salary
applicants rank, rank applicants, best applicant, best candidate, suits job, which applicant, which candidate, candidate fit, fits job, fit for job, hundreds of applications, sort applications, pile of applications, match cv, cvs against, resumes against, applicant suitable, pre-select, preselect, shortlist > cv screening resume candidate
looking for work, job hunting, find work, find job, new job, who hiring, is hiring, hiring near, jobs as, job as, open positions, out of work, unemployed, career change, vacancies > job search
hire someone, looking for nurse, looking for developer, job ad, job advert, job advertisement, post job, advertise position, advertise job, job posting, help wanted, text for vacancy, attract women, gender neutral, attract applicants > job advertisement write
public contracts, public contract, government contracts, government contract, city wants, state buys, public bodies, calls for tender, call for bids, sell to government, councils buying, municipal contracts, town looking for > tender procurement
# days off
bank holiday, day off, days off, shops closed, shops open, banks closed, anyone office, december office, work on monday, offices closed, offices open, open on, closed on, business day, working day, school closed, public holiday, work that day, free day, is it a holiday > holiday public
# the climate's bill
co2, flight emissions, carbon, climate impact, how green, pollute, environment impact, environmental impact, harm climate, offset, greenhouse, bad for climate, bad for the environment, eco friendly > carbon emissions footprint
# money owed for work
send bill, bill customer, bill client, bill for, charge client, charge customer, get paid > invoice
"""
