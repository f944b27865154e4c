"""engine = "verl", as far as it goes without verl: runs of a stand-in that writes verl's files, stop, resume, refusals.

What verl itself says of settings, data, reward and dumps is tested in `tests/verl`, in verl's environment.
"""

import os
import shutil
import signal
import sys
import threading
from pathlib import Path
from typing import Any

import pytest
from pydantic import ValidationError

from pipelines import signals
from pipelines.errors import CogtuiError, Interrupted, InvalidInput, MissingRequirement, StageFailed
from pipelines.folder import StageFolder
from pipelines.records import rollout_id
from pipelines.run import prepare, run_stage
from pipelines.streams import read_rollouts
from pipelines.tasks.loading import load_problems
from pipelines.training.core.configs import PPOConfig, SampleConfig
from pipelines.training.core.metrics import read_metrics
from pipelines.training.rl.step_runner import problems_of_step
from pipelines.training.verl import data, stage
from pipelines.training.verl.dumps import read_dump
from pipelines.training.verl.metrics import MetricsFollower
from pipelines.training.verl.process import VerlInterpreter, ray_address, ray_arguments
from pipelines.training.verl.settings import VerlMachines, mini_batch_prompts, require_supported
from tests.training import verl_stand_in
from tests.training.helpers import run_alone

pytestmark = pytest.mark.train

CONFIG: dict[str, Any] = {
    "steps": 4,
    "prompts": 6,
    "rollouts": 2,
    "mini_batch": 6,
    "sampling": {"max_new_tokens": 24},
    "max_prompt_tokens": 32,
    "evaluation": {"every": 2},
    "checkpoint_every": 2,
}


