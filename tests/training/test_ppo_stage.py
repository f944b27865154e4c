"""The ppo stage end to end on a model of 12,000 parameters: records, resume to the bit, damage, refusals."""

import json
import os
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from operator import itemgetter
from pathlib import Path
from typing import Any

import pytest
import torch

from pipelines.errors import Interrupted, InvalidInput, StageFailed
from pipelines.files import read_json
from pipelines.folder import StageFolder
from pipelines.records import Rollout, rollout_id
from pipelines.run import run_stage
from pipelines.streams import read_rollouts
from pipelines.training.core.checkpoint import TrainingCheckpoint
from pipelines.training.core.configs import PPOConfig
from pipelines.training.core.metrics import read_metrics
from pipelines.training.ppo.trainer import PPOTrainer
from pipelines.training.rl.step_runner import problems_of_step
from pipelines.training.rl.summary import summarise_training
from pipelines.training.stages.ppo import PPOLoop
from tests.processes import stop_signals
from tests.training.helpers import PPO, run_alone

pytestmark = pytest.mark.train


def rollouts_of(folder: StageFolder) -> dict[str, Rollout]:
    """All rollouts by id; proves that none was written twice."""
    found = list(read_rollouts(folder.path))
    lines = sum(len(path.read_text().splitlines()) for path in folder.path.glob("rollouts-*.jsonl"))
    assert lines == len(found)
    return {rollout.id: rollout for rollout in found}


def same_outcome(one: StageFolder, other: StageFolder) -> None:
    """Asserts that two runs cannot be told apart: metrics, rollouts, weights, result."""
    for name in ("train", "eval"):
        assert read_metrics(one, name) == read_metrics(other, name)
    assert rollouts_of(one) == rollouts_of(other)
    assert one.result() == other.result()
    weights = "artifacts/model/model.safetensors"
    assert (one.path / weights).read_bytes() == (other.path / weights).read_bytes()


def test_every_rollout_and_metric_is_written(undisturbed: StageFolder, inputs: list[Path]) -> None:
    rollouts = rollouts_of(undisturbed)
    train = [each for each in rollouts.values() if each.split == "train"]
    tests = [each for each in rollouts.values() if each.split == "test"]
    assert sorted({each.step for each in train}) == [0, 1, 2, 3]
    assert len(train) == 4 * 6 * 2
    assert sorted({each.step for each in tests}) == [0, 2, 4]
    assert len(tests) == 3 * 2 * 2
    one = train[0]
    assert one.id == rollout_id(undisturbed.key, "train", one.step, one.problem_id, one.sample)
    for step, values in read_metrics(undisturbed, "train").items():
        rewards = [each.reward for each in train if each.step == step if each.reward is not None]
        assert values["reward"] == pytest.approx(sum(rewards) / len(rewards))
        wanted = {"kl", "entropy", "length", "truncation_rate", "format_rate", "accuracy", "verification", "updated"}
        assert wanted <= set(values)
    assert any(values["updated"] for values in read_metrics(undisturbed, "train").values())
    assert sorted(read_metrics(undisturbed, "eval")) == [0, 2, 4]
    assert sorted(read_metrics(undisturbed, "speed")) == [0, 1, 2, 3]


def test_the_result_says_how_it_went_and_on_how_much(undisturbed: StageFolder) -> None:
    result = undisturbed.result()
    assert result is not None
    train, tests = read_metrics(undisturbed, "train"), read_metrics(undisturbed, "eval")
    assert (result["steps"], result["rollouts"]) == (4, 48)
    assert (result["reward_first"], result["reward_last"]) == (train[0]["reward"], train[3]["reward"])
    assert (result["reward_steps"], result["reward_n"]) == (1, 12)
    assert (result["accuracy_before"], result["accuracy_after"]) == (tests[0]["accuracy"], tests[4]["accuracy"])
    assert result["accuracy_n"] == 4
    progress = undisturbed.progress()
    assert progress is not None
    assert (progress.done, progress.total, progress.unit) == (4, 4, "steps")
    assert {"reward", "accuracy"} <= set(progress.values)


def test_the_model_can_be_taken_up_by_the_next_stage(undisturbed: StageFolder, inputs: list[Path]) -> None:
    folder = run_alone(
        "sample",
        {"samples": 3, "batch": 4, "sampling": {"max_new_tokens": 24}},
        undisturbed.path.parent / "sample",
        [inputs[0], undisturbed.path],
    )
    rollouts = rollouts_of(folder)
    assert len(rollouts) == 6
    assert {each.step for each in rollouts.values()} == {4}
    assert {each.split for each in rollouts.values()} == {"test"}
    result = folder.result()
    assert result is not None
    assert result["n"] == 6
    assert result["accuracy"] == sum(bool(each.correct) for each in rollouts.values()) / 6


