"""Why a job ended, in one line, and what to do about it."""

import re
import signal
from pathlib import Path
from typing import Any, Final

from jobs.attempts import records as attempts
from jobs.attempts.records import ExitRecord, JobRecord
from jobs.formatting import format_duration
from pipelines.files import open_regular
from pipelines.text_safety import one_line, picture_controls

_TAIL_BYTES: Final = 64 * 1024
_MEMORY: Final = re.compile(r"\b(MemoryError|OutOfMemoryError|out of memory|Cannot allocate memory)\b", re.IGNORECASE)
_DISK: Final = re.compile(r"No space left on device|disk is full|Disk quota exceeded", re.IGNORECASE)
_MODULE: Final = re.compile(r"ModuleNotFoundError: No module named '(?P<name>[\w.]+)'")
_WRAPPERS: Final = ("torch.distributed.elastic.", "subprocess.CalledProcessError")

RETRY: Final = "See cogtui logs, fix the cause, then run the recipe again with --retry."
CONTINUE: Final = "Run the recipe again: it continues from the last checkpoint."


def signal_name(number: int) -> str:
    """Return `SIGKILL` for 9; the number itself if it has no name."""
    try:
        return signal.Signals(number).name
    except ValueError:
        return f"signal {number}"


def more_time(job: JobRecord | None) -> str:
    """Return the command that continues a stage whose time limit was too short."""
    key = job.key if job is not None else "KEY"
    return (
        "Raise the time in [resources] of the recipe and run it again: it continues from the last checkpoint. "
        f"Or: cogtui retry {key} --set resources.time=H:MM:SS."
    )


def more_memory(job: JobRecord | None) -> str:
    """Return the command that continues a stage that lacked memory, with less of it or on more."""
    key, settings = (job.key, job.settings) if job is not None else ("KEY", {})
    more = "--set resources.memory=SIZE asks for more"
    if settings.get("recompute") is False:
        return f"It continues with less memory by: cogtui retry {key} --set recompute=true. Or {more}."
    if "micro_batch" in settings:
        now = settings["micro_batch"]
        return f"It continues with less memory by: cogtui retry {key} --set micro_batch=N (now {now}). Or {more}."
    return f"cogtui retry {key} --set resources.memory=SIZE starts it again with more memory."


def describe_failure(attempt: Path, ended: ExitRecord, error: dict[str, Any] | None, job: JobRecord) -> tuple[str, str]:
    """Return reason and remedy of an ended attempt, from its exit record and the last lines of its log."""
    if ended.why == "blocked":
        return one_line(ended.reason), "Fix that stage, then run the recipe again with --retry."
    if ended.why == "cancelled":
        return one_line(ended.reason or "cancelled"), "Run the recipe again with --retry to start it again."
    if ended.why == "timeout":
        return _limit(job), more_time(job)
    if ended.why in ("preempted", "interrupted"):
        by = f" by {signal_name(ended.signal)}" if ended.signal else ""
        return one_line(ended.reason or f"stopped from outside{by} on {ended.host}"), CONTINUE
    if ended.why == "lost":
        return one_line(ended.reason), CONTINUE
    return _failure(attempt, ended, error, job)


def _limit(job: JobRecord) -> str:
    if job.time_limit_s is None:
        return "its time limit was over"
    return f"its time limit of {format_duration(job.time_limit_s)} was over"


def _failure(attempt: Path, ended: ExitRecord, error: dict[str, Any] | None, job: JobRecord | None) -> tuple[str, str]:
    if ended.reason:
        return one_line(ended.reason), RETRY
    if error is not None and isinstance(error.get("summary"), str):
        return one_line(error["summary"]), one_line(str(error.get("remedy") or RETRY))
    said = last_error(attempt / attempts.STDERR)
    if ended.out_of_memory:
        return f"killed for lack of memory on {ended.host}", more_memory(job)
    if ended.signal is not None:
        reason = f"killed by signal {ended.signal} ({signal_name(ended.signal)})"
        if ended.signal == signal.SIGKILL:
            return reason, f"Often a lack of memory. {CONTINUE} {more_memory(job)}"
        return one_line(f"{reason}: {said}" if said else reason), RETRY
    if ended.code == 0:
        return "it ended without an error but wrote no result.json", RETRY
    reason = one_line(f"{said} (exit code {ended.code})" if said else f"exit code {ended.code}")
    return reason, _remedy(said, job)


def _remedy(said: str, job: JobRecord | None) -> str:
    if _MEMORY.search(said):
        return more_memory(job)
    if _DISK.search(said):
        return "Free some space and run the recipe again with --retry: it continues."
    missing = _MODULE.search(said)
    if missing:
        name = picture_controls(missing["name"])
        return f"Install {name} for the stage's Python, then run the recipe again with --retry."
    return RETRY


def last_error(log: Path) -> str:
    """Return the last error in a log: the last line of its last traceback, else its last line."""
    try:
        with open_regular(log) as stream:
            stream.seek(0, 2)
            stream.seek(max(0, stream.tell() - _TAIL_BYTES))
            text = stream.read().decode("utf-8", "replace")
    except OSError:
        return ""
    lines = text.splitlines()
    starts = [index for index, line in enumerate(lines) if line.startswith("Traceback (most recent call last)")]
    for start in reversed(starts):
        for line in lines[start + 1 :]:
            if line and not line[0].isspace():
                if line.startswith(_WRAPPERS):
                    break  # the traceback of a launcher; that of the cause comes before it
                return one_line(line)
    fatal = [line for line in lines if line.startswith("Fatal Python error:")]
    if fatal:
        return one_line(fatal[-1])
    spoken = [line for line in lines if line.strip() and not line.startswith("cogtui: ")]
    return one_line(spoken[-1]) if spoken else ""
