"""Exports rollouts to files or standard output."""

import io
import os
import sys
from collections.abc import Callable
from pathlib import Path
from typing import IO

from cogtui.cli.console.output import emit_json, narrate, printable
from cogtui.cli.rollouts.shared import fresh_store, parse_sort
from cogtui.store import Query
from cogtui.store.export.selection import ExportFormat, ExportSelection, format_of
from cogtui.store.filter.parser import parse
from cogtui.store.values.types import RolloutRow
from jobs.workspace import Workspace
from pipelines.errors import InvalidInput, MissingRequirement
from pipelines.wording import count_of

_MAX_ON_A_PAGE = 5000


def export_rollouts(
    workspace: Workspace,
    filter_text: str,
    *,
    out: Path | None,
    chosen: str | None,
    sort: str,
    limit: int | None,
    raw: bool,
    as_json: bool,
) -> None:
    """Write the rollouts of a filter to a file, or as JSON lines or CSV to standard output; `raw` is for CSV alone."""
    query = Query(parse(filter_text), parse_sort(sort))
    wanted = format_of(out or Path("out.jsonl"), chosen)
    if out is None and (wanted in ("parquet", "html") or as_json):
        raise InvalidInput("this format needs a file", remedy="Name one with --out.")
    if raw and wanted != "csv":
        raise InvalidInput("--raw is for CSV: the other formats hold texts unchanged", remedy="Leave it out.")
    store, warnings = fresh_store(workspace)
    with store:
        selection = ExportSelection(store, query, limit)
        if out is None:
            # A pipe gets the data unchanged, a terminal gets control characters replaced.
            stream: IO[str] = _PrintableStream(sys.stdout) if sys.stdout.isatty() else sys.stdout
            _write_text(selection, wanted, filter_text, stream, raw)
            return
        count = _to_file(selection, wanted, filter_text, out, raw)
    if as_json:
        emit_json({"path": str(out.absolute()), "format": wanted, "rollouts": count}, warnings)
        return
    for warning in warnings:
        narrate(f"warning: {warning}")
    narrate(f"{count_of(count, 'rollout')} written to {out}")


class _PrintableStream(io.StringIO):
    """Writes text to a stream with control characters replaced."""

    def __init__(self, stream: IO[str]) -> None:
        super().__init__()
        self._stream = stream

    def write(self, text: str) -> int:
        return self._stream.write(printable(text))


def _to_file(selection: ExportSelection, wanted: ExportFormat, filter_text: str, out: Path, raw: bool) -> int:
    """Write to a temporary file and rename it, so that readers never see half an export."""
    aside = out.with_name(f".{out.name}.{os.getpid()}.{os.urandom(6).hex()}.tmp")  # nobody can put a link there first
    try:
        if wanted == "parquet":
            from cogtui.store.export.tables import write_parquet

            count = write_parquet(selection, aside)
        else:
            with aside.open("w", encoding="utf-8", newline="") as stream:
                count = _write_text(selection, wanted, filter_text, stream, raw)
        aside.replace(out)
    except OSError as error:
        raise MissingRequirement(f"cannot write {out}: {error.strerror}") from error
    finally:
        aside.unlink(missing_ok=True)
    return count


def _write_text(selection: ExportSelection, wanted: ExportFormat, filter_text: str, stream: IO[str], raw: bool) -> int:
    from cogtui.store.export.tables import write_csv, write_jsonl

    writers: dict[str, Callable[[], int]] = {
        "jsonl": lambda: write_jsonl(selection, stream),
        "csv": lambda: write_csv(selection, stream, raw=raw),
        "html": lambda: _write_page(selection, filter_text, stream),
    }
    return writers[wanted]()


def _write_page(selection: ExportSelection, filter_text: str, stream: IO[str]) -> int:
    from cogtui.store.export.html import write_html

    total = selection.store.count(selection.query)
    wanted = total if selection.limit is None else min(total, selection.limit)
    if wanted > _MAX_ON_A_PAGE:
        raise InvalidInput(
            f"{wanted:,} rollouts are too many for one page", remedy=f"Use --limit, at most {_MAX_ON_A_PAGE}."
        )
    rows: list[RolloutRow] = list(selection.store.page(selection.query, limit=max(wanted, 1)).rows)
    title = f"Rollouts: {filter_text}" if filter_text else "Rollouts"
    return write_html(selection.store.rollouts(row.id for row in rows), rows, stream, title=title)
