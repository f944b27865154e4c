"""The judge interface: tasks, verdicts, the `Judge` protocol and the provenance of a judge run."""

import hashlib
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Protocol

from pipelines.behaviors.sets.four_habits import FOUR_HABITS
from pipelines.files import canonical_json
from pipelines.records import ArithmeticFact, AttemptFact, Behavior, Judgement, JudgeRun, JudgeStatus, Span, text_sha256


@dataclass(frozen=True, slots=True)
class JudgeTask:
    """A completion to be judged. Offsets of spans refer to `completion` exactly as given here."""

    rollout_id: str
    task: str
    """Name of the task; empty where the text answers no problem of a known task."""
    problem: Mapping[str, Any]
    """The problem as the task's own JSON."""
    completion: str


@dataclass(frozen=True, slots=True)
class BehaviorVerdict:
    """The verdict of a judge on one behaviour in one completion.

    `count` is the judge's own number, which may differ from `len(spans)`; None unless `status` is `ok`.
    """

    status: JudgeStatus
    count: int | None = None
    spans: tuple[Span, ...] = ()
    raw: str | None = None
    """The unparsed answer of the judge, kept also if it could not be parsed."""
    usage: dict[str, Any] = field(default_factory=dict)


UNJUDGED = BehaviorVerdict("unjudged")


@dataclass(frozen=True, slots=True)
class JudgedTask:
    """A task with its verdicts; a behaviour left out was not judged."""

    task: JudgeTask
    verdicts: dict[Behavior, BehaviorVerdict]
    facts: tuple[ArithmeticFact, ...] = ()
    """Wrong equations and illegal numbers, if the judge looks for them."""
    attempts: tuple[AttemptFact, ...] = ()
    """The attempts at a problem with numbers and a target, if the judge looks for them."""

    def records(self, judge_run: str, behaviors: Sequence[str] = FOUR_HABITS.names) -> list[Judgement]:
        """Return one record a behaviour, in their order; the first has the facts and attempts.

        Args:
            judge_run: id of the judge run.
            behaviors: those of the set that was judged; one without a verdict is recorded as unjudged.

        Raises:
            ValueError: a span, fact or attempt lies outside the text, or one called exact does not quote it; or a
                verdict is about another behaviour. A bug in a judge.
        """
        if not self.verdicts.keys() <= set(behaviors):
            raise ValueError(f"verdicts on {', '.join(sorted(self.verdicts.keys() - set(behaviors)))}, another set")
        text = self.task.completion
        sha256 = text_sha256(text)
        found = []
        for fact in self.facts:
            if text[fact.start : fact.end] != fact.quote:
                raise ValueError(f"fact {fact.start}:{fact.end} does not quote the text")
        for attempt in self.attempts:
            if not attempt.start < attempt.end <= len(text):
                raise ValueError(f"attempt {attempt.start}:{attempt.end} is not in the text")
        for behavior in behaviors:
            verdict = self.verdicts.get(behavior, UNJUDGED)
            for span in verdict.spans:
                check_span(span, text)
            found.append(
                Judgement(
                    rollout_id=self.task.rollout_id,
                    judge_run=judge_run,
                    behavior=behavior,
                    status=verdict.status,
                    count=verdict.count,
                    spans=verdict.spans,
                    raw=verdict.raw,
                    usage=verdict.usage,
                    text_sha256=sha256,
                    facts=self.facts if behavior == behaviors[0] else (),
                    attempts=self.attempts if behavior == behaviors[0] else (),
                )
            )
        return found


class Judge(Protocol):
    """A judge. Making one is cheap and spends nothing; SDKs are imported when it first judges."""

    @property
    def run(self) -> JudgeRun:
        """Judge, model, prompt and parameters. Equal runs have equal ids: the id is a digest of the other fields."""
        ...

    def judge(self, tasks: Iterable[JudgeTask], work: Path) -> Iterator[JudgedTask]:
        """Judge the tasks; yield each exactly once, in any order, as soon as its verdicts are known.

        A task that cannot be judged is yielded with the status that says why; nothing is dropped. `tasks` is
        consumed lazily, so memory does not grow with their number.

        Args:
            tasks: what to judge; the caller leaves out what an earlier attempt already wrote.
            work: an existing folder where the judge keeps what it needs to go on after an interruption
                without asking (and paying) twice: batch ids, answers received.

        Raises:
            MissingRequirement: a key or a package is missing. Interrupted: told to stop; `work` is whole.
        """
        ...


@dataclass(frozen=True, slots=True)
class JudgeKind:
    """A judge as the registry lists it; an entry point of the group `cogtui.judges` names one.

    Attributes:
        title: what it is called in lists and help, a few words.
        make: makes the judge from the config of the judge stage, which is None where there is none. Cheap.
        behaviors: name of the behaviour set it judges.
        needs_config: whether `make` needs a config; the fields of LLM judges are then part of the content key.
        gives_probabilities: whether the score of a span is the probability that it shows the behaviour.
    """

    title: str
    make: Callable[[Any], Judge]
    behaviors: str = "four_habits"
    needs_config: bool = False
    gives_probabilities: bool = False


def judge_run(
    judge: str,
    *,
    model: str | None = None,
    prompt_sha256: str | None = None,
    params: dict[str, Any] | None = None,
    segmenter: str | None = None,
    aligner: str | None = None,
) -> JudgeRun:
    """Return a judge run whose id is a digest of its other fields, so that equal judges share one run everywhere."""
    fields: dict[str, Any] = {
        "judge": judge,
        "model": model,
        "prompt_sha256": prompt_sha256,
        "params": params or {},
        "segmenter": segmenter,
        "aligner": aligner,
    }
    digest = hashlib.sha256(canonical_json(fields).encode()).hexdigest()[:12]
    return JudgeRun(id=f"{judge.partition(':')[0]}-{digest}", **fields)


def check_span(span: Span, text: str) -> None:
    """Check a span against its text.

    Raises:
        ValueError: it lies outside the text, or is called exact and does not quote it.
    """
    if span.start is None or span.end is None:
        return
    if span.end > len(text):
        raise ValueError(f"span {span.start}:{span.end} ends beyond the text of {len(text)} characters")
    if span.alignment == "exact" and text[span.start : span.end] != span.quote:
        raise ValueError(f"exact span {span.start}:{span.end} does not quote the text")
