"""Telling processes apart, and what an attempt left behind."""

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from jobs.attempts.agent_link import ensure_agent, notify_agent, socket_address
from jobs.attempts.agent_lock import AgentLock, AgentRecord
from jobs.attempts.clock import clock_skew_s
from jobs.attempts.processes import (
    attempt_processes,
    descendants,
    end_attempt_processes,
    is_alive,
    is_stopped,
    process_id,
    send_signal,
    wait_for_exit,
)
from jobs.attempts.tickets import LocalQueue, Placement, Ticket
from jobs.formatting import format_duration
from jobs.local.slots import Machine, Slots, cpu_count, gpu_names
from jobs.state.failures import last_error
from jobs.workspace import Workspace
from pipelines.files import write_json
from pipelines.text_safety import one_line
from tests.jobs.lab import wait_for

NAP = "import time; time.sleep(600)"


def test_a_zombie_is_not_alive() -> None:
    with subprocess.Popen([sys.executable, "-c", NAP]) as child:
        identity = process_id(child.pid)
        assert is_alive(identity) is True
        child.kill()
        wait_for(lambda: is_alive(identity) is False)  # not reaped yet
        assert Path(f"/proc/{child.pid}").exists()


def test_the_same_number_at_another_time_boot_host_or_container_is_another_process() -> None:
    me = process_id()
    assert is_alive(me) is True
    assert is_alive(me.model_copy(update={"started": me.started - 1})) is False
    assert is_alive(me.model_copy(update={"boot_id": "other"})) is False
    assert is_alive(me.model_copy(update={"host": "other"})) is None
    assert is_alive(me.model_copy(update={"pid_namespace": "pid:[1]"})) is None


def test_a_stopped_process_is_told() -> None:
    with subprocess.Popen([sys.executable, "-c", NAP]) as child:
        identity = process_id(child.pid)
        assert not is_stopped(identity)
        child.send_signal(signal.SIGSTOP)
        wait_for(lambda: is_stopped(identity))
        child.kill()


def test_the_family_is_found_through_double_forks_and_symbolic_links(tmp_path: Path) -> None:
    real = tmp_path / "real"
    real.mkdir()
    (tmp_path / "link").symlink_to(real)
    fork = "if not os.fork():\n    os.setsid()\n    if not os.fork():\n        time.sleep(600)\n    os._exit(0)"
    escape = f"import os, time\n{fork}"
    environment = {**os.environ, "COGTUI_ATTEMPT": str(real)}
    subprocess.run([sys.executable, "-c", escape], env=environment, check=True)
    members = wait_for(lambda: attempt_processes(tmp_path / "link"))
    assert len(members) == 1
    assert members[0] not in descendants(os.getpid())
    assert attempt_processes(tmp_path) == []
    assert end_attempt_processes(tmp_path / "link", grace_s=2.0)
    assert attempt_processes(real) == []


def test_waiting_for_an_end_does_not_poll() -> None:
    with subprocess.Popen([sys.executable, "-c", NAP]) as child:
        assert wait_for_exit([child.pid, 2**22 - 3], 0.05) == [child.pid]
        spent = time.process_time()
        assert wait_for_exit([child.pid], 0.5) == [child.pid]
        assert time.process_time() - spent < 0.1
        child.kill()
        assert wait_for_exit([child.pid], 10.0) == []
        send_signal([2**22 - 3], signal.SIGTERM)  # nobody there: no error


def test_an_agent_of_another_machine_is_believed_while_it_gives_signs(tmp_path: Path) -> None:
    workspace = Workspace(tmp_path)
    lock = AgentLock(workspace)
    other = process_id().model_copy(update={"host": "elsewhere"})
    (tmp_path / "queue").mkdir()
    record = tmp_path / "queue/agent.json"
    write_json(record, AgentRecord(process=other, since=1.0).model_dump(mode="json"))
    assert not lock.acquire(0.0)
    old = time.time() - 1000
    os.utime(record, (old, old))
    assert lock.acquire(0.0)
    second = AgentLock(workspace)
    assert not second.acquire(0.0)
    lock.release()
    assert not record.exists()
    assert second.acquire(0.0)
    second.release()


def test_nobody_is_told_and_nothing_started_where_nothing_waits(tmp_path: Path) -> None:
    workspace = Workspace(tmp_path)
    assert not notify_agent(workspace)
    ensure_agent(workspace)
    assert not (tmp_path / "queue").exists()
    assert socket_address(workspace) == socket_address(Workspace(tmp_path / "." / "sub" / ".."))


