"""What a market's words mean, as data: words that say nothing of a task, that say little, and that mean the same.

English, for so the market speaks. ``stop_words.toml`` and ``stems.toml`` hold the words of any talk; every other file
those of some trades that are near each other. A list is one string of lines, in which lines that begin with # are
headings: so it is read ten times as fast as an array of arrays, and written without quotes and commas.

``alike``: words that mean nearly the same, a group a line; ``a+b`` are words that do so together.

``implied``: ``what one says > what one asks for by it``. What is said are one or several words that must all be in a
query, in any order, the little words too; other ways to say it follow after commas. It holds in this direction only.
"""
