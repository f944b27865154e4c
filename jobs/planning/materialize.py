"""Writes the `stage.json` of every planned stage, safely if two launchers do so at the same time."""

import time
from collections.abc import Iterable

from jobs.planning.code_version import code_version
from jobs.planning.files import explain_write_errors, write_all_once
from jobs.planning.reuse import check_folder
from jobs.planning.types import RecipePlan, StageInstance
from jobs.workspace import Workspace
from pipelines.files import sync_folder
from pipelines.folder import StageInfo


def materialise(plan: RecipePlan | Iterable[StageInstance], workspace: Workspace) -> list[str]:
    """Create the folder and `stage.json` of each stage that has none.

    Readers ignore a folder without `stage.json`. The file appears complete and once: of two launchers one writes it,
    and the other finds the same content except for time and labels.

    Returns:
        The keys of the stages that this call wrote.

    Raises:
        MissingRequirement: the workspace cannot be written.
        StageFailed: the disk is full.
        InvalidInput: the folder of a key belongs to another stage.
    """
    workspace.create()
    stages = list(plan.stages if isinstance(plan, RecipePlan) else plan)
    now, version = time.time(), code_version()
    wanted = []
    for stage in stages:
        info = StageInfo(
            kind=stage.kind,
            key=stage.key,
            config=stage.config,
            inputs=stage.inputs,
            labels=stage.labels,
            name=stage.name,
            code_version=version,
            created=now,
        )
        wanted.append((workspace.folder(stage.key).path, info.model_dump(mode="json")))
    with explain_write_errors(workspace.stages):
        for path, _ in wanted:
            path.mkdir(exist_ok=True)
        new = write_all_once([(path / "stage.json", info) for path, info in wanted])
        if any(new):
            sync_folder(workspace.stages)
    for stage, is_new in zip(stages, new, strict=True):
        if not is_new:
            check_folder(stage, workspace)
    return [stage.key for stage, is_new in zip(stages, new, strict=True) if is_new]
