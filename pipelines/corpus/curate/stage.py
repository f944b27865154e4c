"""The `curate` stage: selects a rich and a minimised set of equal tokens from classified documents."""

import hashlib
import os
import re
import time
from bisect import bisect_right
from collections import Counter
from collections.abc import Iterator, Mapping
from typing import Annotated, Any, Final, Literal

from pydantic import Field, field_validator, model_validator

from pipelines.behaviors.judges.llm.config import LLMJudgeConfig
from pipelines.corpus.classify.chunks import DocumentChunk, read_document_counts, read_documents
from pipelines.corpus.classify.stage import judge_run_id
from pipelines.corpus.curate.balance import SetStatistics, measure_imbalance
from pipelines.corpus.curate.card import write_card
from pipelines.corpus.curate.model_rewriter import ModelRewriter
from pipelines.corpus.curate.pool import CandidatePool
from pipelines.corpus.curate.rewriting import IdentityRewriter, Rewriter, RewriteResult, RewriteSource
from pipelines.corpus.curate.selection import SETS, SelectionRule, SetName, complete_counts, length_bin, missing_fact
from pipelines.corpus.curate.symbolic_rewriter import SymbolicRewriter
from pipelines.corpus.documents.examples import PretrainingExample, encode_example
from pipelines.corpus.documents.leaks import LeakDetector
from pipelines.corpus.documents.near_duplicates import NearDuplicateIndex
from pipelines.corpus.documents.tokens import TokenCounter, token_counter
from pipelines.errors import InvalidInput
from pipelines.files import read_json
from pipelines.folder import StageFolder
from pipelines.llm.clients.protocol import ModelSpec
from pipelines.llm.run_dialogues import SPENDING_FILE
from pipelines.records import rollout_id
from pipelines.signals import graceful
from pipelines.stages import Inputs, StageConfig
from pipelines.tasks.countdown.task import load_countdown
from pipelines.tasks.registry import rules_context

_WORD_END: Final = re.compile(r"(?<=\S)(?=\s|\Z)")
_PIECES: Final = 1_000
"""Most training texts from one document."""
_SPARE: Final = 1.05
"""Factor by which the prepared tokens exceed the budget, so that it can be met exactly."""

NonNegativeInt = Annotated[int, Field(ge=0)]


class CurateConfig(LLMJudgeConfig):
    """Config of the `curate` stage. The fields of LLM judges are those of a model that rewrites."""

    rich: SelectionRule = Field(
        default=SelectionRule(least_present=2), description="Counts of a document of the rich set."
    )
    minimised: SelectionRule = Field(
        default=SelectionRule(most_total=0), description="Counts of a document of the minimised set."
    )
    require: tuple[Literal["problem", "solution"], ...] = Field(
        default=(), description="Facts that must hold of a document."
    )
    drop_flagged: bool = Field(default=True, description="Whether to leave out documents that address their judge.")
    min_words: NonNegativeInt = Field(default=10, description="Shorter documents are left out.")
    near_duplicates: float = Field(
        default=0.8, gt=0, le=1, description="Smallest Jaccard similarity of near duplicates; 1: exact ones only."
    )
    shingle: int = Field(default=5, ge=1, description="Words of the n-grams that are compared.")
    match: tuple[Literal["domain", "length"], ...] = Field(
        default=("domain", "length"),
        description="Properties in which the two sets are matched, as far as the corpus allows.",
    )
    rewrite: str = Field(
        default="none", description="none, symbolic (for a corpus stage), openai:MODEL, anthropic:MODEL or vllm:MODEL."
    )
    tokenizer: str | None = Field(
        default=None, description="Hub id or folder of the tokenizer budgets count in, or words; none: upstream model."
    )
    revision: str | None = Field(default=None, description="Revision of a hub tokenizer.")
    tokens: int | None = Field(default=None, ge=1, description="Tokens of each set; none: as many as both can have.")
    tolerance: float = Field(
        default=0.001, gt=0, lt=1, description="Fraction by which a set may differ from that number."
    )
    seed: int = Field(default=0, description="Decides which documents of equal standing are taken.")

    @field_validator("rewrite")
    @classmethod
    def _known_rewriter(cls, name: str) -> str:
        if name not in ("none", "symbolic"):
            try:
                ModelSpec.parse(name, "http://localhost" if name.startswith("vllm:") else None)
            except InvalidInput as error:
                raise ValueError(
                    f"there is no rewriter {name!r}; there are none, symbolic and PROVIDER:MODEL"
                ) from error
        return name

    @model_validator(mode="after")
    def _served(self) -> "CurateConfig":
        if self.rewrite.startswith("vllm:") and self.url is None:
            raise ValueError("rewrite: a vllm model needs the url of its server")
        return self

    def key_fields(self) -> dict[str, Any]:
        """Return the fields in the key, without those of a model if no model rewrites."""
        fields = StageConfig.key_fields(self)
        asked = {"max_tokens", "temperature"} if ":" in self.rewrite else set()
        return {
            name: value for name, value in fields.items() if name not in LLMJudgeConfig.model_fields or name in asked
        }