class Killed(BaseException):
    """Nothing in a stage catches this."""


def die_in(monkeypatch: pytest.MonkeyPatch, owner: Any, name: str, call: int, *, after: bool) -> None:
    """Makes the n-th call of a method (from 0) the stage's last."""
    method: Callable[..., Any] = getattr(owner, name)
    calls = iter(range(1_000_000))

    def dying(*args: Any, **kwargs: Any) -> Any:
        last = next(calls) == call
        if last and not after:
            raise Killed
        found = method(*args, **kwargs)
        if last:
            raise Killed
        return found

    monkeypatch.setattr(owner, name, dying)


@pytest.mark.parametrize(
    ("owner", "name", "call", "after"),
    [
        (PPOTrainer, "update", 0, False),
        (PPOTrainer, "update", 1, True),
        (PPOTrainer, "update", 2, False),
        (PPOTrainer, "update", 3, True),
        (PPOLoop, "_evaluate", 0, True),
        (PPOLoop, "_evaluate", 4, False),
        (TrainingCheckpoint, "save", 0, False),
        (TrainingCheckpoint, "save", 1, True),
    ],
)
def test_killed_anywhere_and_continued_it_is_the_same_run(
    owner: Any,
    name: str,
    call: int,
    after: bool,
    inputs: list[Path],
    undisturbed: StageFolder,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    with monkeypatch.context() as patch:
        die_in(patch, owner, name, call, after=after)
        with pytest.raises(Killed):
            run_alone("ppo", PPO, tmp_path / "ppo", inputs)
    torch.rand(3)  # a new process would not have this generator's state either
    folder = StageFolder(tmp_path / "ppo")
    assert folder.result() is None
    run_stage(folder)
    same_outcome(folder, undisturbed)


def test_a_checkpoint_of_any_step_leads_to_the_same_end(
    inputs: list[Path], undisturbed: StageFolder, tmp_path: Path
) -> None:
    every_step = run_alone("ppo", PPO | {"checkpoint_every": 1, "keep_checkpoints": 9}, tmp_path / "ppo", inputs)
    same_outcome(every_step, undisturbed)
    for step, path in every_step.checkpoints()[:-1]:
        again = tmp_path / f"from-{step}"
        (again / "checkpoints").mkdir(parents=True)
        shutil.copytree(path, again / "checkpoints" / path.name)
        shutil.copy(every_step.path / "stage.json", again)
        for name, length in read_json(path / "manifest.json")["streams"].items():
            (again / name).write_bytes((every_step.path / name).read_bytes()[:length])
        assert sorted(read_metrics(StageFolder(again), "train")) == list(range(step))
        run_stage(StageFolder(again))
        same_outcome(StageFolder(again), undisturbed)


def test_a_stop_saves_a_checkpoint_and_is_continued(
    inputs: list[Path], undisturbed: StageFolder, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    update = PPOTrainer.update

    def stopping(self: PPOTrainer, batch: Any, step: int, *rest: Any, **named: Any) -> dict[str, float]:
        found = update(self, batch, step, *rest, **named)
        if step == 2:
            signal.raise_signal(signal.SIGTERM)
        return found

    with monkeypatch.context() as patch:
        patch.setattr(PPOTrainer, "update", stopping)
        with stop_signals(), pytest.raises(Interrupted, match="SIGTERM"):
            run_alone("ppo", PPO, tmp_path / "ppo", inputs)
    folder = StageFolder(tmp_path / "ppo")
    assert [step for step, _ in folder.checkpoints()] == [2, 3]
    run_stage(folder)
    same_outcome(folder, undisturbed)


def until_checkpoint(inputs: list[Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> StageFolder:
    """A run killed at its last step, with checkpoints of steps 1, 2 and 3."""
    with monkeypatch.context() as patch:
        die_in(patch, PPOTrainer, "update", 3, after=False)
        with pytest.raises(Killed):
            run_alone("ppo", PPO | {"checkpoint_every": 1, "keep_checkpoints": 9}, tmp_path / "ppo", inputs)
    return StageFolder(tmp_path / "ppo")


@pytest.mark.parametrize("damage", ["truncated", "missing", "flipped", "garbled", "no manifest"])
def test_a_damaged_checkpoint_is_named_and_the_one_before_is_used(
    damage: str,
    inputs: list[Path],
    undisturbed: StageFolder,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    folder = until_checkpoint(inputs, tmp_path, monkeypatch)
    path = folder.path / "checkpoints" / "step-000003"
    critic = path / "critic.pt"
    if damage == "truncated":
        critic.write_bytes(critic.read_bytes()[:-100])
    elif damage == "missing":
        critic.unlink()
    elif damage == "flipped":
        data = bytearray(critic.read_bytes())
        data[len(data) // 2] ^= 1
        critic.write_bytes(data)
    elif damage == "garbled":
        critic.write_bytes(bytes(critic.stat().st_size))
    else:
        (path / "manifest.json").unlink()
    run_stage(folder)
    said = capsys.readouterr().err
    assert "warning: checkpoint step-000003 is damaged" in said
    assert "weights_only" not in said
    same_outcome(folder, undisturbed)


@pytest.mark.parametrize("name", ["metrics-train-001.jsonl", "rollouts-train-001.jsonl"])
def test_a_stream_that_was_cut_leads_back_to_a_checkpoint_it_reaches(
    name: str,
    inputs: list[Path],
    undisturbed: StageFolder,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    folder = until_checkpoint(inputs, tmp_path, monkeypatch)
    manifest = read_json(folder.path / "checkpoints" / "step-000002" / "manifest.json")
    os.truncate(folder.path / name, manifest["streams"][name] + 7)
    run_stage(folder)
    assert f"checkpoint step-000003 is damaged and passed over: the stream file {name}" in capsys.readouterr().err
    assert read_metrics(folder, "train") == read_metrics(undisturbed, "train")
    assert {rollout.id for rollout in read_rollouts(folder.path)} == set(rollouts_of(undisturbed))
    assert folder.result() == undisturbed.result()


@pytest.mark.parametrize("family", ["metrics", "rollouts"])
def test_a_stage_whose_records_were_deleted_while_it_ran_is_not_done(
    family: str, inputs: list[Path], undisturbed: StageFolder, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    update = PPOTrainer.update

    def deleting(self: PPOTrainer, batch: Any, step: int, *rest: Any, **named: Any) -> dict[str, float]:
        if step == 2:
            (tmp_path / "ppo" / f"{family}-train-001.jsonl").unlink()
        return update(self, batch, step, *rest, **named)

    config = PPO | {"checkpoint_every": 1, "keep_checkpoints": 9}
    with monkeypatch.context() as patch:
        patch.setattr(PPOTrainer, "update", deleting)
        with pytest.raises(StageFailed, match=f"{family}-train-001.jsonl was deleted or cut while"):
            run_alone("ppo", config, tmp_path / "ppo", inputs)
    folder = StageFolder(tmp_path / "ppo")
    assert folder.result() is None
    run_stage(folder)
    assert set(rollouts_of(folder)) == set(rollouts_of(undisturbed))
    assert folder.result() == undisturbed.result()


def test_the_result_counts_what_is_on_the_disk(undisturbed: StageFolder, tmp_path: Path) -> None:
    shutil.copytree(undisturbed.path, tmp_path / "ppo")
    folder = StageFolder(tmp_path / "ppo")
    config = PPOConfig.model_validate(folder.info().config)
    assert summarise_training(folder, config, 48)["rollouts"] == 48
    path = folder.path / "rollouts-train-001.jsonl"
    path.write_text("".join(path.read_text().splitlines(keepends=True)[:36]))
    with pytest.raises(StageFailed, match="metrics of 4 of 4 steps and 36 of 48 rollouts"):
        summarise_training(folder, config, 48)


def test_a_checkpoint_of_another_config_is_refused_and_left_alone(
    inputs: list[Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = until_checkpoint(inputs, tmp_path, monkeypatch)
    shutil.copytree(folder.path / "checkpoints", tmp_path / "other" / "checkpoints")
    with pytest.raises(InvalidInput, match="a checkpoint of another stage") as caught:
        run_alone("ppo", PPO | {"seed": 1}, tmp_path / "other", inputs)
    assert folder.key in caught.value.summary
    assert len(StageFolder(tmp_path / "other").checkpoints()) == 3


def test_equal_rewards_are_said_in_the_result(inputs: list[Path], tmp_path: Path) -> None:
    # With room for one token there is never an answer, so every reward is 0.
    config = PPO | {"steps": 1, "critic_warmup_steps": 0, "sampling": {"max_new_tokens": 1}}
    folder = run_alone("ppo", config, tmp_path / "ppo", inputs)
    result = folder.result()
    assert result is not None
    assert result["warnings"] == ["equal_rewards: all rewards were equal, so the policy was not updated, in 1 steps: 0"]
    weights = "artifacts/model/model.safetensors"
    from safetensors.torch import load_file

    before, after = load_file(inputs[1] / weights), load_file(folder.path / weights)
    assert all(torch.equal(before[name], after[name]) for name in before)


@pytest.mark.parametrize(("reward", "wanted"), [("random", {0.0, 1.0}), ("format", {0.0})])
def test_a_spurious_reward_is_trained_on_and_the_exact_one_kept(
    reward: str, wanted: set[float], inputs: list[Path], tmp_path: Path
) -> None:
    config = PPO | {"steps": 1, "reward": reward, "sampling": {"max_new_tokens": 1}}
    folder = run_alone("ppo", config, tmp_path / "ppo", inputs)
    rollouts = list(rollouts_of(folder).values())
    train = [each for each in rollouts if each.split == "train"]
    assert {each.reward for each in train} == wanted
    assert {(each.meta["trained_on"], each.meta["exact_reward"]) for each in train} == {(reward, 0.0)}
    assert {(each.reward, "trained_on" in each.meta) for each in rollouts if each.split == "test"} == {(0.0, False)}
    again = run_alone("ppo", config, tmp_path / "again", inputs)
    assert {each.id: each.reward for each in train} == {
        each.id: each.reward for each in rollouts_of(again).values() if each.split == "train"
    }


def test_completions_longer_than_the_model_are_refused_before_anything_runs(inputs: list[Path], tmp_path: Path) -> None:
    with pytest.raises(InvalidInput, match="do not fit into 96 positions"):
        run_alone("ppo", PPO | {"sampling": {"max_new_tokens": 90}}, tmp_path / "ppo", inputs)
    assert not list((tmp_path / "ppo").glob("*.jsonl"))


def test_a_second_process_is_refused(inputs: list[Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("WORLD_SIZE", "2")
    with pytest.raises(InvalidInput, match="runs in one process, but 2 were started") as caught:
        run_alone("ppo", PPO, tmp_path / "ppo", inputs)
    assert "sharding to fsdp" in caught.value.remedy


def test_each_pass_over_the_problems_takes_every_one_once(inputs: list[Path], undisturbed: StageFolder) -> None:
    from pipelines.tasks.loading import load_problems
    from pipelines.training.core.configs import PPOConfig

    problems = load_problems(StageFolder(inputs[0])).train
    config = PPOConfig(prompts=4)
    asked = [problem for step in range(3) for problem in problems_of_step(problems, step, config)]
    by_id = itemgetter("id")
    assert sorted(asked[:6], key=by_id) == sorted(problems, key=by_id)
    assert sorted(asked[6:], key=by_id) == sorted(problems, key=by_id)
    assert asked[:6] != asked[6:]


@pytest.mark.slow
def test_killed_with_minus_nine_in_its_own_process_it_is_the_same_run(
    inputs: list[Path], undisturbed: StageFolder, tmp_path: Path
) -> None:
    folder = StageFolder(tmp_path / "ppo")
    folder.path.mkdir()
    shutil.copy(undisturbed.path / "stage.json", folder.path)
    command = [sys.executable, "-m", "pipelines", "--folder", str(folder.path)]
    first = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    deadline = time.monotonic() + 120
    while len(read_metrics(folder, "train")) < 3 and time.monotonic() < deadline and first.poll() is None:
        time.sleep(0.01)  # polls another process's files: there is nothing to wait on
    first.kill()
    assert first.wait() == -signal.SIGKILL
    assert folder.result() is None
    done = subprocess.run(command, capture_output=True, text=True, check=True)
    assert json.loads(done.stdout) == undisturbed.result()
    same_outcome(folder, undisturbed)


def test_the_judge_stage_does_not_judge_again_what_ppo_judged(
    undisturbed: StageFolder, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from pipelines.behaviors.judges.rules import judge as rules

    alone = tmp_path / "alone"
    shutil.copytree(undisturbed.path, alone, ignore=shutil.ignore_patterns("verdicts"))
    judged_anew = run_alone("judge", {}, tmp_path / "anew", [alone])

    def judging(*given: object) -> None:
        raise AssertionError("a text that PPO judged was judged again")

    monkeypatch.setattr(rules, "find_behaviors", judging)
    reused = run_alone("judge", {}, tmp_path / "reused", [undisturbed.path])
    written = [(stage.path / "judgements-judge-001.jsonl").read_bytes() for stage in (judged_anew, reused)]
    assert written[0] == written[1]
    assert written[0].count(b"\n") == 4 * len(rollouts_of(undisturbed))
