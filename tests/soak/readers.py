"""Readers of a workspace that share no code with cogtui: files, index, and what the command line and the app say.

They follow docs/workspace.md and docs/jobs.md alone, so that a fault of cogtui's own readers cannot hide itself.
"""

import hashlib
import json
import re
import sqlite3
import subprocess
import sys
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final

_STREAM_FILE: Final = re.compile(r"((?:metrics|rollouts|judgements)-[a-z0-9_]+)-(\d+)\.jsonl")
_STATE: Final = re.compile(r"[·○⊘▶↻✓✗■◷⇄‽?] ([a-z]+)")
"""A state as the app shows it: a symbol and a word."""
_CHECKPOINT: Final = re.compile(r"step-(\d+)")


@dataclass(slots=True)
class StreamContent:
    """All records of one stream of a stage, and the lines that are none."""

    records: list[dict[str, Any]] = field(default_factory=list)
    broken: list[str] = field(default_factory=list)
    """`FILE:LINE` of each complete line that is no JSON object."""


@dataclass(slots=True)
class CheckpointContent:
    """A checkpoint: what its manifest says and what is wrong with its files."""

    step: int
    streams: dict[str, int]
    """Length in bytes of each stream file when it was taken."""
    problems: list[str]


@dataclass(slots=True)
class StageContent:
    """What the files of one stage say."""

    key: str
    kind: str
    name: str
    labels: dict[str, Any]
    result: Any
    """The content of `result.json`; None without one."""
    result_problem: str
    """Why `result.json` is there and cannot be read; empty if it can."""
    streams: dict[str, StreamContent]
    lengths: dict[str, int]
    """Length in bytes of each stream file."""
    traces: int
    """Lines of `artifacts/traces*.jsonl`."""
    checkpoints: list[CheckpointContent]
    artifacts: dict[str, str]
    """Digest of each artifact."""
    attempts: list[str]
    """The `why` of the end of each attempt in order; empty for one without `exit.json`."""
    ran_twice: bool


@dataclass(slots=True)
class IndexContent:
    """What the index says, by stage key."""

    rollouts: dict[str, int] = field(default_factory=dict)
    judgements: dict[str, int] = field(default_factory=dict)
    """Rollouts of the stage with judgements."""
    metrics: dict[str, int] = field(default_factory=dict)
    """Steps with metrics, over all streams of the stage."""
    bad_lines: int = 0
    misplaced: list[str] = field(default_factory=list)
    """Rollouts whose address in a stream file does not hold their record."""


@dataclass(slots=True)
class CommandLineContent:
    """What `cogtui ls --json` and `cogtui rollouts --json` say."""

    states: dict[str, str] = field(default_factory=dict)
    rollouts: dict[str, str] = field(default_factory=dict)
    """Digest of the completion of each rollout, by id."""


@dataclass(slots=True)
class AppContent:
    """What the screens of the app say."""

    words: list[str] = field(default_factory=list)
    """The state shown for each stage of the matrix."""
    rollouts: int | None = None


@dataclass(slots=True)
class WorkspaceContent:
    """Everything that the checker compares."""

    stages: dict[str, StageContent]
    tickets: list[str] = field(default_factory=list)
    processes: list[str] = field(default_factory=list)
    """Command lines of processes that still belong to the workspace."""
    index: IndexContent | None = None
    command_line: CommandLineContent | None = None
    app: AppContent | None = None


def read_files(workspace: Path) -> WorkspaceContent:
    """Return what the files of a workspace say."""
    stages = {
        path.name: _read_stage(path)
        for path in sorted((workspace / "stages").iterdir())
        if (path / "stage.json").is_file()
    }
    queue = workspace / "queue"
    tickets = sorted(path.name for path in queue.glob("[0-9]*.json")) if queue.is_dir() else []
    return WorkspaceContent(stages, tickets)


