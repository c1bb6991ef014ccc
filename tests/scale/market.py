"""A Hub's worth of strangers' actions: ten thousand of them, unlike each other, the same for the same seed.

Some four hundred providers sell what `trades.txt` lists, each its own part of it, named, described, priced and grouped
in its own way, as manifests that a Hub publishes (JECP 04-manifest §5).

    python -m tests.scale.market FILE [--actions 10000]
"""

from __future__ import annotations

import argparse
import json
import random
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final, NamedTuple

HERE: Final = Path(__file__).parent
ACTIONS: Final = 10_000

_FORMATS: Final = {
    "docx": "Word", "pdf": "PDF", "pptx": "PowerPoint", "xlsx": "Excel", "csv": "CSV", "json": "JSON", "xml": "XML",
    "html": "HTML", "epub": "EPUB", "mobi": "Kindle", "yaml": "YAML", "odt": "OpenDocument", "rtf": "RTF", "tex": "LaTeX",
    "parquet": "Parquet", "markdown": "Markdown", "heic": "HEIC", "jpg": "JPEG", "png": "PNG", "webp": "WebP",
    "svg": "SVG", "tiff": "TIFF", "gif": "GIF", "psd": "Photoshop", "ico": "icon", "avif": "AVIF", "wav": "WAV",
    "mp3": "MP3", "flac": "FLAC", "ogg": "Ogg", "mp4": "MP4", "mov": "QuickTime", "mkv": "Matroska", "webm": "WebM",
}  # fmt: skip
_PAIRS: Final = {
    "doc": (
        "docx-pdf pdf-docx pptx-pdf xlsx-csv csv-xlsx csv-json json-csv xml-json json-xml yaml-json epub-mobi epub-pdf "
        "html-pdf pdf-html odt-docx rtf-docx tex-pdf csv-parquet docx-html xlsx-pdf markdown-epub html-markdown"
    ),
    "img": "heic-jpg png-webp svg-png png-jpg jpg-png tiff-pdf psd-png png-ico webp-jpg jpg-avif gif-mp4 png-svg",
    "av": "wav-mp3 flac-mp3 mp4-gif mov-mp4 mkv-mp4 mp4-mp3 ogg-wav webm-mp4 mp3-wav",
}
_LISTS: Final = {
    "lang": "spanish french german italian portuguese japanese korean chinese arabic russian dutch polish turkish hindi "
    "swedish ukrainian greek czech",
    "country": "germany france spain italy uk usa canada japan brazil india australia poland netherlands mexico sweden",
    "sport": "football basketball tennis baseball ice-hockey cricket golf rugby volleyball handball",
}
_CURRENCIES: Final = {
    "usd": "US dollar", "eur": "euro", "gbp": "British pound", "jpy": "Japanese yen", "chf": "Swiss franc",
    "cny": "Chinese yuan", "inr": "Indian rupee", "brl": "Brazilian real", "sek": "Swedish krona", "pln": "Polish zloty",
}  # fmt: skip
_NAMES: Final = {"uk": "the United Kingdom", "usa": "the United States", "netherlands": "the Netherlands"}
_SYLLABLES: Final = "ar bel cor dan el fen gal hol in jor kel lum mer nor oak pel quin ros sel tor und vel wes yar zen"
_KINDS: Final = "labs works api data hub soft systems studio tools cloud group house desk line forge"
_BEFORE: Final = ("", "", "", "Fast and exact: ", "Since 2011. ", "Batch or single. ", "For professionals. ")
_AFTER: Final = (
    "", "", "", " Answers in seconds.", " Updated daily.", " No data is kept.", " Made in Europe.", " REST and JSON.",
    " Up to 50 MB.", " Used by public bodies.", " With an explanation of each result.", " Beta.", " GDPR compliant.",
)  # fmt: skip
_TIERS: Final = ("bronze",) * 12 + ("silver",) * 3 + ("gold", "platinum")
_MOST_TOGETHER: Final = 6


