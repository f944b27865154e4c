"""Every recipe that is shipped or shown can be planned; those for a cluster give what a cluster user would submit."""

import re
import shlex
from pathlib import Path

import pytest

from jobs.planning.plan import make_plan, materialise
from jobs.planning.types import RecipePlan
from jobs.recipe.load import load_recipe
from jobs.submit.launch import preview
from jobs.workspace import Workspace
from pipelines.corpus.curate.selection import SETS
from pipelines.teachers.conditions import CONDITIONS

ROOT = Path(__file__).parents[3]
EXAMPLES = sorted((ROOT / "examples").glob("*.toml"))
PAPER = [path for path in EXAMPLES if path.name.startswith("paper-")]
PRIMED = [path for path in PAPER if path.name != "paper-owm.toml"]


OVERRIDES = (
    "resources.ppo.partition=h200",
    "resources.default.account=lab",
    "resources.ppo.gpus=8",
    "resources.ppo.processes=8",
)


def planned(path: Path, folder: Path, *overrides: str) -> RecipePlan:
    return make_plan(load_recipe(path, overrides), Workspace(folder))


def configs(plan: RecipePlan, name: str) -> list[dict[str, object]]:
    return [stage.config for stage in plan.stages if stage.name == name]


def test_there_are_examples() -> None:
    names = {path.stem for path in EXAMPLES}
    assert {"four-habits-mini", "four-habits-mini-quick", "paper-llama-3.2-3b", "paper-qwen-2.5-3b"} <= names
    assert {"owm-mini", "paper-owm"} <= names


@pytest.mark.parametrize("path", EXAMPLES, ids=lambda path: path.stem)
def test_it_plans_and_its_stages_can_be_written(path: Path, tmp_path: Path) -> None:
    plan = planned(path, tmp_path)
    assert plan.name == path.stem
    assert {str(cell.labels["condition"]) for cell in plan.cells if "condition" in cell.labels} <= {
        *CONDITIONS,
        *SETS,
    }
    assert materialise(plan, Workspace(tmp_path)) == [stage.key for stage in plan.stages]
    assert planned(path, tmp_path).stages == plan.stages


@pytest.mark.parametrize("path", EXAMPLES, ids=lambda path: path.stem)
def test_the_unprimed_cells_start_from_the_base_model(path: Path, tmp_path: Path) -> None:
    plan = planned(path, tmp_path)
    for cell in plan.cells:
        if "ppo" not in cell.stages:
            continue
        trained = "pretrain" if "curate" in cell.stages else "prime"
        condition = cell.labels.get("condition")
        unprimed = condition == "none" if condition else "prime" not in cell.stages
        start = "base" if unprimed else trained
        assert cell.stages[start] in plan.instance(cell.stages["ppo"]).inputs


def test_the_quick_miniature_shares_all_but_ppo_with_the_whole_one(tmp_path: Path) -> None:
    whole = {stage.key: stage for stage in planned(ROOT / "examples/four-habits-mini.toml", tmp_path).stages}
    quick = planned(ROOT / "examples/four-habits-mini-quick.toml", tmp_path)
    assert {stage.name for stage in quick.stages if stage.key not in whole} == {"ppo", "judge"}


@pytest.mark.parametrize("path", PRIMED, ids=lambda path: path.stem)
def test_the_published_settings(path: Path, tmp_path: Path) -> None:
    """The table of PPO settings of the published runs."""
    plan = planned(path, tmp_path)
    for config in configs(plan, "prime"):
        assert (config["epochs"], config["batch_size"]) == (5, 64)
    (ppo,) = {str(sorted((key, str(value)) for key, value in config.items())) for config in configs(plan, "ppo")}
    for wanted in (
        "('gamma', '1.0')", "('lam', '1.0')", "('clip', '0.2')", "('value_clip', '0.5')", "('epochs', '1')",
        "('mini_batch', '128')", "('entropy', '0.001')", "('max_grad_norm', '1.0')", "('kl', '0.001')",
        "('prompts', '256')", "('rollouts', '4')", "('steps', '250')", "('max_prompt_tokens', '256')",
        "'learning_rate': 1e-06", "'learning_rate': 1e-05", "'max_new_tokens': 1024", "'every': 10",
    ):  # fmt: skip
        assert wanted in ppo, wanted


