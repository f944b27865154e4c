"""Lists rollouts that match a filter, or their problems, as a view or options say."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Final, cast, get_args

from cogtui.cli.console.layout import columns_that_fit, output_width
from cogtui.cli.console.output import emit_json, emit_table, narrate
from cogtui.cli.rollouts.shared import fresh_store, parse_sort
from cogtui.store import Page, Query, RolloutRow, Sort, Store
from cogtui.store.filter.parser import EVERYTHING, Filter, parse
from cogtui.store.query.serialize import rollout_dict, version_1_fields
from cogtui.store.user_data.views import View, check_columns, read_views
from cogtui.store.values.fields import MISSING, TEXTS
from cogtui.store.values.types import GroupSort, ProblemGroup
from jobs.workspace import Workspace
from pipelines.behaviors.sets.registered import behaviors_counted
from pipelines.errors import InvalidInput
from pipelines.wording import count_of

_USUAL: Final = ("id", "step", "split", "condition", "seed", "numbers", "reward", "correct", "tokens", "length")
"""The columns if none were chosen; those of the behaviours in use follow."""
_DROPPED: Final = ("length", "split", "tokens", "seed")
"""Usual columns that a narrow terminal leaves out, the first to go first."""
_PAGE: Final = 500


@dataclass(frozen=True, slots=True)
class RolloutListing:
    """A filter, a sort and columns to print."""

    filter: Filter
    sort: Sort
    columns: tuple[str, ...]
    """Those chosen; none: the usual ones."""
    groups: tuple[GroupSort, bool] | None
    """Field and direction of the problems, or None for rollouts."""


def listing_of(
    filter_text: str, *, view: str = "", sort: str | None = None, columns: str = "", by_problem: bool = False
) -> RolloutListing:
    """Return a view as changed by the options.

    Raises:
        InvalidInput: an option is wrong. NotFound: the view does not exist.
    """
    base = read_views().view(view) if view else View(name="-", sort="-step")  # the newest first, as in the app
    chosen = parse(base.filter) if base.filter else EVERYTHING
    names = base.columns
    if columns:
        try:
            names = check_columns(tuple(name.strip() for name in columns.split(",") if name.strip()))
        except ValueError as error:
            raise InvalidInput(str(error)) from None
    groups = base.group_order if base.groups or by_problem else None
    order = base.order
    if sort is not None and groups is not None:
        field = sort.removeprefix("-")
        if field not in get_args(GroupSort):
            known = ", ".join(get_args(GroupSort))
            raise InvalidInput(f"cannot sort problems by {field!r}", remedy=f"One of: {known}.")
        groups = cast("GroupSort", field), sort.startswith("-")
    elif sort is not None:
        order = parse_sort(sort)
    return RolloutListing(chosen & parse(filter_text), order, names, groups)


def list_rollouts(workspace: Workspace, listing: RolloutListing, *, limit: int, as_json: bool) -> None:
    """Print the rollouts of a filter (as JSON with texts and spans), or its problems."""
    query = Query(listing.filter, listing.sort)
    store, warnings = fresh_store(workspace)
    with store:
        if listing.groups is not None:
            _list_problems(store, query, listing.groups, limit, as_json, warnings)
            return
        rows: list[RolloutRow] = []
        page: Page[RolloutRow] | None = None
        while len(rows) < limit and (page is None or page.after is not None):
            page = store.page(query, page.after if page else None, limit=min(_PAGE, limit - len(rows)))
            rows += page.rows
        if as_json:
            emit_json([rollout_dict(detail) for detail in store.rollouts(row.id for row in rows)], warnings)
            return
        total = store.count(query)
        hints = [] if total else store.unknown_values(listing.filter)
    print_rows(rows, listing.columns)
    for hint in hints:
        narrate(hint)
    _close(warnings, f"{len(rows):,} of {count_of(total, 'rollout')}")


def _list_problems(
    store: Store, query: Query, groups: tuple[GroupSort, bool], limit: int, as_json: bool, warnings: list[str]
) -> None:
    found: list[ProblemGroup] = []
    page: Page[ProblemGroup] | None = None
    while len(found) < limit and (page is None or page.after is not None):
        after = page.after if page else None
        page = store.problems(query, after, sort=groups[0], descending=groups[1], limit=min(_PAGE, limit - len(found)))
        found += page.rows
    if as_json:
        emit_json([_group_dict(group) for group in found], warnings)
        return
    head = ("problem", "numbers", "rollouts", "scored", "best", "mean", "worst")
    cells = [
        (
            group.problem_id, group.describe(">"), str(group.rollouts),
            str(group.scored), *(MISSING if v is None else f"{v:.3g}" for v in (group.best, group.mean, group.worst)),
        )
        for group in found
    ]  # fmt: skip
    emit_table([head, *cells], range(2, len(head)), layout="stack")
    more = "" if page is None or page.after is None else ", and more (--limit)"
    _close(warnings, f"{count_of(len(found), 'problem')}{more}")


def _group_dict(group: ProblemGroup) -> dict[str, Any]:
    return {
        "problem_id": group.problem_id,
        "task": group.task,
        "problem": dict(group.problem),
        **version_1_fields(group.problem),
        "rollouts": group.rollouts,
        "scored": group.scored,
        "best": group.best,
        "mean": group.mean,
        "worst": group.worst,
        "reward_by_step": [[step, mean] for step, mean in group.by_step],
    }


def _close(warnings: Sequence[str], text: str) -> None:
    for warning in warnings:
        narrate(f"warning: {warning}")
    narrate(text)


def print_rows(rows: Sequence[RolloutRow], columns: Sequence[str] = ()) -> None:
    """Print rows as a table, numbers to the right; a narrow terminal gets fewer columns, and a line names the others.

    Args:
        rows: of the list.
        columns: names of those to show; none: the usual ones.
    """
    names = columns or (*_USUAL, *behaviors_counted(row.counts for row in rows))
    chosen = [TEXTS[name] for name in names]
    cells = [tuple(title for title, _, _ in chosen), *(tuple(text(row) for _, _, text in chosen) for row in rows)]
    drop = [] if columns else [names.index(name) for name in _DROPPED]
    kept = columns_that_fit(cells, drop, output_width())
    right = {place for place, column in enumerate(kept) if chosen[column][1]}
    emit_table([[row[column] for column in kept] for row in cells], right, layout="stack")
    left_out = [name for column, name in enumerate(names) if column not in kept]
    if left_out:
        narrate(f"not shown at this width: {', '.join(left_out)}; choose with --columns")
