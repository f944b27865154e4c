"""The columns of a list of rollouts, and the cells of a row."""

from collections.abc import Sequence
from dataclasses import replace
from typing import Final

from rich.cells import cell_len

from cogtui.app.rendering.column_layout import Column
from cogtui.app.rendering.styles import INK_STYLES, Part
from cogtui.app.rendering.text import crop, fit, printable_line, shown
from cogtui.app.widgets.keyed_table import Cells
from cogtui.store import RolloutRow
from cogtui.store.columns import VALUE_COLUMNS
from cogtui.store.values.fields import TEXTS
from cogtui.store.values.types import SORT_FIELDS, Snippet, SortField
from pipelines.behaviors.sets.four_habits import FOUR_HABITS
from pipelines.behaviors.sets.registered import BEHAVIOR_LETTERS, BEHAVIORS

MISSING: Final = "–"
"""Shown where a value is unknown; never a zero."""

_BEHAVIOR_COLUMNS: Final = {
    behavior: Column(behavior, f" {BEHAVIOR_LETTERS[behavior]}", 3, right=True) for behavior in BEHAVIORS
}
_BEFORE: Final = (
    Column("step", "step", 6, right=True),
    Column("condition", "condition", 15, grows=True),
    Column("seed", "seed", 5, right=True, rank=3),
    Column("problem", "problem", 11, rank=1),
    Column("reward", "reward", 7, right=True),
    Column("correct", "answer", 9),
    Column("length", "chars", 6, right=True),
)
_AFTER: Final = (
    Column("judged", "judged", 7, rank=2),
    Column("split", "split", 6, rank=4),
    Column("sample", "smp", 4, right=True, rank=4),
    Column("tokens", "tokens", 6, right=True, rank=4),
    Column("numbers", "description", 22, rank=5),
    Column("stage", "stage", 18, rank=6),
    Column("id", "id", 16, rank=7),
    Column("noted", "", 1),
)


def default_columns(behaviors: Sequence[str] = FOUR_HABITS.names) -> tuple[Column, ...]:
    """Return the columns that a list shows if none were chosen, with those of some behaviours."""
    return (*_BEFORE, *(_BEHAVIOR_COLUMNS[behavior] for behavior in behaviors), *_AFTER)


COLUMNS: Final = default_columns()
"""The default columns."""
_MORE: Final = (
    Column("task", "task", 12),
    Column("finish", "ended", 6),
    Column("unaligned", "lost", 5, right=True),
    Column("judge", "judge run", 18),
)
_NAMED: Final = {column.name for column in (*default_columns(BEHAVIORS), *_MORE)}
_OTHERS: Final = tuple(
    Column(column.name, column.title, max(6, len(column.title)), right=column.kind == "number")
    for column in VALUE_COLUMNS
    if column.title and column.name not in _NAMED
)
"""Value columns without a layout of their own."""
EVERY_COLUMN: Final = {column.name: column for column in (*default_columns(BEHAVIORS), *_MORE, *_OTHERS)}
SNIPPET: Final = Column("snippet", "where it is found", 36, grows=True)
SNIPPET_CHARACTERS: Final = 200
SORTABLE: Final[tuple[SortField, ...]] = SORT_FIELDS


def chosen_columns(
    names: tuple[str, ...], *, searched: bool, behaviors: Sequence[str] = FOUR_HABITS.names
) -> list[Column]:
    """Return the columns to show: the chosen ones in their order, the first ones kept longest, or the default ones.

    Args:
        names: none means the default ones.
        searched: words are searched for; where they stand is then the last column.
        behaviors: those whose counts are among the usual columns.
    """
    columns = list(default_columns(behaviors))
    if names:
        columns = [EVERY_COLUMN[name] for name in names]
        if names != tuple(column.name for column in COLUMNS if column.name in names):
            # A chosen order states the priority: the last columns are hidden first when there is no room.
            columns = [replace(column, rank=place) for place, column in enumerate(columns)]
        columns += [] if "noted" in names else [EVERY_COLUMN["noted"]]
    if searched:
        kept = ("step", "reward", "correct", "noted")
        columns = [
            replace(column, grows=False, rank=0 if column.name in kept and not names else 1 + place)
            for place, column in enumerate(columns)
        ]
        columns.append(SNIPPET)
    return columns


def rollout_cells(rollout: RolloutRow) -> Cells:
    """Return the cells of a row. Missing values are dashes, never zeros."""
    cells: dict[str, Part] = {
        "step": (str(rollout.step), ""),
        "condition": (printable_line(rollout.condition or MISSING, 60), ""),
        "seed": (_known(rollout.seed), "dim"),
        "problem": (printable_line(rollout.problem_id, 40), ""),
        "reward": (MISSING if rollout.reward is None else f"{rollout.reward:.2f}", ""),
        "correct": answer_part(rollout),
        "length": (str(rollout.length), "dim"),
        "judged": (MISSING if rollout.judged == "none" else rollout.judged, "warn" if _trouble(rollout) else "dim"),
        "split": (printable_line(rollout.split, 20), "dim"),
        "sample": (str(rollout.sample), "dim"),
        "tokens": (_known(rollout.n_tokens), "dim"),
        "numbers": (printable_line(rollout.describe(), 100), "dim"),
        "task": (printable_line(rollout.task, 40), "dim"),
        "stage": (rollout.stage, "dim"),
        "id": (rollout.id, "dim"),
        "noted": ("*" if rollout.noted else "", "strong"),
        "finish": (rollout.finish_reason, "dim"),
        "unaligned": (_known(rollout.unaligned), "warn" if rollout.unaligned else "dim"),
        "judge": (printable_line(rollout.judge or MISSING, 60), "dim"),
    }
    for column in _OTHERS:
        cells[column.name] = (TEXTS[column.name][2](rollout), "dim")
    for behavior, count in zip(BEHAVIORS, rollout.counts, strict=True):
        cells[behavior] = (_known(count), INK_STYLES[behavior] if count else "faint")
    return cells


def answer_part(rollout: RolloutRow) -> Part:
    """Return `✓ correct`, `✗ wrong`, `✗ cut off`, or a dash if it was not scored."""
    if rollout.correct is None:
        return MISSING, "dim"
    if rollout.correct:
        return "✓ correct", "good"
    return ("✗ cut off" if rollout.finish_reason == "length" else "✗ wrong"), "bad"


def snippet_parts(snippet: Snippet | None, width: int) -> list[Part]:
    """Return the first match with as much context as fits, the matching words marked."""
    if snippet is None or not snippet.marks:
        return [(fit("not in the completion" if snippet is not None else "", width), "dim")]
    first = snippet.marks[0][0]
    start = max(0, min(first - width // 3, len(snippet.text) + 1 - width))
    parts: list[Part] = [("…" if start or snippet.start else "", "dim")]
    at = start
    for low, high in snippet.marks:
        if low >= at:
            parts += [(shown(snippet.text[at:low]), ""), (shown(snippet.text[low:high]), ("match", "strong"))]
            at = high
    parts.append((shown(snippet.text[at:]), ""))
    fitted: list[Part] = []
    room = width
    for text, style_names in parts:
        text = crop(text, room)
        fitted.append((text, style_names))
        room -= cell_len(text)
    return [*fitted, (" " * room, "")]


def _known(value: int | None) -> str:
    return MISSING if value is None else str(value)


def _trouble(rollout: RolloutRow) -> bool:
    return rollout.judged in ("partial", "failed") or bool(rollout.unaligned)
