"""Rollouts as records: ids, scores, refusals, and what a batch of them shows."""

import math
from collections.abc import Sequence
from typing import Any

import pytest

from pipelines.errors import InvalidInput, StageFailed
from pipelines.records import Rollout, countdown_fields, rollout_id
from pipelines.tasks.countdown.problems import make_problem
from pipelines.tasks.countdown.task import CountdownTask, problem_json, shipped_template
from pipelines.tasks.protocol import Score
from pipelines.tokenizer import build_tokenizer, encode
from pipelines.training.core.engine_configs import SamplingConfig
from pipelines.training.generation.engine import Completion, GenerationRequest
from pipelines.training.sampling.metrics import rollout_metrics
from pipelines.training.sampling.rollouts import RolloutSampler, rollout_keys

pytestmark = pytest.mark.train

PROBLEM = problem_json(make_problem((2, 3), 5))
TASK = CountdownTask(template=shipped_template("mini"))
TOKENIZER = build_tokenizer(["<answer>", "</answer>", "+", "=", "(", ")"], [TASK.prompt(PROBLEM)], range(20))


class Scripted:
    """An engine that returns scripted completions."""

    name = "scripted"

    def __init__(self, *completions: Completion) -> None:
        self.completions = completions
        self.requests: list[GenerationRequest] = []
        self.synced: list[int] = []

    def sync(self, step: int) -> None:
        self.synced.append(step)

    def close(self) -> None:
        """Nothing is held."""

    def generate(self, requests: Sequence[GenerationRequest], sampling: SamplingConfig) -> list[Completion]:
        self.requests += requests
        return list(self.completions)


def says(text: str, *, stop: bool = True) -> Completion:
    """A completion of this text."""
    ids = encode(TOKENIZER, text)
    return Completion((*ids, TOKENIZER.eos_token_id), "stop") if stop else Completion(tuple(ids), "length")


def make_sampler(engine: Scripted, task: Any = TASK, **fields: Any) -> RolloutSampler:
    """A sampler for a made-up stage."""
    return RolloutSampler("ppo-0", task, TOKENIZER, engine, **{"seed": 0, "max_prompt_tokens": 16, **fields})


def test_a_rollout_has_its_text_its_score_and_where_it_comes_from() -> None:
    right = "2 + 3 = 5 <answer> 2 + 3 </answer>"
    engine = Scripted(says(right), says("2 + 3 =", stop=False))
    sampler = make_sampler(engine)
    sampler.sync(4)
    first, second = sampler.sample(list(rollout_keys("train", 4, [PROBLEM], 2)), SamplingConfig(max_new_tokens=20))
    rollout = first.rollout
    assert rollout.id == rollout_id("ppo-0", "train", 4, PROBLEM["id"], 0)
    assert (rollout.completion, rollout.reward, rollout.correct, rollout.answer) == (right, 1.0, True, "2 + 3")
    assert (rollout.finish_reason, rollout.n_tokens) == ("stop", 11)
    assert rollout.prompt == TASK.prompt(PROBLEM)
    assert first.prompt == tuple(encode(TOKENIZER, rollout.prompt))
    assert rollout.meta["seed"] == engine.requests[0].seed != engine.requests[1].seed
    assert rollout.meta["sampling"]["max_new_tokens"] == 20
    assert (second.rollout.completion, second.rollout.reward) == ("2 + 3 =", 0.0)
    assert (second.rollout.finish_reason, second.rollout.n_tokens) == ("length", 4)
    assert engine.synced == [4]


def test_the_end_of_sequence_is_not_part_of_the_text_but_padding_the_model_said_is() -> None:
    engine = Scripted(Completion((TOKENIZER.pad_token_id, TOKENIZER.eos_token_id), "stop"))
    (sampled,) = make_sampler(engine).sample(list(rollout_keys("train", 0, [PROBLEM], 1)), SamplingConfig())
    assert sampled.rollout.completion == "<pad>"


@pytest.mark.parametrize(("reward", "said"), [(math.nan, "is nan"), (math.inf, "is inf")])
def test_a_reward_that_is_no_number_names_the_rollout(reward: float, said: str) -> None:
    class Broken(CountdownTask):
        def score(self, completion: str, problem: Any) -> Score:
            return Score(reward, False, None, "no_answer")

    with pytest.raises(StageFailed, match=said) as caught:
        make_sampler(Scripted(says("2")), Broken(template=TASK.template)).sample(
            list(rollout_keys("train", 0, [PROBLEM], 1)), SamplingConfig()
        )
    assert PROBLEM["id"] in caught.value.summary
    assert rollout_id("ppo-0", "train", 0, PROBLEM["id"], 0) in caught.value.summary


def test_a_reward_that_raises_names_the_rollout() -> None:
    class Broken(CountdownTask):
        def score(self, completion: str, problem: Any) -> Score:
            raise ZeroDivisionError("division by zero")

    with pytest.raises(StageFailed, match=f"problem {PROBLEM['id']}.: division by zero"):
        make_sampler(Scripted(says("2")), Broken(template=TASK.template)).sample(
            list(rollout_keys("train", 0, [PROBLEM], 1)), SamplingConfig()
        )


