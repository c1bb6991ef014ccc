"""Words of language and learning: translation, writing, reading between the lines, dictionaries, schools."""

from __future__ import annotations

from typing import Final

ALIKE: Final = """
# tongues and the people who speak them
german germany deutschland
deutsch german
austrian austria
french france
francais french
spanish spain castilian
espanol spanish
catalan spanish
italian italy
italiano italian
japanese japan
hiragana katakana kanji japanese
polish poland
swedish sweden
norwegian norway
danish denmark
finnish finland suomi
dutch netherlands holland
flemish dutch
belgian belgium
british uk england britain united+kingdom
scottish scotland
irish ireland
welsh wales
american usa united+states
indian india hindi
brazilian brazil portuguese
portuguese portugal
mexican mexico
australian australia
canadian canada
chinese mandarin china
cantonese chinese
russian russia
greek greece
turkish turkey
ukrainian ukraine
czech czechia
slovak slovakia
hungarian hungary magyar
romanian romania
bulgarian bulgaria
croatian croatia
serbian serbia
korean korea
hangul korean
hebrew israel
persian farsi iran
thai thailand
vietnamese vietnam
indonesian indonesia
swahili kenya
swiss switzerland
english translation
# translating
translate translation language
translate translation localise
foreign translation language
language tongue
dialect language
multilingual languages
bilingual languages
interpreter translation
localise localisation l10n i18n
glossary terminology
transliterate transliteration romanise
cyrillic script
alphabet script letters
# correcting and rewording
correct fix repair mend
proofread grammar spelling
proofread proofreading edit
spellcheck spelling grammar
spell spelling typo orthography
punctuation comma grammar
grammar grammatical
mistake error
rewrite rephrase paraphrase reword
rewrite redraft rework
tone style
formal tone
polite tone
friendly tone
casual informal tone
wording phrasing
simplify plain easy simple
jargon officialese complicated
jargon legalese gobbledygook
understand comprehensible
readability reading+level
flesch readability
words text
sentence text
paste text
passage text paragraph
# boiling down
summary summarise summarisation abstract tldr digest shorten sum+up
summary synopsis recap overview
summary gist
synopsis plot
condense summarise
brief summary
keyword keyphrase key+phrase
outline structure
highlights key+points
bullet bullets points
# judging
sentiment opinion mood emotion
angry sentiment negative
happy sentiment positive
complain complaint negative
praise positive
sarcasm irony sentiment
feedback review opinion
toxic abusive hate insult offensive
toxic moderation
profanity swear toxic
profanity obscene vulgar
swearing swear curse
bully insult
bullying harassment toxic
threat threatening
racist racism hate
sexist sexism hate
plagiarism copied
unoriginal originality plagiarism
essay paper homework
topic subject category theme
classify categorise sort label
tag label
intent classify
ner entity entities
entity organisation
relation relationship
fact+check verify
# writing for one
write draft compose generate create
generate create produce
writing written writer
author write
copywriting copy product+text
slogan tagline
slogan motto strapline catchphrase
press+release announcement
blog article post
blogpost blog
speech toast
script screenplay
story tale fiction
poem rhyme
poem verse poetry
sonnet haiku limerick poem
letter cover+letter
reply answer response
biography bio
obituary eulogy
# words
synonym thesaurus
antonym synonym opposite
define definition meaning dictionary
dictionary lexicon
encyclopedia encyclopaedia
wiki wikipedia encyclopedia
etymology origin
phonetic ipa pronunciation
pronounce pronunciation
abbreviation acronym
abbreviation short
idiom proverb saying
slang colloquial
anagram puzzle
quote quotation
sign+language accessibility
braille accessibility
# machines that write
chatbot chatgpt llm gpt ai
chat conversation
assistant chatbot
prompt instruction
embedding vector
embedding semantic
semantic meaning
similar similarity alike
robot bot ai
detector detection
# schools
teacher teaching school
tutor tutoring teacher
student pupil
student learner
exam quiz
quiz question
quiz trivia
multiple+choice quiz
flashcard anki
lesson class
teach lesson
curriculum syllabus
worksheet exercise
vocabulary flashcard words
vocab vocabulary
grade mark
grading marking assessment
assess evaluate grade
rubric criteria
college university
university campus
scholarship grant
kindergarten preschool nursery
homework assignment
thesis dissertation
revise revision study
learn study
memorise remember
tutorial lesson course
course class training
mooc course
# of speech
lingo jargon
mother+tongue language
"""

