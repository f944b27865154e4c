"""Describes the share of the data on disk that a list or a search covers."""

from cogtui.store.values.types import Coverage


def coverage_text(coverage: Coverage | None) -> str:
    """Describe what the list does not show yet; empty if it shows everything."""
    if coverage is None or coverage.complete:
        return ""
    return f"index {100 * coverage.bytes_read // coverage.bytes_total}%"


def searched_text(coverage: Coverage | None) -> str:
    """Describe how many rollouts a full-text search covered, and about how many are not indexed yet."""
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
