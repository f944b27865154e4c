"""A stop in the middle of a PPO step is honoured before the next micro-batch; the resumed run is the same run."""

import signal
from pathlib import Path
from typing import Any

import pytest

from pipelines.errors import Interrupted, InvalidInput
from pipelines.files import read_json
from pipelines.folder import StageFolder
from pipelines.run import run_stage
from pipelines.training.core import checkpoint
from pipelines.training.core.checkpoint import UNFINISHED, load_tensors
from pipelines.training.ppo.trainer import PPOTrainer
from pipelines.training.rl.step_runner import RLStepRunner
from tests.processes import stop_signals
from tests.training.helpers import PPO, run_alone
from tests.training.test_ppo_stage import same_outcome

pytestmark = pytest.mark.train

CONFIG: dict[str, Any] = PPO | {"micro_batch": 2}
"""A step is 6 micro-batches of estimates, then 3 of each of 2 optimizer steps."""


@pytest.fixture(scope="module")
def whole(inputs: list[Path], tmp_path_factory: pytest.TempPathFactory) -> StageFolder:
    """The run that nothing stopped."""
    return run_alone("ppo", CONFIG, tmp_path_factory.mktemp("whole") / "ppo", inputs)


def stop_in(patch: pytest.MonkeyPatch, owner: Any, name: str, at: int) -> list[int]:
    """Makes the stop signal arrive in the n-th call of a method, from 0; returns the list that counts the calls."""
    method = getattr(owner, name)
    calls: list[int] = []

    def stopping(*given: Any, **named: Any) -> Any:
        calls.append(len(calls))
        if calls[-1] == at:
            signal.raise_signal(signal.SIGUSR2)
        return method(*given, **named)

    patch.setattr(owner, name, stopping)
    return calls


@pytest.mark.parametrize(
    ("name", "at", "optimizer_steps"),
    [
        # step 0 has 6 passes that update the critic alone; step 2 begins with pass 12
        ("_backward", 12, 0),  # the first micro-batch of an update: the weights are those before the step
        ("_backward", 14, 1),  # the last one before an optimizer step, which is taken
        ("_backward", 15, 1),  # the first one after it
        ("_backward", 16, 1),
    ],
)
def test_a_stopped_update_continues_after_its_last_optimizer_step(
    name: str,
    at: int,
    optimizer_steps: int,
    inputs: list[Path],
    whole: StageFolder,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    with monkeypatch.context() as patch, stop_signals():
        calls = stop_in(patch, PPOTrainer, name, at)
        with pytest.raises(Interrupted, match="SIGUSR2"):
            run_alone("ppo", CONFIG, tmp_path / "ppo", inputs)
    assert len(calls) == at + 1  # no further micro-batch
    folder = StageFolder(tmp_path / "ppo")
    assert folder.checkpoints()[-1][0] == 2
    found = load_tensors(folder.checkpoints()[-1][1] / UNFINISHED)
    assert found["optimizer_steps"] == optimizer_steps
    # Written twice a second at most, so that it may be behind.
    assert 0 <= read_json(folder.path / "progress.json")["done"] <= 2 + optimizer_steps / 2
    with monkeypatch.context() as patch:
        again = stop_in(patch, PPOTrainer, name, -1)
        run_stage(folder)
    assert len(again) == 12 - 3 * optimizer_steps
    same_outcome(folder, whole)


def test_a_stop_among_the_estimates_keeps_the_rollouts(
    inputs: list[Path], whole: StageFolder, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with monkeypatch.context() as patch, stop_signals():
        stop_in(patch, RLStepRunner, "sample_rollouts", 1)
        with pytest.raises(Interrupted):
            run_alone("ppo", CONFIG, tmp_path / "ppo", inputs)
    folder = StageFolder(tmp_path / "ppo")
    assert [step for step, _ in folder.checkpoints()] == [1]
    sampled = stop_in(monkeypatch, RLStepRunner, "sample_rollouts", -1)
    run_stage(folder)
    assert len(sampled) == 2  # those of steps 2 and 3
    same_outcome(folder, whole)


def test_stopped_again_and_again_it_is_the_same_run(
    inputs: list[Path], whole: StageFolder, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Every start is stopped after four backward passes: one optimizer step, and the gradients of another."""
    stops = 0
    while True:
        with monkeypatch.context() as patch, stop_signals():
            stop_in(patch, PPOTrainer, "_backward", 3)
            try:
                run_alone("ppo", CONFIG, tmp_path / "ppo", inputs)
            except Interrupted:
                stops += 1
                continue
            break
    assert stops == 7  # 24 passes in all, of which every start keeps three
    same_outcome(StageFolder(tmp_path / "ppo"), whole)


def test_a_stop_before_anything_was_learnt_writes_no_checkpoint(
    inputs: list[Path], whole: StageFolder, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with monkeypatch.context() as patch, stop_signals():
        stop_in(patch, RLStepRunner, "sample_rollouts", 0)
        with pytest.raises(Interrupted):
            run_alone("ppo", CONFIG, tmp_path / "ppo", inputs)
    folder = StageFolder(tmp_path / "ppo")
    assert folder.checkpoints() == []
    run_stage(folder)
    same_outcome(folder, whole)


def test_a_version_that_knows_no_unfinished_steps_refuses_one(
    inputs: list[Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with monkeypatch.context() as patch, stop_signals():
        stop_in(patch, PPOTrainer, "_backward", 14)
        with pytest.raises(Interrupted):
            run_alone("ppo", CONFIG, tmp_path / "ppo", inputs)
    monkeypatch.setattr(checkpoint, "LAYOUT_WITHIN_STEP", checkpoint.LAYOUT)
    with pytest.raises(InvalidInput, match="layout 2"):
        run_stage(StageFolder(tmp_path / "ppo"))
