"""The local queue on disk: `WORKSPACE/queue/`, a ticket for each local attempt that has not ended.

Tickets are hints for the agent and explain why a job waits; the attempt folder records what happened to it. The
submitter writes a ticket; then only the agent changes and removes it. Tickets are not synced: a loss of power ends the
jobs too, and an attempt without a ticket is `lost` and continued by the next run.
"""

import contextlib
import os
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from jobs.attempts.processes import ProcessId
from jobs.workspace import Workspace
from pipelines.file_record import FileRecord
from pipelines.files import canonical_json, open_regular, write_atomic

SLURM_MARK: Final = "slurm"
"""File in the queue folder that marks a workspace with jobs submitted to Slurm."""
_SUFFIX: Final = ".json"


class Placement(FileRecord, frozen=True, kw_only=True):
    """Worker, cores and GPUs of a job that the agent started."""

    worker: ProcessId
    cpus: int
    gpus: tuple[str, ...] = ()


class Ticket(FileRecord, frozen=True, kw_only=True):
    """A local attempt that is queued or running."""

    v: int = 1
    key: str
    number: int
    cpus: int = 1
    gpus: int = 0
    inputs: tuple[str, ...] = ()
    placed: Placement | None = None
    """None while the job waits."""
    waits_for: str = ""
    """Why the job waits, as the agent last noted."""
    environment: ProcessId | None = None
    """The process whose environment the job gets (`environment_keeper`); None stands for the agent's."""


@dataclass(frozen=True, slots=True)
class QueuedTicket:
    """A ticket and its file, whose name gives the position in the queue."""

    file: str
    ticket: Ticket


def queue_folder(workspace: Workspace) -> Path:
    """Return the queue folder of a workspace."""
    return workspace.path / "queue"


class LocalQueue:
    """Reads and writes the tickets of a workspace."""

    def __init__(self, workspace: Workspace) -> None:
        self.folder = queue_folder(workspace)

    def add(self, tickets: list[Ticket]) -> list[str]:
        """Append tickets to the queue, in this order; return the names of their files.

        Raises:
            OSError: the disk is full or the folder cannot be written.
        """
        self.folder.mkdir(parents=True, exist_ok=True)
        place = time.time_ns()
        names = []
        for offset, ticket in enumerate(tickets):
            names.append(f"{place + offset:020d}-{ticket.key}-{ticket.number:03d}{_SUFFIX}")
            self._write(names[-1], ticket)
        return names

    def tickets(self) -> list[QueuedTicket]:
        """Return all tickets in queue order; a damaged one is left out."""
        found = []
        for name in self._names():
            try:
                with open_regular(self.folder / name) as stream:
                    ticket = Ticket.model_validate_json(stream.read())
            except (OSError, ValueError):
                continue
            found.append(QueuedTicket(name, ticket))
        return found

    def remove_damaged(self) -> list[str]:
        """Remove tickets that are no tickets, as a loss of power may leave them; return their file names.

        Their attempts are then `lost`, and continued by the next run. For the agent only, before it serves.
        """
        removed = []
        for name in self._names():
            try:
                with open_regular(self.folder / name) as stream:
                    Ticket.model_validate_json(stream.read())
            except OSError:
                continue  # cannot be read now, which says nothing about its content
            except ValueError:
                with contextlib.suppress(OSError):
                    (self.folder / name).unlink()
                    removed.append(name)
        return removed

    def has_tickets(self) -> bool:
        """Whether any job is queued or running."""
        return bool(self._names())

    def update(self, queued: QueuedTicket, ticket: Ticket) -> QueuedTicket:
        """Replace a ticket at its position. On a full disk the old one remains, which does no harm."""
        with contextlib.suppress(OSError):
            self._write(queued.file, ticket)
        return QueuedTicket(queued.file, ticket)

    def remove(self, queued: QueuedTicket) -> None:
        """Remove a ticket."""
        with contextlib.suppress(OSError):
            (self.folder / queued.file).unlink()

    def _names(self) -> list[str]:
        try:
            names = os.listdir(self.folder)  # noqa: PTH208
        except (FileNotFoundError, NotADirectoryError):
            return []
        return sorted(name for name in names if name.endswith(_SUFFIX) and name[:20].isdigit())

    def _write(self, name: str, ticket: Ticket) -> None:
        write_atomic(self.folder / name, canonical_json(ticket.model_dump()) + "\n", durable=False)
