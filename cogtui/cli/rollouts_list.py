"""The command `rollouts`."""

from collections.abc import Sequence

from cogtui.cli.output import emit, emit_json, narrate
from cogtui.cli.rollouts_shared import fresh_store, parse_sort
from cogtui.store import Page, Query, RolloutRow
from cogtui.store.filter import parse
from cogtui.store.plain import rollout_dict
from jobs.workspace import Workspace
from pipelines.records import BEHAVIOR_LETTERS

_HEAD = (
    "id", "step", "split", "condition", "seed", "problem", "reward", "ok", "tokens", "chars", *BEHAVIOR_LETTERS.values()
)  # fmt: skip
_PAGE = 500


def list_rollouts(workspace: Workspace, filter_text: str, *, sort: str, limit: int, as_json: bool) -> None:
    """Prints the rows of a filter; as JSON with their texts and spans."""
    query = Query(parse(filter_text), parse_sort(sort))
    store, warnings = fresh_store(workspace)
    with store:
        rows: list[RolloutRow] = []
        page: Page[RolloutRow] | None = None
        while len(rows) < limit and (page is None or page.after is not None):
            page = store.page(query, page.after if page else None, limit=min(_PAGE, limit - len(rows)))
            rows += page.rows
        if as_json:
            emit_json([rollout_dict(detail) for detail in store.rollouts(row.id for row in rows)], warnings)
            return
        total = store.count(query)
    for line in table(rows):
        emit(line)
    for warning in warnings:
        narrate(f"warning: {warning}")
    narrate(f"{len(rows):,} of {total:,} rollouts")


def table(rows: Sequence[RolloutRow]) -> list[str]:
    """Rows as aligned columns, numbers to the right."""
    cells = [_HEAD, *(_cells(row) for row in rows)]
    widths = [max(len(row[column]) for row in cells) for column in range(len(_HEAD))]
    left = {0, 2, 3, 5, 7}
    return [
        "  ".join(
            cell.ljust(width) if column in left else cell.rjust(width)
            for column, (cell, width) in enumerate(zip(row, widths, strict=True))
        ).rstrip()
        for row in cells
    ]


def _cells(row: RolloutRow) -> tuple[str, ...]:
    return (
        row.id,
        str(row.step),
        row.split,
        row.condition or "-",
        _or_dash(row.seed),
        row.puzzle(">"),
        "-" if row.reward is None else f"{row.reward:g}",
        {True: "yes", False: "no", None: "-"}[row.correct],
        _or_dash(row.n_tokens),
        str(row.length),
        *map(_or_dash, row.counts),
    )


def _or_dash(value: int | None) -> str:
    return "-" if value is None else str(value)
