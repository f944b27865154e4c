"""Writing rollouts as a self-contained HTML page: no script, no other file, no network.

Every text is escaped, control and bidi characters are replaced by visible symbols, and the content security policy
of the page forbids scripts.
"""

from __future__ import annotations

import time
from collections.abc import Iterable, Sequence
from html import escape
from itertools import pairwise
from typing import IO, Final

from cogtui.store.export.style import STYLE, behavior_style
from cogtui.store.query.serialize import shown_judgements
from cogtui.store.values.types import RolloutDetail, RolloutRow
from pipelines.behaviors.sets.four_habits import FOUR_HABITS
from pipelines.behaviors.sets.registered import BEHAVIOR_LETTERS, BEHAVIORS, DEFINITIONS, behaviors_counted
from pipelines.records import Behavior, Span
from pipelines.text_safety import picture_controls

_POLICY: Final = "default-src 'none'; style-src 'unsafe-inline'"
_CLASSES: Final[dict[Behavior, str]] = {
    behavior: letter.lower() if behavior in FOUR_HABITS.names else f"x-{behavior.replace('_', '-')}"
    for behavior, letter in BEHAVIOR_LETTERS.items()
}  # fmt: skip
_EMPTY: Final = "–"


def write_html(details: Iterable[RolloutDetail], rows: Sequence[RolloutRow], stream: IO[str], *, title: str) -> int:
    """Write the page; return how many rollouts it has.

    Args:
        details: the rollouts.
        rows: their rows, for the table at the top.
        stream: UTF-8.
        title: describes the selection.
    """
    behaviors = behaviors_counted(row.counts for row in rows)
    stream.write(_head(title, len(rows), behaviors))
    stream.write(_overview(rows, behaviors))
    count = 0
    for detail in details:
        stream.write(_article(detail))
        count += 1
    stream.write("</body>\n</html>\n")
    return count


def safe(text: str, keep: str = "\n\t") -> str:
    """Escape markup and replace control characters by visible symbols."""
    return escape(picture_controls(text, keep))


def _head(title: str, count: int, behaviors: Sequence[Behavior]) -> str:
    legend = legend_html(behaviors)
    style = STYLE + other_styles(behaviors)
    return f"""<!doctype html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta http-equiv="Content-Security-Policy" content="{_POLICY}">
<meta name="viewport" content="width=device-width, initial-scale=1">
<meta name="generator" content="cogtui">
<title>{safe(title, "")}</title>
<style>{style}</style>
</head>
<body>
<h1>{safe(title, "")}</h1>
<p class="soft">{count:,} rollouts, exported {time.strftime("%Y-%m-%d %H:%M")} by cogtui</p>
<p class="legend">{legend}</p>
"""


def legend_html(behaviors: Sequence[Behavior]) -> str:
    """Return the letter and the colour of each behaviour with its name."""
    return "".join(
        f'<span><span class="letter l{_CLASSES[name]}">{BEHAVIOR_LETTERS[name]}</span>'
        f'<span class="{_CLASSES[name]}">{name.replace("_", " ")}</span></span>'
        for name in behaviors
    )


def other_styles(behaviors: Sequence[Behavior]) -> str:
    """Return the CSS of the behaviours that are not among the four habits."""
    others = [name for name in behaviors if name not in FOUR_HABITS.names]
    return "".join(behavior_style(DEFINITIONS[name], _CLASSES[name]) for name in others)


def _overview(rows: Sequence[RolloutRow], behaviors: Sequence[Behavior]) -> str:
    places = [BEHAVIORS.index(behavior) for behavior in behaviors]
    letters = [BEHAVIOR_LETTERS[behavior] for behavior in behaviors]
    names = ("rollout", "step", "split", "condition", "problem", "reward", "correct", *letters)
    head = "".join(f"<th>{name}</th>" for name in names)
    body = "".join(
        f'<tr><td><a href="#r-{safe(row.id, "")}">{safe(row.id, "")}</a></td><td class="n">{row.step}</td>'
        f"<td>{safe(row.split, '')}</td><td>{safe(row.condition or _EMPTY, '')}</td><td>{_problem(row)}</td>"
        f'<td class="n">{_number(row.reward)}</td><td>{_truth(row.correct)}</td>'
        + "".join(f'<td class="n">{_number(row.counts[place])}</td>' for place in places)
        + "</tr>\n"
        for row in rows
    )
    return f'<div class="wide"><table><thead><tr>{head}</tr></thead><tbody>\n{body}</tbody></table></div>\n'


