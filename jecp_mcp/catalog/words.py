"""Words as search sees them: cut, folded, stemmed, and with others that mean nearly the same. Pure: no I/O.

English, for so the market speaks; words of other languages are found as they are written, and scripts without blanks
by pairs of characters.
"""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Iterable, Mapping, Sequence
from functools import cache, lru_cache
from itertools import pairwise
from typing import Final

_WORD: Final = re.compile(r"[^\W_]+")
_UNSPACED: Final = re.compile("[\u0e00-\u0eff\u1000-\u109f\u1780-\u17ff\u3040-\u30ff\u3400-\u9fff\uf900-\ufaff]+")
_VOWEL: Final = re.compile("[aeiouy]")
_LONGEST: Final = 40
_SUFFIXES: Final = (
    # British spelling first, so that both become the same.
    ("isation", "iz"), ("ization", "iz"), ("ising", "iz"), ("ised", "iz"), ("iser", "iz"), ("izer", "iz"), ("ise", "iz"),
    ("ysing", "yz"), ("ysed", "yz"), ("yser", "yz"), ("yse", "yz"), ("ysis", "yz"), ("yses", "yz"),
    ("ations", "at"), ("ation", "at"), ("ators", "at"), ("ator", "at"), ("ments", ""), ("ment", ""),
    ("ings", ""), ("ing", ""), ("ions", ""), ("ion", ""), ("ers", ""), ("er", ""), ("ors", ""), ("or", ""),
    ("ed", ""), ("ly", ""), ("ies", "y"), ("es", ""), ("s", ""), ("e", ""),
)  # fmt: skip
_SHORTEST_STEM: Final = 3
_INTO: Final = frozenset({"to", "into", "as", "2"})
_FURTHER: Final = 2
_KEPT: Final = frozenset("news address business process access https dns gps aws ios lens gas bus this plus chess".split())

STOP: Final = frozenset(
    "a about again all also am an and any are as at be been behind but by can could did do does every for from get give"
    " given go goes going got had has have help here how i"
    " if in into is it its just know let like look made make many may me might more most much my need now of off on onto"
    " or our out please put said say see shall should show so some somebody someone something take tell than that the"
    " their them then there these they thing things this those to us use using very want was we were what when where"
    " whether which while who whose why will with without would you your".split()
)
"""What says nothing about a task. Some of them do where nothing else was said."""

_GROUPS: Final = """
image picture photo photograph img pic
satellite aerial space
altitude elevation height
tender bid procurement
social instagram twitter facebook linkedin tiktok youtube
topic subject category theme
classify categorise sort label
exist valid verify real
safe safety warning advice danger
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
register handelsregister registrar
backlink link+site
lead leads+to destination
height tall
owner owns
expire expiry expires
deadline due
friend contact person people
customer client buyer
worker employee staff
teacher teaching school
child kid baby
old vintage historical
new latest recent current live
past history historical previous
future upcoming coming
free available
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
url link
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
name naming
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
place location
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
search find lookup look+up discover
research study paper literature
scientific science academic
citation reference bibliography cite
scrape scraping extract
crawl spider
fetch download
news headline article
article text
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
product item article
shop store ecommerce
malware virus antivirus trojan
phishing scam fraud
breach leak leaked pwned
vulnerability cve security+flaw
dependency package library npm pip
code program source script
bug error defect
test testing
regex regular+expression pattern
cron crontab
commit git
documentation docs
licence license
score result
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
game match
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
count number
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
"""


def terms(text: str) -> list[str]:
    """The stems of a text's words, in order; of a script without blanks, its characters and pairs of them."""
    found: list[str] = []
    for word in _WORD.findall(_folded(text)):
        if word.isascii():
            found.append(stem(word[:_LONGEST]))
        else:
            found.extend(_foreign(word))
    return found


def wanted(query: str) -> list[str]:
    """The stems of a query's words that say something, each once; all of them if none does."""
    words = _WORD.findall(_folded(query))
    telling = [word for word in words if word not in STOP] or words
    return list(dict.fromkeys(term for word in telling for term in terms(word)))


