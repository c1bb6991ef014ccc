"""Strangers' text made fit for a model and a terminal. Pure: no I/O.

A provider's words are data. They are normalised, freed of everything invisible, bounded, kept on one line where they
stand beside ours, and marked as the provider's, so that they can neither hide an instruction nor pass for our own.
"""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Callable, Sequence
from functools import cache
from typing import Final

from jecp_mcp.catalog.lookalikes import mixes_scripts
from jecp_mcp.domain.offers import Deprecation, Offer
from jecp_mcp.invisible import RANGES
from jecp_mcp.tools.publishing.prompt_injection import find_suspicion

TITLE_LENGTH: Final = 80
LINK_WITHHELD: Final = "[link withheld]"

# Signs that only some scripts' readers see, format characters beyond the first plane, and the last two of every plane.
_INVISIBLE_RANGES: Final = (
    f"{RANGES}\u0600-\u0605\u06dd\u070f\u0890\u0891\u08e2\U000110bd\U000110cd\U00013430-\U0001345f"
    + "".join(f"{chr(plane * 0x10000 + 0xFFFE)}{chr(plane * 0x10000 + 0xFFFF)}" for plane in range(1, 14))
)
_STACKED_MARKS: Final = (
    "([\u0300-\u036f\u0483-\u0489\u1ab0-\u1aff\u1dc0-\u1dff\u20d0-\u20ff\ufe20-\ufe2f]{3})"
    "[\u0300-\u036f\u0483-\u0489\u1ab0-\u1aff\u1dc0-\u1dff\u20d0-\u20ff\ufe20-\ufe2f]+"
)
_LINE_BREAK: Final = re.compile("\r\n|[\r\x85\u2028\u2029]")
_BLANK_RUN: Final = re.compile(r"[^\S\n]+")
_EMPTY_LINES: Final = re.compile(r" ?\n ?(?:\n ?)+")
# IDNA takes the next three for dots (RFC 3490 §3.1); the last two are dots by compatibility, as browsers map them.
_DOTS: Final = ".\u3002\uff0e\uff61\u2024\ufe52"
_DOT: Final = f"[{_DOTS}]"
# A name that stands alone is a link only under a domain that many know or misuse; any other may be a file or a field.
_KNOWN_DOMAINS: Final = (
    "com|net|org|biz|io|ai|app|dev|co|xyz|online|site|shop|club|cloud|eth|onion|example|"
    "info|me|link|support|finance|money|cash|fund|exchange|trade|trading|market|markets|top|live|pro|click|today|world|"
    "network|website|space|tech|store|vip|cfd|sbs|icu|buzz|cyou|fun|lol|win|bid|loan|gdn|quest|monster|"
    "au|br|cc|ch|cm|cn|de|eu|fr|gg|jp|kz|ly|nl|pl|ru|su|tk|tv|ua|uk|ws|"
    "рф|рус|онлайн|сайт|москва|бел|укр|срб|中国|中國|台湾|台灣|香港|한국|भारत"  # noqa: RUF001 - the domains are spelt so
)
# Schemes that an application opens without slashes; a wallet pays by some of them.
_BARE_SCHEMES: Final = (
    "javascript|data|vbscript|mailto|tel|sms|magnet|bitcoin|bitcoincash|ethereum|lightning|litecoin|dogecoin|monero|"
    "solana|tron|ripple|cardano|stellar|upi"
)
# A scheme, however many slashes a browser forgives; a host with a path, a query or a port; an address; a known domain.
# A name is tried only from its beginning, so that a long one is passed over once.
_PATH: Final = r"(?::\d{1,5}|[/\\]|[?#]\w)"
_LINK: Final = (
    r"[a-z][a-z0-9+.\-]{0,30}:[/\\]{2}\S*|\bhttps?:[/\\]?[^\s/\\]\S*|"
    rf"\b(?:{_BARE_SCHEMES}):\S+|"
    rf"\[(?:[0-9a-f]{{0,4}}:){{2,8}}[0-9a-f.]{{0,15}}(?:%\w{{1,20}})?\]{_PATH}\S*|"
    rf"(?<![\w-])(?<![\w-]{_DOT})(?:www{_DOT}\S+|"
    rf"(?:\d{{1,3}}{_DOT}){{3}}\d{{1,3}}{_PATH}\S*|"
    rf"(?:[\w-]++{_DOT})+(?:[^\W\d_]{{2,24}}(?::\d{{2,5}}|[/\\]|[?#]\w)\S*|"
    rf"(?:{_KNOWN_DOMAINS}|xn--[a-z0-9-]{{1,59}})(?![\w-])\S*))"
)
_TRAILING: Final = f",;:!?)]}}'\"{_DOTS}"
_RAW_FACTOR: Final = 4


@cache
def _invisible() -> re.Pattern[str]:
    return re.compile(f"[{_INVISIBLE_RANGES}]")


def hides_something(text: str) -> bool:
    """Whether `text` holds a character that renders as nothing or reorders its neighbours."""
    return not (text.isascii() and text.isprintable()) and _invisible().search(text) is not None


