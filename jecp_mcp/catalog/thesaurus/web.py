"""Words of the web and of reaching people: searching, reading, watching, ranking, selling, writing to them."""

from __future__ import annotations

from typing import Final

ALIKE: Final = """
# sites and pages
website site web page
website homepage web+presence
internet web online
browser page
browser chrome firefox safari
url link hyperlink
shorten short tinyurl
redirect expand follow resolve
domain hostname
domain web+address
whois domain+owner
rdap whois
hosting server
sitemap crawl
paywall article
cookie cookies consent
# finding and fetching
google web+search search+engine search
bing web+search search
duckduckgo web+search
serp search+results
scrape scraping extract
scraper scraping
harvest scrape
crawl spider
crawler crawl
fetch download
fetch retrieve
read fetch
news headline article
headlines news
rss news
rss feed atom
newspaper news press
journalist journalism press
breaking news
archive wayback history
monitor watch track
monitoring surveillance
alert notification warning
changed change update
# how a site does
website+down uptime reachable outage
down outage offline uptime unreachable reachable
reach reachable uptime
status availability
latency response+time
speed performance fast slow load+time
lighthouse performance
sluggish slow
rank ranking seo
ranking position
keyword term
serp ranking
backlink link+site
referrer backlink
inbound backlink
authority reputation
accessibility wcag alt+text
disability disabled disabilities accessibility
barrier barriers accessibility
traffic visitors
visitor user
analytics statistics traffic
# networks of people
social instagram twitter facebook linkedin tiktok youtube
social snapchat pinterest reddit mastodon bluesky threads
social network
follower social
follower subscriber
influencer follower account profile
hashtag tag
tweet post
post caption
comment reply
handle username
viral trending
community forum
# markets and wares
marketing advertising
marketing campaign promotion
ad advertisement advert
advertisement commercial
banner ad
audience target
newsletter email
lead prospect
lead leads+to destination
crm contacts customers
customer client buyer
customer consumer shopper
buyer purchaser
shop store ecommerce
ecommerce online+shop webshop
retailer shop merchant
merchant vendor seller
seller supplier vendor
product item article goods
product merchandise
catalogue catalog
sku article+number
stock inventory
review rating
review testimonial
rating stars
survey poll questionnaire
competitor rival
compare comparison
cheap cheapest lowest affordable
bargain deal discount cheap
coupon voucher discount promo
sale offer discount
price cost quote rate fare fee worth value expensive
basket cart
return refund
refund chargeback
loyalty rewards
# writing to people
email mail inbox
mailing email
mailbox email
email e+mail
gmail outlook email
smtp imap email
bounced email
bounce verify
deliverable verify deliverability
undeliverable bounce
disposable throwaway
recipient addressee
subscribe unsubscribe
sms text+message
texting sms
whatsapp sms
whatsapp telegram signal messenger
message notify
messages texts
phone telephone mobile cell call
landline phone
dial call phone
ring call
carrier phone
carrier operator
voicemail call
robocall call
ivr call
callback call
prefix dialling
fax telefax
letter post postal
mail post postal
snail+mail letter
stamp postage
postcard card
send deliver dispatch
send transmit
notify notification push alert
reminder notification
contacts addresses
"""

