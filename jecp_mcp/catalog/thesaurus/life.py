"""Words of everyday life: health, food, home, animals, sport, games, culture, family, faith."""

from __future__ import annotations

from typing import Final

ALIKE: Final = """
# health
drug medicine medication pharmaceutical
medicine remedy
tablets pills medicine drug
pill tablet capsule
painkiller ibuprofen aspirin paracetamol medicine drug
paracetamol acetaminophen
antibiotic penicillin amoxicillin
prescription medicine
dose dosage drug
overdose dose
pharmacist pharmacy
side+effect adverse
interaction interact contraindication
disease diagnosis illness
disease disorder condition
symptom disease
icd diagnosis
diagnose diagnosis
doctor physician
doctor gp
nurse nursing
surgery operation
therapy treatment cure
cancer tumour oncology
heart cardiac
diabetes diabetic insulin
pregnant pregnancy
allergy allergic
skin dermatology
mole skin+lesion
rash skin
teeth dental dentist
eye vision
mental psychological
depression anxiety
vaccine vaccination
vaccine jab shot
patient medical
clinical medical health
trial study
epidemic pandemic outbreak
blood lab
bmi body+mass
sleep insomnia
# food
food meal dish
dish cuisine
meal lunch breakfast supper
dinner meal recipe
diet meal
vegan vegetarian plant+based
gluten coeliac celiac
calorie nutrition nutrient
calories kcal kilojoule
vitamin nutrient
protein nutrient
carbohydrate carbs
sugar fat salt nutrient
healthy health
recipe cook cooking
recipe bake baking
ingredients recipe
groceries ingredients
kitchen fridge
leftovers fridge ingredients
fridge refrigerator
menu meal
wine bottle
wine red+wine white+wine
beer brewery
cocktail drink
# body at work
workout exercise training gym fitness
gym fitness workout
run running jogging
muscle strength workout
marathon running
yoga pilates
weight slim
# home
house home property real+estate flat apartment
apartment flat rental
apartment condo
property realty
estate+agent realtor
landlord tenant rent
rental rent hire
rent rental let letting lease tenant
roommate flatmate
bedroom room
renovate renovation refurbish remodel
renovation redecorate
builder construction
building construction
plumber plumbing
electrician electrical wiring
bathroom kitchen
paint wall
furniture interior decor
furnish design
furniture sofa couch
lighting lamp
garden yard
weed plant flower tree
plant gardening
appliance device
# animals
bird animal
species animal
bug insect pest
pest vermin
rodent mouse rat
cockroach roach
mosquito fly
pet animal
dog puppy
cat kitten
vet veterinary veterinarian
breed breeds
# sport
sport sports
football soccer
american+football nfl
basketball nba
ice+hockey nhl
hockey ice+hockey
baseball mlb
rugby scrum
cricket wicket
golf pga
tennis atp wta
formula+1 f1 racing
olympics olympic
league championship
standings league+table
result score
match fixture game
lineup line+up squad
team club
player athlete
coach trainer
goal scorer
stadium arena
bet odds betting
# games and pastimes
game gaming
video+game videogame
chess chessboard
checkmate chess
crossword puzzle
sudoku puzzle
riddle puzzle
dice roll
card+game poker
horoscope zodiac astrology
zodiac star+sign
tarot fortune
gift present birthday
party celebration
wedding marriage
# screen, stage and page
film movie
movie film series
film cinema
actor cast
actress actor
director filmmaker
series show episode
tv television
season series
trailer film
netflix stream
streaming disney hbo hulu prime
book isbn novel
novel book
author book
author writer
publisher publishing
bestseller book
library books
concert event gig
gig concert festival
festival event
theatre theater play musical
opera ballet
exhibition museum
ticket event
tickets admission
comedy standup
nightlife club
# family, faith and the state
baby name
firstname first+name given+name
surname last+name family+name
ancestor genealogy
ancestry genealogy
ancestors forefathers
genealogy family+tree family+history
grandmother grandma
grandfather grandpa
grandparents ancestors
parent mother father
spouse husband wife
child kid baby
birth born
death died
parish church
church christian christianity
bible scripture verse
quran koran
islam muslim islamic
jewish judaism
hindu hinduism
buddhist buddhism
prayer pray
easter christmas holiday
ramadan eid
saint feast
census record
archive archives
election vote voting
parliament congress
president government
"""

