"""Running an import: its rollouts become a stage folder, one stream per file, the result last. Resumable by row."""

from __future__ import annotations

import fcntl
import json
import os
import shutil
import time
from collections.abc import Generator, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import IO, Any, Final

import msgspec

from cogtui.store.importing.convert import Converter
from cogtui.store.importing.judging import ImportJudging, JudgeChoice, judge_import, judgement_files
from cogtui.store.importing.plan import ImportPlan, PlannedFile
from cogtui.store.importing.protocol import BadRowError
from cogtui.store.stage_files.scan import head_digest
from jobs.workspace import Workspace
from pipelines.errors import InvalidInput, StageFailed
from pipelines.files import read_json, write_json
from pipelines.folder import StageFolder, StageInfo
from pipelines.records import RECORD_VERSION
from pipelines.row_files import COMPRESSED_SUFFIXES, container_of, read_rows, row_stem
from pipelines.stages.builtin import IMPORT
from pipelines.streams import ROTATE_BYTES, complete_lines, stream_files

STATE: Final = "import.json"
MAX_NAMED: Final = 100
"""Bad rows listed per file; all are counted."""
_SAY_EVERY: Final = 500
_encode: Final = json.JSONEncoder(separators=(",", ":"), allow_nan=False, check_circular=False).encode
"""`json.dumps` with these settings would make an encoder for each record."""


def _encode_line(record: dict[str, Any]) -> bytes:
    """Return a record as ASCII JSON: by msgspec, five times as fast, where that is ASCII and it knows all values."""
    try:
        line = msgspec.json.encode(record)
        if line.isascii():
            return line
    except (TypeError, ValueError, OverflowError):  # lone surrogates, huge numbers, values of a plug-in's own types
        pass
    return _encode(record).encode()


@dataclass(slots=True)
class EmptyValues:
    """Values of one field that a file has but that cannot be read; they were left empty."""

    count: int
    first: str
    """Place of the first."""


@dataclass(slots=True)
class FileImportState:
    """How far the import of one file is."""

    path: str
    rows: int = 0
    """Rollouts written."""
    bad: int = 0
    """Rows, or completions of a row, that are no rollout."""
    named: list[str] = field(default_factory=list)
    """Place and reason of the first bad rows."""
    left_empty: dict[str, EmptyValues] = field(default_factory=dict)
    """Field → its values that the file states as null, NaN or in another type."""
    cut_prompts: int = 0
    """Completions that began with their prompt, which was cut off."""
    done: bool = False

    def as_json(self) -> dict[str, Any]:
        """Return what was read, as `result.json` and `cogtui import --json` have it."""
        return {
            "path": self.path,
            "rows": self.rows,
            "bad": self.bad,
            "named": self.named,
            "left_empty": {name: {"count": one.count, "first": one.first} for name, one in self.left_empty.items()},
            "cut_prompts": self.cut_prompts,
        }

    def remarks(self) -> list[str]:
        """Return sentences about values that were left empty and prompts that were cut off, for people."""
        lines = [
            f"{name} left empty in {one.count:,} {'rollout' if one.count == 1 else 'rollouts'}, first {one.first}:"
            " the file states no value that can be read"
            for name, one in self.left_empty.items()
        ]
        if self.cut_prompts:
            many = self.cut_prompts > 1
            began = "completions began with their prompts" if many else "completion began with its prompt"
            lines.append(f"{self.cut_prompts:,} {began}, which {'were' if many else 'was'} cut off")
        return lines


@dataclass(slots=True)
class ImportState:
    """How far an import is."""

    key: str
    files: list[FileImportState]
    judging: ImportJudging = field(default_factory=ImportJudging)

    @property
    def rows(self) -> int:
        """Rollouts written."""
        return sum(file.rows for file in self.files)

    @property
    def bad(self) -> int:
        """Rows without a rollout."""
        return sum(file.bad for file in self.files)

    @property
    def done(self) -> bool:
        """Whether all files are read."""
        return all(file.done for file in self.files)


def prepare(plan: ImportPlan, workspace: Workspace) -> StageFolder:
    """Return the stage folder of an import; create it if it is missing.

    Raises:
        MissingRequirement: the workspace cannot be written.
    """
    workspace.create()
    folder = workspace.folder(plan.key)
    if not (folder.path / "stage.json").exists():
        folder.path.mkdir(exist_ok=True)
        config = {"files": [str(file.place) for file in plan.files], "columns": [
            {"format": file.format, **{name: "+".join(columns) for name, columns in file.columns.fields.items()}}
            for file in plan.files
        ]}  # fmt: skip
        info = StageInfo(
            kind=IMPORT.name,
            key=plan.key,
            config=config,
            labels=dict(plan.labels),
            name=IMPORT.name,
            created=time.time(),
        )
        write_json(folder.path / "stage.json", info.model_dump(mode="json"))
    return folder


