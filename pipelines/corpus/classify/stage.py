"""The `classify` stage: judges a corpus of documents for the four behaviours, in shards if there are many."""

import time
from collections.abc import Iterator
from contextlib import closing
from itertools import groupby
from pathlib import Path
from typing import Any, Final

from pydantic import Field, model_validator

from pipelines.behaviors.judges.config import JudgeChoiceConfig
from pipelines.behaviors.judges.llm.config import model_of
from pipelines.behaviors.judges.registry import judge_kind, make_judge
from pipelines.corpus.classify.chunks import DocumentChunk
from pipelines.corpus.classify.document_judges import (
    DocumentJudge,
    ModelDocumentJudge,
    RegisteredDocumentJudge,
    RulesDocumentJudge,
)
from pipelines.corpus.classify.stats import ClassificationStats
from pipelines.corpus.documents.filter import DocumentFilter
from pipelines.corpus.documents.source import DocumentSource, DocumentSourceConfig, open_source
from pipelines.errors import InvalidInput, StageFailed
from pipelines.files import read_json, write_json
from pipelines.folder import StageFolder
from pipelines.llm.clients.vllm_offline import OfflineVLLMConfig
from pipelines.shards import Shard, current_shard
from pipelines.signals import graceful
from pipelines.stages import Inputs

REJECTED_NAME: Final = "rejected.jsonl"
_REPORT_INTERVAL_S: Final = 2.0
"""Seconds between reads of the progress of other shards."""


class ClassifyConfig(DocumentSourceConfig, JudgeChoiceConfig):
    """Config of the `classify` stage."""

    judge: str = Field(
        default="prose",
        description="Which judge: prose, rules (rules for documents about puzzles, prose for others), openai:MODEL, "
        "anthropic:MODEL, vllm:MODEL (with url) or one of a plug-in.",
    )

    language: str = Field(
        default="en", description="ISO 639-1 code of the language documents must be written in; empty takes all."
    )
    max_characters: int = Field(
        default=20_000,
        ge=200,
        description="Characters of a document that are judged and kept; a longer one is cut at a sentence.",
    )
    max_bytes: int = Field(default=5_000_000, ge=1_000, description="A larger document is rejected.")
    chunk: int = Field(
        default=5_000,
        ge=1,
        description="Documents that are written and counted together; shards take chunks. More suit slow Batch APIs.",
    )
    offline: OfflineVLLMConfig | None = Field(
        default=None,
        description="Runs the model of judge = vllm:MODEL in this stage's own job, without a server.",
        json_schema_extra={"in_key": False},
    )
    shards: int = Field(
        default=1,
        ge=1,
        le=1_000,
        description="Tasks of the Slurm array that works on it; elsewhere one process does all.",
        json_schema_extra={"in_key": False},
    )

    @model_validator(mode="after")
    def _runs_a_model(self) -> "ClassifyConfig":
        if self.offline is not None and not (self.judge.startswith("vllm:") and self.url is None):
            raise ValueError("offline: goes with judge = vllm:MODEL and no url")
        return self


def run(config: ClassifyConfig, inputs: Inputs, folder: StageFolder) -> None:
    """Classify the remaining documents of this shard, or of all; a run without a shard adds up the counts."""
    source = open_source(config.documents, config.dataset, config.columns, config.limit, inputs)
    judge = document_judge(config)
    write_json(folder.artifacts / "judge_run.json", judge.run.model_dump(mode="json"))
    work = _ClassifyRun(config, source, judge, folder, current_shard())
    with closing(judge):
        work.run()
    if work.shard is None:
        work.gather()


def document_judge(config: ClassifyConfig) -> DocumentJudge:
    """Make the judge a config names. Spends nothing and imports no SDK.

    Raises:
        InvalidInput: there is no such judge, or it judges other behaviours than the four habits.
    """
    if model_of(config) is not None:
        return ModelDocumentJudge(config, config.offline)
    if config.judge == "rules":
        return RulesDocumentJudge()
    kind = judge_kind(config.judge)
    if kind.behaviors != "four_habits":
        raise InvalidInput(
            f"classify counts the behaviours of four_habits; the judge {config.judge} judges {kind.behaviors}",
            remedy="Name a judge of four_habits.",
        )
    return RegisteredDocumentJudge(make_judge(config.judge, config))


