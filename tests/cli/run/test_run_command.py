"""`cogtui run`, the real command on real jobs: three light stages, each in its own process."""

import json
import os
import re
import shlex
import signal
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any
from xml.etree import ElementTree

import pytest

from jobs.planning.experiments import load_experiments
from jobs.state.reader import stage_states
from jobs.workspace import Workspace
from tests.commands import cogtui_here

RECIPE = """\
name = "light"
seeds = [1]

[matrix]
condition = ["negative_control", "backtracking_verification"]

[stages.problems]
kind = "problems"
train = 40
test = 10

[stages.data]
kind = "priming_data"
needs = ["problems"]
condition = "{condition}"
seed = "{seed}"
n = 20

[stages.judge]
kind = "judge"
needs = ["data"]

[resources.data]
partition = "gpu"
gpus = 2
memory = "8G"
time = "1:30"
setup = ["module load cuda"]
"""
LOCAL = RECIPE.partition("[resources.data]")[0]
SLOW = ("--set", "stages.data.n=600", "--only", "data", "--set", 'matrix.condition=["backtracking_verification"]')


def cogtui(folder: Path, *arguments: str) -> "subprocess.CompletedProcess[str]":
    """Runs the command in `folder`, with no terminal."""
    return cogtui_here("run", *arguments, folder=folder, environment=_environment())


def started(folder: Path, *arguments: str) -> "subprocess.Popen[str]":
    return subprocess.Popen(
        _command(arguments), cwd=folder, env=_environment(), stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    )


def _command(arguments: Sequence[str]) -> list[str]:
    return [sys.executable, "-c", "from cogtui.cli.main import run; run()", "run", *arguments]


def _environment() -> dict[str, str]:
    return {name: value for name, value in os.environ.items() if name != "COGTUI_WORKSPACE"}


def data(done: "subprocess.CompletedProcess[str]") -> dict[str, Any]:
    assert done.returncode == 0, done.stderr + done.stdout
    envelope = json.loads(done.stdout)
    assert (envelope["version"], envelope["warnings"]) == (1, [])
    assert isinstance(envelope["data"], dict)
    return envelope["data"]


def error(done: "subprocess.CompletedProcess[str]") -> dict[str, str]:
    envelope = json.loads(done.stdout)
    assert list(envelope) == ["version", "error"]
    assert set(envelope["error"]) == {"code", "summary", "detail", "remedy"}
    found: dict[str, str] = envelope["error"]
    return found


def workspace(folder: Path) -> Workspace:
    return Workspace(folder / "cogtui-workspace")


@pytest.fixture(scope="module")
def ran(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, dict[str, Any]]:
    """A folder where the recipe was run once, and what that printed."""
    folder = tmp_path_factory.mktemp("run")
    (folder / "light.toml").write_text(LOCAL)
    return folder, data(cogtui(folder, "light.toml", "--json"))


def test_the_first_run_starts_every_stage_and_reports_its_result(ran: tuple[Path, dict[str, Any]]) -> None:
    folder, report = ran
    assert [(stage["name"], stage["action"], stage["state"]) for stage in report["stages"]] == [
        ("problems", "submitted", "done"),
        ("data", "submitted", "done"),
        ("data", "submitted", "done"),
        ("judge", "submitted", "done"),
        ("judge", "submitted", "done"),
    ]
    assert report["stages"][1]["result"]["n"] == 20
    assert report["cells"][0]["labels"] == {"condition": "negative_control", "seed": 1}
    assert report["cells"][0]["stages"]["judge"] == report["stages"][3]["key"]
    assert report["workspace"] == str(workspace(folder).path)
    assert [experiment.name for experiment in load_experiments(workspace(folder))][:1] == ["light"]


def test_a_second_run_reuses_everything(ran: tuple[Path, dict[str, Any]]) -> None:
    folder, report = ran
    again = data(cogtui(folder, "light.toml", "--json"))
    assert {stage["action"] for stage in again["stages"]} == {"reused"}
    assert [stage["result"] for stage in again["stages"]] == [stage["result"] for stage in report["stages"]]