IMPLIED: Final = """
# finding things on the web
google, bing, look online, search online, look internet, find online, find internet, look up online > search web
websites about, sites about, pages about > search web
wikipedia > encyclopedia facts
in the news, newspapers say, press about, latest about, reported about, what happened, articles about > news search
press coverage, journalists wrote, current events, headlines > news search
# reading and gathering pages
website text, article page, page text, text of page, text from page, read page, read website > fetch page read
read article, article without ads, without ads, without adverts, only text page, text of article > fetch page read
page as markdown, content of url, what page says, web article, blog post text, link contents > fetch page read
pages website, all pages, whole site, entire website, entire site, every page site, subpages > crawl site
whole website, download website, all urls, sitemap > crawl site
prices from page, prices from website, table from website, table from page > scrape extract web data
list from website, list from page, fields from page, structured page, data from website > scrape extract web data
data from page, product list website, pull data website, grab data, harvest data > scrape extract web data
site into spreadsheet, page into json, copy from website > scrape extract web data
scrapy, selenium, beautifulsoup, puppeteer, playwright > scrape web browser
page changed, watch page, watch website, website changes, site changes, when page changes > monitor page changes
alert when page, back in stock, keep an eye, keep eye page, notify change, competitor changes > monitor page changes
# links
safe link open, where link goes, where link leads, link goes, link leads, leads to > expand link redirect url
behind link, behind short link, tinyurl, without clicking, real address link > expand link redirect url
long link, long url, link too long, shorter link, short url, link for sms, link for poster > shorten link url
count clicks, how many clicked, clicks link > shorten link url
# names of sites
domain available, domain free, domain taken, domain still, name still free, name taken > domain availability check
com free, register domain, buy domain, domain name free, web address free > domain availability check
web address taken > domain availability check
domain still > availability register
godaddy, namecheap > domain
domain owner, domain own, who owns domain, who owns website, who owns site, who registered > whois registration domain
whose website, whose site, whose domain, who behind website, website belongs, site belongs > whois registration domain
domain expires, behind domain, owner of website, owner site > whois registration domain
mx record, txt record, cname, nameserver, name server, propagated, resolves to, resolver > dns lookup records
mail server of > dns lookup records
padlock, https warning, ssl expire, certificate expires, certificate run out, certificate renew > tls ssl certificate
connection not private, insecure connection, certificate of server, security warning browser > tls ssl certificate
lets encrypt > tls ssl certificate
# up, fast, found
ping, only me, reach site, site up, site down, site working, website down, website working > uptime reachable
website up, server down, page down, server answer, server running, server responds, can't reach > uptime reachable
not loading, doesn't load, won't load, site dead, page unreachable, site gone, pingdom > uptime reachable
downdetector > uptime reachable
slow page, page load, site slow, website slow, loads slowly, takes ages load > speed performance audit
takes long load, takes forever, loading time, core web vitals, pagespeed, lighthouse score > speed performance audit
google position, page google, rank google, found on google, not found google, google finds > seo ranking audit
show up google, appear google, higher on google, first page google, top of google > seo ranking audit
search engines find, better google, visibility google, search engine ranking > seo ranking audit
semrush, ahrefs > seo keyword backlinks
links site, link to site, linking to, links to my, who links, websites link, points to my > backlink link
ad volume, search volume, people search, often searched, search for most, how often searched > keyword volume
people google, searched on google, terms search, words people search, what people search > keyword volume
google searches, people type, seo words > keyword volume
screen reader, blind, wheelchair, colour blind, disabled visitors, people with disabilities > accessibility
barrier free, blind people, blind visitors > accessibility
google analytics > analytics traffic
# networks
how many followers, followers of, follower count, instagram profile, instagram account > social profile
twitter account, tiktok account, youtube channel, account on instagram, latest posts, influencer > social profile
linkedin > social profile post
caption instagram, tweet, instagram text, write tweet, facebook post, linkedin post > social post write
post for facebook, post for instagram, post for linkedin, text for instagram, hashtags > social post write
social networks post, announce on instagram, announce facebook > social post write
# buying and selling
cheapest, best price, where buy, where cheapest, lowest price, cheaper elsewhere > price compare shop
cheaper somewhere, best deal, good deal, save money buying, price elsewhere, price online > price compare shop
prices shops > price compare shop
amazon, ebay, walmart, etsy, aliexpress > shop product price
shopify, woocommerce, magento > shop ecommerce
worth buying, good buy, people think, people say product, owners say, buyers, buyers say > review product
customers say, any good, is it good, experiences with, complaints about, complain about > review product
other customers, what customers, trustpilot, disappointed > review product
yelp, tripadvisor > review restaurant place
# mail, text, call, post
behind email, who email, who writes me, belongs email, whose email, who is behind address > person enrichment
who is this person, more about person, know about contact, where works, job title of > person enrichment
know about lead, background on, background of person > person enrichment
clearbit, zoominfo, crunchbase, about a company, about company, know about company > company enrichment
size of company, how many employees, which industry, what technology, funding of > company enrichment
what company does, account research, prospect company, firm profile > company enrichment
email someone, contact details, reach person, someone's email, email address of, find address of manager > email find
address of boss, work email, business email, mail of person, contact at company, contact person > email find
hunter.io > email find
email valid, email exist, email real, address exists, will bounce, bounces > email verify verification
email list clean, clean mailing list, dead addresses, undeliverable, mail come back > email verify verification
come back undelivered, disposable address, made up email, does mailbox, signups fake > email verify verification
wrong emails > email verify verification
cold mail, mailchimp, sendgrid, mailgun, mailjet > email send
write mail to, shoot email, email to customer, email with attachment, order confirmation > send email
confirmation mail, welcome mail > send email
text message, text someone, text phone, text him, text her, short message, message to phone > sms send
message on phone, message mobile, drop text, otp, one time code, verification code > sms send
twilio > sms call phone
phone number valid, number valid, number exists, number real, mobile or landline > phone check lookup number
landline or mobile, who called, which network, which carrier, network operator > phone check lookup number
whose number, unknown number, strange number, number works, number correct, missed call > phone check lookup number
ring someone, ring me, call someone, phone someone, call customers, call up, ring up, give call > call phone voice
call patients, wake up call, spoken message, automatic call, automated call, telephone message > call phone voice
phone him, phone her, ring him, call restaurant > call phone voice
mail letter, no printer, paper printer, registered letter, real letter, paper letter > letter post print postal
physical letter, letter box, letterbox, postbox, post a letter, letter to authority > letter post print postal
envelope stamp, post office without, without post office > letter post print postal
snail mail > letter postal
holiday greetings, greeting card, picture card, card to grandma, card by post, holiday card > postcard
fax, still uses fax, fax machine, faxes only, only accepts fax > fax telefax
phone pops, popup phone, pop up phone, notification phone, alert phone, ping phone, app users > push notification
notify users, lock screen, message app users, fcm, apns > push notification
# dates with others
time everyone, meeting time, everybody free, everyone free, free slot, find slot, common slot > schedule meeting
common date, doodle, calendly, invite everybody, set up meeting, arrange meeting, set meeting > schedule meeting
fix meeting, get together, arrange call, suits everyone, calendar > schedule meeting
# who answers for a name
who is behind, who stands behind > owner registration
mail server > dns mx records
bit ly, t co, goo gl > expand link short
# what people want of shops
send back > return label
phone dead, no longer in service > phone check
"""