def _read_stage(path: Path) -> StageContent:
    info = json.loads((path / "stage.json").read_bytes())
    result, problem = _read_result(path / "result.json")
    streams: dict[str, StreamContent] = {}
    lengths = {}
    for file in sorted(path.iterdir(), key=_stream_order):
        match = _STREAM_FILE.fullmatch(file.name)
        if match:
            lengths[file.name] = file.stat().st_size
            _read_lines(file, streams.setdefault(match[1], StreamContent()))
    artifacts = path / "artifacts"
    return StageContent(
        key=path.name,
        kind=str(info["kind"]),
        name=str(info["name"]),
        labels=dict(info["labels"]),
        result=result,
        result_problem=problem,
        streams=streams,
        lengths=lengths,
        traces=sum(file.read_bytes().count(b"\n") for file in artifacts.glob("traces*.jsonl")),
        checkpoints=[_read_checkpoint(each) for each in sorted((path / "checkpoints").glob("step-*"))],
        artifacts={
            str(file.relative_to(artifacts)): hashlib.sha256(file.read_bytes()).hexdigest()
            for file in sorted(artifacts.rglob("*"))
            if file.is_file()
        },
        attempts=[_end_of(each) for each in sorted((path / "attempts").glob("[0-9]*"))],
        ran_twice=(path / "ran-twice.txt").exists(),
    )


def _stream_order(path: Path) -> tuple[str, int]:
    match = _STREAM_FILE.fullmatch(path.name)
    return (match[1], int(match[2])) if match else ("", 0)


def _read_lines(path: Path, content: StreamContent) -> None:
    *lines, _torn = path.read_bytes().split(b"\n")  # the last line of a killed process may be cut off
    for number, line in enumerate(lines, 1):
        try:
            record = json.loads(line)
        except ValueError:
            record = None
        if isinstance(record, dict):
            content.records.append(record)
        else:
            content.broken.append(f"{path.name}:{number}")


def _read_result(path: Path) -> tuple[Any, str]:
    try:
        return json.loads(path.read_bytes()), ""
    except FileNotFoundError:
        return None, ""
    except ValueError as error:
        return None, f"result.json is not JSON: {error}"


def _read_checkpoint(path: Path) -> CheckpointContent:
    import xxhash

    match = _CHECKPOINT.fullmatch(path.name)
    step = int(match[1]) if match else -1
    try:
        manifest = json.loads((path / "manifest.json").read_bytes())
        files, streams = dict(manifest["files"]), dict(manifest["streams"])
    except (OSError, ValueError, KeyError) as error:
        return CheckpointContent(step, {}, [f"no manifest: {error}"])
    problems = []
    for name, wanted in files.items():
        try:
            data = (path / name).read_bytes()
        except OSError as error:
            problems.append(f"{name}: {error.strerror}")
            continue
        if len(data) != wanted["bytes"] or xxhash.xxh3_128(data).hexdigest() != wanted["xxh3"]:
            problems.append(f"{name} is not what its digest says")
    return CheckpointContent(step, streams, problems)


def _end_of(attempt: Path) -> str:
    try:
        return str(json.loads((attempt / "exit.json").read_bytes())["why"])
    except (OSError, ValueError, KeyError):
        return ""