def test_a_run_that_starts_nothing_is_no_new_start(ran: tuple[Path, dict[str, Any]]) -> None:
    folder, _ = ran
    cogtui(folder, "light.toml", "--display", "none")
    before = load_experiments(workspace(folder))
    cogtui(folder, "light.toml", "--display", "none")
    assert load_experiments(workspace(folder)) == before
    cogtui(folder, "light.toml", "--display", "none", "--set", "stages.problems.train=40")
    assert len(load_experiments(workspace(folder))) == len(before) + 1


def test_a_run_that_reused_everything_says_so_in_three_lines(ran: tuple[Path, dict[str, Any]]) -> None:
    folder, _ = ran
    assert cogtui(folder, "light.toml", "--display", "plain").stdout.splitlines() == [
        "light: all 5 stages were done before this run; nothing was started",
        "What came out: cogtui compare light",
        "Browse it with: cogtui",
    ]


def test_the_summary_shows_what_the_stages_reported(ran: tuple[Path, dict[str, Any]]) -> None:
    folder, report = ran
    done = cogtui(folder, "light.toml", "--display", "plain", "--tables")
    assert done.returncode == 0
    assert done.stdout.startswith("light: 5 stages done, 5 of them before this run, in ")
    primed = report["stages"][4]["result"]["behaviors"]
    means = [f"{primed[name]['mean']:.3f}" for name in ("verification", "backtracking", "subgoal", "backward_chaining")]
    rows = [line for line in done.stdout.splitlines() if line.startswith("condition=backtracking_verification")]
    assert len(rows) == 2  # of the priming data, and of the judge
    assert rows[1].split()[2:] == [*means, "20", "of", "20"]
    assert done.stdout.rstrip().endswith("Browse it with: cogtui")
    assert re.search(r"\d\d:\d\d:\d\d  5 stages: 5 done", done.stderr)


def test_without_display_nothing_is_narrated(ran: tuple[Path, dict[str, Any]]) -> None:
    assert cogtui(ran[0], "light.toml", "--display", "none").stderr == ""
    assert cogtui(ran[0], "light.toml", "--json").stderr == ""


def test_dry_run_starts_nothing_and_says_why(ran: tuple[Path, dict[str, Any]]) -> None:
    folder, report = ran
    before = sorted(workspace(folder).keys())
    changes = ("--set", "stages.data.n=21")
    plan = data(cogtui(folder, "light.toml", "--dry-run", "--json", *changes))
    assert [stage["action"] for stage in plan["stages"]] == ["reused", "new", "new", "new", "new"]
    first = plan["stages"][1]
    assert first["nearest"] == report["stages"][1]["key"]
    assert first["differences"] == [{"field": "n", "here": "21", "there": "20"}]
    text = cogtui(folder, "light.toml", "--dry-run", *changes).stdout
    assert text.startswith("light: 2 cells, 5 stages: 1 reused, 4 new\n")
    assert f"why: nearest is {first['nearest']}: n is 21, there 20\n" in text
    assert sorted(workspace(folder).keys()) == before


def test_dry_run_for_slurm_prints_the_sbatch_text(tmp_path: Path) -> None:
    (tmp_path / "light.toml").write_text(RECIPE)
    done = cogtui(tmp_path, "light.toml", "--dry-run", "--cluster", "slurm", "--only", "data")
    assert done.returncode == 0
    lines = done.stdout.splitlines()
    for wanted in (
        "#SBATCH --partition=gpu",
        "#SBATCH --gpus-per-node=2",
        "#SBATCH --mem=8G",
        "#SBATCH --time=90",
        "module load cuda",
    ):
        assert lines.count(wanted) == 2, wanted
    plan = data(cogtui(tmp_path, "light.toml", "--dry-run", "--cluster", "slurm", "--json"))
    problems, one = plan["stages"][:2]
    assert problems["script"].startswith("#!/bin/bash")
    dependency = next(line for line in one["script"].splitlines() if line.startswith("#SBATCH --dependency="))
    assert f"afterok:<{problems['key']}>" in dependency
    assert one["script"].rstrip() in done.stdout
    assert one["resources"] == {
        "partition": "gpu",
        "gpus": 2,
        "memory": "8G",
        "time": "1:30",
        "setup": ["module load cuda"],
    }
    assert not (tmp_path / "cogtui-workspace").exists()


