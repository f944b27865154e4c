"""The order of the queue, how long stages still take, what they use, and what Slurm says of its nodes."""

import os
import subprocess
import sys
import time
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from types import ModuleType, SimpleNamespace
from typing import Any

import pytest

from jobs.attempts.gpu_use import GpuSampler, GpuUse, gpus_of, mean_percent
from jobs.attempts.processes import host_name
from jobs.slurm.client import SlurmCommandError
from jobs.slurm.cluster import cpu_seconds, partition_nodes, pending_jobs, step_use
from jobs.state.durations import elapsed_seconds, mean_seconds, seconds_left
from jobs.state.queue_order import queue_order
from jobs.state.types import AttemptState, RunRecord, StageState, StateName
from jobs.state.usage import UsageReader
from jobs.worker.resource_monitor import ResourceMonitor
from pipelines.files import write_json
from pipelines.folder import Progress

NOW = 1_000_000.0


def state(key: str, name: StateName, *, job: str = "1", cluster: str = "local", submitted: float = 0.0,
          started: float | None = None, ended: float | None = None, progress: Progress | None = None,
          path: str = "", pid: int | None = None, host: str = "elsewhere", resumed: int | None = None,
          ) -> StageState:  # fmt: skip
    runs = () if started is None else (RunRecord(1, host, started, ended, None, None, "", resumed),)
    attempt = AttemptState(
        1, path, cluster, name, "process", job, submitted, host, pid, None, None, "", "", runs=runs
    )  # fmt: skip
    return StageState(key, key.partition("-")[0], "", {}, name, "process", 0.0, progress=progress, attempts=(attempt,))


def test_the_queue_is_in_the_order_it_will_run() -> None:
    states = {
        one.key: one
        for one in (
            state("ppo-9", "queued", submitted=1),
            state("ppo-1", "running", started=20),
            state("prime-2", "running", started=10),
            state("ppo-2", "queued", submitted=2),
            state("judge-1", "queued", submitted=3),
            state("eval-1", "queued", submitted=4),
            state("done-1", "done"),
            state("bad-1", "failed"),
            state("loop-1", "queued", submitted=9),
            state("loop-2", "queued", submitted=9),
        )
    }
    inputs = {
        "ppo-2": ("prime-2", "done-1"), "judge-1": ("ppo-2",), "eval-1": ("done-1",), "loop-1": ("loop-2",),
        "loop-2": ("loop-1",),
    }  # fmt: skip
    tickets = ["judge-1", "ppo-2", "eval-1", "ppo-9", "loop-1", "loop-2"]
    places = queue_order(states, inputs, tickets)
    order = [key for key in places if not key.startswith("loop")]
    assert order == ["prime-2", "ppo-1", "ppo-2", "eval-1", "ppo-9", "judge-1"], "ready ones first, inputs before"
    assert set(places) == {*order, "loop-1", "loop-2"}, "a circle is listed too"
    assert [places[key].number for key in places] == list(range(1, 9))
    assert places["ppo-2"].after == places["prime-2"].number
    assert places["judge-1"].after == places["ppo-2"].number
    assert places["eval-1"].after is None
    chain = {f"s-{n:04d}": state(f"s-{n:04d}", "queued") for n in range(3000)}
    links = {f"s-{n:04d}": (f"s-{n - 1:04d}",) for n in range(1, 3000)}
    assert list(queue_order(dict(reversed(chain.items())), links)) == list(chain), "as long a chain as may be"


def test_a_stage_needed_by_two_others_runs_before_both() -> None:
    needed_by = {
        "judge": ("ppo", "sample"), "table": ("base", "judge"), "sample": ("ppo",), "ppo": ("base",), "base": (),
    }  # fmt: skip
    for n in range(60):  # other keys, so that sets of them have other orders
        links = {f"{key}-{n}": [f"{name}-{n}" for name in needed] for key, needed in needed_by.items()}
        places = queue_order({key: state(key, "queued") for key in links}, links, list(links))
        assert [key.split("-")[0] for key in places] == ["base", "ppo", "sample", "judge", "table"]
        assert [place.after for place in places.values()] == [None, 1, 2, 3, 4]


def test_slurm_jobs_go_by_priority_then_by_number() -> None:
    states = {
        f"a-{job}": state(f"a-{job}", "queued", job=job, cluster="slurm", submitted=5) for job in ("9", "10", "11")
    }
    assert list(queue_order(states, {})) == ["a-9", "a-10", "a-11"]
    assert list(queue_order(states, {}, (), {"10": 3, "11": 900, "9": 3})) == ["a-11", "a-9", "a-10"]


