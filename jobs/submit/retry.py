"""Starts failed and stopped stages again, for `cogtui retry` and the app."""

from collections.abc import Mapping, Sequence
from typing import Any

from jobs.planning.types import StageInstance
from jobs.recipe.resources import Resources
from jobs.state.reader import stage_states
from jobs.state.types import CONTINUABLE, RETRYABLE, StageState
from jobs.submit.start import check_stages, start_stages
from jobs.workspace import Workspace


def retry_stages(workspace: Workspace, keys: Sequence[str]) -> list[str]:
    """Start stages again with their unfinished inputs, on the cluster and with the resources of their last attempt.

    Raises:
        MissingRequirement: something that one of them needs is missing; nothing was started.
    """
    states = stage_states(workspace)
    wanted = list(dict.fromkeys(_with_inputs(workspace, states, keys)))
    groups: dict[str, list[StageInstance]] = {}
    for key in wanted:
        groups.setdefault(_cluster(states.get(key)), []).append(_instance(workspace, states, key))
    if len(groups) > 1:  # all are checked before the first of them starts
        for cluster, instances in groups.items():
            check_stages(workspace, instances, cluster=cluster, retry=True)
    started: list[str] = []
    for cluster, instances in sorted(groups.items()):
        done = start_stages(workspace, instances, cluster=cluster, retry=True)
        started += [submission.key for submission in done if submission.action == "submitted"]
    return started


def _with_inputs(workspace: Workspace, states: Mapping[str, StageState], keys: Sequence[str]) -> list[str]:
    found: list[str] = []
    for key in keys:
        inputs = [name for name in workspace.folder(key).info().inputs if _to_start(states.get(name))]
        found += [*_with_inputs(workspace, states, inputs), key]
    return found


def _to_start(stage: StageState | None) -> bool:
    return stage is not None and stage.state in RETRYABLE | CONTINUABLE


def _cluster(stage: StageState | None) -> str:
    return stage.attempt.cluster if stage is not None and stage.attempt is not None else "local"


def _instance(workspace: Workspace, states: Mapping[str, StageState], key: str) -> StageInstance:
    info = workspace.folder(key).info()
    stage = states.get(key)
    resources: Any = dict(stage.attempt.resources) if stage is not None and stage.attempt is not None else {}
    return StageInstance(
        key=key,
        kind=info.kind,
        name=info.name,
        config=info.config,
        key_fields={},
        inputs=info.inputs,
        labels=info.labels,
        resources=Resources.model_validate(resources),
    )
