"""What the corpus stages found, in tables that can be read: for `cogtui show` and the end of a run."""

from collections.abc import Mapping, Sequence
from typing import Any, Final

from pipelines.records import BEHAVIORS

MISSING: Final = "–"

Result = Mapping[str, Any]
Table = tuple[tuple[str, ...], Sequence[tuple[str, ...]]]


def classify_table(results: Sequence[Result]) -> Table:
    """Share of the documents that show each behaviour, one row a stage."""
    rows = []
    for result in results:
        behaviors = result.get("behaviors") or {}
        shares = tuple(_percent(behaviors.get(name) or {}) for name in BEHAVIORS)
        rows.append((*shares, f"{_count(result.get('judged'))} of {_count(result.get('documents'))}"))
    return (*BEHAVIORS, "documents judged"), rows


def curate_table(results: Sequence[Result]) -> Table:
    """Tokens and behaviours of both sets, one row a stage."""
    rows = []
    for result in results:
        sets = result.get("sets") or {}
        tokens = " / ".join(_count((sets.get(name) or {}).get("tokens")) for name in ("owm_rich", "owm_minimised"))
        means = " / ".join(_per_example(sets.get(name) or {}) for name in ("owm_rich", "owm_minimised"))
        left_out = sum((result.get("left_out") or {}).values())
        rows.append((tokens, means, _count(left_out)))
    return ("tokens, rich / minimised", "behaviours an example", "documents left out"), rows


def pretrain_table(results: Sequence[Result]) -> Table:
    """What was trained on, and the loss at the end."""
    rows = [
        (_count(result.get("tokens")), _count(result.get("steps")), _figure(result.get("loss"))) for result in results
    ]
    return ("tokens", "steps", "loss at the end"), rows


def lines_for(kind: str, result: Result) -> list[tuple[str, ...]]:
    """The rows of a table about one stage, the head first; empty for other kinds."""
    return {"classify": _classified, "curate": _curated}.get(kind, lambda _: [])(result)


def _classified(result: Result) -> list[tuple[str, ...]]:
    rows: list[tuple[str, ...]] = [("", "share of documents", "95 %", "mean count", "95 %", "n")]
    for name in BEHAVIORS:
        one = (result.get("behaviors") or {}).get(name) or {}
        rows.append(
            (
                name,
                _share(one.get("share")),
                _range(one.get("share_low"), one.get("share_high"), _share),
                _figure(one.get("mean")),
                _range(one.get("mean_low"), one.get("mean_high"), _figure),
                _count(one.get("n")),
            )
        )
    pairs: Sequence[tuple[str, Any]] = [
        *((f"{pair.replace('+', ' and ')}", one) for pair, one in (result.get("cooccurrence") or {}).items()),
        ("poses a problem", result.get("problem") or {}),
        ("solves one", result.get("solution") or {}),
    ]
    for title, one in pairs:
        span = _range(one.get("share_low"), one.get("share_high"), _share)
        rows.append((title, _share(one.get("share")), span, "", "", _count(one.get("n"))))
    rows += [(f"not judged: {name}", _count(count), "", "", "", "") for name, count in result["rejected"].items()]
    rows += [(f"judgements: {name}", _count(count), "", "", "", "") for name, count in result["statuses"].items()]
    return rows


def _curated(result: Result) -> list[tuple[str, ...]]:
    rows: list[tuple[str, ...]] = [("set", "tokens", "examples", "matched", *(f"{name} a text" for name in BEHAVIORS))]
    for name, one in (result.get("sets") or {}).items():
        means = [_figure((one.get("behaviors") or {}).get(behavior, {}).get("mean")) for behavior in BEHAVIORS]
        rows.append((name, _count(one.get("tokens")), _count(one.get("examples")), _share(one.get("matched")), *means))
    blank = ("",) * 6
    rows += [(f"left out: {name}", _count(n), *blank) for name, n in (result.get("left_out") or {}).items()]
    for name, one in (result.get("sets") or {}).items():
        rows += [(f"lost in rewriting, {name}: {why}", _count(n), *blank) for why, n in one.get("dropped", {}).items()]
    balance = result.get("balance") or {}
    rows += [(f"distance of the sets, {name}", _figure(value), *blank) for name, value in balance.items()]
    return rows


def _percent(one: Mapping[str, Any]) -> str:
    share = one.get("share")
    if share is None:
        return MISSING
    return f"{_share(share)} ({_range(one.get('share_low'), one.get('share_high'), _share)})"


def _per_example(one: Mapping[str, Any]) -> str:
    n = one.get("examples")
    counts = [value.get("count", 0) for value in (one.get("behaviors") or {}).values()]
    return _figure(sum(counts) / n) if n and counts else MISSING


def _share(value: Any) -> str:
    return f"{100 * value:.1f} %" if _is_number(value) else MISSING


def _figure(value: Any) -> str:
    return f"{value:.3f}" if _is_number(value) else MISSING


def _count(value: Any) -> str:
    return f"{value:,}" if isinstance(value, int) and not isinstance(value, bool) else MISSING


def _range(low: Any, high: Any, shown: Any) -> str:
    if not (_is_number(low) and _is_number(high)):
        return MISSING
    return f"{str(shown(low)).removesuffix(' %')}–{shown(high)}"


def _is_number(value: Any) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool)
