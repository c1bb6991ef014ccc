"""Words at home in every trade: what one does to things, and what things are like."""

from __future__ import annotations

from typing import Final

ALIKE: Final = """
# what is done
search find lookup discover query
search seek
browse explore
check verify validate valid validation
exist valid verify real
check examine inspect
inspect audit
audit assessment
verify confirm
test try
create build
remove delete strip erase get+rid eliminate
remove clear
add insert
replace substitute
edit modify
edit change alter adjust
update refresh
improve enhance
improve optimise
solve answer
answer question
explain explanation
explain clarify interpret
list enumerate
count number+of
rank order sort
filter select
select choose pick
recommend suggest recommendation suggestion
suggest propose idea
ideas inspiration
advice advise tips
estimate predict
estimate approximation
calculate work+out
measure gauge
rate score
score rating
record log
save store
schedule plan
plan planning planner
organise arrange
share publish
publish post
collect gather
gather compile
receive incoming
watch observe
protect secure
hide conceal
display view
view preview
describe explain
name call
read understand
match fit suit
# what things are like
available free availability
history historical past previous
vintage old antique
old ancient
current present
current latest recent
recent new
live real+time
upcoming future
future tomorrow
annual yearly
daily day
nearest near
total overall
average typical
typical usual
dangerous hazardous
danger risk
safe secure
legitimate legit genuine
genuine authentic
authentic original
official authoritative
suspicious unusual
quality grade
difficult hard
opposite contrary
alternative instead
equivalent same
limit maximum
minimum lowest
maximum highest
percent percentage
amount sum
quantity amount
list directory
# who does it
expert professional
professional specialist
friend mate
stranger unknown
"""

IMPLIED: Final = """
# what one meets
stranger > person
# mechanical wishes
get rid of > remove
find out > lookup
figure out > calculate
make sure, double check > check verify
turn into > convert
sum up > summary
cut down > shorten
put in order > sort
keep track > track monitor
# a number for a thing
random number, roll dice, flip coin, coin toss > random generate
"""