def test_time_left_is_by_the_own_pace_then_by_that_of_finished_stages() -> None:
    finished = [state("ppo-1", "done", started=0, ended=100), state("ppo-2", "done", started=0, ended=300)]
    means = mean_seconds([*finished, state("ppo-3", "failed", started=0, ended=9)])
    assert means == {"ppo": 200}
    half = state("ppo-4", "running", started=NOW - 60, progress=Progress(done=50, total=100, unit="steps", time=NOW))
    assert seconds_left(half, means, NOW) == 60
    assert elapsed_seconds(half, NOW) == 60
    resumed = state(
        "ppo-4", "running", started=NOW - 60, resumed=40, progress=Progress(done=50, total=100, unit="steps", time=NOW)
    )
    assert seconds_left(resumed, means, NOW) == pytest.approx(300), "ten steps in this minute, fifty to go"
    fresh = state("ppo-4", "running", started=NOW - 5, progress=Progress(done=1, total=100, unit="steps", time=NOW))
    assert seconds_left(fresh, means, NOW) == pytest.approx(198)
    assert seconds_left(fresh, {}, NOW) is None, "nothing is known, so nothing is guessed"
    assert seconds_left(state("ppo-5", "queued"), means, NOW) is None
    assert elapsed_seconds(state("ppo-5", "queued"), NOW) is None
    assert elapsed_seconds(finished[1], NOW) == 300


@pytest.fixture
def busy(tmp_path: Path) -> Iterator[StageState]:
    """A stage whose process, with a child, uses two cores' worth of what it gets."""
    attempt = tmp_path / "stages/ppo-1/attempts/001"
    attempt.mkdir(parents=True)
    program = "import os\nos.fork()\nwhile True: pass"
    environment = {**os.environ, "COGTUI_ATTEMPT": str(attempt)}
    child = subprocess.Popen([sys.executable, "-c", program], env=environment, start_new_session=True)
    yield state("ppo-1", "running", path=str(attempt), pid=child.pid, host=host_name(), started=time.time())
    os.killpg(child.pid, 9)
    child.wait()


def test_a_stage_on_this_machine_is_measured_by_its_processes(busy: StageState) -> None:
    reader = UsageReader()
    deadline = time.monotonic() + 60
    use = None
    while time.monotonic() < deadline:
        use = reader.read([busy]).get("ppo-1")
        if use is not None and (use.cpu_percent or 0) > 20:
            break
        time.sleep(0.1)
    assert use is not None
    assert use.source == "processes"
    assert use.cpu_percent is not None
    assert 20 < use.cpu_percent < 250
    assert use.memory_mb is not None
    assert use.memory_mb > 2
    attempt = replace(busy.attempts[0], pid=os.getpid())
    assert reader.read([replace(busy, attempts=(attempt,))]) == {}, "another process has that id by now"


def test_a_stage_elsewhere_is_measured_by_its_heartbeats(tmp_path: Path) -> None:
    beat = {"cpu_s": 30.0, "time": NOW, "resident_mb": 512.0, "gpu_percent": 71.0, "gpu_mb": 9000.0}
    write_json(tmp_path / "heartbeat.json", beat)
    stage = state("ppo-1", "running", path=str(tmp_path), started=NOW - 60)
    reader = UsageReader()
    use = reader.read([stage])["ppo-1"]
    assert (use.cpu_percent, use.memory_mb, use.gpu_percent, use.source) == (50, 512, 71, "heartbeat")
    write_json(tmp_path / "heartbeat.json", {**beat, "cpu_s": 50.0, "time": NOW + 10})
    assert reader.read([stage])["ppo-1"].cpu_percent == 200
    assert reader.read([stage])["ppo-1"].cpu_percent == 200, "the same heartbeat says the same"
    for damaged in ("[]", "{", '{"cpu_s": "x", "time": true}', "\x00" * 40):
        (tmp_path / "heartbeat.json").write_text(damaged)
        assert reader.read([stage]) == {}


def fake_nvml() -> ModuleType:
    """Two GPUs, the second one in use by this process."""
    fake: Any = ModuleType("pynvml")
    fake.fails = False

    def init() -> None:
        if fake.fails:
            raise ValueError("driver not loaded")

    fake.NVMLError = ValueError
    fake.nvmlInit = init
    fake.nvmlDeviceGetCount = lambda: 2
    fake.nvmlDeviceGetHandleByIndex = lambda index: index
    fake.nvmlDeviceGetUUID = lambda index: f"GPU-aaaaaaaa-{index}".encode()
    fake.nvmlDeviceGetMemoryInfo = lambda index: SimpleNamespace(used=(index + 1) << 30, total=80 << 30)
    fake.nvmlDeviceGetUtilizationRates = lambda index: SimpleNamespace(gpu=10 + 60 * index)
    fake.nvmlDeviceGetComputeRunningProcesses = lambda index: [SimpleNamespace(pid=os.getpid())] if index else []
    module: ModuleType = fake
    return module