IMPLIED: Final = """
# medicine
ibuprofen, aspirin, tablets, pills, medication, antibiotics, blood thinner, antidepressant, paracetamol > drug medicine
take together, mixing, mix medicines, mix pills, combine medicines, combine drugs, at the same time medicine, along with pills, with alcohol, safe with, take with, together pills, dangerous together, goes with medication, both drugs, clash, warfarin > interaction drug
side effects, what for tablets, how many tablets, how much take, how often take, what is drug for, tablets for, taking drug, package insert, package leaflet, leaflet medicine, while pregnant, maximum dose, webmd > drug medicine information
sick > disease
icd, code for disease, code for illness, code for diagnosis, billing code doctor, insurance code diagnosis, medical code > diagnosis icd coding
patient data, deidentify, patient names, patients names, patient files, medical records names, doctor notes, doctor letters, hospital records, hipaa, clinical notes > anonymise medical record
trial, new treatment, try new treatment, experimental, test treatment, treatment study, participate study, take part study, recruiting patients, volunteers > clinical trial
evidence, does it really help, science say, scientifically proven, studies on treatment, pubmed, medical research, medical studies, medical article, proven to help, cochrane, does vitamin > medical study literature
# eating and moving
calories, how healthy, how much sugar, how much protein, how much fat, how much salt, how much vitamin, fattening, in an apple, in a banana, contains gluten, what's in food, nutritional > nutrition food facts
what cook, cook with, dinner tonight with, left in fridge, have in fridge, use up, leftover, leftovers, cook, kitchen left, what eat, cook from, what make with eggs, make with, bake, eggs flour, dish with, ingredients at home > recipe ingredients
eat this week, meals for week, week of dinners, weekly menu, menu week, lose weight, weight loss, low carb, keto, vegan week, family dinners, shopping list, dinner plan, eating plan, diet plan, cheap meals, meal prep > meal plan diet
gym, get fit, fit again, build muscle, get stronger, marathon, half marathon, couch to, training for, 10k, push ups, pushups, back exercises, exercises for, strava, lose belly, work out > workout training exercise plan
myfitnesspal > calories nutrition
bottle, dish wine, wine with, drink with, goes with fish, goes with steak, red or white, which wine, what wine, sommelier, vivino, serve with > wine pairing
# homes
house worth, flat worth, apartment worth, value of house, value of home, house sell for, home worth, selling house, sell house, sell my house, sell flat, price for house, house price, what house, what could i ask house, zillow, zestimate, rightmove > property valuation real estate value
rooms rent, flat let, looking for flat, looking for apartment, find flat, find apartment, room apartment, bedroom flat, bedroom apartment, somewhere to live, place to live, place to rent, move to, moving to, studio apartment, affordable flat, flats under > rental rent flat
living room, bedroom style, room look, look of room, redecorate, furnish room, furnish, new sofa, room other style, room modern, scandinavian style, interior, empty room, decorate > room design interior
new bathroom, new kitchen, bathroom cost, kitchen cost, new roof, replace windows, builder cost, builders charge, cost of building, convert attic, insulate, repair house, doing up, do up, refurbishing, remodel, extension cost, craftsmen, handyman > renovation cost building
ants, bugs kitchen, insects house, beetle, cockroach, bedbugs, bed bugs, moth, moths, mice, rats, wasps, wasp, termites, crawling, creepy crawly, infestation, bites me, what eats my, eating my plants > pest identification insect
# sport
wimbledon, us open, roland garros, grand slam > tennis
nba, lakers, dunk > basketball
bundesliga, premier league, world cup, super bowl, champions league, la liga, serie a, bayern, real madrid, manchester united, uefa, fifa, penalty > football
home run, yankees, world series > baseball
six nations, all blacks > rugby
masters, ryder cup, pga, birdie > golf
stanley cup, nhl, puck > hockey ice
ashes, ipl, test match, wicket > cricket
who won, final score, did win, did they win, how did they play, beat, game last night, match last night, last night game, last night's game, when play, when do they play, next game, next match, who plays, plays against, who scored, how did end > scores results fixtures match
# pastimes
checkmate, best move, my move, chess game, white to move, black to move, grandmaster, stockfish, opening chess, blunder > chess analysis
clue, letters word, letter word, five letters, seven letters, word puzzle, letters fits, wordle, crossword > crossword clue
star sign, aries, taurus, virgo, libra, scorpio, sagittarius, capricorn, aquarius, pisces, in the stars, stars say, stars for me, mercury retrograde, birth chart > horoscope
present for, gift, birthday, what give, give to, what buy for, surprise for, valentine, christmas for, mother's day, father's day, anniversary for, secret santa, has everything > gift present ideas
weekend, tonight in, going on, what's on, what is on, happening in, go out, going out, live music, this weekend, things on, concerts, shows in, tickets for, ticketmaster, eventbrite, playing in town, on tour, gigs > event concert
# screen and page
watch film, watch movie, where watch, netflix, on netflix, can i stream, which service, on disney, on prime, where see film, where can watch, show available on, stream series > stream streaming watch
what watch, film with, movie with, film about, movie about, who played in, who plays in, starring, actor in, directed, director of film, film where, movie where, the film in which, good film, good movie, plot of, imdb, rotten tomatoes > film movie
read next, like book, next book, books like, book similar, similar books, liked book, loved book, enjoyed reading, enjoyed book, good book, good read, something to read, holiday reading, what read, novel like, goodreads, after reading > book suggest recommend
who wrote, who wrote book, book by, written by author, novels by, isbn, find book, book title, author of, book called, title of book > book author
# family and faith
baby, name for baby, name baby, baby boy, baby girl, newborn, daughter name, son name, call my daughter, call my son, expecting, first name popular, popular names, name origin > first name baby
ancestors, great grandfather, great grandmother, great-grandfather, great-grandmother, grandfather born, forefathers, emigrated, family came, family from, where my family, roots, parish, parish records, birth records, church records, lineage, descended, descendants, 23andme, who were my > genealogy family ancestor
easter, christmas, ramadan, diwali, hanukkah, passover, thanksgiving > holiday
# animals
vet > animal pet
"""
