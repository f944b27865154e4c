"""What stages need is checked before the first one starts."""

import importlib.util
import json
import os
import re
import sys
from importlib.machinery import ModuleSpec
from pathlib import Path

import pytest

import pipelines
from cogtui.app.launch.draft import LaunchDraft
from cogtui.app.launch.preview import launch
from jobs.planning.plan import make_plan
from jobs.planning.types import StageInstance
from jobs.recipe.load import load_recipe
from jobs.recipe.resources import Resources
from jobs.submit import preflight as module
from jobs.submit.preflight import preflight, require_preflight
from jobs.submit.retry import retry_stages
from jobs.workspace import Workspace
from pipelines.errors import MissingRequirement
from tests.commands import cogtui_here
from tests.jobs.lab import Lab, wait_for

EXAMPLES = Path(pipelines.__file__).parent.parent / "examples"

_JUDGED = (
    'name = "r"\n[stages.problems]\nkind = "problems"\ntrain = 8\ntest = 2\n[stages.data]\n'
    'kind = "priming_data"\nneeds = ["problems"]\ncondition = "negative_control"\nn = 4\n'
    '[stages.judge]\nkind = "judge"\nneeds = ["data"]\n'
    'judge = "anthropic:m"\n'
)


def instance(kind: str, config: dict[str, object], **resources: object) -> StageInstance:
    return StageInstance(
        key=f"{kind}-1",
        kind=kind,
        name=kind,
        config=config,
        key_fields={},
        inputs=(),
        labels={},
        resources=Resources.model_validate(resources),
    )


def test_a_missing_extra_of_a_late_stage_is_found_at_once(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    workspace = Workspace(tmp_path / "w")
    plan = make_plan(load_recipe(EXAMPLES / "owm-mini.toml", ()), workspace)
    find = importlib.util.find_spec

    def without_rensa(name: str, package: str | None = None) -> ModuleSpec | None:
        return None if name == "rensa" else find(name, package)

    monkeypatch.setattr(importlib.util, "find_spec", without_rensa)
    (problem,) = preflight(plan.stages, "local", workspace)
    assert problem.stages == ("curate",)
    assert problem.summary == "needs rensa, not installed for this Python"
    assert "pip install 'cogtui[corpus]'" in problem.remedy
    with pytest.raises(MissingRequirement, match="curate cannot run here; nothing was started"):
        require_preflight(plan.stages, "local", workspace)
    assert not workspace.path.exists()


@pytest.mark.parametrize(
    ("stage", "cluster", "said"),
    [
        (instance("judge", {"judge": "anthropic:m"}), "local", "judge: ANTHROPIC_API_KEY is not set"),
        (instance("base", {"pretrained": "/no/model"}), "local", "base: /no/model does not exist"),
        (instance("problems", {}, gpus=900), "local", "problems: asks for 900 GPUs, this machine has"),
        (instance("problems", {}, python="/no/python"), "local", "problems: there is no Python at /no/python"),
        (instance("problems", {}, partition="a,c"), "slurm", "problems: Slurm has no partition c"),
    ],
)
def test_what_is_missing_is_named_with_the_stage(
    stage: StageInstance, cluster: str, said: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("ANTHROPIC_API_KEY", raising=False)
    monkeypatch.setenv("PATH", f"{tmp_path}:{os.environ['PATH']}")
    sinfo = tmp_path / "sinfo"
    sinfo.write_text("#!/bin/sh\nprintf 'a\\nb\\n'\n")
    sinfo.chmod(0o755)
    lines = [module.problem_line(problem) for problem in preflight([stage], cluster, Workspace(tmp_path))]
    assert any(line.startswith(said) for line in lines), lines


def test_packages_are_looked_for_in_the_python_of_the_stage(tmp_path: Path) -> None:
    python = tmp_path / "python"
    python.write_text("#!/bin/sh\necho '[\"torch\"]'\n")
    python.chmod(0o755)
    problems = preflight([instance("ppo", {}, python=str(python))], "local", Workspace(tmp_path))
    assert [problem.summary for problem in problems] == [f"needs torch, not installed for {python}"]


def test_every_way_of_starting_stages_checks_first() -> None:
    """`submit` does not check, so that tests can submit anything; one function does, for every command and screen."""
    source = Path(pipelines.__file__).parent.parent
    callers = [
        str(path.relative_to(source))
        for package in ("cogtui", "jobs")
        for path in sorted((source / package).rglob("*.py"))
        if re.search(r"from jobs\.submit\.launch import [^\n]*\bsubmit\b|launch\.submit\(", path.read_text("utf-8"))
    ]
    assert callers == ["jobs/submit/start.py"]


def test_the_launch_screen_starts_nothing_that_lacks_something(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("ANTHROPIC_API_KEY", raising=False)
    recipe = tmp_path / "r.toml"
    recipe.write_text(_JUDGED)
    workspace = Workspace(tmp_path / "w")
    with pytest.raises(MissingRequirement, match="judge cannot run here; nothing was started") as caught:
        launch(LaunchDraft(recipe), workspace, _JUDGED)
    assert caught.value.detail == "judge: ANTHROPIC_API_KEY is not set"
    assert not workspace.path.exists()


def test_retry_starts_nothing_that_lacks_something(lab: Lab) -> None:
    lab.stage("a", do="exit 3")
    lab.submit()
    lab.wait("a", "failed")
    wait_for(lambda: not lab.processes())
    lab.python.rename(lab.path / "away")
    with pytest.raises(MissingRequirement, match="a cannot run here; nothing was started"):
        retry_stages(lab.workspace, [lab.key("a")])
    assert [path.name for path in (lab.folder("a") / "attempts").iterdir()] == ["001"]
    (lab.path / "away").rename(lab.python)
    assert retry_stages(lab.workspace, [lab.key("a")]) == [lab.key("a")]
    lab.wait("a", "failed")


def test_a_kind_that_is_not_installed_is_named_unless_the_stage_has_its_own_python(tmp_path: Path) -> None:
    (problem,) = preflight([instance("no_such_kind", {})], "local", Workspace(tmp_path))
    assert problem.summary == "there is no stage kind 'no_such_kind' here"
    own = instance("no_such_kind", {}, python=sys.executable)
    assert preflight([own], "local", Workspace(tmp_path)) == []


def test_too_little_disk_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "LEAST_FREE_BYTES", 2**60)
    (problem,) = preflight([instance("problems", {})], "local", Workspace(tmp_path / "w"))
    assert problem.summary.startswith(f"the disk of {tmp_path / 'w'} has ")


def test_run_and_dry_run_say_what_is_missing_and_start_nothing(tmp_path: Path) -> None:
    (tmp_path / "r.toml").write_text(_JUDGED)
    environment = {key: value for key, value in os.environ.items() if key != "ANTHROPIC_API_KEY"}
    dry = cogtui_here("run", "r.toml", "--dry-run", folder=tmp_path, environment=environment)
    assert dry.returncode == 0
    assert "missing: judge: ANTHROPIC_API_KEY is not set" in dry.stderr
    plan = cogtui_here("run", "r.toml", "--dry-run", "--json", folder=tmp_path, environment=environment)
    (missing,) = json.loads(plan.stdout)["data"]["missing"]
    assert (missing["stages"], missing["summary"]) == (["judge"], "ANTHROPIC_API_KEY is not set")
    done = cogtui_here("run", "r.toml", "--json", folder=tmp_path, environment=environment)
    assert done.returncode == 3
    error = json.loads(done.stdout)["error"]
    assert error["summary"] == "judge cannot run here; nothing was started"
    assert not (tmp_path / "cogtui-workspace" / "stages").exists()