def joined(query: str) -> list[tuple[tuple[str, str], str]]:
    """Neighbours in a query with what they are when written as one word, such as "web site"; as stems."""
    words = [word for word in _WORD.findall(_folded(query)) if word.isascii()]
    pairs = (pair for pair in pairwise(words) if not STOP.issuperset(pair))
    return [((stem(a), stem(b)), stem(a + b)) for a, b in pairs]


def directed(text: str) -> list[tuple[str, str]]:
    """What a text says is turned into what, as in "PDF to Word", as stems: which way round makes all the difference."""
    words = _WORD.findall(_folded(text))
    found = []
    for at, word in enumerate(words):
        if word in _INTO:
            before = next((one for one in reversed(words[:at]) if one not in STOP), None)
            after = [one for one in words[at + 1 :] if one not in STOP][:_FURTHER]
            found += [(stem(before), stem(one)) for one in after if before is not None]
    return found


def _folded(text: str) -> str:
    text = text.casefold()
    if text.isascii():
        return text
    # Marks of the Japanese and Indian scripts are letters' halves; Latin accents are dropped.
    return "".join(
        letter for letter in unicodedata.normalize("NFKD", text) if not "\u0300" <= letter <= "\u036f"
    )


def _foreign(word: str) -> list[str]:
    found: list[str] = []
    for run in _UNSPACED.findall(word):
        found += [run[at : at + 2] for at in range(len(run) - 1)] or [run]
        found += list(run) if len(run) > 1 else []
    return found + [rest[:_LONGEST] for rest in _UNSPACED.split(word) if rest]


@lru_cache(maxsize=20_000)
def stem(word: str) -> str:
    """A word without its ending. Crude, and the same for a query as for an action."""
    if len(word) <= _SHORTEST_STEM or word in _KEPT or not word.isalpha():
        return word
    if word.endswith("our") and len(word) > len("hour"):
        word = word[:-2] + "r"
    for ending, instead in _SUFFIXES:
        if not word.endswith(ending):
            continue
        if ending in {"s", "es"} and (word.endswith(("ss", "us", "is")) or len(word) <= len(ending) + 2):
            continue
        rest = word[: -len(ending)] + instead
        if len(rest) < (_SHORTEST_STEM if ending in {"s", "e", "es"} else _SHORTEST_STEM + 1) or not _VOWEL.search(rest):
            continue
        if ending in {"s", "es", "ies"}:
            return stem(rest)
        if len(rest) > _SHORTEST_STEM and rest[-1] == rest[-2] and rest[-1] not in "sl":
            rest = rest[:-1]
        return rest[:-1] if rest.endswith("e") and len(rest) > _SHORTEST_STEM else rest
    return word


@cache
def _synonyms() -> tuple[Mapping[str, frozenset[str]], Sequence[tuple[frozenset[str], frozenset[str]]]]:
    """Stems with those that mean nearly the same; and sets of stems that together mean what others mean."""
    single: dict[str, set[str]] = {}
    several: list[tuple[frozenset[str], frozenset[str]]] = []
    for line in _GROUPS.splitlines():
        members = line.split()
        plain = {stem(word) for word in members if "+" not in word}
        parts = {stem(part) for word in members if "+" in word for part in word.split("+") if part not in STOP}
        for word in plain:
            single.setdefault(word, set()).update((plain | parts) - {word})
        several += [(frozenset(map(stem, word.split("+"))), frozenset(plain)) for word in members if "+" in word]
    return {word: frozenset(others) for word, others in single.items()}, several


def synonyms(term: str) -> frozenset[str]:
    """Stems that mean nearly the same as this one."""
    return _synonyms()[0].get(term, frozenset())


def meant_together(found: Iterable[str]) -> list[tuple[frozenset[str], frozenset[str]]]:
    """Sets of these stems that together mean something else, with the stems that mean it."""
    said = frozenset(found)
    return [(parts, meaning) for parts, meaning in _synonyms()[1] if parts <= said]
