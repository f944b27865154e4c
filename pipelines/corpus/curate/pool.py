"""`CandidatePool`: an SQLite database of the candidates and prepared records of both sets; memory stays constant."""

import hashlib
import json
import sqlite3
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from pipelines.corpus.curate.selection import SetName
from pipelines.files import canonical_json
from pipelines.streams import parse_line

_CACHE_KIB: Final = 65_536

_TABLES: Final = """
    DROP TABLE IF EXISTS candidate; DROP TABLE IF EXISTS prepared; DROP TABLE IF EXISTS file;
    CREATE TABLE file (id INTEGER PRIMARY KEY, path TEXT UNIQUE);
    CREATE TABLE candidate (
        id INTEGER PRIMARY KEY, kind TEXT NOT NULL, bin TEXT NOT NULL, words INTEGER NOT NULL, draw INTEGER NOT NULL,
        counts TEXT NOT NULL, file INTEGER NOT NULL, start INTEGER NOT NULL, end INTEGER NOT NULL);
    CREATE TABLE prepared (
        id INTEGER PRIMARY KEY, kind TEXT NOT NULL, tokens INTEGER NOT NULL, matched INTEGER NOT NULL,
        chosen INTEGER NOT NULL DEFAULT 0, record TEXT NOT NULL);
    CREATE INDEX prepared_by_size ON prepared (kind, chosen, tokens);
"""


@dataclass(frozen=True, slots=True)
class Candidate:
    """A document that may be selected, and the byte range of its record."""

    path: Path
    start: int
    end: int
    counts: dict[str, int]
    """Behaviour → count, by its judge."""
    matched: bool
    """Whether the other set has a counterpart of the same domain and length."""

    def record(self) -> dict[str, Any]:
        """Read its record."""
        with self.path.open("rb") as stream:
            stream.seek(self.start)
            return parse_line(stream.read(self.end - self.start))


