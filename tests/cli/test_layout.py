"""Text fits the terminal without breaking a word, whatever its width: the layout alone, then every command."""

import re
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

import pytest
import typer
from hypothesis import given, settings
from hypothesis import strategies as st

from cogtui.cli.console import layout
from cogtui.cli.console.layout import format_table, text_width, wrap_message, wrap_offsets, wrap_words
from cogtui.cli.main import app
from cogtui.store.showcase import unpack_showcase
from tests.cli.test_workspace_option import COMMANDS
from tests.commands import cogtui_here

GOLD = Path(__file__).parents[2] / "examples" / "gold" / "gold.jsonl"
WIDTHS = st.integers(60, 200)
WORD = st.text(st.characters(categories=["L", "N", "P"], include_characters="→–_-"), min_size=1, max_size=24)
LONG = st.sampled_from(
    ["ppo-0f52d0d828cb", "no_positive_all_strategies", "/data/" + "x" * 90, "1,234.5678", "数学" * 9]
)
CELL = st.lists(WORD | LONG, max_size=6).map(" ".join) | st.just("0.09 ± 0.02 → 0.14 ± 0.01")


@st.composite
def tables(draw: st.DrawFn) -> list[list[str]]:
    columns = draw(st.integers(1, 9))
    head = [f"column{number}" for number in range(columns)]
    rows = draw(st.lists(st.lists(CELL, min_size=columns, max_size=columns), min_size=1, max_size=6))
    return [head, *([f"id-{place}", *row[1:]] for place, row in enumerate(rows))]


def fits(line: str, width: int) -> bool:
    """Whether a line fits, or is one word that cannot (with the name of its column, where it has one)."""
    words = [word for word in re.split(r"\s+", line) if not re.fullmatch(r"column\d|reason|cell|progress", word)]
    return text_width(line) <= width or len([word for word in words if word]) <= 1


@given(rows=tables(), width=WIDTHS, layout=st.sampled_from(["split", "stack"]), right=st.sets(st.integers(0, 8)))
@settings(max_examples=100, deadline=None)
def test_tables_keep_every_word_and_fit(rows: list[list[str]], width: int, layout: str, right: set[int]) -> None:
    lines = format_table(rows, right, width=width, layout=layout)  # type: ignore[arg-type]
    assert all(fits(line, width) for line in lines), lines
    found = Counter(word for line in lines for word in line.split())
    wanted = Counter(word for row in rows[1:] for cell in row for word in cell.split() if cell not in {"", "-", "–"})
    assert not wanted - found


@given(
    text=st.lists(WORD | LONG | st.sampled_from(["", " "])).map("  ".join),
    width=WIDTHS,
    hanging=st.sampled_from(["", "    "]),
)
@settings(max_examples=100, deadline=None)
def test_prose_keeps_every_word_in_order_and_fits(text: str, width: int, hanging: str) -> None:
    lines = wrap_words(text, width, hanging)
    assert " ".join(lines).split() == text.split()
    assert all(fits(line, width) for line in lines)
    pieces = wrap_offsets(text, width)
    assert [word for start, end in pieces for word in text[start:end].split()] == text.split()


def test_an_interval_stays_with_its_value_and_a_command_on_one_line() -> None:
    assert wrap_words("gain of 0.20 ± 0.11 now", 14) == ["gain of", "0.20 ± 0.11", "now"]
    command = (
        "cogtui run four-habits-mini --workspace /data/a/very/long/place/for/a/workspace --set stages.ppo.steps=50"
    )
    assert wrap_message(f"Come back with: {command}", 60) == ["Come back with:", f"  {command}"]


