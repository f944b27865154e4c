"""Nothing that counts is lost with the power, and a checkpoint is used only if it and the streams are whole."""

import os
from collections.abc import Callable
from pathlib import Path

import pytest

from pipelines.files import read_json, write_json
from pipelines.folder import ATTEMPT_VARIABLE, RESUMED, StageFolder
from pipelines.manifest import MANIFEST
from pipelines.records import Metric
from tests.power_loss import PowerLoss


def metrics(*steps: int) -> list[Metric]:
    return [Metric(step=step, values={"loss": 1.0 / (step + 1)}) for step in steps]


def train(folder: StageFolder, *steps: int) -> None:
    """Writes the metrics of steps with a checkpoint after each, as a training stage does."""
    with folder.stream("metrics", "train") as stream:
        for step in steps:
            stream.append(metrics(step))
            with folder.new_checkpoint(step + 1) as path:
                (path / "weights").write_bytes(bytes([step]) * 1000)


def test_a_small_file_survives_a_loss_of_power(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    root = tmp_path / "stage"
    root.mkdir()
    disk = PowerLoss(root, monkeypatch)
    write_json(root / "stage.json", {"key": "a"})
    write_json(root / "progress.json", {"done": 1}, durable=False)
    left = disk.crash(tmp_path / "left")
    assert read_json(left / "stage.json") == {"key": "a"}
    assert not (left / "progress.json").exists()  # the simulation loses what was not synced


@pytest.mark.parametrize("moment", ["at a checkpoint", "at the result"])
def test_streams_reach_every_checkpoint_and_the_result_after_a_loss_of_power(
    moment: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = StageFolder(tmp_path / "stage")
    folder.path.mkdir()
    disk = PowerLoss(folder.path, monkeypatch)
    train(folder, 0, 1)
    with folder.stream("metrics", "train") as stream:
        stream.append(metrics(2))  # after the last checkpoint
    if moment == "at the result":
        (folder.artifacts / "model").mkdir()
        (folder.artifacts / "model" / "weights").write_bytes(b"w" * 500)
        folder.write_result({"steps": 3})
    left = StageFolder(disk.crash(tmp_path / "left"))
    kept = sum(path.read_bytes().count(b"\n") for path in left.path.glob("metrics-*.jsonl"))
    assert left.usable_checkpoint() == (2, left.path / "checkpoints" / "step-000002")
    if moment == "at a checkpoint":
        assert (left.result(), kept) == (None, 2)
    else:
        assert (left.result(), kept) == ({"steps": 3}, 3)
        assert (left.artifacts / "model" / "weights").read_bytes() == b"w" * 500


def _flip(folder: StageFolder) -> None:
    weights = folder.checkpoints()[-1][1] / "weights"
    data = bytearray(weights.read_bytes())
    data[500] ^= 1
    weights.write_bytes(data)


def _garbage(folder: StageFolder) -> None:
    weights = folder.checkpoints()[-1][1] / "weights"
    weights.write_bytes(os.urandom(weights.stat().st_size))


def _cut(folder: StageFolder) -> None:
    (stream,) = folder.path.glob("metrics-train-*.jsonl")
    os.truncate(stream, stream.stat().st_size - 5)


def _manifest(folder: StageFolder) -> None:
    path = folder.checkpoints()[-1][1] / MANIFEST
    path.write_text("[" * 100_000)


@pytest.mark.parametrize(
    ("damage", "said"),
    [
        (_flip, "weights was changed since it was written"),
        (_garbage, "weights was changed since it was written"),
        (_cut, "the stream file metrics-train-001.jsonl holds"),
        (_manifest, "manifest.json cannot be read"),
    ],
)
def test_a_damaged_checkpoint_or_stream_leads_to_the_one_before(
    damage: Callable[[StageFolder], None],
    said: str,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    folder = StageFolder(tmp_path)
    attempt = tmp_path / "attempt"
    attempt.mkdir()
    monkeypatch.setenv(ATTEMPT_VARIABLE, str(attempt))
    train(folder, 0, 1, 2)
    damage(folder)
    found = folder.usable_checkpoint()
    assert found is not None
    assert found[0] == 2
    err = capsys.readouterr().err
    assert f"warning: checkpoint step-000003 is damaged and passed over: {said}" in err
    assert read_json(attempt / RESUMED) == {"step": 2, "checkpoints": 3}


def test_without_its_streams_a_stage_starts_from_the_beginning(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    folder = StageFolder(tmp_path)
    monkeypatch.setenv(ATTEMPT_VARIABLE, str(tmp_path))
    train(folder, 0, 1)
    (tmp_path / "metrics-train-001.jsonl").unlink()
    assert folder.usable_checkpoint() is None
    assert capsys.readouterr().err.count("the stream file metrics-train-001.jsonl is missing") == 2
    assert read_json(tmp_path / RESUMED) == {"step": 0, "checkpoints": 2}


def test_a_manifest_of_the_first_version_is_still_read(tmp_path: Path) -> None:
    folder = StageFolder(tmp_path)
    train(folder, 0, 1)
    path = folder.checkpoints()[-1][1]
    write_json(path / MANIFEST, {"weights": 1000})
    assert folder.usable_checkpoint() == (2, path)
    write_json(path / MANIFEST, {"weights": 999})
    assert folder.usable_checkpoint() == folder.checkpoints()[0]