class ImportRunningError(Exception):
    """Another process runs the same import."""


@contextmanager
def _import_lock(folder: StageFolder, *, wait: bool) -> Iterator[None]:
    """Hold the lock under which records of an import are written. It ends with the process."""
    descriptor = os.open(folder.path / ".import.lock", os.O_RDWR | os.O_CREAT, 0o600)
    try:
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | (0 if wait else fcntl.LOCK_NB))
        except BlockingIOError:
            raise ImportRunningError from None
        except OSError:  # a file system without locks
            pass
        yield
    finally:
        os.close(descriptor)


def run_import(
    plan: ImportPlan, workspace: Workspace, *, link: bool = False, wait: bool = True, judge: JudgeChoice = "none"
) -> Generator[ImportState]:
    """Run an import, resume one that was stopped, or add the rows that its files have gained since.

    A file whose beginning changed is imported again. May be abandoned at any yield and resumed later.

    Args:
        plan: what to import.
        workspace: where to.
        link: link files of cogtui records instead of copying them, for opening them once.
        wait: wait for another process that runs the same import, then go on where it ended.
        judge: judge the rollouts once all are read; see `cogtui.store.importing.judging`.

    Yields:
        The state, every few hundred rows and at the end.

    Raises:
        StageFailed: the disk is full. InvalidInput: a file is damaged.
        ImportRunningError: another process runs the same import, and `wait` is false.
    """
    folder = prepare(plan, workspace)
    with _import_lock(folder, wait=wait):
        yield from _run_import(plan, folder, link=link, judge=judge)


def _run_import(plan: ImportPlan, folder: StageFolder, *, link: bool, judge: JudgeChoice) -> Generator[ImportState]:
    began = time.perf_counter()
    state = ImportState(plan.key, [FileImportState(str(file.place)) for file in plan.files])
    heads = _known_heads(folder)
    (folder.path / "result.json").unlink(missing_ok=True)
    try:
        for file, imported in zip(plan.files, state.files, strict=True):
            head = _head(file.path)
            known = heads.get(str(file.place))
            if known is not None and known != head and not _same_beginning(file.path, known):
                _wipe(folder, file)
            heads[str(file.place)] = head
            write_json(folder.artifacts / STATE, {"v": RECORD_VERSION, "heads": heads})
            for _ in (
                _take_over(file, folder, imported, link=link)
                if file.is_record
                else _convert(file, folder, imported, plan.key)
            ):
                folder.report(state.rows, max(state.rows, 1), "rows")
                yield state
            imported.done = True
        import_s = time.perf_counter() - began
        for _ in judge_import(folder, judge, state.judging, rows=state.rows, import_s=import_s):
            yield state
    except OSError as error:
        raise StageFailed(
            f"the import stopped: {error.strerror or error}", remedy="Run the same import again: it goes on from there."
        ) from error
    folder.write_result(
        {
            "rows": state.rows,
            "bad": state.bad,
            "files": [one.as_json() for one in state.files],
            "judging": state.judging.as_json(),
        }
    )
    yield state


def refuse_if_nothing_was_read(state: ImportState, workspace: Workspace) -> None:
    """Remove the stage of an import of which every row is bad.

    Raises:
        InvalidInput: it is such an import; names the first rows.
    """
    if state.rows or not state.bad:
        return
    shutil.rmtree(workspace.folder(state.key).path, ignore_errors=True)
    named = [f"{Path(file.path).name}, {row}" for file in state.files for row in file.named]
    raise InvalidInput(
        f"no row could be read as a rollout ({state.bad:,} rows)",
        detail="\n".join(named[:5]),
        remedy="Name the column of the completions with --map completion=COLUMN, or the layout with --format.",
    )


def _head(path: Path) -> list[Any]:
    """What identifies a file at the next run: its size, and the digest of its beginning."""
    size = path.stat().st_size
    return [size, head_digest(path, size)]


def _same_beginning(path: Path, known: list[Any]) -> bool:
    size, digest = int(known[0]), str(known[1])
    return path.stat().st_size >= size and head_digest(path, size) == digest


def _known_heads(folder: StageFolder) -> dict[str, list[Any]]:
    state = read_json(folder.artifacts / STATE)
    heads = state.get("heads") if isinstance(state, dict) else None
    return dict(heads) if isinstance(heads, dict) else {}


