"""Chunks of consecutive documents, each of which is classified, written and counted as a unit.

Chunks make the stage resumable and keep memory flat. Each has its own streams, replies and counts, so that its files
do not depend on which shard classifies it, and when.
"""

import json
from collections.abc import Callable, Generator, Iterable, Iterator, Mapping
from contextlib import closing
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final

from pipelines.behaviors.judge import JudgeTask
from pipelines.behaviors.recorded import first_judgements
from pipelines.behaviors.sets.four_habits import FOUR_HABITS
from pipelines.corpus.classify.document_judges import ClassifiedDocument, DocumentJudge
from pipelines.corpus.classify.facts import DocumentFacts
from pipelines.corpus.classify.stats import ClassificationStats
from pipelines.corpus.documents.filter import Document, DocumentFilter, RejectedDocument
from pipelines.corpus.documents.source import RawDocument
from pipelines.errors import InvalidInput
from pipelines.files import read_json, write_atomic, write_json
from pipelines.folder import StageFolder
from pipelines.llm.run_dialogues import SPENDING_FILE
from pipelines.records import Rollout, countdown_fields, rollout_id, upgrade_record
from pipelines.streams import StreamWriter, complete_lines, parse_line

SPLIT: Final = "document"
_DONE: Final = "done.json"
_REJECTED: Final = "rejected.jsonl"
_TOKENS: Final = ("answers", "input_tokens", "cached_tokens", "cache_write_tokens", "output_tokens")


@dataclass(slots=True)
class DocumentChunk:
    """One chunk and its files in the stage folder."""

    folder: StageFolder
    number: int
    _waiting: dict[str, Document] = field(default_factory=dict)

    @property
    def work(self) -> Path:
        """Folder with its replies, rejected documents and final counts."""
        return self.folder.path / "work" / f"chunk-{self.number:05d}"

    @property
    def stream(self) -> str:
        """Name of its streams."""
        return f"documents_{self.number:05d}"

    def tally(self) -> ClassificationStats | None:
        """Return its counts; None while it is not finished.

        Raises:
            InvalidInput: the file is damaged.
        """
        raw = read_json(self.work / _DONE)
        if raw is None:
            return None
        try:
            return ClassificationStats.model_validate(raw)
        except ValueError as error:
            raise InvalidInput(
                f"{self.work / _DONE} holds no count", detail=str(error), remedy="Delete it; the chunk is counted anew."
            ) from error

    def spent(self) -> float:
        """Return the US dollars spent on it so far."""
        raw = read_json(self.work / SPENDING_FILE)
        return float((raw or {}).get("cost_usd") or 0.0)

    def rejected(self) -> Iterator[bytes]:
        """Iterate over the lines with rejected documents."""
        path = self.work / _REJECTED
        if path.exists():
            for line in complete_lines(path):
                yield line.data + b"\n"

    def run(
        self,
        raws: Iterable[RawDocument],
        screen: DocumentFilter,
        judge: DocumentJudge,
        spent_before: float,
        step: Callable[[], None],
    ) -> ClassificationStats:
        """Classify the documents of the chunk that earlier attempts left over.

        Args:
            raws: all its documents.
            screen: which are judged.
            judge: who judges them.
            spent_before: US dollars spent on other chunks.
            step: called after each document; raises to stop.

        Returns:
            Its counts, which are on disk when this returns.
        """
        self.work.mkdir(parents=True, exist_ok=True)
        path, key, run_id = self.folder.path, self.folder.key, judge.run.id
        done = read_judged_ids(path, self.stream, run_id)
        rejected: list[RejectedDocument] = []
        n = 0

        def tasks() -> Iterator[JudgeTask]:
            nonlocal n
            for raw in raws:
                n += 1
                looked = screen.screen(raw)
                if isinstance(looked, RejectedDocument):
                    rejected.append(looked)
                    step()
                    continue
                uid = rollout_id(key, SPLIT, 0, f"{looked.number}\x1f{looked.name}", 0)
                if uid in done:
                    step()
                    continue
                self._waiting[uid] = looked
                yield JudgeTask(
                    uid, **countdown_fields(looked.numbers, looked.target, looked.name), completion=looked.text
                )

        with (
            self.folder.stream("rollouts", self.stream) as records,
            self.folder.stream("judgements", self.stream) as judgements,
            closing(_closable(judge.classify(tasks(), self.work, spent_before))) as classified,
        ):
            for one in classified:
                self._write(one, records, judgements, run_id)
                step()
        lines = (json.dumps(_rejection(each)) + "\n" for each in rejected)
        write_atomic(self.work / _REJECTED, "".join(lines))
        tally = self._count(n, rejected, run_id)
        write_json(self.work / _DONE, tally.model_dump())
        return tally

    def _write(self, one: ClassifiedDocument, records: StreamWriter, judgements: StreamWriter, run_id: str) -> None:
        document = self._waiting.pop(one.judged.task.rollout_id)
        records.append([document_record(document, one.judged.task.rollout_id, one.facts)])
        judgements.append(one.judged.records(run_id))

    def _count(self, n: int, rejected: list[RejectedDocument], run_id: str) -> ClassificationStats:
        """Count the records on disk, which several attempts may have written."""
        tally = ClassificationStats(documents=n)
        for each in rejected:
            tally.rejected[each.reason] = tally.rejected.get(each.reason, 0) + 1
        verdicts = read_document_counts(self.folder.path, self.stream, run_id)
        for placed in read_documents(self.folder.path, self.stream):
            verdict = verdicts.pop(placed.record["id"], None)
            if verdict is not None:
                tally.add(verdict.counts, verdict.statuses, placed.record["meta"])
                tally.spans += verdict.spans
                tally.unaligned += verdict.unaligned
        spent = read_json(self.work / SPENDING_FILE)
        if spent is not None:
            tally.tokens = {name: int(spent.get(name, 0)) for name in _TOKENS}
            tally.cost_usd = spent.get("cost_usd")
        return tally