def test_the_queue_keeps_its_order_and_passes_over_damage(tmp_path: Path) -> None:
    queue = LocalQueue(Workspace(tmp_path))
    assert queue.tickets() == []
    queue.add([Ticket(key=f"k{number}", number=1) for number in range(20)])
    queue.add([Ticket(key="later", number=1)])
    (tmp_path / "queue" / f"{5:020d}-bad-001.json").write_text("{")
    (tmp_path / "queue/agent.log").touch()
    assert [found.ticket.key for found in queue.tickets()] == [*(f"k{number}" for number in range(20)), "later"]


def test_slots_are_given_in_order_without_starving_the_large() -> None:
    worker = process_id()
    machine = Machine(4, ("0", "1"))
    slots = Slots(machine, [Placement(worker=worker, cpus=1, gpus=("1",))])
    assert slots.take(Ticket(key="a", number=1, gpus=2)) == "waits for 2 free GPUs"
    assert slots.take(Ticket(key="b", number=1, gpus=1)) == "waits for 1 free GPU"  # it would starve the one before
    assert slots.take(Ticket(key="c", number=1, cpus=2)) == (2, ())
    assert slots.take(Ticket(key="d", number=1, cpus=2)) == "waits for 2 free CPU cores"
    assert slots.take(Ticket(key="e", number=1)) == "waits for 1 free CPU core"
    alone = Slots(machine, [])
    assert alone.take(Ticket(key="f", number=1, cpus=64)) == (4, ())  # more than there are: all of them


def test_what_the_machine_has() -> None:
    assert cpu_count({"COGTUI_LOCAL_CPUS": "3"}) == 3
    assert cpu_count({}) == len(os.sched_getaffinity(0))
    assert gpu_names({"COGTUI_LOCAL_GPUS": "0, 2", "CUDA_VISIBLE_DEVICES": "7"}) == ("0", "2")
    assert gpu_names({"CUDA_VISIBLE_DEVICES": "GPU-1,3"}) == ("GPU-1", "3")
    assert gpu_names({"CUDA_VISIBLE_DEVICES": ""}) == ()
    assert gpu_names({"CUDA_VISIBLE_DEVICES": "-1"}) == ()


def test_the_clock_of_a_local_disk_is_ours(tmp_path: Path) -> None:
    skew = clock_skew_s(tmp_path)
    assert skew is not None
    assert abs(skew) < 1.0
    assert list(tmp_path.iterdir()) == []
    assert clock_skew_s(tmp_path / "missing") is None


TRACEBACK = "Traceback (most recent call last):\n  File x, line 1\n    f()\n"
LAUNCHER = f"{TRACEBACK}torch.distributed.elastic.multiprocessing.errors.ChildFailedError: \n"
FATAL = "Fatal Python error: Segmentation fault"


@pytest.mark.parametrize(
    ("log", "said"),
    [
        ("", ""),
        ("fine\n\n  \n", "fine"),
        ("cogtui: start 2 on x\n", ""),
        (f"{TRACEBACK}KeyError: 'a'\n", "KeyError: 'a'"),
        (f"{TRACEBACK}KeyError: 1\n\nDuring handling\n\n{TRACEBACK}ValueError: 2\nlater noise\n", "ValueError: 2"),
        (f"{TRACEBACK}RuntimeError: the cause\n{LAUNCHER}", "RuntimeError: the cause"),
        (f"{FATAL}\n\nCurrent thread 0x1:\n  File x\n", FATAL),
    ],
)
def test_the_last_error_of_a_log(tmp_path: Path, log: str, said: str) -> None:
    (tmp_path / "stderr.log").write_text(log)
    assert last_error(tmp_path / "stderr.log") == said


def test_one_line_is_short_and_harmless() -> None:
    assert one_line("a\n b\t\x1b[31mc") == "a b ␛[31mc"
    assert len(one_line("x" * 5000)) == 300


def test_spans_of_time_as_people_read_them() -> None:
    assert [format_duration(seconds) for seconds in (0.4, 119, 120, 7199, 7200, 172800 + 3600)] == [
        "0 s", "119 s", "2 min", "119 min", "2 h 00 min", "2 d 01 h",
    ]  # fmt: skip
