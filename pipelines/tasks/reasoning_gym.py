"""Tasks of the library reasoning-gym, as `reasoning_gym:NAME`: generators whose scorers evaluate nothing."""

import importlib.util
import json
import random
from collections.abc import Mapping
from functools import lru_cache
from typing import Any, ClassVar, Final

from pydantic import Field, field_validator

from pipelines.errors import InvalidInput, MissingRequirement
from pipelines.tasks.answers import final_answer
from pipelines.tasks.protocol import REASONING_GYM, Description, JsonProblem, Score, TaskConfig
from pipelines.tasks.question_files import check_prompt

PREFIX: Final = REASONING_GYM

ALLOWED: Final = (
    "ab", "acre", "aiw", "base_conversion", "basic_arithmetic", "binary_alternation", "caesar_cipher",
    "calendar_arithmetic", "chain_sum", "color_cube_rotation", "count_bits", "count_primes", "course_schedule",
    "decimal_chain_sum", "dice", "emoji_mystery", "family_relationships", "gcd", "isomorphic_strings",
    "largest_island", "lcm", "leg_counting", "letter_counting", "letter_jumble", "maze", "mini_sudoku",
    "modulo_grid", "needle_haystack", "number_filtering", "number_format", "number_sequence", "palindrome_generation",
    "path_star", "products", "ransom_note", "rectangle_count", "rotate_matrix", "rotten_oranges", "self_reference",
    "sentence_reordering", "shortest_path", "simple_equations", "simple_geometry", "spell_backward",
    "string_manipulation", "string_splitting", "string_synthesis", "sudoku", "syllogism", "tsumego", "word_ladder",
    "word_sequence_reversal", "word_sorting", "zebra_puzzles",
)  # fmt: skip
"""Generators whose scorers, and all they call, were read: they compare text and numbers and evaluate nothing, neither
an answer nor a problem. `tests/tasks/test_reasoning_gym.py` checks the installed version."""

LONGEST_ANSWER: Final = 2000
PROMPT: Final = "{question}\nGive the final answer between <answer> and </answer>.\n"
_SHORT: Final = 40
_TRIES: Final = 50
"""Items drawn for each problem that is wanted before a generator counts as exhausted."""


class ReasoningGymConfig(TaskConfig):
    """Settings of a task of reasoning-gym."""

    options: dict[str, Any] = Field(
        default_factory=dict,
        description="Parameters of the generator, as reasoning-gym documents them.",
    )
    prompt: str = Field(default=PROMPT, description="The prompt, with {question} where the question goes.")

    _check_prompt = field_validator("prompt")(check_prompt)

    @field_validator("options")
    @classmethod
    def _size_and_seed_are_ours(cls, value: dict[str, Any]) -> dict[str, Any]:
        for name in ("size", "seed"):
            if name in value:
                raise ValueError(f"{name} follows from train, test and seed of the stage; remove it from options")
        return value


