"""Claims the next attempt of a stage and reports on it; the same for both clusters."""

import time
from collections.abc import Iterator, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any, Final

from jobs.attempts import records as attempts
from jobs.attempts.processes import process_id
from jobs.attempts.records import Cluster, JobRecord
from jobs.attempts.warning import warn_seconds
from jobs.planning.types import StageInstance
from jobs.state.types import Submission
from jobs.submit.choice import StageChoice
from jobs.workspace import Workspace
from pipelines.errors import MissingRequirement
from pipelines.folder import StageFolder
from pipelines.stages.builtin import IMPORT, find_kind
from pipelines.stages.settings import settings_of

_KEPT_FILES: Final = frozenset({"stage.json", "attempts", "replaced"})
"""Files of a stage folder that a forced attempt keeps."""


def new_job_record(workspace: Workspace, instance: StageInstance, number: int, cluster: Cluster) -> JobRecord:
    """Return the job record of a new attempt."""
    limit = instance.resources.minutes
    limit_s = None if limit is None else limit * 60.0
    saved = StageFolder(workspace.stages / instance.key).last_save_s()
    kind = find_kind(instance.kind)  # a stage with a Python of its own may have a kind that only that one has
    return JobRecord(
        key=instance.key,
        number=number,
        cluster=cluster,
        name=attempts.job_name(workspace.path, instance.key, number),
        submitted=time.time(),
        submitter=process_id(),
        inputs=instance.inputs,
        resources=instance.resources.model_dump(mode="json"),
        settings=_settings(instance),
        launches_itself=kind is not None and kind.is_launching_itself(instance.config),
        time_limit_s=limit_s,
        warn_s=warn_seconds(instance.resources.warn_s, limit_s, saved, cluster),
        shards=_shards(instance) if cluster == "slurm" else 0,
    )


def _settings(instance: StageInstance) -> dict[str, Any]:
    """Return the settings of the attempts of a stage; empty for a kind that only the stage's own Python has."""
    if instance.settings is not None:
        return instance.settings
    kind = find_kind(instance.kind)
    return {} if kind is None or kind is IMPORT else settings_of(kind.config_model(), instance.config)


def _shards(instance: StageInstance) -> int:
    """Return the number of array tasks for a config with a field `shards`; 0 without an array."""
    given = {**instance.config, **(instance.settings or {})}.get("shards")
    return given if isinstance(given, int) and given > 1 else 0


def claim_attempt(workspace: Workspace, choice: StageChoice, cluster: Cluster) -> tuple[JobRecord, Path] | None:
    """Claim the next attempt of a stage; return None if another process was faster."""
    return next(claim_attempts(workspace, [choice], cluster))


def claim_attempts(
    workspace: Workspace, choices: Sequence[StageChoice], cluster: Cluster
) -> Iterator[tuple[JobRecord, Path] | None]:
    """Claim the next attempt of each stage, all before the first is yielded; None where another process was faster.

    Raises:
        MissingRequirement: the disk is full or a folder cannot be written.
    """
    jobs = []
    for choice in choices:
        latest = choice.state.attempts[-1].number if choice.state.attempts else 0
        jobs.append(new_job_record(workspace, choice.instance, latest + 1, cluster))
    stages = [workspace.stages / choice.instance.key for choice in choices]
    paths = attempts.claim_all(list(zip(stages, jobs, strict=True)))
    for choice, stage, job, path in zip(choices, stages, jobs, paths, strict=True):
        if path is not None and choice.state.state == "done":
            set_aside(stage, job.number - 1)
        yield None if path is None else (job, path)


def submission(choice: StageChoice, **changes: object) -> Submission:
    """Return what `submit` reports of a choice."""
    base = Submission(
        key=choice.instance.key,
        action=choice.action,
        state=choice.state.state,
        attempt=choice.state.attempts[-1].number if choice.state.attempts else None,
        cluster=choice.state.attempts[-1].cluster if choice.state.attempts else "local",
        job_id=choice.state.attempts[-1].job_id if choice.state.attempts else None,
        reason=choice.reason,
    )
    return replace(base, **changes)  # type: ignore[arg-type]


def claimed_by_other(choice: StageChoice) -> Submission:
    """Return what `submit` reports if another process claimed the stage first."""
    return submission(choice, action="claimed", reason="another process has just started it")


def set_aside(stage: Path, number: int) -> Path:
    """Move the files of a finished stage into `replaced/NNN/`, `result.json` first; return that folder.

    Raises:
        MissingRequirement: the stage folder cannot be written.
    """
    parent = stage / "replaced"
    place = parent / f"{number:03d}"
    try:
        parent.mkdir(exist_ok=True)
        while place.exists():
            number += 1
            place = parent / f"{number:03d}"
        place.mkdir()
        names = sorted((path.name for path in stage.iterdir()), key=lambda name: name != "result.json")
        for name in names:
            if name not in _KEPT_FILES:
                (stage / name).rename(place / name)
    except OSError as error:
        raise MissingRequirement(
            f"cannot set the files of {stage.name} aside: {error.strerror}",
            remedy="Fix the permissions and try again.",
        ) from error
    return place
