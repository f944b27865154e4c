"""The live chart of a run: what it draws, what it fits into, and how evaluations are followed while a stage writes."""

import io
from pathlib import Path

import pytest
from rich.cells import cell_len
from rich.console import Console

from cogtui.cli.run.display.accuracy_chart import draw_accuracy_chart
from cogtui.cli.run.display.evaluations import EvaluationFollower
from cogtui.cli.run.display.plain import PlainDisplay
from cogtui.cli.run.display.table import TableDisplay
from jobs.planning.types import StageInstance
from jobs.recipe.labels import Label
from jobs.state.types import StageState, StateName

CURVES = {"none": [(0, 0.07), (10, 0.09), (20, 0.12)], "backtracking_verification": [(0, 0.16), (20, 0.28)]}


class Clock:
    time = 0.0

    def __call__(self) -> float:
        return self.time


def stage(condition: str, seed: int = 1) -> StageInstance:
    labels: dict[str, Label] = {"condition": condition, "seed": seed}
    return StageInstance(f"ppo-{condition}{seed}", "ppo", "ppo", {"steps": 20}, {}, labels=labels)


def states(*stages: StageInstance, name: StateName = "running") -> dict[str, StageState]:
    return {
        one.key: StageState(one.key, one.kind, one.name, one.labels, state=name, evidence="none", age_s=0.0)
        for one in stages
    }


def write(folder: Path, step: int, accuracy: float, *, end: str = "\n") -> None:
    folder.mkdir(exist_ok=True)
    with (folder / "metrics-eval-001.jsonl").open("a") as stream:
        stream.write(f'{{"v":2,"step":{step},"values":{{"accuracy":{accuracy},"n":360.0}}}}{end}')


def test_each_condition_has_a_letter_and_the_higher_one_is_above() -> None:
    lines = draw_accuracy_chart(CURVES, 20, 80)
    assert lines[0] == "accuracy on test problems"
    assert lines[1].startswith(" 0.30 ┤")
    last = {letter: row for row, line in enumerate(lines[1:9]) for letter in "AB" if line.endswith(letter)}
    assert last["B"] < last["A"]
    assert lines[-1] == "  A none 0.070 → 0.120    B backtracking_verification 0.160 → 0.280"
    assert lines[-2].endswith("step 20")


@pytest.mark.parametrize("width", [20, 40, 80, 200])
def test_no_line_is_wider_than_the_terminal(width: int) -> None:
    curves = CURVES | {"a condition of a name that is longer than any terminal is wide\x1b[2J": [(0, 1.0)]}
    lines = draw_accuracy_chart(curves, 20, width)
    assert bool(lines) == (width >= 40)
    assert all(cell_len(line) <= width and "\x1b" not in line for line in lines)


def test_there_is_no_chart_before_the_first_evaluation_and_zero_is_drawn() -> None:
    assert draw_accuracy_chart({"none": []}, 20, 80) == []
    assert draw_accuracy_chart({"none": [(0, 0.0)]}, 20, 80)[8].startswith(" 0.00 ┤A")


def test_evaluations_are_read_once_when_their_line_is_whole(tmp_path: Path) -> None:
    clock, one = Clock(), stage("none")
    follower = EvaluationFollower(lambda key: tmp_path / key, clock)
    assert follower.poll([one], states(one)) == []  # no folder yet
    write(tmp_path / one.key, 0, 0.1)
    write(tmp_path / one.key, 10, 0.2, end="")
    clock.time += 2
    assert [(found.step, found.n) for found in follower.poll([one], states(one))] == [(0, 360)]
    write(tmp_path / one.key, 20, 0.3, end="\n")  # completes the torn line into one that is damaged
    write(tmp_path / one.key, 30, 0.4)
    assert follower.poll([one], states(one)) == []  # not twice in a second
    clock.time += 2
    assert [found.step for found in follower.poll([one], states(one))] == [30]
    assert follower.curves([one]) == {"none": [(0, 0.1), (30, 0.4)]}


def test_seeds_are_averaged_at_each_step(tmp_path: Path) -> None:
    both = [stage("none", 1), stage("none", 2)]
    follower = EvaluationFollower(lambda key: tmp_path / key, Clock())
    write(tmp_path / both[0].key, 0, 0.1)
    write(tmp_path / both[1].key, 0, 0.3)
    follower.poll(both, states(*both))
    ((step, accuracy),) = follower.curves(both)["none"]
    assert step == 0
    assert accuracy == pytest.approx(0.2)


def test_the_plain_display_has_a_line_for_each_evaluation(tmp_path: Path) -> None:
    clock, one, lines = Clock(), stage("none"), list[str]()
    display = PlainDisplay(lines.append, clock, EvaluationFollower(lambda key: tmp_path / key, clock))
    write(tmp_path / one.key, 0, 0.1)
    display.start([one], states(one))
    write(tmp_path / one.key, 10, 0.25)
    clock.time += 2
    display.update(states(one))
    evaluated = [line[10:] for line in lines if "evaluated" in line]
    assert evaluated == ["evaluated  ppo condition=none seed=1: step 10, accuracy 0.250 of 360 completions"]


@pytest.mark.parametrize(("height", "shown"), [(30, True), (10, False)])
def test_the_chart_stands_below_the_table_where_it_leaves_rows_for_stages(
    height: int, shown: bool, tmp_path: Path
) -> None:
    stages = [stage("none"), stage("backtracking_verification")]
    for one, accuracy in zip(stages, (0.1, 0.2), strict=True):
        write(tmp_path / one.key, 0, accuracy)
    stream = io.StringIO()
    console = Console(file=stream, force_terminal=True, width=80, height=height, no_color=True, _environ={})
    display = TableDisplay(console, Clock(), EvaluationFollower(lambda key: tmp_path / key, Clock()))
    display.start(stages, states(*stages))
    display.stop()
    assert ("accuracy on test problems" in stream.getvalue()) == shown
    assert "ppo none 1" in stream.getvalue()
