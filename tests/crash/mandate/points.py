"""Which of many points to die at."""


def spread(most: int, count: int) -> list[int]:
    """At most `count` numbers from 1 to `most`, far apart."""
    return list(range(1, most + 1, max(1, -(-most // count))))
