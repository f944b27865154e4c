"""Rebuilds the index."""

import dataclasses
import sys
import time

from cogtui.cli.console.output import emit_json, narrate
from cogtui.cli.rollouts.shared import coverage_warnings
from cogtui.store import open_store
from cogtui.store.ingest.ingest import IngestProgress
from cogtui.store.ingest.rebuild import rebuild
from jobs.workspace import Workspace
from pipelines.wording import count_of

_SAY_EVERY_S = 2.0


def rebuild_index(workspace: Workspace, *, as_json: bool) -> None:
    """Rebuild the index and print what it contains."""
    started = said = time.monotonic()

    def report(progress: IngestProgress) -> None:
        nonlocal said
        if time.monotonic() - said > _SAY_EVERY_S and progress.total and sys.stderr.isatty():
            said = time.monotonic()
            narrate(f"{progress.done / progress.total:4.0%}  {progress.file}")

    rebuild(workspace, report)
    with open_store(workspace, readonly=True) as store:
        coverage = store.coverage()
        warnings = coverage_warnings(store, coverage)
        if as_json:
            emit_json({**dataclasses.asdict(coverage), "path": str(store.path)}, warnings)
            return
    narrate(
        f"{count_of(coverage.rollouts, 'rollout')} and {count_of(coverage.judgements, 'judgement')} "
        f"from {count_of(coverage.files, 'file')} in {time.monotonic() - started:.1f} s"
    )
    for warning in warnings:
        narrate(f"warning: {warning}")
