"""What a draft becomes, as rows of text: cells × stages, the reasons, the estimate, the place."""

from collections.abc import Sequence

from cogtui.app.launch.preview import Estimate, LaunchPreview, stage_names
from cogtui.app.rendering.styles import Part, StyleName
from cogtui.app.rendering.text import fit, printable_line, short_names
from cogtui.app.widgets.detail_pane import labelled_rows
from jobs.formatting import format_duration
from jobs.recipe.labels import label_text
from jobs.slurm.types import SlurmPartition

_SIGNS: dict[str, tuple[str, StyleName]] = {
    "reused": ("↺", "good"),
    "new": ("▷", "busy"),
    "continued": ("▷", "busy"),
    "retried": ("▷", "busy"),
    "forced": ("▷", "busy"),
    "claimed": ("◐", "busy"),
    "left": ("✗", "bad"),
}
_ABSENT: tuple[str, StyleName] = ("·", "dim")
_MEANINGS = (
    ("reused", "reused"),
    ("new", "to run"),
    ("continued", "to continue"),
    ("retried", "to retry"),
    ("claimed", "under way"),
    ("left", "failed or cancelled before: set retry"),
)
Rows = list[list[Part]]


def plan_rows(found: LaunchPreview, guess: Estimate | None, takes: str, width: int) -> Rows:
    """Return the plan as rows: a line for each cell, the counts, why stages run, and the estimate.

    Args:
        found: the plan.
        guess: by finished stages of this workspace.
        takes: what the recipe's comments say of its duration.
        width: of the pane.
    """
    names = stage_names(found.plan.stages)
    rows = [*_matrix_rows(found, names, width), [], _count_row(found), []]
    unlike: list[str] = []
    for name in names:
        stage = next((each for each in found.starting if each.name == name), None)
        if stage is None:
            continue
        if found.plan.reuse[stage.key].nearest is None and found.actions[stage.key].verb == "new":
            unlike.append(name)
        else:
            rows += labelled_rows(fit(name, 12), found.actions[stage.key].reason, width, "dim", indent=14, limit=2)
    if unlike:
        text = f"nothing of the kind is finished here: {', '.join(unlike)}"
        rows += labelled_rows("first time", text, width, "dim", indent=14, limit=3)
    rows.append([])
    return [*rows, *_estimate_rows(found, guess, takes, width)]


def _matrix_rows(found: LaunchPreview, names: Sequence[str], width: int) -> Rows:
    titles = _cell_titles(found)
    longest = max(map(len, titles)) + 2
    column = min(8, max(3, (width * 3 // 5) // max(1, len(names)) - 1, (width - longest) // max(1, len(names)) - 1))
    title = min(max(8, width - (column + 1) * len(names)), longest)
    shorter = short_names([printable_line(name, 40) for name in names], column)
    head = " ".join(fit(name, column) for name in shorter)
    rows: Rows = [[(fit("cell", title), "dim"), (head, "dim")]]
    for cell, text in zip(found.plan.cells, titles, strict=True):
        row: list[Part] = [(fit(printable_line(text, 80), title), "")]
        for name in names:
            key = cell.stages.get(name)
            sign, style = _ABSENT if key is None else _SIGNS[found.actions[key].verb]
            row.append((fit(sign, column + 1), style))
        rows.append(row)
    return rows


def _cell_titles(found: LaunchPreview) -> list[str]:
    """Return the title of each cell: the condition by its value alone, without labels that are equal in all cells."""
    cells = found.plan.cells
    varying = {
        name for cell in cells for name, value in cell.labels.items() if any(o.labels.get(name) != value for o in cells)
    }
    titles = []
    for cell in cells:
        labels = {name: value for name, value in cell.labels.items() if name in varying} or dict(cell.labels)
        condition = str(labels.pop("condition", ""))
        titles.append(f"{condition} {label_text(labels)}".strip() or "all")
    return titles


def _count_row(found: LaunchPreview) -> list[Part]:
    counts = found.counts()
    row: list[Part] = []
    for verb, meaning in _MEANINGS:
        if counts[verb]:
            sign, style = _SIGNS[verb]
            row += [(f"{sign} ", style), (f"{counts[verb]} {meaning}   ", "")]
    return row


def _estimate_rows(found: LaunchPreview, guess: Estimate | None, takes: str, width: int) -> Rows:
    if not found.starting:
        return [[("Everything is there already: a launch starts nothing.", "good")]]
    rows: Rows = []
    if guess is not None and guess.runs:
        text = f"about {format_duration(guess.seconds, precise=True)}, one job after another"
        if guess.gpu_seconds:
            text += f"; {guess.gpu_seconds / 3600:.1f} GPU hours"
        text += f" (by {guess.runs} finished stage{'s' if guess.runs > 1 else ''} of the same kinds"
        text += f"; without {', '.join(guess.unknown)}, of which none is finished here)" if guess.unknown else ")"
        rows += labelled_rows("takes", text, width)
    elif guess is not None:
        text = f"{takes} as the recipe stands" if takes else "not known: no stage of these kinds is finished here yet"
        rows += labelled_rows("takes", text, width, "" if takes else "dim")
    for cost in found.costs():
        rows += labelled_rows("costs", cost, width, "warn")
    return rows


def place_rows(cluster: str, partitions: Sequence[SlurmPartition], problem: str, keys: str, width: int) -> Rows:
    """Return what is known of the place: the partitions of the cluster, and the API keys."""
    rows: Rows = []
    if problem and cluster == "slurm":
        rows += labelled_rows("slurm", problem, width, "bad")
    for index, partition in enumerate(partitions[:8]):
        _, idle, _, total = (*partition.nodes.split("/"), "", "", "", "")[:4]
        text = f"{partition.name}{' (default)' if partition.is_default else ''}: {idle} of {total} nodes idle"
        text += f", limit {partition.time_limit}" + ("" if partition.is_up else ", down")
        text += f", {partition.gres}" if partition.gres not in ("", "(null)") else ""
        rows += labelled_rows("slurm" if index == 0 else "", text, width, "dim", limit=2)
    return [*rows, *labelled_rows("keys", keys, width, "dim", limit=2)]
