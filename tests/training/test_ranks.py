"""Two processes under torchrun on the CPU: the same updates as one, resume to the bit, one writer, one end."""

import json
import os
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import pytest

from pipelines.files import read_json, write_json
from pipelines.folder import StageFolder
from pipelines.run import prepare, run_stage
from pipelines.streams import read_rollouts, stream_files
from pipelines.training.core.metrics import read_metrics
from tests.training.helpers import PPO, run_alone

pytestmark = [pytest.mark.train, pytest.mark.slow]
PROBE = Path(__file__).with_name("ranks_probe.py")


def torchrun(out: Path, inputs: list[Path], **variables: str) -> "subprocess.CompletedProcess[str]":
    """Runs the probe in two processes."""
    launcher = [sys.executable, "-m", "torch.distributed.run", "--standalone", "--nproc-per-node=2"]
    return subprocess.run(
        [*launcher, str(PROBE), str(out), *map(str, inputs)],
        env=os.environ | {"OMP_NUM_THREADS": "1", "PYTHONPATH": str(PROBE.parents[2])} | variables,
        capture_output=True,
        text=True,
        timeout=600,
        check=False,
    )


@pytest.fixture(scope="module")
def out(inputs: list[Path], tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Where the probe left what it found."""
    path = tmp_path_factory.mktemp("ranks")
    write_json(path / "stage.json", {})
    (path / "saved").mkdir()
    write_json(path / "saved" / "stage.json", {"kind": "ppo", "key": "ppo-000000000000", "config": {}})
    done = torchrun(path, inputs)
    assert done.returncode == 0, done.stderr[-4000:]
    assert "view tensor" not in done.stderr
    return path


@pytest.fixture(scope="module")
def found(out: Path) -> dict[str, Any]:
    """The probe's comparisons."""
    return dict(json.loads((out / "found.json").read_text()))


def test_two_processes_make_the_update_of_one(found: dict[str, Any]) -> None:
    updates = found["updates"]
    # Twelve AdamW steps at a rate of 1e-2. Sums in another order differ in the last bits, and AdamW's first steps are
    # near the sign of the gradient: the distance stays at a hundredth of one step.
    assert updates["policy"] < 1e-4
    assert updates["critic"] < 1e-4
    assert updates["reference"] == 0
    assert updates["moved"] > 1e-2
    for together, alone in updates["metrics"]:
        assert together == pytest.approx(alone, rel=1e-3, abs=1e-4)


def test_each_process_holds_its_share(found: dict[str, Any]) -> None:
    assert found["updates"]["share"] == pytest.approx(0.5, abs=0.02)


def test_generation_sees_the_whole_weights(found: dict[str, Any]) -> None:
    assert found["updates"]["copy"] == 0
    assert found["updates"]["view"] == 0


def test_a_sharded_checkpoint_gives_everything_back(found: dict[str, Any], out: Path) -> None:
    resumed = found["resumed"]
    assert resumed["step"] == 1
    assert (resumed["policy"], resumed["critic"]) == (0, 0)
    assert resumed["metrics"][0] == resumed["metrics"][1]
    assert [step for step, _ in StageFolder(out / "saved").checkpoints()] == [1]


def test_the_stage_draws_and_learns_what_one_process_does(out: Path, undisturbed: StageFolder) -> None:
    folder = StageFolder(out / "undisturbed")
    together, alone = read_metrics(folder, "train"), read_metrics(undisturbed, "train")
    assert together.keys() == alone.keys()
    for step in (0, 1):
        assert together[step] == pytest.approx(alone[step], rel=1e-3, abs=1e-4)
    texts = [
        {(each.split, each.step, each.problem_id, each.sample): each.completion for each in read_rollouts(path)}
        for path in (folder.path, undisturbed.path)
    ]
    first = [{place: text for place, text in each.items() if place[1] <= 1} for each in texts]
    assert first[0] == first[1]
    result = folder.result()
    assert result is not None
    assert result["processes"] == 2


def test_only_one_process_writes(out: Path) -> None:
    for name in ("undisturbed", "killed", "stopped"):
        folder = StageFolder(out / name)
        lines = [line for path in stream_files(folder.path, "rollouts") for line in path.read_text().splitlines()]
        assert len(lines) == len({json.loads(line)["id"] for line in lines}) == 4 * 6 * 2 + 3 * 2 * 2
    files = [path.name for path in stream_files(out / "undisturbed", "metrics")]
    assert files == ["metrics-eval-001.jsonl", "metrics-speed-001.jsonl", "metrics-train-001.jsonl"]


def test_a_stop_of_one_process_in_the_middle_of_a_step_stops_both_there(out: Path) -> None:
    assert json.loads((out / "found.json").read_text())["stopped"]["step"] == 2


@pytest.mark.parametrize("disturbed", ["killed", "stopped"])
def test_killed_or_stopped_and_continued_it_is_the_same_run(disturbed: str, out: Path) -> None:
    one, other = StageFolder(out / "undisturbed"), StageFolder(out / disturbed)
    for name in ("train", "eval"):
        assert read_metrics(one, name) == read_metrics(other, name)
    assert list(read_rollouts(one.path)) == list(read_rollouts(other.path))
    assert one.result() == other.result()
    weights = "artifacts/model/model.safetensors"
    assert (one.path / weights).read_bytes() == (other.path / weights).read_bytes()


def test_one_process_goes_on_from_the_checkpoint_of_two(out: Path, tmp_path: Path) -> None:
    """Another number of processes, and shards that were damaged meanwhile."""
    whole = StageFolder(out / "undisturbed")
    again = StageFolder(tmp_path / "again")
    shutil.copytree(whole.path, again.path, ignore=shutil.ignore_patterns("*.jsonl", "result.json", "artifacts"))
    assert [step for step, _ in again.checkpoints()] == [2, 4]
    shard = next((again.path / "checkpoints" / "step-000004").glob("*.distcp"))
    shard.write_bytes(bytes(shard.stat().st_size))
    streams = read_json(again.path / "checkpoints" / "step-000002" / "manifest.json")["streams"]
    for name, length in streams.items():
        (again.path / name).write_bytes((whole.path / name).read_bytes()[:length])
    assert sorted(read_metrics(again, "train")) == [0, 1]
    run_stage(again)
    assert sorted(read_metrics(again, "train")) == [0, 1, 2, 3]
    assert read_metrics(again, "train")[2] == pytest.approx(read_metrics(whole, "train")[2], rel=1e-3, abs=1e-4)


def test_the_model_can_be_read_by_the_next_stage(out: Path, inputs: list[Path], tmp_path: Path) -> None:
    config = {"samples": 1, "sampling": {"max_new_tokens": 24}}
    result = run_alone("sample", config, tmp_path / "sample", [inputs[0], out / "undisturbed"]).result()
    assert result is not None
    assert result["n"] == 2


def test_a_process_that_fails_ends_all(inputs: list[Path], tmp_path: Path) -> None:
    done = torchrun(tmp_path, inputs, PROBE="fail")
    assert done.returncode != 0
    assert "the second process failed" in done.stderr
    folder = StageFolder(tmp_path / "failed")
    assert folder.result() is None
    assert sorted(read_metrics(folder, "train")) == [0]


def test_a_stop_that_reaches_every_process_saves_once_and_is_continued(inputs: list[Path], tmp_path: Path) -> None:
    """As Slurm does it: SIGUSR2 to all processes of the job, torchrun included."""
    from jobs.attempts.processes import descendants, process_id, send_signal
    from jobs.attempts.records import JobRecord
    from jobs.worker.command import child_environment, stage_command

    config = PPO | {"sharding": "fsdp", "steps": 12, "checkpoint_every": 12, "evaluation": {"every": 0}}
    folder = prepare("ppo", config, tmp_path / "ppo", inputs, base=tmp_path)
    attempt = folder.path / "attempts" / "001"
    attempt.mkdir(parents=True)
    resources = {"processes": 2, "cpus": 2}
    submitter = process_id()
    job = JobRecord(
        key=folder.key, number=1, cluster="local", name="x", submitted=0.0, submitter=submitter, resources=resources
    )
    command = stage_command(job, folder.path)
    environment = child_environment(job, attempt) | {"PYTHONPATH": str(PROBE.parents[2])}
    with subprocess.Popen(command, env=environment, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE) as first:
        deadline = time.monotonic() + 300
        while len(read_metrics(folder, "train")) < 2 and time.monotonic() < deadline and first.poll() is None:
            time.sleep(0.05)  # polls another process's files: there is nothing to wait on
        send_signal([first.pid, *descendants(first.pid)], signal.SIGUSR2)
        _, said = first.communicate(timeout=120)
    assert first.returncode == 1, said
    assert json.loads((attempt / "error.json").read_text())["code"] == "interrupted"
    ((step, _),) = folder.checkpoints()
    assert 2 <= step < 12
    done = subprocess.run(command, env=environment, capture_output=True, text=True, timeout=600, check=False)
    assert done.returncode == 0, done.stderr[-3000:]
    (result,) = [
        line for line in done.stdout.splitlines() if line.startswith("{")
    ]  # of one process, under its progress
    assert json.loads(result)["processes"] == 2
    assert sorted(read_metrics(folder, "train")) == list(range(12))