class CandidatePool:
    """Candidates and prepared records of both sets."""

    def __init__(self, path: Path, seed: int) -> None:
        path.unlink(missing_ok=True)
        self.database = sqlite3.connect(path, isolation_level=None)
        for pragma in ("journal_mode = OFF", "synchronous = OFF", f"cache_size = -{_CACHE_KIB}", "temp_store = FILE"):
            self.database.execute(f"PRAGMA {pragma}")
        self.database.executescript(_TABLES)
        self.database.execute("BEGIN")
        self._seed = seed
        self._files: dict[Path, int] = {}

    def close(self) -> None:
        """Close the database. The next pool at this path deletes it."""
        self.database.close()

    def add(
        self,
        kind: SetName,
        uid: str,
        where: str,
        words: int,
        counts: Mapping[str, int],
        path: Path,
        place: tuple[int, int],
    ) -> None:
        """Add a candidate.

        Args:
            kind: set that it may be selected for.
            uid: id of the document; with the seed it determines the random order.
            where: bin of domain and length.
            words: length of the document in words.
            counts: behaviour to count.
            path: file with the record of the document.
            place: start and end of that line, in bytes.
        """
        if path not in self._files:
            self._files[path] = len(self._files)
            self.database.execute("INSERT INTO file VALUES (?, ?)", (self._files[path], str(path)))
        draw = int.from_bytes(hashlib.sha256(f"{self._seed} {uid}".encode()).digest()[:8], "big", signed=True)
        self.database.execute(
            "INSERT INTO candidate (kind, bin, words, draw, counts, file, start, end) VALUES (?, ?, ?, ?, ?, ?, ?, ?)",
            (kind, where, words, draw, canonical_json(dict(counts)), self._files[path], *place),
        )

    def bins(self, kind: SetName) -> dict[str, tuple[int, int]]:
        """Return bin → (documents, words) of a set."""
        rows = self.database.execute(
            "SELECT bin, COUNT(*), SUM(words) FROM candidate WHERE kind = ? GROUP BY bin", (kind,)
        )
        return {name: (count, words) for name, count, words in rows}

    def ordered_candidates(self, kind: SetName) -> Iterator[Candidate]:
        """Yield the candidates of a set in the order of selection.

        Candidates of a bin are in random order. They are ranked by the share of the words common to both sets in
        their bin that is used up before them, so both sets have the same mixture of bins wherever selection stops.
        Candidates without a counterpart in the other set come last.
        """
        rows = self.database.execute(
            """
            WITH common AS (
                SELECT bin, MIN(words) AS words FROM
                    (SELECT kind, bin, SUM(words) AS words FROM candidate GROUP BY kind, bin)
                GROUP BY bin HAVING COUNT(*) = 2),
            placed AS (
                SELECT c.*, SUM(c.words) OVER (PARTITION BY c.bin ORDER BY c.draw, c.id) - c.words AS before
                FROM candidate c WHERE c.kind = ?)
            SELECT path, start, end, counts, common.words IS NOT NULL AND before < common.words AS matched
            FROM placed LEFT JOIN common USING (bin) JOIN file ON file.id = placed.file
            ORDER BY matched DESC, CASE WHEN common.words IS NULL THEN 0 ELSE (before + placed.words / 2.0)
                / common.words END, draw, placed.id
            """,
            (kind,),
        )
        for path, start, end, counts, matched in rows:
            yield Candidate(Path(path), start, end, json.loads(counts), bool(matched))

    def prepare(self, kind: SetName, place: int, tokens: int, record: str, *, matched: bool) -> None:
        """Add a record in the form in which it would be trained on.

        Args:
            kind: its set.
            place: rank in the order of the set; records may be added in any order.
            tokens: length of the record in tokens.
            record: its line in the output file.
            matched: whether its candidate has a counterpart.
        """
        self.database.execute(
            "INSERT INTO prepared (id, kind, tokens, matched, record) VALUES (?, ?, ?, ?, ?)",
            (place, kind, tokens, matched, record),
        )

    def prepared_tokens(self, kind: SetName) -> int:
        """Return the number of tokens of all prepared records of a set."""
        row = self.database.execute("SELECT COALESCE(SUM(tokens), 0) FROM prepared WHERE kind = ?", (kind,)).fetchone()
        return int(row[0])

    def choose(self, kind: SetName, budget: int) -> int:
        """Choose records in order while they fit, then exchange some to fill the gap; return the tokens chosen."""
        taken = last = 0
        db = self.database
        page = "SELECT id, tokens FROM prepared WHERE kind = ? AND id > ? ORDER BY id LIMIT 10000"
        while rows := db.execute(page, (kind, last)).fetchall():
            last = rows[-1][0]
            for row, tokens in rows:
                if taken + tokens <= budget:
                    taken += tokens
                    db.execute("UPDATE prepared SET chosen = 1 WHERE id = ?", (row,))
        while True:
            # No further record fits into the gap; replacing a chosen record by a longer one makes it smaller.
            gap = budget - taken
            best = db.execute(
                "SELECT a.id, b.id, b.tokens - a.tokens FROM"
                " (SELECT MIN(id) AS id, tokens FROM prepared WHERE kind = ? AND chosen = 1 GROUP BY tokens) a,"
                " (SELECT MIN(id) AS id, tokens FROM prepared WHERE kind = ? AND chosen = 0 GROUP BY tokens) b"
                " WHERE b.tokens - a.tokens BETWEEN 1 AND ? ORDER BY b.tokens - a.tokens DESC, a.id LIMIT 1",
                (kind, kind, gap),
            ).fetchone()
            if not gap or best is None:
                return taken
            db.execute("UPDATE prepared SET chosen = 0 WHERE id = ?", (best[0],))
            db.execute("UPDATE prepared SET chosen = 1 WHERE id = ?", (best[1],))
            taken += best[2]

    def first_unchosen(self, kind: SetName) -> tuple[int, str] | None:
        """Return (place, record) of the first record that was not chosen; None if all were."""
        row = self.database.execute(
            "SELECT id, record FROM prepared WHERE kind = ? AND chosen = 0 ORDER BY id LIMIT 1", (kind,)
        ).fetchone()
        return None if row is None else (int(row[0]), str(row[1]))

    def choose_instead(self, place: int, tokens: int, record: str) -> None:
        """Choose a record, replacing its prepared form, e.g. by its beginning."""
        self.database.execute(
            "UPDATE prepared SET chosen = 1, tokens = ?, record = ? WHERE id = ?", (tokens, record, place)
        )

    def chosen(self, kind: SetName) -> Iterator[tuple[str, bool]]:
        """Yield (record, matched) of the chosen records, in order."""
        for record, matched in self.database.execute(
            "SELECT record, matched FROM prepared WHERE kind = ? AND chosen = 1 ORDER BY id", (kind,)
        ):
            yield record, bool(matched)