class Trade(NamedTuple):
    """Something that providers sell: its name here, and the words for it."""

    name: str
    domain: str
    title: str
    descriptions: tuple[str, ...]
    inputs: tuple[str, ...]
    tags: tuple[str, ...]
    price: float


@dataclass
class Market:
    """Manifests, and what each of their actions really is.

    Attributes:
        trades: the trade of each action, by the action's key.
    """

    manifests: list[dict[str, Any]] = field(default_factory=list)
    trades: dict[str, str] = field(default_factory=dict)


def trades() -> list[Trade]:
    """Every trade of `trades.txt`, the lists in it spelt out."""
    found = []
    for line in (HERE / "trades.txt").read_text().splitlines():
        if line and not line.startswith("#"):
            found += [_trade(line, words) for words in _spelt_out(line)]
    return found


def _spelt_out(line: str) -> Iterator[Mapping[str, str]]:
    """What to write for the braces of a line, once for each trade that it stands for."""
    for kind, pairs in _PAIRS.items():
        if f"{{{kind}}}" in line:
            for pair in pairs.split():
                source, target = pair.split("-")
                names = {f"{kind}_from": _FORMATS[source], f"{kind}_to": _FORMATS[target], f"{kind}_tag": target}
                titled = {kind.capitalize(): f"{_FORMATS[source]} to {_FORMATS[target]}"}
                yield {kind: f"{source}-to-{target}", **titled, **names}
            return
    for kind, members in _LISTS.items():
        if f"{{{kind}}}" in line:
            for member in members.split():
                yield {kind: member, kind.capitalize(): _NAMES.get(member, member.replace("-", " ").title())}
            return
    if "{currency}" in line:
        for code, name in _CURRENCIES.items():
            yield {"currency": code, "Currency": code.upper(), "currency_name": name}
        return
    yield {}


def _trade(line: str, words: Mapping[str, str]) -> Trade:
    if words:
        line = line.format(**words)
    domain, name, title, said, inputs, tags, price = (part.strip() for part in line.split(" | "))
    return Trade(
        name,
        domain,
        title,
        tuple(text.strip() for text in said.split(" / ")),
        tuple(text.strip() for text in inputs.split(",")),
        tuple(text.strip() for text in tags.split(",")),
        float(price),
    )


def market(actions: int = ACTIONS, seed: int = 5) -> Market:
    """So many actions of as many providers as that takes."""
    dice = random.Random(seed)
    by_domain: dict[str, list[Trade]] = {}
    for trade in trades():
        by_domain.setdefault(trade.domain, []).append(trade)
    made = Market()
    taken: set[str] = set()
    left = actions
    while left:
        namespace = _namespace(dice, taken)
        style = _Style(dice)
        for domain in dice.sample(sorted(by_domain), dice.choice((1, 1, 2, 3))):
            known = by_domain[domain]
            sold = dice.sample(known, min(left, dice.randint(2, len(known))))
            left -= len(sold)
            for capability, together in style.grouped(domain, sold):
                made.manifests.append(_manifest(namespace, capability, together, style, made.trades))
    return made


def _namespace(dice: random.Random, taken: set[str]) -> str:
    syllables, kinds = _SYLLABLES.split(), _KINDS.split()
    while True:
        name = "".join(dice.sample(syllables, dice.choice((2, 2, 3)))) + dice.choice(("", f"-{dice.choice(kinds)}"))
        if name not in taken:
            taken.add(name)
            return name


class _Style:
    """How one provider names, groups, words and prices what it sells."""

    def __init__(self, dice: random.Random) -> None:
        self.dice = dice
        self.together = dice.random() < 0.5
        self.verb = dice.choice(("run", "get", "perform", "create", "process", "call"))
        self.dear = dice.choice((0.5, 0.8, 1, 1, 1.25, 2, 3.5))
        self.before, self.after = dice.choice(_BEFORE), dice.choice(_AFTER)
        self.currency = dice.choice(("USDC", "USD"))
        self.calls = int(dice.paretovariate(0.7) * 10)

    def grouped(self, domain: str, sold: list[Trade]) -> Iterator[tuple[str, list[Trade]]]:
        """Capabilities by name: one for each trade, or a few for the domain."""
        if not self.together:
            for trade in sold:
                yield trade.name, [trade]
            return
        for at in range(0, len(sold), _MOST_TOGETHER):
            suffix = f"-{at // _MOST_TOGETHER + 1}" if at else ""
            yield f"{domain}{suffix}", sold[at : at + _MOST_TOGETHER]


