"""What the displays of a run write, on a clock of the tests."""

import io
import re
from dataclasses import replace

import pytest
from rich.console import Console

from cogtui.cli.run.display import make_display
from cogtui.cli.run.display.base import NoDisplay, ProgressRate, values_text
from cogtui.cli.run.display.plain import HEARTBEAT_S, PlainDisplay
from cogtui.cli.run.display.table import TableDisplay
from jobs.formatting import format_duration, format_progress
from jobs.planning.types import StageInstance
from jobs.state.types import STATE_GLYPHS, STATES, StageState, StateName
from pipelines.folder import Progress
from pipelines.text_safety import one_line


class Clock:
    """A clock that goes when told."""

    def __init__(self) -> None:
        self.time = 100.0

    def __call__(self) -> float:
        return self.time


def stage(name: str, number: int = 0) -> StageInstance:
    return StageInstance(f"ppo-{number:012x}", "ppo", name, {}, {}, labels={"seed": number})


def state(of: StageInstance, name: StateName, progress: Progress | None = None, reason: str = "") -> StageState:
    return StageState(
        key=of.key,
        kind=of.kind,
        name=of.name,
        labels=of.labels,
        state=name,
        evidence="none",
        age_s=0.0,
        reason=reason,
        progress=progress,
    )


def progress(done: float, time: float = 0.0, message: str = "", **values: float) -> Progress:
    return Progress(done=done, total=100, unit="steps", message=message, values=values, time=time)


def without_times(lines: list[str]) -> list[str]:
    assert all(re.match(r"\d\d:\d\d:\d\d  ", line) for line in lines)
    return [line[10:] for line in lines]


ONE, TWO, THREE = stage("ppo", 1), stage("ppo", 2), stage("base", 3)


def test_plain_says_each_change_once() -> None:
    lines: list[str] = []
    display = PlainDisplay(lines.append, Clock())
    states = {
        THREE.key: state(THREE, "done"),
        ONE.key: state(ONE, "queued"),
        TWO.key: state(TWO, "running", progress(3)),
    }
    display.start([THREE, ONE, TWO], states)
    display.update(states)
    states[ONE.key] = state(ONE, "running")
    states[TWO.key] = state(TWO, "failed", reason="killed by signal 9\nat step 3")
    display.update(states)
    display.update(states)
    states[ONE.key] = state(ONE, "done", progress(100, reward=0.25))
    display.update(states)
    display.stop()
    assert without_times(lines) == [
        "3 stages: 1 queued, 1 running, 1 done",
        "running    ppo seed=2: 3/100 steps",
        "running    ppo seed=1",
        "failed     ppo seed=2: killed by signal 9 at step 3",
        "done       ppo seed=1: reward 0.25",
    ]


def test_plain_gives_a_sign_of_life_now_and_then() -> None:
    lines: list[str] = []
    clock = Clock()
    display = PlainDisplay(lines.append, clock)
    display.start([ONE], {ONE.key: state(ONE, "running", progress(10, time=1000.0))})
    for second in range(1, 80):
        clock.time += 1
        display.update({ONE.key: state(ONE, "running", progress(10 + second, time=1000.0 + 2 * second, reward=0.5))})
    assert len(lines) == 2 + int(79 / HEARTBEAT_S)
    # 1 step in 2 s, 60 steps to go
    assert without_times(lines)[2] == "running    ppo seed=1: 40/100 steps · reward 0.5 · about 2 min 0 s to go"
    display.update({ONE.key: state(ONE, "queued")})
    clock.time += HEARTBEAT_S
    display.update({ONE.key: state(ONE, "queued")})
    assert without_times(lines)[-1] == "no stage is running; 1 is not done"


def test_a_stalled_stage_is_said_to_be() -> None:
    lines: list[str] = []
    display = PlainDisplay(lines.append, Clock())
    display.start([ONE], {ONE.key: state(ONE, "running")})
    display.update({ONE.key: replace(state(ONE, "running", reason="no sign of life for 5 min"), stalled=True)})
    assert without_times(lines)[-1] == "running, stalled? ppo seed=1: no sign of life for 5 min"


def drawn(width: int, height: int, stages: list[StageInstance], states: dict[str, StageState]) -> str:
    """The last frame of the table on a terminal of that size."""
    stream = io.StringIO()
    console = Console(file=stream, force_terminal=True, width=width, height=height, no_color=True, _environ={})
    display = TableDisplay(console, Clock())
    display.start(stages, states)
    display.stop()
    frames = re.split(r"(?:\x1b\[(?:1A|2K)|\r)+", stream.getvalue())  # each frame first wipes the one before
    return re.sub(r"\x1b\[[0-9;?]*[a-zA-Z]", "", frames[-1])


