"""Rows of the panel of machines: this one, its GPUs, and Slurm's partitions with the state of their nodes."""

from typing import Final

from cogtui.app.jobs.activity import JobsActivity, MachineLoad
from cogtui.app.rendering.styles import Part
from cogtui.app.rendering.text import fit, printable_line
from cogtui.app.widgets.detail_pane import labelled_rows
from jobs.formatting import format_megabytes
from jobs.slurm.cluster import PartitionNodes
from pipelines.wording import count_of

Rows = list[list[Part]]
_NAME: Final = 10
_BAR: Final = 10
_MOST_GPUS: Final = 8


def machine_rows(activity: JobsActivity, width: int) -> Rows:
    """Return the rows; no reading is made of what is not known."""
    rows: Rows = []
    for partition in activity.partitions:
        rows.append(_partition_row(partition, width))
    if activity.problem:
        rows += labelled_rows("Slurm", activity.problem, width, "warn", indent=_NAME, limit=2)
    if activity.machine is not None:
        rows += _machine_rows(activity.machine)
    return rows


def _machine_rows(machine: MachineLoad) -> Rows:
    bar = _bar(machine.cores, (("■", machine.taken), ("□", machine.cores - machine.taken)))
    rows: Rows = [
        [
            (fit("here", _NAME), "dim"),
            *bar,
            (f" {machine.taken} of {count_of(machine.cores, 'core')} taken", ""),
        ],
        [
            (fit("memory", _NAME), "dim"),
            *_bar(int(machine.memory_mb), (("■", int(machine.memory_used_mb)), ("□", int(machine.memory_mb)))),
            (f" {machine.memory_used_mb / 1024:.0f} of {machine.memory_mb / 1024:.0f} GB used", ""),
        ],
    ]
    for gpu in machine.gpus[:_MOST_GPUS]:
        rows.append(
            [
                (fit(f"gpu {gpu.number}", _NAME), "dim"),
                *_bar(100, (("■", round(gpu.percent)), ("□", 100))),
                (f" {gpu.percent:.0f}%  {format_megabytes(gpu.used_mb)} of {format_megabytes(gpu.total_mb)}", ""),
            ]
        )
    if len(machine.gpus) > _MOST_GPUS:
        rows.append([(f"{fit('', _NAME)}and {count_of(len(machine.gpus) - _MOST_GPUS, 'GPU')} more", "dim")])
    return rows


def _partition_row(one: PartitionNodes, width: int) -> list[Part]:
    kinds = (("■", one.allocated), ("▣", one.mixed), ("✗", one.other), ("□", one.idle))
    words = f" {one.idle} of {count_of(one.total, 'node')} idle"
    words += f", {one.mixed} partly" if one.mixed else ""
    words += f", {one.other} not usable" if one.other else ""
    down: list[Part] = [] if one.is_up else [("  partition is down", "warn")]
    return [(fit(printable_line(one.name, 40), _NAME), "dim"), *_bar(one.total, kinds), (words, ""), *down]


def _bar(total: int, kinds: tuple[tuple[str, int], ...]) -> list[Part]:
    """Return a bar of `_BAR` cells, or of a cell per unit where there are fewer; each kind has a cell at least."""
    cells = min(_BAR, max(1, total))
    text = ""
    for sign, number in kinds:
        wanted = number if total <= _BAR else -(-number * cells // max(1, total))
        text += sign * min(wanted, cells - len(text))
    return [(fit(text, cells), "busy"), (" " * (_BAR - cells), "")]