def _manifest(
    namespace: str, capability: str, sold: list[Trade], style: _Style, known: dict[str, str]
) -> dict[str, Any]:
    dice = style.dice
    actions = []
    for trade in sold:
        action = trade.name if style.together else style.verb
        known[f"{namespace}/{capability}:{action}"] = trade.name
        actions.append(_action(action, trade, style))
    domain = sold[0].domain
    said = f"{domain.capitalize()} by {namespace}." if style.together else dice.choice(sold[0].descriptions)
    return {
        "namespace": namespace,
        "capability": capability,
        "version": f"{dice.randint(0, 4)}.{dice.randint(0, 12)}.{dice.randint(0, 9)}",
        "description": said,
        "tags": list(dict.fromkeys([*(sold[0].tags if not style.together else ()), domain]))[:8],
        "endpoint": f"https://{namespace}.example/jecp",
        "actions": actions,
    }


def _action(name: str, trade: Trade, style: _Style) -> dict[str, Any]:
    dice = style.dice
    text = f"{style.before}{dice.choice(trade.descriptions)}{style.after}"
    price = max(1, round(trade.price * style.dear * dice.uniform(0.7, 1.4) * 10_000)) / 10_000
    return {
        "id": name,
        "name": trade.title if dice.random() < 0.8 else trade.name.replace("-", " "),
        "description": text[:300],
        "pricing": {"base": f"${price:.4f}", "currency": style.currency, "model": "per_call"},
        "trust_tier_required": dice.choice(_TIERS),
        "rate_limit_rpm": dice.choice((30, 60, 120)),
        "input_schema": _schema(trade, dice),
        "output_schema": {"type": "object", "properties": {"result": {}}},
        "side_effects": {"external_api_call": True, "stores_data": dice.random() < 0.1},
        "sla": {"latency_p95_ms": dice.choice((300, 800, 2_500)), "timeout_ms": 30_000},
    }


_WORDS: Final = {
    "file": "The file, base64 or https.", "image": "The picture, base64 or https.", "text": "The text.",
    "audio": "The recording, base64 or https.", "video": "The video, base64 or https.", "url": "An https address.",
    "query": "What to look for.", "place": "A town, an address or coordinates.", "date": "YYYY-MM-DD.",
    "language": "BCP 47 tag.", "country": "ISO 3166 code.",
}  # fmt: skip


def _schema(trade: Trade, dice: random.Random) -> dict[str, Any]:
    properties: dict[str, Any] = {}
    required = []
    for written in trade.inputs:
        name, _, kind = written.partition(":")
        if name.endswith("!"):
            name = name[:-1]
            required.append(name)
        one: dict[str, Any] = {"type": kind or "string"}
        if kind == "array":
            one |= {"items": {}, "maxItems": dice.choice((20, 100, 1_000))}
        elif not kind:
            one["maxLength"] = dice.choice((200, 2_000, 100_000))
        one["description"] = _WORDS.get(name, name.replace("_", " ").capitalize() + ".")
        properties[name] = one
    return {"type": "object", "properties": properties, "required": required, "additionalProperties": False}


def labelled(path: Path) -> list[tuple[frozenset[str], str]]:
    """Phrasings with the trades, or the keys of the sandbox's own actions, that serve them."""
    lines = [line for line in path.read_text().splitlines() if line and not line.startswith("#")]
    pairs = [line.split(" | ", 1) for line in lines]
    return [(frozenset(meant.split(",")), said) for meant, said in pairs]


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("file", type=Path)
    parser.add_argument("--actions", type=int, default=ACTIONS)
    given = parser.parse_args()
    given.file.write_text(json.dumps(market(given.actions).manifests))