def _closable(classified: Iterator[ClassifiedDocument]) -> Generator[ClassifiedDocument]:
    """Wrap an iterator into a generator, which closes the judge's own when it is closed."""
    yield from classified


def document_record(document: Document, uid: str, facts: DocumentFacts) -> Rollout:
    """Return a document as a rollout with an empty prompt and no reward, which the trace browser can open."""
    return Rollout(
        id=uid,
        step=0,
        split=SPLIT,
        problem_id=document.name,
        sample=0,
        **countdown_fields(document.numbers, document.target, document.name),
        prompt="",
        completion=document.text,
        reward=None,
        correct=None,
        answer=None,
        finish_reason="length" if document.truncated else "stop",
        n_tokens=0,
        meta={
            "unknown": ["n_tokens"],  # no model generated it, so it has no token count
            "number": document.number,
            "where": document.where,
            "characters": document.characters,
            "truncated": document.truncated,
            "domain": document.domain or facts.domain,
            "facts": facts.status,
            "problem": facts.problem,
            "solution": facts.solution,
            "flags": list(document.flags),
            **document.facts,
        },
    )


def _rejection(each: RejectedDocument) -> dict[str, Any]:
    return {name: getattr(each, name) for name in RejectedDocument.__slots__}


@dataclass(slots=True)
class DocumentCounts:
    """A judge's counts and statuses for one document."""

    counts: dict[str, int | None] = field(default_factory=dict)
    statuses: dict[str, str] = field(default_factory=dict)
    spans: int = 0
    unaligned: int = 0


def read_document_counts(path: Path, stream: str, run_id: str) -> dict[str, DocumentCounts]:
    """Return the judgements of a chunk by one judge run, by document id."""
    found: dict[str, DocumentCounts] = {}
    records = (located.record for located in _records(path, "judgements", stream))
    for record in first_judgements(records, run_id):
        verdict = found.setdefault(str(record["rollout_id"]), DocumentCounts())
        behavior = str(record["behavior"])
        verdict.statuses[behavior] = str(record["status"])
        verdict.counts[behavior] = record["count"]
        verdict.spans += len(record["spans"])
        verdict.unaligned += sum(span["start"] is None for span in record["spans"])
    return found


def read_judged_ids(path: Path, stream: str, run_id: str) -> set[str]:
    """Return the ids of a chunk's documents whose record and all judgements are on disk."""
    verdicts = read_document_counts(path, stream, run_id)
    whole = len(FOUR_HABITS.names)
    written = {placed.record["id"] for placed in _records(path, "rollouts", stream)}
    return {uid for uid, verdict in verdicts.items() if len(verdict.statuses) == whole and uid in written}


@dataclass(frozen=True, slots=True)
class LocatedRecord:
    """A record with its file and byte range."""

    record: Mapping[str, Any]
    path: Path
    start: int
    end: int


def read_documents(path: Path, stream: str) -> Iterator[LocatedRecord]:
    """Iterate over the records of a chunk's documents, each once."""
    seen: set[str] = set()
    for placed in _records(path, "rollouts", stream):
        if placed.record["id"] not in seen:
            seen.add(placed.record["id"])
            yield placed


def _records(path: Path, family: str, stream: str) -> Iterator[LocatedRecord]:
    for file in sorted(path.glob(f"{family}-{stream}-*.jsonl")):
        for line in complete_lines(file):
            try:
                yield LocatedRecord(upgrade_record(parse_line(line.data)), file, line.start, line.end)
            except ValueError:
                continue
