"""Rollouts: completions of problems sampled by an engine and scored by the task, as records; their metrics."""

import math
import sys
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from pipelines.behaviors.sets.four_habits import FOUR_HABITS
from pipelines.errors import InvalidInput, StageFailed
from pipelines.records import Rollout, rollout_id
from pipelines.tasks.protocol import JsonProblem, Task
from pipelines.tasks.registry import rules_context
from pipelines.tokenizer import decode, encode
from pipelines.training.core.configs import SamplingConfig
from pipelines.training.generation.engine import Completion, Engine, GenerationRequest, rollout_seed

if TYPE_CHECKING:
    from transformers import PreTrainedTokenizerBase

    from pipelines.behaviors.judges.rules.tries import AttemptFact


@dataclass(frozen=True, slots=True)
class SampledRollout:
    """A rollout with the token ids of its prompt and completion."""

    rollout: Rollout
    prompt: tuple[int, ...]
    completion: tuple[int, ...]

    @property
    def reward(self) -> float:
        """The reward, which every sampled rollout has."""
        assert self.rollout.reward is not None
        return self.rollout.reward


@dataclass(frozen=True, slots=True)
class RolloutKey:
    """Split, step, problem and sample of a rollout, from which its id and its seed follow."""

    split: str
    step: int
    problem: JsonProblem
    sample: int

    @property
    def problem_id(self) -> str:
        """Id of the problem."""
        return str(self.problem["id"])


class RolloutSampler:
    """Samples and scores completions for one stage.

    Args:
        key: the stage's content key, part of every rollout's id.
        task: gives prompts and scores completions.
        tokenizer: of the model.
        engine: generates completions.
        seed: of the stage.
        max_prompt_tokens: most tokens of a prompt; a longer one is refused.
    """

    def __init__(
        self,
        key: str,
        task: Task,
        tokenizer: "PreTrainedTokenizerBase",
        engine: Engine,
        *,
        seed: int,
        max_prompt_tokens: int,
    ) -> None:
        self._key = key
        self._task = task
        self._tokenizer = tokenizer
        self._engine = engine
        self._seed = seed
        self._max_prompt_tokens = max_prompt_tokens
        self._prompts: dict[str, tuple[int, ...]] = {}

    def check_prompts(self, problems: Iterable[JsonProblem], *, new_tokens: int, positions: int | None) -> None:
        """Encode the prompts of all problems, so that a bad one is found before hours of training.

        Args:
            problems: all problems of the stage.
            new_tokens: most tokens of a completion.
            positions: longest sequence of the model, in tokens; None if unknown.

        Raises:
            InvalidInput: a prompt is too long or outside the vocabulary; names the problem.
        """
        longest = max((len(self._prompt_ids(problem)) for problem in problems), default=0)
        if positions is not None and longest + new_tokens > positions:
            raise InvalidInput(
                f"prompts of {longest} tokens and completions of {new_tokens} do not fit into {positions} positions",
                remedy="Lower sampling.max_new_tokens, or give the base model more architecture.max_positions.",
            )

    def sync(self, step: int) -> None:
        """Load the weights of a step into the engine. Every process must call it, even with nothing to sample."""
        self._engine.sync(step)

    def sample(self, keys: Sequence[RolloutKey], sampling: SamplingConfig) -> list[SampledRollout]:
        """Return one scored rollout per key, in order, sampled with the weights of the last `sync`.

        Raises:
            StageFailed: scoring raised an error, or the reward is not finite; names the rollout.
        """
        requests = [
            GenerationRequest(
                self._prompt_ids(key.problem),
                rollout_seed(self._seed, key.split, key.step, key.problem_id, key.sample),
            )
            for key in keys
        ]
        completions = self._engine.generate(requests, sampling)
        return [
            self._record(key, request, completion, sampling)
            for key, request, completion in zip(keys, requests, completions, strict=True)
        ]

    def _prompt_ids(self, problem: JsonProblem) -> tuple[int, ...]:
        problem_id = str(problem["id"])
        known = self._prompts.get(problem_id)
        if known is not None:
            return known
        ids = tuple(encode(self._tokenizer, self._task.prompt(problem), prompt=True))
        if not ids:
            raise InvalidInput(f"the prompt of problem {problem_id} is empty", remedy="Fix the prompt template.")
        if len(ids) > self._max_prompt_tokens:
            raise InvalidInput(
                f"the prompt of problem {problem_id} has {len(ids)} tokens, more than {self._max_prompt_tokens}",
                remedy="Raise max_prompt_tokens or shorten the prompt template.",
            )
        self._prompts[problem_id] = ids
        return ids

    def _record(
        self, key: RolloutKey, request: GenerationRequest, completion: Completion, sampling: SamplingConfig
    ) -> SampledRollout:
        ended = completion.finish_reason == "stop"
        text = decode(self._tokenizer, completion.tokens[:-1] if ended else completion.tokens)
        identity = rollout_id(self._key, key.split, key.step, key.problem_id, key.sample)
        try:
            score = self._task.score(text, key.problem)
        except Exception as error:
            raise StageFailed(
                f"the reward failed on rollout {identity} (problem {key.problem_id}): {error}",
                remedy="Fix the task's score; the stage continues from its last checkpoint.",
            ) from error
        if not math.isfinite(score.reward):
            raise StageFailed(
                f"the reward of rollout {identity} (problem {key.problem_id}) is {score.reward}",
                remedy="Fix the task's score; the stage continues from its last checkpoint.",
            )
        rollout = Rollout(
            id=identity,
            step=key.step,
            split=key.split,
            problem_id=key.problem_id,
            sample=key.sample,
            task=self._task.name,
            problem=dict(key.problem),
            prompt=self._task.prompt(key.problem),
            completion=text,
            reward=score.reward,
            correct=score.correct,
            answer=score.answer,
            finish_reason=completion.finish_reason,
            n_tokens=len(completion.tokens),
            meta={
                "reason": score.reason,
                "engine": self._engine.name,
                "seed": request.seed,
                "sampling": sampling.model_dump(mode="json"),
            },
        )
        return SampledRollout(rollout, request.prompt, completion.tokens)


