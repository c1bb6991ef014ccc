"""Words of documents: converting, assembling, reading, signing, printing."""

from __future__ import annotations

from typing import Final

ALIKE: Final = """
# kinds of documents
document doc paper file
word docx
pdf acrobat
spreadsheet table sheet xlsx excel workbook
spreadsheets tables
powerpoint pptx slides presentation slideshow
slide deck pptx
opendocument odt libreoffice openoffice
odt ods odp opendocument
rtf rich+text
latex tex
markdown md
ebook epub kindle mobi
html webpage web+page
csv comma
csv tsv delimited tab+separated
tiff tif
text txt plain+text
scan scanned scanner
letter letterhead
brochure leaflet flyer pamphlet booklet
poster placard
manual handbook guide instructions
questionnaire form survey
certificate diploma award
diploma degree certificate
resume cv curriculum
resume cv vitae lebenslauf
report dossier
memo memorandum note
agenda minutes
minutes transcript
template boilerplate
page pages sheet
chapter section
heading title headline
header footer
margin layout
index contents toc
table+contents toc
bookmark bookmarks outline
# converting
convert conversion transform export turn change format
convert transcode reencode
zip unzip rar 7z tar archive
archive backup
import upload
export download
# assembling
merge join combine concatenate together
append merge
attach merge
assemble merge collate
stitch merge join
split cut extract separate divide
chapters split
pages split
rearrange reorder sort
rotate turn orientation
compress shrink smaller reduce size+down
compress optimise
lighter compress
megabytes compress
mb megabyte megabytes
flatten rasterise
number numbering paginate pagination
# locking, hiding, stamping
protect lock encrypt
encrypt password
password passphrase
password passcode pin
permissions password
unlock decrypt
unprotect unlock
redact anonymise black+out censor
redact sanitise
watermark stamp
stamp seal
sign esign signature esignature
signatory signer signature
initial initials sign
# reading
ocr scan recognise
digitise scan ocr
handwriting handwritten cursive
handwriting manuscript
scribble scrawl handwriting
extract tables+from
till+receipt receipt
identity passport id+card
mrz passport
driving+licence identity
visiting+card business+card
vcard contact business+card
statement bank+statement
form fields
acroform form
compare difference diff changed changes
tracked+changes compare
versions compare diff
revision version
label sticker
envelope letter
print printer printing
fill complete
# at the office
photocopy scan
folder binder
signoff signature
footnotes endnotes
"""

IMPLIED: Final = """
# what a document is to become
kindle > ebook
cv > resume
docusign, hellosign > electronic signature sign
photoshop > psd image
keynote > presentation
acrobat > pdf
onenote, evernote > notes markdown
rasterize > png convert
print pdf, save pdf, webpage pdf > pdf convert
editable pdf > pdf word docx convert
open pages, can't open, won't open, cannot open, unable open, wrong format, different format > convert conversion
file format > convert conversion
ereader, e-reader, kobo, tolino, nook > ebook epub
read phone ebook > epub convert
google docs > word docx
google sheets > excel csv spreadsheet
numbers apple > spreadsheet excel
overleaf > latex pdf
slides handout > powerpoint pdf
comma separated > csv
readable computer, machine readable > extract structured
# pages in and out of one file
one pdf, single pdf, one document, single document, several pdfs, many pdfs, pdfs into one, two pdfs > merge combine
stick together, glue together, staple together > merge combine
few pages, some pages, certain pages, only page, single page, first page, last page > split extract pages
every page separate > split extract pages
pull page > split extract
too big email, too large email, too big attach, too large attach, too big upload > compress reduce size
too large upload, too large, too big, attachment limit, size limit, upload limit > compress reduce size
smaller pdf, shrink pdf, reduce pdf > compress
upside down, sideways > rotate
wrong order > rearrange reorder
blank pages > remove pages
# locking and hiding
pdf password know, forgot password pdf > remove unlock
open locked, locked pdf, locked document, protected pdf > remove password unlock decrypt
nobody open, no one open, only open, stop opening > protect password encrypt
password on pdf, password document, password protect > protect encrypt
black out, cross out, hide names, hide personal > redact anonymise
confidential written across, confidential across, draft across, across page, across every page > watermark stamp
secret passages, sensitive parts, sensitive passages > redact
# signatures and forms
sign online, sign electronically, sign digitally, sign remotely, signed by both > electronic signature
both parties sign, without printing sign, sign here, countersign, counter sign, dotted line > electronic signature
fill form, fill pdf, fill fields, complete form, application form, paperwork > form fill fields
# what papers say
photo of receipt, photographed receipt, taxi receipt, lunch receipt, restaurant receipt > receipt reading extract
petrol receipt, shopping receipt, crumpled receipt > receipt reading extract
expense claim, expense report, business lunch > receipt expense
read doctor, read grandmother, scribbled, scrawled, doctor handwriting, old letters > handwriting recognition
hand written, notebook page, pen paper > handwriting recognition
handwritten > handwriting
copy text from picture, copy text from image, text out of image, text in image, text from photo > ocr recognise text
text from picture, words from photo, text screenshot, photo of page, scanned page, searchable > ocr recognise text
can't search, can't select, cannot select, cannot copy, selectable > ocr recognise text
paper archive, paper documents, old documents, shoebox > scan ocr digitise
numbers out of pdf, table out of pdf, tables pdf, rows columns pdf, figures pdf, table from pdf > tables extract pdf
pdf to excel table, pdf spreadsheet > tables extract pdf
passport photo data, passport number, passport scan, identity card data > identity document passport reading
photo passport, driver licence scan, id document > identity document passport reading
business cards, conference cards, stack of cards, card contact, rolodex > business card contact reading
what changed, changed between, find changes, spot difference, redline, old version new version > compare difference
two versions, both versions, version against, sneaked in, quietly changed > compare difference
# made to be printed
award, course completed, participants course, graduates > certificate
address label, sticker parcel, label parcel, label package > shipping label
business cards print > design print
apply job cv, career history, nice cv, good looking cv, cv design, cv template, polish resume > resume typesetting
resume template > resume typesetting
ring binder, hard copy > print
# getting papers through the door
pdf mb, portal accepts, upload accepts, megabytes pdf, too many megabytes > compress reduce
blank out, cover names, mask names, hide addresses, strike out, make unreadable > redact anonymise
till slip, taxi slips, photo of bill, bill photo, restaurant bill > receipt reading
password off, without password, lift password, get rid of password, password every time > remove password unlock
birth certificate, marriage certificate, criminal record, land registry > public records government
"""
