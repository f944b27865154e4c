"""Verdicts of a judge, stored in the folder of the stage whose texts were judged, so that no stage judges them again.

A verdict is found by the digest of all that it depends on: judge run, task, problem and completion. A text that was
changed, another version of the judge, a lost file and a damaged line all lead to judging again, never to the verdicts
of another text. The files are a cache: they are in no manifest and may be deleted.
"""

import hashlib
import json
import os
import sys
from collections.abc import Iterable
from pathlib import Path
from types import TracebackType
from typing import Any, Final, Self

from pipelines.behaviors.judge import BehaviorVerdict, JudgedTask, JudgeTask, check_span
from pipelines.files import canonical_json
from pipelines.records import ArithmeticFact, AttemptFact, Span
from pipelines.streams import complete_lines

FOLDER: Final = "verdicts"
_KEY: Final = slice(2, 34)
_CHECKSUM: Final = slice(37, 53)
_PAYLOAD: Final = slice(55, -1)
"""A line is `["KEY","CHECKSUM",PAYLOAD]`: the digest of the judged text, the xxh3 of the payload, and the verdicts."""


class VerdictWriter:
    """Appends verdicts to a file of its own; texts whose verdicts are in the folder already are skipped.

    For deterministic judges that place each span exactly. Verdicts with other spans, raw answers or usage are not
    stored.

    A failure to write costs the cache and nothing else: it is named on stderr, and nothing more is stored.
    """

    def __init__(self, stage: Path, judge_run: str) -> None:
        self._folder = stage / FOLDER
        self._judge_run = judge_run
        self._stored = {bytes(line.data[_KEY]) for path in _files(stage, judge_run) for line in complete_lines(path)}
        self._fd: int | None = None
        self._failed = False

    def append(self, judged: Iterable[JudgedTask]) -> None:
        """Store the verdicts on some tasks."""
        lines = []
        for each in judged:
            key = _key(self._judge_run, each.task)
            if key in self._stored or not all(map(_is_storable, each.verdicts.values())):
                continue
            self._stored.add(key)
            payload = _payload(each)
            lines.append(b'["%b","%b",%b]\n' % (key, _checksum(payload), payload))
        if lines and not self._failed:
            self._write(b"".join(lines))

    def _write(self, data: bytes) -> None:
        try:
            if self._fd is None:
                self._fd = self._open()
            if os.write(self._fd, data) != len(data):
                raise OSError(28, "a line was written in part")
        except OSError as error:
            self._failed = True
            self.close()
            sys.stderr.write(f"warning: verdicts are not stored in {self._folder}: {error.strerror}\n")

    def _open(self) -> int:
        """Open the next file: a torn last line of an attempt that was killed is never continued."""
        self._folder.mkdir(exist_ok=True)
        part = len(_files(self._folder.parent, self._judge_run)) + 1
        path = self._folder / f"{self._judge_run}-{part:03d}.jsonl"
        return os.open(path, os.O_WRONLY | os.O_APPEND | os.O_CREAT | os.O_EXCL, 0o644)

    def close(self) -> None:
        """Close the file."""
        if self._fd is not None:
            os.close(self._fd)
            self._fd = None

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()


class StoredVerdicts:
    """The verdicts that stages stored for one judge run. Memory holds a digest and a place for each."""

    def __init__(self, stages: Iterable[Path], judge_run: str) -> None:
        self._judge_run = judge_run
        self._places: dict[bytes, tuple[Path, int, int]] = {}
        for path in (path for stage in stages for path in _files(stage, judge_run)):
            for line in complete_lines(path):
                self._places[bytes(line.data[_KEY])] = (path, line.start, line.end)

    def find(self, task: JudgeTask) -> JudgedTask | None:
        """Return the stored verdicts on a task; None if there are none, or if they are damaged."""
        place = self._places.get(_key(self._judge_run, task))
        if place is None:
            return None
        path, start, end = place
        try:
            with path.open("rb") as stream:
                stream.seek(start)
                line = stream.read(end - start).rstrip(b"\n")
            payload = line[_PAYLOAD]
            if _checksum(payload) != line[_CHECKSUM]:
                return None
            return _judged(task, json.loads(payload))
        except (OSError, ValueError, TypeError, AttributeError, KeyError):
            return None


def _files(stage: Path, judge_run: str) -> list[Path]:
    return sorted((stage / FOLDER).glob(f"{judge_run}-[0-9][0-9][0-9]*.jsonl"))


def _key(judge_run: str, task: JudgeTask) -> bytes:
    """Return the digest of all that a verdict depends on, 32 hex digits."""
    head = canonical_json([judge_run, task.task, dict(task.problem)])
    text = f"{head}\n{task.completion}".encode("utf-8", "surrogatepass")
    return hashlib.sha256(text).hexdigest()[:32].encode()


def _checksum(payload: bytes) -> bytes:
    import xxhash  # here: a stage that stores no verdicts does not need it

    return xxhash.xxh3_64_hexdigest(payload).encode()


def _is_storable(verdict: BehaviorVerdict) -> bool:
    exact = all(span.alignment == "exact" for span in verdict.spans)
    return verdict.status == "ok" and exact and verdict.raw is None and not verdict.usage


def _payload(judged: JudgedTask) -> bytes:
    """Return the verdicts as JSON. Quotes are left out: they are cut from the text again."""
    fields = {
        "verdicts": {
            behavior: {
                "count": verdict.count,
                "spans": [span.model_dump(exclude_defaults=True, exclude={"quote"}) for span in verdict.spans],
            }
            for behavior, verdict in judged.verdicts.items()
        },
        "facts": [fact.model_dump(exclude_defaults=True, exclude={"quote"}) for fact in judged.facts],
        "attempts": [attempt.model_dump() for attempt in judged.attempts],
    }
    return json.dumps(fields, separators=(",", ":"), allow_nan=False).encode()


def _judged(task: JudgeTask, fields: dict[str, Any]) -> JudgedTask:
    text = task.completion
    verdicts = {
        behavior: BehaviorVerdict("ok", verdict["count"], tuple(_span(text, span) for span in verdict["spans"]))
        for behavior, verdict in fields["verdicts"].items()
    }
    facts = tuple(ArithmeticFact(quote=text[fact["start"] : fact["end"]], **fact) for fact in fields["facts"])
    for span in (span for verdict in verdicts.values() for span in verdict.spans):
        check_span(span, text)
    attempts = tuple(AttemptFact(**attempt) for attempt in fields["attempts"])
    return JudgedTask(task, verdicts, facts, attempts)


def _span(text: str, fields: dict[str, Any]) -> Span:
    return Span(quote=text[fields["start"] : fields["end"]], **fields)
