"""Config fields that change no result: an attempt takes its own, continues from the checkpoint and ends the same."""

import shutil
import tomllib
from pathlib import Path
from typing import Any

import pytest

from pipelines.folder import StageFolder
from pipelines.run import prepare, run_stage
from pipelines.streams import read_rollouts
from pipelines.training.core.metrics import read_metrics
from pipelines.training.core.model import load_model
from pipelines.training.ppo.trainer import PPOTrainer
from tests.training.helpers import PPO, run_alone

pytestmark = pytest.mark.train

CONFIG: dict[str, Any] = PPO | {"checkpoint_every": 1}
TOML = """
steps = 2
prompts = 6
rollouts = 2
sampling.max_new_tokens = 24
mini_batch = 6
checkpoint_every = 1
evaluation.every = 0
"""


def assert_near(one: StageFolder, other: StageFolder) -> None:
    """Asserts that two runs differ by rounding only."""
    weights = [dict(load_model(each.path / "artifacts" / "model").state_dict()) for each in (one, other)]
    # AdamW's first steps are near the sign of the gradient, so rounding shows as a part of the learning rate
    assert all(bool((weights[0][name] - weights[1][name]).abs().max() < 5e-4) for name in weights[0])
    texts = [{each.id: each.completion for each in read_rollouts(folder.path)} for folder in (one, other)]
    assert texts[0].keys() == texts[1].keys()
    for name in ("train", "eval"):
        mine, theirs = read_metrics(one, name), read_metrics(other, name)
        assert mine.keys() == theirs.keys()
    assert mine[2] == pytest.approx(theirs[2], rel=1e-2, abs=1e-2)


@pytest.mark.parametrize("settings", [{"recompute": True}, {"micro_batch": 1}, {"recompute": True, "micro_batch": 4}])
def test_ppo_continued_with_other_settings_ends_the_same(
    settings: dict[str, Any],
    inputs: list[Path],
    undisturbed: StageFolder,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    update = PPOTrainer.update
    used: list[dict[str, Any]] = []

    def dying(self: PPOTrainer, batch: Any, step: int, *rest: Any, **named: Any) -> Any:
        used.append({name: getattr(self.config, name) for name in settings})
        if step == 2 and used[-1] != settings:
            raise KeyboardInterrupt
        return update(self, batch, step, *rest, **named)

    monkeypatch.setattr(PPOTrainer, "update", dying)
    folder = prepare("ppo", CONFIG, tmp_path / "ppo", inputs, base=tmp_path)
    with pytest.raises(KeyboardInterrupt):
        run_stage(folder)
    planned = (folder.path / "stage.json").read_bytes()
    run_stage(folder, settings)
    assert used[3:] == [settings] * 2
    assert (folder.path / "stage.json").read_bytes() == planned
    assert_near(folder, undisturbed)


@pytest.mark.slow
def test_out_of_memory_and_continued_by_the_command_that_the_error_names(
    inputs: list[Path], undisturbed: StageFolder, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from cogtui.cli.main import run as cogtui
    from jobs.planning.types import StageInstance
    from jobs.recipe.resources import Resources
    from jobs.submit.start import start_stages
    from pipelines.stages import content_key
    from pipelines.training.core.configs import PPOConfig
    from tests.jobs.lab import Lab

    monkeypatch.setenv("COGTUI_LOCAL_CPUS", "1")
    monkeypatch.setenv("COGTUI_LOCAL_GPUS", "")
    lab = Lab(tmp_path)
    monkeypatch.setenv("COGTUI_WORKSPACE", str(lab.workspace.path))
    script = lab.python.read_text().replace("tests.jobs.probe", "tests.training.limited_memory")
    lab.python.write_text(script)
    keys = []
    for upstream in inputs:
        keys.append(StageFolder(upstream).key)
        shutil.copytree(upstream, lab.workspace.stages / keys[-1])
    config = PPOConfig.model_validate(CONFIG)
    key = content_key("ppo", config, keys)
    stage = StageInstance(
        key=key,
        kind="ppo",
        name="ppo",
        config=config.model_dump(mode="json"),
        key_fields=config.key_fields(),
        inputs=tuple(sorted(keys)),
        resources=Resources(python=lab.python),
    )
    lab.instances["ppo"] = stage
    try:
        start_stages(lab.workspace, [stage])
        failed = lab.wait("ppo", "failed", "done")
        assert failed.state == "failed"
        assert failed.reason.startswith("out of memory: PPO step 2, a micro-batch of ")
        assert [step for step, _ in lab.workspace.folder(key).checkpoints()] == [1, 2]
        planned = (lab.folder("ppo") / "stage.json").read_bytes()
        command = failed.remedy.partition("by: ")[2].partition(". ")[0]
        assert command == f"cogtui retry {key} --set recompute=true"
        with pytest.raises(SystemExit) as ended:
            cogtui(command.split()[1:])
        assert ended.value.code == 0
        done = lab.wait("ppo", "done", "failed")
        assert done.state == "done", done
    finally:
        lab.close()
    assert [attempt.settings["recompute"] for attempt in done.attempts] == [False, True]
    assert [run.resumed_step for run in done.attempts[1].runs] == [2]
    assert (lab.folder("ppo") / "stage.json").read_bytes() == planned
    assert_near(lab.workspace.folder(key), undisturbed)


def test_a_stage_alone_takes_the_settings_of_the_file_it_is_given(
    inputs: list[Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from pipelines.__main__ import main

    used: list[bool] = []
    update = PPOTrainer.update

    def noting(self: PPOTrainer, batch: Any, step: int, *rest: Any, **named: Any) -> Any:
        used.append(self.config.recompute)
        if step == 1 and len(used) == 2:
            raise MemoryError
        return update(self, batch, step, *rest, **named)

    monkeypatch.setattr(PPOTrainer, "update", noting)
    folder = tmp_path / "ppo"
    with pytest.raises(MemoryError):
        run_alone("ppo", tomllib.loads(TOML), folder, inputs)
    file = tmp_path / "ppo.toml"
    file.write_text(f"{TOML}recompute = true\n")
    assert main(["ppo", str(file), "--out", str(folder), *(f"--input={path}" for path in inputs)]) == 0
    assert used == [False, False, True]
