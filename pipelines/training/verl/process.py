"""The processes of verl: Ray on the nodes of the job, and `verl.trainer.main_ppo` on the first of them."""

import contextlib
import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Final

from pipelines.errors import Interrupted, MissingRequirement, StageFailed
from pipelines.signals import Stop

_RAY_PORT: Final = 6379
_STOP_S: Final = 30.0
"""Seconds between asking verl to end and killing it."""
_POLL_S: Final = 1.0
_JOIN_S: Final = 300.0
"""Seconds within which every node must have joined Ray."""


class VerlInterpreter:
    """verl's Python, in which nothing of this interpreter's environment is found.

    Args:
        python: path of the interpreter.
        log: file to which verl's output is appended.
    """

    def __init__(self, python: str | None, log: Path) -> None:
        self.python = sys.executable
        if python:  # not resolved: the `python` of a virtual environment is a link, and works only through it
            self.python = str(Path(python).expanduser().absolute()) if "/" in python else python
        self._log = log

    def require(self) -> None:
        """Check that verl can be imported.

        Raises:
            MissingRequirement: the interpreter or verl is missing.
        """
        probe = "import importlib.util, sys; sys.exit(any(importlib.util.find_spec(n) is None for n in sys.argv[1:]))"
        names = ("verl", "ray", "pydantic", "msgspec")
        try:
            done = subprocess.run([self.python, "-c", probe, *names], env=self._environment({}), check=False)
        except OSError as error:
            raise MissingRequirement(
                f"cannot start verl's interpreter {self.python}: {error.strerror}",
                remedy="Set engine.verl.python to the python of an environment with verl (docs/gpu.md).",
            ) from error
        if done.returncode:
            raise MissingRequirement(
                f"{self.python} lacks one of {', '.join(names)}",
                remedy="Install verl there (docs/gpu.md), or set engine.verl.python to another interpreter.",
            )

    def start(self, arguments: Sequence[str], variables: Mapping[str, str]) -> "subprocess.Popen[bytes]":
        """Start `python ARGUMENTS` in a process group of its own, its output appended to the log."""
        with self._log.open("ab") as log:
            return subprocess.Popen(
                [self.python, *arguments],
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=subprocess.STDOUT,
                env=self._environment(variables),
                cwd=self._log.parent,  # Hydra writes a folder `outputs` into it
                preexec_fn=_ignore_warnings_of_slurm,
                process_group=0,
            )

    def run(self, arguments: Sequence[str], what: str) -> None:
        """Run `python ARGUMENTS` to its end.

        Raises:
            StageFailed: it ended with an error.
        """
        code = self.start(arguments, {}).wait()
        if code:
            raise StageFailed(f"{what} ended with code {code}", detail=self.last_lines())

    def last_lines(self, count: int = 20) -> str:
        """Return the end of the log."""
        with contextlib.suppress(OSError):
            return "\n".join(self._log.read_text(encoding="utf-8", errors="replace").splitlines()[-count:])
        return ""

    def _environment(self, variables: Mapping[str, str]) -> dict[str, str]:
        foreign = (
            "PYTHONPATH",
            "PYTHONHOME",
            "VIRTUAL_ENV",
            "RANK",
            "WORLD_SIZE",
            "LOCAL_RANK",
            "MASTER_ADDR",
            "MASTER_PORT",
        )
        base = {name: value for name, value in os.environ.items() if name not in foreign}
        own = {"RAY_TMPDIR": _ray_folder(), "PYTHONUNBUFFERED": "1", "PYTHONSAFEPATH": "1"}
        # Ray would write a token into the home directory, which may be read-only.
        return {"RAY_AUTH_MODE": "disabled"} | own | base | dict(variables)


def _ray_folder() -> str:
    """Return a folder of this user for Ray's sockets: its own, `/tmp/ray`, belongs to whoever came first.

    It is short, because the path of a socket may have 107 characters only.
    """
    path = Path("/tmp") / f"ray-{os.getuid()}"  # as Ray's own
    path.mkdir(mode=0o700, exist_ok=True)
    return str(path)


