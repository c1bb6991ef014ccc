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
kanji japanese
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
american usa us united+states
indian india hindi
brazilian brazil portuguese
portuguese portugal
mexican mexico
australian australia
canadian canada
chinese mandarin china
mandarin chinese
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
arabic arab
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
translator translation
foreign translation language
language tongue
dialect language
multilingual languages
bilingual languages
interpreter translation
interpret interpreter
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
typo spelling
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
readable readability
flesch readability
words text
sentence text
paragraph text
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
bias biased
plagiarism copied
plagiarised plagiarism
unoriginal originality plagiarism
essay paper homework
topic subject category theme
classify categorise sort label
categorise category
classify classification
tag label
intent classify
ner entity entities
entity organisation
relation relationship
fact facts
fact+check verify
# writing for one
write draft compose generate create
generate create make produce
writing written writer
author write
copywriting copy product+text
copywriter copywriting
slogan tagline
slogan motto strapline catchphrase
press+release announcement
announcement announce
blog article post
blogpost blog
speech toast
script screenplay
story tale fiction
poem rhyme
poem verse poetry
rhyme rhymes
sonnet haiku limerick poem
letter cover+letter
essay essays
reply answer response
biography bio
obituary eulogy
name naming
# words
synonym thesaurus
antonym synonym opposite
define definition meaning dictionary
dictionary lexicon
encyclopedia encyclopaedia
wiki wikipedia encyclopedia
wiki encyclopedia
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
flashcard vocabulary
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
essay homework
homework assignment
thesis dissertation
revise revision study
learn study
memorise remember
tutorial lesson course
course class training
mooc course
reading read
"""

IMPLIED: Final = """
# into another tongue
deepl, google translate > translation translate
translate website, translate email, mother tongue, say in, put into, native speaker, native language > translation
which language, what language, language written, recognise language, language of text, what tongue, language this > detect language identify
foreign letter, foreign email, can't read language, don't speak, do not speak, not understand language > translation detect language
latin letters, latin alphabet, roman letters, western letters, english letters, cyrillic name, write name in, pronounceable > transliteration script
# put right, put otherwise
grammarly, languagetool > grammar check spelling
mistakes text, mistakes letter, mistakes email, errors text, errors letter, commas, commas right, check english, check my english, spelled right, embarrassing mistakes, language mistakes, before send check, look over letter, typos > grammar spelling proofread
quillbot > paraphrase rewriting
say differently, other words, different words, another way say, sound nicer, sound friendlier, friendlier, sound more professional, sounds rude, less rude, more polite, politer, too blunt, too harsh, tone down, sounds stiff, more formal, less formal, sound formal, sounds better, flows better, own words, word it better, put more nicely > rewrite tone rephrase
simple words, easy words, easy read, layman, lay person, laymen, everybody understands, anyone understand, understand letter from, letter from office, plain english, plain words, for children text, ten year old, 5 year old, explain like, eli5, dumb down, legal speak, government letter, bureaucratic, tax office letter > plain simplify language
how hard read, easy to read, school grade text, grade level, reading age, readable for, difficult to read, too difficult read > readability
# in short
tl;dr, key points, gist, main ideas, main points, bottom line, no time read, too long read, short version, in short, in brief, in a nutshell, boil down, essence, skim, read quickly, long article, long report, long email, hundred pages, executive summary, few sentences, few lines > summary summarise
# what a text is, and how it sounds
customer reviews, happy angry, reviews positive, positive negative, positive or negative, angry customers, happy customers, customers unhappy, customers feel, people feel, feel about, mood of, good or bad reviews, like or hate, love or hate, satisfied, dissatisfied > sentiment review analysis
reviews positive > sentiment
people companies, names article, names text, person names, names mentioned, who mentioned, which companies mentioned, companies mentioned, people mentioned, places mentioned, names out of, pull names, all names, persons places > entity entities extract named
what about text, what article about, sort articles, sort tickets, sort emails, sort messages, sort support, which department, kind of request, ticket routing, route tickets, what topic, which topic, file under, put in categories, assign category, which category > classification topic classify
nasty comments, rude comments, hateful comments, abusive comments, trolls, troll, hate speech, insulting, swear words, bad words, cyberbullying, comment section, comments section, forum posts, chat messages filter > toxicity moderation abusive
copied from, copied internet, copy paste student, copied work, copied homework, stolen text, copied someone, someone else's work, lifted from, turnitin, own work, cheating student, cheated > plagiarism copied
gptzero > detect ai text
written ai, ai wrote, robot wrote, wrote chatgpt, used chatgpt, written chatgpt, written by machine, written by robot, machine written, ai homework, ai essay, human wrote, written human, written by a human, human written, really wrote, sounds robot, written by computer, computer wrote > detect ai text generated detection
chatgpt > ai generate language model
openai, copilot > ai language model
opposite word, opposite of > antonym synonym
another word, different word, other word, word similar, words similar, better word, same meaning, means same, mean the same, synonyms > synonym thesaurus
word mean, what does mean, meaning of word, what word mean, looked up word, unknown word, big word, look up word, definition of > dictionary definition
word rhymes, rhymes with, what rhymes, ends like, song verse > rhyme
acronym stand, stands for, stand for, short for > abbreviation
how do you say, how say, say name, say word, sound word, spoken like, pronounced, how pronounced, right way say, name pronounced, mispronounce > pronunciation phonetic
name mean, origin of name > meaning first name
# written for one
announce news, tell journalists, tell the press, for the press, for journalists, media release, newspapers write, product launch, newsroom > press release
shop text, product text, product page text, text for product, text for shop, describe product, sell product text, sales text, item description, listing text, amazon listing, ebay listing, etsy listing, online shop text > product description copy
birthday poem, wedding poem, verses, roses are red, love poem, few verses, funny verse, lines for birthday, haiku > poem write
name for company, name for startup, name for shop, name for product, name business, name company, name startup, what call my company, what to call, call my business, company called, catchy name, brand name idea > brand names naming
wedding speech, best man, toast > speech write
email to boss, email to landlord, answer email, reply email > write draft email
write story, bedtime story > story write
motivation letter, cover letter > write application letter
# at school and at home with it
essay writing > writing
essay > writing
duolingo > language learn
quizlet > flashcards
kahoot > quiz
mark essay, grade essay, grade homework, mark homework, correct essays, correct exams, marking pile, pile essays, score essay, what mark, students writing, what grade > grading grade essay
multiple choice, test students, exam questions, test questions, questions from text, questions about text, pub quiz, trivia, quiz night, check understanding, question class, test my knowledge, test class > quiz questions
study cards, learn vocabulary, learn words, memorise, memorize, spaced repetition, question answer cards, revision cards, learn for exam, learning cards, revise for exam, remember for exam > flashcard
teach, school hour, lesson tomorrow, substitute teacher, class tomorrow, plan class, pupils, teach class, teach kids, teach children, fifth grade, grade class, teaching material > lesson plan teaching
homeschool > lesson
khan academy, coursera, udemy > course
wolframalpha, mathway, photomath > equation solving
maths homework, math homework, algebra, calculus, solve for x, derivative, integral > equation solving
"""