def test_assertions_that_hold(ran: tuple[Path, dict[str, Any]]) -> None:
    backtracking = "judge[condition={}].behaviors.backtracking.mean"
    text = f"{backtracking.format('backtracking_verification')} > {backtracking.format('negative_control')}"
    found = data(cogtui(ran[0], "light.toml", "--json", "--assert", "data.n == 20", "--assert", text))["assertions"]
    assert [(one["assertion"], one["cell"], one["holds"]) for one in found] == [
        ("data.n == 20", "condition=negative_control seed=1", True),
        ("data.n == 20", "condition=backtracking_verification seed=1", True),
        (text, "seed=1", True),
    ]


def test_an_assertion_that_does_not_hold_exits_1_with_the_values(ran: tuple[Path, dict[str, Any]]) -> None:
    done = cogtui(ran[0], "light.toml", "--display", "none", "--assert", "data.n > 20")
    assert done.returncode == 1
    assert "error: 2 of 2 assertions are false" in done.stderr
    assert "condition=negative_control seed=1: data.n = 20" in done.stderr
    assert error(cogtui(ran[0], "light.toml", "--json", "--assert", "data.n > 20"))["code"] == "assertion_failed"


@pytest.mark.parametrize(
    ("arguments", "summary"),
    [
        (("--assert", "data.m > 20"), "--assert: the result of data has no 'm'"),
        (("--assert", "data.m > 20", "--dry-run"), "--assert: the result of data has no 'm'"),
        (("--assert", "dato.n > 20", "--dry-run"), "--assert: the recipe has no stage 'dato'"),
        (("--assert", "dato.n > 20"), "--assert: the recipe has no stage 'dato'"),
        (("--assert", "data.n > 20 &"), "--assert: unexpected character"),
        (("--assert", "data.n > 20", "--detach"), "--assert needs results"),
        (("--only", "dat"), "--only dat: the recipe has no such stage"),
        (("--force", "judge", "--only", "data"), "--force names a stage that --only excludes"),
        (("--set", "stages.data.m=3"), "--set stages.data.m=3: unknown key 'm' in [stages.data]"),
        (("--cluster", "mars"), "Invalid value for '--cluster'"),
    ],
)
def test_wrong_arguments_exit_2(ran: tuple[Path, dict[str, Any]], arguments: tuple[str, ...], summary: str) -> None:
    done = cogtui(ran[0], "light.toml", "--json", *arguments)
    assert done.returncode == 2, done.stdout
    assert error(done)["summary"].startswith(summary)


def test_a_recipe_that_is_not_there_exits_4(tmp_path: Path) -> None:
    assert cogtui(tmp_path, "none.toml").returncode == 4


def test_force_runs_a_finished_stage_anew_and_nothing_else(ran: tuple[Path, dict[str, Any]]) -> None:
    folder, report = ran
    one = ("--set", 'matrix.condition=["negative_control"]')
    again = data(cogtui(folder, "light.toml", "--json", "--force", "judge", *one))
    assert [stage["action"] for stage in again["stages"]] == ["reused", "reused", "submitted"]
    assert again["stages"][2]["result"] == report["stages"][3]["result"]
    state = stage_states(workspace(folder), [again["stages"][2]["key"]])[again["stages"][2]["key"]]
    assert len(state.attempts) == 2


def test_only_leaves_the_rest_alone(tmp_path: Path) -> None:
    (tmp_path / "light.toml").write_text(LOCAL)
    report = data(cogtui(tmp_path, "light.toml", "--json", "--only", "problems"))
    assert [(stage["name"], stage["state"]) for stage in report["stages"]] == [("problems", "done")]
    assert list(workspace(tmp_path).keys()) == [report["stages"][0]["key"]]
    # the snapshot still holds the whole experiment: every cell with all its keys
    assert len(load_experiments(workspace(tmp_path))[0].cells[0].stages) == 3


