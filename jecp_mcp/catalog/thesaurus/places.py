"""Words of the world outside: places, ways, goods and people on the move, weather, sky, land, energy."""

from __future__ import annotations

from typing import Final

ALIKE: Final = """
# places
place location site spot
location whereabouts position
map maps cartography
map atlas
streets map
address street
address location
coordinates latitude longitude geocode lat lng gps
lng lon longitude
coordinates position gps
gps navigation
postcode zip+code postal+code zipcode
postcode pincode pin+code
town city village
city municipality
neighbourhood district quarter
region area
province county state
country nation
capital city
border boundary
altitude elevation height
elevation altitude metres+above
terrain relief topography
near nearby
nearby around local
nearest closest nearby
restaurant cafe
restaurant diner bistro eatery
cafe coffee+shop
pub bar
pharmacy chemist drugstore
supermarket grocery groceries
hospital clinic
toilet restroom wc
atm cash+machine
timezone time
timezone time+zone utc gmt
clock time
dst daylight+saving summer+time
geoip ip+location
ip+location ip+geolocation
# ways
route directions navigation drive driving
route itinerary path
directions route way navigation itinerary
distance far
distance mileage
commute travel
traffic congestion
traffic jam
motorway highway freeway
detour diversion
shortcut shortest
cycling bicycle bike cycle
walking foot pedestrian walk
hike trail terrain
hiking trekking walk
bus coach transit
tram metro subway underground transit
transit public+transport
reach isochrone
tour round+trip delivery+route
stops waypoints
dispatch fleet
parking car+park
toll road
# goods on the move
parcel package shipment delivery
parcel packet
delivery deliver
courier carrier shipping freight
freight haulage
cargo freight shipment
tracking track status
delayed delay late
eta arrival
pallet container
ship vessel boat ferry
yacht boat
vessel imo mmsi
harbour port
fleet vehicle truck
truck lorry van
warehouse storage
last+mile delivery
post+office post
customs shipment
# journeys
trip travel journey itinerary
travel tourism
traveller tourist
vacation holiday trip
flight plane airline airfare
flight fly flying
airplane aeroplane aircraft plane
airport flight
airline carrier
layover stopover connection
departure arrival
boarding gate
luggage baggage
train rail railway
train station
ticket fare
timetable schedule
timetable departures
platform track
hotel accommodation lodging room
hotel motel inn guesthouse
hostel hotel
airbnb accommodation
overnight hotel
booking reservation
reserve book
itinerary plan
itinerary sightseeing
sight sightseeing attraction
landmark sight sightseeing
museum gallery
beach coast
cruise ship
visa passport+entry
passport visa
embassy visa
embassy consulate
immigration entry
citizen national nationality
safety security safe
warning advisory
# cars
car vehicle auto automobile
car+rental car+hire
motorbike motorcycle
secondhand pre+owned
vin vehicle+identification
chassis vin
mileage odometer
petrol gasoline fuel
diesel fuel
petrol+station gas+station filling+station
charge charging charger
ev electric+car
electric+car electric+vehicle
plug socket connector
tyre tire
engine motor
number+plate licence+plate registration+plate
insurance cover
# weather and sky
weather forecast+rain rain temperature meteo
weather climate
rain precipitation
rain shower drizzle
umbrella rain
wind storm
wind gust
storm hurricane
storm thunderstorm
thunder lightning
hurricane typhoon cyclone
tornado twister
flood storm
heatwave heat
freezing frost
frost ice
snow ski weather
cloud cloudy overcast
fog mist visibility
celsius fahrenheit temperature
pollution smog air+quality
pm25 pm10 fine+dust
ozone air
pollen allergy
tide high+water low+water
tide tidal
wave swell surf
sunset sunrise sun
dawn dusk twilight
sunset dusk
sunrise dawn daybreak
daylight sun
uv sunburn
earthquake quake seismic
earthquake tremor aftershock
magnitude richter
volcano volcanic eruption
avalanche landslide
wildfire bushfire forest+fire
fire wildfire
forest wildfire
eclipse moon
lunar moon
moonrise moonset
solstice equinox
aurora northern+lights
# land and energy
satellite imagery
satellite sentinel landsat
ndvi vegetation+index
crop farm agriculture field
wheat crop field harvest
farm farmer farming
livestock cattle cow
soil ground
soil ph
irrigation watering
pesticide herbicide
drought dry
harvest yield
electricity power energy
kilowatt kwh kw
grid network
solar photovoltaic
solar sun
pv photovoltaic
rooftop roof
battery storage
wind+turbine wind
gas natural+gas
renewable green
meter consumption
carbon co2 emission greenhouse footprint
warming carbon climate
recycling waste
water river
# by the wayside
roundabout junction
roadworks construction
flat+tyre puncture
"""

