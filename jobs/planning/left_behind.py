"""Unfinished stages that an edited recipe would leave behind, although only settings of theirs were changed.

The value of `micro_batch` and two more settings in the recipe's file is part of the key (`AS_WRITTEN`), so another
value there plans another stage, which begins anew.
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from jobs.planning.types import RecipePlan, StageInstance
from jobs.workspace import Workspace
from pipelines.errors import CogtuiError
from pipelines.files import read_json
from pipelines.folder import StageFolder
from pipelines.stages import find_kind
from pipelines.stages.settings import settings_of, toml_value, with_settings, written_paths


@dataclass(frozen=True, slots=True)
class StageLeftBehind:
    """A stage of the last start of a recipe that differs from a new one in settings only."""

    stage: StageInstance
    """The new one."""
    key: str
    """Of the unfinished one."""
    settings: Mapping[str, tuple[Any, Any]]
    """Values by dotted path: of the new one, and of the unfinished one."""

    def warning(self) -> str:
        """Return what happens and how to continue the unfinished stage instead."""
        changes = ", ".join(f"{name} ({new} here, {old} there)" for name, (new, old) in self.settings.items())
        commands = " ".join(
            f"--set stages.{self.stage.name}.{name}={toml_value(new)}"
            for name, (new, _) in self.settings.items()
            if new is not None
        )
        return (
            f"{self.stage.title} begins anew: it differs from the unfinished {self.key} only in {changes}. "
            f"To continue that one, leave the file as it was and add --retry {commands}".rstrip()
        )


def find_left_behind(plan: RecipePlan, workspace: Workspace) -> list[StageLeftBehind]:
    """Return the unfinished stages of the last start that the plan replaces by ones that differ in settings only."""
    new = [stage for stage in plan.stages if plan.reuse[stage.key].status == "new"]
    return list(_found(plan, new, workspace)) if new else []


def _found(plan: RecipePlan, new: Sequence[StageInstance], workspace: Workspace) -> Iterator[StageLeftBehind]:
    before = _last_cells(workspace, plan.name)
    for stage in new:
        for index in stage.cells:
            key = before.get(_cell_name(plan.cells[index].labels), {}).get(stage.name)
            changed = None if key is None else _changed_settings(stage, workspace.folder(str(key)))
            if changed:
                yield StageLeftBehind(stage, str(key), changed)
                break


def _last_cells(workspace: Workspace, name: str) -> dict[str, Mapping[str, Any]]:
    """Return the keys of the last start of an experiment by cell and stage; empty without one."""
    paths = sorted((workspace.experiments / name).glob("[!.]*.json"))
    try:
        snapshot = read_json(paths[-1]) if paths else {"cells": []}
        return {_cell_name(cell.get("labels", {})): cell["stages"] for cell in snapshot["cells"]}
    except (CogtuiError, OSError, AttributeError, KeyError, TypeError):
        return {}


def _cell_name(labels: Mapping[str, Any]) -> str:
    return repr(sorted(labels.items()))


def _changed_settings(stage: StageInstance, before: StageFolder) -> dict[str, tuple[Any, Any]]:
    """Return the settings in which an unfinished stage differs; empty if it is finished or differs in more."""
    kind = find_kind(stage.kind)
    try:
        if kind is None or before.result() is not None or not (before.path / "attempts").is_dir():
            return {}
        info = before.info()
        model = kind.config_model()
        names = {".".join(path) for path in written_paths(model)}
        mine = {name: value for name, value in settings_of(model, stage.config).items() if name in names}
        theirs = {name: value for name, value in settings_of(model, info.config).items() if name in names}
        as_mine = model.model_validate(with_settings(model, info.config, mine)).key_fields()
    except (CogtuiError, OSError, ValueError):
        return {}
    if (info.kind, tuple(sorted(info.inputs)), as_mine) != (stage.kind, tuple(sorted(stage.inputs)), stage.key_fields):
        return {}
    return {name: (mine[name], theirs.get(name)) for name in mine if mine[name] != theirs.get(name)}