def read_index(workspace: Path) -> IndexContent:
    """Return what the index says, and check the address of each rollout.

    Raises:
        OSError: there is no index. sqlite3.Error: it is damaged.
    """
    hosts = json.loads((workspace / "index.json").read_bytes())["hosts"]
    (entry,) = hosts.values()
    path = Path(entry["path"])
    if not path.is_file():
        raise FileNotFoundError(f"{path}, named in index.json, does not exist")
    connection = sqlite3.connect(f"file:{path}?mode=ro", uri=True)
    content = IndexContent()
    try:
        (verdict,) = connection.execute("PRAGMA integrity_check").fetchone()
        if verdict != "ok":
            raise sqlite3.DatabaseError(f"integrity_check: {verdict}")
        content.rollouts = _counts(
            connection,
            "SELECT stage.key, count(*) FROM rollout JOIN series ON series.id = rollout.series"
            " JOIN stage ON stage.id = series.stage GROUP BY 1",
        )
        content.judgements = _counts(
            connection,
            "SELECT stage.key, count(DISTINCT rollout_judgement.serial) FROM rollout_judgement JOIN rollout"
            " USING (serial) JOIN series ON series.id = rollout.series JOIN stage ON stage.id = series.stage"
            " WHERE rollout_judgement.statuses NOT LIKE '%-%' GROUP BY 1",
        )
        content.metrics = _counts(
            connection,
            "SELECT stage.key, count(DISTINCT stream || ' ' || step) FROM metric"
            " JOIN stage ON stage.id = metric.stage GROUP BY 1",
        )
        (content.bad_lines,) = connection.execute("SELECT count(*) FROM bad_line").fetchone()
        content.misplaced = _misplaced(connection, workspace)
    finally:
        connection.close()
    return content


def _counts(connection: sqlite3.Connection, statement: str) -> dict[str, int]:
    return {str(key): int(number) for key, number in connection.execute(statement)}


def _misplaced(connection: sqlite3.Connection, workspace: Path) -> list[str]:
    found = []
    rows = connection.execute(
        "SELECT record.uid, stream_file.path, record.byte FROM record JOIN stream_file ON stream_file.id = record.file"
    )
    for identity, path, byte in rows:
        file = workspace / path
        try:
            with file.open("rb") as stream:
                stream.seek(byte)
                record = json.loads(stream.readline())
            same = record["id"] == identity
        except (OSError, ValueError, KeyError):
            same = False
        if not same:
            found.append(str(identity))
    return found


def read_command_line(workspace: Path, environment: Mapping[str, str]) -> CommandLineContent:
    """Return what the commands say, each a process of its own."""
    listed = command_json(["ls"], workspace, environment)
    rollouts = command_json(["rollouts", "--limit", "1000000"], workspace, environment)
    return CommandLineContent(
        states={str(row["key"]): str(row["state"]) for row in listed},
        rollouts={
            str(row["id"]): hashlib.sha256(str(row["completion"]).encode("utf-8", "surrogatepass")).hexdigest()
            for row in rollouts
        },
    )


def command_json(arguments: Iterable[str], workspace: Path, environment: Mapping[str, str]) -> list[dict[str, Any]]:
    """Return the data of a command's JSON envelope.

    Raises:
        RuntimeError: it failed, or printed something else.
    """
    command = [sys.executable, "-m", "cogtui", *arguments, "--workspace", str(workspace), "--json"]
    done = subprocess.run(command, capture_output=True, text=True, env=dict(environment), check=False, timeout=120)
    try:
        envelope = json.loads(done.stdout)
        return list(envelope["data"])
    except (ValueError, KeyError) as error:
        raise RuntimeError(
            f"{' '.join(arguments)}: exit code {done.returncode}: {done.stdout} {done.stderr}"
        ) from error


def read_app(workspace: Path, environment: Mapping[str, str]) -> AppContent:
    """Return what the app shows, run headless in a process of its own.

    Raises:
        RuntimeError: it failed.
    """
    command = [sys.executable, "-m", "tests.soak.app_view", str(workspace)]
    done = subprocess.run(command, capture_output=True, text=True, env=dict(environment), check=False, timeout=180)
    if done.returncode:
        raise RuntimeError(f"the app failed: {done.stderr[-2000:]}")
    return app_content(json.loads(done.stdout.splitlines()[-1]))


def app_content(shown: Mapping[str, Any]) -> AppContent:
    """Return what the screens say, from what `tests.soak.app_view` read of them."""
    words = [word for line in shown["matrix"] for word in _STATE.findall(line)]
    return AppContent(words, shown["rollouts"])
