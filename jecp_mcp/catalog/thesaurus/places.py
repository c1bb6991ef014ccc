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
lat latitude
lng lon longitude
coordinates position gps
geocode geocoding
gps navigation
postcode zip+code postal+code zipcode plz
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
ship vessel boat
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
rental rent hire
visa passport+entry
passport visa
embassy visa
embassy consulate
immigration entry
citizen national nationality
vaccine vaccination
safety security safe
warning advisory
# cars
car vehicle auto automobile
car+rental car+hire
motorbike motorcycle
used second+hand
used secondhand pre+owned
vin vehicle+identification
chassis vin
make model
recall recalls
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
flood flooding
flood storm
heatwave heat
freezing frost
frost ice
snow ski weather
humidity humid
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
fertiliser fertilizer
pesticide herbicide
drought dry
harvest yield
electricity power energy
kilowatt kwh kw
grid network
solar photovoltaic
solar sun
pv photovoltaic
panel panels
rooftop roof
battery storage
wind+turbine wind
heating heat
gas natural+gas
renewable green
meter consumption
carbon co2 emission greenhouse footprint
carbon climate
warming carbon climate
recycling waste
water river
"""

IMPLIED: Final = """
# where something is
address coordinates, coordinates address, address gps, gps of address, position of address, addresses on map, latitude of, longitude of, coordinates of, coordinates for, put addresses, point on map > geocoding coordinates
which address, which street, nearest address, street at, coordinates street, gps address, position to address, address of position, address at point, what address is at, where was i > reverse geocode address
spelled address, address right, address complete, address correct, address wrong, wrong addresses, wrong address, does address exist, fix address, correct address, delivery address, shipping address, customer addresses, complete address > address validate check
postcode, zip, which town, town of postcode > postal code
how high, sea level, metres above, feet above, mountain high, how steep, climb, height profile, uphill, ascent, height difference > elevation height
near me, restaurant near, nearby restaurant, close by, around here, around the corner, walking distance, where eat, good pizza, good sushi, coffee near, opening hours, open now, open sunday, closes when, local shops, find dentist, find plumber, in neighbourhood, place to eat, somewhere eat, dinner tonight > place nearby local restaurant
yelp, tripadvisor, foursquare, opentable > restaurant place
google maps, waze, openstreetmap > map route
what3words > coordinates
ip address where, ip from, geo ip, where ip, ip located, visitor country, where visitor, where visitors, visitors from, country of visitor, visitor from, using vpn, behind proxy, where is ip, ip belongs, city of ip > ip geolocation location
# what time it is there
what time in, local time, early call, too early, too late, time in, time there, clock there, what time there, time difference, hours ahead, hours behind, time now in, awake, is it night, summer time, dst, jet lag > time zone local
time in tokyo > time zone
# how to get there
drive distance, distance between, how far, far from, how long drive, how get, get from, drive to, way to, by car, by bike, by bicycle, fastest way, quickest way, shortest way, how to reach, cycle to, walk to, hours drive, directions to, turn by turn, avoid traffic, avoid motorways > route routing directions
distance between > matrix
delivery route, many stops, best order, order of stops, visit customers, visit all, visiting order, drivers, driver deliver, delivery van, which order deliver, route for drivers, several customers, milk round, travelling salesman, traveling salesman, stops shortest, plan deliveries, rounds > tour planning delivery route
all distances, between all, each pair, every pair, travel times between, distances from, from each to each, from all to all, many origins > distance matrix
within minutes, minutes drive, within an hour, in half an hour, in 30 minutes, in 20 minutes, in 15 minutes, how far get, commute under, commutable, catchment, catchment area, drive time area, within reach, minutes walk > reachable isochrone area
# goods on the way
parcel where, package where, where is my order, where's my order, where parcel, where package, order arrived, still not arrived, not arrived, hasn't arrived, has not come, shipment where, package arrive, parcel arrive, when will arrive, when arrive, delivery late, lost parcel, lost package, tracking number, dhl, ups, fedex, usps, hermes, royal mail > track tracking parcel delivery
package deliver > parcel
courier price, courier cheap, cheapest way to send, cost to send, send package, send parcel, cost of sending, how much to ship, ship abroad, ship package, ship a box, post package, parcel cost, parcel to, send box, postage parcel, which carrier > ship shipping carrier freight rate
ship position, container ship, ship now, where ship, where is the ship, cruise ship where, ship arrive, freighter, tanker, marinetraffic, ferry where, cargo ship, on the sea, at sea > vessel ship track position
boat > vessel
# by air, rail and road
cheap flight, cheap flights, fly to, flights to, fly from, plane ticket, plane tickets, air ticket, airfare, skyscanner, kayak, expedia, nonstop, direct flight, fly in > flight search
plane on time, gate, flight late, flight delayed, flight cancelled, plane landed, landed, plane late, plane land, pick up from airport, pick up airport, flight land, flightradar, flight arrive, has taken off, plane left > flight status
room for, stay in, where stay, where to stay, place to stay, place to sleep, somewhere to sleep, sleep in, nights in, two nights, three nights, bed and breakfast, bnb, airbnb, booking.com, hostels, overnight stay, weekend in > hotel accommodation
train times, next train, last train, trains to, by train, train from, train to, change trains, deutsche bahn, amtrak, which platform, connections to, eurostar > timetable railway train
car hire, hire car, rent car, rent van, pick up car, hertz, sixt, avis, car for week, car at airport, wheels > car rental
visa need, need visa, visa for, enter country, allowed to enter, entry rules, papers to enter, passport valid enough, passport months, which documents to enter, visa free, stay without visa, papers need travel > visa requirement entry
safe travel, safe country, safe to travel, dangerous country, dangerous to go, is it safe, travel warning, go to safely, vaccinations for, vaccinated, shots for, shots before, kidnapping, unrest, war > travel advice safety warning
things see, days in, four days, days see, what see, what to do in, things to do in, must see, must-see, sights, one day in, weekend trip, honeymoon, city break, plan holiday, plan vacation, plan my trip, plan trip, tourist program, road trip > itinerary trip sightseeing plan
vacation > trip travel
uber, lyft, taxi > ride car
# cars
car history, had accident, accident before, was in accident, accidents car, chassis number, carfax, recalled, recall car, vehicle identification, 17 characters, car really, stolen car, engine car has > vin vehicle history
plate > vehicle
sell car, ask for km, car km, car mileage, car worth, what car worth, value of car, price for car, price for my car, asking price car, used car, old car, blue book, trade in, second hand car, too expensive car, fair price car, pay for used > used car price value
charging car, electric car, charge electric, tesla charge, plug in, supercharger, recharge, ev charge, charger near, where charge, charge my > charge charging station
gas prices, fill up, petrol, cheap fuel, cheapest fuel, cheap diesel, fuel near, tank, refuel, gas station, price of gas, pump > fuel petrol price
# weather
warm > temperature weather
hot > temperature weather
cold > temperature weather
chilly, degrees, sweltering, freezing > temperature weather
rain > weather forecast
snow > weather
sunny > weather sun
umbrella, raincoat, jacket, barbecue, bbq, picnic, wash hung, laundry out, hang laundry, dry tomorrow, going to rain, get wet, stay dry, outdoor tomorrow, garden party, beach weather, wear tomorrow, what wear > rain weather forecast
accuweather > weather forecast
weather was, weather last, did it rain, was it raining, rained on, rained, how warm was, how cold was, temperature on, weather on day, years ago weather, weather years ago, weather past, weather back, snowed, it rain on, hot was > weather history past
hurricane, tornado, storm coming, dangerous weather, flood danger, storm near, heat warning, thunderstorm, extreme weather, cyclone, typhoon, blizzard, hail > storm warning severe
polluted, smog, fresh air, breathe, air clean, clean air, hay fever, asthma, air bad, dust air, jog outside, run outside, pollen, sneezing, sneeze, allergies, air healthy, fine particles, pm2.5 > air quality pollution
high tide, low tide, sea in, sea out, water high, water low, mudflat, walk on beach, water at harbour, tide, ebb, harbour depth, launch boat > tide water
when sun, golden hour, gets dark, get dark, when dark, it dark, light until, gets light, get light, how long light, daylight hours, sun goes down, sun comes up, sun up, sun down, before dark, first light, blue hour, dusk > sunrise sunset sun
sunscreen, sunburn > uv sun
full moon, new moon, moon tonight, waxing, waning, werewolf, moon look > moon phase
volcano, tsunami, quake, ground shake, ground shook, shaking, felt shaking, shook, epicentre, epicenter, did it shake > earthquake
forest burn, forest burning, smoke, burning near, bush fire, fires near, danger fire, campfire, fire danger, brush fire, on fire > wildfire fire
roof electricity, panels roof, solar worth, solar panels, solar roof, panels produce, panels bring, sun roof, pay off solar, electricity from sun, photovoltaics > solar yield photovoltaic
from space, from above, seen from above, from orbit, aerial photo, overhead picture, bird's eye, view from above, current picture of area > satellite image
doing badly, field health, plants field, crops doing, crops healthy, wheat field, corn field, vineyard, dry spots, field dry, harvest expect, crops stressed, which part field, farmland, plants stressed > crop vegetation monitoring
cheap electricity, power cheap, power cheapest, electricity cheapest, run washing machine, washing machine, dishwasher, charge at night, cost kilowatt, spot price, kwh price, power price, price of power, electricity cost, electricity tonight > electricity price
"""
