"""Reaches the agent of a workspace: checks for it, notifies it of new work, starts it.

The agent listens on a socket in a folder that only this user can write to, and each side checks that the other belongs
to this user. A socket outlives its process, so only an answer proves that the agent is alive on this machine.
"""

import hashlib
import os
import socket
import struct
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Final

from jobs.attempts.tickets import LocalQueue, queue_folder
from jobs.private_folder import private_folder, shared_roots
from jobs.workspace import Workspace
from pipelines.errors import MissingRequirement
from pipelines.folder import ATTEMPT_VARIABLE

ANSWER: Final = b"here\n"
VISIBLE_GPUS: Final = "CUDA_VISIBLE_DEVICES"
AGENT_GPUS: Final = "COGTUI_AGENT_CUDA_VISIBLE_DEVICES"
"""In a worker: the agent's own CUDA_VISIBLE_DEVICES, absent if the agent has none."""
_TIMEOUT_S: Final = 3.0

# Detaches the agent from the submitting process, which then need not reap it; no zombie remains.
_DETACH: Final = """
import os, sys
os.setsid()
if os.fork():
    os._exit(0)
os.execv(sys.argv[1], sys.argv[1:])
"""


def socket_address(workspace: Workspace) -> str | None:
    """Return the path of the socket, unique for each user and workspace; None without a private folder for it.

    The folder does not depend on the session, as `XDG_RUNTIME_DIR` does, which is removed when the user logs out.
    """
    digest = hashlib.sha256(os.fsencode(os.path.realpath(workspace.path))).hexdigest()[:32]
    folders = (private_folder(root, "agents") for root in shared_roots())
    folder = next((found for found in folders if found is not None), None)
    return None if folder is None else str(folder / digest)


def listen(workspace: Workspace) -> socket.socket | None:
    """Listen for `notify_agent`, in place of an earlier agent; None if that is impossible here.

    Only the holder of the agent's lock may call this.
    """
    address = socket_address(workspace)
    if address is None:
        return None
    listener = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    try:
        Path(address).unlink(missing_ok=True)
        listener.bind(address)
        listener.listen(64)
        listener.setblocking(False)
    except OSError:
        listener.close()
        return None
    return listener


def peer_uid(connection: socket.socket) -> int:
    """Return the user id of the process at the other end."""
    raw = connection.getsockopt(socket.SOL_SOCKET, socket.SO_PEERCRED, struct.calcsize("3i"))
    _, uid, _ = struct.unpack("3i", raw)
    return int(uid)


def notify_agent(workspace: Workspace) -> bool:
    """Wake the agent; return True if it answered, and is of this user."""
    address = socket_address(workspace)
    if address is None:
        return False
    try:
        with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as connection:
            connection.settimeout(_TIMEOUT_S)
            connection.connect(address)
            return peer_uid(connection) == os.getuid() and connection.recv(len(ANSWER)) == ANSWER
    except OSError:
        return False


def answer(connection: socket.socket) -> bool:
    """Answer a connection of `notify_agent`; return False for another user's, which gets no answer."""
    connection.settimeout(_TIMEOUT_S)
    try:
        if peer_uid(connection) != os.getuid():
            return False
        connection.sendall(ANSWER)
    except OSError:
        return False
    return True


def ensure_agent(workspace: Workspace) -> None:
    """Make sure that an agent serves the queue: notify it, or start one. Do nothing if the queue is empty.

    Raises:
        MissingRequirement: no agent can be started here.
    """
    if not LocalQueue(workspace).has_tickets():
        return
    if notify_agent(workspace):
        return
    folder = queue_folder(workspace)
    command = [sys.executable, "-P", "-m", "jobs.local.agent", str(workspace.path)]
    try:
        with os.fdopen(os.open(folder / "agent.log", os.O_WRONLY | os.O_APPEND | os.O_CREAT, 0o600), "ab") as log:
            subprocess.run(
                [sys.executable, "-I", "-S", "-c", _DETACH, *command],
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                cwd=_neutral_folder(),
                env={**agent_environment(), "PYTHONSAFEPATH": "1"},
                check=True,
                timeout=30,
            )
    except (OSError, subprocess.SubprocessError) as error:
        raise MissingRequirement(
            f"cannot start the agent of {workspace.path}: {error}",
            detail="The stages are queued.",
            remedy=f"See {folder / 'agent.log'}, then run the same command again.",
        ) from error


def agent_environment(environment: Mapping[str, str] = os.environ) -> dict[str, str]:
    """Return the environment for an agent that this process starts.

    A worker at its end may have to start one. That agent must not see the worker's GPUs alone, and must not count as a
    process of the worker's attempt, which the next attempt would kill.
    """
    if ATTEMPT_VARIABLE not in environment:
        return dict(environment)
    dropped = {ATTEMPT_VARIABLE, AGENT_GPUS, VISIBLE_GPUS}
    kept = {
        name: value for name, value in environment.items() if name not in dropped and not name.startswith("SUBMITIT_")
    }
    if AGENT_GPUS in environment:
        kept[VISIBLE_GPUS] = environment[AGENT_GPUS]
    return kept


def _neutral_folder() -> Path:
    return Path("/")  # so that the agent keeps no folder from being deleted or unmounted
