"""Fetching models of the Hugging Face hub into its cache, pinned to a commit and resumable, and the hub's errors."""

import errno
import os
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from pipelines.errors import CogtuiError, InvalidInput, MissingRequirement, NotFound
from pipelines.hub_cache import OFFLINE_VARIABLE, hub_cache, is_offline, missing_files
from pipelines.wording import count_of

_LEFT_OUT: Final = (".bin", ".pth", ".pt", ".h5", ".msgpack", ".onnx", ".gguf", ".ot", ".tflite", ".mlmodel")
"""Other formats of weights, which are left out where there are safetensors."""
_SMALL: Final = (".json", ".txt", ".model", ".jinja", ".md")
_ANSWER_S: Final = 30.0
"""Seconds that the hub may take to answer."""
_DISK_ERRORS: Final = (errno.ENOSPC, errno.EDQUOT, errno.EROFS, errno.EACCES, errno.EPERM)
_REPORT_STEP: Final = 0.1
"""A line of progress for each tenth of the bytes."""


@dataclass(frozen=True, slots=True)
class FetchedModel:
    """A model in the cache."""

    name: str
    revision: str | None
    """As asked for; None for the default branch."""
    commit: str
    """What it stood for."""
    folder: Path
    files: int
    size: int
    """Bytes of all files."""
    fetched: int
    """Bytes that were not there before."""


def parse_model(text: str) -> tuple[str, str | None]:
    """Return name and revision of `OWNER/NAME[@REVISION]`.

    Raises:
        InvalidInput: it is no name on the hub.
    """
    name, at, revision = text.removeprefix("hf://").removeprefix("models/").partition("@")
    parts = name.split("/")
    if at and not revision:
        raise InvalidInput(f"{text!r} has no revision after the @", remedy="Write OWNER/NAME or OWNER/NAME@REVISION.")
    # The hub itself has a few models without an owner (gpt2).
    if not 1 <= len(parts) <= 2 or not all(part and part not in (".", "..") for part in parts) or " " in text:
        raise InvalidInput(f"{text!r} names no model of the hub", remedy="Write OWNER/NAME or OWNER/NAME@REVISION.")
    return name, revision or None


def fetch_model(
    name: str, revision: str | None, report: Callable[[str], None], *, config_only: bool = False
) -> FetchedModel:
    """Fetch the files of a model that are not in the cache; a broken connection continues within a file.

    Args:
        name: OWNER/NAME.
        revision: a commit, branch or tag; by default `main`, and the cache remembers what it stood for.
        report: called with a line of progress.
        config_only: leave out weights: enough for `cogtui plan --memory`.

    Raises:
        NotFound: no such model or revision.
        InvalidInput: it cannot be read without logging in, or is no model that can be loaded.
        MissingRequirement: the hub cannot be reached, or huggingface_hub is not installed.
    """
    if is_offline(os.environ):
        raise MissingRequirement(
            f"{OFFLINE_VARIABLE} is set, so nothing can be fetched",
            remedy=f"Unset it on a machine with internet: {OFFLINE_VARIABLE}=0 cogtui fetch {name}",
        )
    try:
        import huggingface_hub as hub
        from huggingface_hub.utils.tqdm import disable_progress_bars
    except ImportError as error:
        raise MissingRequirement(
            "fetching models needs huggingface_hub, not installed for this Python",
            remedy="Install the extra: pip install 'cogtui[train]'",
        ) from error
    endpoint = os.environ.get("HF_ENDPOINT") or None
    cache = hub_cache()
    disable_progress_bars()  # lines are reported, a terminal need not be there
    place = f"{name}@{revision}" if revision else name
    try:
        report(f"{place}: asking {hub_address()}")
        info = hub.HfApi(endpoint=endpoint).model_info(name, revision=revision, files_metadata=True, timeout=_ANSWER_S)
        sizes = _wanted({str(one.rfilename): int(one.size or 0) for one in info.siblings or ()}, config_only)
        commit, total = str(info.sha), sum(sizes.values())
        snapshot = cache / f"models--{name.replace('/', '--')}" / "snapshots" / commit
        there = sum(size for file, size in sizes.items() if (snapshot / file).is_file())
        report(f"{place}: {count_of(len(sizes), 'file')}, {_gigabytes(total)}, at {commit[:12]}")
        progress = _Progress(report, total, there)
        for file in sizes:
            if not (snapshot / file).is_file():
                hub.hf_hub_download(
                    name, file, revision=commit, endpoint=endpoint, cache_dir=cache, tqdm_class=progress.bar()
                )
        # Not its commit: the cache remembers what a name stood for, and offline jobs look that up.
        hub.snapshot_download(
            name, revision=revision, allow_patterns=[literal_pattern(file) for file in sizes], endpoint=endpoint,
            cache_dir=cache,
        )  # fmt: skip
    except CogtuiError:
        raise
    except Exception as error:  # of sockets, HTTP, the disk, and the hub's own
        if isinstance(error, OSError) and error.errno in _DISK_ERRORS:
            raise MissingRequirement(
                f"cannot write to {cache}: {error.strerror}",
                detail="Files that came whole are kept: the same command continues with the others.",
                remedy="Free some space there, or set HF_HOME to another folder, here and for the jobs.",
            ) from error
        raise translate_hub_error(error, place, "model", name, revision) or MissingRequirement(
            f"cannot fetch {place} from {hub_address()}: {' '.join(str(error).split())[:200]}",
            detail="Files that came whole are kept: the same command continues with the others.",
            remedy="Run it on a machine with internet, usually the login node, or set HF_ENDPOINT to a mirror.",
        ) from error
    missing = [] if config_only else missing_files(snapshot)
    if missing:
        raise InvalidInput(
            f"{place} is no model that can be loaded: it has no {', '.join(missing[:3])}",
            remedy="Choose a model in the layout of transformers.",
        )
    return FetchedModel(name, revision, commit, snapshot, len(sizes), total, total - there)


