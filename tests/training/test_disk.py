"""Free disk is checked before the first step; a disk that fills during a checkpoint costs no earlier one."""

import contextlib
import errno
import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any, NamedTuple

import pytest
import torch
from safetensors.torch import load_file

from pipelines.errors import MissingRequirement, StageFailed
from pipelines.folder import StageFolder
from pipelines.run import run_stage
from pipelines.training.core.disk import checkpoint_bytes, require_disk
from pipelines.training.ppo.trainer import PPOTrainer
from tests.training.helpers import PPO, run_alone
from tests.training.test_ppo_stage import same_outcome

pytestmark = pytest.mark.train


class Usage(NamedTuple):
    """What `shutil.disk_usage` returns."""

    total: int
    used: int
    free: int


def test_the_estimate_is_what_a_checkpoint_takes(
    undisturbed: StageFolder, inputs: list[Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked: list[int] = []
    monkeypatch.setattr(
        "pipelines.training.stages.ppo.require_disk",
        lambda folder, networks, model, **named: asked.append(checkpoint_bytes(networks)),
    )
    run_alone("ppo", PPO | {"steps": 1}, tmp_path / "ppo", inputs)
    _, path = undisturbed.checkpoints()[-1]
    tensors = sum(file.stat().st_size for file in path.glob("*.pt") if file.stem not in ("random",))
    assert asked[0] == pytest.approx(tensors, rel=0.15)  # names and headers, which do not grow with the model


@pytest.mark.parametrize(
    ("keep", "there", "free", "fits"),
    [(2, 0, 3 * 12_000 + 4_000, True), (2, 0, 3 * 12_000 + 3_999, False), (2, 2, 12_000 + 4_000, True),
     (2, 2, 12_000 + 3_999, False), (1, 0, 2 * 12_000 + 4_000, True)],
)  # fmt: skip
def test_there_must_be_room_for_what_stays_and_one_more(
    keep: int, there: int, free: int, fits: bool, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    network = torch.nn.Linear(1000, 1, bias=False)
    for step in range(there):
        (tmp_path / "checkpoints" / f"step-{step:06d}").mkdir(parents=True)
    monkeypatch.setattr(shutil, "disk_usage", lambda path: Usage(10**9, 10**9 - free, free))
    problem = contextlib.nullcontext() if fits else pytest.raises(MissingRequirement)
    with problem as caught:
        require_disk(StageFolder(tmp_path), [network], network, keep=keep, save_dtype="float32")
    if caught is not None:
        assert f"has {free / 1000:.3g} kB free" in caught.value.summary
        assert "1,000 parameters" in caught.value.detail
        assert "cogtui prune" in caught.value.remedy
        assert ("keep_checkpoints = 1" in caught.value.remedy) == (keep > 1)


@pytest.mark.parametrize("algorithm", ["ppo", "grpo"])
def test_a_disk_without_room_is_named_before_anything_is_sampled(
    algorithm: str, inputs: list[Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(shutil, "disk_usage", lambda path: Usage(10**6, 10**6 - 10_000, 10_000))
    config = PPO | {"algorithm": algorithm, "kl": 0.0}
    with pytest.raises(MissingRequirement, match=r"has 10 kB free, and the stage needs \d+ (kB|MB) there"):
        run_alone("ppo", config, tmp_path / "ppo", inputs)
    assert not list((tmp_path / "ppo").glob("rollouts-*"))


@pytest.fixture
def tiny_disk(tmp_path: Path) -> Iterator[Path]:
    """A file system of two megabytes."""
    place = tmp_path / "disk"
    place.mkdir()
    mount = ["mount", "-t", "tmpfs", "-o", "size=2m", "tmpfs", str(place)]
    if subprocess.run(mount, capture_output=True, check=False).returncode != 0:
        pytest.skip("a small file system cannot be mounted without root")
    yield place
    subprocess.run(["umount", "-l", str(place)], check=True)


def test_a_disk_that_fills_during_a_checkpoint_keeps_the_last_one_and_names_the_cause(
    tiny_disk: Path, inputs: list[Path], undisturbed: StageFolder, monkeypatch: pytest.MonkeyPatch
) -> None:
    update = PPOTrainer.update

    def filling(self: PPOTrainer, batch: Any, step: int, *rest: Any, **named: Any) -> Any:
        if step == 3:
            free = shutil.disk_usage(tiny_disk).free
            (tiny_disk / "filler").write_bytes(bytes(free - 100_000))  # a checkpoint takes three times that
        return update(self, batch, step, *rest, **named)

    with monkeypatch.context() as patch:
        patch.setattr(PPOTrainer, "update", filling)
        with pytest.raises(StageFailed, match="the disk is full") as caught:
            run_alone("ppo", PPO, tiny_disk / "ppo", inputs)
    assert isinstance(caught.value.__cause__, OSError | RuntimeError)
    if isinstance(caught.value.__cause__, OSError):
        assert caught.value.__cause__.errno == errno.ENOSPC
    folder = StageFolder(tiny_disk / "ppo")
    assert [each.name for each in (folder.path / "checkpoints").iterdir()] == ["step-000002"]  # nothing half written
    (tiny_disk / "filler").unlink()
    run_stage(folder)
    same_outcome(folder, undisturbed)


def test_the_final_model_may_be_written_in_bfloat16(
    undisturbed: StageFolder, inputs: list[Path], tmp_path: Path
) -> None:
    folder = run_alone("ppo", PPO | {"save_dtype": "bfloat16"}, tmp_path / "ppo", inputs)
    assert folder.key != undisturbed.key
    weights = "artifacts/model/model.safetensors"
    rounded, exact = (load_file(each.path / weights) for each in (folder, undisturbed))
    assert {tensor.dtype for tensor in rounded.values()} == {torch.bfloat16}
    assert all(torch.equal(rounded[name], exact[name].to(torch.bfloat16)) for name in exact)
    assert (folder.path / weights).stat().st_size < 0.6 * (undisturbed.path / weights).stat().st_size
    sampled = run_alone(
        "sample", {"sampling": {"max_new_tokens": 24}}, tmp_path / "sample", [inputs[0], folder.path]
    ).result()
    assert sampled is not None
    assert sampled["n"] == 2