class ReasoningGymTask:
    """One generator of reasoning-gym with its scorer."""

    config_model = ReasoningGymConfig
    reasons: ClassVar[Mapping[str, str]] = {
        "correct": "reasoning-gym's scorer gives the full score.",
        "partial": "reasoning-gym's scorer gives a part of the score.",
        "wrong": "reasoning-gym's scorer gives nothing.",
        "no_answer": "There is no final answer: no <answer>…</answer>, \\boxed{…}, #### or “answer is”.",
        "too_long": f"The answer is longer than {LONGEST_ANSWER} characters.",
    }

    def __init__(self, generator: str, prompt: str = PROMPT, options: Mapping[str, Any] | None = None) -> None:
        self.name = f"{PREFIX}{generator}"
        self._generator = generator
        self._template = prompt
        self._options = dict(options or {})

    def problems(self, config: ReasoningGymConfig) -> tuple[list[JsonProblem], list[JsonProblem]]:
        """Generate problems, no question twice; see `Task.problems`."""
        wanted = config.train + config.test
        seed = random.Random(config.seed).getrandbits(31)
        dataset = _dataset(self._generator, json.dumps({**config.options, "seed": seed}), max(1, wanted * _TRIES))
        problems: dict[str, dict[str, Any]] = {}
        for number in range(wanted * _TRIES):
            if len(problems) == wanted:
                break
            item = dataset[number]
            question = str(item["question"])
            if question not in problems:
                # what JSON has no form of, such as a tuple or a set, is given to the scorer in the form it has after it
                entry = json.loads(json.dumps({"answer": item["answer"], "metadata": item["metadata"]}, default=str))
                problems[question] = {"id": f"{self._generator}-{number}", "question": question, **entry}
        if len(problems) < wanted:
            raise InvalidInput(
                f"{self.name} has {len(problems)} different problems with these options, not {wanted}",
                remedy="Lower train and test, or widen task_config.options.",
            )
        found = list(problems.values())
        return list(found[config.test :]), list(found[: config.test])

    def settings(self, config: ReasoningGymConfig) -> dict[str, Any]:
        """Return prompt and options."""
        return {"prompt": config.prompt, "options": config.options}

    def with_settings(self, settings: Mapping[str, Any]) -> "ReasoningGymTask":
        """Return the task with what `settings` returned."""
        return ReasoningGymTask(self._generator, str(settings.get("prompt", PROMPT)), settings.get("options"))

    def prompt(self, problem: JsonProblem) -> str:
        """Return the prompt of a problem."""
        return self._template.format(question=problem["question"])

    def score(self, completion: str, problem: JsonProblem) -> Score:
        """Return the score that reasoning-gym gives the final answer.

        Raises:
            MissingRequirement: reasoning-gym is not installed.
        """
        answer = final_answer(completion)
        if answer is None:
            return Score(0.0, False, None, "no_answer")
        if len(answer) > LONGEST_ANSWER:
            return Score(0.0, False, answer, "too_long")
        dataset = _dataset(self._generator, json.dumps(self._options), 1)
        try:
            reward = float(dataset.score_answer(answer, {**problem}))
        except Exception:  # the scorer's own error about a text that it cannot read
            reward = 0.0
        reward = min(1.0, max(0.0, reward))
        correct = reward == 1.0
        return Score(reward, correct, answer, "correct" if correct else "partial" if reward else "wrong")

    def describe(self, problem: JsonProblem) -> Description:
        """Return the beginning of the question, and the question with the answer."""
        short = " ".join(str(problem["question"]).split())
        short = short if len(short) <= _SHORT else f"{short[: _SHORT - 1]}…"
        return Description(short, f"{problem['question']}\nanswer: {problem.get('answer')}")

    def solve(self, problem: JsonProblem) -> str | None:
        """Return the generator's own answer."""
        answer = problem.get("answer")
        return None if answer is None else str(answer)

    def pretraining_text(self, problem: JsonProblem, rng: random.Random) -> str:
        """Return the answer as a completion: text that a small model learns the form of answers from."""
        return f"<answer> {problem['answer']} </answer>"


def make_task(name: str) -> ReasoningGymTask:
    """Return the task `reasoning_gym:NAME`.

    Raises:
        InvalidInput: NAME is not on the list of allowed generators.
    """
    generator = name.removeprefix(PREFIX)
    if generator not in ALLOWED:
        raise InvalidInput(
            f"reasoning_gym:{generator} cannot be used",
            detail="Its scorer is unknown, or evaluates text.",
            remedy=f"Available: {', '.join(ALLOWED)}.",
        )
    return ReasoningGymTask(generator)


@lru_cache(maxsize=32)
def _dataset(generator: str, options: str, size: int) -> Any:
    if importlib.util.find_spec("reasoning_gym") is None:
        raise MissingRequirement(
            "tasks of reasoning-gym need that library, not installed for this Python",
            remedy="Install the extra: pip install 'cogtui[tasks]'",
        )
    from reasoning_gym import create_dataset

    try:
        return create_dataset(generator, **json.loads(options), size=size)
    except (TypeError, ValueError, AssertionError) as error:
        raise InvalidInput(f"reasoning_gym:{generator} refuses these options: {error}") from error
