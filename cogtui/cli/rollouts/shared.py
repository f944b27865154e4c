"""Opens the index for commands, parses sorts, and warns about incomplete coverage."""

from cogtui.store import Sort, Store, open_store
from cogtui.store.values.types import SORT_FIELDS, Coverage
from jobs.workspace import Workspace
from pipelines.errors import InvalidInput
from pipelines.wording import count_of


def fresh_store(workspace: Workspace) -> tuple[Store, list[str]]:
    """Return the up-to-date index of a workspace, and warnings about missing records."""
    store = open_store(workspace)
    try:
        return store, coverage_warnings(store, store.ingest())
    except BaseException:
        store.close()
        raise


def coverage_warnings(store: Store, coverage: Coverage) -> list[str]:
    """Return warnings about records that the index lacks."""
    warnings = store.take_notices()
    if coverage.bad_lines:
        first = next(store.bad_lines(), None)
        where = f", the first at {first.file}, byte {first.byte}: {first.reason}" if first else ""
        warnings.append(f"{count_of(coverage.bad_lines, 'line')} could not be read{where}")
    if coverage.orphans:
        belong = "belongs" if coverage.orphans == 1 else "belong"
        warnings.append(f"{count_of(coverage.orphans, 'judgement')} {belong} to rollouts that are not here")
    behind = coverage.bytes_total - coverage.bytes_read
    if store.writer() is not None and behind > 0:
        warnings.append(f"the index is being built: {coverage.bytes_read / coverage.bytes_total:.0%} is read so far")
    return warnings


def parse_sort(text: str) -> Sort:
    """Parse a sort: `-reward` sorts by reward, largest first.

    Raises:
        InvalidInput: there is no such field.
    """
    field = text.removeprefix("-")
    if field not in SORT_FIELDS:
        raise InvalidInput(f"cannot sort by {field!r}", remedy=f"One of: {', '.join(SORT_FIELDS)}.")
    return Sort(field, text.startswith("-"))