IMPLIED: Final = """
# into another tongue
deepl > translation translate
mother tongue, native speaker, native language > translation
which language, what language, language written, recognise language, language of text > detect language identify
what tongue, language this > detect language identify
foreign letter, foreign email, can't read language, don't speak, do not speak > translation detect language
not understand language > translation detect language
latin letters, latin alphabet, roman letters, western letters, english letters, cyrillic name > transliteration script
write name in, pronounceable > transliteration script
# put right, put otherwise
grammarly, languagetool > grammar check spelling
mistakes text, mistakes letter, mistakes email, errors text, errors letter, commas > grammar spelling proofread
commas right, check english, check my english, spelled right, embarrassing mistakes > grammar spelling proofread
language mistakes, before send check, look over letter, typos > grammar spelling proofread
quillbot > paraphrase rewriting
say differently, other words, different words, another way say, sound nicer, sound friendlier > rewrite tone rephrase
friendlier, sound more professional, sounds rude, less rude, more polite, politer, too blunt > rewrite tone rephrase
too harsh, tone down, sounds stiff, more formal, less formal, sound formal, sounds better > rewrite tone rephrase
flows better, own words, word it better, put more nicely > rewrite tone rephrase
simple words, easy words, easy read, layman, lay person, laymen, everybody understands > plain simplify language
anyone understand, understand letter from, letter from office, plain english, plain words > plain simplify language
for children text, ten year old, 5 year old, eli5, dumb down, legal speak, government letter > plain simplify language
bureaucratic, tax office letter > plain simplify language
how hard read, easy to read, school grade text, grade level, reading age, difficult to read > readability
too difficult read > readability
# in short
tl;dr, key points, gist, main ideas, main points, bottom line, no time read, too long read > summary summarise
in a nutshell, boil down, skim, read quickly, long article, long report, long email, hundred pages > summary summarise
few sentences, few lines > summary summarise
# what a text is, and how it sounds
customer reviews, happy angry, reviews positive, positive negative, positive or negative > sentiment review analysis
angry customers, happy customers, customers unhappy, customers feel, people feel > sentiment review analysis
feel about, mood of, good or bad reviews, love or hate, satisfied, dissatisfied > sentiment review analysis
reviews positive > sentiment
people companies, names article, names text, person names, names mentioned > entity entities extract named
who mentioned, which companies mentioned, companies mentioned, people mentioned > entity entities extract named
places mentioned, names out of, pull names, all names, persons places > entity entities extract named
what about text, what article about, sort articles, sort tickets, sort emails > classification topic classify
sort messages, sort support, which department, kind of request, ticket routing > classification topic classify
what topic, which topic, file under, put in categories, assign category > classification topic classify
which category > classification topic classify
nasty comments, rude comments, hateful comments, abusive comments, trolls, hate speech > toxicity moderation abusive
insulting, swear words, bad words, cyberbullying, comment section, forum posts > toxicity moderation abusive
chat messages filter > toxicity moderation abusive
copied from, copied internet, copy paste student, copied work, copied homework, stolen text > plagiarism copied
copied someone, someone else's work, lifted from, turnitin, cheating student, cheated > plagiarism copied
gptzero > detect ai text
written ai, ai wrote, robot wrote, wrote chatgpt, written chatgpt > detect ai text generated detection
written by machine, written by robot, machine written, ai homework, ai essay > detect ai text generated detection
human wrote, written human, written by a human, really wrote, sounds robot > detect ai text generated detection
written by computer, computer wrote > detect ai text generated detection
chatgpt > ai generate language model
openai, copilot > ai language model
opposite word > antonym synonym
another word, different word, other word, word similar, better word, synonyms > synonym thesaurus
word mean, what does mean, meaning of word, what word mean, looked up word, unknown word > dictionary definition
big word, definition of > dictionary definition
ends like, song verse > rhyme
acronym stand, stands for, short for > abbreviation
say name, say word, sound word, spoken like, pronounced, how pronounced, right way say > pronunciation phonetic
name pronounced, mispronounce > pronunciation phonetic
name mean, origin of name > meaning first name
# written for one
announce news, tell journalists, tell the press, for the press, for journalists, media release > press release
newspapers write, product launch, newsroom > press release
shop text, product text, product page text, text for product, text for shop > product description copy
describe product, sell product text, sales text, item description, listing text > product description copy
amazon listing, ebay listing, etsy listing, online shop text > product description copy
birthday poem, wedding poem, verses, roses are red, love poem, few verses, funny verse > poem write
lines for birthday, haiku > poem write
name for company, name for startup, name for shop, name for product, name business, name company > brand names naming
name startup, what call my company, what to call, call my business, company called, catchy name > brand names naming
wedding speech, best man, toast > speech write
email to boss, email to landlord, answer email, reply email > write draft email
bedtime story > story write
motivation letter, cover letter > write application letter
# at school and at home with it
essay > writing
duolingo > language learn
quizlet > flashcards
kahoot > quiz
mark essay, grade homework, mark homework, correct essays, correct exams, marking pile > grading grade essay
pile essays, score essay, students writing, what grade > grading grade essay
multiple choice, test students, exam questions, test questions, questions from text > quiz questions
questions about text, pub quiz, trivia, quiz night, check understanding, question class > quiz questions
test my knowledge, test class > quiz questions
study cards, learn vocabulary, learn words, memorise, spaced repetition, question answer cards > flashcard
revision cards, learn for exam, learning cards, revise for exam, remember for exam > flashcard
teach, school hour, lesson tomorrow, substitute teacher, class tomorrow, plan class > lesson plan teaching
teach class, teach kids, teach children, fifth grade, grade class, teaching material > lesson plan teaching
homeschool > lesson
khan academy, coursera, udemy > course
wolframalpha, mathway, photomath, maths homework, algebra, calculus, solve for x, derivative > equation solving
integral > equation solving
# into which tongue
into german, into french, into spanish, into italian, into english, into dutch, into polish > translation
into japanese, into chinese, into korean, into arabic, into russian, into portuguese, into turkish > translation
into swedish, into ukrainian, into greek, into czech, into hindi, in my language > translation
# what is hard to take in, or too good to be one's own
head or tail, confusing letter, gibberish, hard to follow, over my head, incomprehensible > simplify plain language
lifted off, ripped off text, passed off, nicked from > plagiarism copied
guests happy, guests think, guests say, how guests, judging comments, tone of comments > sentiment review
resignation letter, complaint letter, thank you note > letter write
interview questions > interview job
"""