def test_a_failed_stage_exits_1_and_is_left_until_retry(tmp_path: Path) -> None:
    # number_range and target_range leave no solvable problem: the stage itself finds that out
    text = LOCAL.replace("train = 40", "train = 40\nnumber_range = [1, 1]\ntarget_range = [90, 99]\nsizes = [2]")
    (tmp_path / "light.toml").write_text(text)
    done = cogtui(tmp_path, "light.toml", "--json")
    assert done.returncode == 1
    found = error(done)
    assert found["code"] == "stage_failed"
    assert found["summary"] == "5 of 5 stages are not done"
    assert found["detail"].splitlines()[0].startswith("failed  problems (problems-")
    assert sum(line.startswith("blocked  ") for line in found["detail"].splitlines()) == 4
    assert "--retry" in found["remedy"]
    again = cogtui(tmp_path, "light.toml", "--display", "plain")
    assert again.returncode == 1
    assert "start it again with --retry" in again.stderr
    key = json.loads(cogtui(tmp_path, "light.toml", "--json", "--dry-run").stdout)["data"]["stages"][0]["key"]
    assert len(stage_states(workspace(tmp_path), [key])[key].attempts) == 1
    assert cogtui(tmp_path, "light.toml", "--retry", "--display", "none").returncode == 1
    assert len(stage_states(workspace(tmp_path), [key])[key].attempts) == 2


def test_detach_returns_at_once_and_a_later_run_joins_in(tmp_path: Path) -> None:
    (tmp_path / "light.toml").write_text(LOCAL)
    detached = data(cogtui(tmp_path, "light.toml", "--json", "--detach", "--only", "problems"))
    assert [stage["action"] for stage in detached["stages"]] == ["submitted"]
    assert (detached["elapsed_s"], detached["stages"][0]["result"]) == (None, None)
    joined = data(cogtui(tmp_path, "light.toml", "--json", "--only", "problems"))
    assert joined["stages"][0]["action"] in ("claimed", "reused")
    assert joined["stages"][0]["result"]["train"] == 40
    assert {len(state.attempts) for state in stage_states(workspace(tmp_path)).values()} == {1}


def test_ctrl_c_exits_130_and_the_job_goes_on(tmp_path: Path) -> None:
    (tmp_path / "light.toml").write_text(LOCAL)
    process = started(tmp_path, "light.toml", "--display", "plain", "--junit", "j.xml", *SLOW)
    assert process.stderr is not None
    for line in process.stderr:
        if "running    data" in line:
            break
    process.send_signal(signal.SIGINT)
    output, rest = process.communicate(timeout=120)
    assert process.returncode == 130
    assert output == ""
    assert "the jobs keep running" in rest
    cases = {case.get("name"): case for case in ElementTree.parse(tmp_path / "j.xml").iter("testcase")}
    skipped = cases["data condition=backtracking_verification seed=1"].find("skipped")
    assert skipped is not None
    assert skipped.get("message") == "running"
    back = next(line for line in rest.splitlines() if line.startswith("Come back with: cogtui run "))
    again = data(cogtui(tmp_path, "--json", *shlex.split(back)[5:]))
    assert again["stages"][1]["result"]["n"] == 600
    assert {len(state.attempts) for state in stage_states(workspace(tmp_path)).values()} == {1}


def test_a_dry_run_imports_nothing_heavy(tmp_path: Path) -> None:
    (tmp_path / "light.toml").write_text(LOCAL)
    program = (
        "import sys\n"
        "from cogtui.cli.main import run\n"
        "try:\n    run(['run', 'light.toml', '--dry-run'])\n"
        "except SystemExit as end:\n    assert not end.code\n"
        "heavy = {'torch', 'transformers', 'trl', 'vllm', 'openai', 'anthropic', 'datasets', 'submitit', 'textual'}\n"
        "print('imported:', sorted(heavy & set(sys.modules)))\n"
    )
    done = subprocess.run(
        [sys.executable, "-c", program], cwd=tmp_path, env=_environment(), capture_output=True, text=True, timeout=60
    )
    assert done.stdout.splitlines()[-1] == "imported: []", done.stderr