def clean(text: object, limit: int, *, one_line: bool = False) -> str:
    """Text that shows everything it says.

    Normalised to NFC; without control, bidirectional, zero-width, tag, private-use or variation characters and lone
    surrogates; stacks of combining marks cut to three; blanks run together; at most `limit` characters, the last an
    ellipsis when something was cut. What is no text reads as ``""``.

    Args:
        text: what a stranger sent.
        limit: the most characters to return.
        one_line: turn line breaks into spaces, so that the text cannot begin a line of its own.
    """
    if not isinstance(text, str):
        return ""
    if len(text) <= limit and text.isascii() and text.isprintable() and "  " not in text:
        return text.strip()
    cut = len(text) > limit * _RAW_FACTOR
    text = text[: limit * _RAW_FACTOR]
    text = _LINE_BREAK.sub("\n", text)
    if not text.isascii():
        text = unicodedata.normalize("NFC", re.sub(_STACKED_MARKS, r"\1", _invisible().sub("", text)))
    # NFC may bring two marks together that an invisible character stood between; it never makes one invisible.
    text = _invisible().sub("", text)
    text = " ".join(text.split()) if one_line else _EMPTY_LINES.sub("\n\n", _BLANK_RUN.sub(" ", text)).strip()
    if cut or len(text) > limit:
        return text[: limit - 1].rstrip() + "…"
    return text


@cache
def _links() -> re.Pattern[str]:
    return re.compile(_LINK, re.IGNORECASE)


def links_in(text: str) -> bool:
    """Whether something in `text` looks like a link, also without a scheme."""
    return _may_hold_link(text) and _links().search(text) is not None


def withhold_links(text: str, shown: Callable[[str], bool] = lambda _: False) -> str:
    """`text` with a notice for each thing in it that looks like a link, but for those that may be `shown`."""

    def judge(found: re.Match[str]) -> str:
        link = found[0].rstrip(_TRAILING)
        return found[0] if shown(link) else LINK_WITHHELD + found[0][len(link) :]

    return _links().sub(judge, text) if _may_hold_link(text) else text


@cache
def _joint() -> re.Pattern[str]:
    return re.compile(rf"[:{_DOTS}]\S")


def _may_hold_link(text: str) -> bool:
    """A link has a dot or a colon within; most texts have them only at the ends of sentences."""
    return _joint().search(text) is not None


def safe_text(text: object, limit: int, *, one_line: bool = False) -> str:
    """A provider's words as `clean` leaves them, without links.

    Where they address the model instead of describing, a notice stands for them.
    """
    words = clean(text, limit, one_line=one_line)
    if not words:
        return words
    label = find_suspicion(words)
    if label is not None:
        return withheld_notice(label)
    return clean(withhold_links(words), limit, one_line=one_line)


def withheld_notice(label: str, whose: str = "provider") -> str:
    """What stands in the place of words that are not passed on."""
    return f"[withheld: the {whose}'s text {label}]"


def provider_words(action: Offer, limit: int, *, one_line: bool = False) -> str:
    """The provider's description of an action, or else of its capability, as `safe_text` passes it on."""
    return safe_text(action.description, limit, one_line=one_line) or safe_text(
        action.capability_description, limit, one_line=one_line
    )


def title_of(action: Offer) -> str:
    """A name for people: the provider's title of the action, or its ids where there is none fit to be shown.

    A title of one word is followed by what the action belongs to.
    """
    title = clean(action.title, TITLE_LENGTH, one_line=True)
    if title.isascii() and title.isalpha():
        # A verb alone says little, and several providers have the same. Not every script has blanks.
        name = clean(action.capability.rpartition("/")[2], TITLE_LENGTH, one_line=True)
        title = clean(f"{title}: {name.replace('-', ' ').replace('_', ' ')}", TITLE_LENGTH, one_line=True)
    if title and find_suspicion(title) is None and not links_in(title) and not mixes_scripts(title):
        return title
    return clean(action.key, TITLE_LENGTH, one_line=True)


def look_alike_words(action: Offer, famous: str) -> str:
    """A warning about a provider whose name is nearly a better known one's."""
    other = clean(famous, TITLE_LENGTH, one_line=True)
    return f"Caution: {provider_of(action)} is not {other}, a better known provider with nearly the same name."


def provider_of(action: Offer) -> str:
    """Who provides an action: its namespace, or the Hub itself; and of several Hubs, at which but at the first."""
    payee, where = clean(action.payee, TITLE_LENGTH, one_line=True), action.source_name
    if not where:
        return payee or "the Hub"
    return f"{payee} at {where}" if payee else f"the Hub {where}"


def sunset_words(deprecation: Deprecation, tool: str | None = None) -> str:
    """A warning about an action on its way out.

    Args:
        tool: the tool that takes its place, where there is one.
    """
    at = safe_text(deprecation.sunset_at, TITLE_LENGTH, one_line=True)
    successor = safe_text(deprecation.successor, TITLE_LENGTH, one_line=True)
    if deprecation.status == "sunset":
        text = f"No longer sold{f' since {at}' if at else ''}."
    else:
        text = f"Deprecated{f': no longer sold from {at}' if at else ''}."
    if tool is not None:
        return f"{text} Use {tool} instead."
    return f"{text} Successor: {successor}." if successor else text


def unchecked_words(left: Sequence[str], most: int) -> str:
    """What is not checked before paying, of which no more than `most` parts are named."""
    more = [f"{len(left) - most} more"] if len(left) > most else []
    return f"Only the Hub checks: {'; '.join([*left[:most], *more])}."
