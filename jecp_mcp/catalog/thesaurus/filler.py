"""Words of talk: those that say nothing of a task, and those that say little of it."""

from __future__ import annotations

from typing import Final

STOP: Final = """
a able about absolutely actually again ain all allow allows also although am an and any anybody anyhow anyone
anything anyway anywhere apparently appreciate are aren arent as asap at basically be became because become becomes
been being besides but by came can cannot cant come comes coming could couldn couldnt d dear definitely
desperately did didn didnt do does doesn doesnt doing don done dont each either else enable enables ever every
everybody everyone everything everywhere folks for from get gets getting gimme give given gives go goes going gone
gonna got gotta grateful guess guys had hadn has hasn have haven havent having he hello help helps her here hers
herself hey hi him himself his honestly hope hopefully hopes hoping how however i ideally if im in into is
isn isnt it its itself ive just kinda kindly know lemme let lets like likely literally ll look looking m madam made
make makes making many may maybe me might mine more most much must mustn my myself need needed needs neither never
no nobody none nor not nothing now nowhere obviously of off ok okay on onto or our ours ourselves out over own per
perhaps please pls plz possibly probably put quite rather re s said say says see seem seems seriously shall she
should shouldn show shows simply since sir so some somebody somehow someone something sometimes somewhere sorta such
suppose t take taken takes tell tells than thank thanks that the their theirs them themselves then there therefore
these they thing things this those though through thus thx till to too toward towards tries trying under until up
upon urgently us use used uses using ve very wanna want wanted wants was wasn wasnt we went were weren what whatever
when whenever where wherever whether which whichever while who whoever whom whose why will wish with within without
wonder wondering would wouldn wouldnt ya yeah yes yet you your yours yourself yourselves
"""
"""What says nothing about a task. Some of it does where nothing else was said."""

WEAK: Final = """
across actual add ago alone already always amount another anymore apart app application apps around aside assistant
automatically available away back bad based basic beautiful before beginning best better between big bit both bring
brings brought bunch careful certain certainly common complete concern concerning contain contains content cool
correct correctly couple currently data day days decent depending detail detailed details different difficult
directly during early easier easily easy effective efficient eight enough ensure entire entirely especially
essentially even eventually everyday exact exactly except existing extra extremely fairly far fast favourite feel
feels felt few file files finally find fine finished first five following former forward found four free friendly
full fully further general generally good great half handful handy happen happened happens hard high hour hours huge
hundred hundreds immediately important included includes including info information inside instantly instead
interesting item items keep keeps kept kind kinds knowing known large last late later latest left less level liked
list little live local long looks lot lots lovely main manage mention mentioned mid minimal minute minutes money
month months mostly multiple namely near nearly neat necessary new next nice nine normal normally nowadays number
numbers obtain official often old once one ones online only open ordinary original other others otherwise overall
part particular parts past people perfect perfectly person piece pieces place plain possibility possible practical
precise precisely pretty private professional proper properly provide provider public purpose purposes quick quickly
rapidly ready real really reasonable recent regarding regular regularly relevant reliable remain require required
requires respective result results right robust run same sample sensible service services set sets seven several
short similar simple single situation six size slightly small smart solid solution somewhat soon sort special
specific standard start state still store straight stuff stupid suitable super supposed sure system taking task
tasks technical ten terrible thousand thousands three throughout time times today together tomorrow tonight tool
tools top total truly try two type types typical unable understand unfortunately unless upcoming useful usual
usually valid various version via way ways website week weeks weird well whole wide wonderful work works worse worst
wrong year years yesterday
"""
"""What says little of a task: it decides between actions that answer the rest, and hardly more."""
