"""Words of software, its security, and of data: code, servers, leaks, tables, figures."""

from __future__ import annotations

from typing import Final

ALIKE: Final = """
# code
code program source script
code coding programming
programmer developer coder
developer engineer
function method routine
class object
dependency package library npm pip
pypi package
crate package
gem package
maven package
module package
import dependency
bug error defect
bug fault glitch
bug issue
debug bug
debug debugger
crash exception error
stacktrace stack+trace exception traceback
refactor review
refactor rewrite
review critique
merge+request review pull+request
lint review format
lint linter
prettify format pretty beautify indent
minify compress
uglify minify
compile run
compile build
execute run
sandbox execute
snippet code
notebook jupyter
python py
javascript js node
typescript ts
rust cargo
csharp dotnet
bash shell
terminal shell command+line
port migrate
unittest test
test testing qa
testcase test+case
mock stub
coverage test
docstring documentation docs
documentation reference
readme documentation docs
comment docstring
commit git
commit changelog
git github gitlab
repo repository
branch fork
licence license
licence permission
gpl mit apache licence
opensource open+source
regex regular+expression pattern
regexp regex
cron crontab
cron scheduler
schedule recurring
endpoint api
api rest
swagger api
openapi swagger
graphql query
webhook callback
sdk client
postman api
docker container
kubernetes k8s
cloud aws azure gcp
server host
server machine
json object
json yaml
yaml yml
xml xsd
toml config
configuration config settings
schema structure
parse parser
syntax grammar
sql query database
database db
postgres sql database
mysql mariadb postgres sqlite database
mongodb nosql database
query question
uuid id
uuid guid
hash checksum digest sha256 md5
base64 encode
encode decode
random generate
lorem placeholder
timestamp unix+time epoch
# security
malware virus antivirus trojan
malware spyware adware ransomware
virus worm
infected infection malware
phishing scam fraud
phishing suspicious
malicious harmful dangerous
suspicious dubious
scam fraud fraudulent
scammer fraudster
fraud swindle
fake counterfeit forged deepfake
deepfake synthetic
spoof forged
spoofed forged
spam spammer junk
breach leak leaked pwned
hacked breach compromised leaked
hacker attack
compromised stolen
credential credentials password login
login sign+in logon
vulnerability cve security+flaw
vulnerability weakness hole
exploit vulnerability cve
patch update fix
outdated dependency
firewall port
port service
pentest penetration+test
certificate ssl tls
ssl https tls
spf dkim dmarc
bot robot crawler
bot automation
captcha bot human
vpn proxy
proxy tor
ip host
encrypt cipher
secret password key
otp two+factor 2fa mfa
pseudonym pseudonymise anonymise
privacy data+protection
pii personal+data
personal sensitive
mask redact
# data
dataset data
record row entry
column field attribute
csv table
parquet table
pivot group aggregate
pivot crosstab cross+tabulation
sum total add+up
join vlookup
dedupe duplicate deduplicate duplicates
duplicate double twice
fuzzy match
linkage matching
clean cleaning tidy messy
normalise clean
missing fill
gap missing
anomaly outlier unusual abnormal
anomaly irregularity
spike outlier
cluster segment segmentation
group cluster
forecast predict prediction projection
predict prognosis
seasonality forecast
trend forecast
demand sales
montecarlo monte+carlo simulation
statistics statistical stats
average mean statistics
median statistics
deviation variance
correlation regression
regression trend
depend influence
significant significance hypothesis
significance p+value
anova significance
experiment ab+test a+b+test
calculate compute
optimise optimisation optimum
optimise best
allocation assign
fake dummy mock synthetic
sample example
random sample
analyse analysis analyses analytics
analyst analysis
insight analysis
measure metric
sensor measurement
kpi metric
equation algebra
equation solve
maths mathematics math
# tools of the trade
vscode ide editor
ci pipeline build
sudo root admin
laptop computer pc
hard+drive disk
"""