@pytest.mark.parametrize("path", PAPER, ids=lambda path: path.stem)
def test_what_a_cluster_would_be_given(path: Path, tmp_path: Path) -> None:
    plan = planned(path, tmp_path, *OVERRIDES)
    ppo = [stage for stage in plan.stages if stage.name == "ppo"]
    for stage, script, command in zip(
        ppo, preview(ppo, "slurm", Workspace(tmp_path)), preview(ppo, "local", Workspace(tmp_path)), strict=True
    ):
        lines = script.splitlines()
        assert lines[0] == "#!/bin/bash"
        assert {
            "#SBATCH --partition=h200",
            "#SBATCH --account=lab",
            "#SBATCH --gpus-per-node=8",
            "#SBATCH --cpus-per-task=32",
            "#SBATCH --mem=256G",
            "#SBATCH --time=2880",
            "#SBATCH --requeue",
            "#SBATCH --kill-on-invalid-dep=yes",
        } <= set(lines)
        dependency = next(line for line in lines if line.startswith("#SBATCH --dependency="))
        assert set(re.findall(r"<([^>]+)>", dependency)) == set(stage.inputs)
        words = shlex.split(command)
        launcher = next(number for number, word in enumerate(words) if word.endswith("cogtui-gpu/bin/python"))
        assert words[launcher + 1 : launcher + 5] == [
            "-m", "torch.distributed.run", "--nproc-per-node=8", "--standalone",
        ]  # fmt: skip
        assert words[-4:] == ["-m", "pipelines", "--folder", str(Workspace(tmp_path).stages / stage.key)]


@pytest.mark.parametrize("path", PAPER, ids=lambda path: path.stem)
def test_ppo_is_sharded_over_as_many_gpus_as_it_asks_for(path: Path, tmp_path: Path) -> None:
    for stage in planned(path, tmp_path).stages:
        if stage.name == "ppo":
            assert stage.config["sharding"] == "fsdp"
            assert stage.resources.processes == stage.resources.gpus == 4


def test_initial_policies_are_compared_before_any_reinforcement_learning(tmp_path: Path) -> None:
    plan = planned(ROOT / "examples/initial-policies-paper.toml", tmp_path)
    assert [str(cell.labels["model"]).split("/")[1] for cell in plan.cells] == [
        "Qwen2.5-3B", "Llama-3.2-3B", "Llama-3.1-70B",
    ]  # fmt: skip
    assert {stage.kind for stage in plan.stages} == {"problems", "base", "sample", "judge"}
    samples = [stage for stage in plan.stages if stage.name == "sample"]
    script = preview(samples[:1], "slurm", Workspace(tmp_path))[0]
    assert "#SBATCH --gpus-per-node=8" in script
    (config,) = {str(stage.config["engine"]) for stage in samples}
    assert "'tensor_parallel': 8" in config
    mini = planned(ROOT / "examples/initial-policies-mini.toml", tmp_path)
    whole = {stage.key for stage in planned(ROOT / "examples/four-habits-mini.toml", tmp_path).stages}
    assert {stage.name for stage in mini.stages if stage.key not in whole} == {"sample", "judge"}
    assert len(mini.cells) == 5
    assert "ppo" not in {stage.kind for stage in mini.stages}


def test_the_corpus_is_classified_by_an_array(tmp_path: Path) -> None:
    """200,000 documents, a 32B model on two GPUs a task, 8.3M tokens a set."""
    plan = planned(ROOT / "examples/paper-owm.toml", tmp_path, "resources.default.account=lab")
    (classify,) = [stage for stage in plan.stages if stage.kind == "classify"]
    array, gather = preview([classify], "slurm", Workspace(tmp_path))[0].split("#!/bin/bash")[1:]
    assert {
        "#SBATCH --array=0-19%20",
        "#SBATCH --account=lab",
        "#SBATCH --gpus-per-node=2",
        "#SBATCH --cpus-per-task=16",
        "#SBATCH --time=1440",
    } <= set(array.splitlines())
    assert "--array" not in gather
    (config,) = configs(plan, "classify")
    assert config["limit"] == 200_000
    assert config["offline"] == {
        "tensor_parallel": 2, "gpu_memory": 0.9, "max_model_tokens": 16384, "python": None, "arguments": [],
    }  # fmt: skip
    (curate,) = configs(plan, "curate")
    assert curate["tokens"] == 8_300_000
    assert {stage.config["condition"] for stage in plan.stages if stage.kind == "pretrain"} == set(SETS)


def test_the_recipe_in_the_documentation(tmp_path: Path) -> None:
    text = (ROOT / "docs/recipes.md").read_text()
    path = tmp_path / "documented.toml"
    path.write_text(text.split("```toml\n")[1].split("```")[0])
    plan = planned(path, tmp_path / "ws")
    assert len(plan.cells) == 11
    assert [stage.resources.gpus for stage in plan.stages if stage.name == "ppo"] == [4] * 11
