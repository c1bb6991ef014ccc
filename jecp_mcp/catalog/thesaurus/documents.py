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
excel xlsx
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
archive zip
zip unzip rar 7z tar archive
archive backup
import upload
export download
# assembling
merge join combine concatenate together
combine merge
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
stamp watermark
stamp seal
sign signature
sign esign signature esignature
signatory signer signature
notary notarise notarised notarial
initial initials sign
# reading
ocr scan recognise
scan ocr
digitise scan ocr
handwriting handwritten cursive
handwriting manuscript
scribble scrawl handwriting
extract tables+from
receipt bill
till receipt
till+receipt receipt
id+card passport
identity passport id+card
mrz passport
licence+plate number+plate
driving+licence identity
visiting+card business+card
vcard contact business+card
statement bank+statement
form fields
fields form
acroform form
compare difference diff changed changes
tracked+changes compare
versions compare diff
revision version
label sticker
envelope letter
print printer printing
fill complete
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
editable pdf, edit pdf, pdf edit > pdf word docx convert
open pages, can't open, won't open, cannot open, unable open > convert conversion
ereader, e-reader, kobo, tolino, nook > ebook epub
read phone ebook > epub convert
google docs > word docx
google sheets > excel csv spreadsheet
numbers apple > spreadsheet excel
overleaf > latex pdf
slides handout > powerpoint pdf
comma separated > csv
wrong format, other format, different format, file format > convert conversion
readable computer, machine readable > extract structured
# pages in and out of one file
one pdf, single pdf, one document, single document, one file > merge combine
several pdfs, many pdfs, pdfs into one, two pdfs > merge combine
stick together, put together, glue together, staple together > merge combine
few pages, some pages, certain pages, only page, single page, first page, last page, every page separate > split extract pages
page out, pages out, take page, pull page > split extract
too big email, too large email, too big attach, too large attach, too big upload, too large upload > compress reduce size
too heavy, too large, too big > compress reduce size
attachment limit, size limit, upload limit > compress reduce size
smaller pdf, shrink pdf, reduce pdf > compress
upside down, sideways > rotate
out of order, wrong order > rearrange reorder
blank pages > remove pages
page numbers > numbering
# locking and hiding
pdf password know, forgot password pdf > remove unlock
open locked, locked pdf, locked document, protected pdf > remove password unlock decrypt
nobody open, no one open, only open, stop opening > protect password encrypt
password on pdf, password document, password protect > protect encrypt
black out, blacked out, cross out, hide names, names out, hide personal, cover up > redact anonymise
confidential written across, confidential across, draft across, across page, across every page > watermark stamp
secret passages, sensitive parts, sensitive passages, private parts > redact
# signatures and forms
sign online, signed online, sign electronically, sign digitally, sign remotely, signed by both, get signed, both parties sign > electronic signature
without printing sign, sign here, countersign, counter sign, dotted line > electronic signature
fill form, fill pdf, fill fields, complete form, application form, paperwork > form fill fields
# what papers say
photo of receipt, photographed receipt, taxi receipt, lunch receipt, restaurant receipt, petrol receipt, shopping receipt, crumpled receipt > receipt reading extract
expense claim, expenses claim, expense report, claim expenses, business lunch > receipt expense
read doctor, read grandmother, scribbled, scrawled, doctor handwriting, old letters, hand written, notebook page, pen paper > handwriting recognition
handwritten > handwriting
copy text from picture, copy text from image, text out of image, text in image, text from photo, text from picture, words from photo, text screenshot, photo of page, scanned page > ocr recognise text
searchable, can't search, can't select, cannot select, cannot copy, selectable > ocr recognise text
paper archive, paper documents, old documents, shoebox > scan ocr digitise
numbers out of pdf, table out of pdf, tables pdf, rows columns pdf, figures pdf, table from pdf, pdf to excel table, pdf spreadsheet > tables extract pdf
passport photo data, passport number, passport scan, identity card data, scan passport, photo passport, driver licence scan, id document > identity document passport reading
business cards, conference cards, stack of cards, card contact, cards contacts, rolodex > business card contact reading
what changed, changed between, find changes, spot difference, spot differences, redline, redlined, old version new version, two versions, both versions, version against > compare difference
sneaked, slipped, quietly changed > compare difference
# made to be printed
award, course completed, completion, participants course, graduates, attendance > certificate
shipping label, address label, sticker parcel, label parcel, label package > shipping label
business cards print, invitations > design print
apply job cv, career history, nice cv, good looking cv, cv design, cv template, polish resume, resume template > resume typesetting
ring binder, print out, hard copy > print
"""
