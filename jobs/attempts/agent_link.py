"""Reaches the agent of a workspace: checks for it, notifies it of new work, starts it.

The agent listens on a socket of the abstract namespace: it needs no file and disappears with the process, so an
answered connection proves that the agent is alive on this machine. The environment of the submitting shell, API keys
included, reaches the agent through it and is never written to disk.
"""

import hashlib
import json
import os
import socket
import struct
import subprocess
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Final

from jobs.attempts.tickets import LocalQueue, queue_folder
from jobs.workspace import Workspace
from pipelines.errors import MissingRequirement

ANSWER: Final = b"here\n"
_TIMEOUT_S: Final = 3.0
_LIMIT_BYTES: Final = 4 << 20

# Detaches the agent from the submitting process, which then need not reap it; no zombie remains.
_DETACH: Final = """
import os, sys
os.setsid()
if os.fork():
    os._exit(0)
os.execv(sys.argv[1], sys.argv[1:])
"""


def socket_address(workspace: Workspace) -> str:
    """Return the name of the socket, unique for each user and workspace."""
    digest = hashlib.sha256(os.fsencode(os.path.realpath(workspace.path))).hexdigest()[:32]
    return f"\0cogtui-agent-{os.getuid()}-{digest}"


def peer_uid(connection: socket.socket) -> int:
    """Return the user id of the process at the other end."""
    raw = connection.getsockopt(socket.SOL_SOCKET, socket.SO_PEERCRED, struct.calcsize("3i"))
    _, uid, _ = struct.unpack("3i", raw)
    return int(uid)


def notify_agent(
    workspace: Workspace, attempts: Sequence[str] = (), environment: Mapping[str, str] | None = None
) -> bool:
    """Notify the agent; return True if it answered.

    Args:
        workspace: of the agent.
        attempts: folders of new attempts.
        environment: environment of those attempts; None stands for the agent's own.
    """
    message = {"attempts": list(attempts), "environment": None if environment is None else dict(environment)}
    try:
        with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as connection:
            connection.settimeout(_TIMEOUT_S)
            connection.connect(socket_address(workspace))
            if peer_uid(connection) != os.getuid():
                return False  # another user's process has the name
            connection.sendall(json.dumps(message).encode())
            connection.shutdown(socket.SHUT_WR)
            return connection.recv(len(ANSWER)) == ANSWER
    except OSError:
        return False


def receive_message(connection: socket.socket) -> dict[str, Any] | None:
    """Read a message of `notify_agent` and acknowledge it; return None for another user's or a malformed one."""
    connection.settimeout(_TIMEOUT_S)
    try:
        if peer_uid(connection) != os.getuid():
            return None
        data = b""
        while block := connection.recv(1 << 16):
            data += block
            if len(data) > _LIMIT_BYTES:
                return None
        message = json.loads(data)
        connection.sendall(ANSWER)
    except (OSError, ValueError):
        return None
    return message if isinstance(message, dict) else None


def ensure_agent(workspace: Workspace, attempts: Sequence[str] = ()) -> None:
    """Make sure that an agent serves the queue: notify it, or start one. Do nothing if the queue is empty.

    Args:
        workspace: of the queue.
        attempts: folders of attempts just queued, which get the environment of this process.

    Raises:
        MissingRequirement: no agent can be started here.
    """
    if not LocalQueue(workspace).has_tickets():
        return
    if notify_agent(workspace, attempts, os.environ):
        return
    folder = queue_folder(workspace)
    command = [sys.executable, "-m", "jobs.local.agent", str(workspace.path)]
    try:
        with (folder / "agent.log").open("ab") as log:
            subprocess.run(
                [sys.executable, "-I", "-S", "-c", _DETACH, *command],
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                cwd=_neutral_folder(),
                env={**os.environ, "PYTHONSAFEPATH": "1"},
                check=True,
                timeout=30,
            )
    except (OSError, subprocess.SubprocessError) as error:
        raise MissingRequirement(
            f"cannot start the agent of {workspace.path}: {error}",
            detail="The stages are queued.",
            remedy=f"See {folder / 'agent.log'}, then run the same command again.",
        ) from error


def _neutral_folder() -> Path:
    return Path("/")  # so that the agent keeps no folder from being deleted or unmounted
