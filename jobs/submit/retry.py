"""Starts failed and stopped stages again, for `cogtui retry` and the app."""

from collections.abc import Mapping, Sequence
from typing import Any

from jobs.planning.types import StageInstance
from jobs.recipe.resources import Resources
from jobs.state.reader import stage_states
from jobs.state.types import CONTINUABLE, RETRYABLE, StageState
from jobs.submit.changes import change_stages
from jobs.submit.start import check_stages, start_stages
from jobs.workspace import Workspace
from pipelines.stages.builtin import IMPORT, find_kind
from pipelines.stages.settings import known_settings


def stages_to_start(workspace: Workspace, keys: Sequence[str]) -> list[str]:
    """Return what `retry_stages` would start: these stages, each after those of its inputs that need it."""
    return list(dict.fromkeys(_with_inputs(workspace, stage_states(workspace), keys)))


def retry_stages(workspace: Workspace, keys: Sequence[str], changes: Sequence[str] = ()) -> list[str]:
    """Start stages again with their unfinished inputs, on the cluster and with what their last attempt had.

    Args:
        workspace: where they are.
        keys: full keys.
        changes: `FIELD=VALUE` for the stages of `keys`: settings, or `resources.FIELD=VALUE`. A stage whose kind lacks
            a field keeps what it has.

    Raises:
        InvalidInput: a change is not of that form, or no stage has the field as a setting.
        MissingRequirement: something that one of them needs is missing; nothing was started.
    """
    states = stage_states(workspace)
    wanted = list(dict.fromkeys(_with_inputs(workspace, states, keys)))
    chosen = {key: _instance(workspace, states, key) for key in wanted}
    if changes:
        chosen |= change_stages([chosen[key] for key in keys], changes)
    groups: dict[str, list[StageInstance]] = {}
    for key in wanted:
        groups.setdefault(_cluster(states.get(key)), []).append(chosen[key])
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
    attempt = stage.attempt if stage is not None else None
    return StageInstance(
        key=key,
        kind=info.kind,
        name=info.name,
        config=info.config,
        key_fields={},
        inputs=info.inputs,
        labels=info.labels,
        resources=Resources.model_validate(dict(attempt.resources) if attempt is not None else {}),
        settings=_settings(info.kind, attempt.settings) if attempt is not None and attempt.settings else None,
    )


def _settings(kind_name: str, settings: Mapping[str, Any]) -> dict[str, Any]:
    """Return the settings of the last attempt that this version knows; all of a kind that it does not know."""
    kind = find_kind(kind_name)
    return dict(settings) if kind is None or kind is IMPORT else known_settings(kind.config_model(), settings)
