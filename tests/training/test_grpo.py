"""TRL's GRPO in our stage: the contract of the ppo stage holds, resume included."""

import json
import shutil
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import load_file

from pipelines.errors import InvalidInput, StageFailed
from pipelines.folder import StageFolder
from pipelines.records import rollout_id
from pipelines.run import run_stage
from pipelines.streams import read_rollouts
from pipelines.tasks.loading import load_problems
from pipelines.tasks.registry import TASKS
from pipelines.training.core.metrics import read_metrics
from pipelines.training.grpo.trainer_hooks import TRLRolloutAdapter
from tests.training.helpers import PPO, run_alone

pytestmark = pytest.mark.train
GRPO: dict[str, Any] = PPO | {"algorithm": "grpo", "rollouts": 3, "mini_batch": 9, "micro_batch": 3, "kl": 0.01}


@pytest.fixture(scope="module")
def whole(inputs: list[Path], tmp_path_factory: pytest.TempPathFactory) -> StageFolder:
    """A run that nothing disturbed."""
    return run_alone("ppo", GRPO, tmp_path_factory.mktemp("grpo") / "ppo", inputs)


def test_rollouts_and_metrics_are_those_of_the_stage(
    whole: StageFolder, undisturbed: StageFolder, inputs: list[Path]
) -> None:
    rollouts = list(read_rollouts(whole.path))
    train = [each for each in rollouts if each.split == "train"]
    assert len(train) == len({each.id for each in train}) == 4 * 6 * 3
    one = train[0]
    assert one.id == rollout_id(whole.key, "train", one.step, one.problem_id, one.sample)
    assert sorted({each.step for each in rollouts if each.split == "test"}) == [0, 2, 4]
    for step, values in read_metrics(whole, "train").items():
        rewards = [each.reward for each in train if each.step == step if each.reward is not None]
        assert values["reward"] == pytest.approx(sum(rewards) / len(rewards))
        assert {"kl", "entropy", "policy_loss", "clip_fraction", "actor_grad_norm", "length", "verification"} <= set(
            values
        )
    # What is drawn at step 0 depends on place and weights alone, whatever learns from it.
    first = {(each.problem_id, each.sample): each.completion for each in train if each.step == 0}
    ppo = [each for each in read_rollouts(undisturbed.path) if each.split == "train" and each.step == 0]
    assert {(each.problem_id, each.sample): each.completion for each in ppo}.items() <= first.items()
    result = whole.result()
    assert result is not None
    assert result["steps"] == 4
    assert {"accuracy_before", "accuracy_after", "reward_last", "warnings"} <= set(result)


def test_it_learns(whole: StageFolder, inputs: list[Path]) -> None:
    weights = "artifacts/model/model.safetensors"
    before, after = load_file(inputs[1] / weights), load_file(whole.path / weights)
    assert any(not torch.equal(before[name], after[name]) for name in before)
    assert any(values["updated"] for values in read_metrics(whole, "train").values())


class Killed(BaseException):
    """Nothing in a stage catches this."""


