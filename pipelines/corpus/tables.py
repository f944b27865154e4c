"""Tables of what the `classify` and `curate` stages report, for `cogtui show` and the end of a run."""

from collections.abc import Mapping, Sequence
from typing import Any

from pipelines.behaviors.sets.registered import behavior_names
from pipelines.stages.kinds import Result, StageTable
from pipelines.stages.table_text import (
    MISSING,
    count_text,
    figure_text,
    interval_text,
    percent_text,
)


def classify_table(results: Sequence[Result]) -> StageTable:
    """Return the share of documents that show each behaviour."""
    names = behavior_names(results)
    rows = []
    for result in results:
        behaviors = result.get("behaviors") or {}
        shares = tuple(_share_with_interval(behaviors.get(name) or {}) for name in names)
        rows.append((*shares, f"{count_text(result.get('judged'))} of {count_text(result.get('documents'))}"))
    return StageTable((*names, "documents judged"), rows)


def curate_table(results: Sequence[Result]) -> StageTable:
    """Return tokens and behaviours of both sets."""
    rows = []
    for result in results:
        sets = result.get("sets") or {}
        tokens = " / ".join(count_text((sets.get(name) or {}).get("tokens")) for name in ("owm_rich", "owm_minimised"))
        means = " / ".join(_per_example(sets.get(name) or {}) for name in ("owm_rich", "owm_minimised"))
        left_out = sum((result.get("left_out") or {}).values())
        rows.append((tokens, means, count_text(left_out)))
    return StageTable(("tokens, rich / minimised", "behaviours an example", "documents left out"), rows)


def classify_details(result: Result) -> StageTable:
    """Return shares and mean counts by behaviour with their intervals, pairs, and what was not judged."""
    head = ("", "share of documents", "95 %", "mean count", "95 %", "n")
    rows: list[tuple[str, ...]] = []
    for name in behavior_names([result]):
        one = (result.get("behaviors") or {}).get(name) or {}
        rows.append(
            (
                name,
                percent_text(one.get("share")),
                interval_text(one.get("share_low"), one.get("share_high"), percent_text),
                figure_text(one.get("mean")),
                interval_text(one.get("mean_low"), one.get("mean_high"), figure_text),
                count_text(one.get("n")),
            )
        )
    pairs: Sequence[tuple[str, Any]] = [
        *((f"{pair.replace('+', ' and ')}", one) for pair, one in (result.get("cooccurrence") or {}).items()),
        ("poses a problem", result.get("problem") or {}),
        ("solves one", result.get("solution") or {}),
    ]
    for title, one in pairs:
        span = interval_text(one.get("share_low"), one.get("share_high"), percent_text)
        rows.append((title, percent_text(one.get("share")), span, "", "", count_text(one.get("n"))))
    rows += [(f"not judged: {name}", count_text(count), "", "", "", "") for name, count in result["rejected"].items()]
    rows += [(f"judgements: {name}", count_text(count), "", "", "", "") for name, count in result["statuses"].items()]
    return StageTable(head, rows)


def curate_details(result: Result) -> StageTable:
    """Return size and behaviours of each set, what was left out, and how far the sets are apart."""
    names = behavior_names((result.get("sets") or {}).values())
    head = ("set", "tokens", "examples", "matched", *(f"{name} a text" for name in names))
    rows: list[tuple[str, ...]] = []
    for name, one in (result.get("sets") or {}).items():
        means = [figure_text((one.get("behaviors") or {}).get(behavior, {}).get("mean")) for behavior in names]
        rows.append(
            (
                name,
                count_text(one.get("tokens")),
                count_text(one.get("examples")),
                percent_text(one.get("matched")),
                *means,
            )
        )
    blank = ("",) * (len(head) - 2)
    rows += [(f"left out: {name}", count_text(n), *blank) for name, n in (result.get("left_out") or {}).items()]
    for name, one in (result.get("sets") or {}).items():
        rows += [
            (f"lost in rewriting, {name}: {why}", count_text(n), *blank) for why, n in one.get("dropped", {}).items()
        ]
    balance = result.get("balance") or {}
    rows += [(f"distance of the sets, {name}", figure_text(value), *blank) for name, value in balance.items()]
    return StageTable(head, rows)


def _share_with_interval(one: Mapping[str, Any]) -> str:
    share = one.get("share")
    if share is None:
        return MISSING
    return f"{percent_text(share)} ({interval_text(one.get('share_low'), one.get('share_high'), percent_text)})"


def _per_example(one: Mapping[str, Any]) -> str:
    n = one.get("examples")
    counts = [value.get("count", 0) for value in (one.get("behaviors") or {}).values()]
    return figure_text(sum(counts) / n) if n and counts else MISSING
