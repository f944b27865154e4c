"""Detection of exact and near duplicates: banded MinHash signatures (rensa), kept on disk."""

import hashlib
import re
import sqlite3
from array import array
from typing import Any, Final

from pipelines.errors import MissingRequirement

PERMUTATIONS: Final = 128
BANDS: Final = 16
_ROWS: Final = PERMUTATIONS // BANDS
"""Two documents with a Jaccard similarity of 0.8 share a band with 95 % probability, with 0.5 with 6 %."""
_SEED: Final = 42
_TABLES: Final = (
    "DROP TABLE IF EXISTS exact",
    "DROP TABLE IF EXISTS band",
    "DROP TABLE IF EXISTS signature",
    "CREATE TABLE exact (digest BLOB PRIMARY KEY) WITHOUT ROWID",
    "CREATE TABLE band (mark INTEGER, signature INTEGER, PRIMARY KEY (mark, signature)) WITHOUT ROWID",
    "CREATE TABLE signature (id INTEGER PRIMARY KEY, digest BLOB)",
)
_WORD: Final = re.compile(r"\S+")


class NearDuplicateIndex:
    """Documents seen so far, in a database, so that memory does not grow with their number.

    Args:
        database: for the tables, which are created anew.
        threshold: smallest Jaccard similarity of the word n-grams of near duplicates; 1 finds exact duplicates only, up
            to white space and case.
        words: the n of the n-grams.
    """

    def __init__(self, database: sqlite3.Connection, threshold: float, words: int) -> None:
        self._db = database
        self._threshold = threshold
        self._words = words
        self._minhash = _minhash() if threshold < 1 else None
        for statement in _TABLES:  # a script would end the transaction of the caller
            database.execute(statement)

    def check_and_add(self, text: str) -> str | None:
        """Return `duplicate` or `near_duplicate`, or None for a new text, which is added."""
        words = _WORD.findall(text.lower())
        digest = hashlib.sha256(" ".join(words).encode("utf-8", "surrogatepass")).digest()[:16]
        if not self._db.execute("INSERT OR IGNORE INTO exact VALUES (?)", (digest,)).rowcount:
            return "duplicate"
        if self._minhash is None:
            return None
        n = self._words
        shingles = {" ".join(words[at : at + n]) for at in range(max(1, len(words) - n + 1))}
        hashed = self._minhash(num_perm=PERMUTATIONS, seed=_SEED)
        # Rust takes no lone surrogates.
        hashed.update([each.encode("utf-8", "replace").decode("utf-8") for each in shingles])
        values = array("I", hashed.digest())
        marks = [_mark(band, values) for band in range(BANDS)]
        if self._similar(values, marks):
            return "near_duplicate"
        row = self._db.execute("INSERT INTO signature (digest) VALUES (?)", (values.tobytes(),)).lastrowid
        self._db.executemany("INSERT OR IGNORE INTO band VALUES (?, ?)", [(mark, row) for mark in marks])
        return None

    def _similar(self, values: "array[int]", marks: list[int]) -> bool:
        holes = ", ".join("?" * len(marks))
        found = self._db.execute(
            f"SELECT digest FROM signature WHERE id IN (SELECT signature FROM band WHERE mark IN ({holes}))", marks
        )
        for (blob,) in found:
            other = array("I", blob)
            same = sum(a == b for a, b in zip(values, other, strict=True))
            if same >= self._threshold * PERMUTATIONS:
                return True
        return False


def _mark(band: int, values: "array[int]") -> int:
    rows = values[band * _ROWS : (band + 1) * _ROWS].tobytes()
    return int.from_bytes(hashlib.blake2b(rows, digest_size=8, salt=bytes([band])).digest(), "big", signed=True)


def _minhash() -> Any:
    try:
        from rensa import RMinHash
    except ModuleNotFoundError as error:
        raise MissingRequirement(
            "finding near duplicates needs rensa",
            remedy="Install the extra: pip install 'cogtui[corpus]', or set near_duplicates = 1 for exact ones only.",
        ) from error
    return RMinHash