def test_the_table_shows_state_progress_and_values() -> None:
    text = drawn(
        110,
        30,
        [THREE, ONE, TWO],
        {
            THREE.key: state(THREE, "done", progress(100, accuracy=0.5)),
            ONE.key: state(ONE, "running", progress(40, reward=0.31, message="[bold]epoch 1[/]")),
            TWO.key: state(TWO, "failed", reason="out of memory"),
        },
    )
    base, first, second = (line for line in text.splitlines() if " ppo " in line or " base " in line)
    assert "✓ done" in base
    assert "accuracy 0.5" in base
    assert "◐ running" in first
    assert "40/100 steps" in first
    assert "reward 0.31 · [bold]epoch 1[/]" in first
    assert "✗ failed" in second
    assert "out of memory" in second
    assert "1 running · 1 done · 1 failed · 0 s" in text


def test_a_low_terminal_keeps_what_matters() -> None:
    stages = [stage("ppo", number) for number in range(50)]
    states = {one.key: state(one, "queued") for one in stages}
    states[stages[40].key] = state(stages[40], "running", progress(1))
    states[stages[45].key] = state(stages[45], "failed", reason="why")
    text = drawn(80, 12, stages, states)
    rows = [line for line in text.splitlines() if " ppo " in line or " base " in line]
    assert len(rows) == 9
    assert sum(row.split()[2:4] == ["ppo", "40"] for row in rows) == 1
    assert sum(row.split()[2:4] == ["ppo", "45"] for row in rows) == 1
    assert "41 not shown" in text


@pytest.mark.parametrize(("width", "height"), [(20, 5), (80, 24), (200, 60)])
def test_any_size_and_any_state(width: int, height: int) -> None:
    stages = [stage("ppo", number) for number, _ in enumerate(STATES)]
    states = {one.key: state(one, name, progress(1, a=1.0)) for one, name in zip(stages, STATES, strict=True)}
    lines = drawn(width, height, stages, states).splitlines()
    assert 0 < len(lines) <= height
    assert max(map(len, lines)) <= width


def test_an_idle_table_writes_nothing_for_a_second() -> None:
    stream = io.StringIO()
    clock = Clock()
    display = TableDisplay(Console(file=stream, force_terminal=True, width=80, height=24), clock)
    states = {ONE.key: state(ONE, "running", progress(1))}
    display.start([ONE], states)
    before = len(stream.getvalue())
    clock.time += 0.9
    display.update({ONE.key: replace(states[ONE.key], age_s=3.0)})
    assert len(stream.getvalue()) == before
    display.update({ONE.key: state(ONE, "running", progress(2))})
    assert len(stream.getvalue()) > before
    display.stop()


def test_pace() -> None:
    pace = ProgressRate()
    assert pace.remaining_s(progress(1)) is None
    for step in range(5):
        pace.observe(progress(step * 10, time=500.0 + step * 3))
    assert pace.remaining_s(progress(40)) == pytest.approx(18.0)
    pace.observe(progress(20, time=600.0))  # continued from a checkpoint: what was before says nothing
    assert pace.remaining_s(progress(20)) is None
    pace.observe(progress(30, time=610.0))
    assert pace.remaining_s(progress(30)) == pytest.approx(70.0)
    for step in range(1000):  # the present pace counts, not that of the beginning
        pace.observe(progress(30 + step / 100, time=610.0 + step))
    assert pace.remaining_s(progress(40)) == pytest.approx((100 - 39.99) * 100, rel=0.01)


def test_text_of_a_stage_drives_no_terminal() -> None:
    assert one_line("a\x1b[2J\x07\nb\u202e") == "a␛[2J␇ b�"
    assert len(one_line("x" * 1000, 160)) == 160
    assert values_text(progress(1, message="\x1b]0;title\x07")) == "␛]0;title␇"
    assert format_progress(Progress(done=3, total=0, unit="texts", time=0)) == "3 texts"
    assert values_text(None) == format_progress(None) == ""


@pytest.mark.parametrize(("seconds", "text"), [(0.4, "0 s"), (59, "59 s"), (125, "2 min 5 s"), (7500, "2 h 5 min")])
def test_duration(seconds: float, text: str) -> None:
    assert format_duration(seconds, precise=True) == text


def test_the_table_needs_a_terminal_unless_asked_for(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("sys.stderr", io.StringIO())
    assert isinstance(make_display(None), PlainDisplay)
    assert isinstance(make_display("none"), NoDisplay)
    assert isinstance(make_display("rich"), TableDisplay)


def test_the_glyphs_are_those_of_the_app() -> None:

    assert tuple(STATE_GLYPHS) == STATES
