"""Words of pictures: photographs, drawings, design, charts, codes to scan, what a camera sees."""

from __future__ import annotations

from typing import Final

ALIKE: Final = """
# kinds of pictures
image picture photo photograph img pic
image images pictures photos pics
snap snapshot photo
selfie face photo
portrait face
portrait headshot
headshot selfie
sticker image
texture image
panorama image
illustration picture drawing
drawing sketch doodle
painting artwork art
wallpaper background image
banner image
poster flyer
icon favicon ico
avatar profile+picture
emoji emoticon smiley
jpg jpeg jfif
heic heif
vectorise vector svg trace
raster bitmap png
psd photoshop
raw dng cr2 nef
gif animation animated
webp avif
cartoon comic anime
negative negatives film
# changing pictures
resize scale shrink enlarge
enlarge upscale bigger
crop cut trim
aspect+ratio crop
square crop
thumbnail resize crop
super+resolution upscale
sharpen enhance upscale
sharpness upscale
blurry upscale
blurred blurry unsharp fuzzy+picture
pixelated pixelation upscale
grainy noise
brightness enhance
brightness exposure contrast
dark underexposed
denoise clean
retouch enhance
retouch airbrush
restore repair fix
scratched restore
faded restore
torn restore
creased restore
wrinkled restore
stained restore
damaged restore
yellowed faded
colourise colour
sepia colourise
black+white colourise
grayscale monochrome
grayscale greyscale
monochrome black+white
straighten rotate
tilted rotate
crooked tilted
flip rotate
mirror rotate
sideways rotate
background backdrop
cutout background
isolate background
transparent background alpha
green+screen background
blur pixelate hide
anonymise blur
plates blur
filter effect
inpaint inpainting retouch
swap replace
collage montage
mosaic collage
grid collage
combine montage
# made pictures
draw plot render
design draw
generate imagine
paint generate
dall+e generate+image
midjourney generate+image
text+image generation
sketch mockup design
mockup wireframe prototype
logo brand
logo emblem
crest logo
monogram logo
meme caption
palette colour
hex colour
colour shade hue
contrast accessibility
font typeface
font typography
gradient colour
3d three+dimensional
# charts and diagrams
chart graph plot
chart visualisation visualise
bar+chart chart
line+graph chart
pie+chart chart
sankey chart
histogram chart
scatter chart
heatmap heat+map
infographic chart
dashboard chart report
flowchart flow+chart
whiteboard diagram
uml diagram
mermaid diagram flowchart
plantuml diagram
graphviz diagram
architecture diagram
sequence diagram
er+diagram diagram
mind+map mindmap
orgchart organigram organisation+chart
gantt timeline
tree hierarchy
# what a picture shows
recognise identify detect
identify identification recognise recognition
detect detection spot
bounding+boxes detect
count tally
alt+text caption
alt+text description
describe caption
describe description
face faces facial
species plant animal
mushroom plant
leaf plant
plate meal
violence moderation
moderate moderation nsfw nudity unsafe inappropriate
nude naked nudity
porn pornography nudity
gore violence
explicit nsfw
metadata exif iptc xmp
geotag exif
geotag gps
camera lens
exposure shutter aperture
duplicates+photo reverse+search
lookalike similar
# codes to scan
qr qrcode
barcode ean upc
barcode gtin
barcode isbn
datamatrix data+matrix
decode read
# pages as pictures
screenshot snapshot capture
screenshot screengrab screen+shot
webpage screenshot
satellite aerial space
aerial drone
"""

