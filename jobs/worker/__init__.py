"""What runs on a node: the entry point that submitit pickles, and its records.

Jobs submitted before the modules of `jobs` became packages hold a pickle that names `jobs.worker.StageRun`.
A queue outlives an upgrade, so that name stays importable from here.
"""

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from jobs.worker.entry import StageRun

__all__ = ["StageRun"]


def __getattr__(name: str) -> Any:
    if name in __all__:
        from jobs.worker import entry

        return getattr(entry, name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
