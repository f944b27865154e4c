"""The lines above a comparison: origin and outcome of both rollouts, and how much they differ."""

from rich.cells import cell_len

from cogtui.app.rendering.highlight import minimap
from cogtui.app.rendering.pairing import Pairing
from cogtui.app.rendering.styles import INK_STYLES, SPAN_STYLES, Part
from cogtui.app.rendering.text import fit, printable_line
from cogtui.app.rollout.rollout_columns import MISSING, answer_part
from cogtui.app.rollout.trace_data import JudgeRunView
from cogtui.app.traces.compare.siblings import describe_rollout
from cogtui.store import RolloutRow
from pipelines.behaviors.segment import TextRange
from pipelines.behaviors.sets.registered import BEHAVIOR_LETTERS
from pipelines.wording import count_of

LETTERS = ("A", "B")
_LEAST_PROBLEM = 8


def side_parts(side: int, row: RolloutRow, trace: JudgeRunView, width: int, *, active: bool) -> list[Part]:
    """Return one rollout on one line: letter, reward, counts, length, origin. Keys act on the active one."""
    reward = MISSING if row.reward is None else f"{row.reward:.2f}"
    answer, style = answer_part(row)
    parts: list[Part] = [
        (f"{'›' if active else ' '}{LETTERS[side]} ", ("strong", "current") if active else "strong"),
        (f" {fit(answer, 9)}", style),
        (f" {reward:>5} ", ""),
    ]
    for behavior in trace.behaviors:
        count = trace.count(behavior)
        text = count if count.isdigit() else MISSING if count == MISSING else "!"
        letter = BEHAVIOR_LETTERS[behavior]
        parts.append((f" {letter}{text}", INK_STYLES[behavior] if count not in ("0", MISSING) else "dim"))
    length = count_of(row.length, "character") if row.n_tokens is None else count_of(row.n_tokens, "token")
    parts.append((f"  {length:>10}  ", "dim"))
    room = width - sum(len(text) for text, _ in parts)
    return [*parts, (fit(printable_line(describe_rollout(row), 300), max(0, room)), "strong" if active else "")]


def summary_parts(
    left: RolloutRow, right: RolloutRow, pairing: Pairing | None, reading: bool, width: int = 1000
) -> list[Part]:
    """Return the problem, and how many segments are equal, changed, or in one text only.

    The problem is shortened where the line is too long, and left out where there is no room for it.
    """
    problem = f" {printable_line(right.describe(), 100)}"
    if (left.task, left.problem) != (right.task, right.problem):
        problem = f" two problems: {printable_line(left.describe(), 100)} and{problem}"
    if pairing is None:
        return [(problem, "strong"), ("  reading" if reading else "", "dim")]
    counts = [
        f"{pairing.count('same'):,} the same", f"{pairing.count('changed'):,} changed ≠",
        f"{pairing.count('left'):,} only in A <", f"{pairing.count('right'):,} only in B >",
    ]  # fmt: skip
    parts: list[Part] = [(f"  segments: {', '.join(counts)}", "")]
    if pairing.by_place:
        parts.append(("  too long to align: side by side from the start", "warn"))
    room = width - sum(len(text) for text, _ in parts)
    if cell_len(problem) > room:
        problem = fit(problem, room) if room >= _LEAST_PROBLEM else ""
    return [(problem, "strong"), *parts]


def strip_parts(side: int, length: int, longest: int, trace: JudgeRunView, seen: TextRange, width: int) -> list[Part]:
    """Return the behaviours along one text, on a scale that both texts share."""
    room = max(1, width - 5)
    cells = max(1, round(room * length / longest)) if longest else 1
    parts: list[Part] = [(f" {LETTERS[side]} ", "dim"), ("▕", "dim")]
    for cell, behaviors in enumerate(minimap(length, trace.spans, cells)):
        inside = seen[1] > seen[0] and seen[0] * cells // length <= cell <= (seen[1] - 1) * cells // length
        if not behaviors:
            parts.append(("─" if inside else "·", "" if inside else "dim"))
        else:
            letter = BEHAVIOR_LETTERS[behaviors[0]] if len(behaviors) == 1 else "+"
            parts.append((letter, SPAN_STYLES[behaviors[0]] if inside else INK_STYLES[behaviors[0]]))
    return [*parts, ("▏", "dim")]
