"""A judge and a behaviour set of outside packages, each installed by entry point and used end to end.

Which behaviour sets there are is settled when a process starts, so `with_five_moves.py` runs in one of its own.
"""

import json
import shutil
from pathlib import Path

import pytest

from pipelines.behaviors.sets.four_habits import FOUR_HABITS
from tests.app.conftest import Builder
from tests.plugins.installing import documented, install, install_documented, run_python

HERE = Path(__file__).parent


@pytest.fixture
def site(tmp_path: Path) -> Path:
    """Both packages, installed."""
    site = tmp_path / "site"
    shutil.copytree(HERE / "five_moves", site / "five_moves")
    points = {"cogtui.behaviors": "five_moves = five_moves", "cogtui.judges": "moves = five_moves:MOVES"}
    install(site, "five-moves", points)
    install(site, "loud-judge", {"cogtui.judges": "loud = loud_judge:LOUD"}, {"loud_judge.py": HERE / "loud_judge.py"})
    return site


@pytest.mark.slow
def test_a_judge_and_a_set_with_five_behaviours_from_judging_to_export(site: Path) -> None:
    inner = HERE / "with_five_moves.py"
    done = run_python(site, "-m", "pytest", "-q", "-x", "-p", "no:cacheprovider", "-p", "no:xdist", str(inner))
    assert done.returncode == 0, done.stdout + done.stderr
    assert " passed" in done.stdout
    assert "skipped" not in done.stdout


@pytest.mark.slow
def test_an_outside_judge_is_compared_with_gold(site: Path) -> None:
    gold = HERE.parents[1] / "examples" / "gold" / "gold.jsonl"
    command = ("-c", "from cogtui.cli.main import run; run()", "agreement", "--gold", str(gold), "--json")
    done = run_python(site, *command, "--judge", "loud")
    assert done.returncode == 0, done.stdout + done.stderr
    data = json.loads(done.stdout)["data"]
    assert data["judge"] == "loud"
    assert data["compared"] == dict.fromkeys(FOUR_HABITS.names, data["traces"])
    refused = run_python(site, *command, "--judge", "lowd")
    assert refused.returncode == 4
    assert json.loads(refused.stdout)["error"]["code"] == "not_found"


@pytest.mark.slow
def test_a_set_installed_later_is_counted_and_one_removed_is_forgotten(site: Path, tmp_path: Path) -> None:
    builder = Builder(tmp_path / "work")
    folder = builder.stage("ppo", "c1", {"condition": "none"})
    builder.rollouts(folder, ["Maybe. Therefore 8."], judge=False)
    builder.done(folder)
    judging = (
        "from pathlib import Path\n"
        "from tests.plugins.with_five_moves import judge\n"
        "from jobs.workspace import Workspace\n"
        f"judge(Workspace(Path({str(builder.workspace.path)!r})), 'moves', Path({str(folder.path)!r}))"
    )
    done = run_python(site, "-c", judging)
    assert done.returncode == 0, done.stderr
    command = ("-c", "from cogtui.cli.main import run; run()", "rollouts", "--json", "-w", str(builder.workspace.path))
    nowhere = tmp_path / "nowhere"
    for packages, hedges in ((nowhere, None), (site, 1), (nowhere, None), (site, 1)):
        done = run_python(packages, *command)
        assert done.returncode == 0, done.stderr
        (row,) = json.loads(done.stdout)["data"]
        assert row["counts"].get("hedging") == hedges
        assert ("hedging" in row) == (packages == site)
        assert row["judged"] == ("ok" if packages == site else "none")