class _ClassifyRun:
    def __init__(
        self,
        config: ClassifyConfig,
        source: DocumentSource,
        judge: DocumentJudge,
        folder: StageFolder,
        shard: Shard | None,
    ) -> None:
        self._config = config
        self._source = source
        self._judge = judge
        self._folder = folder
        self.shard = shard
        self._screen = DocumentFilter(config.language or None, config.max_bytes, config.max_characters)
        self._total = source.count()
        self._began = time.monotonic()
        self._here = 0
        """Documents that this process classified or rejected."""
        self._before = 0
        self._looked = 0.0
        self._spent = 0.0
        self._chunks = 0
        """Number of chunks of the source, as far as it was read."""
        self._finished = self._found_done()

    def _found_done(self) -> set[int]:
        """Return the numbers of the finished chunks, and take over their totals."""
        done = {int(path.parent.name.removeprefix("chunk-")) for path in self._marks()}
        chunks = [DocumentChunk(self._folder, number) for number in done]
        self._before = sum(tally.documents for chunk in chunks if (tally := chunk.tally()) is not None)
        self._spent = sum(chunk.spent() for chunk in chunks)
        return done

    def _marks(self) -> Iterator[Path]:
        yield from (self._folder.path / "work").glob("chunk-*/done.json")

    def run(self) -> None:
        """Classify the unfinished chunks of this shard."""
        size = self._config.chunk

        def wanted(number: int) -> bool:
            index = number // size
            self._chunks = max(self._chunks, index + 1)
            mine = self.shard is None or self.shard.takes(index)
            return mine and index not in self._finished

        self._report()
        with graceful() as stop:

            def step() -> None:
                self._here += 1
                self._report()
                stop.raise_if_requested()

            for index, raws in groupby(self._source.read(wanted), key=lambda raw: raw.number // size):
                chunk = DocumentChunk(self._folder, index)
                chunk.run(raws, self._screen, self._judge, self._spent, step)
                self._spent += chunk.spent()
        self._report(last=True)

    def gather(self) -> None:
        """Add up the counts of all chunks and write the result.

        Raises:
            InvalidInput: the source has no documents.
            StageFailed: a chunk has no count; the folder is damaged.
        """
        if not self._chunks:
            raise InvalidInput("the source has no documents", remedy="Check `documents` or `dataset`.")
        total = ClassificationStats()
        path = self._folder.artifacts / REJECTED_NAME
        aside = path.with_name(f".{REJECTED_NAME}.tmp")
        with aside.open("wb") as stream:
            for number in range(self._chunks):
                chunk = DocumentChunk(self._folder, number)
                tally = chunk.tally()
                if tally is None:
                    raise StageFailed(f"chunk {number} has no count", remedy="Run the recipe again with --retry.")
                total.merge(tally)
                stream.writelines(chunk.rejected())
        aside.replace(path)
        warnings = _warnings(total)
        run = self._judge.run
        self._folder.write_result(
            {
                "judge_run": run.id,
                "judge": run.judge,
                "chunks": self._chunks,
                **total.result(),
                **({"warnings": warnings} if warnings else {}),
            }
        )

    def _report(self, *, last: bool = False) -> None:
        now = time.monotonic()
        if not last and now - self._looked < _REPORT_INTERVAL_S and self._here > 1:
            return
        self._looked = now
        done = self._here + self._before
        took = max(1e-9, now - self._began)
        rate = self._here / took
        total = self._total if self._total is not None else done
        if self.shard is not None and self._total is not None:
            total = max(done, round(self._total / self.shard.count))
        values = {"documents_per_s": rate} if self._here else {}
        message = ""
        if self._here and rate > 0 and total > done:
            values["remaining_s"] = (total - done) / rate
            message = f"{rate:.1f} documents/s, {_duration(values['remaining_s'])} left"
        self._folder.report(done, max(total, done, 1), "documents", message, values)


def _duration(seconds: float) -> str:
    minutes, rest = divmod(round(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours} h {minutes} min" if hours else f"{minutes} min {rest} s" if minutes else f"{rest} s"


def _warnings(total: ClassificationStats) -> list[str]:
    found = []
    failed = sum(count for status, count in total.statuses.items() if status != "ok")
    if failed:
        found.append(f"{failed} of {sum(total.statuses.values())} judgements failed and are in no mean")
    dropped = sum(total.rejected.values())
    if dropped:
        reasons = ", ".join(f"{count} {reason}" for reason, count in sorted(total.rejected.items()))
        found.append(f"{dropped} of {total.documents} documents were not judged: {reasons}")
    return found


def judge_run_id(folder: StageFolder) -> str:
    """Return the id of the judge run of a finished `classify` stage."""
    raw: Any = read_json(folder.artifact("judge_run.json"))
    return str(raw["id"])
