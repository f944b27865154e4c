"""Data sets of the Hugging Face hub as files: `hf://datasets/OWNER/NAME[@REVISION][/PATH]`."""

from __future__ import annotations

import contextlib
import os
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from pipelines.errors import InvalidInput, MissingRequirement, NotFound
from pipelines.hub_fetch import hub_address, literal_pattern, translate_hub_error
from pipelines.row_files import has_row_suffix

_SCHEME: Final = "hf:"
_MAX_BYTES: Final = 20 << 30
_NAMED: Final = 5


@dataclass(frozen=True, slots=True)
class HubPath:
    """A data set of the hub, or a file or folder in it."""

    repository: str
    revision: str | None
    inside: str
    """Path of the file or folder; empty for all of the data set."""

    def __str__(self) -> str:
        revision = f"@{self.revision}" if self.revision else ""
        return f"hf://datasets/{self.repository}{revision}" + (f"/{self.inside}" if self.inside else "")


def read_hub_path(path: Path) -> HubPath | None:
    """Return the place on the hub that a path names; None for a path of this machine.

    A path has lost one slash of `hf://` already.

    Raises:
        InvalidInput: it names no data set.
    """
    if path.parts[:1] != (_SCHEME,):
        return None
    parts = list(path.parts[1:])
    if parts[:1] == ["datasets"]:
        parts = parts[1:]
    elif parts[:1] in (["models"], ["spaces"]):
        parts = []
    if len(parts) < 2 or not all(parts):
        raise InvalidInput(
            f"{path} names no data set of the hub", remedy="Write hf://datasets/OWNER/NAME, or a path inside it."
        )
    name, _, revision = parts[1].partition("@")
    return HubPath(f"{parts[0]}/{name}", revision or None, "/".join(parts[2:]))


def fetch_hub_paths(paths: Sequence[Path], report: Callable[[str], None] = lambda line: None) -> list[Path]:
    """Replace places on the hub by files in its cache, which are fetched if they are not there.

    Args:
        paths: of this machine or of the hub.
        report: called with a line for people before files are fetched.

    Raises:
        NotFound: there is no such data set or path, or no file of rows in it.
        InvalidInput: it is too large, or cannot be read without logging in.
        MissingRequirement: the hub cannot be reached, or huggingface_hub is not installed.
    """
    places = [(path, read_hub_path(path)) for path in paths]
    return [path if place is None else _fetch(place, report) for path, place in places]


def _fetch(place: HubPath, report: Callable[[str], None]) -> Path:
    try:
        import huggingface_hub as hub
        from huggingface_hub.utils.tqdm import disable_progress_bars
    except ImportError as error:
        raise MissingRequirement(
            f"reading {place} needs huggingface_hub, not installed for this Python",
            remedy="Install the extra: pip install 'cogtui[corpus]'",
        ) from error
    endpoint = os.environ.get("HF_ENDPOINT") or None
    disable_progress_bars()  # lines are reported, a terminal need not be there
    try:
        info = hub.HfApi(endpoint=endpoint).dataset_info(place.repository, revision=place.revision, files_metadata=True)
        names = _row_files(place, info)
        report(f"{place}: {len(names)} files at {str(info.sha)[:12]}")
        folder = hub.snapshot_download(
            place.repository,
            repo_type="dataset",
            revision=place.revision,  # not its commit: the cache remembers what a name stood for
            allow_patterns=[literal_pattern(name) for name in names],
            endpoint=endpoint,
            cache_dir=os.environ.get("HF_HUB_CACHE") or None,
        )
    except (NotFound, InvalidInput):
        raise
    except Exception as error:  # of sockets, HTTP, the cache, and the hub's own
        meant = translate_hub_error(error, str(place), "data set", place.repository, place.revision)
        if meant is not None:
            raise meant from error
        return _from_cache(hub, place, error)
    return Path(folder, place.inside)


def _row_files(place: HubPath, info: Any) -> list[str]:
    """The files of rows at a place."""
    sizes = {str(one.rfilename): int(one.size or 0) for one in info.siblings or ()}
    inside = place.inside
    found = [name for name in sizes if not inside or name == inside or name.startswith(f"{inside}/")]
    names = [name for name in found if name == inside or has_row_suffix(name)]
    if not names:
        what = f"no file or folder {inside} in" if inside and not found else "no file of rows in"
        shown = ", ".join(sorted(found or sizes)[:_NAMED])
        raise NotFound(f"there is {what} {place.repository}", detail=f"It has {shown or 'no files'}.")
    total = sum(sizes[name] for name in names)
    if total > _MAX_BYTES:
        raise InvalidInput(
            f"{place} has {len(names)} files of {total / 1e9:,.0f} GB",
            remedy=f"Name one of its files or folders, for instance hf://datasets/{place.repository}/{names[0]}.",
        )
    return names


def _from_cache(hub: Any, place: HubPath, error: Exception) -> Path:
    """What was fetched before, where the hub cannot be reached.

    Raises:
        MissingRequirement: nothing was.
    """
    # `snapshot_download` would refuse a snapshot of which files were left out, as all but those of rows are.
    cache = Path(os.environ.get("HF_HUB_CACHE") or hub.constants.HF_HUB_CACHE)
    folder = cache / f"datasets--{place.repository.replace('/', '--')}"
    name = place.revision or "main"
    with contextlib.suppress(OSError):
        name = (folder / "refs" / name).read_text().strip()
    found = folder / "snapshots" / name / place.inside
    if found.exists():
        return found
    raise MissingRequirement(
        f"cannot fetch {place} from {hub_address()}: {' '.join(str(error).split())[:200]}",
        remedy="Check the connection, or fetch the files elsewhere and name them.",
    ) from error