def rollout_keys(split: str, step: int, problems: Iterable[JsonProblem], samples: int) -> Iterator[RolloutKey]:
    """Return the keys of `samples` rollouts per problem; those of one problem are consecutive."""
    return (RolloutKey(split, step, problem, sample) for problem in problems for sample in range(samples))


def rollout_metrics(rollouts: Sequence[Rollout], *, behaviors: bool) -> dict[str, float]:
    """Return the mean metrics of rollouts; empty for no rollouts.

    Args:
        rollouts: scored rollouts.
        behaviors: whether to include counts of behaviours by the rules judge.

    Returns:
        `reward`, `accuracy`, `format_rate` (fraction with an answer), `truncation_rate`, `length` (tokens),
        `distinct_answers` (per problem); with `behaviors`, mean counts by behaviour name and what
        `attempt_metrics` gives.
    """
    if not rollouts:
        return {}
    answers: dict[str, set[str]] = {}
    for rollout in rollouts:
        found = answers.setdefault(rollout.problem_id, set())
        if rollout.answer is not None:
            found.add("".join(rollout.answer.split()))
    values = {
        "reward": _mean(rollout.reward or 0.0 for rollout in rollouts),
        "accuracy": _mean(bool(rollout.correct) for rollout in rollouts),
        "format_rate": _mean(rollout.answer is not None for rollout in rollouts),
        "truncation_rate": _mean(rollout.finish_reason == "length" for rollout in rollouts),
        "length": _mean(rollout.n_tokens for rollout in rollouts),
        "distinct_answers": _mean(len(found) for found in answers.values()),
    }
    if behaviors:
        values |= _behavior_counts(rollouts)
    return values


def _behavior_counts(rollouts: Sequence[Rollout]) -> dict[str, float]:
    """Return mean counts by the rules judge. If it fails, warn and return nothing: its bug must not end a training."""
    from pipelines.behaviors.judges.rules.judge import judge_problem

    counts = []
    attempts: list[list[AttemptFact]] = []
    for rollout in rollouts:
        try:
            result = judge_problem(rollout.completion, rollout.task, rollout.problem)
            # Attempts are checked against numbers and target; other tasks have behaviours only.
            found = list(result.attempts) if rules_context(rollout.task, rollout.problem) else None
        except Exception as error:
            sys.stderr.write(
                f"warning: behaviours of step {rollout.step} not counted, rollout {rollout.id}: {error!r}\n"
            )
            return {}
        counts.append(result.counts)
        # The token limit may have truncated the last attempt, which then counts as none.
        if found is not None:
            cut_off = rollout.finish_reason == "length" and found and found[-1].said is None
            attempts.append(found[:-1] if cut_off else found)
    values = {behavior: _mean(each[behavior] for each in counts) for behavior in FOUR_HABITS.names}
    return values | attempt_metrics(attempts) if attempts else values


def attempt_metrics(rollouts: Sequence[Sequence["AttemptFact"]]) -> dict[str, float]:
    """How the attempts of some rollouts went; a share of nothing is left out.

    Returns:
        `attempts` (per rollout), and shares: `attempt_legality` (no number that was not at hand),
        `attempt_completeness` (legal, and every given number used), `attempt_hit_rate` (solves the problem),
        `equation_accuracy`, and verdict honesty: `yes_on_hit` and `yes_on_miss`, how often a verdict says that the
        target is reached where the result as written is the target, and where it is not.
    """
    every = [attempt for attempts in rollouts for attempt in attempts]
    judged = [attempt for attempt in every if attempt.said is not None]
    equations = sum(attempt.equations for attempt in every)
    shares: dict[str, list[bool]] = {
        "attempt_legality": [attempt.legal for attempt in every],
        "attempt_completeness": [attempt.complete for attempt in every],
        "attempt_hit_rate": [attempt.hit for attempt in every],
        "yes_on_hit": [bool(attempt.said) for attempt in judged if attempt.reached],
        "yes_on_miss": [bool(attempt.said) for attempt in judged if not attempt.reached],
    }
    values = {"attempts": len(every) / max(1, len(rollouts))}
    values |= {name: _mean(found) for name, found in shares.items() if found}
    if equations:
        values["equation_accuracy"] = 1 - sum(attempt.wrong for attempt in every) / equations
    return values


def _mean(values: Iterable[float]) -> float:
    found = [float(value) for value in values]
    return sum(found) / len(found)
