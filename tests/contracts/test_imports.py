"""What a login node runs never imports what only a worker needs: shown by running it, not by reading it."""

import json
import subprocess
import sys
from graphlib import TopologicalSorter
from pathlib import Path

import grimp
import pytest

from tests.fixtures.old_workspace.make import unpack

HEAVY = ("torch", "transformers", "trl", "vllm", "openai", "anthropic", "submitit", "datasets", "accelerate")


def modules_after(code: str, *arguments: str) -> set[str]:
    """Everything in `sys.modules` after some code ran in a fresh interpreter."""
    probe = f"""
import json, sys
sys.argv[1:] = {list(arguments)!r}
try:
    {code}
except SystemExit as stop:
    assert not stop.code, stop.code
finally:
    print("\\n" + json.dumps(sorted(sys.modules)))
"""
    done = subprocess.run([sys.executable, "-c", probe], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    return set(json.loads(done.stdout.splitlines()[-1]))


def loaded_after(code: str, *arguments: str) -> set[str]:
    """The heavy packages among them."""
    return modules_after(code, *arguments) & set(HEAVY)


@pytest.mark.parametrize("arguments", [("--help",), ("ls", "--json"), ("rollouts", "--json"), ("run", "--help")])
def test_commands_stay_light(arguments: tuple[str, ...], tmp_path: Path) -> None:
    extra = ("--workspace", str(tmp_path)) if "--help" not in arguments else ()
    assert loaded_after("from cogtui.cli.main import run; run()", *arguments, *extra) == set()


def test_the_app_stays_light() -> None:
    assert loaded_after("import cogtui.app.main") == set()


_WALK = """
import asyncio
from pathlib import Path
from jobs.workspace import Workspace
from tests.app.driving import press, running

async def walk():
    async with running(Workspace(Path(sys.argv[1]))) as (app, pilot):
        for mode in "12345":
            await press(pilot, mode)
        await press(pilot, "2", "down", "enter", "escape", "3", "enter", "escape", "question_mark", "escape")

asyncio.run(walk())
print(json.dumps([name for name in {heavy!r} if name in sys.modules]))
"""


@pytest.mark.slow
def test_the_app_stays_light_while_it_is_used(tmp_path: Path) -> None:
    """Every mode, a log, a trace and the help, on a workspace with finished, failed and blocked stages."""
    unpack(tmp_path)
    code = "import json, sys\n" + _WALK.replace("{heavy!r}", repr(HEAVY))
    done = subprocess.run(
        [sys.executable, "-c", code, str(tmp_path / "workspace")], capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr
    assert json.loads(done.stdout.splitlines()[-1]) == []


def test_the_first_screen_is_painted_without_the_store() -> None:
    loaded = modules_after("import cogtui.app.main")
    assert "cogtui.app.experiments.screen" in loaded
    assert {module for module in loaded if module.startswith("cogtui.store")} == set()


def test_the_first_content_is_shown_without_pydantic() -> None:
    """Importing it takes a third of the time to the first paint."""
    loaded = modules_after("import cogtui.app.main, cogtui.app.shell.snapshot_reader")
    assert "jobs.planning.experiments" in loaded
    assert "pydantic" not in loaded


def test_the_probe_sees_what_is_imported() -> None:
    assert loaded_after("import submitit") == {"submitit"}


def test_light_pipelines_stay_light() -> None:
    code = (
        "import pipelines.records, pipelines.stages, pipelines.tasks.countdown.reward;"
        "import pipelines.behaviors.judges.rules.judge"
    )
    assert loaded_after(code) == set()


def test_no_module_imports_itself_in_a_circle() -> None:
    """A circle is where nobody can say which of two files is the lower one; imports inside functions count too."""
    graph = grimp.build_graph("cogtui", "jobs", "pipelines", exclude_type_checking_imports=True, cache_dir=None)
    order = TopologicalSorter(
        # itself: a module run by `python -m` imports its own name, for pickles to find its classes there
        {module: graph.find_modules_directly_imported_by(module) - {module} for module in sorted(graph.modules)}
    )
    order.prepare()  # raises CycleError, which names the modules of the circle
