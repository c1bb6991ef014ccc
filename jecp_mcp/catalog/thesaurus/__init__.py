"""What a market's words mean: those that say nothing of a task, those that say little, and those that mean the same.

English, for so the market speaks; by trades, a module for some that are near each other. Each has two lists:

``ALIKE``, words that mean nearly the same, a group a line; ``a+b`` are words that do so together.

``IMPLIED``, ``what one says > what one asks for by it``. What is said are one or several words that must all be in a
query, in any order, the little words too; other ways to say it follow after commas. It holds in this direction only.

Lines that begin with # are headings.
"""
