"""`cogtui trace` on a terminal: wrapped between words, spans in colours; `--raw` and pipes leave the text as it is."""

import os
import pty
import re
import sys
from collections.abc import Iterator
from contextlib import contextmanager

import pytest

from cogtui.cli.rollouts.trace_text import completion_lines, terminal_paint
from cogtui.store import RolloutDetail, open_store
from cogtui.store.showcase import unpack_showcase
from pipelines.records import Behavior
from tests.commands import cogtui_here

ESCAPE = re.compile("\x1b\\[[\\d;]*m")
PRIMED = "condition:backtracking_verification"


@pytest.fixture(scope="module")
def folder() -> str:
    return str(unpack_showcase().workspace.path)


@pytest.fixture(scope="module")
def detail(folder: str) -> RolloutDetail:
    uid = cogtui_here("-w", folder, "rollouts", PRIMED, "--limit", "1").stdout.splitlines()[1].split()[0]
    with open_store(unpack_showcase().workspace) as store:
        return store.rollout(uid)


@contextmanager
def terminal(monkeypatch: pytest.MonkeyPatch, **environment: str) -> Iterator[None]:
    for name in ("NO_COLOR", "COLORTERM", "FORCE_COLOR", "COLUMNS"):
        monkeypatch.delenv(name, raising=False)
    for name, value in environment.items():
        monkeypatch.setenv(name, value)
    ours, theirs = pty.openpty()
    with os.fdopen(theirs, "w") as stream, monkeypatch.context() as patch:
        patch.setattr(sys, "stdout", stream)
        yield
    os.close(ours)


@pytest.mark.parametrize(
    ("environment", "escape"),
    [
        ({"TERM": "xterm", "COLORTERM": "truecolor"}, "\x1b[4;38;2;"),
        ({"TERM": "tmux-256color"}, "\x1b[4;38;5;"),
        ({"TERM": "xterm"}, "\x1b[4;96m"),
        ({"TERM": "xterm-256color", "NO_COLOR": "1"}, "\x1b[4m"),
    ],
)
def test_spans_have_the_colours_that_the_terminal_has(
    monkeypatch: pytest.MonkeyPatch, environment: dict[str, str], escape: str
) -> None:
    with terminal(monkeypatch, **environment):
        paint = terminal_paint()
        assert paint is not None
        assert paint("goal", "verification").startswith(escape)
        assert paint("goal", None) == "goal"


def test_no_terminal_or_a_dumb_one_has_none(monkeypatch: pytest.MonkeyPatch) -> None:
    assert terminal_paint() is None
    with terminal(monkeypatch, TERM="dumb"):
        assert terminal_paint() is None


@pytest.mark.parametrize("width", [40, 60, 80])
def test_wrapping_and_colours_change_no_word(detail: RolloutDetail, width: int) -> None:
    def paint(text: str, behavior: Behavior | None) -> str:
        return f"\x1b[4m{text}\x1b[0m" if behavior else text

    painted = [*completion_lines(detail, width, paint)]
    assert any("\x1b[4m" in line for line in painted)
    lines = [ESCAPE.sub("", line) for line in painted]
    assert all(len(line) <= width for line in lines)
    texts = [line.split(" | ", 1)[1] for line in lines]
    assert " ".join(texts).split() == detail.completion.split()
    for line, letters in zip(painted, (line.split(" | ", 1)[0] for line in lines), strict=True):
        assert bool(letters.strip()) == ("\x1b[4m" in line)


def test_a_pipe_and_raw_get_the_lines_as_stored(
    folder: str, detail: RolloutDetail, monkeypatch: pytest.MonkeyPatch
) -> None:
    piped = cogtui_here("-w", folder, "trace", detail.row.id).stdout
    assert "\x1b" not in piped
    for line in detail.completion.split("\n"):
        assert f" | {line}\n" in piped
    monkeypatch.setenv("COLUMNS", "50")
    assert cogtui_here("-w", folder, "trace", detail.row.id, "--raw").stdout == piped
    assert cogtui_here("-w", folder, "trace", detail.row.id).stdout != piped
