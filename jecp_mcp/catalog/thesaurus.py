"""What a market's words mean: those that say nothing of a task, those that say little, and those that mean the same.

English, for so the market speaks.
"""

from __future__ import annotations

from typing import Final

STOP: Final = frozenset(
    [
        "a",
        "about",
        "again",
        "all",
        "also",
        "am",
        "an",
        "and",
        "any",
        "are",
        "as",
        "at",
        "be",
        "been",
        "behind",
        "but",
        "by",
        "can",
        "could",
        "did",
        "do",
        "does",
        "doing",
        "done",
        "else",
        "every",
        "for",
        "from",
        "get",
        "gets",
        "getting",
        "give",
        "given",
        "gives",
        "go",
        "goes",
        "going",
        "got",
        "had",
        "has",
        "have",
        "having",
        "he",
        "help",
        "helps",
        "her",
        "here",
        "him",
        "his",
        "how",
        "i",
        "if",
        "in",
        "into",
        "is",
        "it",
        "its",
        "itself",
        "just",
        "know",
        "let",
        "lets",
        "like",
        "look",
        "looking",
        "made",
        "make",
        "makes",
        "making",
        "many",
        "may",
        "me",
        "might",
        "mine",
        "more",
        "most",
        "much",
        "must",
        "my",
        "myself",
        "need",
        "needs",
        "no",
        "nor",
        "not",
        "now",
        "of",
        "off",
        "ok",
        "on",
        "onto",
        "or",
        "our",
        "ours",
        "out",
        "over",
        "own",
        "please",
        "put",
        "said",
        "say",
        "says",
        "see",
        "shall",
        "she",
        "should",
        "show",
        "shows",
        "so",
        "some",
        "somebody",
        "someone",
        "something",
        "such",
        "take",
        "taken",
        "takes",
        "tell",
        "tells",
        "than",
        "that",
        "the",
        "their",
        "them",
        "then",
        "there",
        "these",
        "they",
        "thing",
        "things",
        "this",
        "those",
        "through",
        "to",
        "too",
        "under",
        "up",
        "us",
        "use",
        "used",
        "uses",
        "using",
        "very",
        "want",
        "wants",
        "was",
        "we",
        "were",
        "what",
        "whatever",
        "when",
        "where",
        "whether",
        "which",
        "while",
        "who",
        "whom",
        "whose",
        "why",
        "will",
        "wish",
        "with",
        "within",
        "without",
        "would",
        "yes",
        "you",
        "your",
        "yours",
        "anything",
        "anyone",
        "anybody",
        "everything",
        "everyone",
        "everybody",
        "nothing",
    ]
)
"""What says nothing about a task. Some of it does where nothing else was said."""

WEAK: Final = frozenset(
    [
        "able",
        "add",
        "across",
        "actual",
        "already",
        "another",
        "around",
        "automatically",
        "available",
        "back",
        "bad",
        "based",
        "be",
        "basic",
        "because",
        "before",
        "best",
        "better",
        "between",
        "big",
        "bit",
        "both",
        "bunch",
        "can",
        "certain",
        "come",
        "comes",
        "complete",
        "contain",
        "contains",
        "content",
        "cool",
        "correct",
        "couple",
        "data",
        "day",
        "days",
        "detail",
        "detailed",
        "details",
        "different",
        "directly",
        "easy",
        "enough",
        "entire",
        "exact",
        "exactly",
        "existing",
        "far",
        "fast",
        "few",
        "file",
        "files",
        "find",
        "first",
        "five",
        "following",
        "four",
        "fine",
        "free",
        "full",
        "given",
        "good",
        "great",
        "hard",
        "high",
        "huge",
        "important",
        "information",
        "info",
        "interesting",
        "item",
        "items",
        "keep",
        "kind",
        "large",
        "last",
        "later",
        "latest",
        "left",
        "less",
        "level",
        "likely",
        "list",
        "little",
        "live",
        "local",
        "long",
        "looks",
        "lot",
        "lots",
        "main",
        "might",
        "money",
        "month",
        "months",
        "much",
        "multiple",
        "near",
        "new",
        "next",
        "nice",
        "number",
        "numbers",
        "official",
        "often",
        "old",
        "one",
        "ones",
        "online",
        "open",
        "original",
        "other",
        "others",
        "particular",
        "past",
        "people",
        "perfect",
        "person",
        "place",
        "plain",
        "possible",
        "pretty",
        "private",
        "professional",
        "proper",
        "properly",
        "provide",
        "public",
        "quick",
        "quickly",
        "ready",
        "real",
        "really",
        "recent",
        "result",
        "results",
        "right",
        "run",
        "same",
        "sample",
        "several",
        "short",
        "similar",
        "simple",
        "single",
        "size",
        "small",
        "sort",
        "specific",
        "standard",
        "start",
        "state",
        "still",
        "store",
        "stuff",
        "such",
        "super",
        "sure",
        "task",
        "tell",
        "ten",
        "there",
        "three",
        "time",
        "times",
        "today",
        "together",
        "tomorrow",
        "tonight",
        "tool",
        "top",
        "total",
        "two",
        "type",
        "types",
        "understand",
        "upcoming",
        "usual",
        "valid",
        "various",
        "version",
        "want",
        "way",
        "ways",
        "website",
        "week",
        "weeks",
        "well",
        "whole",
        "wide",
        "work",
        "works",
        "wrong",
        "year",
        "years",
        "yesterday",
    ]
)
"""What says little of a task: it decides between actions that answer the rest, and hardly more."""

