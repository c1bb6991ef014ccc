"""What texts are about, as vectors, so that a search finds what shares no word with it: `jecp-mcp[embeddings]`.

The vector of a text is the mean of its tokens' vectors, each weighed by how much the token tells in this catalog
(Arora, Liang, Ma: A Simple but Tough-to-Beat Baseline for Sentence Embeddings, 2017). The tokens' vectors, 256 numbers
each, come with the package wordllama; its files are read and its code is not run. Nothing is downloaded, and no text
leaves this process.
"""

from __future__ import annotations

import logging
import re
from collections.abc import Iterator, Sequence
from functools import cache
from importlib.util import find_spec
from itertools import chain, islice
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray
    from tokenizers import Tokenizer

from jecp_mcp.extras import EMBEDDINGS

log = logging.getLogger(__name__)

_PACKAGE: Final = "wordllama"
_WEIGHTS: Final = Path("weights", "l2_supercat_256.safetensors")
_TENSOR: Final = "embedding.weight"
_TOKENIZER: Final = Path("tokenizers", "l2_supercat_tokenizer_config.json")
_WORD: Final = re.compile(r"\w+|[^\w\s]")
_TOGETHER: Final = 100
_MOST_TOKENS: Final = 256
RARE: Final = 0.003
"""The share of a market that sells one thing, roughly: a word or token rarer than that tells nothing more."""


class Model:
    """The tokens of a language, each with a vector.

    Attributes:
        size: how many tokens there are.
        width: how many numbers a vector has.
    """

    def __init__(self, tokenizer: Tokenizer, vectors: NDArray[Any]) -> None:
        """Take one vector for each token of the tokenizer, by its number."""
        import numpy as np

        self._tokenizer = tokenizer
        self._vectors = vectors
        squares = np.einsum("ij,ij->i", vectors, vectors, dtype=np.float32, casting="same_kind")
        self._lengths = np.maximum(np.sqrt(squares), np.float32(1e-6))
        self.size: Final = vectors.shape[0]
        self.width: Final = vectors.shape[1]

    def tokens(self, texts: Sequence[str]) -> list[list[int]]:
        """The first 256 tokens of each text, whatever its case."""
        split = [_WORD.findall(text.lower().encode(errors="replace").decode()) for text in texts]
        # The tokenizer remembers what it has been given: words are few, texts are not.
        words = list(dict.fromkeys(chain.from_iterable(split)))
        encoded = self._tokenizer.encode_batch(words, add_special_tokens=False)
        known = {word: one.ids for word, one in zip(words, encoded, strict=True)}
        return [list(islice(chain.from_iterable(map(known.__getitem__, line)), _MOST_TOKENS)) for line in split]

    def vectors(self, tokens: NDArray[np.int32]) -> NDArray[np.float32]:
        """The vectors of tokens, each of length 1."""
        import numpy as np

        found = self._vectors[tokens].astype(np.float32)
        found /= self._lengths[tokens][:, None]
        return found


@cache
def installed() -> Model | None:
    """The model that comes with the extra `embeddings`; None without it. A quarter of a second."""
    found = find_spec(_PACKAGE)
    if found is None or not found.submodule_search_locations:
        return None
    if (absence := EMBEDDINGS.absence()) is not None:
        log.warning("searching by words alone: %s", absence)
        return None
    folder = Path(found.submodule_search_locations[0])
    try:
        from safetensors.numpy import load_file
        from tokenizers import Tokenizer

        tokenizer = Tokenizer.from_file(str(folder / _TOKENIZER))
        vectors = load_file(folder / _WEIGHTS)[_TENSOR]
    except Exception as fault:  # noqa: BLE001 - tokenizers raises no narrower one, and words can still be searched
        log.warning("searching by words alone: the vectors of %s cannot be read: %s", _PACKAGE, fault)
        return None
    tokenizer.no_padding()
    tokenizer.no_truncation()
    return Model(tokenizer, vectors)


class Likeness:
    """How like a query texts are.

    Attributes:
        of: of each text, in order, from -1 to 1.
    """

    def __init__(self, alike: NDArray[np.float32]) -> None:
        self._alike = alike
        self.of: Final[list[float]] = alike.tolist()

    def places(self) -> Iterator[int]:
        """The texts, the likest first."""
        return map(int, self._alike.argsort()[::-1])


class Vectors:
    """Texts as vectors of length 1, to be compared with a query's."""

    def __init__(self, model: Model, texts: Sequence[str]) -> None:
        """Embed these texts: a third of a second for 10,000 short ones."""
        import numpy as np

        self._model = model
        tokens = [
            np.array(ids, dtype=np.int32)
            for start in range(0, len(texts), _TOGETHER)
            for ids in model.tokens(texts[start : start + _TOGETHER])
        ]
        holding = np.zeros(model.size, dtype=np.float32)
        for ids in tokens:
            holding[np.unique(ids)] += 1
        self._idf = np.log1p(len(texts) / (holding + max(1.0, len(texts) * RARE))).astype(np.float32)
        self._texts = np.zeros((len(tokens), model.width), dtype=np.float32)
        for place, ids in enumerate(tokens):
            self._texts[place] = self._mean(ids)

    def likeness(self, query: str) -> Likeness:
        """How like a query each text is."""
        import numpy as np

        return Likeness(self._texts @ self._mean(np.array(self._model.tokens([query])[0], dtype=np.int32)))

    def _mean(self, tokens: NDArray[np.int32]) -> NDArray[np.float32]:
        """The vector of a text: of length 1, or 0 when there is nothing in it."""
        import numpy as np

        mean: NDArray[np.float32] = self._idf[tokens] @ self._model.vectors(tokens)
        return mean / np.float32(max(float(np.linalg.norm(mean)), 1e-6))