def test_wide_tables_repeat_the_first_column_or_name_what_stands_below() -> None:
    rows = [("", "verification", "backtracking"), ("none", "0.09 ± 0.02", "0.14 ± 0.01")]
    assert format_table(rows, width=20) == [
        "      verification", "none  0.09 ± 0.02", "", "      backtracking", "none  0.14 ± 0.01",
    ]  # fmt: skip
    stages = [("KEY", "STATE", "REASON"), ("ppo-1", "failed", "no GPU is free here"), ("ppo-2", "done", "")]
    assert format_table(stages, width=20, layout="stack") == [
        "KEY    STATE", "ppo-1  failed", "    reason no GPU is", "      free here", "ppo-2  done",
    ]  # fmt: skip


def test_one_module_lays_out_text() -> None:
    own = {"console/layout.py", "rollouts/import_preview.py"}
    """The preview of an import cuts raw data to half a terminal."""
    folder = Path(layout.__file__).parents[1]
    others = {
        str(path.relative_to(folder))
        for path in folder.rglob("*.py")
        if re.search(r"\bimport textwrap|get_terminal_size|terminal_size\(", path.read_text("utf-8"))
    }
    assert others <= own


@pytest.fixture(scope="module")
def commands() -> list[tuple[str, ...]]:
    """Commands that print what a workspace has."""
    folder = str(unpack_showcase().workspace.path)
    listed = cogtui_here("-w", folder, "rollouts", "condition:backtracking_verification", "--limit", "1")
    rollout = listed.stdout.splitlines()[1].split()[0]
    stage = next(line.split()[0] for line in cogtui_here("-w", folder, "ls").stdout.splitlines() if "ppo-" in line)
    found = [
        ("ls",), ("rollouts", "--limit", "5"), ("rollouts", "--by-problem", "--limit", "5"),
        ("compare", "two-bases-mini"), ("trace", rollout), ("show", stage), ("recipes",), ("models",),
        ("agreement", "--gold", str(GOLD), "--judge", "rules"), ("notes",), ("run", "smoke", "--dry-run"),
    ]  # fmt: skip
    return [command if command[0] in ("recipes", "models") else ("-w", folder, *command) for command in found]


def outputs(command: tuple[str, ...], monkeypatch: pytest.MonkeyPatch) -> Iterator[tuple[int, str]]:
    for width in (60, 80):
        monkeypatch.setenv("COLUMNS", str(width))
        done = cogtui_here(*command)
        yield width, done.stdout + done.stderr


@pytest.mark.slow
def test_no_command_breaks_a_word(commands: list[tuple[str, ...]], monkeypatch: pytest.MonkeyPatch) -> None:
    for command in commands:
        monkeypatch.setenv("COLUMNS", "100000")
        done = cogtui_here(*command)
        assert done.returncode == 0, done.stderr
        whole = set((done.stdout + done.stderr).split())
        for width, text in outputs(command, monkeypatch):
            added = {"reason", "cell", "progress", "not", "shown", "at", "this", "width:", "split,", "seed,", "tokens,",
                     "length;", "choose", "with", "--columns", "experiment:", "two-bases-mini"}  # fmt: skip
            broken = {word for word in text.split() if word not in whole | added}
            labels = {value for word in whole if "=" in word for value in word.split("=")}
            assert not broken - labels, (command, width)
            copied = "           runs: "  # commands of stages are printed on one line
            assert all(fits(line, width) or line.startswith(copied) for line in text.splitlines()), (command, width)


@pytest.mark.parametrize("path", [(), *COMMANDS], ids=" ".join)
def test_help_breaks_no_word(path: tuple[str, ...], monkeypatch: pytest.MonkeyPatch) -> None:
    for width in (60, 80):
        monkeypatch.setenv("COLUMNS", str(width))
        text = cogtui_here(*path, "--help").stdout
        command = COMMANDS[path] if path else typer.main.get_command(app)
        assert all(fits(line, width) for line in text.splitlines())
        printed = set(text.split())
        for parameter in command.params:
            assert set(parameter.opts[0].split()) <= printed or not parameter.opts[0].startswith("-")
            assert set((getattr(parameter, "help", None) or "").split()) <= printed
        for listed in getattr(command, "commands", {}).values():
            assert set((listed.help or "").split()) <= printed