ALIKE: Final = """
image picture photo photograph img pic
satellite aerial space
altitude elevation height
tender bid procurement
social instagram twitter facebook linkedin tiktok youtube
topic subject category theme
classify categorise sort label
exist valid verify real
german germany deutschland
french france
spanish spain castilian
italian italy
japanese japan
polish poland
swedish sweden
dutch netherlands holland
british uk england britain united+kingdom
american usa us united+states
indian india hindi
brazilian brazil portuguese
portuguese portugal
mexican mexico
australian australia
canadian canada
chinese mandarin china
russian russia
greek greece
turkish turkey
ukrainian ukraine
czech czechia
korean korea
arabic arab
register handelsregister registrar registry
backlink link+site
lead leads+to destination
owner owns
expire expiry expires
deadline due
customer client buyer
worker employee staff
teacher teaching school
child kid baby
video clip movie film footage
audio sound recording
speech voice spoken
transcribe transcript transcription dictation stt
tts speak narrate read+aloud text+speech
document doc paper file
spreadsheet table sheet xlsx excel workbook
word docx
powerpoint pptx slides presentation slideshow
html webpage web+page
website site web page
jpg jpeg
markdown md
yaml yml
archive zip
pdf acrobat
ocr scan recognise
recognise identify detect
convert conversion transform export turn change format
translate translation language
resize scale shrink enlarge
enlarge upscale bigger
compress shrink smaller reduce size+down
merge join combine concatenate together
split cut extract separate divide
crop cut trim
trim cut shorten
remove delete strip erase get+rid eliminate
background backdrop
watermark stamp
password passphrase
protect lock encrypt
unlock decrypt
redact anonymise black+out censor
blur pixelate hide
sign signature
compare difference diff changed changes
check verify validate valid validation
correct fix repair mend
restore repair fix
proofread grammar spelling
rewrite rephrase paraphrase reword
simplify plain easy simple
summary summarise summarisation abstract tldr digest shorten sum+up
keyword keyphrase key+phrase
sentiment opinion mood emotion
toxic abusive hate insult offensive
moderate moderation nsfw nudity unsafe inappropriate
plagiarism copied
essay paper homework
write draft compose generate create
generate create make produce
design draw
draw plot render
chart graph plot
diagram flowchart
map maps cartography
synonym thesaurus
rhyme rhymes
define definition meaning dictionary
logo brand
brand trademark
invoice bill billing
receipt bill
price cost quote rate worth value
cheap cheapest lowest affordable
exchange fx forex conversion
currency money
dollar usd
euro eur
pound gbp sterling
yen jpy
franc chf
yuan cny renminbi
rupee inr
stock share equity
crypto cryptocurrency bitcoin ethereum coin token
wallet address
bank banking
iban account
swift bic
loan mortgage credit
savings interest
tax vat duty
customs import tariff
company business firm corporation enterprise
register registry registration
contract agreement
legal law lawyer
patent invention
court judgment ruling case+law
job vacancy position employment
resume cv curriculum
salary pay wage earn
candidate applicant
tender procurement
carbon co2 emission greenhouse footprint
email mail inbox
sms text+message
phone telephone mobile cell call
letter post postal
send deliver dispatch
meeting appointment
calendar schedule
address street
coordinates latitude longitude geocode lat lng gps
route directions navigation drive driving
distance far
nearby near around local
restaurant cafe
postcode zip+code postal+code zipcode plz
parcel package shipment delivery
ship vessel boat
courier carrier shipping freight
flight plane airline airfare
hotel accommodation lodging room
train rail railway
car vehicle auto automobile
rental rent hire
visa passport+entry
trip travel journey itinerary
weather forecast+rain rain temperature meteo
storm hurricane
pollution smog air+quality
tide high+water low+water
sunset sunrise sun
earthquake quake seismic
solar photovoltaic
electricity power energy
drug medicine medication pharmaceutical
disease diagnosis illness
food meal dish
calorie nutrition nutrient
recipe cook cooking
workout exercise training gym fitness
clinical medical health
research study paper literature
scientific science academic
citation reference bibliography cite
scrape scraping extract
crawl spider
fetch download
news headline article
website+down uptime reachable outage
certificate ssl tls
domain hostname
whois domain+owner
shorten short
speed performance fast slow load+time
seo ranking
accessibility wcag alt+text
caption subtitle
follower social
post caption
review rating
shop store ecommerce
malware virus antivirus trojan
phishing scam fraud
breach leak leaked pwned
vulnerability cve security+flaw
dependency package library npm pip
code program source script
bug error defect
regex regular+expression pattern
cron crontab
commit git
documentation docs
licence license
football soccer
basketball nba
ice+hockey nhl
baseball mlb
movie film series
stream streaming netflix
book isbn novel
song track music
lyrics words+song
concert event gig
quiz question
flashcard anki
lesson class
grade mark
pronounce pronunciation
house home property real+estate flat apartment
valuation worth value
vin vehicle+identification
petrol gasoline fuel
charge charging charger
chemical compound molecule
protein amino
gene dna genetic
species animal plant
star planet astronomy
dedupe duplicate deduplicate duplicates
clean cleaning tidy messy
outlier anomaly unusual
cluster segment segmentation
forecast predict prediction projection
simulate simulation
statistics statistical stats
regression trend
significant significance hypothesis
calculate compute
convert+units unit measure
hash checksum digest sha256 md5
qr qrcode
barcode ean upc
json object
csv comma
sql query database
schema structure
fake dummy mock synthetic
embedding vector
mile kilometre kilometer
grandmother grandma
identity id+card passport
sanction watchlist
kyc compliance
lead prospect
fax telefax
price cost quote rate fare fee worth value expensive
result score
match fixture game
history historical past previous
vintage old antique
url link hyperlink
shorten short tinyurl
search find lookup discover query
place location site spot
count tally
test testing qa
available free taken availability
fontless font typeface
anomaly outlier unusual abnormal
spell spelling typo orthography
abbreviation acronym
slide deck pptx
ebook epub kindle mobi
screenshot snapshot capture
vector svg
raster bitmap png
gif animation animated
clip trim
volume loudness loud
noise hiss hum
vocals singing karaoke
instrument drum bass stem
bpm tempo beat
podcast interview meeting
minutes transcript
voiceover narration tts
robocall call
chatbot chatgpt llm gpt ai
fake counterfeit forged deepfake
scam fraud fraudulent
spam junk
bot robot crawler
hacked breach compromised leaked
hacker attack
port service
ssl https tls
ip host
hosting server
down outage offline uptime unreachable reachable
redirect expand follow resolve
referrer backlink
rank ranking seo
keyword term
hashtag tag
influencer follower account profile
tweet post
competitor rival
survey poll questionnaire
address location
lat latitude
coordinates position gps
directions route way navigation itinerary
commute travel
traffic congestion
altitude elevation height
hike trail terrain
reach isochrone
tour round+trip delivery+route
fleet vehicle truck
stops waypoints
cargo freight shipment
tracking track status
delayed delay late
luggage baggage
airport flight
ticket event
gig concert festival
hostel hotel
apartment flat rental
landlord tenant rent
renovate renovation refurbish remodel
builder construction
furniture interior decor
furnish design
bug insect pest
weed plant flower tree
bird animal
crop farm agriculture field
forest wildfire
flood storm
fire wildfire
snow ski weather
wind storm
umbrella rain
pollen allergy
ozone air
planet star
telescope star
eclipse moon
lunar moon
horoscope zodiac astrology
tablets pills medicine drug
painkiller ibuprofen aspirin paracetamol medicine drug
dose dosage drug
symptom disease
vaccine vaccination
patient medical
vitamin nutrient
protein nutrient
diet meal
dinner meal recipe
ingredients recipe
fridge ingredients
wine bottle
gym fitness workout
run running jogging
muscle strength workout
molecule compound chemical substance
formula compound
solubility toxicity
sequence dna
amino protein
physics constant
latex tex
arxiv paper preprint
pubmed medical
journal paper
doi citation
footnote citation
essay homework
student pupil
exam quiz
teach lesson
vocabulary flashcard words
crossword puzzle
chess chessboard
film movie
actor cast
series show episode
netflix stream
novel book
author book
poem rhyme
lyric lyrics
soundtrack music
ancestor genealogy
baby name
gift present birthday
landmark sight sightseeing
passport visa
embassy visa
holiday holidays bank+holiday public+holiday vacation
timezone time
clock time
gdp inflation economy
etf stock
ticker stock symbol
dividend stock
portfolio investment invest
bond yield
treasury bond
exchange convert
nft token
blockchain crypto
ledger account
iban bank
routing swift
bookkeeping accounting ledger
expense receipt
payroll salary
wages salary
budget plan
invoice billing
refund chargeback
credit loan
debt loan
repayment mortgage
incorporation company
director officer company
subsidiary company
shareholder owner
bankrupt insolvency bankruptcy
clause contract
nda contract agreement confidentiality
lease contract
lawsuit court
attorney lawyer
infringement trademark
copyright licence
permit licence
pep sanction
aml kyc
money+laundering kyc
blacklist sanction
import customs
tariff customs hs
export customs
grant funding
headhunter recruiting
recruit hire recruiting
hr recruiting
interview candidate
vacancies job
newsletter email
bounce verify
deliverable verify deliverability
phishing suspicious
landline phone
carrier phone
voicemail call
whatsapp sms
notify notification push alert
remind reminder
appointment booking
timetable schedule
sankey chart
histogram chart
dashboard chart report
pivot group aggregate
average mean statistics
median statistics
correlation regression
anova significance
significance p+value
seasonality forecast
dedupe duplicate
fuzzy match
normalise clean
missing fill
anonymous anonymise
mask redact
synthetic fake
sample example
uuid id
random generate
lorem placeholder
palette colour
hex colour
contrast accessibility
icon favicon ico
banner image
illustration picture drawing
portrait face
selfie face photo
sticker image
texture image
panorama image
brightness enhance
sharpen enhance upscale
denoise clean
grayscale monochrome
transparent background alpha
mockup design
meme caption
infographic chart
whiteboard diagram
uml diagram
mermaid diagram flowchart
architecture diagram
refactor review
lint review format
prettify format pretty beautify indent
minify compress
compile run
execute run
debug bug
unittest test
docstring documentation docs
readme documentation docs
changelog commit
merge+request review pull+request
vulnerable vulnerability
exploit vulnerability cve
outdated dependency
npm package
pypi package
crate package
endpoint api
swagger api
graphql query
postgres sql database
parquet table
excel xlsx
json yaml
markdown md
wiki encyclopedia
fact facts
internet web online
google web+search search+engine search
bing web+search search
browser page
rss news
press+release announcement
slogan tagline
ad advertisement advert
copywriting copy product+text
blog article post
outline structure
tone style
formal tone
polite tone
translate translation localise
interpreter translation
subtitles caption
sign+language accessibility
braille accessibility
phonetic ipa pronunciation
accent pronunciation
antonym synonym opposite
spellcheck spelling grammar
plagiarised plagiarism
readability reading+level
toxic moderation
profanity swear toxic
bully insult
angry sentiment negative
happy sentiment positive
feedback review opinion
ner entity entities
intent classify
tag label
embedding semantic
similar similarity alike
analyse analysis analyses analytics
identify identification recognise recognition tell
vectorise vector svg trace
species plant animal
geoip ip+location
ship vessel boat ferry
wheat crop field harvest
jargon officialese complicated
rent rental let letting lease tenant
reach reachable uptime
office company
kitchen fridge
leftovers fridge ingredients
spam spammer junk
robot bot ai
hear listen audio
sing vocals
read reading
mp3 audio
words text
sentence text
paragraph text
paste text
dialect language
foreign translation language
mandarin chinese
cantonese chinese
deutsch german
hangul korean
kanji japanese
catalan spanish
flemish dutch
english translation
swap exchange convert
swiss chf switzerland franc
sweden krona
poland zloty
brazil real
bucks dollar
quid pound
cents currency
stockmarket stock
nasdaq stock
shares stock
quarterly fundamentals
profit fundamentals earnings
revenue fundamentals
turnover fundamentals
option derivative
hedge option
coin crypto
gwei gas+fees
ethereum gas
staking yield
fiat currency
statement bank+statement
transactions bank+statement
ledger bookkeeping
reimburse expense receipt
till receipt
cheque bank
sepa iban
beneficiary iban
interest compound
pension savings
annuity loan
instalment loan mortgage
gst vat
sales+tax vat
taxpayer tax
headquarters company
ltd company
gmbh company
ceo director
founder director
startup company
embargo sanction
pep+list sanction
terrorist sanction
tenders procurement
bid tender
remote jobs
hire job
applicants cv
unbiased job
pay+gap salary
warming carbon climate
mailing email
inbox email
mailbox email
bounced email
typo spelling
handwriting handwritten cursive
till+receipt receipt
id+card passport
visiting+card business+card
diploma certificate
letterhead letter
stamp watermark
combine merge
append merge
attach merge
chapters split
pages split
lighter compress
megabytes compress
encrypt password
permissions password
fields form
acroform form
tracked+changes compare
versions compare diff
spreadsheets tables
scan ocr
cutout background
isolate background
straighten rotate
tilted rotate
flip rotate
mirror rotate
aspect+ratio crop
thumbnail resize crop
super+resolution upscale
blurry upscale
sharpness upscale
sepia colourise
black+white colourise
scratched restore
faded restore
anonymise blur
plates blur
bounding+boxes detect
alt+text caption
describe caption
dall+e generate+image
paint generate
crest logo
monogram logo
mosaic collage
grid collage
metadata exif
geotag exif
violence moderation
nsfw moderation
duplicates+photo reverse+search
mushroom plant
leaf plant
tree plant
plate meal
ean barcode
webpage screenshot
bar+chart chart
line+graph chart
sequence diagram
er+diagram diagram
streets map
"""
"""Words that mean nearly the same, a group a line; ``a+b`` are words that do so together."""

