"""Self-distilled traces: a model's own samples, arranged as attempts that fail and one that succeeds.

Wrong samples of a problem come first, each with a verdict and a new start, then a right sample with its verdict and its
answer. The arithmetic is the model's own; only verdicts and transitions are added, and every verdict is true.
Source of the idea: SkillFactory, arXiv 2512.04072.
"""

import random
import re
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from typing import Final

from pipelines.records import Rollout
from pipelines.tasks.countdown.problems import Problem
from pipelines.tasks.countdown.task import as_problem
from pipelines.teachers.derive import answer_suffix
from pipelines.teachers.draft import TextRange, TraceDraft, WrittenTrace
from pipelines.teachers.symbolic import lexicon

_DRAWS: Final = 20
"""Arrangements drawn per wanted trace after which the set stays short."""
_INTEGER: Final = re.compile(r"\d+")
_STOP: Final = " ."


@dataclass(frozen=True, slots=True)
class ConnectingPhrases:
    """The words put between the samples of one trace."""

    no: str
    again: str
    yes: str
    gap: str
    """Between the parts."""


PLAIN: Final = ConnectingPhrases(lexicon.VERDICT_NO, lexicon.TRY_AGAIN, lexicon.VERDICT_YES, " ")
VARIED: Final = ConnectingPhrases("That is not the target.", "Let me try something else.", "That is the target.", "\n")


@dataclass(slots=True)
class SampledAttempts:
    """The usable samples of one problem."""

    problem: Problem
    wrong: list[str] = field(default_factory=list)
    """Reasoning of wrong samples, without their answers; none ends in the target."""
    right: list[tuple[str, str]] = field(default_factory=list)
    """Reasoning and answer of right samples."""


def group_samples(rollouts: Iterable[Rollout]) -> list[SampledAttempts]:
    """Return the distinct usable samples by problem, in order of first appearance.

    Samples without an answer are left out, since it is unknown what they attempt, and so are wrong ones whose reasoning
    ends in the target: a verdict on them would be false.
    """
    found: dict[str, SampledAttempts] = {}
    for rollout in rollouts:
        suffix = answer_suffix(rollout.completion)
        if rollout.correct is None or suffix is None:
            continue
        reasoning = rollout.completion[: -len(suffix)].strip()
        if not reasoning:
            continue
        problem = as_problem(rollout.problem)
        attempts = found.setdefault(problem.id, SampledAttempts(problem))
        reaches = _INTEGER.findall(reasoning)[-1:] == [str(problem.target)]
        if rollout.correct and reaches:
            if (reasoning, suffix) not in attempts.right:
                attempts.right.append((reasoning, suffix))
        elif not rollout.correct and not reaches and reasoning not in attempts.wrong:
            attempts.wrong.append(reasoning)
    return list(found.values())


def arrange_samples(
    samples: Sequence[SampledAttempts],
    *,
    n: int,
    failed_attempts: tuple[int, int],
    phrases: ConnectingPhrases,
    space_first: bool,
    seed: int,
) -> Iterator[tuple[Problem, WrittenTrace]]:
    """Yield up to `n` distinct traces; problems with a right sample take turns in a shuffled order.

    Args:
        samples: by problem.
        n: wanted traces. After 20 draws per wanted trace the set stays short.
        failed_attempts: fewest and most wrong samples of a trace, drawn evenly; a problem with fewer gives all it has.
        phrases: put between the samples.
        space_first: whether a trace begins with a space.
        seed: of all random choices.
    """
    able = [each for each in samples if each.right and len(each.wrong) >= failed_attempts[0]]
    random.Random(f"order {seed}").shuffle(able)
    rng = random.Random(f"arrangement {seed}")
    seen: set[str] = set()
    if not able:
        return
    for draw in range(_DRAWS * n):
        if len(seen) == n:
            return
        attempts = able[draw % len(able)]
        wanted = min(rng.randint(*failed_attempts), len(attempts.wrong))
        wrong = rng.sample(attempts.wrong, wanted)
        trace = _join(wrong, rng.choice(attempts.right), phrases, space_first=space_first)
        mark = f"{attempts.problem.id}\n{trace.completion}"
        if mark not in seen:
            seen.add(mark)
            yield attempts.problem, trace


def _join(
    wrong: Sequence[str], right: tuple[str, str], phrases: ConnectingPhrases, *, space_first: bool
) -> WrittenTrace:
    draft = TraceDraft()
    draft.add(" " if space_first else "")
    for reasoning in wrong:
        draft.add(reasoning + phrases.gap)
        _mark(draft, "verification", draft.add(phrases.no))
        draft.add(phrases.gap)
        _mark(draft, "backtracking", draft.add(phrases.again))
        draft.add(phrases.gap)
    reasoning, answer = right
    draft.add(reasoning + phrases.gap)
    _mark(draft, "verification", draft.add(phrases.yes))
    draft.add(phrases.gap + answer)
    style = "plain" if phrases is PLAIN else "varied"
    return draft.finish({"style": style, "failed_attempts": len(wrong)})


def _mark(draft: TraceDraft, behavior: str, place: TextRange) -> None:
    """Mark a phrase without its full stop."""
    text = draft.text()[place.start : place.end]
    draft.mark(behavior, place.start, place.end - (len(_STOP) if text.endswith(_STOP) else 1))
