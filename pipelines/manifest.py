"""The manifest of a checkpoint: digests of its files, and how far the streams reached when it was taken.

A checkpoint is used only if every file has its digest and every stream file is at least as long as then. A lost page, a
flipped bit and a stream that was cut all lead back to an earlier checkpoint.
"""

from collections.abc import Mapping
from pathlib import Path
from typing import Any, Final

from pipelines.errors import InvalidInput
from pipelines.files import read_json, sync_file, sync_folder, write_json
from pipelines.streams import FAMILIES, stream_files

MANIFEST: Final = "manifest.json"
VERSION: Final = 2
_BLOCK_BYTES: Final = 1 << 20


class DamagedCheckpoint(Exception):
    """A checkpoint with a missing or changed file, or one that the streams no longer reach."""


def seal_checkpoint(path: Path, stage: Path) -> None:
    """Sync the streams of a stage and the files of a checkpoint to the disk, and write the manifest.

    Args:
        path: the checkpoint folder, complete but for the manifest.
        stage: the stage folder.

    Raises:
        OSError: the disk is full or fails.
    """
    streams = sync_streams(stage)
    files = {}
    for file in sorted(each for each in path.rglob("*") if each.is_file()):
        sync_file(file)
        files[file.relative_to(path).as_posix()] = {"bytes": file.stat().st_size, "xxh3": file_digest(file)}
    for folder in (each for each in path.rglob("*") if each.is_dir()):
        sync_folder(folder)
    write_json(path / MANIFEST, {"v": VERSION, "files": files, "streams": streams})


def sync_streams(stage: Path) -> dict[str, int]:
    """Sync the stream files of a stage and their folder entries to the disk; return their lengths in bytes by name."""
    lengths = {}
    for family in FAMILIES:
        for file in stream_files(stage, family):
            sync_file(file)
            lengths[file.name] = file.stat().st_size
    if lengths:
        sync_folder(stage)
    return lengths


def verify_files(path: Path, *, required: bool = True) -> dict[str, int]:
    """Check the files of a checkpoint against its manifest; return how long the stream files were, by name.

    Args:
        path: the checkpoint folder.
        required: whether a checkpoint without a manifest counts as damaged.

    Raises:
        DamagedCheckpoint: names the first file that is missing or changed.
    """
    try:
        manifest = read_json(path / MANIFEST)
    except (InvalidInput, OSError, ValueError, RecursionError) as error:
        raise DamagedCheckpoint(f"{MANIFEST} cannot be read") from error
    if manifest is None and not required:
        return {}
    if not isinstance(manifest, dict):
        raise DamagedCheckpoint(f"there is no {MANIFEST}")
    if "v" not in manifest:  # version 1: sizes only
        manifest = {"files": {name: {"bytes": size} for name, size in manifest.items()}, "streams": {}}
    try:
        for name, wanted in manifest["files"].items():
            _verify_file(path, name, wanted)
        return {str(name): int(length) for name, length in manifest["streams"].items()}
    except (KeyError, ValueError, AttributeError, TypeError) as error:
        raise DamagedCheckpoint(f"{MANIFEST} is not a manifest") from error


def _verify_file(path: Path, name: str, wanted: dict[str, Any]) -> None:
    file = path / name
    try:
        if not file.is_file() or file.stat().st_size != wanted["bytes"]:
            raise DamagedCheckpoint(f"{name} is missing or not {wanted['bytes']} bytes long")
        changed = "xxh3" in wanted and file_digest(file) != wanted["xxh3"]
    except OSError as error:
        raise DamagedCheckpoint(f"{name} cannot be read: {error.strerror}") from error
    if changed:
        raise DamagedCheckpoint(f"{name} was changed since it was written: its digest differs")


def verify_streams(stage: Path, lengths: Mapping[str, int]) -> None:
    """Check that the stream files of a stage are at least as long as when a checkpoint was taken.

    Raises:
        DamagedCheckpoint: names the first file that is missing or too short.
    """
    for name, length in lengths.items():
        try:
            found = (stage / name).stat().st_size
        except OSError:
            raise DamagedCheckpoint(f"the stream file {name} is missing, which held {length} bytes then") from None
        if found < length:
            raise DamagedCheckpoint(f"the stream file {name} holds {found} bytes, and held {length} then")


def file_digest(path: Path) -> str:
    """Return the xxh3 digest of a file, 128 bits in hexadecimal."""
    import xxhash  # here: a command that writes no checkpoint does not need it

    digest = xxhash.xxh3_128()
    with path.open("rb") as stream:
        while block := stream.read(_BLOCK_BYTES):
            digest.update(block)
    return digest.hexdigest()
