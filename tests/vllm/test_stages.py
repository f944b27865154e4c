"""Stages that sample with vLLM: the same completions however many processes share the work, and as by transformers."""

import os
import signal
import time
from pathlib import Path
from typing import Any

import pytest

from jobs.attempts.processes import descendants
from pipelines.folder import StageFolder
from pipelines.streams import read_rollouts
from pipelines.training.core.metrics import read_metrics
from tests.training.helpers import run_alone
from tests.vllm.lab import COLOCATED, TRAINING, completions, run_stage_alone, start_stage

pytestmark = [pytest.mark.vllm, pytest.mark.slow]
GREEDY = {"temperature": 0, "max_new_tokens": 20}
SHARDED = {"sharding": "fsdp"}


@pytest.fixture(scope="module")
def alone(inputs: list[Path], tmp_path_factory: pytest.TempPathFactory) -> StageFolder:
    """PPO in one process."""
    return run_stage_alone("ppo", TRAINING, tmp_path_factory.mktemp("alone") / "ppo", inputs)


def by_transformers(folder: StageFolder, inputs: list[Path], out: Path) -> dict[tuple[str, int], str]:
    """Greedy completions of the model that a stage trained, by the row-dropping loop."""
    sampled = run_alone("sample", {"samples": 1, "sampling": GREEDY}, out, [inputs[0], folder.path])
    return {(each.problem_id, each.sample): each.completion for each in read_rollouts(sampled.path)}


def check_mismatch(folder: StageFolder) -> None:
    """The log-probabilities of vLLM are those of the trainer's forward pass, after every update of the weights."""
    metrics = read_metrics(folder, "train")
    assert len(metrics) == TRAINING["steps"]
    for step, values in metrics.items():
        assert values["sampler_log_ratio_max"] < 1e-5, step
    assert metrics[1]["updated"] == 1, "the weights of the last step are not those of the files"


def check_distinct(folder: StageFolder) -> None:
    """Samples of a problem differ, those that several processes drew among them."""
    for step in range(TRAINING["steps"]):
        texts: dict[str, list[str]] = {}
        for (problem, _), text in completions(folder, "train", step).items():
            texts.setdefault(problem, []).append(text)
        assert all(len(set(each)) == len(each) for each in texts.values())


def test_an_update_reaches_vllm_to_the_last_bits(alone: StageFolder, inputs: list[Path], tmp_path: Path) -> None:
    check_mismatch(alone)
    check_distinct(alone)
    last = completions(alone, "test", TRAINING["steps"])
    assert len(last) == 2
    assert by_transformers(alone, inputs, tmp_path / "sample") == last
    result = alone.result()
    assert result is not None
    assert result["dtype"] == "float32"


@pytest.mark.parametrize("width", [1, 2])
def test_two_processes_sample_what_one_does(width: int, alone: StageFolder, inputs: list[Path], tmp_path: Path) -> None:
    config = TRAINING | SHARDED | {"engine": {"name": "vllm", "vllm": {"tensor_parallel": width}}}
    folder = run_stage_alone("ppo", config, tmp_path / "ppo", inputs, processes=2)
    check_mismatch(folder)
    check_distinct(folder)
    assert completions(folder, "test", 0) == completions(alone, "test", 0), "greedy"
    assert completions(folder, "train", 0) == completions(alone, "train", 0), "a seed decides what is sampled"


def test_grpo_corrects_and_evaluates_as_it_is_told(alone: StageFolder, inputs: list[Path], tmp_path: Path) -> None:
    config = TRAINING | {"algorithm": "grpo"}
    folder = run_stage_alone("ppo", config, tmp_path / "grpo", inputs)
    check_distinct(folder)
    assert completions(folder, "test", 0) == completions(alone, "test", 0)
    assert completions(folder, "train", 0) == completions(alone, "train", 0)
    assert all(values["sampler_log_ratio_max"] < 1e-5 for values in read_metrics(folder, "train").values())


def test_a_sample_is_that_of_its_seed_and_greedy_that_of_transformers(inputs: list[Path], tmp_path: Path) -> None:
    config: dict[str, Any] = {"samples": 2, "sampling": {"max_new_tokens": 24}} | COLOCATED
    folders = [run_stage_alone("sample", config | {"seed": seed}, tmp_path / f"{seed}", inputs) for seed in (0, 1)]
    drawn = [completions(folder, "test", 0) for folder in folders]
    assert drawn[0].keys() == drawn[1].keys()
    assert all(drawn[0][place] != drawn[1][place] for place in drawn[0])
    greedy = {"samples": 1, "sampling": GREEDY}
    ours = run_alone("sample", greedy, tmp_path / "ours", inputs)
    theirs = run_stage_alone("sample", greedy | COLOCATED, tmp_path / "theirs", inputs)
    assert completions(theirs, "test", 0) == completions(ours, "test", 0)


@pytest.mark.parametrize("processes", [1, 2])
def test_a_server_that_is_killed_is_replaced_and_nothing_is_drawn_twice(
    processes: int, alone: StageFolder, inputs: list[Path], tmp_path: Path
) -> None:
    config = TRAINING | {"engine": {"name": "vllm", "vllm": {"mode": "server"}}, "steps": 6}
    config |= SHARDED if processes == 2 else {}
    with start_stage("ppo", config, tmp_path / "ppo", inputs, processes=processes) as process:
        folder = StageFolder(tmp_path / "ppo")
        until = time.monotonic() + 600
        while not read_metrics(folder, "train") and process.poll() is None and time.monotonic() < until:
            time.sleep(0.1)
        servers = [pid for pid in descendants(process.pid) if "vllm_worker" in Path(f"/proc/{pid}/cmdline").read_text()]
        assert servers, "the stage has a server of its own"
        os.kill(servers[0], signal.SIGKILL)
        _, log = process.communicate(timeout=900)
    assert process.returncode == 0, log[-6000:]
    assert "the vLLM server does not answer; it is started again" in log
    ids = [each.id for each in read_rollouts(folder.path)]
    assert len(ids) == len(set(ids))
    assert completions(folder, "train", 0) == completions(alone, "train", 0)
    assert completions(folder, "test", 0) == completions(alone, "test", 0)
    assert all(values["sampler_log_ratio_max"] < 1e-5 for values in read_metrics(folder, "train").values())
    assert not Path(f"/proc/{servers[0]}").exists()