IMPLIED: Final = """
cv > resume
warm > temperature weather
hot > temperature weather
cold > temperature weather
rain > weather forecast
snow > weather
sunny > weather sun
umbrella > rain weather forecast
sunscreen > uv sun
how tall > height
mile kilometer > unit convert
kilo pound > unit convert
celsius fahrenheit > unit convert
inch > unit convert
liter gallon > unit convert
crontab > cron
ibuprofen > drug
aspirin > drug
chatgpt > ai generate language model
written ai > detect generate
google > search web
kindle > ebook
iphone photo > heic
iphone picture > heic
rasterize > png convert
print pdf > pdf convert
parcel where > track
package where > track parcel
package deliver > parcel
package arrive > parcel track
courier price > ship carrier freight rate
courier cheap > ship carrier freight rate
drive distance > route
distance between > matrix route
earn > salary pay
paid job > salary
stocks risk > portfolio
portfolio > optimise
brand registered > trademark
brand name > trademark
who owns > owner registration
domain owner > whois registration
domain own > whois registration
domain available > check availability
domain still > availability register
co2 > carbon emissions
flight emissions > carbon
page google > seo ranking
rank google > seo
links site > backlink link
link to site > backlink
camera > exif metadata
took picture > metadata exif
picture internet > reverse search
picture appear > reverse search
picture comes > reverse search
image source > reverse search
same picture > reverse search
things picture > object detection
objects photo > detection
what picture > describe object
draw picture > generate image paint
picture of > image
logo company > logo
pages website > crawl site
all pages > crawl
whole site > crawl
scientific articles > paper research
studies > paper research
paper > research
molecular weight > compound chemical mass
molar mass > compound chemical
melting point > compound chemical
chemical > compound
sum by > pivot group
sales region > pivot group
next month > forecast
predict values > forecast
future values > forecast
another word > synonym
different word > synonym
opposite word > antonym synonym
word mean > dictionary definition
name mean > meaning first+name
word rhymes > rhyme
sound word > pronunciation
say word > pronunciation
which language > detect language identify
what language > detect language identify
language written > detect language
simple words > plain simplify
easy words > plain simplify
layman > plain simplify
people companies > entity
names article > entity
names text > entity
person names > entity
customer reviews > sentiment review
reviews positive > sentiment
happy angry > sentiment
pdf password know > remove unlock
open locked > remove password decrypt unlock
locked pdf > password
wimbledon > tennis
nba > basketball
bundesliga > football
premier league > football
world cup > football
super bowl > football
home run > baseball
six nations > rugby
masters > golf
behind email > person enrichment
who email > person enrichment
library for > package
python package > package
open source > package licence
handwritten > handwriting
sick > disease
take together > interaction
mixing > interaction
side effects > drug medicine
calories > nutrition
cook > recipe
leftover > recipe ingredient
gym > workout exercise
bank holiday > holiday
day off > holiday
stranger > person
house worth > property valuation real estate
flat worth > property valuation real estate
car worth > car used price
sell car > car used price
car history > vin vehicle
plate > vehicle
charging car > charge station electric
electric car > charge station
gas prices > fuel petrol
fill up > fuel petrol
petrol > fuel
when sun > sunrise sunset
golden hour > sun
full moon > moon phase
high tide > tide
volcano > earthquake
tsunami > earthquake
polluted > air quality pollution
smog > air quality
hurricane > storm warning severe
tornado > storm warning severe
quake > earthquake
visa need > visa requirement entry
safe travel > travel advice safety
safe country > travel advice
watch film > stream
watch movie > stream
where watch > stream
what watch > film
read next > book suggest recommend
like book > book recommend
weekend > event
present for > gift
birthday > gift
baby > name
ancestors > genealogy family
bottle > wine
dish wine > pairing
checkmate > chess
clue > crossword
star sign > horoscope
hear song > music recognition identify
what song > music recognition identify
song playing > recognition identify
words song > lyrics
remove vocals > stem separation
karaoke > vocals stem
background noise > noise removal
type up > transcribe
write down said > transcribe
read aloud > speech
read out > speech
own voice > voice clone
like me > clone
music video > music background
thumbnail > still frame
frame video > still
short video > trim
smaller video > compress
subtitles > caption
tl;dr > summary
key points > summary
gist > summary
main ideas > summary
password strong > password generate
strong > password secure
been hacked > breach
been pwned > breach
been leaked > breach
data leak > breach
leak email > breach
safe link > phishing malicious
link safe > phishing malicious reputation
suspicious link > phishing malicious
suspicious file > malware virus
infected > malware virus
open ports > port scan
forged email > header spf dkim
spoof > header spf dkim
real video > deepfake synthetic
fake video > deepfake manipulated
human or bot > bot detection
pull request > review code
bugs code > review
what code > explain code
code does > explain code
port to > convert code
rewrite python > convert code programming
rewrite java > convert code programming
pattern match > regular expression
api docs > documentation
slow page > speed performance
page load > speed
site slow > speed performance
screen reader > accessibility
blind > accessibility
ping > uptime reachable
mx record > dns
nameserver > dns
certificate expires > tls ssl
site up > uptime reachable
site down > uptime reachable
page changed > monitor
watch page > monitor changes
website text > page read fetch
article page > fetch page
cheapest > price compare
best price > price compare
where buy > price shop compare
buyers > review
followers > social profile
caption instagram > social post
tweet > social post
linkedin > social profile post
ad volume > keyword
search volume > keyword
cold mail > email
email someone > email find
contact details > email phone
text message > sms
text someone > sms message
text phone > sms
phone number valid > phone check
who called > phone lookup
ring > call phone
mail letter > post letter print
snail mail > letter postal
fax > telefax
calendar > schedule meeting
time everyone > schedule meeting
meeting time > schedule
delivery route > tour
many stops > tour
within minutes > reachable isochrone
minutes drive > isochrone reachable
sea level > elevation
how high > elevation height
what time in > time zone
local time > zone
ip from > ip geolocation
visitor country > ip geolocation
restaurant near > place nearby local
near me > nearby around local
opening hours > place business
ship position > vessel
boat > vessel
plane on time > flight status
gate > flight status
room for > hotel
stay in > hotel accommodation
train times > timetable railway
car hire > rental
things see > sightseeing itinerary plan
days in > itinerary plan trip
vacation > trip travel
icd > diagnosis
patient data > anonymise medical
deidentify > anonymise medical
trial > clinical
evidence > medical study
nda > disclosure contract
risky clause > contract review
check contract > contract review
invented > patent
prior art > patent
ruling > court decision
precedent > court case
legal precedent > case law
customs code > tariff hs
import duty > customs
import cost > customs duty landed
vat > tax
tax number > vat
company exist > company register
who runs > company register director
annual accounts > company financial
balance sheet > company fundamentals financial
earnings > company fundamentals stock
share price > stock quote
stock price > stock quote
bitcoin > crypto coin
exchange rate > currency
euros dollars > currency exchange
euro dollar > currency exchange
how much dollars > currency exchange
savings > interest compound
retirement > interest compound savings
monthly payment > mortgage loan
house loan > mortgage
bank code > swift bic
account number > iban account
outliers > anomaly
spikes > anomaly
duplicates > deduplicate duplicate
messy > clean
test data > fake synthetic
dummy data > fake synthetic
customers groups > segment cluster
a/b > significance test
ab test > significance test
statistically > significance
sql > query
question database > sql query
chart > plot
graph > chart
pie > chart
flowchart > diagram
map with > map
qr > qrcode code
scan code > barcode qr
wifi > qr
essay > writing
mark essay > grade
grade essay > grading
multiple choice > quiz
test students > quiz
handelsregister > company register germany
study cards > flashcard
teach > lesson
geo ip > ip location geolocation
ip address where > geolocation
container ship > vessel ais
ship now > vessel position
four days > itinerary trip
days see > itinerary sightseeing
what see > sightseeing itinerary
sounds robot > ai generated detection
robot wrote > ai generated detection
ai wrote > detection generated
too early > time zone local
too late > time zone local
early call > time zone local
only me > uptime reachable
reach site > uptime reachable
site working > uptime reachable
spelled address > address validate
address right > address validate
address complete > address validate
paper printer > letter print
no printer > letter print post
rooms rent > rental flat
flat let > rental rent
owners say > review product
people think > review product
good buy > review product
worth buying > review product
old password > breach leak
spammers > breach leak
really from bank > header forged
says bank > header forged
mail real > header forged
sent it > header forged
ask for km > car used price
car km > used price
car mileage > used price
visitors next > forecast
next quarter > forecast
next year > forecast
past years > forecast
month rich > savings compound interest
putting aside > savings compound interest
put aside > savings compound interest
save month > savings compound interest
december office > holiday
anyone office > holiday
shops closed > holiday
shops open > holiday opening
banks closed > holiday
customs charge > customs duty
import from > customs duty
kitchen left > recipe ingredients
what eat > recipe meal
doing badly > health stress
field health > crop vegetation
species > identify
"""
"""Words of a query, all of which must be there, and what they ask for without saying it."""
