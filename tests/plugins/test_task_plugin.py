"""A task of an outside package: problems, sampling, PPO and judging, then index, filter, export and app."""

import csv
import io
import json
import re
from collections.abc import Iterator
from html import unescape
from pathlib import Path

import pytest

from cogtui.store import open_store
from jobs.workspace import Workspace
from pipelines.folder import StageFolder
from pipelines.records import Rollout
from pipelines.run import prepare, run_stage
from pipelines.stages import content_key, stage_kind
from pipelines.streams import read_rollouts
from pipelines.tasks.loading import load_problems
from pipelines.tasks.registry import TASKS, describe_problem, score_problem, solve_problem
from tests.app.driving import press, running
from tests.plugins.installing import InstalledSite, documented, importable_here, install, install_documented, run_python

HERE = Path(__file__).parent
RECIPE = """\
name = "letters"

[stages.problems]
kind = "problems"
task = "next_letter"
train = 8
test = 4

[stages.problems.task_config]
first = "c"

[stages.base]
kind = "base"
needs = ["problems"]
pretrained = "MODEL"

[stages.ppo]
kind = "ppo"
needs = ["problems", "base"]
steps = 1
prompts = 4
rollouts = 2
mini_batch = 4
sampling = { max_new_tokens = 8 }

[stages.sample]
kind = "sample"
needs = ["problems", "ppo"]
samples = 2
sampling = { max_new_tokens = 8 }

[stages.judge]
kind = "judge"
needs = ["ppo", "sample"]
"""


def install_task(site: Path, points: str = "next_letter = next_letter:TASK") -> None:
    install(site, "next-letter", {"cogtui.tasks": points}, {"next_letter.py": HERE / "next_letter.py"})


@pytest.fixture
def outside(tmp_path: Path) -> Iterator[Path]:
    """The package on this process's path, with a task that cannot be used beside the good one."""
    install_task(
        tmp_path / "site", "next_letter = next_letter:TASK\nclass = next_letter:NextLetter\nbare = next_letter:random"
    )
    with importable_here(tmp_path / "site", TASKS):
        yield tmp_path


@pytest.mark.usefixtures("outside")
def test_the_task_answers_and_unusable_ones_are_skipped_with_a_reason() -> None:
    problem = {"id": "after-c", "letter": "c"}
    assert describe_problem("next_letter", problem).full == "Name the letter that follows c."
    assert solve_problem("next_letter", problem) == "d"
    score = score_problem("next_letter", "<answer> d </answer>", problem)
    assert score is not None
    assert (score.reward, score.correct, score.answer) == (1.0, True, "d")
    reasons = {fault.name: fault.reason for fault in TASKS.faults()}
    assert reasons == {
        "class": "it is a class; register an instance",
        "bare": "it has no name, problems, prompt, score, describe",
    }


def test_its_settings_are_part_of_the_key_and_checked(outside: Path) -> None:
    model = stage_kind("problems").config_model()

    def key(**fields: object) -> str:
        return content_key("problems", model.model_validate({"task": "next_letter", **fields}), [])

    assert key() == key(task_config={"first": "a"}) != key(task_config={"first": "b"})
    assert key() != key(seed=1)
    dumped = model.model_validate({"task": "next_letter"}).model_dump(mode="json")
    assert dumped == {"task": "next_letter", "train": 1000, "test": 100, "seed": 0, "task_config": {"first": "a"}}
    assert content_key("problems", model.model_validate(dumped), []) == key()
    for wrong, words in ({"firts": "b"}, "firts"), ({"first": "z"}, "first"):
        with pytest.raises(ValueError, match=f"task_config of next_letter: {words}"):
            model.model_validate({"task": "next_letter", "task_config": wrong})


def test_the_problems_stage_writes_its_problems(outside: Path) -> None:
    folder = prepare("problems", {"task": "next_letter", "train": 5, "test": 3}, outside / "out", [], base=outside)
    assert run_stage(folder)["task"] == "next_letter"
    loaded = load_problems(StageFolder(outside / "out"))
    assert (loaded.task.name, len(loaded.train), len(loaded.test)) == ("next_letter", 5, 3)
    assert not {str(problem["id"]) for problem in loaded.train} & {str(problem["id"]) for problem in loaded.test}


def test_the_documented_task_works(tmp_path: Path) -> None:
    files = documented("tasks.md", "Add a task")
    assert set(files) == {"next_letter.py", "pyproject.toml", "letters.toml"}
    install_documented(tmp_path / "site", files)
    site = InstalledSite(tmp_path, tmp_path / "site")
    done = site.cogtui("run", str(tmp_path / "site" / "letters.toml"), "--display", "plain")
    assert done.returncode == 0, done.stdout + done.stderr
    (folder,) = (tmp_path / "cogtui-workspace" / "stages").glob("problems-*")
    result = json.loads((folder / "result.json").read_text())
    assert (result["task"], result["train"], result["test"]) == ("next_letter", 15, 5)
    test = [json.loads(line) for line in (folder / "artifacts" / "test.jsonl").read_text().splitlines()]
    assert min(problem["letter"] for problem in test) >= "c"
    code = (
        "from pipelines.tasks.registry import describe_problem, score_problem, solve_problem\n"
        "problem = {'id': 'after-c', 'letter': 'c'}\n"
        "print(describe_problem('next_letter', problem).short, solve_problem('next_letter', problem))\n"
        "print(score_problem('next_letter', 'so <answer>d</answer>', problem).reward)\n"
    )
    said = run_python(tmp_path / "site", "-c", code)
    assert said.stdout.split("\n")[:2] == ["after c d", "1.0"], said.stderr


