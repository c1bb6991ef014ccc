"""A secret taken out of what a stranger sent, however it is spelt there. Pure: no I/O."""

from __future__ import annotations

import re
from collections.abc import Iterable
from functools import cached_property, lru_cache
from typing import Any, Final

_SHORTEST: Final = 12
"""A shorter text is too common in answers to be masked, and no Hub's key."""

_BEGINNING: Final = 4
"""How many characters of a secret are looked for before all of it is: hardly any answer has those by chance."""


class Mask:
    r"""Puts asterisks in place of one secret: as it is, percent-encoded, or with escapes such as ``\u006a``.

    Escapes of JSON itself are undone before a value is masked; those that are left are of a text within the text. Its
    repr does not show the secret.
    """

    def __init__(self, secret: str) -> None:
        self._secret = secret if len(secret) >= _SHORTEST else None

    def concerns(self, raw: str) -> bool:
        """Whether the secret may be in a JSON text."""
        return self._secret is not None and ("\\" in raw or "%" in raw or self._secret in raw)

    def text(self, text: str) -> str:
        """The text without the secret."""
        if self._secret is None:
            return text
        if "\\" not in text and "%" not in text:
            return text.replace(self._secret, "*" * len(self._secret))
        # To compile the spellings of a payment, of a thousand characters, takes longer than the call that it pays for.
        if _beginning(self._secret[:_BEGINNING]).search(text) is None:
            return text
        return self._spellings.sub("*" * len(self._secret), text)

    def value(self, value: Any) -> Any:
        """The JSON value without the secret in any text or key."""
        if isinstance(value, str):
            return self.text(value)
        if isinstance(value, dict):
            return {self.text(key): self.value(item) for key, item in value.items()}
        if isinstance(value, list):
            return [self.value(item) for item in value]
        return value

    @cached_property
    def _spellings(self) -> re.Pattern[str]:
        assert self._secret is not None
        return _compiled(self._secret)


class Masks(Mask):
    """Several as one."""

    def __init__(self, *masks: Mask) -> None:
        self._all = masks

    def concerns(self, raw: str) -> bool:
        """As `Mask.concerns`, of any of them."""
        return any(mask.concerns(raw) for mask in self._all)

    def text(self, text: str) -> str:
        """The text without any of the secrets."""
        return masked(text, self._all)


def masked(text: str, masks: Iterable[Mask]) -> str:
    """The text without any of the secrets."""
    for mask in masks:
        text = mask.text(text)
    return text


@lru_cache(maxsize=64)
def _beginning(text: str) -> re.Pattern[str]:
    return _compiled(text)


def _compiled(text: str) -> re.Pattern[str]:
    return re.compile("".join(map(_spellings, text)))


def _spellings(character: str) -> str:
    """A pattern of one character's spellings; each begins with another character, so that matching is linear."""
    code = "".join(f"[{digit}{digit.upper()}]" for digit in f"{ord(character):02x}")
    # Text quoted again and again doubles its backslashes, and a percent sign becomes %25.
    return rf"(?:{re.escape(character)}|\\\\{{0,15}}(?:u00{code}|x{code}|{re.escape(character)})|%(?:25){{0,4}}{code})"