def hub_address() -> str:
    """Return the address of the hub, or of the mirror in HF_ENDPOINT."""
    return os.environ.get("HF_ENDPOINT") or "https://huggingface.co"


def translate_hub_error(error: Exception, place: str, noun: str, name: str, revision: str | None) -> CogtuiError | None:
    """Return what an error of huggingface_hub means for the user; None if it only means that nothing was fetched.

    Args:
        error: the error.
        place: as the user named it.
        noun: `model` or `data set`.
        name: OWNER/NAME.
        revision: as asked for.
    """
    from huggingface_hub import errors

    if isinstance(error, errors.GatedRepoError):
        return InvalidInput(
            f"{place} can be read by those only who accepted its terms",
            remedy="Accept them on its page, then log in: hf auth login",
        )
    if isinstance(error, errors.RevisionNotFoundError):
        return NotFound(f"there is no revision {revision} of {name} on the hub")
    if isinstance(error, errors.RepositoryNotFoundError | errors.HFValidationError):
        return NotFound(
            f"there is no {noun} {name} on the hub, or it is private",
            remedy="If it is private, log in: hf auth login",
        )
    return None


def _wanted(sizes: dict[str, int], config_only: bool) -> dict[str, int]:
    """Return the files to fetch: those at the top, of one format of weights."""
    top = {file: size for file, size in sizes.items() if "/" not in file and not file.startswith(".")}
    if config_only:
        return {file: size for file, size in top.items() if file.endswith(_SMALL)}
    if any(file.endswith(".safetensors") for file in top):
        return {
            file: size
            for file, size in top.items()
            if not file.endswith(_LEFT_OUT) and not file.startswith("consolidated.")
        }
    return top


class _Progress:
    """Reports the share of all bytes that has come, a line for each tenth."""

    def __init__(self, report: Callable[[str], None], total: int, there: int) -> None:
        self._report = report
        self._total = total
        self._done = there
        self._next = there / total + _REPORT_STEP if total else 1.0

    def add(self, count: float) -> None:
        """Count bytes."""
        self._done += int(count)
        if self._total and self._done / self._total >= self._next and self._done < self._total:
            self._report(f"  {_gigabytes(self._done)} of {_gigabytes(self._total)}")
            self._next = self._done / self._total + _REPORT_STEP

    def bar(self) -> Any:
        """Return the class of progress bars that huggingface_hub updates; they draw nothing."""
        add = self.add

        class Bar:
            def __init__(self, iterable: Iterable[Any] | None = None, *_: Any, initial: float = 0, **__: Any) -> None:
                self.n = initial
                add(initial)

            def update(self, count: float | None = 1) -> None:
                self.n += count or 0
                add(count or 0)

            def __enter__(self) -> "Bar":
                return self

            def __exit__(self, *_: Any) -> None: ...

            def __getattr__(self, name: str) -> Any:
                return lambda *_, **__: None

        return Bar


def _gigabytes(count: float) -> str:
    return f"{count / 1e9:.2f} GB" if count >= 1e7 else f"{count / 1e6:.2f} MB"


def literal_pattern(name: str) -> str:
    """Return a pattern that matches a name alone."""
    return "".join(f"[{each}]" if each in "*?[" else each for each in name)