def tiny_model(path: Path) -> None:
    """A checkpoint with random weights that knows the words of the task."""
    from string import ascii_lowercase

    import torch

    from pipelines.tokenizer import build_tokenizer
    from pipelines.training.core.configs import ArchitectureConfig
    from pipelines.training.core.model import build_model

    torch.manual_seed(0)
    tokenizer = build_tokenizer(["<answer>", "</answer>"], ["after comes", " ".join(ascii_lowercase)], range(2))
    architecture = ArchitectureConfig(layers=1, hidden_size=16, intermediate_size=32, max_positions=32)
    build_model(architecture, tokenizer).save_pretrained(path)
    tokenizer.save_pretrained(path)


@pytest.fixture(scope="module")
def ran(tmp_path_factory: pytest.TempPathFactory) -> InstalledSite:
    """The recipe after its run."""
    folder = tmp_path_factory.mktemp("letters")
    install_task(folder / "site")
    tiny_model(folder / "model")
    (folder / "letters.toml").write_text(RECIPE.replace("MODEL", str(folder / "model")))
    installed = InstalledSite(folder, folder / "site")
    done = installed.cogtui("run", "letters.toml", "--display", "plain")
    assert done.returncode == 0, done.stdout + done.stderr
    return installed


@pytest.mark.train
@pytest.mark.slow
def test_its_rollouts_are_indexed_judged_and_filtered(ran: InstalledSite) -> None:
    rollouts = ran.data("rollouts", "task:next_letter split:test", "--limit", "100")
    sampled = [rollout for rollout in rollouts if rollout["kind"] == "sample"]
    assert len(sampled) == 8
    assert {rollout["judge"].partition("-")[0] for rollout in rollouts} == {"prose"}
    for rollout in sampled:
        assert rollout["problem"] == {"id": rollout["problem_id"], "letter": rollout["problem_id"][-1]}
        assert rollout["prompt"] == f"after {rollout['problem']['letter']} comes"
    assert ran.data("rollouts", "task:countdown") == []
    assert len(ran.data("rollouts", "kind:ppo split:train task:next_letter", "--limit", "100")) == 8
    shown = ran.cogtui("rollouts", "kind:sample", "--columns", "id,task,numbers").stdout
    assert f"{sampled[0]['id']}  next_letter  after " in shown
    trace = ran.cogtui("trace", sampled[0]["id"]).stdout
    assert f"problem   {sampled[0]['problem_id']}: after {sampled[0]['problem']['letter']}" in trace
    assert [item["status"] for item in ran.data("doctor") if item["name"] == "next_letter"] == ["ok"]


@pytest.mark.train
@pytest.mark.slow
def test_its_rollouts_are_exported_and_imported_again(ran: InstalledSite, tmp_path: Path) -> None:
    pytest.importorskip("pyarrow")
    for name in ("out.jsonl", "out.csv", "out.parquet", "out.html"):
        done = ran.cogtui("export", "kind:sample", "--out", str(tmp_path / name))
        assert done.returncode == 0, done.stdout + done.stderr
    first = json.loads((tmp_path / "out.jsonl").read_text().splitlines()[0])
    assert (first["task"], first["problem"]["letter"]) == ("next_letter", first["problem_id"][-1])
    rows = list(csv.DictReader(io.StringIO((tmp_path / "out.csv").read_text())))
    assert json.loads(rows[0]["problem"]) == first["problem"]
    assert f"after {first['problem']['letter']}" in (tmp_path / "out.html").read_text()
    for name in ("out.jsonl", "out.parquet"):
        workspace = tmp_path / name.replace(".", "-")
        done = ran.cogtui("import", str(tmp_path / name), "--workspace", str(workspace))
        assert done.returncode == 0, done.stdout + done.stderr
        again = ran.data("rollouts", "task:next_letter", "--workspace", str(workspace), "--limit", "100")
        assert {row["completion"] for row in again} == {row["completion"] for row in rows}
        assert again[0]["problem"]["letter"] == again[0]["problem_id"][-1]


@pytest.mark.train
@pytest.mark.slow
async def test_the_app_shows_it_with_and_without_the_package(ran: InstalledSite) -> None:
    workspace = Workspace(ran.folder / "cogtui-workspace")
    with open_store(workspace) as store:
        store.ingest()

    async def opened_trace() -> str:
        async with running(workspace, (160, 50)) as (app, pilot):
            await press(pilot, "3", "enter")
            return app.export_screenshot().replace("&#160;", " ")

    with importable_here(ran.site, TASKS):
        with_package = await opened_trace()
    assert re.search(r"\bafter [a-z]\b(?! comes)", with_package)
    assert '{"letter": ' not in unescape(with_package)
    without = unescape(await opened_trace())
    assert not re.search(r"\bafter [a-z]\b(?! comes)", without)
    assert '{"letter": ' in without


def rollouts_of(folder: Path) -> list[Rollout]:
    return [rollout for stage in folder.glob("stages/sample-*") for rollout in read_rollouts(stage)]


@pytest.mark.train
@pytest.mark.slow
def test_a_workspace_outlives_the_package(ran: InstalledSite) -> None:
    """The problem's JSON takes the place of its description, and nothing else fails."""
    gone = InstalledSite(ran.folder, ran.folder / "elsewhere")
    rows = gone.data("rollouts", "task:next_letter kind:sample", "--limit", "100")
    assert len(rows) == len(rollouts_of(ran.folder / "cogtui-workspace")) == 8
    trace = gone.cogtui("trace", rows[0]["id"]).stdout
    assert '{"letter": "' in trace
    done = gone.cogtui("run", "letters.toml", "--json")
    assert done.returncode == 2
    assert "there is no task 'next_letter'" in json.dumps(json.loads(done.stdout)["error"])
