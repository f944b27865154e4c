"""A stage kind of another package: in a recipe, run by a worker, judged, listed, shown, indexed and compared."""

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from cogtui.analysis.outcomes import load_runs
from cogtui.app.experiments.matrix_data import build_matrix
from jobs.planning.experiments import load_experiments
from jobs.workspace import Workspace
from pipelines.errors import InvalidInput
from pipelines.run import prepare, run_stage
from pipelines.stages import STAGE_KINDS, StageConfig, StageKind, content_key, find_kind, stage_kind
from tests.plugins.installing import InstalledSite, documented, importable_here, install, install_documented

RECIPE = """\
name = "outside"
seeds = [1, 2]

[stages.problems]
kind = "problems"
train = 10
test = 6

[stages.answers]
kind = "constant_answer"
needs = ["problems"]
text = "Let me check {seed}. <answer>1 + 2</answer>"

[stages.judged]
kind = "judge"
needs = ["answers"]
"""


def install_stage(site: Path, points: str) -> None:
    source = Path(__file__).with_name("constant_answer.py")
    install(site, "outside-stage", {"cogtui.stages": points}, {"outside_stage.py": source})


@pytest.fixture(scope="module")
def ran(tmp_path_factory: pytest.TempPathFactory) -> InstalledSite:
    """The recipe after its run."""
    folder = tmp_path_factory.mktemp("outside")
    install_stage(folder / "site", "constant_answer = outside_stage:KIND")
    (folder / "outside.toml").write_text(RECIPE)
    installed = InstalledSite(folder, folder / "site")
    done = installed.cogtui("run", "outside.toml", "--display", "plain")
    assert done.returncode == 0, done.stdout + done.stderr
    (folder / "summary.txt").write_text(done.stdout + done.stderr)
    return installed


@pytest.fixture
def outside(tmp_path: Path) -> Iterator[Path]:
    """The package on this process's path, with kinds that cannot be used beside the good one."""
    install_stage(
        tmp_path / "site",
        "constant_answer = outside_stage:KIND\nother_name = outside_stage:KIND\nrun = outside_stage:run\n"
        "ppo = outside_stage:KIND\nabsent = outside_stage:NOTHING",
    )
    with importable_here(tmp_path / "site", STAGE_KINDS):
        yield tmp_path


def test_the_run_summary_has_its_table(ran: InstalledSite) -> None:
    summary = (ran.folder / "summary.txt").read_text().splitlines()
    heads = [line.split() for line in summary]
    assert ["answers", "constant", "answers"] in heads
    assert ["seed=1", "6", "given"] in heads
    assert ["seed=2", "6", "given"] in heads


def test_ls_and_show_know_it(ran: InstalledSite) -> None:
    rows = [row for row in ran.data("ls") if row["kind"] == "constant_answer"]
    assert [(row["name"], row["state"], row["experiment"]) for row in rows] == [("answers", "done", "outside")] * 2
    shown = ran.data("show", rows[0]["key"])
    assert (shown["state"], shown["result"]["n"]) == ("done", 6)
    text = ran.cogtui("show", rows[0]["key"]).stdout
    assert "constant accuracy" in text


def test_its_rollouts_are_indexed_and_judged(ran: InstalledSite) -> None:
    assert ran.data("reindex") is not None
    rollouts = ran.data("rollouts", "--limit", "100")
    assert len(rollouts) == 12
    assert {rollout["completion"] for rollout in rollouts} == {
        f"Let me check {seed}. <answer>1 + 2</answer>" for seed in (1, 2)
    }
    assert {rollout["judge"].partition("-")[0] for rollout in rollouts} == {"rules"}
    assert {rollout["condition"] for rollout in rollouts} == {None}
    assert len(ran.data("rollouts", "correct:false text:check", "--limit", "100")) == 12


def test_a_second_run_reuses_it_and_a_wrong_field_is_named_by_line(ran: InstalledSite) -> None:
    again = ran.data("run", "outside.toml", "--dry-run")
    assert {stage["action"] for stage in again["stages"]} == {"reused"}
    (ran.folder / "wrong.toml").write_text(RECIPE.replace("[stages.judged]", 'splitt = "test"\n\n[stages.judged]'))
    done = ran.cogtui("run", "wrong.toml", "--json")
    assert done.returncode == 2
    error = json.loads(done.stdout)["error"]
    assert error["summary"].startswith("wrong.toml:14: ")
    assert "split" in error["remedy"]


def test_the_matrix_and_the_curves_show_it(ran: InstalledSite) -> None:
    workspace = Workspace(ran.folder / "cogtui-workspace")
    experiment = load_experiments(workspace)[0]
    assert "answers" in build_matrix(experiment).columns
    with importable_here(ran.site, STAGE_KINDS):
        runs = load_runs(workspace, experiment.cells)
    assert [(run.name, run.seed, dict(run.points[0])["n"]) for run in runs] == [("answers", 1, 6), ("answers", 2, 6)]


def test_doctor_lists_it(ran: InstalledSite) -> None:
    found = [item for item in ran.data("doctor") if item["area"] == "plug-ins"]
    assert [(item["name"], item["status"], item["detail"]) for item in found] == [
        ("constant_answer", "ok", "stage kind of another package")
    ]


