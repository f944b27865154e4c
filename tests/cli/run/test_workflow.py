"""The example of a GitHub workflow: its steps are run as GitHub runs them, with the smoke recipe."""

import os
import re
import subprocess
import sys
import tomllib
from pathlib import Path
from typing import Any
from xml.etree import ElementTree

import pytest
import yaml  # type: ignore[import-untyped]  # brings no type information

ROOT = Path(__file__).parents[3]
OPTIONS = """--set stages.base.pretraining.steps=200 --set matrix.condition=["none"]"""
"""One cell and a shorter pretraining: half a minute instead of a minute and a half."""
SHELL = ("bash", "--noprofile", "--norc", "-eo", "pipefail", "-c")
"""As GitHub starts the shell of a step."""


def job() -> dict[str, Any]:
    found: dict[str, Any] = yaml.safe_load((ROOT / "examples" / "github-workflow.yml").read_text("utf-8"))
    return dict(found["jobs"]["smoke"])


def test_the_installation_names_extras_and_files_that_exist() -> None:
    (install,) = [step["run"] for step in job()["steps"] if step.get("name") == "Install"]
    project = tomllib.loads((ROOT / "pyproject.toml").read_text("utf-8"))["project"]
    extras = re.search(r"\.\[([\w,]+)\]", install)
    assert extras is not None
    assert set(extras[1].split(",")) <= set(project["optional-dependencies"])
    constraints = re.search(r"-c (\S+)", install)
    assert constraints is not None
    assert (ROOT / constraints[1]).is_file()


@pytest.mark.train
@pytest.mark.slow
def test_its_steps_run_and_pass(tmp_path: Path) -> None:
    steps = [step for step in job()["steps"] if "run" in step and step.get("name") != "Install"]
    assert [step["name"] for step in steps] == ["Plan", "Run", "Report"]
    environment = {name: value for name, value in os.environ.items() if not name.startswith("COGTUI_")}
    # a secret that is not set is an empty text
    given = {"${{ inputs.options }}": OPTIONS}
    environment |= {
        name: given.get(str(value)) or re.sub(r"\$\{\{.*?\}\}", "", str(value)).strip()
        for name, value in job()["env"].items()
    }
    environment |= {
        "GITHUB_STEP_SUMMARY": str(tmp_path / "summary.md"),
        "PATH": f"{Path(sys.executable).parent}{os.pathsep}{environment['PATH']}",
        "CI": "true",
    }
    for step in steps:
        done = subprocess.run([*SHELL, step["run"]], cwd=tmp_path, env=environment, capture_output=True, text=True)
        assert done.returncode == 0, done.stdout + done.stderr
        assert "notification" not in done.stderr
    suites = ElementTree.parse(tmp_path / "junit.xml").getroot()
    assert (suites.get("failures"), suites.get("errors"), suites.get("skipped")) == ("0", "0", "0")
    names = [case.get("name", "") for case in suites.iter("testcase")]
    assert "ppo.reward_last > ppo.reward_first (condition=none seed=0)" in names
    assert sum(name.startswith("ppo condition=") for name in names) == 1
    summary = (tmp_path / "summary.md").read_text("utf-8")
    assert summary.startswith("## ✓ smoke&#58; ")
    assert "### ppo" in summary
    assert (tmp_path / "report" / "report.html").is_file()
