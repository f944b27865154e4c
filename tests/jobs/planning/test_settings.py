"""Fields that change no result: `--set` changes them for the attempts it starts, and no key."""

from pathlib import Path
from typing import Any

import pytest

from jobs.planning.experiments import record_experiment
from jobs.planning.left_behind import find_left_behind
from jobs.planning.materialize import materialise
from jobs.planning.plan import make_plan
from jobs.planning.types import RecipePlan, StageInstance
from jobs.recipe.load import load_recipe
from jobs.workspace import Workspace
from pipelines.files import write_json
from pipelines.stages import content_key, stage_kind
from pipelines.stages.settings import setting_paths, settings_of, written_paths
from pipelines.training.core.configs import PPOConfig

RECIPE = """
name = "settings"
[stages.problems]
kind = "problems"
train = 8
test = 2
[stages.base]
kind = "base"
needs = ["problems"]
[stages.ppo]
kind = "ppo"
needs = ["problems", "base"]
{ppo}
"""


def planned(tmp_path: Path, *overrides: str, ppo: str = "") -> StageInstance:
    """The `ppo` stage of the recipe."""
    path = tmp_path / "r.toml"
    path.write_text(RECIPE.format(ppo=ppo))
    return make_plan(load_recipe(path, overrides), Workspace(tmp_path / "w")).stages[-1]


@pytest.mark.parametrize("ppo", ["", 'micro_batch = 4\nengine = { name = "vllm", vllm = { sleep = true } }'])
@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("recompute", True),
        ("micro_batch", 2),
        ("checkpoint_every", 3),
        ("keep_checkpoints", 1),
        ("engine.vllm.gpu_memory", 0.5),
        ("engine.vllm.sleep", False),
        ("engine.verl.python", "/opt/verl/bin/python"),
    ],
)
def test_a_set_changes_the_settings_and_no_key(field: str, value: Any, ppo: str, tmp_path: Path) -> None:
    without = planned(tmp_path, ppo=ppo)
    stage = planned(tmp_path, f"stages.ppo.{field}={str(value).lower()}", ppo=ppo)
    assert stage.key == without.key
    assert stage.settings is not None
    assert stage.settings[field] == value
    workspace = Workspace(tmp_path / "w")
    materialise([stage], workspace)
    info = workspace.folder(stage.key).info()
    # `stage.json` says what its key is the hash of
    assert content_key("ppo", PPOConfig.model_validate(info.config), info.inputs) == stage.key


def test_a_set_of_what_changes_results_changes_the_key(tmp_path: Path) -> None:
    assert planned(tmp_path, "stages.ppo.steps=7").key != planned(tmp_path).key
    # a whole table is set: its settings leave the key alone, the rest of it does not
    vllm = 'stages.ppo.engine={name = "vllm", vllm = {gpu_memory = 0.5}}'
    assert planned(tmp_path, vllm).key == planned(tmp_path, "stages.ppo.engine=vllm").key != planned(tmp_path).key


def test_the_recipes_own_value_stays_part_of_old_keys(tmp_path: Path) -> None:
    """Stages that were run before this was a setting keep their keys: tests/contracts/test_old_workspace.py."""
    assert planned(tmp_path, ppo="micro_batch = 4").key != planned(tmp_path).key
    assert planned(tmp_path, ppo="recompute = true").key == planned(tmp_path).key


def test_every_field_outside_the_key_of_every_kind_is_a_setting() -> None:
    for name in ("ppo", "prime", "pretrain", "sample", "judge", "classify", "priming_data"):
        model = stage_kind(name).config_model()
        assert {(each,) for each in model.fields_outside_key()} <= set(setting_paths(model))
    assert ("engine", "vllm", "gpu_memory") in written_paths(PPOConfig)
    assert ("recompute",) not in written_paths(PPOConfig)
    settings = settings_of(PPOConfig, PPOConfig().model_dump(mode="json"))
    assert settings == {
        "checkpoint_every": 0, "micro_batch": None, "recompute": False, "keep_checkpoints": 2,
        "engine.vllm.gpu_memory": 0.3, "engine.vllm.sleep": False, "engine.verl.python": None,
        "engine.verl.gpu_memory": 0.4,
    }  # fmt: skip


def test_an_edited_file_that_would_begin_anew_is_named(tmp_path: Path) -> None:
    workspace = Workspace(tmp_path / "w")
    path = tmp_path / "r.toml"

    def plan_of(ppo: str, *overrides: str) -> RecipePlan:
        path.write_text(RECIPE.format(ppo=ppo))
        return make_plan(load_recipe(path, overrides), workspace)

    first = plan_of("micro_batch = 4")
    materialise(first, workspace)
    record_experiment(first, workspace)
    edited = plan_of("micro_batch = 2")
    assert find_left_behind(edited, workspace) == []  # it was never started
    key = first.stages[-1].key
    (workspace.stages / key / "attempts" / "001").mkdir(parents=True)
    (found,) = find_left_behind(edited, workspace)
    assert (found.key, found.settings) == (key, {"micro_batch": (2, 4)})
    assert "begins anew" in found.warning()
    command = found.warning().rpartition("--set ")[2]
    assert plan_of("micro_batch = 4", command).stages[-1].key == key
    for other in (plan_of("micro_batch = 2\nsteps = 7"), plan_of("micro_batch = 4", "stages.ppo.micro_batch=2")):
        assert find_left_behind(other, workspace) == []
    write_json(workspace.stages / key / "result.json", {})
    assert find_left_behind(edited, workspace) == []
