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
doctor physician
doctor gp
surgery operation
therapy treatment cure
cancer tumour oncology
heart cardiac
diabetes diabetic insulin
pregnant pregnancy
skin dermatology
mole skin+lesion
rash skin
teeth dental dentist
eye vision
mental psychological
depression anxiety
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
rent rental letting lease tenant
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
bug insect pest
pest vermin
rodent mouse rat
cockroach roach
mosquito fly
pet animal
dog puppy
cat kitten
vet veterinary veterinarian
# sport
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
movie film series
film cinema
actor cast
actress actor
director filmmaker
series episode
tv television
season series
trailer film
streaming disney hbo hulu prime
book isbn novel
author book
author writer
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
election vote voting
parliament congress
president government
"""

IMPLIED: Final = """
# medicine
ibuprofen, aspirin, tablets, pills, medication, antibiotics, blood thinner, antidepressant > drug medicine
paracetamol > drug medicine
take together, mixing, mix medicines, mix pills, combine medicines, combine drugs > interaction drug
at the same time medicine, along with pills, together pills, dangerous together > interaction drug
goes with medication, both drugs, warfarin > interaction drug
side effects, what for tablets, how many tablets, how often take, what is drug for > drug medicine information
tablets for, taking drug, package insert, package leaflet, leaflet medicine > drug medicine information
while pregnant, maximum dose, webmd > drug medicine information
sick > disease
icd, code for disease, code for illness, code for diagnosis, billing code doctor > diagnosis icd coding
insurance code diagnosis, medical code > diagnosis icd coding
patient data, deidentify, patient names, patient files, medical records names, doctor notes > anonymise medical record
doctor letters, hospital records, hipaa, clinical notes > anonymise medical record
trial, new treatment, try new treatment, experimental, test treatment, treatment study > clinical trial
participate study, take part study, recruiting patients > clinical trial
evidence, does it really help, science say, scientifically proven, studies on treatment > medical study literature
pubmed, medical research, medical studies, medical article, proven to help, cochrane > medical study literature
does vitamin > medical study literature
# eating and moving
calories, how healthy, how much sugar, how much protein, how much fat, how much salt > nutrition food facts
how much vitamin, fattening, in an apple, in a banana, contains gluten, what's in food > nutrition food facts
nutritional > nutrition food facts
what cook, dinner tonight with, left in fridge, have in fridge, leftover, cook, kitchen left > recipe ingredients
what eat, what make with eggs, bake, eggs flour, ingredients at home > recipe ingredients
eat this week, meals for week, week of dinners, weekly menu, lose weight, weight loss, low carb, keto > meal plan diet
vegan week, family dinners, shopping list, dinner plan, eating plan, diet plan, cheap meals > meal plan diet
meal prep > meal plan diet
gym, get fit, fit again, build muscle, get stronger, marathon, half marathon > workout training exercise plan
couch to, training for, 10k, push ups, pushups, back exercises, exercises for, strava > workout training exercise plan
lose belly > workout training exercise plan
myfitnesspal > calories nutrition
bottle, dish wine, wine with, drink with, goes with fish, goes with steak, red or white, which wine > wine pairing
what wine, sommelier, vivino, serve with > wine pairing
# homes
house worth, flat worth, apartment worth, value of house, value of home > property valuation real estate value
house sell for, home worth, selling house, sell my house, sell flat > property valuation real estate value
price for house, house price, what could i ask house, zillow, zestimate > property valuation real estate value
rightmove > property valuation real estate value
rooms rent, flat let, looking for flat, looking for apartment, find flat, find apartment > rental rent flat
room apartment, bedroom flat, bedroom apartment, somewhere to live, place to live, place to rent > rental rent flat
studio apartment, affordable flat, flats under > rental rent flat
living room, bedroom style, room look, look of room, redecorate, furnish room, new sofa > room design interior
room other style, room modern, scandinavian style, empty room, decorate > room design interior
new bathroom, new kitchen, bathroom cost, kitchen cost, new roof, replace windows > renovation cost building
builder cost, builders charge, cost of building, convert attic, insulate, repair house > renovation cost building
refurbishing, remodel, craftsmen, handyman > renovation cost building
ants, bugs kitchen, insects house, beetle, cockroach, bedbugs, bed bugs, moth, mice, rats > pest identification insect
wasps, termites, creepy crawly, infestation, bites me, what eats my, eating my plants > pest identification insect
# sport
wimbledon, us open, roland garros, grand slam > tennis
nba, lakers, dunk > basketball
bundesliga, premier league, world cup, super bowl, champions league, la liga, serie a, bayern, real madrid > football
manchester united, uefa, fifa > football
home run, yankees, world series > baseball
six nations, all blacks > rugby
masters, ryder cup, pga, birdie > golf
stanley cup, nhl, puck > hockey ice
ashes, ipl, test match, wicket > cricket
who won, final score, did win, did they win, how did they play, game last night > scores results fixtures match
match last night, last night's game, when play, when do they play, next game > scores results fixtures match
next match, who plays, plays against, who scored, how did end > scores results fixtures match
# pastimes
checkmate, best move, my move, chess game, white to move, black to move, grandmaster, stockfish > chess analysis
opening chess, blunder > chess analysis
clue, letters word, five letters, seven letters, word puzzle, letters fits, wordle, crossword > crossword clue
star sign, aries, taurus, virgo, libra, scorpio, sagittarius, capricorn, aquarius, pisces, in the stars > horoscope
stars say, stars for me, mercury retrograde, birth chart > horoscope
present for, gift, birthday, what buy for, surprise for, valentine, christmas for, mother's day > gift present ideas
father's day, anniversary for, secret santa > gift present ideas
weekend, tonight in, happening in, live music, this weekend, concerts, tickets for, ticketmaster > event concert
eventbrite, playing in town, gigs > event concert
# screen and page
watch film, watch movie, where watch, netflix, on netflix, can i stream, on disney, on prime > stream streaming watch
where see film, where can watch, show available on > stream streaming watch
what watch, film with, movie with, film about, movie about, who played in, actor in, directed by > film movie
director of film, film where, movie where, the film in which, good film, good movie, plot of, imdb > film movie
rotten tomatoes > film movie
read next, like book, next book, books like, book similar, liked book, loved book > book suggest recommend
enjoyed reading, enjoyed book, good book, good read, something to read, holiday reading > book suggest recommend
what read, novel like, goodreads, after reading > book suggest recommend
who wrote, who wrote book, book by, written by author, novels by, isbn, find book, book title, author of > book author
book called, title of book > book author
# family and faith
baby, name for baby, name baby, baby boy, baby girl, newborn, daughter name, son name > first name baby
call my daughter, call my son, first name popular, name origin > first name baby
ancestors, great grandfather, great grandmother, grandfather born, forefathers, emigrated > genealogy family ancestor
family came, family from, where my family, parish records, birth records, church records > genealogy family ancestor
lineage, descended, 23andme > genealogy family ancestor
easter, christmas, ramadan, diwali, hanukkah, passover, thanksgiving > holiday
# animals
vet > animal pet
# names of medicines
metformin, statin, omeprazole, penicillin, amoxicillin, insulin, codeine, morphine, tramadol, prozac > drug medicine
xanax, viagra, antihistamine, antacid, beta blocker, ssri > drug medicine
# larder
egg, flour, onion, potato, tomato, chicken, rice, cabbage, carrot, zucchini, courgette, aubergine > ingredients food
eggplant, leek, mince, pasta, cheese, chickpeas > ingredients food
for tea, for supper, for dinner, for lunch > recipe meal
# pets, prayers, play
dog ate, dog food, cat food, cat vomiting, puppy sick > pet animal veterinary
prayer times, call to prayer, qibla > prayer islam
bible verse, psalm, gospel > bible scripture
halal, kosher > food religion
ask for flat, ask for house, ask for our, asking price > property valuation value
"""