def test_gpus_are_read_beside_and_go_into_heartbeats(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    fake: Any = fake_nvml()
    monkeypatch.setitem(sys.modules, "pynvml", fake)
    monkeypatch.setattr("importlib.util.find_spec", lambda name: object())
    monkeypatch.delenv("CUDA_VISIBLE_DEVICES", raising=False)
    sampler = GpuSampler()
    assert sampler.read() == [], "nobody waits for the first answer"
    sampler.wait(10)
    assert [(gpu.number, gpu.percent, gpu.used_mb) for gpu in sampler.latest] == [(0, 10, 1024), (1, 70, 2048)]
    attempt = tmp_path / "stages/ppo-1/attempts/001"
    attempt.mkdir(parents=True)
    monitor = ResourceMonitor()
    assert "gpu_percent" not in monitor.sample([os.getpid()], attempt)
    monitor._gpus.wait(10)
    beat = monitor.sample([os.getpid()], attempt)
    assert (beat["gpu_percent"], beat["gpu_mb"]) == (70, 2048)
    fake.fails = True
    sampler.read()
    sampler.wait(10)
    assert sampler.read() == [], "a driver that fails is not asked again"


def test_the_gpus_of_a_container_are_those_it_can_see() -> None:
    gpus = [GpuUse(n, f"GPU-aaaaaaaa-{n}", 10.0 * n, 1, 2, frozenset({7} if n == 2 else ())) for n in range(4)]
    assert [gpu.number for gpu in gpus_of(gpus, [7], "0")] == [2]
    assert [gpu.number for gpu in gpus_of(gpus, [8], "1,3")] == [1, 3]
    assert [gpu.number for gpu in gpus_of(gpus, [8], "GPU-aaaaaaaa-3")] == [3]
    assert gpus_of(gpus, [8], None) == gpus_of(gpus, [8], "") == []
    assert mean_percent(gpus[1:3]) == 15
    assert mean_percent([]) is None


@pytest.fixture
def commands(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder of commands that come first."""
    folder = tmp_path / "bin"
    folder.mkdir()
    monkeypatch.setenv("PATH", f"{folder}{os.pathsep}{os.environ['PATH']}")
    return folder


def script(folder: Path, name: str, text: str) -> None:
    (folder / name).write_text(f"#!/bin/sh\n{text}\n")
    (folder / name).chmod(0o755)


def test_nodes_and_waiting_jobs_as_slurm_prints_them(commands: Path) -> None:
    script(commands, "sinfo", "printf 'gpu*|up|idle~|3\\ngpu*|up|mixed|2\\ngpu*|up|down*|1\\nold|down|drained|2\\n'")
    gpu, old = partition_nodes()
    assert (gpu.name, gpu.is_up, gpu.idle, gpu.mixed, gpu.other, gpu.total) == ("gpu", True, 3, 2, 1, 6)
    assert (old.name, old.is_up, old.other) == ("old", False, 2)
    script(commands, "squeue", "printf '7|120|2026-01-31T14:05:00|gpu\\n8_1|90|N/A|gpu\\n'")
    assert {job: (one.priority, one.start) for job, one in pending_jobs().items()} == {
        "7": (120, "2026-01-31T14:05:00"), "8_1": (90, ""),
    }  # fmt: skip
    for name, ask in (("sinfo", partition_nodes), ("squeue", pending_jobs)):
        script(commands, name, "echo nonsense")
        with pytest.raises(SlurmCommandError, match=f"cannot read the output of {name}"):
            ask()


def test_use_of_steps_as_sstat_prints_it(commands: Path) -> None:
    lines = [
        "7.batch|1|00:00:10|100M|cpu=00:00:10",
        "7.0|2|1-00:01:00.5|2.5G|cpu=1,gres/gpumem=100M,gres/gpuutil=71,mem=3",
        "7.extern|||0|",
    ]
    script(commands, "sstat", "cat <<'END'\n" + "\n".join(lines) + "\nEND")
    (job,) = step_use(["7"]).items()
    assert job[0] == "7"
    assert job[1].cpu_s == 10 + 2 * (86_460.5)
    assert (job[1].memory_mb, job[1].gpu_percent) == (2560, 71)
    assert step_use([]) == {}
    script(commands, "sstat", "echo '7.batch|1|00:00:00|0|cpu=00:00:00'")
    assert step_use(["7"]) == {}, "zeros of a cluster that samples nothing"
    assert (cpu_seconds("02:03"), cpu_seconds(""), cpu_seconds("x-y")) == (123, 0, 0)
