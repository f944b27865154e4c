"""The `corpus` stage: documents of the symbolic teacher, with behaviours and without, and what else a corpus holds.

In the plain closed vocabulary, so that a small model made here can read them. A document states one puzzle or several
and works each out. Documents with behaviours search; those without go straight to answers, as many as make them about
as long. Beside them there are repeats, documents about test problems (leaks, for decontamination to find), and
clutter.
"""

import json
import os
import random
from collections import Counter
from collections.abc import Iterator, Sequence
from typing import Annotated, Any, Final

from pydantic import ConfigDict, Field, field_validator

from pipelines.corpus.documents.source import DOCUMENTS_NAME
from pipelines.corpus.miniature.puzzles import format_solution, format_statement, thought_and_answer
from pipelines.errors import InvalidInput
from pipelines.folder import StageFolder
from pipelines.stages import Inputs, StageConfig
from pipelines.tasks.countdown.problems import Problem
from pipelines.tasks.countdown.task import LoadedCountdown, load_countdown
from pipelines.teachers.conditions import CONDITIONS
from pipelines.teachers.symbolic.teacher import SymbolicTeacher, SymbolicWritingConfig
from pipelines.teachers.teacher import DroppedTrace

_DRAWS: Final = 50
_CLUTTER: Final = ("", "   \n", "\x00\x01\x02\x7f\x00\x1b" * 40, "\ufffd\ufffd 3 \ufffd" * 30)
LINEAR: Final = "negative_control"

Fraction = Annotated[float, Field(ge=0, le=1)]


class CorpusConfig(StageConfig):
    """Config of the `corpus` stage."""

    model_config = ConfigDict(use_attribute_docstrings=True)

    n: Annotated[int, Field(ge=1)] = 4_000
    """Number of documents of all kinds."""
    rich: Fraction = 0.5
    """Fraction of the regular documents that show behaviours."""
    conditions: tuple[str, ...] = ("backtracking_verification",)
    """Conditions that say which behaviours these show; they take turns."""
    failed_attempts: tuple[int, int] = (0, 10)
    """Fewest and most failed attempts of a search."""
    words: Annotated[int, Field(ge=10)] = 40
    """Fewest words of a document; puzzles are added until it has them."""
    leaks: Fraction = 0.02
    """Fraction of the documents that solve a test problem."""
    repeats: Fraction = 0.03
    """Fraction of the documents that repeat an earlier one."""
    clutter: Fraction = 0.01
    """Fraction of the documents that are empty or binary."""
    seed: int = 0
    """Seeds every random choice."""

    @field_validator("conditions")
    @classmethod
    def _written(cls, names: tuple[str, ...]) -> tuple[str, ...]:
        able = [name for name, condition in CONDITIONS.items() if condition.origin == "written" and name != LINEAR]
        wrong = [name for name in names if name not in able]
        if wrong or not names:
            raise ValueError(f"conditions must be of {', '.join(able)}; not {', '.join(wrong) or 'empty'}")
        return names


def run(config: CorpusConfig, inputs: Inputs, folder: StageFolder) -> None:
    """Write `artifacts/documents.jsonl`. Equal configs and problems give equal bytes."""
    loaded = load_countdown(inputs.one("problems"))
    if not loaded.train or (config.leaks and not loaded.test):
        raise InvalidInput("the problems stage has no train problems, or no test problems to leak")
    path = folder.artifacts / DOCUMENTS_NAME
    aside = path.with_name(f".{DOCUMENTS_NAME}.{os.getpid()}.tmp")
    kinds: Counter[str] = Counter()
    words = 0
    with aside.open("w", encoding="ascii") as stream:
        for record in MiniatureCorpus(config, loaded).documents():
            kinds[record["source"]] += 1
            words += len(record["text"].split())
            stream.write(json.dumps(record) + "\n")
            folder.report(sum(kinds.values()), config.n, "documents")
    aside.replace(path)
    folder.write_result({"documents": config.n, "words": words, "kinds": dict(sorted(kinds.items()))})


class MiniatureCorpus:
    """Writes the documents of a corpus."""

    def __init__(self, config: CorpusConfig, loaded: LoadedCountdown) -> None:
        self._config = config
        self._loaded = loaded
        writing = SymbolicWritingConfig(style="plain", failed_attempts=config.failed_attempts)
        self._teacher = SymbolicTeacher(loaded.task, writing)
        targets = sorted(problem.target for problem in loaded.train)
        self._middle = targets[len(targets) // 2]
        self._lengths = [config.words]
        """Words of the documents with behaviours so far, which those without imitate."""

    def documents(self) -> Iterator[dict[str, Any]]:
        """All documents in order, as records of `documents.jsonl`."""
        config = self._config
        earlier: list[dict[str, Any]] = []
        for number in range(config.n):
            rng = random.Random(f"{config.seed} {number}")
            kind = rng.random()
            if kind < config.clutter:
                yield self._record(number, rng.choice(_CLUTTER), "clutter", None)
            elif kind < config.clutter + config.repeats and earlier:
                yield {**rng.choice(earlier), "id": _name(number), "source": "repeat"}
            elif kind < config.clutter + config.repeats + config.leaks:
                yield self._proper(number, self._loaded.test, "leak", rng)
            else:
                record = self._proper(number, self._loaded.train, "", rng)
                if len(earlier) < 1_000:
                    earlier.append(record)
                yield record

    def _proper(self, number: int, problems: Sequence[Problem], source: str, rng: random.Random) -> dict[str, Any]:
        rich = rng.random() < self._config.rich
        conditions = self._config.conditions
        condition = conditions[number % len(conditions)] if rich else LINEAR
        length = self._config.words if rich else rng.choice(self._lengths)
        first: Problem | None = None
        text = ""
        while len(text.split()) < length:
            problem, part = self._section(problems, condition, rng)
            first = first or problem
            text += part
        if rich:
            self._lengths = [*self._lengths[-199:], len(text.split())]
        return self._record(number, text, source or condition, first)

    def _section(self, problems: Sequence[Problem], condition: str, rng: random.Random) -> tuple[Problem, str]:
        for _ in range(_DRAWS):
            problem = rng.choice(problems)
            trace = self._teacher.write(problem, condition, rng)
            parts = None if isinstance(trace, DroppedTrace) else thought_and_answer(trace.completion)
            if parts is not None:
                return problem, format_statement(problem.numbers, problem.target) + format_solution(*parts)
        raise InvalidInput(
            f"{_DRAWS} problems in a row could not be worked out under {condition}",
            remedy="Allow more failed attempts, or set integers_only for the arithmetic of the problems.",
        )

    def _record(self, number: int, text: str, source: str, problem: Problem | None) -> dict[str, Any]:
        domain = None if problem is None else "small_goals" if problem.target <= self._middle else "large_goals"
        return {
            "id": _name(number),
            "text": text,
            "domain": domain,
            "source": source,
            "licence": "Apache-2.0",
            "numbers": None if problem is None else list(problem.numbers),
            "target": None if problem is None else problem.target,
        }


def _name(number: int) -> str:
    return f"mini-{number:06d}"
