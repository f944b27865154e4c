"""The warning before a time limit: from the resources, or from how long the last checkpoint took."""

import json
from pathlib import Path
from typing import Any

import pytest
from pydantic import ValidationError

from jobs.attempts.warning import warn_seconds
from jobs.planning.types import StageInstance
from jobs.recipe.resources import Resources
from jobs.submit.claims import new_job_record
from jobs.submit.launch import preview
from jobs.workspace import Workspace
from pipelines.files import write_json
from pipelines.folder import LAST_SAVE, StageFolder
from tests.jobs.lab import Lab


@pytest.mark.parametrize(
    ("given", "limit", "save", "cluster", "wanted"),
    [
        (None, None, None, "slurm", 90),
        (None, 36_000, None, "slurm", 90),
        (None, 36_000, 4, "slurm", 60),
        (None, 36_000, 200, "slurm", 600),
        (None, 36_000, 200, "local", 600),
        (None, None, 200, "slurm", 600),
        (None, 60, None, "slurm", 15),  # a quarter of a short limit
        (None, 60, None, "local", 6),
        (None, 60, 0.1, "local", 6),
        (None, 600, 900, "slurm", 300),  # no limit suffices: half of it is worked on
        (None, 8, None, "slurm", 5),
        (240, 600, 900, "slurm", 240),
        (2, 600, 900, "local", 2),
    ],
)
def test_the_warning_leaves_time_for_a_save(given: Any, limit: Any, save: Any, cluster: Any, wanted: float) -> None:
    assert warn_seconds(given, limit, save, cluster) == wanted


def stage(**resources: Any) -> StageInstance:
    return StageInstance("ppo-1", "ppo", "ppo", {}, {}, resources=Resources.model_validate(resources))


def test_an_attempt_is_warned_by_the_last_save_of_the_one_before(tmp_path: Path) -> None:
    workspace = Workspace(tmp_path / "w")
    folder = workspace.stages / "ppo-1"
    folder.mkdir(parents=True)
    assert new_job_record(workspace, stage(time="10:00:00"), 1, "slurm").warn_s == 90
    write_json(folder / LAST_SAVE, {"step": 3, "seconds": 150.5})
    assert new_job_record(workspace, stage(time="10:00:00"), 2, "slurm").warn_s == 451.5
    assert "--signal=USR2@451" in preview([stage(time="10:00:00")], "slurm", workspace)[0]
    assert "--signal=USR2@700" in preview([stage(time="10:00:00", warn_s=700)], "slurm", workspace)[0]
    (folder / LAST_SAVE).write_text("half a fi")
    assert new_job_record(workspace, stage(time="10:00:00"), 3, "slurm").warn_s == 90


def test_a_checkpoint_says_how_long_it_took(tmp_path: Path) -> None:
    folder = StageFolder(tmp_path)
    assert folder.last_save_s() is None
    with folder.new_checkpoint(4) as place:
        (place / "weights").write_text("w")
    seconds = folder.last_save_s()
    assert seconds is not None
    assert 0 < seconds < 30
    assert json.loads((tmp_path / LAST_SAVE).read_text())["step"] == 4


@pytest.mark.parametrize(
    ("fields", "said"),
    [
        ({"warn_s": 60, "time": "0:01"}, "warn_s is 60, as long as the time limit or longer: 0:01"),
        ({"warn_s": 0}, "greater than 0"),
        ({"warn_s": 70_000}, "less than or equal to 65535"),
        ({"warn_s": "soon"}, "valid number"),
    ],
)
def test_a_warning_that_cannot_be_given_is_refused(fields: dict[str, Any], said: str) -> None:
    with pytest.raises(ValidationError, match=said):
        Resources.model_validate(fields)


@pytest.mark.slow
def test_a_local_stage_is_warned_when_its_resources_say(lab: Lab) -> None:
    """A limit of a minute, a warning 55 s before it: the stage has saved and ended after some seconds."""
    lab.stage("a", steps=600, step_s=0.1, resources={"time": "0:01", "warn_s": 55.0})
    lab.submit()
    state = lab.wait("a", "timeout", "done", "failed")
    assert state.state == "timeout"
    (run,) = state.attempts[0].runs
    assert run.ended is not None
    assert run.ended - run.started < 40
    assert run.code == 75