IMPLIED: Final = """
# where something is
address coordinates, address gps, gps of address, position of address, addresses on map > geocoding coordinates
latitude of, longitude of, coordinates of, coordinates for, put addresses, point on map > geocoding coordinates
which address, which street, nearest address, street at, coordinates street, gps address > reverse geocode address
position to address, address of position, address at point, what address is at > reverse geocode address
spelled address, address right, address complete, address correct, address wrong > address validate check
does address exist, fix address, delivery address, shipping address, customer addresses > address validate check
postcode, zip, which town, town of postcode > postal code
how high, sea level, metres above, feet above, mountain high, how steep, climb, height profile > elevation height
uphill, ascent, height difference > elevation height
near me, restaurant near, nearby restaurant, close by, around here, around the corner > place nearby local restaurant
walking distance, where eat, good pizza, good sushi, coffee near, opening hours > place nearby local restaurant
open now, open sunday, closes when, local shops, find dentist, find plumber > place nearby local restaurant
in neighbourhood, place to eat, somewhere eat > place nearby local restaurant
yelp, tripadvisor, foursquare, opentable > restaurant place
google maps, waze, openstreetmap > map route
what3words > coordinates
ip address where, ip from, geo ip, where ip, ip located, visitor country, where visitor > ip geolocation location
visitors from, country of visitor, using vpn, behind proxy, where is ip, ip belongs > ip geolocation location
city of ip > ip geolocation location
# what time it is there
what time in, local time, early call, too early, too late, time in, time there, clock there > time zone local
what time there, time difference, hours ahead, hours behind, time now in, awake, is it night > time zone local
summer time, dst, jet lag > time zone local
time in tokyo > time zone
# how to get there
drive distance, distance between, how far, far from, how long drive, by bike, by bicycle > route routing directions
fastest way, quickest way, shortest way, how to reach, cycle to, walk to, hours drive > route routing directions
directions to, turn by turn, avoid traffic, avoid motorways > route routing directions
distance between > matrix
delivery route, many stops, best order, visit customers, visit all, visiting order > tour planning delivery route
driver deliver, delivery van, which order deliver, route for drivers, several customers > tour planning delivery route
milk round, travelling salesman, stops shortest, plan deliveries > tour planning delivery route
all distances, between all, each pair, every pair, travel times between, distances from > distance matrix
many origins > distance matrix
within minutes, minutes drive, within an hour, in half an hour, in 30 minutes > reachable isochrone area
in 20 minutes, in 15 minutes, how far get, commute under, commutable, catchment > reachable isochrone area
catchment area, drive time area, within reach, minutes walk > reachable isochrone area
# goods on the way
parcel where, package where, where is my order, where's my order, where parcel > track tracking parcel delivery
where package, order arrived, still not arrived, not arrived, hasn't arrived > track tracking parcel delivery
shipment where, package arrive, parcel arrive, when will arrive, when arrive > track tracking parcel delivery
delivery late, lost parcel, lost package, tracking number, dhl, fedex, usps, hermes > track tracking parcel delivery
royal mail > track tracking parcel delivery
package deliver > parcel
courier price, courier cheap, cheapest way to send, cost to send, send package > ship shipping carrier freight rate
send parcel, cost of sending, how much to ship, ship abroad, ship package > ship shipping carrier freight rate
ship a box, post package, parcel cost, send box, postage parcel, which carrier > ship shipping carrier freight rate
ship position, container ship, ship now, where ship, where is the ship, cruise ship where > vessel ship track position
ship arrive, freighter, tanker, marinetraffic, ferry where, cargo ship, on the sea > vessel ship track position
at sea > vessel ship track position
boat > vessel
# by air, rail and road
cheap flight, fly to, flights to, fly from, plane ticket, air ticket, airfare, skyscanner, kayak > flight search
expedia, direct flight > flight search
plane on time, gate, flight late, flight delayed, flight cancelled, plane landed, has landed > flight status
plane late, pick up from airport, pick up airport, flight land, flightradar, flight arrive, plane left > flight status
room for, stay in, where stay, where to stay, place to stay, place to sleep, somewhere to sleep > hotel accommodation
sleep in, nights in, two nights, three nights, bed and breakfast, bnb, airbnb, booking.com > hotel accommodation
hostels, overnight stay, weekend in > hotel accommodation
train times, next train, last train, trains to, train from, change trains, deutsche bahn > timetable railway train
amtrak, which platform, eurostar > timetable railway train
car hire, rent car, rent van, pick up car, hertz, sixt, avis, car for week, car at airport > car rental
visa need, need visa, visa for, enter country, allowed to enter, entry rules, papers to enter > visa requirement entry
passport valid enough, passport months, which documents to enter, visa free > visa requirement entry
stay without visa, papers need travel > visa requirement entry
safe travel, safe country, safe to travel, dangerous country, dangerous to go > travel advice safety warning
is it safe, travel warning, go to safely, vaccinations for, vaccinated, kidnapping > travel advice safety warning
days in, four days, days see, one day in, weekend trip, honeymoon, city break > itinerary trip sightseeing plan
plan holiday, plan vacation, plan my trip, plan trip, tourist program, road trip > itinerary trip sightseeing plan
vacation > trip travel
uber, lyft, taxi > ride car
# cars
car history, had accident, accident before, was in accident, accidents car, chassis number > vin vehicle history
carfax, recalled, recall car, vehicle identification, 17 characters, car really, stolen car > vin vehicle history
engine car has > vin vehicle history
number plate, licence plate, license plate > vehicle
sell car, ask for km, car km, car mileage, car worth, what car worth, value of car, price for car > car price value
price for my car, asking price car, used car, old car, blue book, trade in, second hand car > car price value
too expensive car, fair price car, pay for used > car price value
charging car, electric car, charge electric, tesla charge, plug in, supercharger, recharge > charge charging station
ev charge, charger near, where charge, charge my > charge charging station
gas prices, fill up, petrol, cheap fuel, cheapest fuel, cheap diesel, fuel near, refuel > fuel petrol price
gas station, price of gas > fuel petrol price
# weather
warm, hot, cold, chilly, degrees, sweltering, freezing > temperature weather
rain, accuweather > weather forecast
snow > weather
sunny > weather sun
umbrella, raincoat, jacket, barbecue, bbq, picnic, wash hung, laundry out, hang laundry > rain weather forecast
dry tomorrow, going to rain, get wet, stay dry, outdoor tomorrow, garden party, beach weather > rain weather forecast
wear tomorrow > rain weather forecast
weather was, weather last, did it rain, was it raining, rained on, rained, how warm was > weather history past
how cold was, weather on day, years ago weather, weather past, weather back, snowed, it rain on > weather history past
hurricane, tornado, storm coming, dangerous weather, flood danger, storm near, heat warning > storm warning severe
thunderstorm, extreme weather, cyclone, typhoon, blizzard, hail > storm warning severe
polluted, smog, fresh air, air clean, hay fever, asthma, air bad, jog outside, run outside > air quality pollution
pollen, sneezing, air healthy, fine particles, pm2.5 > air quality pollution
high tide, low tide, sea in, sea out, water high, water low, mudflat, walk on beach, water at harbour > tide water
tide, ebb, harbour depth, launch boat > tide water
when sun, golden hour, gets dark, when dark, it dark, gets light, how long light, daylight hours > sunrise sunset sun
sun goes down, sun comes up, sun up, sun down, before dark, first light, blue hour, dusk > sunrise sunset sun
sunscreen, sunburn > uv sun
full moon, new moon, moon tonight, waxing, waning, werewolf, moon look > moon phase
volcano, tsunami, quake, ground shake, ground shook, felt shaking, shook, epicentre, epicenter > earthquake
did it shake > earthquake
forest burn, burning near, bush fire, fires near, danger fire, campfire, brush fire, on fire > wildfire fire
roof electricity, panels roof, solar worth, solar panels, solar roof, panels produce > solar yield photovoltaic
panels bring, sun roof, pay off solar, electricity from sun, photovoltaics > solar yield photovoltaic
from space, from above, seen from above, from orbit, aerial photo, overhead picture, bird's eye > satellite image
view from above, current picture of area > satellite image
doing badly, field health, plants field, crops doing, crops healthy, wheat field > crop vegetation monitoring
corn field, vineyard, dry spots, field dry, harvest expect, crops stressed > crop vegetation monitoring
which part field, farmland, plants stressed > crop vegetation monitoring
cheap electricity, power cheap, power cheapest, electricity cheapest, run washing machine > electricity price
washing machine, dishwasher, charge at night, cost kilowatt, spot price, kwh price, power price > electricity price
price of power, electricity cost, electricity tonight > electricity price
# things carried, seen and felt
turned up, not turned up, never arrived, my box, my order > track parcel delivery
drop offs, deliveries van, calls to make > tour delivery route
brolly, wellies, soaked > rain weather forecast
asthmatic, wheezing, coughing > air quality pollution
walk across sand, causeway, sandbank, tidal island, walk to island, sand island > tide low water
light enough, too dark to > sunset sun light
cabin burn, bush burn > wildfire fire
bmw, audi, toyota, honda, volkswagen, vw, ford, renault, nissan, hyundai, kia, volvo, peugeot, fiat > car vehicle
tesla > electric car
drive tesla, tesla near > charge charging
dishwasher, tumble dryer, heat pump > electricity power
planet bad > carbon climate
soil sample, soil acid > soil ph
"""
