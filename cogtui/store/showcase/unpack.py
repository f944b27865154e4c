"""Checks the shipped archive and unpacks it into a workspace in the cache folder, once."""

import contextlib
import json
import shutil
import stat
import tarfile
import tempfile
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from cogtui.store.db.location import cache_folder
from cogtui.store.importing.opening import keep_user_data
from jobs.workspace import Workspace
from pipelines.errors import InvalidInput
from pipelines.files import file_sha256

ARCHIVE: Final = "showcase.tar.xz"
CARD: Final = "showcase.json"
_FOLDER: Final = Path(__file__).parent


@dataclass(frozen=True, slots=True)
class ShowcaseCard:
    """What the archive holds, and the sha256 of the archive and of every file in it."""

    experiment: str
    summary: str
    rollouts: int
    judgements: int
    archive_sha256: str
    files: Mapping[str, str]
    """sha256 by path in the workspace."""


@dataclass(frozen=True, slots=True)
class Showcase:
    """The unpacked showcase."""

    card: ShowcaseCard
    workspace: Workspace


def read_card(root: Path = _FOLDER) -> ShowcaseCard:
    """Read the card beside the archive.

    Raises:
        InvalidInput: the card is missing or damaged.
    """
    try:
        card = json.loads((root / CARD).read_text(encoding="utf-8"))
        return ShowcaseCard(
            experiment=str(card["experiment"]),
            summary=str(card["summary"]),
            rollouts=int(card["rollouts"]),
            judgements=int(card["judgements"]),
            archive_sha256=str(card["archive_sha256"]),
            files={str(path): str(digest) for path, digest in card["files"].items()},
        )
    except (OSError, ValueError, KeyError, TypeError, AttributeError) as error:
        raise _damaged(f"the card {CARD} of the showcase cannot be read: {error!r}") from error


def unpack_showcase(root: Path = _FOLDER) -> Showcase:
    """Return the showcase, unpacked into the cache folder unless it lies there undamaged.

    The files of the workspace are read-only. Notes and annotations go to the user's data folder.

    Args:
        root: folder of the archive and its card.

    Raises:
        InvalidInput: the archive or its card is missing or damaged; names it. MissingRequirement: there is no writable
            cache folder.
    """
    card = read_card(root)
    key = f"showcase-{card.archive_sha256[:12]}"
    folder = cache_folder("showcase") / key
    if _first_difference(folder, card) is not None:
        _unpack(root / ARCHIVE, card, folder)
        wrong = _first_difference(folder, card)
        if wrong is not None:
            raise _damaged(f"{wrong} of the showcase differs from its card after unpacking")
    workspace = Workspace(folder)
    keep_user_data(workspace, key)
    return Showcase(card, workspace)


def _first_difference(folder: Path, card: ShowcaseCard) -> str | None:
    """Return the first file that is missing or differs from the card."""
    for name, digest in card.files.items():
        path = folder / name
        if not path.is_file() or file_sha256(path) != digest:
            return name
    return None


def _unpack(archive: Path, card: ShowcaseCard, folder: Path) -> None:
    if not archive.is_file():
        raise _damaged(f"{archive.name} of the showcase is missing")
    if file_sha256(archive) != card.archive_sha256:
        raise _damaged(f"{archive.name} of the showcase is damaged: its sha256 differs from its card")
    # Unpacked aside and renamed, so that a second process never sees half of it.
    aside = Path(tempfile.mkdtemp(prefix=".unpack-", dir=folder.parent))
    try:
        with tarfile.open(archive, "r:xz") as tar:
            tar.extractall(aside, filter="data")
        for name in card.files:
            (aside / name).chmod(stat.S_IRUSR | stat.S_IRGRP | stat.S_IROTH)
        if folder.exists():
            shutil.rmtree(folder)
        with contextlib.suppress(OSError):  # another process was faster
            aside.rename(folder)
    except (tarfile.TarError, EOFError) as error:
        raise _damaged(f"{archive.name} of the showcase cannot be unpacked: {error}") from error
    finally:
        shutil.rmtree(aside, ignore_errors=True)


def _damaged(summary: str) -> InvalidInput:
    return InvalidInput(summary, remedy="Install cogtui again.")