def _article(detail: RolloutDetail) -> str:
    row = detail.row
    facts = [
        ("stage", f"{row.stage}, step {row.step}, {row.split}, sample {row.sample}"),
        ("condition", f"{row.condition or _EMPTY}" + ("" if row.seed is None else f", seed {row.seed}")),
        ("problem", f"{row.problem_id}"),
        ("answer", detail.answer if detail.answer is not None else _EMPTY),
        ("reward", f"{_number(row.reward)}, correct {_truth(row.correct)}, ended by {row.finish_reason}"),
        ("judge", row.judge or "not judged"),
    ]
    if detail.note or detail.tags:
        facts.append(("note", " ".join([detail.note, *(f"#{tag}" for tag in detail.tags)])))
    listed = "".join(f'<tr><th class="soft">{name}</th><td>{safe(value)}</td></tr>' for name, value in facts)
    return f"""<article id="r-{safe(row.id, "")}">
<h2>{safe(row.id, "")} <span class="soft">{_problem(row)}</span></h2>
<div class="wide"><table>{listed}</table></div>
<details><summary>Prompt</summary><pre>{safe(detail.prompt)}</pre></details>
<pre>{highlight_html(detail)}</pre>
{span_table_html(detail)}</article>
"""


def highlight_html(detail: RolloutDetail) -> str:
    """Return the completion as HTML, split at every start and end of a span; each part has the classes of its spans."""
    text = detail.completion
    spans = [
        (span.start, min(span.end, len(text)), one.behavior)
        for one in shown_judgements(detail)
        if not one.stale
        for span in one.spans
        if span.start is not None and span.end is not None and span.start < len(text)
    ]
    cuts = sorted({0, len(text), *(start for start, _, _ in spans), *(end for _, end, _ in spans)})
    opening: dict[int, list[Behavior]] = {}
    closing: dict[int, list[Behavior]] = {}
    for start, end, behavior in spans:
        opening.setdefault(start, []).append(behavior)
        closing.setdefault(end, []).append(behavior)
    active: list[Behavior] = []
    pieces = []
    for start, end in pairwise(cuts):
        for behavior in closing.get(start, ()):
            active.remove(behavior)
        active += opening.get(start, ())
        pieces.append(_piece(text[start:end], active, opening.get(start, ())))
    return "".join(pieces)


def _piece(text: str, active: Sequence[Behavior], begins: Sequence[Behavior]) -> str:
    shown = safe(text)
    if not active:
        return shown
    names = [behavior for behavior in BEHAVIORS if behavior in active]
    classes = " ".join(_CLASSES[behavior] for behavior in names)
    letters = "".join(f'<i class="s{_CLASSES[behavior]}"></i>' for behavior in BEHAVIORS if behavior in begins)
    return f'{letters}<span class="{classes}" title="{", ".join(names)}">{shown}</span>'


def span_table_html(detail: RolloutDetail) -> str:
    """Return the spans as a folded table, and the behaviours without a count; empty if there are neither."""
    rows = "".join(
        _span_row(one.behavior, span, stale=one.stale) for one in shown_judgements(detail) for span in one.spans
    )
    failed = [f"{one.behavior}: {one.status}" for one in shown_judgements(detail) if one.count is None]
    failures = f'<p class="soft">No count for {safe(", ".join(failed), "")}.</p>\n' if failed else ""
    if not rows:
        return failures
    head = "<tr><th></th><th>place</th><th>alignment</th><th>quote</th><th>why</th></tr>"
    return f"""{failures}<details><summary>Spans</summary>
<div class="wide"><table><thead>{head}</thead><tbody>{rows}</tbody></table></div></details>
"""


def _span_row(behavior: Behavior, span: Span, *, stale: bool) -> str:
    place = "unplaced" if span.start is None else f"{span.start}:{span.end}"
    doubts = [
        name for name, holds in (("ambiguous", span.ambiguous), ("weak", span.weak), ("repeat", span.repeat)) if holds
    ]
    doubts += ["of another text"] if stale else []
    how = " ".join([span.alignment, *([f"{span.score:.2f}"] if span.alignment == "fuzzy" else []), *doubts])
    letter = f'<span class="letter l{_CLASSES[behavior]}">{BEHAVIOR_LETTERS[behavior]}</span>'
    return (
        f"<tr><td>{letter}</td><td>{place}</td><td>{how}</td><td>{safe(span.quote)}</td><td>{safe(span.why)}</td></tr>"
    )


def _problem(row: RolloutRow) -> str:
    return safe(row.describe() if row.task else row.problem_id, "").replace("→", "&rarr;")


def _number(value: float | None) -> str:
    return _EMPTY if value is None else f"{value:g}"


def _truth(value: bool | None) -> str:
    return {True: "yes", False: "no", None: _EMPTY}[value]
