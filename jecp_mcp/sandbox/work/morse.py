"""Provider ``lectern``: a text as Morse code (ITU-R M.1677-1), WAV, paid by the second, within the base price."""

from __future__ import annotations

import io
import unicodedata
import wave
from typing import TYPE_CHECKING, Any

from jecp_mcp.sandbox.work import schemas
from jecp_mcp.sandbox.work.forms import Action, Capability, Ending, Input, Work, WorkFailed

if TYPE_CHECKING:
    import numpy as np

_RATE = 8_000
_MOST_SECONDS = 120
_EDGE = 0.005
_SIGNS = (  # noqa: SIM905  # a code table reads best as one
    "a .- b -... c -.-. d -.. e . f ..-. g --. h .... i .. j .--- k -.- l .-.. m -- n -. o --- p .--. q --.- r .-. "
    "s ... t - u ..- v ...- w .-- x -..- y -.-- z --.. 0 ----- 1 .---- 2 ..--- 3 ...-- 4 ....- 5 ..... 6 -.... "
    "7 --... 8 ---.. 9 ----. . .-.-.- , --..-- : ---... ? ..--.. ' .----. - -....- / -..-. ( -.--. ) -.--.- "
    '" .-..-. = -...- + .-.-. @ .--.-.'
).split()
_CODES = dict(zip(_SIGNS[::2], _SIGNS[1::2], strict=True))


def code_of(text: str) -> str:
    """Dots and dashes, letters apart by a space and words by `` / ``; accents are dropped.

    Raises:
        WorkFailed: ``CHARACTERS_UNSUPPORTED``.
    """
    bare = "".join(c for c in unicodedata.normalize("NFKD", text) if not unicodedata.combining(c)).lower()
    missing = sorted({c for c in bare if not c.isspace() and c not in _CODES})
    if missing:
        raise WorkFailed("CHARACTERS_UNSUPPORTED", f"Morse code has no sign for {' '.join(missing[:10])}")
    return " / ".join(" ".join(_CODES[c] for c in word) for word in bare.split())


def send(given: Input) -> Work:
    """Key a sine wave, its edges softened."""
    import numpy as np

    code = code_of(given["text"])
    if not code:
        raise WorkFailed("TEXT_EMPTY", "there is nothing to send")
    unit = 1.2 / given.get("words_per_minute", 20)
    keyed = _keying(code)
    seconds = sum(length for _, length in keyed) * unit
    if seconds > _MOST_SECONDS:
        raise WorkFailed(
            "TOO_LARGE", f"the sound would last {seconds:.0f} seconds, at most {_MOST_SECONDS} are allowed"
        )
    volume = np.concatenate([_beat(on, round(length * unit * _RATE)) for on, length in keyed])
    tone = np.sin(2 * np.pi * given.get("tone_hz", 600) / _RATE * np.arange(len(volume)))
    samples = (volume * tone * 0.6 * 32_767).astype("<i2")
    out = io.BytesIO()
    with wave.open(out, "wb") as sound:
        sound.setnchannels(1)
        sound.setsampwidth(2)
        sound.setframerate(_RATE)
        sound.writeframes(samples.tobytes())
    return Work(artifact=("audio/wav", out.getvalue()), units={"audio_seconds": -(-len(samples) // _RATE)})


def _keying(code: str) -> list[tuple[bool, int]]:
    """Key down or up, and for how many units: 1 and 3 down; 1 within a letter, 3 between letters, 7 between words."""
    keyed: list[tuple[bool, int]] = []
    for word_place, word in enumerate(code.split(" / ")):
        if word_place:
            keyed.append((False, 7))
        for letter_place, letter in enumerate(word.split(" ")):
            if letter_place:
                keyed.append((False, 3))
            for place, sign in enumerate(letter):
                if place:
                    keyed.append((False, 1))
                keyed.append((True, 3 if sign == "-" else 1))
    return keyed


def _beat(on: bool, length: int) -> np.ndarray[Any, Any]:
    import numpy as np

    if not on:
        return np.zeros(length)
    edge = min(round(_EDGE * _RATE), length // 2)
    ramp = (1 - np.cos(np.linspace(0, np.pi, edge))) / 2
    return np.concatenate([ramp, np.ones(length - 2 * edge), ramp[::-1]])


CAPABILITY = Capability(
    namespace="lectern",
    capability="morse",
    version="1.0.1",
    name="Morse code",
    description="Turns text into the sound of Morse code; paid by the second.",
    tags=("audio", "wav", "morse"),
    ending=Ending("deprecated", 24),
    actions=(
        Action(
            id="send",
            name="Send",
            description="Send a text in Morse code as a WAV sound (8 kHz, mono). Each second begun is charged.",
            price="0.06",
            model="per_second",
            rates={"audio_per_second_usdc": "0.0005"},
            work=send,
            input_schema=schemas.record(
                {
                    "text": schemas.text("Latin letters, digits and common punctuation; up to 120 s of sound.", 500),
                    "words_per_minute": schemas.whole("Speed, in PARIS words.", 5, 40, default=20),
                    "tone_hz": schemas.whole("Pitch, in hertz.", 200, 2_000, default=600),
                },
                optional=("words_per_minute", "tone_hz"),
            ),
            output_schema=schemas.artifact("audio/wav"),
            examples=({"input": {"text": "Paris, 1 July", "words_per_minute": 25}},),
        ),
    ),
)
