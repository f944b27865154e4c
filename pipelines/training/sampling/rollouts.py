"""Rollouts: completions of problems sampled by an engine and scored by the task, as records."""

import math
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from pipelines.errors import InvalidInput, StageFailed
from pipelines.records import Rollout, rollout_id
from pipelines.tasks.protocol import JsonProblem, Task
from pipelines.tokenizer import decode, encode
from pipelines.training.core.engine_configs import SamplingConfig
from pipelines.training.generation.engine import Completion, Engine, GenerationRequest, rollout_seed

if TYPE_CHECKING:
    from transformers import PreTrainedTokenizerBase


@dataclass(frozen=True, slots=True)
class SampledRollout:
    """A rollout with the token ids of its prompt and completion."""

    rollout: Rollout
    prompt: tuple[int, ...]
    completion: tuple[int, ...]
    log_probs: tuple[float, ...] | None = None
    """Log-probability of each token of the completion by the engine; None if it returns none."""

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
        return SampledRollout(rollout, request.prompt, completion.tokens, completion.log_probs)


def rollout_keys(split: str, step: int, problems: Iterable[JsonProblem], samples: int) -> Iterator[RolloutKey]:
    """Return the keys of `samples` rollouts per problem; those of one problem are consecutive."""
    return (RolloutKey(split, step, problem, sample) for problem in problems for sample in range(samples))