@pytest.mark.parametrize("at", [1, 3])
def test_killed_and_continued_it_is_the_same_run(
    at: int, whole: StageFolder, inputs: list[Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    draw = TRLRolloutAdapter.__call__

    def dying(self: TRLRolloutAdapter, prompts: list[str], trainer: Any) -> dict[str, Any]:
        found = draw(self, prompts, trainer)
        if self.step == at:
            raise Killed
        return found

    with monkeypatch.context() as patch:
        patch.setattr(TRLRolloutAdapter, "__call__", dying)
        with pytest.raises(Killed):
            run_alone("ppo", GRPO, tmp_path / "ppo", inputs)
    torch.rand(3)
    folder = StageFolder(tmp_path / "ppo")
    run_stage(folder)
    for name in ("train", "eval"):
        assert read_metrics(folder, name) == read_metrics(whole, name)
    assert list(read_rollouts(folder.path)) == list(read_rollouts(whole.path))
    assert folder.result() == whole.result()


def test_a_checkpoint_of_another_config_is_refused(whole: StageFolder, inputs: list[Path], tmp_path: Path) -> None:
    shutil.copytree(whole.path / "checkpoints", tmp_path / "other" / "checkpoints")
    with pytest.raises(InvalidInput, match="a checkpoint of another stage"):
        run_alone("ppo", GRPO | {"seed": 1}, tmp_path / "other", inputs)


def test_several_processes_are_refused(inputs: list[Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("WORLD_SIZE", "2")
    with pytest.raises(InvalidInput, match="runs in one process, but 2 were started"):
        run_alone("ppo", GRPO, tmp_path / "ppo", inputs)


CHOICE = {"id": "1", "question": "", "options": ["3", "4"], "answer": "A"}
WORDS = str(TASKS.get("choice").prompt(CHOICE)).strip().replace("{}", "{{}}") + "\n"
"""The tokenizer of a made model knows the words of its prompts alone."""
SUMS: dict[str, Any] = {
    "task": "reasoning_gym:chain_sum", "train": 12, "test": 4,
    "task_config": {"prompt": "{question}\n" + WORDS,
                    "options": {"min_terms": 2, "max_terms": 2, "min_digits": 1, "max_digits": 1}},
}  # fmt: skip
FROM_A_FILE: dict[str, Any] = {"train": 12, "test": 4, "task_config": {"file": "rows.json"}}


@pytest.fixture(scope="module")
def sums_model(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A small model pretrained on sums of reasoning-gym, whose characters the other tasks' rows use too."""
    root = tmp_path_factory.mktemp("sums")
    run_alone("problems", SUMS, root / "problems", [])
    few = {"steps": 60, "linear": 16, "documents": 0, "worksheets": 0}
    base = {"architecture": {"layers": 1, "max_positions": 256}, "pretraining": few}
    return run_alone("base", base, root / "base", [root / "problems"]).path


@pytest.mark.parametrize("task", ["reasoning_gym:chain_sum", "math", "choice"])
def test_every_task_gives_the_rewards_of_grpo(task: str, sums_model: Path, tmp_path: Path) -> None:
    sums = [(a, b) for a in range(1, 5) for b in range(1, 6)]
    if task == "math":
        rows: list[dict[str, Any]] = [{"question": f"{a} + {b} =", "answer": str(a + b)} for a, b in sums]
    else:
        rows = [{"question": f"{a} + {b} =", "options": [str(a + b), str(a + b + 1)], "answer": "A"} for a, b in sums]
    (tmp_path / "rows.json").write_text(json.dumps(rows))
    wanted = SUMS if task.startswith("reasoning") else FROM_A_FILE | {"task": task}
    if task == "math":
        wanted = wanted | {"task_config": {**wanted["task_config"], "prompt": "{question}\n"}}
    run_alone("problems", wanted, tmp_path / "problems", [])
    config = GRPO | {"steps": 2, "sampling": {"max_new_tokens": 8}, "checkpoint_every": 1}
    folder = run_alone("ppo", config, tmp_path / "ppo", [tmp_path / "problems", sums_model])
    loaded = load_problems(StageFolder(tmp_path / "problems"))
    problems = {str(problem["id"]): problem for problem in (*loaded.train, *loaded.test)}
    rollouts = list(read_rollouts(folder.path))
    assert len([each for each in rollouts if each.split == "train"]) == 2 * 6 * 3
    for each in rollouts:
        score = loaded.task.score(each.completion, problems[each.problem_id])
        assert (each.task, each.problem["question"]) == (task, problems[each.problem_id]["question"])
        assert each.reward == pytest.approx(score.reward)
        assert each.correct == score.correct
    result = folder.result()
    assert result is not None
    assert result["steps"] == 2
    if task == "reasoning_gym:chain_sum":
        assert any(each.reward for each in rollouts), "the model answers some of the sums it was pretrained on"


@pytest.mark.parametrize("settings", [{"micro_batch": 9}, {"micro_batch": 1, "recompute": True}])
def test_continued_with_other_settings_it_ends_the_same(
    settings: dict[str, Any], whole: StageFolder, inputs: list[Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    call = TRLRolloutAdapter.__call__

    def out_of_memory(self: TRLRolloutAdapter, prompts: list[str], trainer: Any) -> dict[str, Any]:
        if self.step == 3:
            raise torch.OutOfMemoryError("CUDA out of memory")
        return call(self, prompts, trainer)

    with monkeypatch.context() as patch:
        patch.setattr(TRLRolloutAdapter, "__call__", out_of_memory)
        with pytest.raises(StageFailed, match="GRPO with micro-batches of 3 rollouts") as caught:
            run_alone("ppo", GRPO, tmp_path / "ppo", inputs)
    assert "set recompute = true" in caught.value.remedy
    assert "--set micro_batch=1" in caught.value.remedy
    folder = StageFolder(tmp_path / "ppo")
    run_stage(folder, settings)
    one, other = (dict(load_file(each.path / "artifacts/model/model.safetensors")) for each in (whole, folder))
    assert all(float((one[name] - other[name]).abs().max()) < 1e-3 for name in one)
    assert read_metrics(folder, "train")[2] == pytest.approx(read_metrics(whole, "train")[2], rel=1e-2, abs=1e-2)
