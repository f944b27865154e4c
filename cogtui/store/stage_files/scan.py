"""Listing the stage folders of a workspace and their stream files, in a fixed order."""

import hashlib
import os
import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from cogtui.store.values.encodings import FAMILIES, Family
from jobs.workspace import Workspace
from pipelines.errors import CogtuiError
from pipelines.files import open_regular, read_json
from pipelines.folder import StageInfo
from pipelines.records import JudgeRun
from pipelines.stages.builtin import IMPORT, find_kind
from pipelines.stages.kinds import Output
from pipelines.streams import FAMILIES as STREAM_FAMILIES
from pipelines.streams import stream_files

TRACES: Final = "traces*.jsonl"
JUDGE_RUN: Final = Path("artifacts") / "judge_run.json"
_PART: Final = re.compile(r"-(\d+)\.jsonl$")
_OFFSET_BITS: Final = 27  # streams are rotated at 128 MiB, so a line starts below 2**27
_LAST_OFFSET: Final = (1 << _OFFSET_BITS) - 1
_PART_BITS: Final = 16


@dataclass(frozen=True, slots=True)
class Stage:
    """A stage folder, with what the index stores of it."""

    key: str
    kind: str
    name: str
    labels: dict[str, str | int | float | bool]
    inputs: tuple[str, ...]
    path: Path


@dataclass(frozen=True, slots=True)
class StreamFile:
    """A file of records."""

    stage: str
    """Key of its stage."""
    family: Family
    stream: str
    path: Path
    first_ordinal: int
    """Ordinal of a record at its first byte; see `record_ordinal`."""
    follows: str
    """Key of the stage whose rollouts it holds or judges; files are read in the order of these keys."""
    own_labels: bool
    """Whether its records state their own condition, seed and unknown fields, as imported ones do."""


def read_stage(path: Path) -> Stage | None:
    """Read the stage of a folder; None if `stage.json` is missing or not readable yet."""
    try:
        raw = read_json(path / "stage.json")
        info = StageInfo.model_validate(raw)
    except (CogtuiError, ValueError, OSError):
        return None
    return Stage(info.key, info.kind, info.name, info.labels, info.inputs, path)


def stream_files_of(stage: Stage) -> Iterator[StreamFile]:
    """Yield the files of a stage, by family, stream and part."""
    for family in STREAM_FAMILIES:
        for path in stream_files(stage.path, family):
            match = _PART.search(path.name)
            assert match is not None
            yield _source(stage, _family(family), path.name[: match.start()], path, int(match[1]))
    if _writes(stage, "traces"):
        for path in sorted((stage.path / "artifacts").glob(TRACES)):
            yield _source(stage, "traces", path.stem, path, 1)


def _source(stage: Stage, family: Family, stream: str, path: Path, part: int) -> StreamFile:
    documents = _writes(stage, "documents")
    own = family != "judgements" or documents
    follows = stage.key if own else min(stage.inputs, default="")
    ordinal = _first_ordinal(stage.key, stream, part)
    return StreamFile(stage.key, family, stream, path, ordinal, follows, documents or stage.kind == IMPORT.name)


def _writes(stage: Stage, output: Output) -> bool:
    """Whether the kind of a stage declares an output; a kind that is unknown here declares none."""
    kind = find_kind(stage.kind)
    return kind is not None and output in kind.writes


def _family(name: str) -> Family:
    return next(family for family in FAMILIES if family == name)


def _first_ordinal(stage_key: str, stream: str, part: int) -> int:
    digest = hashlib.sha256(f"{stage_key}\x1f{stream}".encode()).digest()
    stream_bits = int.from_bytes(digest[:4], "big") >> (32 - (63 - _PART_BITS - _OFFSET_BITS))
    return (stream_bits << (_PART_BITS + _OFFSET_BITS)) | (min(part, (1 << _PART_BITS) - 1) << _OFFSET_BITS)


def record_ordinal(first_ordinal: int, byte: int) -> int:
    """Return the rank of a record in the total order of all records: by stage and stream (hashed), file, byte.

    It does not depend on when files are read, so an index that grew over days and one that was rebuilt in a minute
    list the same rows in the same order.
    """
    return first_ordinal | (byte if byte < _LAST_OFFSET else _LAST_OFFSET)


def judge_run_of(stage: Stage) -> JudgeRun | None:
    """Read the judge run of a judge stage; None if it is not written yet."""
    try:
        return JudgeRun.model_validate(read_json(stage.path / JUDGE_RUN))
    except (CogtuiError, ValueError, OSError):
        return None


def stage_names(workspace: Workspace) -> list[str]:
    """Return the names of all folders of stages, sorted; one may have no `stage.json` yet."""
    try:
        return sorted(os.listdir(workspace.stages))  # noqa: PTH208
    except OSError:
        return []


def head_digest(path: Path, length: int) -> str:
    """Return a digest of the first bytes of a file, which tells a file that grew from one that was replaced."""
    with open_regular(path) as stream:
        return hashlib.sha256(stream.read(min(length, 4096))).hexdigest()[:16]


def judge_rank(judge: str) -> int:
    """Return the priority of a judge whose counts a row shows when there are several; the lowest wins."""
    name = judge.partition(":")[0].partition("-")[0]
    return {"rules": 1, "teacher": 8, "human": 9}.get(name, 2)


def problem_number(problem_id: str) -> int | None:
    """Return the number in a problem id like `17` or `train-00017`, which `problem:17` finds; None for other ids."""
    match = re.fullmatch(r"(?:[A-Za-z]+[-_ ]?)?(\d{1,18})", problem_id)
    return int(match[1]) if match else None
