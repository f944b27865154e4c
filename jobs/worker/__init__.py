"""The worker that runs a stage on a node, with its records and signals. Import `StageRun` from here.

Jobs submitted before the modules of `jobs` became packages have a pickle that names `jobs.worker.StageRun`.
A queue outlives an upgrade, so that name stays importable.
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
