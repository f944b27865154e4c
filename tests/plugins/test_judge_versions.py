"""Judges of outside packages that change, fail, or leave texts out: what `cogtui judge` and `agreement` make of it."""

import json
from collections.abc import Iterator
from pathlib import Path

import pytest

from cogtui.cli.judge.choice import RolloutSelection, new_stage, select_rollouts
from jobs.planning.types import StageInstance
from jobs.workspace import Workspace
from pipelines.behaviors.judges.registry import JUDGES, make_judge
from pipelines.behaviors.judges.stage import JudgeConfig
from pipelines.errors import CogtuiError, InvalidInput
from pipelines.files import read_json
from pipelines.folder import StageFolder
from pipelines.run import prepare, run_stage
from pipelines.streams import read_stream
from tests.app.conftest import Builder
from tests.plugins.installing import importable_here, install, run_python

HERE = Path(__file__).parent
LOUD = HERE / "loud_judge.py"
BROKEN = """
from pipelines.behaviors.judge import JudgeKind, judge_run
from pipelines.records import JudgeRun


class Raises:
    def __init__(self, config=None):
        raise KeyError("no weights here")


class NoJudge:
    def __init__(self, config=None):
        self.run = judge_run("mute")


class NoRun:
    def __init__(self, config=None):
        self.run = "mute-1"

    def judge(self, tasks, work):
        yield from ()


RAISES, MUTE, RUNLESS = JudgeKind("raises", Raises), JudgeKind("mute", NoJudge), JudgeKind("runless", NoRun)
"""


@pytest.fixture
def site(tmp_path: Path) -> Iterator[Path]:
    """The loud judge and three broken ones, installed."""
    site = tmp_path / "site"
    install(site, "loud-judge", {"cogtui.judges": "loud = loud_judge:LOUD"}, {"loud_judge.py": LOUD})
    lines = "raises = broken_judges:RAISES\nmute = broken_judges:MUTE\nrunless = broken_judges:RUNLESS"
    install(site, "broken-judges", {"cogtui.judges": lines})
    (site / "broken_judges.py").write_text(BROKEN)
    with importable_here(site, JUDGES):
        yield site


@pytest.fixture
def workspace(tmp_path: Path) -> Workspace:
    """Four rollouts of one finished stage, all of the split train."""
    builder = Builder(tmp_path / "work")
    folder = builder.stage("ppo", "c1")
    builder.rollouts(folder, ["Eight!", "Nine! (not 8)!"], judge=False)
    builder.rollouts(folder, ["Ten!", "No."], judge=False, stream="eval", step=1)
    builder.done(folder)
    return builder.workspace


def select(workspace: Workspace, judge: str = "loud") -> RolloutSelection:
    return select_rollouts(workspace, "", JudgeConfig(judge=judge))


def judge_left(workspace: Workspace, chosen: RolloutSelection, judge: str = "loud") -> StageInstance:
    stage = new_stage(workspace, chosen, {"judge": judge})
    inputs = [workspace.folder(key).path for key in stage.inputs]
    given = {name: value for name, value in stage.config.items() if value is not None}
    folder = prepare("judge", given, workspace.folder(stage.key).path, inputs, base=workspace.path)
    run_stage(folder)
    return stage


def set_version(monkeypatch: pytest.MonkeyPatch, version: str) -> None:
    """Another version of the loud judge is installed."""
    module = __import__("loud_judge")
    run = module.judge_run

    def numbered(name: str, *, params: dict[str, str]) -> object:
        return run(name, params=params | {"version": version})

    monkeypatch.setattr(module, "judge_run", numbered)


def test_a_changed_judge_judges_again_what_its_earlier_version_judged(
    site: Path, workspace: Workspace, monkeypatch: pytest.MonkeyPatch
) -> None:
    first = judge_left(workspace, select(workspace))
    assert "judge_run" not in first.key_fields  # the key is that of versions that did not know the field
    again = select(workspace)
    assert (again.judged, again.judged_otherwise, again.remaining) == (4, 0, 0)
    set_version(monkeypatch, "2")
    changed = select(workspace)
    assert (changed.judged, changed.judged_otherwise, changed.remaining) == (0, 4, 4)
    second = judge_left(workspace, changed)
    assert second.key != first.key
    assert second.config["judge_run"] == changed.run != again.run
    assert read_json(workspace.folder(second.key).artifacts / "judge_run.json")["id"] == changed.run
    done = select(workspace)
    assert (done.judged, done.judged_otherwise, done.remaining) == (4, 0, 0)
    set_version(monkeypatch, "3")
    folder = prepare("judge", {"judge": "loud", "judge_run": again.run}, workspace.path / "other", [], base=site)
    with pytest.raises(InvalidInput, match=f"judge_run asks for {again.run}"):
        run_stage(folder)