IMPLIED: Final = """
# reading and mending code
sql > query
pull request, bugs code, look over code, check my code, check code, problems code, code smells > review code
second pair eyes, before merge, my patch, good code, code quality > review code
what code, code does, understand code, code someone wrote, code somebody wrote, strange code > explain code
legacy code, old code, inherited code, what function does, what script does, line by line, walk through > explain code
port to, rewrite python, rewrite java, python to, python into, java to, java into > convert code programming
javascript to, javascript into, to python, into python, into rust, to rust > convert code programming
another programming language, other programming language, cobol, fortran, from python > convert code programming
tests for function, tests for code, test cases, test coverage, pytest, junit, jest, unit tests > unit test generation
edge cases > unit test generation
run script, run python, run code, run snippet, try script, try code, execute script > run execute code sandbox
what prints, see what prints, repl, python interpreter > run execute code sandbox
code ugly, code messy, indentation, tidy code, clean code, code style, prettier, eslint, black formatter > format code
pep8 > format code
api docs, docs for code, document code, document function, docstrings, undocumented, readme > documentation write
message for change, describe changes, what to write in commit, release notes, changelog > commit message
python package, library for, package for, is there a library, npm module, which library > package search
open source library, framework for, pip install > package search
open source > package licence
may i use commercially, licences of, licences of dependencies, gpl, copyleft, open source lawyers > licence check
commercial use > licence check
pattern match, match string, match text pattern, matches email, matching dates, match phone > regular expression regex
capture group, wildcard > regular expression regex
crontab, every monday at, job runs when, when does job run, next runs, runs every, five stars > cron
asterisks schedule > cron
stack overflow, stackoverflow > code
github > git repository code
# data formats and databases
json broken, json wrong, json correct, json invalid, json schema, missing fields json, json conform > json validation
value out of json, values from json, pick json, nested json, jq, json path, jsonpath, from json field > json query
part of json > json query
sql ugly, sql readable, sql one line, format query, tidy query, long query > sql format
question database, ask database, ask my database, query from question, question to sql > sql query write
english to sql, plain english query, sql for, customers last month sql, select statement > sql query write
without knowing sql, don't know sql > sql query write
postman, swagger > api
# is it safe
password strong, good password, new password, secure password, random password, hard to guess > password generate
unguessable, safe password > password generate
password strong > secure
been hacked, been pwned, been leaked, data leak, leak email, old password, my password out > breach leak
password stolen, account hacked, got hacked, on dark web, dark web, haveibeenpwned, my data stolen > breach leak
credentials stolen, leaked list, accounts compromised, spammers > breach leak
safe link, suspicious link, dangerous link, dangerous website, safe website > phishing malicious url scan
is site safe, trust website, trust site, trustworthy site, fake shop, fake website > phishing malicious url scan
fake site, phony site, strange link, weird link, link in sms, link in email > phishing malicious url scan
should i click, before clicking, click link, safe to click, url safe, dodgy link > phishing malicious url scan
dodgy website, dodgy site, shady, real bank site > phishing malicious url scan
suspicious file, infected, virus file, file safe, safe to open, attachment safe, attachment open > malware virus scan
download safe, harmful file, strange attachment, dodgy attachment, dodgy file, virustotal > malware virus scan
open ports, what is open, reachable from outside, exposed internet, exposed services, nmap > port scan
services running, attack surface > port scan
forged email, spoof, really from bank, says bank, mail real, sent it, email genuine > header forged spf dkim
email really, really sent, really came from, mail from bank, sender real, genuine mail > header forged spf dkim
way of mail, where mail came, who really sent, email headers, who sent email > header forged spf dkim
from my boss really, boss email strange > header forged spf dkim
real video, fake video, video genuine, real voice, fake voice, cloned voice, ai video > deepfake synthetic manipulated
face swapped, politician video, manipulated video, doctored video, video made by ai > deepfake synthetic manipulated
authentic video, video call boss > deepfake synthetic manipulated
human or bot, visitors real, real users, fake signups, automated visitors, click fraud, bots > bot detection
bots website > bot detection
project packages, packages vulnerable, dependencies safe, dependencies vulnerable > dependency audit vulnerability
old packages, libraries holes, lock file, requirements.txt, package.json, snyk > dependency audit vulnerability
dependabot, npm audit, log4j > dependency audit vulnerability
cve, security hole, how bad vulnerability, how dangerous vulnerability, zero day > vulnerability cve lookup
heartbleed > vulnerability cve lookup
# tables
messy, messy table, messy spreadsheet, messy list, tidy table, dirty data, broken rows, mixed dates > clean data table
different date formats, wrong types, empty cells, half empty, gaps table, blank cells > clean data table
duplicates, same person twice, listed twice, customers twice, entered twice > deduplicate duplicate record
double entries, different spellings, same customer, same company, written differently > deduplicate duplicate record
double records, appear twice > deduplicate duplicate record
two tables, tables together, combine spreadsheets, combine tables, two spreadsheets, two csv > join tables merge
match tables, two lists, common column, same column, vlookup > join tables merge
sum by, sales region, per month, per region, per category, group by, totals per, total for each > pivot group
crosstab, cross table, sum for each > pivot group
outliers, spikes, strange values, odd values, something wrong numbers, unusual values > anomaly outlier detection
weird values, suspicious values, sudden jump, sudden drop, jumps, measurement errors > anomaly outlier detection
doesn't fit > anomaly outlier detection
customers groups, kinds of customers, types of customers, which belong together, belong together > cluster segment
alike customers, similar customers, group points > cluster segment
how strongly, explains price, relationship between, what drives, which factors, straight line > regression
line through points, best fit, fit curve > regression
significance, a/b, ab test, statistically, statistically significant, just chance > significance hypothesis test
by chance, coincidence, real difference, difference significant, differ really, p-value > significance hypothesis test
t-test, chi square, better than chance, luck or > significance hypothesis test
how many visitors, how many users test, how many people test, sample size > sample size ab test experiment
long run test, enough visitors > sample size ab test experiment
next month, predict values, future values, next quarter, next year, visitors next, past years > forecast predict
how many sell, sales next, will sell, how will develop, coming months, extrapolate > forecast predict
how many customers expect, demand next > forecast predict
best plan, best mix, shifts workers, assign workers, shift plan, limited resources > optimisation linear
production plan, minimise cost, maximise profit, cheapest mix > optimisation linear
equation, for x, unknown x, system of equations, quadratic, integrate > equation solving
test data, dummy data, made up names, made up data, invented customers, fake customers > fake synthetic test data
fake names, invented data, realistic data, sample customers, dummy users, dummy customers > fake synthetic test data
fill test database > fake synthetic test data
find similar texts, similar texts, semantic search, meaning numbers, nearest neighbours text > embedding vector
tableau, power bi > chart dashboard
spss, stata > statistics
faker > fake data
# spans and stamps of time
unix time, epoch > timestamp convert
# figures
affects, correlated, affect sales, drives sales > regression
total up, tot up, add up by > sum group pivot
written several ways, spelled several ways, probably same, probably one person, same guy > deduplicate duplicate
look strange readings, readings strange, wrong readings, faulty sensor, sensor readings > anomaly outlier measurement
merge conflict, rebase, cherry pick > git
privacy policy, privacy notice, cookie banner, right to be forgotten > privacy data protection
liveness, age verification, prove who, prove identity > identity verification
days until, days between, countdown, date difference, how many days > date calculate
dodgy link, fishy link, iffy link, fishy email link, phoney site > phishing malicious
"""
