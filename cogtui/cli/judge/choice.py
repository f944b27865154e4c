"""Selects the rollouts of a `cogtui judge`, and the judge stages for them: unfinished ones, and a new one."""

import hashlib
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any, Final

from cogtui.cli.rollouts.shared import fresh_store
from cogtui.store import Page, Query, RolloutRow, Store
from cogtui.store.filter.parser import parse
from jobs.planning.types import StageInstance
from jobs.workspace import Workspace
from pipelines.behaviors.judges.registry import default_judge, make_judge
from pipelines.behaviors.judges.stage import JudgeConfig
from pipelines.errors import CogtuiError, InvalidInput
from pipelines.files import write_atomic
from pipelines.folder import StageInfo
from pipelines.stages import content_key, find_kind, stage_kind

_PAGE: Final = 1000
SELECTIONS: Final = "selections"
"""Folder of the workspace with files of rollout ids."""


@dataclass(slots=True)
class RolloutSelection:
    """The rollouts of a filter, by what an equal judge has done with them."""

    by_stage: dict[str, list[str]] = field(default_factory=dict)
    """Rollouts that match the filter, by the stage that wrote them."""
    judged: int = 0
    """Number of them that an equal judge has judged."""
    unfinished: dict[str, set[str]] = field(default_factory=dict)
    """Unfinished equal judge stages, which continue → the rollouts they judge."""
    left: dict[str, list[str]] = field(default_factory=dict)
    """Rollouts that no judge stage has, by the stage that wrote them."""
    warnings: list[str] = field(default_factory=list)

    @property
    def rollouts(self) -> int:
        """Number of rollouts that match the filter."""
        return sum(map(len, self.by_stage.values()))

    @property
    def remaining(self) -> int:
        """Number of rollouts that no judge stage has."""
        return sum(map(len, self.left.values()))


def select_rollouts(workspace: Workspace, filter_text: str, config: JudgeConfig) -> RolloutSelection:
    """Find the rollouts of a filter, and which of them an equal judge has judged.

    Raises:
        FilterError: the filter is invalid. InvalidInput: the judge cannot be created.
    """
    run = make_judge(config.judge, config).run.id
    store, warnings = fresh_store(workspace)
    chosen = RolloutSelection(warnings=warnings)
    with store:
        for row in _rows(store, filter_text):
            chosen.by_stage.setdefault(row.stage, []).append(row.id)
    _leave_out_unfinished(workspace, chosen)
    _subtract_held(workspace, chosen, run)
    return chosen


def judge_of_tasks(workspace: Workspace, filter_text: str) -> str:
    """Return the default judge of the tasks that the rollouts of a filter are about.

    Raises:
        FilterError: the filter is invalid. InvalidInput: their tasks have different defaults.
    """
    store, _ = fresh_store(workspace)
    with store:
        tasks = Counter(row.task for row in _rows(store, filter_text))
    judges = {task: default_judge(task) for task in tasks}
    names = sorted(set(judges.values()))
    if len(names) > 1:
        lines = [f"{task or 'no task'}: {n:,} rollouts, {judges[task]}" for task, n in tasks.most_common()]
        raise InvalidInput(
            "these rollouts are about tasks with different judges",
            detail="\n".join(lines),
            remedy="Name one for all with --judge, or choose a task with the filter, e.g. task:countdown.",
        )
    return names[0] if names else "rules"


def _rows(store: Store, filter_text: str) -> Iterator[RolloutRow]:
    query = Query(parse(filter_text))
    page: Page[RolloutRow] | None = None
    while page is None or page.after is not None:
        page = store.page(query, page.after if page else None, limit=_PAGE)
        yield from page.rows


def select_ids(workspace: Workspace, ids: Iterable[str], config: JudgeConfig) -> RolloutSelection:
    """Find which of some rollouts an equal judge has judged.

    Raises:
        NotFound: one of them is not in the index. InvalidInput: the judge cannot be created.
    """
    run = make_judge(config.judge, config).run.id
    store, warnings = fresh_store(workspace)
    chosen = RolloutSelection(warnings=warnings)
    with store:
        for detail in store.rollouts(ids):
            chosen.by_stage.setdefault(detail.row.stage, []).append(detail.row.id)
    _leave_out_unfinished(workspace, chosen)
    _subtract_held(workspace, chosen, run)
    return chosen


