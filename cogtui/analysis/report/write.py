"""Writes a report into a folder."""

import os
from pathlib import Path
from typing import NamedTuple

from cogtui.analysis.report.content import build_content
from cogtui.analysis.report.markdown import render_markdown
from cogtui.analysis.report.page import render_html
from cogtui.store import Store
from jobs.planning.experiments import Experiment
from pipelines.errors import MissingRequirement


class ReportFiles(NamedTuple):
    """The files of a report, and the runs it leaves out."""

    files: tuple[Path, ...]
    left_out: tuple[str, ...]


def write_report(experiment: Experiment, store: Store, out: Path, *, judge_error: bool = True) -> ReportFiles:
    """Write `report.html` and `report.md` into a folder, each atomically.

    Args:
        experiment: the newest start.
        store: the index of its workspace, read up to date.
        out: folder, created if missing.
        judge_error: whether to correct counts by people's labels.

    Raises:
        MissingRequirement: the folder cannot be written.
    """
    content = build_content(experiment, store, judge_error=judge_error)
    texts = {"report.html": render_html(content), "report.md": render_markdown(content)}
    written = []
    try:
        out.mkdir(parents=True, exist_ok=True)
        for name, text in texts.items():
            aside = out / f".{name}.{os.getpid()}.tmp"
            aside.write_text(text, encoding="utf-8", errors="backslashreplace")
            aside.replace(out / name)
            written.append(out / name)
    except OSError as error:
        raise MissingRequirement(
            f"the report cannot be written to {out}: {error.strerror}", remedy="Choose another folder."
        ) from error
    return ReportFiles(tuple(written), content.left_out)