@pytest.mark.parametrize(
    ("old", "new", "reason"),
    [
        ('name = "hedging"', 'name = "subgoal"', "the behaviour 'subgoal' belongs to four_habits already"),
        ('letter = "H"', 'letter = "E"', "two behaviours have the letter 'E'"),
        ('letter = "H"', 'letter = "h"', "the letter of hedging is not one of A to Z"),
        ('name = "hedging"', 'name = "he; DROP"', "the name of behaviour 3 is 'he; DROP'"),
        ("#5a0030", "red", "the background of hedging.dark is 'red'"),
        ('title = "Five moves of an explanation"', "", "the set needs a line of text for 'title'"),
        ('name = "five_moves"', 'name = "moves"', "its set.toml names the set 'moves', its entry point 'five_moves'"),
        ("[[behaviors]]", "[[behaviours]]", "set.toml needs 1 to 12 [[behaviors]]"),
        ("default_judges =", "default_judges", "cannot be read"),
    ],
)
def test_a_set_that_cannot_be_used_is_named_and_skipped(site: Path, old: str, new: str, reason: str) -> None:
    path = site / "five_moves" / "set.toml"
    text = path.read_text()
    assert old in text
    path.write_text(text.replace(old, new))
    code = (
        "from pipelines.behaviors.sets.registered import BEHAVIORS, SETS\n"
        "from pipelines.behaviors.judges.registry import JUDGES\n"
        "print(len(BEHAVIORS))\n"
        "for fault in (*SETS.faults(), *JUDGES.faults()): print(fault.package, fault.name, fault.reason)"
    )
    done = run_python(site, "-c", code)
    assert done.returncode == 0, done.stderr
    count, fault, judge_fault = done.stdout.splitlines()
    assert count == "4"
    assert fault.startswith("five-moves five_moves ")
    assert reason in fault
    assert judge_fault == "five-moves moves its behaviour set 'five_moves' is not installed or was skipped"


@pytest.mark.slow
def test_the_documented_judge_works(tmp_path: Path) -> None:
    files = documented("judges.md", "Add a judge")
    assert set(files) == {"loud_judge.py", "pyproject.toml"}
    install_documented(tmp_path, files)
    gold = HERE.parents[1] / "examples" / "gold" / "gold.jsonl"
    command = ("-c", "from cogtui.cli.main import run; run()", "agreement", "--gold", str(gold), "--json")
    done = run_python(tmp_path, *command, "--judge", "loud")
    assert done.returncode == 0, done.stdout + done.stderr
    assert json.loads(done.stdout)["data"]["compared"]["verification"] > 0


def test_the_documented_behaviour_set_works(tmp_path: Path) -> None:
    files = documented("judges.md", "Add a behaviour set")
    assert set(files) == {"two_moods/set.toml", "two_moods/__init__.py", "pyproject.toml"}
    questions = documented("llm-judges.md", "Prompts of a behaviour set")
    assert set(questions) == {"two_moods/prompts/spans/doubt.md"}
    joy = {"two_moods/prompts/spans/joy.md": "Find every JOY."}
    install_documented(tmp_path, files | questions | joy)
    code = (
        "from pathlib import Path\n"
        "from pipelines.behaviors.judge import JudgeTask\n"
        "from pipelines.behaviors.judges.llm.prompts import load_prompts\n"
        "from pipelines.behaviors.judges.registry import JUDGES, make_judge\n"
        "from pipelines.behaviors.sets.registered import BEHAVIORS, SETS\n"
        "assert not SETS.faults() and not JUDGES.faults()\n"
        "task = JudgeTask('r', '', {}, 'Maybe. Great!')\n"
        "judged, = make_judge('moods').judge([task], Path('.'))\n"
        "print(*BEHAVIORS)\n"
        "print(*((one.behavior, one.count) for one in judged.records('run', SETS.get('two_moods').names)))\n"
        "print(load_prompts('spans', behaviors=SETS.get('two_moods')).texts['doubt'])"
    )
    done = run_python(tmp_path, "-c", code)
    assert done.returncode == 0, done.stderr
    names, counts, question = done.stdout.splitlines()
    assert names.split() == [*FOUR_HABITS.names, "doubt", "joy"]
    assert counts == "('doubt', 1) ('joy', 1)"
    assert question.startswith("Find every DOUBT")
