"""The summary of a run: what stages reported, and a dash where they did not."""

from pathlib import Path
from typing import Any

from cogtui.cli.console.layout import format_table
from cogtui.cli.run.summary import FinishedStage, summary_lines
from jobs.planning.cell import Cell
from jobs.planning.types import RecipePlan, StageInstance
from pipelines.behaviors.sets.registered import BEHAVIORS

PLAN = RecipePlan("tiny", Path("tiny.toml"), "", (), (), (Cell(labels={"seed": 1}, stages={}),))


def finished(kind: str, seed: int, result: dict[str, Any]) -> FinishedStage:
    return FinishedStage(StageInstance(f"{kind}-{seed}", kind, kind, {}, {}, labels={"seed": seed}), result)


def table(*stages: FinishedStage) -> list[list[str]]:
    """The rows of the one table, split at its columns."""
    lines = summary_lines(PLAN, stages, 0, 3.0)
    assert lines[1] == ""
    return [[cell.strip() for cell in line.split("  ") if cell.strip()] for line in lines[2:]]


def test_ppo() -> None:
    full = {
        "reward_first": 0.1, "reward_last": 0.34567, "reward_steps": 5, "reward_n": 960,
        "accuracy_before": 0.05, "accuracy_after": 0.0, "accuracy_n": 1200,
    }  # fmt: skip
    bare = {"reward_first": 0.1, "reward_last": None, "reward_steps": 5, "reward_n": 960}
    assert table(finished("ppo", 1, full), finished("ppo", 2, bare)) == [
        ["ppo", "mean reward, first → last 5 steps", "test accuracy, before → after"],
        ["seed=1", "0.100 → 0.346 (n 960)", "0.050 → 0.000 (n 1,200)"],
        ["seed=2", "0.100 → – (n 960)", "–"],
    ]


def test_sample() -> None:
    rows = table(finished("sample", 1, {"accuracy": 0.25, "reward": 0.3, "n": 120}), finished("sample", 2, {"n": 0}))
    assert rows[1:] == [["seed=1", "0.250", "0.300", "120"], ["seed=2", "–", "–", "0"]]


def test_priming_data_stands_beside_what_was_published() -> None:
    present = {name: {"mean": 2.0, "present": share} for name, share in zip(BEHAVIORS, (0.9, 1.0, 0.0), strict=False)}
    full = {
        "condition": "all_strategies", "n": 200, "accuracy": 0.5, "behaviors": present,
        "adherence": {"unwanted": 0, "incomplete": 30}, "spent": {"cost_usd": 1.234},
    }  # fmt: skip
    bare = {"condition": "negative_control", "n": 10, "accuracy": None, "spent": {"cost_usd": None}}
    rows = table(finished("priming_data", 1, full), finished("priming_data", 2, bare))
    assert rows[0][:4] == ["priming_data", "n", "accuracy", "published"]
    assert rows[1] == ["seed=1", "200", "0.500", "0.430", "0.900", "1.000", "0.000", "–", "0.000", "0.150", "$1.23"]
    assert rows[2] == ["seed=2", "10", *["–"] * 9]


def test_missing_is_not_zero_for_a_judge() -> None:
    even = {"rollouts": 10, "behaviors": {name: {"n": 10, "count": 0, "mean": 0.0} for name in BEHAVIORS}}
    partly = {
        "rollouts": 10,
        "behaviors": {
            "verification": {"n": 9, "count": 9, "mean": 1.0},
            "backtracking": {"n": 10, "count": 5, "mean": 0.5},
            "subgoal": {"n": 0, "count": 0, "mean": None},
        },
    }
    assert table(finished("judge", 1, even), finished("judge", 2, partly)) == [
        ["judge", *BEHAVIORS, "judged"],
        ["seed=1", "0.000", "0.000", "0.000", "0.000", "10 of 10"],
        ["seed=2", "1.000 (n 9)", "0.500 (n 10)", "– (n 0)", "– (n –)", "see n of 10"],
    ]


def test_stages_without_numbers_to_show_are_only_counted() -> None:
    assert summary_lines(PLAN, [finished("base", 1, {"parameters": 9})], 1, 61.0) == [
        "tiny: 1 stage done, 1 of them before this run, in 1 min 1 s"
    ]


def test_warnings_of_stages_are_passed_on_as_plain_text() -> None:
    lines = summary_lines(PLAN, [finished("ppo", 1, {"warnings": ["all rewards\x1b[2J were equal"]})], 0, 1.0)
    assert lines[-1] == "warning: ppo seed=1: all rewards␛[2J were equal"


def test_columns_stand_in_line() -> None:
    assert format_table([("a", "bb", "c"), ("aaa", "b", "")]) == ["a    bb  c", "aaa  b"]
