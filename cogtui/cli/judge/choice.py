"""Selects the rollouts of a `cogtui judge`, and the judge stages for them: unfinished ones, and a new one."""

import hashlib
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any, Final

from cogtui.cli.rollouts.shared import fresh_store
from cogtui.store import Page, Query, RolloutRow, Store
from cogtui.store.filter.parser import parse
from jobs.attempts.records import latest_settings
from jobs.planning.types import StageInstance
from jobs.workspace import Workspace
from pipelines.behaviors.judges.registry import default_judge, make_judge
from pipelines.behaviors.judges.stage import JudgeConfig
from pipelines.errors import CogtuiError, InvalidInput
from pipelines.files import read_json, write_atomic
from pipelines.folder import StageFolder, StageInfo
from pipelines.stages import content_key, find_kind, stage_kind
from pipelines.stages.settings import known_settings, with_settings
from pipelines.text_safety import one_line
from pipelines.wording import count_of

_PAGE: Final = 1000
SELECTIONS: Final = "selections"
"""Folder of the workspace with files of rollout ids."""


@dataclass(slots=True)
class RolloutSelection:
    """The rollouts of a filter, by what an equal judge has done with them."""

    by_stage: dict[str, dict[str, str | None]] = field(default_factory=dict)
    """Rollouts that match the filter → their splits (None for traces), by the stage that wrote them."""
    run: str = ""
    """Id of the judge run that is asked for."""
    judged: int = 0
    """Number of them that an equal judge has judged."""
    judged_otherwise: int = 0
    """Number of the others that the judge has judged with another version or other parameters."""
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
    chosen = RolloutSelection(run=run, warnings=warnings)
    with store:
        for row in _rows(store, filter_text):
            chosen.by_stage.setdefault(row.stage, {})[row.id] = row.split
    _leave_out_unfinished(workspace, chosen)
    _subtract_held(workspace, chosen, config.judge)
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
        lines = [f"{task or 'no task'}: {count_of(n, 'rollout')}, {judges[task]}" for task, n in tasks.most_common()]
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
    chosen = RolloutSelection(run=run, warnings=warnings)
    with store:
        for detail in store.rollouts(ids):
            chosen.by_stage.setdefault(detail.row.stage, {})[detail.row.id] = detail.row.split
    _leave_out_unfinished(workspace, chosen)
    _subtract_held(workspace, chosen, config.judge)
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
        elif "rollouts" not in kind.writes:
            chosen.by_stage[key] = dict.fromkeys(chosen.by_stage[key])
    if running:
        chosen.warnings.append(f"{count_of(running, 'rollout')} left out: their stage is not done yet")
    if other:
        chosen.warnings.append(f"{count_of(other, 'rollout')} left out: judge stages do not accept the kind of theirs")


def _subtract_held(workspace: Workspace, chosen: RolloutSelection, judge: str) -> None:
    """Leave out rollouts of an equal judge, so that no request is sent and paid twice."""
    held: set[str] = set()
    otherwise: set[str] = set()
    for key in list(workspace.keys()):
        folder = workspace.folder(key)
        info = folder.info()
        if info.kind != "judge" or chosen.by_stage.keys().isdisjoint(info.inputs):
            continue
        finished = folder.result() is not None
        run = _recorded_run(folder) if finished else _present_run(info, chosen.warnings)
        if run != chosen.run:
            if finished and info.config.get("judge") == judge:
                otherwise |= _held_by(info, chosen.by_stage)
            continue
        mine = _held_by(info, chosen.by_stage) - held
        if not mine:
            continue
        held |= mine
        if finished:
            chosen.judged += len(mine)
        else:
            chosen.unfinished[key] = mine
    chosen.judged_otherwise = len(otherwise - held)
    for stage, ids in chosen.by_stage.items():
        left = [uid for uid in ids if uid not in held]
        if left:
            chosen.left[stage] = left


def _recorded_run(folder: StageFolder) -> str | None:
    """Return the id of the judge run that a finished stage used; None if it recorded none."""
    raw = read_json(folder.artifacts / "judge_run.json")
    run = raw.get("id") if isinstance(raw, dict) else None
    return run if isinstance(run, str) else None


def _present_run(info: StageInfo, warnings: list[str]) -> str | None:
    """Return the id of the judge run with which an unfinished stage would continue; None, and a warning, if unknown."""
    try:
        config = JudgeConfig.model_validate(info.config)
        return config.judge_run or make_judge(config.judge, config).run.id
    except Exception as error:  # the judge may be of another package: it must not stop the others
        reason = error.summary if isinstance(error, CogtuiError) else f"{type(error).__name__}: {error}"
        name = info.config.get("judge", "rules")
        warnings.append(f"the judge {name} of the unfinished stage {info.key} cannot be made: {one_line(reason, 200)}")
        return None


def _held_by(info: StageInfo, by_stage: Mapping[str, Mapping[str, str | None]]) -> set[str]:
    """Return the rollouts that a judge stage judges."""
    try:
        config = JudgeConfig.model_validate(info.config)
    except ValueError:  # e.g. of a judge that is no longer installed
        return set()
    found = {
        uid
        for key in info.inputs
        for uid, split in by_stage.get(key, {}).items()
        if split is None or not config.splits or split in config.splits
    }
    if config.rollouts is None:
        return found
    try:
        return found & set(config.rollouts.path.read_text(encoding="utf-8").split())
    except OSError:
        return set()


def new_stage(workspace: Workspace, chosen: RolloutSelection, fields: Mapping[str, Any]) -> StageInstance:
    """Return the stage that judges what is left; writes the file of its rollouts.

    Where a finished stage of the same key used another judge run, e.g. an earlier version, the run is made part of
    the key.
    """
    ids = sorted(uid for left in chosen.left.values() for uid in left)
    text = "".join(f"{uid}\n" for uid in ids)
    folder = workspace.path / SELECTIONS
    folder.mkdir(exist_ok=True)
    path = folder / f"{hashlib.sha256(text.encode()).hexdigest()[:16]}.txt"
    if not path.exists():
        write_atomic(path, text)
    config = JudgeConfig.model_validate({**fields, "rollouts": str(path)})
    inputs = tuple(sorted(chosen.left))
    key = content_key("judge", config, inputs)
    earlier = workspace.folder(key)
    if earlier.result() is not None and _recorded_run(earlier) != chosen.run:
        config = config.model_copy(update={"judge_run": chosen.run})
        key = content_key("judge", config, inputs)
    return StageInstance(
        key=key,
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
    before = with_settings(
        JudgeConfig, info.config, known_settings(JudgeConfig, latest_settings(workspace.folder(key).path))
    )
    config = JudgeConfig.model_validate({**before, **wished})
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