def run(config: CurateConfig, inputs: Inputs, folder: StageFolder) -> None:
    """Write `artifacts/owm_rich.jsonl`, `artifacts/owm_minimised.jsonl` and the data card."""
    work = folder.path / "work"
    work.mkdir(exist_ok=True)
    pool = CandidatePool(work / "pool.sqlite", config.seed)
    try:
        _CurateRun(config, inputs, folder, pool).run()
    finally:
        pool.close()
    (work / "pool.sqlite").unlink(missing_ok=True)


class _CurateRun:
    def __init__(self, config: CurateConfig, inputs: Inputs, folder: StageFolder, pool: CandidatePool) -> None:
        self._config = config
        self._folder = folder
        self._pool = pool
        self._classified = inputs.one("classify")
        problems = inputs.all_of("problems")
        loaded = load_countdown(problems[0]) if problems else None
        self._leaks = None if loaded is None else LeakDetector(loaded.test)
        self._counter: TokenCounter = token_counter(config.tokenizer, config.revision, inputs)
        self._rewriter: Rewriter
        if config.rewrite == "none":
            self._rewriter = IdentityRewriter()
        elif config.rewrite == "symbolic":
            if loaded is None:
                raise InvalidInput(
                    "rewrite = symbolic needs the problems stage", remedy="Name it in needs: its prompt is used."
                )
            self._rewriter = SymbolicRewriter(loaded.task)
        else:
            self._rewriter = ModelRewriter(
                ModelSpec.parse(config.rewrite, config.url),
                config,
                max_tokens=config.max_tokens or 8_192,
                temperature=config.temperature,
                prices=None if config.prices is None else config.prices.path,
                work=folder.path / "work" / "rewriting",
            )
        self.left_out: Counter[str] = Counter()
        """Number of classified documents that are no candidates, by reason."""
        self.dropped: dict[SetName, Counter[str]] = {name: Counter() for name in SETS}
        """Number of texts that rewriting lost, by set and reason."""
        self.facts: dict[str, Counter[str]] = {"source": Counter(), "licence": Counter()}
        self._documents = 0

    def run(self) -> None:
        """Select candidates, rewrite them, and choose equally many tokens for each set."""
        config, pool = self._config, self._pool
        self._gather()
        sizes = {name: pool.bins(name) for name in SETS}
        empty = [name for name in SETS if not sizes[name]]
        if empty:
            raise InvalidInput(
                f"no document is left for {' and '.join(empty)}",
                detail=f"Left out: {_listed(self.left_out)}",
                remedy="Loosen the rules rich and minimised, or classify more documents.",
            )
        for name in SETS:
            self._prepare(name)
        there = {name: pool.prepared_tokens(name) for name in SETS}
        budget = config.tokens if config.tokens is not None else min(there.values())
        poor = [f"{name} has {tokens:,}" for name, tokens in there.items() if tokens < budget * (1 - config.tolerance)]
        if poor:
            raise InvalidInput(
                f"there are not {budget:,} tokens for each set: {', '.join(poor)}",
                detail=f"Left out: {_listed(self.left_out)}",
                remedy="Lower tokens, loosen the rules, or classify more documents.",
            )
        if not budget:
            lost = {f"{name} {reason}": n for name in SETS for reason, n in self.dropped[name].items()}
            raise InvalidInput("rewriting left nothing of a set", detail=f"Lost: {_listed(lost)}")
        taken = {name: self._fill(name, budget) for name in SETS}
        low, high = min(taken.values()), max(taken.values())
        if high - low > config.tolerance * high or budget - low > config.tolerance * budget:
            raise InvalidInput(
                f"the sets cannot be made equal to within {100 * config.tolerance:g} %: {_listed(taken)}",
                remedy="The documents are too long for so few tokens: raise tokens or tolerance.",
            )
        self._write(budget, taken, sizes)

    # -- candidates --------------------------------------------------------------------------------

    def _gather(self) -> None:
        near = NearDuplicateIndex(self._pool.database, self._config.near_duplicates, self._config.shingle)
        run_id = judge_run_id(self._classified)
        result = self._classified.result() or {}
        total = int(result.get("judged", 0))
        began = time.monotonic()
        with graceful() as stop:
            for number in range(int(result.get("chunks", 0))):
                chunk = DocumentChunk(self._classified, number)
                verdicts = read_document_counts(self._classified.path, chunk.stream, run_id)
                for placed in read_documents(self._classified.path, chunk.stream):
                    self._documents += 1
                    counts = complete_counts(verdicts.get(placed.record["id"]))
                    reason = self._look(placed.record, counts, near)
                    if isinstance(reason, str):
                        self.left_out[reason] += 1
                    else:
                        kind, where, words = reason
                        place = (placed.start, placed.end)
                        self._pool.add(kind, str(placed.record["id"]), where, words, counts or {}, placed.path, place)
                    rate = self._documents / max(1e-9, time.monotonic() - began)
                    self._folder.report(
                        self._documents, max(total, 1) * 2, "documents", "selecting", {"documents_per_s": rate}
                    )
                    stop.raise_if_requested()

    def _look(
        self, record: Mapping[str, Any], counts: dict[str, int] | None, near: NearDuplicateIndex
    ) -> str | tuple[SetName, str, int]:
        """Return set, bin and words of a document, or why it is in no set. The most expensive checks come last."""
        config = self._config
        if counts is None:
            return "unjudged"
        rich, minimised = config.rich.matches(counts), config.minimised.matches(counts)
        if rich == minimised:
            return "both_rules" if rich else "no_rule"
        meta, text = record["meta"], str(record["completion"])
        if config.drop_flagged and meta.get("flags"):
            return "flagged"
        missing = missing_fact(meta, config.require)
        if missing is not None:
            return missing
        words = len(text.split())
        if words < config.min_words:
            return "short"
        context = rules_context(record["task"], record["problem"]) or ()
        if self._leaks is not None and self._leaks.states_problem(text, *context):
            return "leak"
        repeat = near.check_and_add(text)
        if repeat is not None:
            return repeat
        parts = {"domain": str(meta.get("domain") or "unknown"), "length": f"{length_bin(words):02d}"}
        return ("owm_rich" if rich else "owm_minimised"), "|".join(parts[name] for name in config.match), words

    # -- what is trained on ------------------------------------------------------------------------

    def _prepare(self, kind: SetName) -> None:
        """Rewrites candidates in order until there is enough of them."""
        wanted = None if self._config.tokens is None else int(self._config.tokens * _SPARE)
        prepared = 0

        def sources() -> Iterator[RewriteSource]:
            for rank, candidate in enumerate(self._pool.ordered_candidates(kind)):
                if wanted is not None and prepared >= wanted:
                    return
                yield RewriteSource(candidate.record(), rank, candidate.matched, candidate.counts)

        with graceful() as stop:
            for number, rewritten in enumerate(self._rewriter.rewrite(sources(), kind), start=1):
                prepared += self._keep(kind, rewritten)
                done = self._documents + number
                self._folder.report(done, max(done + 1, 2 * self._documents), "documents", f"preparing {kind}")
                stop.raise_if_requested()

    def _keep(self, kind: SetName, rewritten: RewriteResult) -> int:
        source = rewritten.source
        self.dropped[kind].update(rewritten.dropped)
        kept = 0
        for index, piece in enumerate(rewritten.pieces[:_PIECES]):
            try:
                tokens = self._counter.count(piece.prompt, piece.completion)
            except InvalidInput:
                self.dropped[kind]["vocabulary"] += 1
                continue
            record, meta = source.record, source.record["meta"]
            example = PretrainingExample(
                id=rollout_id(str(record["id"]), kind, 0, self._config.rewrite, index),
                document=str(record["problem_id"]),
                prompt=piece.prompt,
                completion=piece.completion,
                tokens=tokens,
                behaviors=piece.behaviors,
                domain=meta.get("domain"),
                meta={name: meta[name] for name in ("source", "licence", "where") if meta.get(name)},
            )
            place = (SETS.index(kind) << 48) + source.rank * _PIECES + index + 1
            self._pool.prepare(kind, place, tokens, encode_example(example), matched=source.matched)
            kept += tokens
        return kept

    # -- the sets ----------------------------------------------------------------------------------

    def _fill(self, kind: SetName, budget: int) -> int:
        """Chooses records up to the budget; returns their tokens.

        Where whole records leave a gap that is too wide, the beginning of one more document fills it. A rewritten
        one is never cut: it would lose its answer.
        """
        taken = self._pool.choose(kind, budget)
        gap = budget - taken
        if gap <= self._config.tolerance * budget / 2:
            return taken
        left = self._pool.first_unchosen(kind)
        example = None if left is None else PretrainingExample.model_validate_json(left[1])
        if left is None or example is None or example.prompt:
            return taken
        starts = [match.start() for match in _WORD_END.finditer(example.completion)]
        fits = bisect_right(starts, gap, key=lambda at: self._counter.count("", example.completion[:at]))
        if not fits:
            return taken
        text = example.completion[: starts[fits - 1]]
        tokens = self._counter.count("", text)
        cut = example.model_copy(update={"completion": text, "tokens": tokens, "meta": {**example.meta, "cut": True}})
        self._pool.choose_instead(left[0], tokens, encode_example(cut))
        return taken + tokens

    def _write(
        self, budget: int, taken: Mapping[SetName, int], sizes: Mapping[SetName, Mapping[str, tuple[int, int]]]
    ) -> None:
        balances: dict[SetName, SetStatistics] = {}
        digests: dict[str, str] = {}
        for name in SETS:
            balance = balances[name] = SetStatistics()
            path = self._folder.artifacts / f"{name}.jsonl"
            aside = path.with_name(f".{path.name}.{os.getpid()}.tmp")
            digest = hashlib.sha256()
            with aside.open("wb") as stream:
                for line, matched in self._pool.chosen(name):
                    balance.add(PretrainingExample.model_validate_json(line), matched=matched)
                    data = line.encode() + b"\n"
                    digest.update(data)
                    stream.write(data)
            aside.replace(path)
            digests[path.name] = digest.hexdigest()
        spent = read_json(self._folder.path / "work" / "rewriting" / SPENDING_FILE)
        result: dict[str, Any] = {
            "documents": self._documents,
            "left_out": dict(sorted(self.left_out.items())),
            "budget": budget,
            "tokenizer": self._counter.name,
            "difference": (max(taken.values()) - min(taken.values())) / max(taken.values()),
            "sets": {
                name: {
                    "candidates": sum(count for count, _ in sizes[name].values()),
                    "tokens": taken[name],
                    **balances[name].result(),
                    "dropped": dict(sorted(self.dropped[name].items())),
                }
                for name in SETS
            },
            "balance": measure_imbalance(balances["owm_rich"], balances["owm_minimised"]),
            **({} if spent is None else {"spent": spent}),
        }
        prompts = self._rewriter.prompts if isinstance(self._rewriter, ModelRewriter) else None
        write_card(self._folder, self._config, self._classified, result, balances, digests, self._counter, prompts)
        done = 2 * max(1, self._documents)
        self._folder.report(done, done, "documents", "written")
        self._folder.write_result(result)


def _listed(counts: Mapping[Any, int]) -> str:
    return ", ".join(f"{name} {count:,}" for name, count in sorted(counts.items(), key=str)) or "nothing"