@pytest.mark.parametrize(("splits", "judged"), [(["test"], 0), (["train", "test"], 4)])
def test_what_a_stage_of_some_splits_judged_is_not_judged_again(
    site: Path, workspace: Workspace, splits: list[str], judged: int
) -> None:
    upstream = "ppo-0000000000c1"
    config = {"judge": "loud", "splits": splits}
    path = workspace.stages / "judge-0000000000aa"
    run_stage(prepare("judge", config, path, [workspace.folder(upstream).path], base=site))
    chosen = select(workspace)
    assert (chosen.judged, chosen.remaining) == (judged, 4 - judged)


def test_an_unfinished_stage_of_a_judge_that_cannot_be_made_stops_no_other(site: Path, workspace: Workspace) -> None:
    upstream = "ppo-0000000000c1"
    unfinished = prepare(
        "judge", {"judge": "raises"}, workspace.stages / "judge-0000000000bb", [workspace.folder(upstream).path],
        base=site,
    )  # fmt: skip
    chosen = select(workspace)
    assert chosen.remaining == 4
    (warning,) = [warning for warning in chosen.warnings if "raises" in warning]
    assert unfinished.info().key in warning
    assert "no weights here" in warning


@pytest.mark.parametrize(
    ("name", "reason"),
    [
        ("raises", "making it raised KeyError"),
        ("mute", "a NoJudge, is no judge: it has no judge"),
        ("runless", "its `run` is no JudgeRun"),
    ],
)
def test_a_judge_that_is_none_is_an_error_with_its_package(site: Path, name: str, reason: str) -> None:
    with pytest.raises(CogtuiError) as caught:
        make_judge(name)
    assert f"the judge {name} of broken-judges (broken_judges:{name.upper()})" in caught.value.summary
    assert reason in caught.value.summary


def test_the_command_names_a_judge_that_cannot_be_made(site: Path, workspace: Workspace) -> None:
    command = ("-c", "from cogtui.cli.main import run; run()", "judge", "--judge", "raises", "--json", "--dry-run")
    done = run_python(site, *command, "-w", str(workspace.path))
    assert done.returncode == 2
    assert "broken-judges" in json.loads(done.stdout)["error"]["summary"]
    assert "Traceback" not in done.stderr


def test_a_text_that_a_judge_leaves_out_is_recorded_as_unjudged(
    site: Path, workspace: Workspace, monkeypatch: pytest.MonkeyPatch
) -> None:
    module = __import__("loud_judge")
    whole = module.LoudJudge.judge
    monkeypatch.setattr(
        module.LoudJudge, "judge",
        lambda self, tasks, work: (one for one in whole(self, tasks, work) if "!" in one.task.completion),
    )  # fmt: skip
    stage = judge_left(workspace, select(workspace))
    folder: StageFolder = workspace.folder(stage.key)
    records = list(read_stream(folder.path, "judgements"))
    assert len(records) == 4 * 4
    left_out = [record for record in records if record["status"] == "unjudged"]
    assert len({record["rollout_id"] for record in left_out}) == 1
    assert {record["raw"] for record in left_out} == {"the judge loud gave no verdict on this text"}
    assert all(record["count"] is None for record in left_out)
    result = folder.result()
    assert result is not None
    assert result["statuses"] == {"ok": 12, "unjudged": 4}
    assert result["behaviors"]["verification"] == {"n": 3, "count": 4, "mean": pytest.approx(4 / 3)}


def test_gold_is_judged_live_where_the_judge_has_judged_other_texts(site: Path, workspace: Workspace) -> None:
    judge_left(workspace, select(workspace))
    gold = HERE.parents[1] / "examples" / "gold" / "gold.jsonl"
    command = ("-c", "from cogtui.cli.main import run; run()", "agreement", "--gold", str(gold), "--json")
    done = run_python(site, *command, "--judge", "loud", "-w", str(workspace.path))
    assert done.returncode == 0, done.stderr
    data = json.loads(done.stdout)["data"]
    assert data["traces"] > 100
    assert data["compared"]["verification"] == data["traces"]
