"""In what two experiments, or two runs of one, differ: matrix, overrides, configs of stages, code and packages."""

import json
from collections.abc import Iterable, Iterator, Mapping
from typing import Any, Final, NamedTuple

from jobs.planning.cell import Cell
from jobs.planning.experiments import Experiment
from jobs.workspace import Workspace

ABSENT: Final = "–"
"""Stands for a field that one side does not have."""


class Difference(NamedTuple):
    """One field with its value on both sides."""

    name: str
    left: str
    right: str


def compare_experiments(left: Experiment, right: Experiment, workspace: Workspace) -> list[Difference]:
    """Return the differences of two experiments: of each stage the values of each field over all cells."""
    found = [
        *_differing("matrix", _labels(left.cells), _labels(right.cells)),
        *_differing("", {"overrides": " ".join(left.overrides)}, {"overrides": " ".join(right.overrides)}),
    ]
    configs = [_configs(experiment.cells, workspace) for experiment in (left, right)]
    for name in dict.fromkeys((*configs[0], *configs[1])):
        if name not in configs[0] or name not in configs[1]:
            sides = [("a stage" if name in one else "no such stage") for one in configs]
            found.append(Difference(f"stages.{name}", *sides))
        else:
            found += _differing(f"stages.{name}", configs[0][name], configs[1][name])
    commits = [ABSENT if one.code_git is None else one.code_git.commit[:12] for one in (left, right)]
    found += _differing("", {"code": commits[0]}, {"code": commits[1]})
    return [*found, *_differing("packages", dict(left.packages), dict(right.packages))]


def compare_cells(left: Cell, right: Cell, workspace: Workspace) -> list[Difference]:
    """Return the differences of two runs: labels, stages that one leaves out, fields of the configs of the others."""
    found = _differing("", {**left.labels}, {**right.labels})
    for name in dict.fromkeys((*left.stages, *right.stages)):
        if name in left.stages and name in right.stages:
            configs = [_config(cell.stages[name], workspace) for cell in (left, right)]
            found += _differing(f"stages.{name}", configs[0], configs[1])
        else:
            sides = ["a stage" if name in cell.stages else "left out" for cell in (left, right)]
            found.append(Difference(f"stages.{name}", *sides))
    return found


def _labels(cells: Iterable[Cell]) -> dict[str, str]:
    values: dict[str, dict[str, None]] = {}
    for cell in cells:
        for name, value in cell.labels.items():
            values.setdefault(name, {})[str(value)] = None
    return {name: ", ".join(found) for name, found in values.items()}


def _configs(cells: Iterable[Cell], workspace: Workspace) -> dict[str, dict[str, str]]:
    """Return for each stage name the values of each field, over all cells."""
    keys: dict[str, dict[str, None]] = {}
    for cell in cells:
        for name, key in cell.stages.items():
            keys.setdefault(name, {})[key] = None
    found = {}
    for name, of_stage in keys.items():
        values: dict[str, dict[str, None]] = {}
        for key in of_stage:
            for field, value in _config(key, workspace).items():
                values.setdefault(field, {})[value] = None
        found[name] = {field: ", ".join(several) for field, several in values.items()}
    return found


def _config(key: str, workspace: Workspace) -> dict[str, str]:
    folder = workspace.folder(key)
    if not (folder.path / "stage.json").is_file():
        return {}
    return dict(_flat("", folder.info().config))


def _flat(prefix: str, value: Any) -> Iterator[tuple[str, str]]:
    if isinstance(value, Mapping) and value:
        for name, inner in value.items():
            yield from _flat(f"{prefix}.{name}" if prefix else str(name), inner)
    else:
        yield prefix, value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)


def _differing(prefix: str, left: Mapping[str, Any], right: Mapping[str, Any]) -> list[Difference]:
    found = []
    for name in dict.fromkeys((*left, *right)):
        sides = [str(one[name]) if name in one and one[name] != "" else ABSENT for one in (left, right)]
        if sides[0] != sides[1]:
            found.append(Difference(f"{prefix}.{name}" if prefix else name, *sides))
    return found