def _wipe(folder: StageFolder, file: PlannedFile) -> None:
    for path in (*_parts(folder, file), *judgement_files(folder)):
        path.unlink()


def _parts(folder: StageFolder, file: PlannedFile) -> list[Path]:
    if file.family == "traces":
        return [
            path for path in [folder.artifacts / f"traces_{file.stream}.jsonl"] if path.is_symlink() or path.exists()
        ]
    return [
        path for path in stream_files(folder.path, file.family) if path.name.startswith(f"{file.family}-{file.stream}-")
    ]


def _convert(file: PlannedFile, folder: StageFolder, imported: FileImportState, key: str) -> Iterator[None]:
    """Convert row by row. Rollouts written before are skipped: the same rows always give the same records."""
    written = sum(1 for path in _parts(folder, file) for _ in complete_lines(path))
    converter = Converter(file.importer, file.columns, key, row_stem(file.place), file.stream)
    with _StreamWriter(folder, file) as writer:
        for row in file.rows():
            try:
                if row.value is None:
                    raise BadRowError(row.problem)
                converted = converter.convert(row.value)
            except BadRowError as error:
                _name_bad(imported, f"{row.place}: {error}")
                continue
            for problem in converted.problems:
                _name_bad(imported, f"{row.place}: {problem}")
            for rollout in converted.rollouts:
                imported.cut_prompts += bool(rollout.cut)
                for name in rollout.stated.empty:
                    imported.left_empty.setdefault(name, EmptyValues(0, row.place)).count += 1
                if imported.rows >= written:
                    writer.append(converter.record(rollout, imported.rows))
                imported.rows += 1
                if imported.rows % _SAY_EVERY == 0:
                    writer.flush()
                    yield
    yield


def _name_bad(imported: FileImportState, what: str) -> None:
    imported.bad += 1
    if len(imported.named) < MAX_NAMED:
        imported.named.append(what)


class _StreamWriter:
    """Appends records to the parts of a stream; each part is written by one process."""

    def __init__(self, folder: StageFolder, file: PlannedFile) -> None:
        self._folder = folder.path
        self._stream = f"{file.family}-{file.stream}"
        self._part = max((int(path.stem.rpartition("-")[2]) for path in _parts(folder, file)), default=0)
        self._file: IO[bytes] | None = None
        self._size = 0

    def append(self, record: dict[str, Any]) -> None:
        """Write a record as a line; readers see it after `flush`."""
        line = _encode_line({"v": RECORD_VERSION, "stream": self._stream, "seq": 0, **record})
        if self._file is None or self._size + len(line) > ROTATE_BYTES:
            self._next()
        assert self._file is not None
        self._file.write(line + b"\n")
        self._size += len(line) + 1

    def flush(self) -> None:
        """Make the written lines visible to readers."""
        if self._file is not None:
            self._file.flush()

    def _next(self) -> None:
        if self._file is not None:
            self._file.close()
        self._part += 1
        descriptor = os.open(
            self._folder / f"{self._stream}-{self._part:03d}.jsonl",
            os.O_WRONLY | os.O_APPEND | os.O_CREAT | os.O_EXCL,
            0o644,
        )
        self._file = os.fdopen(descriptor, "wb", buffering=1 << 18)
        self._size = 0

    def __enter__(self) -> _StreamWriter:
        return self

    def __exit__(self, *error: object) -> None:
        if self._file is not None:
            self._file.close()


def _take_over(file: PlannedFile, folder: StageFolder, imported: FileImportState, *, link: bool) -> Iterator[None]:
    """Copy or link a file of cogtui records, which needs no conversion."""
    if file.family == "traces":
        place = folder.artifacts / f"traces_{file.stream}.jsonl"
    else:
        place = folder.path / f"{file.family}-{file.stream}-001.jsonl"
    place.unlink(missing_ok=True)
    is_plain = not file.member and file.path.suffix not in COMPRESSED_SUFFIXES and container_of(file.path) == "lines"
    if link and is_plain:
        place.symlink_to(file.path)
    else:
        aside = place.with_name(f".{place.name}.tmp")
        if is_plain:
            shutil.copyfile(file.path, aside)
        else:
            with aside.open("wb") as copy:
                for row in read_rows(file.path, file.member):
                    if row.value is not None:
                        copy.write(json.dumps(row.value, separators=(",", ":")).encode() + b"\n")
        aside.replace(place)
    beside = file.path.parent / "artifacts" / "judge_run.json"
    if file.family == "judgements" and beside.is_file():
        shutil.copyfile(beside, folder.artifacts / "judge_run.json")
    imported.rows = sum(1 for _ in complete_lines(place)) if not (link and is_plain) else 0
    yield
