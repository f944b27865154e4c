"""How much of what lies on disk a list or a search could see, in words."""

from cogtui.store.values.types import Coverage


def coverage_text(coverage: Coverage | None) -> str:
    """What the list does not show yet; empty where it shows everything."""
    if coverage is None or coverage.complete:
        return ""
    return f"index {100 * coverage.bytes_read // coverage.bytes_total}%"


def searched_text(coverage: Coverage | None) -> str:
    """How many rollouts a full-text search looked at, and about how many it could not see yet."""
    if coverage is None:
        return ""
    text = f"searched {coverage.rollouts:,}"
    if coverage.complete:
        return f"{text}, all there are"
    waiting = coverage.bytes_total - coverage.bytes_read
    if not coverage.rollouts or not coverage.bytes_read:
        return f"{text}; {waiting / 1e6:,.1f} MB not indexed yet"
    each = coverage.bytes_read / coverage.rollouts
    return f"{text}, about {max(1, round(waiting / each)):,} not indexed yet"
