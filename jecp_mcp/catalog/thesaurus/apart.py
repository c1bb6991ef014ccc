"""Words that a stemmer takes for forms of others that mean something else."""

from __future__ import annotations

from typing import Final

APART: Final = """
accessibility accessible
animal animals
anime
authority authorities
booking bookings booked
computer computers
container containers
conversation conversations
cookie cookies
customer customers
customs
definition definitions
earnings
evening evenings
executive executives
experiment experiments experimental
fitness
goods
important importance
inchi
informal
instalment instalments installment installments
integral integrals
internal internally
international internationally
liter liters
logistics
marketing
memorise memorize memorising memorizing
mineral minerals
news
objective objectives
officer officers
official officially officials
organise organize organised organized organising organizing
parking
paste pasted pasting
periodic periodical
police
political politics politically politician politicians
positive positively
presentation presentations
production
productivity
publication publications
rating ratings
recipient recipients
savings
severe severity
shipping
terminal terminals
training trainings trained trainer trainers
university universities
"""
"""Words with forms of theirs, a word a line: all have the first as their stem."""