def _ignore_warnings_of_slurm() -> None:
    """Leave Slurm's warning before a time limit to the stage: it would kill verl at once."""
    signal.signal(signal.SIGUSR2, signal.SIG_IGN)


def ray_address(head: str, job_id: str) -> str:
    """Return address and port of Ray on the first node; jobs that share a node do not use the same port."""
    return f"{_ip_of(head)}:{_RAY_PORT + int(job_id or 0) % 1000}"


def _ip_of(host: str) -> str:
    """Return the address of a node as other nodes see it: its own name may lead to the loopback interface."""
    try:
        address = socket.gethostbyname(host)
    except OSError:
        return host
    if not address.startswith("127."):
        return address
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as probe, contextlib.suppress(OSError):
        probe.connect(("10.255.255.255", 1))  # sends nothing; chooses the interface
        address = str(probe.getsockname()[0])
    return address


LOCAL_RAY: Final = {"RAY_ADDRESS": "local"}
"""Variables with which verl starts a Ray of its own: it would otherwise join one of another job on this node."""


def ray_arguments(address: str, *, is_head: bool, cpus: int, gpus: int) -> list[str]:
    """Return the arguments of the interpreter that starts Ray on this node and stays until Ray ends."""
    host, _, port = address.rpartition(":")
    place = ["--head", f"--node-ip-address={host}", f"--port={port}"] if is_head else [f"--address={address}"]
    return [
        "-m", "ray.scripts.scripts", "start", *place,
        f"--num-cpus={cpus}", f"--num-gpus={gpus}", "--include-dashboard=false", "--disable-usage-stats", "--block",
    ]  # fmt: skip


def wait_for_nodes(
    interpreter: VerlInterpreter, head: "subprocess.Popen[bytes]", address: str, nodes: int, stop: Stop
) -> None:
    """Wait until every node has joined Ray.

    Args:
        interpreter: verl's.
        head: the process of `ray_arguments` on this node.
        address: of Ray.
        nodes: how many there must be.
        stop: of the stage.

    Raises:
        StageFailed: Ray ended, or a node is missing after five minutes.
        Interrupted: a stop was requested.
    """
    code = (
        "import ray, sys; ray.init(address=sys.argv[1], logging_level='ERROR'); "
        "sys.exit(sum(node['Alive'] for node in ray.nodes()) < int(sys.argv[2]))"
    )
    deadline = time.monotonic() + _JOIN_S
    while True:
        probe = interpreter.start(["-c", code, address, str(nodes)], {})
        while (found := wait_for_end(probe, stop)) is None:
            if head.poll() is not None or time.monotonic() > deadline:
                end_process(probe)
                break
        if found == 0:
            return
        if head.poll() is not None:
            raise StageFailed(f"Ray ended with code {head.returncode}", detail=interpreter.last_lines())
        if time.monotonic() > deadline:
            raise StageFailed(
                f"not all {nodes} nodes joined Ray at {address} within {_JOIN_S:.0f} s",
                detail=interpreter.last_lines(),
            )


def wait_for_end(process: "subprocess.Popen[bytes]", stop: Stop) -> int | None:
    """Wait a second for a process; return its exit code, or None while it runs.

    Raises:
        Interrupted: a stop was requested; the process was ended.
    """
    if stop.requested:
        end_process(process)
        raise Interrupted(f"stopped by {signal.Signals(stop.signal).name}: verl continues from its last checkpoint")
    with contextlib.suppress(subprocess.TimeoutExpired):
        return process.wait(_POLL_S)
    return None


def end_process(process: "subprocess.Popen[bytes]") -> None:
    """End a process and those of its group: SIGTERM, which verl's driver passes on to Ray, then SIGKILL."""
    for number, seconds in ((signal.SIGTERM, _STOP_S), (signal.SIGKILL, 10.0)):
        with contextlib.suppress(ProcessLookupError):
            os.killpg(process.pid, number)
        with contextlib.suppress(subprocess.TimeoutExpired):
            process.wait(seconds)
    with contextlib.suppress(ProcessLookupError):
        os.killpg(process.pid, signal.SIGKILL)
