"""Following a run until no stage can change any more. States are scripted; the clock is the test's."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace
from pathlib import Path

import pytest

from cogtui.cli.run import follow as run_follow
from cogtui.cli.run.follow import follow
from jobs.planning.types import StageInstance
from jobs.state.types import StageState, StateName
from jobs.workspace import Workspace
from tests.cli.run.test_display import Clock, state

STAGE = StageInstance("ppo-1", "ppo", "ppo", {}, {})


def seen(name: StateName, *, active: bool = False) -> StageState:
    return replace(state(STAGE, name), active=active)


class Recorder:
    """A display that records its calls."""

    def __init__(self, break_at: int = -1) -> None:
        self.states: list[str] = []
        self.stopped = 0
        self._break_at = break_at

    def start(self, stages: Sequence[StageInstance], states: Mapping[str, StageState]) -> None:
        self.update(states)

    def update(self, states: Mapping[str, StageState]) -> None:
        if len(self.states) == self._break_at:
            raise KeyboardInterrupt
        self.states.append(states[STAGE.key].state)

    def stop(self) -> None:
        self.stopped += 1


def watch(
    script: list[StageState], monkeypatch: pytest.MonkeyPatch, *, step_s: float = 1.0, break_at: int = -1
) -> tuple[str, Recorder, int]:
    """Follows the script, its last state for ever; returns the end, the display, and how often the agent was woken."""
    clock = Clock()
    woken: list[Workspace] = []

    class Reader:
        def __init__(self, workspace: Workspace, *, watching: bool) -> None:
            self.left = list(script)

        def read(self, keys: Iterable[str]) -> dict[str, StageState]:
            assert list(keys) == [STAGE.key]
            found = self.left.pop(0) if len(self.left) > 1 else self.left[0]
            return {STAGE.key: found}

    def sleep(seconds: float) -> None:
        clock.time += step_s

    monkeypatch.setattr("jobs.state.reader.StateReader", Reader)
    monkeypatch.setattr("jobs.attempts.agent_link.ensure_agent", woken.append)
    display = Recorder(break_at)
    states = follow(Workspace(Path("ws")), [STAGE], display, cluster="local", now=clock, sleep=sleep)
    return states[STAGE.key].state, display, len(woken)


def test_it_ends_when_nothing_is_under_way(monkeypatch: pytest.MonkeyPatch) -> None:
    script = [seen("queued", active=True), seen("running", active=True), seen("done")]
    end, display, _ = watch(script, monkeypatch)
    assert (end, display.states, display.stopped) == ("done", ["queued", "running", "done"], 1)


@pytest.mark.parametrize("name", ["done", "failed", "cancelled", "blocked", "timeout", "lost", "planned"])
def test_what_nobody_brings_on_is_the_end(name: StateName, monkeypatch: pytest.MonkeyPatch) -> None:
    end, display, _ = watch([seen(name)], monkeypatch)
    assert (end, display.states) == (name, [name])


@pytest.mark.parametrize("name", ["unknown", "preempted"])
def test_what_may_clear_up_gets_some_time(name: StateName, monkeypatch: pytest.MonkeyPatch) -> None:
    end, _, _ = watch([*[seen(name)] * 5, seen("queued", active=True), seen("done")], monkeypatch)
    assert end == "done"
    end, display, _ = watch([seen(name)], monkeypatch)
    assert end == name
    assert len(display.states) == run_follow._SETTLE_S + 2


def test_a_scheduler_that_cannot_be_asked_is_waited_for(monkeypatch: pytest.MonkeyPatch) -> None:
    end, display, _ = watch([*[seen("unknown", active=True)] * 500, seen("done")], monkeypatch)
    assert (end, len(display.states)) == ("done", 501)


def test_the_local_agent_is_woken_now_and_then(monkeypatch: pytest.MonkeyPatch) -> None:
    _, _, woken = watch([*[seen("queued", active=True)] * 61, seen("done")], monkeypatch)
    assert woken == 10


def test_ctrl_c_gives_the_terminal_back(monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(KeyboardInterrupt):
        watch([seen("running", active=True)], monkeypatch, break_at=3)
