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
library package
dependency package library npm pip
npm package
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
exception error
refactor review
refactor rewrite
review critique
merge+request review pull+request
pull+request review
lint review format
lint linter
prettify format pretty beautify indent
indent indentation
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
golang go
rust cargo
csharp dotnet
bash shell
terminal shell command+line
port migrate
migrate migration
unittest test
test testing qa
testcase test+case
mock stub
coverage test
docstring documentation docs
documentation docs
documentation reference
readme documentation docs
comment docstring
commit git
commit changelog
changelog commit
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
deploy deployment
cloud aws azure gcp
server host
server machine
log logs
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
join merge
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
security secure
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
spam junk
spam spammer junk
breach leak leaked pwned
hacked breach compromised leaked
hacker attack
compromised stolen
credential credentials password login
login sign+in logon
vulnerability cve security+flaw
vulnerable vulnerability
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
header headers
bot robot crawler
bot automation
captcha bot human
vpn proxy
proxy tor
ip host
encrypt cipher
password passphrase
secret password key
otp two+factor 2fa mfa
identity identification
anonymous anonymise
pseudonym pseudonymise anonymise
gdpr privacy
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
group aggregate
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
outlier anomaly unusual
anomaly outlier unusual abnormal
anomaly irregularity
spike outlier
cluster segment segmentation
group cluster
forecast predict prediction projection
forecasting forecast
predict prognosis
seasonality forecast
trend forecast
demand sales
simulate simulation
montecarlo monte+carlo simulation
statistics statistical stats
average mean statistics
median statistics
deviation variance
correlation regression
correlate correlation
regression trend
depend influence
significant significance hypothesis
significance p+value
anova significance
experiment ab+test a+b+test
calculate compute
compute computation
optimise optimisation optimum
optimise best
allocation assign
constraint constraints
fake dummy mock synthetic
synthetic fake
sample example
random sample
analyse analysis analyses analytics
analyst analysis
insight analysis
report reporting
measure metric
sensor measurement
kpi metric
equation algebra
equation solve
maths mathematics math
"""

IMPLIED: Final = """
# reading and mending code
sql > query
pull request, bugs code, code review, look over code, check my code, check code, problems code, code smells, second pair eyes, before merge, before merging, my patch, good code, code quality > review code
what code, code does, understand code, code someone wrote, code somebody wrote, strange code, legacy code, old code, inherited code, what function does, what script does, line by line, walk through > explain code
port to, rewrite python, rewrite java, python to, python into, java to, java into, javascript to, javascript into, to python, into python, into rust, to rust, into go, another programming language, other programming language, cobol, fortran, from python > convert code programming
tests for function, tests for code, test cases, test coverage, pytest, junit, jest, unit tests, edge cases > unit test generation
run script, run python, run code, run snippet, try script, try code, execute script, what prints, see what prints, repl, python interpreter > run execute code sandbox
code ugly, ugly code, code messy, indentation, tidy code, clean code, code style, prettier, eslint, black formatter, pep8 > format code
api docs, docs for code, document code, document function, docstrings, undocumented, readme > documentation write
message for commit, message for change, describe changes, what to write in commit, release notes, changelog > commit message
python package, library for, package for, is there a library, npm module, which library, open source library, framework for, pip install > package search
open source > package licence
may i use commercially, licences of, licences of dependencies, gpl, copyleft, open source lawyers, commercial use > licence check
pattern match, match string, match text pattern, matches email, matching dates, match phone, find pattern, capture group, wildcard > regular expression regex
crontab, every monday at, job runs when, when does job run, next runs, runs every, five stars, asterisks schedule > cron
stack overflow, stackoverflow > code
github > git repository code
# data formats and databases
json broken, json wrong, valid json, json correct, json invalid, json schema, missing fields json, json conform, payload > json validation
value out of json, values from json, pick json, nested json, jq, json path, jsonpath, from json field, part of json > json query
sql ugly, sql readable, sql one line, format query, tidy query, long query > sql format
question database, ask database, ask my database, query from question, question to sql, english to sql, plain english query, sql for, customers last month sql, select statement, database question, without knowing sql, don't know sql > sql query write
postman, swagger > api
# is it safe
password strong, strong password, good password, new password, secure password, random password, hard to guess, unguessable, safe password, can't guess, nobody guess > password generate
password strong > secure
been hacked, been pwned, been leaked, data leak, leak email, old password, my password out, password stolen, account hacked, got hacked, hacked account, on dark web, dark web, haveibeenpwned, my data stolen, stolen passwords, credentials stolen, leaked list, accounts compromised, spammers > breach leak
safe link, link safe, suspicious link, dangerous link, dangerous website, safe website, is site safe, trust website, trust site, trustworthy site, fake shop, fake website, fake site, phony site, strange link, weird link, link in sms, link in email, should i click, before clicking, click link, safe to click, url safe, dodgy link, dodgy website, dodgy site, shady, real bank site > phishing malicious url scan
suspicious file, infected, virus file, file safe, safe file, safe to open, attachment safe, attachment open, download safe, harmful file, strange attachment, dodgy attachment, dodgy file, virustotal, open attachment, exe, usb stick > malware virus scan
open ports, ports open, what is open, reachable from outside, exposed internet, exposed services, listening, nmap, services running, from outside, attack surface > port scan
forged email, spoof, really from bank, says bank, mail real, sent it, email genuine, email really, really sent, really came from, mail from bank, sender real, real sender, genuine mail, way of mail, where mail came, who really sent, email headers, who sent email, from my boss really, boss email strange > header forged spf dkim
real video, fake video, video real, video fake, video genuine, real voice, fake voice, voice real, cloned voice, ai video, video ai, face swapped, face swap, politician video, manipulated video, doctored video, generated video, video made by ai, authentic video, video call boss > deepfake synthetic manipulated
human or bot, visitors real, real visitors, real users, fake signups, automated visitors, click fraud, bots, programs visiting, bots website > bot detection
project packages, packages vulnerable, dependencies safe, dependencies vulnerable, old packages, libraries holes, lock file, requirements.txt, package.json, snyk, dependabot, safe dependencies, npm audit, log4j > dependency audit vulnerability
cve, security hole, security holes, how bad vulnerability, how dangerous vulnerability, zero day, heartbleed > vulnerability cve lookup
# tables
messy, messy table, messy spreadsheet, messy list, tidy table, dirty data, broken rows, inconsistent, mixed dates, different date formats, wrong types, empty cells, half empty, gaps table, blank cells > clean data table
duplicates, same person twice, listed twice, customers twice, entered twice, double entries, doubles, different spellings, same customer, same company, spelled differently, written differently, double records, twice list, appear twice > deduplicate duplicate record
two tables, tables together, combine spreadsheets, combine tables, two spreadsheets, two csv, match tables, two lists, common column, same column, by id, vlookup > join tables merge
sum by, sales region, sales by, by region, by month, per month, per region, per category, group by, totals per, total for each, totals for each, crosstab, cross table, sum for each > pivot group
outliers, spikes, strange values, strange values, odd values, something wrong numbers, unusual values, weird values, suspicious values, sudden jump, sudden drop, jumps, measurement errors, doesn't fit, stand out, odd one > anomaly outlier detection
customers groups, group customers, kinds of customers, types of customers, customer groups, which belong together, belong together, alike customers, similar customers, group points > cluster segment
depends on, influence on, influences, effect of, how strongly, explains price, relationship between, what drives, which factors, straight line, line through points, best fit, fit curve > regression
significance, a/b, ab test, statistically, just chance, by chance, coincidence, real difference, difference real, difference significant, differ really, p-value, t-test, chi square, two groups differ, better than chance, luck or > significance hypothesis test
how many visitors, how many users test, how many people test, sample size, long run test, enough visitors > sample size ab test experiment
next month, predict values, future values, next quarter, next year, visitors next, past years, how many sell, sales next, will sell, look in future, how will develop, continue series, expect next, coming months, extrapolate, how many customers expect, demand next > forecast predict
best plan, best mix, shifts workers, assign workers, shift plan, limited resources, production plan, minimise cost, minimize cost, maximise profit, maximize profit, cheapest mix, how many of each, who does what > optimisation linear
solve equation, equation, for x, unknown x, system of equations, quadratic, integrate > equation solving
test data, dummy data, made up names, made up data, invented customers, fake customers, fake names, invented data, realistic data, sample customers, dummy users, dummy customers, fill test database > fake synthetic test data
find similar texts, similar texts, semantic search, vectors, rag, meaning numbers, nearest neighbours text > embedding vector
tableau, power bi > chart dashboard
spss, stata > statistics
faker > fake data
# spans and stamps of time
unix time, epoch > timestamp convert
"""
