"""Masked tokens of a clause: words as they are, mathematics as classes, so that unseen formulas look seen."""

import re
import zlib
from functools import cache
from typing import Final

import numpy as np
from numpy.typing import NDArray

TOKEN: Final = re.compile(r"\\[A-Za-z]+|[A-Za-z]+(?:['’][A-Za-z]+)?|\d+(?:[.,]\d+)*|\n\n+|[^\sA-Za-z\d]")
_OPERATORS: Final = frozenset("+-*/^×·÷−≈<>≤≥→⇒∝√±_{}[]|∫∑=≠≡")
FORMULA: Final = ("<num>", "<var>", "<op>", "<tex>", "<sym>")
"""Masks of what stands in formulas; a run of them is folded."""

_FILLERS: Final = """wait but so hmm hm now okay ok alright well and however oh ah actually no then also just hold on
to be sure thorough safe yes yeah right , . : ; ! - ( ) <md> <num> <par>"""
FILLERS: Final = frozenset(_FILLERS.split())
"""Tokens that may open a clause without saying what it does."""

CUES: Final[dict[str, str]] = {
    "halt": "wait hold hmm hm actually oops",
    "other": "alternatively another instead different differently alternative else",
    "doubt": "maybe perhaps might could possibly",
    "check": "check verify confirm double recheck verification recalculate recompute checking test sanity",
    "sure": "again sure correct correctly",
    "order": "first next start step starting begin second finally",
    "need": "need find determine want goal identify",
    "compute": "compute calculate plug plugging solve substitute substituting",
    "consider": "consider analyze break suppose assume case cases split",
    "hence": "so therefore thus hence",
    "result": "gives get conclusion answer final equals total",
    "error": "mistake error wrong incorrect incorrectly missed misread overlooked",
    "negation": "not doesn't can't impossible contradiction stuck complicated tricky confusing isn't don't",
    "me": "me let's let",
    "will": "i'll should might could",
    "person": "we i'm i",
    "agrees": "matches match consistent works good right makes sense yes indeed satisfies satisfied valid holds",
    "but": "but however",
    "if": "if",
    "recall": "recall remember look think",
}
"""Words whose presence and distance are features, by what they announce."""

SHAPES: Final = ("<num>", "=", "<op>", "<var>", "<md>", "?", "<other>")
"""Masks whose number in a clause is a feature."""

N_CUES: Final = len(CUES)
N_CLASSES: Final = N_CUES + len(SHAPES)


@cache
def _classes() -> dict[str, list[int]]:
    found: dict[str, list[int]] = {}
    for number, words in enumerate(CUES.values()):
        for word in words.split():
            found.setdefault(word, []).append(number)
    for number, mask in enumerate(SHAPES):
        found.setdefault(mask, []).append(N_CUES + number)
    for mask in ("<tex>", "<sym>"):
        found.setdefault(mask, []).append(N_CUES + SHAPES.index("<op>"))
    return found


def mask(token: str) -> str:
    """Return the masked form of a token, e.g. `<num>` of `12`."""
    first = token[0]
    if first == "\n":
        return "<par>"
    if first == "\\" and len(token) > 1:
        return "<tex>"
    if first.isdigit():
        return "<num>"
    if first.isalpha():
        lower = token.lower().replace("’", "'")
        if len(token) == 1 and not (first.isascii() and lower in ("a", "i")):
            return "<var>"
        return "<sym>" if 1 < len(token) <= 4 and token.isupper() else lower
    if first in "*#":
        return "<md>"
    if first == "=":
        return "="
    if first in _OPERATORS:
        return "<op>"
    if first in "’‘":
        return "'"
    return token if first.isascii() else "<other>"


class ProseTokens:
    """What is known of each token met so far, as rows of arrays; emptied when large.

    Attributes:
        row: token to row.
        hash: (rows,) hash of the masked form.
        classes: (rows, N_CLASSES) whether it is of a class.
        filler, formula, number, equals: (rows,) flags.
    """

    _LARGEST: Final = 60_000

    def __init__(self) -> None:
        self._clear()

    def _clear(self) -> None:
        size = 1 << 12
        self.row: dict[str, int] = {}
        self.hash = np.zeros(size, np.uint64)
        self.classes = np.zeros((size, N_CLASSES), np.float32)
        self.filler = np.zeros(size, bool)
        self.formula = np.zeros(size, bool)
        self.number = np.zeros(size, bool)
        self.equals = np.zeros(size, bool)

    def rows(self, tokens: list[str]) -> NDArray[np.int64]:
        """Return the row of each token; unknown ones are added."""
        row = self.row
        try:
            return np.array([row[token] for token in tokens], np.int64)
        except KeyError:
            pass
        if len(row) > self._LARGEST:
            self._clear()
            row = self.row
        for token in tokens:
            if token not in row:
                self._add(token)
        return np.array([row[token] for token in tokens], np.int64)

    def _add(self, token: str) -> None:
        masked = mask(token)
        at = len(self.row)
        if at == len(self.hash):
            for name in ("hash", "classes", "filler", "formula", "number", "equals"):
                old = getattr(self, name)
                setattr(self, name, np.concatenate([old, np.zeros_like(old)]))
        self.row[token] = at
        self.hash[at] = zlib.crc32(masked.encode()) | 1
        self.classes[at, _classes().get(masked, [])] = 1
        self.filler[at] = masked in FILLERS
        self.formula[at] = masked in FORMULA or masked == "<md>"
        self.number[at] = masked == "<num>" and len(token) > 1
        self.equals[at] = masked == "="
