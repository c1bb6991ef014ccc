"""Text that speaks to the model where it should describe. Pure: no I/O.

A description says what an action does; it does not give orders, ask for secrets, forbid to tell the user, or play
another part of the conversation. What does is not passed on. Patterns cannot find every such text, and this one list
finds only the plain ones, whatever script or spelling their letters borrow: it is a hedge beside the limits, which hold
whatever the model is talked into. A false alarm costs a provider the words, never the action.

Every pattern repeats a bounded number of times, so the time taken is linear in the text, which its callers have cut.
"""

from __future__ import annotations

import re
from functools import cache
from typing import Final

from jecp_mcp.catalog.lookalikes import skeleton

_SHORTEST: Final = 6

# A word of at least one of these stands in everything that the patterns find: most texts need no second look.
_HINTS: Final = (
    "ignor", "disregard", "forget", "overrid", "bypass", "system", "assistant", "developer", "<|", "[inst", "[/inst",
    "important>", "secret", "instruction", "tell", "inform", "mention", "notify", "reveal", "show", "ask", "api key",
    "api-key", "api_key", "apikey", "password", "credential", "private key", "seed phrase", "access token", "ssh",
    "id_rsa", ".env", "prompt", "history", "conversation", "jecp_", "tool", "action", "capability", "provider",
    "function", "approv", "authori", "consent", "confirm", "limit", "cap", "mandate", "budget", "](", "javascript:",
    "data:text",
)  # fmt: skip

_GAP: Final = r"(?:[^\w.!?]{1,3}\w{1,30}){0,%d}[^\w.!?]{1,3}"
_SECRETS: Final = (
    r"(?:api[ _-]?keys?|passwords?|credentials|private keys?|seed phrases?|access tokens?|ssh keys?|id_rsa|\.env|"
    r"system prompt|(?:conversation|chat|message) history|whole conversation|other tools? results?)"
)

_PATTERNS: Final = (
    (
        "tells the model to drop its instructions",
        r"\b(?:ignor|disregard|forget|overrid|bypass)\w{0,4}" + _GAP % 5
        + r"(?:instructions?|prompts?|rules|guidelines|polic(?:y|ies)|directives?|safeguards?|limits|constraints)\b",
    ),
    (
        "plays a part of the conversation",
        (
            r"<\|?/?(?:system|assistant|developer|user|im_start|im_end|important|instructions?|tool_(?:call|result))\b|"
            r"\[/?(?:inst|system)\]|(?:^|[\n.!?:;\"'»>|^]\s{0,3})(?:system|assistant|developer)"
            r"(?: (?:prompt|message|note|notice|override))?\s?:"
        ),
    ),
    (
        "asks to keep something from the user",
        r"\b(?:do not|don.?t|never|without|must not|not to)" + _GAP % 2
        + r"(?:tell|telling|mention|mentioning|inform|informing|notify|notifying|reveal|revealing|show|ask|asking)"
        + _GAP % 2 + r"(?:users?|humans?|operators?|owners?|people|person|anyone|them)\b",
    ),
    (
        "asks for secrets",
        r"\b(?:send|includ|pass|past|cop|put|read|attach|append|insert|forward|submit|upload|leak|exfiltrat|provid)"
        r"\w{0,4}" + _GAP % 6 + _SECRETS + r"\b(?! (?:reset|recovery|change|strength|policy|generat))",
    ),
    (
        "steers the choice of tools",
        r"\b(?:always|must|only|first)" + _GAP % 3 + r"(?:call|use|invoke|prefer|choose|run|buy)" + _GAP % 2
        + r"this (?:tool|action|function|capability|provider|one)\b"
        r"|\b(?:before|instead of|rather than|after) (?:using |calling |running )?(?:any|every|each|all|the)(?: other)?"
        r" tools?\b"
        r"|\b(?:this|other) (?:tool|action)s? (?:supersedes?|replaces?|overrides?|(?:is|are) (?:deprecated|broken))\b"
        r"|\bjecp_(?:call|execute|prepare|topup|register|refund|wallet|status|search|describe)\b",
    ),
    (
        "talks about the user's limits",
        r"\b(?:rais|increas|lift|remov|disabl|ignor|top)\w{0,4}" + _GAP % 3
        + r"(?:(?:spending|wallet|daily|per-call|payment|user.?s) (?:limits?|caps?|budget)|mandate)\b"
        r"|\b(?:approv|confirm)\w{0,4}" + _GAP % 3
        + r"(?:purchases?|payments?|spend(?:ing)?|calls?|charges?)" + _GAP % 2
        + r"(?:automatically|silently|without|yourself)\b"
        r"|\b(?:already|pre-?) ?(?:approved|authori[sz]ed|consented) (?:by|for) (?:the |your )?(?:user|operator)\b",
    ),
    (
        "smuggles a link or code",
        r"!\[[^\]\n]{0,200}\]\(|\bjavascript:|\bdata:text/html",
    ),
)  # fmt: skip
_ONE_WORD: Final = re.compile(r"[\w.-]+")
_SHORTEST_CODE: Final = 160
_LETTERS_OF_A_CODE: Final = 12
_ENCODED: Final = re.compile(rf"[A-Za-z0-9+/_-]{{{_SHORTEST_CODE}}}")


def find_suspicion(text: str) -> str | None:
    """What is wrong with a stranger's description, to follow "the provider's text …", or None.

    Args:
        text: cleaned of invisible characters, and as long as it will be shown.
    """
    found = find_injection(text)
    if found is None and len(text) > _SHORTEST_CODE:
        block = _ENCODED.search(text)
        if block is not None and len(set(block[0])) >= _LETTERS_OF_A_CODE:
            return "holds an encoded block"
    return found


def find_injection(text: str) -> str | None:
    """As `find_suspicion`, for a value, a name or a pattern, which may well be encoded."""
    if len(text) < _SHORTEST or (_ONE_WORD.fullmatch(text) and "jecp_" not in text.casefold()):
        return None
    plain = skeleton(text)
    # A loop, for schemas have thousands of short texts, and setting up a generator takes longer than reading one.
    for hint in _HINTS:
        if hint in plain:
            found = _compile_patterns().search(plain)
            if found is not None and found.lastgroup is not None:
                return _PATTERNS[int(found.lastgroup[1:])][0]
            break
    return None


@cache
def _compile_patterns() -> re.Pattern[str]:
    return re.compile("|".join(f"(?P<p{at}>{pattern})" for at, (_, pattern) in enumerate(_PATTERNS)))
