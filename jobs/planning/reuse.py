"""Finds which stages of a plan are finished and, for the others, how they differ from finished ones."""

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any, Final

from jobs.planning.types import ConfigDifference, Reuse, ReuseStatus, StageInstance
from jobs.workspace import Workspace
from pipelines.errors import CogtuiError, InvalidInput
from pipelines.folder import StageInfo
from pipelines.stages import IMPORT, find_kind

ABSENT: Final = "—"
_INPUT: Final = "input "


def find_reuse(stages: Iterable[StageInstance], workspace: Workspace) -> dict[str, Reuse]:
    """Return the reuse of each stage by key.

    Raises:
        InvalidInput: a `result.json` is damaged.
    """
    found: dict[str, Reuse] = {}
    finished: dict[str, list[_FinishedStage]] | None = None
    for stage in stages:
        folder = workspace.folder(stage.key)
        if folder.result() is not None:
            found[stage.key] = Reuse("reused")
            continue
        if finished is None:  # read only if a stage is new
            finished = _finished(workspace)
        status: ReuseStatus = "started" if (folder.path / "attempts").is_dir() else "new"
        found[stage.key] = _nearest(stage, finished.get(stage.kind, []), status)
    return found


@dataclass(frozen=True, slots=True)
class _FinishedStage:
    info: StageInfo
    fields: dict[str, str]


def _finished(workspace: Workspace) -> dict[str, list[_FinishedStage]]:
    """Return the finished stages of a workspace by kind, without unreadable ones."""
    found: dict[str, list[_FinishedStage]] = {}
    keys = workspace.keys()
    for key in keys:
        folder = workspace.folder(key)
        try:
            if folder.result() is None:
                continue
            info = folder.info()
            found.setdefault(info.kind, []).append(_FinishedStage(info, _described(_key_fields(info), info.inputs)))
        except CogtuiError:
            continue
    return found


def _key_fields(info: StageInfo) -> dict[str, Any]:
    """Return the fields of a finished stage that are part of its key, as far as the current config model has them."""
    kind = find_kind(info.kind)
    if kind is None or kind is IMPORT:
        return dict(info.config)
    model = kind.config_model()
    try:
        return model.model_validate(info.config).key_fields()
    except ValueError:  # written by another version of the config
        return {name: value for name, value in info.config.items() if name not in model.fields_outside_key()}


def _nearest(stage: StageInstance, candidates: Iterable[_FinishedStage], status: ReuseStatus) -> Reuse:
    mine = _described(stage.key_fields, stage.inputs)
    best: tuple[tuple[int, bool, float], str, tuple[ConfigDifference, ...]] | None = None
    for other in candidates:
        differences = tuple(_differences(mine, other.fields))
        rank = (len(differences), other.info.name != stage.name, -other.info.created)
        if best is None or rank < best[0]:
            best = (rank, other.info.key, differences)
    return Reuse(status) if best is None else Reuse(status, best[1], best[2] or _other_contract())


def _other_contract() -> tuple[ConfigDifference, ...]:
    return (ConfigDifference("contract version", "the present one", "an earlier one"),)


def _described(fields: Mapping[str, Any], inputs: Iterable[str]) -> dict[str, str]:
    described = dict(_leaves(fields, ""))
    for key in sorted(inputs):
        name = f"{_INPUT}{key.rpartition('-')[0]}"
        described[name] = f"{described[name]}, {key}" if name in described else key
    return described


def _leaves(value: Any, name: str) -> Iterator[tuple[str, str]]:
    if isinstance(value, Mapping) and value:
        for key, inner in value.items():
            yield from _leaves(inner, f"{name}.{key}" if name else str(key))
    elif name:
        yield name, _shown(value)


def _shown(value: Any) -> str:
    text = "unset" if value is None else value if isinstance(value, str) and value else repr(value)
    return text if len(text) <= 60 else f"{text[:40]}…{text[-15:]}"


def _differences(mine: Mapping[str, str], theirs: Mapping[str, str]) -> Iterator[ConfigDifference]:
    for name in dict.fromkeys((*mine, *theirs)):
        here, there = mine.get(name, ABSENT), theirs.get(name, ABSENT)
        if here != there:
            yield ConfigDifference(name, here, there)


def check_folder(stage: StageInstance, workspace: Workspace) -> None:
    """Raise InvalidInput if the folder of a key belongs to another stage: moved, renamed or edited by hand."""
    info = workspace.folder(stage.key).info()
    if info.key != stage.key or info.kind != stage.kind:
        raise InvalidInput(
            f"{workspace.folder(stage.key).path} belongs to stage {info.key}",
            remedy="Move that folder out of the workspace and run again.",
        )
