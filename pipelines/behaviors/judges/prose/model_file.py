"""The model's file: a versioned container of arrays with a digest; no pickle.

The file is the line `MAGIC`, a line of canonical JSON (the header), and the bytes of the arrays one after another,
little-endian, compressed by LZMA (2.05 MB become 1.84). The header names the version, each array's type and shape,
the length and sha256 of the arrays' bytes, and the facts of training. Equal content gives equal bytes with one
version of liblzma; the sha256 does not depend on it.
"""

import hashlib
import json
import lzma
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from pipelines.errors import InvalidInput
from pipelines.files import canonical_json

MAGIC: Final = b"cogtui prose model\n"
FORMAT: Final = 2
_TYPES: Final = ("|i1", "<u4", "<f2", "<f4", "<f8")
_LARGEST: Final = 2_000_000
"""Largest model file, in bytes."""
_LARGEST_PAYLOAD: Final = 8_000_000
"""Most bytes that a model file may decompress to."""
_REMEDY: Final = "Install cogtui again, or make the model anew as docs/prose-judge.md says."


@dataclass(frozen=True, slots=True)
class ModelFile:
    """Arrays by name, facts in JSON, and the sha256 of the whole file."""

    arrays: dict[str, NDArray[Any]]
    facts: dict[str, Any]
    sha256: str = field(default="")


def write_model(path: Path, arrays: Mapping[str, NDArray[Any]], facts: Mapping[str, Any]) -> None:
    """Write a model file.

    Raises:
        ValueError: an array has a type the format does not know, or the file would exceed 2 MB.
    """
    listed, parts = [], []
    for name, array in sorted(arrays.items()):
        data = np.ascontiguousarray(array)
        if data.dtype.str not in _TYPES:
            raise ValueError(f"{name} is of type {data.dtype.str}")
        listed.append({"name": name, "type": data.dtype.str, "shape": list(data.shape)})
        parts.append(data.tobytes())
    payload = b"".join(parts)
    header = {
        "format": FORMAT,
        "arrays": listed,
        "facts": dict(facts),
        "bytes": len(payload),
        "sha256": hashlib.sha256(payload).hexdigest(),
    }
    compressed = lzma.compress(payload, preset=9 | lzma.PRESET_EXTREME)
    content = MAGIC + canonical_json(header).encode() + b"\n" + compressed
    if len(content) > _LARGEST:
        raise ValueError(f"the model has {len(content):,} bytes")
    path.write_bytes(content)


def read_model(path: Path) -> ModelFile:
    """Read a model file.

    Raises:
        InvalidInput: it is missing, of another version, or damaged; the error names the file.
    """
    try:
        content = path.read_bytes()
    except OSError as error:
        raise InvalidInput(
            f"the model of the prose judge cannot be read: {path}", detail=error.strerror or str(error), remedy=_REMEDY
        ) from error
    if not content.startswith(MAGIC):
        raise _damaged(path, "it does not begin like one")
    line, _, compressed = content[len(MAGIC) :].partition(b"\n")
    try:
        header = json.loads(line)
        version = header["format"]
    except (ValueError, KeyError, TypeError, RecursionError) as error:
        raise _damaged(path, "its header cannot be read") from error
    if version != FORMAT:
        raise InvalidInput(
            f"the model of the prose judge is of format {version!r}, not {FORMAT}: {path}", remedy=_REMEDY
        )
    payload = _decompress(compressed)
    if payload is None or hashlib.sha256(payload).hexdigest() != header.get("sha256"):
        raise _damaged(path, "its digest does not fit its content")
    try:
        arrays = _arrays(header["arrays"], payload)
        facts = dict(header["facts"])
    except (ValueError, KeyError, TypeError, AttributeError) as error:
        raise _damaged(path, "its header does not fit its content") from error
    return ModelFile(arrays, facts, hashlib.sha256(content).hexdigest())


def _decompress(compressed: bytes) -> bytes | None:
    """Return the payload; None if the data are damaged, cut off, followed by others, or larger than any model."""
    decompressor = lzma.LZMADecompressor()
    try:
        payload = decompressor.decompress(compressed, max_length=_LARGEST_PAYLOAD)
    except lzma.LZMAError:
        return None
    return payload if decompressor.eof and not decompressor.unused_data else None


def _arrays(listed: list[dict[str, Any]], payload: bytes) -> dict[str, NDArray[Any]]:
    arrays: dict[str, NDArray[Any]] = {}
    at = 0
    for entry in listed:
        if entry["type"] not in _TYPES:
            raise ValueError(f"type {entry['type']!r}")
        kind = np.dtype(entry["type"])
        shape = tuple(int(size) for size in entry["shape"])
        count = int(np.prod(shape, dtype=np.int64))
        arrays[entry["name"]] = np.frombuffer(payload, kind, count, at).reshape(shape)
        at += count * kind.itemsize
    if at != len(payload):
        raise ValueError("bytes are left over")
    return arrays


def _damaged(path: Path, why: str) -> InvalidInput:
    return InvalidInput(f"the model of the prose judge is damaged ({why}): {path}", remedy=_REMEDY)