def _leave_out_unfinished(workspace: Workspace, chosen: RolloutSelection) -> None:
    """Leave out rollouts of unfinished stages and of kinds that a judge stage does not accept; add warnings."""
    judge = stage_kind("judge")
    running = other = 0
    for key in list(chosen.by_stage):
        folder = workspace.folder(key)
        kind = find_kind(folder.info().kind)
        if kind is None or not judge.accepts(kind):
            other += len(chosen.by_stage.pop(key))
        elif folder.result() is None:
            running += len(chosen.by_stage.pop(key))
    if running:
        chosen.warnings.append(f"{running:,} rollouts are left out: their stage is not done yet")
    if other:
        chosen.warnings.append(f"{other:,} rollouts are left out: judge stages do not accept the kind of theirs")


def _subtract_held(workspace: Workspace, chosen: RolloutSelection, run: str) -> None:
    """Leave out rollouts of an equal judge, so that no request is sent and paid twice."""
    held: set[str] = set()
    keys = list(workspace.keys())
    for key in keys:
        folder = workspace.folder(key)
        info = folder.info()
        if info.kind != "judge" or _run_of(info) != run:
            continue
        mine = _held_by(info, chosen.by_stage) - held
        if not mine:
            continue
        held |= mine
        if folder.result() is None:
            chosen.unfinished[key] = mine
        else:
            chosen.judged += len(mine)
    for stage, ids in chosen.by_stage.items():
        left = [uid for uid in ids if uid not in held]
        if left:
            chosen.left[stage] = left


def _run_of(info: StageInfo) -> str | None:
    """Return the id of the judge run of a stage; None if its config is no longer valid."""
    try:
        config = JudgeConfig.model_validate(info.config)
        return make_judge(config.judge, config).run.id
    except (CogtuiError, ValueError):
        return None


def _held_by(info: StageInfo, by_stage: Mapping[str, Iterable[str]]) -> set[str]:
    """Return the rollouts that a judge stage judges."""
    found = {uid for key in info.inputs for uid in by_stage.get(key, ())}
    config = JudgeConfig.model_validate(info.config)
    if config.splits:
        return set()  # the splits of rollouts are unknown here: judge them again rather than leave them out
    if config.rollouts is None:
        return found
    try:
        return found & set(config.rollouts.path.read_text(encoding="utf-8").split())
    except OSError:
        return set()


def new_stage(workspace: Workspace, chosen: RolloutSelection, fields: Mapping[str, Any]) -> StageInstance:
    """Return the stage that judges what is left; writes the file of its rollouts."""
    ids = sorted(uid for left in chosen.left.values() for uid in left)
    text = "".join(f"{uid}\n" for uid in ids)
    folder = workspace.path / SELECTIONS
    folder.mkdir(exist_ok=True)
    path = folder / f"{hashlib.sha256(text.encode()).hexdigest()[:16]}.txt"
    if not path.exists():
        write_atomic(path, text)
    config = JudgeConfig.model_validate({**fields, "rollouts": str(path)})
    inputs = tuple(sorted(chosen.left))
    return StageInstance(
        key=content_key("judge", config, inputs),
        kind="judge",
        name="judge",
        config=config.model_dump(mode="json"),
        key_fields=config.key_fields(),
        inputs=inputs,
        labels=_common_labels(workspace, inputs),
    )


def continued_stage(workspace: Workspace, key: str, fields: Mapping[str, Any]) -> StageInstance:
    """Return an unfinished judge stage, with the present values of fields outside its key."""
    info = workspace.folder(key).info()
    outside = JudgeConfig.fields_outside_key()
    wished = {name: value for name, value in fields.items() if name in outside}
    config = JudgeConfig.model_validate({**info.config, **wished})
    return StageInstance(
        key=key,
        kind=info.kind,
        name=info.name,
        config=config.model_dump(mode="json"),
        key_fields=config.key_fields(),
        inputs=info.inputs,
        labels=info.labels,
    )


def _common_labels(workspace: Workspace, keys: Iterable[str]) -> dict[str, Any]:
    """Return the labels that all of these stages share."""
    first, *others = [workspace.folder(key).info().labels for key in keys]
    return {name: value for name, value in first.items() if all(other.get(name) == value for other in others)}