def test_a_prompt_that_is_too_long_is_refused() -> None:
    with pytest.raises(InvalidInput, match=f"problem {PROBLEM['id']} has 8 tokens, more than 5"):
        make_sampler(Scripted(), max_prompt_tokens=5).check_prompts([PROBLEM], new_tokens=4, positions=None)


def test_a_completion_that_does_not_fit_the_model_is_refused() -> None:
    make_sampler(Scripted()).check_prompts([PROBLEM], new_tokens=24, positions=32)
    with pytest.raises(InvalidInput, match="prompts of 8 tokens and completions of 25 do not fit into 32 positions"):
        make_sampler(Scripted()).check_prompts([PROBLEM], new_tokens=25, positions=32)


def test_a_prompt_outside_the_vocabulary_is_refused() -> None:
    with pytest.raises(InvalidInput, match="vocabulary") as caught:
        make_sampler(Scripted()).check_prompts([problem_json(make_problem((2, 77), 79))], new_tokens=1, positions=None)
    assert "'77'" in caught.value.detail


def rollout(problem: str, answer: str | None, reward: float, tokens: int, finish: Any = "stop") -> Rollout:
    """A rollout with what metrics look at."""
    return Rollout(
        id=f"{problem}{answer}{tokens}",
        step=0,
        split="train",
        problem_id=problem,
        sample=0,
        **countdown_fields((2, 3), 5),
        prompt="",
        completion="" if answer is None else f"<answer>{answer}</answer>",
        reward=reward,
        correct=reward == 1,
        answer=answer,
        finish_reason=finish,
        n_tokens=tokens,
    )


def test_metrics_are_means_over_the_batch() -> None:
    found = rollout_metrics(
        [
            rollout("a", "2+3", 1.0, 10),
            rollout("a", "2 + 3", 1.0, 12),
            rollout("a", "3-2", 0.1, 14),
            rollout("b", None, 0.0, 20, "length"),
        ],
        behaviors=False,
    )
    assert found == pytest.approx(
        {
            "reward": 2.1 / 4,
            "accuracy": 0.5,
            "format_rate": 0.75,
            "truncation_rate": 0.25,
            "length": 14,
            "distinct_answers": 1.0,
        }
    )
    assert rollout_metrics([], behaviors=True) == {}


def test_behaviours_are_counted_by_the_rules_judge() -> None:
    text = "2 * 3 = 6 is not the goal . Let's try something else . 2 + 3 = 5 is the goal . <answer> 2 + 3 </answer>"
    one = rollout("a", "2 + 3", 1.0, 20).model_copy(update={"completion": text})
    found = rollout_metrics([one, one.model_copy(update={"completion": ""})], behaviors=True)
    assert (found["verification"], found["backtracking"], found["subgoal"]) == (1.0, 0.5, 0.0)


def test_attempts_are_measured_one_by_one() -> None:
    text = (
        "3 * 2 = 6 is not the goal . Let's try something else . "  # legal, honest
        "3 + 3 = 5 is not the goal . Let's try something else . "  # a number twice, a false sum, a false verdict
        "2 + 3 = 5 is the goal . <answer> 2 + 3 </answer>"
    )
    one = rollout("a", "2 + 3", 1.0, 20).model_copy(update={"completion": text})
    cut = one.model_copy(update={"completion": text[:70], "finish_reason": "length"})
    found = rollout_metrics([one, cut, one.model_copy(update={"completion": "?"})], behaviors=True)
    assert {name: found[name] for name in found if name in ("attempts", "yes_on_hit", "yes_on_miss")} == pytest.approx(
        {"attempts": 4 / 3, "yes_on_hit": 1 / 2, "yes_on_miss": 0.0}
    )
    assert found["attempt_legality"] == found["attempt_completeness"] == pytest.approx(3 / 4)
    assert found["attempt_hit_rate"] == pytest.approx(1 / 4)
    assert found["equation_accuracy"] == pytest.approx(3 / 4)
    nothing = rollout_metrics([one.model_copy(update={"completion": ""})], behaviors=True)
    assert nothing["attempts"] == 0
    assert not {"attempt_legality", "yes_on_hit", "equation_accuracy"} & set(nothing)  # shares of nothing


def test_a_bug_in_the_judge_costs_the_counts_and_nothing_else(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    from pipelines.behaviors.judges.rules import judge as rules

    def broken(*given: object) -> None:
        raise IndexError("list index out of range")

    monkeypatch.setattr(rules, "find_behaviors", broken)
    found = rollout_metrics([rollout("a", "2+3", 1.0, 10)], behaviors=True)
    assert found["accuracy"] == 1
    assert "verification" not in found
    assert "rollout a2+310" in capsys.readouterr().err