@pytest.fixture
def interpreter(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> str:
    """An executable that stands in for verl's python, on a machine with two GPUs."""
    import torch

    monkeypatch.setattr(torch.cuda, "device_count", lambda: 2)
    path = tmp_path / "python"
    path.write_text(f'#!/bin/sh\nexec "{sys.executable}" "{verl_stand_in.__file__}" "$@"\n')
    path.chmod(0o755)
    return str(path)


def verl(interpreter: str, **changes: Any) -> dict[str, Any]:
    return CONFIG | {"engine": {"name": "verl", "verl": {"python": interpreter}}} | changes


def records(folder: StageFolder) -> tuple[object, ...]:
    return sorted(read_rollouts(folder.path), key=lambda one: one.id), *(
        read_metrics(folder, name) for name in ("train", "eval", "verl")
    )


@pytest.fixture
def whole(inputs: list[Path], interpreter: str, tmp_path: Path) -> StageFolder:
    """A run that nothing disturbed."""
    return run_alone("ppo", verl(interpreter), tmp_path / "whole", inputs)


def test_what_verl_did_becomes_the_records_and_the_model_of_the_stage(whole: StageFolder, inputs: list[Path]) -> None:
    loaded = load_problems(StageFolder(inputs[0]))
    rollouts = list(read_rollouts(whole.path))
    train = [one for one in rollouts if one.split == "train"]
    assert len(train) == 4 * 6 * 2
    for step in range(4):
        wanted = {str(problem["id"]) for problem in problems_of_step(loaded.train, step, PPOConfig(**CONFIG))}
        assert {one.problem_id for one in train if one.step == step} == wanted
    one = train[0]
    assert one.id == rollout_id(whole.key, "train", one.step, one.problem_id, one.sample)
    assert one.reward == loaded.task.score(one.completion, one.problem).reward
    assert {one.reward for one in train} == {0.1, 1.0}  # right ones among them
    assert sorted(read_metrics(whole, "eval")) == [0, 2, 4]
    metrics = read_metrics(whole, "train")
    assert sorted(metrics) == [0, 1, 2, 3]
    assert metrics[0]["policy_loss"] == 0.5
    assert "value_loss" not in metrics[0]  # verl logged NaN: missing, not 0
    assert {"reward", "verification"} <= set(metrics[0])
    assert read_metrics(whole, "speed")[0] == {"generate_s": 2.0}
    result = whole.result()
    assert result is not None
    assert (result["steps"], result["rollouts"], result["engine"], result["processes"]) == (4, 48, "verl", 2)
    model = whole.path / "artifacts" / "model"
    assert (model / "model.safetensors").read_text() == "4"
    assert (model / "tokenizer_config.json").read_text() != "{}"  # that of the initial policy, not the merger's
    step, path = whole.checkpoints()[-1]
    assert (step, (path / "global_step_4" / "data.pt").read_bytes()) == (4, b"dataloader")


def test_after_a_failure_it_continues_from_the_checkpoint_to_the_same_records(
    whole: StageFolder, inputs: list[Path], interpreter: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = prepare("ppo", verl(interpreter), tmp_path / "died", inputs, base=tmp_path)
    monkeypatch.setenv(verl_stand_in.DIE_AT, "4")
    with pytest.raises(StageFailed, match="verl ended with code 1 at step 3") as caught:
        run_stage(folder)
    assert "stand-in: out of memory" in caught.value.detail
    assert [step for step, _ in folder.checkpoints()] == [2]
    monkeypatch.delenv(verl_stand_in.DIE_AT)
    run_stage(folder)
    overrides = (folder.path / "verl" / "002" / "overrides.txt").read_text()
    assert f"trainer.resume_from_path='{folder.path}/checkpoints/step-000002/global_step_2'" in overrides
    assert folder.key == whole.key
    assert records(folder) == records(whole)
    assert folder.result() == whole.result()


def test_a_stop_ends_verl_and_the_stage_can_continue(
    inputs: list[Path], interpreter: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = prepare("ppo", verl(interpreter), tmp_path / "stopped", inputs, base=tmp_path)
    monkeypatch.setenv(verl_stand_in.WAIT_AT, "4")

    def stop_once_waiting() -> None:
        while len(folder.checkpoints()) < 1:
            ended.wait(0.05)
        os.kill(os.getpid(), signal.SIGUSR2)

    ended = threading.Event()
    before = [(number, signal.getsignal(number)) for number in signals.STOP_SIGNALS]
    signals.install()
    try:
        threading.Thread(target=stop_once_waiting, daemon=True).start()
        with pytest.raises(Interrupted, match="SIGUSR2"):
            run_stage(folder)
    finally:
        for number, handler in before:
            signal.signal(number, handler)
        signals._stop.requested = False
    monkeypatch.delenv(verl_stand_in.WAIT_AT)
    assert run_stage(folder)["steps"] == 4


def test_a_checkpoint_of_another_number_of_gpus_is_refused(
    inputs: list[Path], interpreter: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    import torch

    folder = prepare("ppo", verl(interpreter), tmp_path / "fewer", inputs, base=tmp_path)
    monkeypatch.setenv(verl_stand_in.DIE_AT, "4")
    with pytest.raises(StageFailed):
        run_stage(folder)
    monkeypatch.setattr(torch.cuda, "device_count", lambda: 1)
    with pytest.raises(InvalidInput, match="written by 2 GPUs, and this attempt has 1"):
        run_stage(folder)


def test_a_reward_that_fails_in_verl_ends_the_stage_with_its_report(
    inputs: list[Path], interpreter: str, tmp_path: Path
) -> None:
    problems = tmp_path / "problems"
    shutil.copytree(inputs[0], problems)
    folder = prepare("ppo", verl(interpreter), tmp_path / "reward", [problems, inputs[1]], base=tmp_path)
    task = (problems / "artifacts" / "task.json").read_text()

    # The task file breaks after the stage has read it: only verl's process meets that.
    def breaking(*given: Any, **named: Any) -> None:
        write(*given, **named)
        (problems / "artifacts" / "task.json").write_text("[]")

    write = data.write_problem_tables
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(stage, "write_problem_tables", breaking)
        with pytest.raises(StageFailed, match="the reward failed in verl") as caught:
            run_stage(folder)
    assert "is not a valid task file" in caught.value.detail
    (problems / "artifacts" / "task.json").write_text(task)
    assert run_stage(folder)["steps"] == 4


def test_an_interpreter_without_verl_is_named(inputs: list[Path], tmp_path: Path) -> None:
    for python, said in ((sys.executable, "lacks one of verl"), (str(tmp_path / "none"), "cannot start")):
        folder = prepare("ppo", verl(python), tmp_path / said.split()[0], inputs, base=tmp_path)
        with pytest.raises(MissingRequirement, match=said):
            run_stage(folder)


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({"whiten": False}, "whiten"),
        ({"mini_batch": 5}, "multiple of rollouts 2"),
        ({"mini_batch": 8}, "12 rollouts a step"),
        ({"reward": "random"}, "reward random"),
        ({"evaluation": {"sampling": {"max_new_tokens": 9}}}, "one length"),
    ],
)
def test_what_verl_cannot_do_is_refused_by_name(change: dict[str, Any], said: str) -> None:
    with pytest.raises(InvalidInput) as caught:
        require_supported(PPOConfig.model_validate(CONFIG | {"engine": "verl"} | change))
    assert said in caught.value.detail
    require_supported(PPOConfig.model_validate(CONFIG | {"engine": "verl"}))


def test_the_name_alone_is_enough_and_only_ppo_takes_it() -> None:
    config = PPOConfig.model_validate(CONFIG | {"engine": "verl"})
    assert config.engine.name == "verl"
    assert "verl" not in PPOConfig.model_validate(CONFIG).key_fields()["engine"]  # keys of before are unchanged
    moved = PPOConfig.model_validate(verl("/elsewhere/python"))
    assert moved.key_fields() == config.key_fields()
    with pytest.raises(ValidationError, match="engine verl trains with PPO"):
        SampleConfig.model_validate({"engine": "verl"})


def test_the_published_mini_batch_is_32_prompts() -> None:
    assert mini_batch_prompts(PPOConfig()) == 32


def test_a_dump_in_the_making_is_not_read(tmp_path: Path) -> None:
    path = tmp_path / "1.jsonl"
    whole = '{"input": "a", "output": "b", "gts": "p", "score": 1.0, "step": 1, "uid": "u_0_0"}\n'
    path.write_text(whole * 2)
    assert len(read_dump(path)) == 2
    for text in (whole + whole[:30], whole + "[]\n", whole + '{"output": "b"}\n'):
        path.write_text(text)
        with pytest.raises(ValueError, match=r"."):
            read_dump(path)


def test_metrics_are_read_line_by_line_and_only_when_complete(tmp_path: Path) -> None:
    path = tmp_path / "metrics.jsonl"
    follower = MetricsFollower(path)
    assert follower.read() == []
    path.write_text('{"step": 1, "data": {"actor/entropy": 0.5, "x": null, "text": "a", "flag": true}}\n{"step": 2')
    (one,) = follower.read()
    assert (one.step, one.values, one.learnt()) == (1, {"actor/entropy": 0.5}, {"entropy": 0.5})
    with path.open("a") as stream:
        stream.write(', "data": {}}\nno JSON\n{"step": 3, "data": {}}\n')
    assert [each.step for each in follower.read()] == [2, 3]


def test_ray_is_started_on_each_node_at_the_address_of_the_first() -> None:
    address = ray_address("192.0.2.7", "4242")
    assert address == "192.0.2.7:6621"
    head = ray_arguments(address, is_head=True, cpus=16, gpus=8)
    assert {"--head", "--node-ip-address=192.0.2.7", "--port=6621", "--num-gpus=8", "--block"} <= set(head)
    other = ray_arguments(address, is_head=False, cpus=16, gpus=8)
    assert "--address=192.0.2.7:6621" in other
    assert "--head" not in other


def test_a_failing_stage_names_no_other_error_than_its_own(
    inputs: list[Path], interpreter: str, tmp_path: Path
) -> None:
    config = verl(interpreter, max_prompt_tokens=2)
    with pytest.raises(CogtuiError, match="more than max_prompt_tokens = 2"):
        run_alone("ppo", config, tmp_path / "long", inputs)


def test_the_other_node_lends_itself_until_the_first_has_written_the_result(
    inputs: list[Path], interpreter: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Two nodes on one machine: the other one starts first, and retries until the first answers."""
    folder = prepare("ppo", verl(interpreter), tmp_path / "two", inputs, base=tmp_path)
    (folder.path / "verl").mkdir()
    monkeypatch.setenv(verl_stand_in.RAY, str(tmp_path / "ray"))
    for name, value in (("RANK", "0"), ("WORLD_SIZE", "2"), ("MASTER_ADDR", "localhost")):
        monkeypatch.setenv(name, value)
    lent: list[bool] = []

    def lend() -> None:
        own = VerlInterpreter(interpreter, folder.path / "verl" / "output-1.log")
        stage._lend_node(folder, own, VerlMachines(2, 2, 64))
        lent.append(folder.result() is not None)

    other = threading.Thread(target=lend, daemon=True)
    other.start()
    result = run_stage(folder)
    other.join(60)
    assert lent == [True]
    assert (result["steps"], result["processes"]) == (4, 4)
    assert "nobody answers" in (folder.path / "verl" / "output-1.log").read_text()
    overrides = (folder.path / "verl" / "001" / "overrides.txt").read_text()
    assert "trainer.nnodes=2\n" in overrides
    assert "num_cpus" not in overrides  # verl joins the Ray of the nodes