IMPLIED: Final = """
# formats
iphone photo, iphone picture, apple photos > heic
favicon, browser tab icon, tab icon > icon ico
laser cutter, plotter cutter, cricut, scale without losing > svg vector
lossless > png
midjourney, dalle, stable diffusion, imagen > generate image
canva, figma, illustrator > design
lightroom, gimp > edit image photo
# bigger, smaller, straighter
square instagram, profile picture size, fit frame, cut edges, cut off edges, portrait format, landscape format > crop
aspect > crop
crooked photo, tilted horizon, horizon, wrong way round, lying on side, on its side > rotate straighten
tiny picture, small picture, low resolution, low res, print large, poster size, billboard, big print > upscale enlarge
pixelated, pixelly, pixely > upscale enlarge
high resolution, hi res > upscale resolution
blurry photo, blurry picture, out of focus, sharper > upscale sharpen enhance
too dark photo, too bright photo, photo dark > enhance brightness
smaller photos, photo size, reduce photo > compress resize
# mending
torn photo, torn picture, faded photo, faded picture, damaged photo, scratched photo, creased photo > restore photo
water damage, old print, old family photo, wedding photo old, grandparents photo, grandma photo > restore photo
grandfather photo, granny photo, shoebox photos, attic > restore photo
colour old, black white colour, what colours, bring colour, bring to life > colourise
person out of photo, tourist, photobomber, erase object, remove object, ex boyfriend > remove inpaint edit
ex girlfriend, get rid of person > remove inpaint edit
# backgrounds
product photo white, white background, plain background, no background > background removal transparent
background gone, background away, without background, knock out background > background removal transparent
cutting out person, catalogue photo > background removal transparent
shop photo, packshot, product shot > background removal product
passport photo > background crop
# privacy
hide faces, faces hidden, unrecognisable, unrecognizable, bystanders, passers by, passersby > blur faces anonymise
children faces, kids faces, cover faces, blank faces, faces photo hide > blur faces anonymise
number plates photo, licence plates photo > blur anonymise
where photo was taken, where picture was taken, when photo taken, took picture, which camera > metadata exif
what camera, camera settings, shutter speed, aperture > metadata exif
photo location > metadata exif gps
location out of photo, location from photo, remove location, strip location, strip gps > metadata exif removal
reveal where live, hide location, post photo home > metadata exif removal
# what is on it
things picture, things photo, objects photo, objects picture, how many cars, how many people photo > object detection
count people, count cars, count objects, count animals > object detection
what picture, describe photo, describe picture, picture in words, photo in words > describe caption alternative text
explain picture, caption photo, blind users, visually impaired, alt text > describe caption alternative text
rude pictures, dirty pictures, naked, porn, nude, indecent, safe for work, offensive image > image moderation nudity
offensive picture, user uploads, uploaded pictures > image moderation nudity
picture internet, picture appear, picture online, stolen photo, stole photo, used my photo > reverse search image
copies of photo, photo used elsewhere, catfish, fake profile picture, dating profile photo > reverse search image
same picture, picture comes, image source, picture source, source of picture, picture from > reverse search image
tineye, google lens > reverse search image identify
what plant, which plant, flower called, name of flower, weed garden, houseplant > plant identification identify
what tree, which tree, leaf photo, wildflower, what flower, which flower, poison ivy > plant identification identify
growing garden > plant identification identify
mushroom photo, mushroom edible > identification plant mushroom
what bird, which bird, bird photo, bird song, birdsong > bird identification species
what insect, what bug, spider bite, which spider, what spider > pest insect identification
what dog, which breed, dog breed, cat breed > breed identification animal
photo of lunch, photo of plate, photo of meal, photo of food, picture of meal, picture of food > calories meal photo
snap of dinner, lunch photo, dinner photo, plate photo > calories meal photo
how old person photo, age photo, guess age > face age
two faces, face match, selfie match > face comparison verification identity
read meter, meter photo > ocr reading
# codes
scan code, scan product, code photo, product code photo, read qr, decode qr, what qr > barcode reading decode
qr leads > barcode reading decode
bars products, supermarket code, bar code > barcode
qr, wifi password guests, wifi guests, scan menu, table menu, guests scan > qrcode code
wifi > qr
link poster > qr code
# pages
picture of page, picture of site, picture of website, picture of webpage, what page looks > screenshot page
what site looks, how page looks, how site looks, image of webpage, full page capture > screenshot page
visual proof page > screenshot page
# made for one
draw picture, picture of, paint picture, drawing of, illustrate, illustration for, cover art > generate image
album cover, book cover, artwork for, concept art, prompt picture > generate image
logo company, logo shop, logo startup, logo firm, logo cafe, logo bakery, company sign, brand mark > logo design
brandmark > logo design
one picture several photos, several photos one, photos one page, photos on one sheet, contact sheet > collage
photo wall, holiday photos one > collage
# charts
chart, graph, trend line, visual numbers, numbers as picture, pie chart, bar chart > chart plot
flowchart, boxes arrows, boxes and arrows, org chart, decision tree picture, who reports > diagram
directions invitation > map
# wear and tear
ripped photo, ripped picture, mouldy photo, bent photo, cracked photo, crumpled photo > restore photo
backdrop, knock out backdrop > background removal
mole on skin, skin spot, rash photo, birthmark > skin lesion dermatology
grown up older, look older, look younger > face age
"""