def test_a_workspace_outlives_the_package(ran: InstalledSite) -> None:
    gone = InstalledSite(ran.folder, ran.folder / "elsewhere")
    rows = [row for row in gone.data("ls") if row["kind"] == "constant_answer"]
    assert len(rows) == 2
    assert gone.cogtui("show", rows[0]["key"]).returncode == 0
    done = gone.cogtui("run", "outside.toml", "--json")
    assert done.returncode == 2
    assert "there is no stage kind 'constant_answer'" in json.loads(done.stdout)["error"]["summary"]


@pytest.mark.usefixtures("outside")
def test_unusable_kinds_are_skipped_with_a_reason() -> None:
    assert stage_kind("constant_answer").name == "constant_answer"
    reasons = {fault.name: fault.reason for fault in STAGE_KINDS.faults()}
    assert set(reasons) == {"other_name", "run", "ppo", "absent"}
    assert reasons["other_name"] == "it calls itself 'constant_answer'"
    assert reasons["run"] == "it is a function, not a pipelines.stages.StageKind"
    assert reasons["ppo"] == "the name 'ppo' is built in"
    with pytest.raises(InvalidInput, match="there is no stage kind 'other_name'") as caught:
        stage_kind("other_name")
    assert "calls itself" in caught.value.detail
    assert find_kind("other_name") is None


@pytest.mark.parametrize(
    ("name", "config", "reason"),
    [
        ("two-words", StageConfig, "lower-case"),
        ("import", StageConfig, "imported files"),
        ("gone", "no_such_module:Config", "ModuleNotFoundError"),
        ("plain", dict, "is not a pipelines.stages.StageConfig"),
    ],
)
def test_a_kind_that_cannot_be_used_says_why(name: str, config: Any, reason: str) -> None:
    problem = STAGE_KINDS.problem_of(StageKind(name, "", config, lambda *_: None))
    assert problem is not None
    assert reason in problem


def test_a_config_with_a_key_of_the_recipe_is_refused() -> None:
    class Reserved(StageConfig):
        needs: str = ""

    problem = STAGE_KINDS.problem_of(StageKind("reserved", "", Reserved, lambda *_: None))
    assert problem == "its config has the reserved field needs"


def test_the_documented_kind_works(tmp_path: Path) -> None:
    files = documented("recipes.md", "Add a stage kind")
    assert set(files) == {"answer_lengths.py", "pyproject.toml"}
    site = tmp_path / "site"
    install_documented(site, files)
    upstream = prepare("problems", {"train": 3, "test": 3}, tmp_path / "problems", [], base=tmp_path)
    run_stage(upstream)
    source = Path(__file__).with_name("constant_answer.py")
    install(
        site, "outside-stage", {"cogtui.stages": "constant_answer = outside_stage:KIND"}, {"outside_stage.py": source}
    )
    with importable_here(site, STAGE_KINDS):
        config = {"text": "x" * 2000}
        answers = prepare("constant_answer", config, tmp_path / "answers", [upstream.path], base=tmp_path)
        run_stage(answers)
        measured = prepare("answer_lengths", {}, tmp_path / "measured", [answers.path], base=tmp_path)
        result = run_stage(measured)
        assert {name: result[name] for name in ("n", "mean", "long")} == {"n": 3, "mean": 2000, "long": 3}
        table = stage_kind("answer_lengths").result_table_of([result])
        assert table == (("completions", "long"), [("3", "3")])
        assert stage_kind("answer_lengths").accepts(stage_kind("constant_answer"))
        assert not stage_kind("answer_lengths").accepts(stage_kind("problems"))


KEYS: tuple[tuple[str, dict[str, Any], list[str], str], ...] = (
    ("problems", {"train": 20}, [], "problems-27951d52286d"),
    ("base", {}, ["problems-1"], "base-1d8e14b83d8d"),
    ("priming_data", {"condition": "all_strategies"}, ["problems-1"], "priming_data-3a3604ea0e9f"),
    ("prime", {"seed": 2}, ["base-1", "priming_data-1"], "prime-c30b1d079a95"),
    ("corpus", {}, ["problems-1"], "corpus-7812915d77b3"),
    ("classify", {"judge": "rules"}, ["corpus-1"], "classify-bc1c0c2610b6"),
    ("curate", {"tokens": 1000}, ["classify-1"], "curate-1a18ae5f6396"),
    ("pretrain", {"condition": "owm_rich"}, ["base-1", "curate-1"], "pretrain-96044a9336ab"),
    ("ppo", {"steps": 20}, ["base-1", "problems-1"], "ppo-5a27ca619dff"),
    ("sample", {}, ["ppo-1", "problems-1"], "sample-6399be25a98b"),
    ("judge", {}, ["ppo-1", "sample-1"], "judge-b08b967843e7"),
)


@pytest.mark.parametrize(("kind", "config", "upstream", "key"), KEYS)
def test_keys_of_built_in_kinds_are_those_of_before(
    kind: str, config: dict[str, Any], upstream: list[str], key: str
) -> None:
    """As computed at commit 1509d53, before kinds became plug-ins."""
    assert content_key(kind, stage_kind(kind).config_model().model_validate(config), upstream) == key
