"""Reports: an experiment's tables, claims, curves and recipe as one self-contained HTML file and as Markdown."""

import os
import time
from datetime import UTC, datetime
from html import escape
from pathlib import Path
from typing import Final

from cogtui.analysis.chart import ChartSeries, render_line_chart
from cogtui.analysis.experiment_summary import ExperimentSummary
from cogtui.analysis.tables import HOW_TO_READ, TextTable, build_tables
from cogtui.store.export.style import STYLE
from jobs.planning.experiments import Experiment
from pipelines.behaviors.sets.four_habits import FOUR_HABITS
from pipelines.errors import MissingRequirement
from pipelines.text_safety import picture_controls

_POLICY: Final = "default-src 'none'; style-src 'unsafe-inline'"
_CURVES: Final = (
    ("accuracy", "accuracy on the test problems"),
    *((behavior, f"{behavior.replace('_', ' ')} a completion") for behavior in FOUR_HABITS.names),
    ("length", "tokens a completion"),
)
_MORE_STYLE: Final = "svg { max-width: 100%; height: auto; display: block; margin: 1rem 0; } h2 { margin-top: 2rem; }"


def write_report(summary: ExperimentSummary, experiment: Experiment, out: Path) -> list[Path]:
    """Write `report.html` and `report.md` into a folder, each atomically, and return their paths.

    Raises:
        MissingRequirement: the folder cannot be written.
    """
    texts = {"report.html": render_html(summary, experiment), "report.md": render_markdown(summary, experiment)}
    written = []
    try:
        out.mkdir(parents=True, exist_ok=True)
        for name, text in texts.items():
            aside = out / f".{name}.{os.getpid()}.tmp"
            aside.write_text(text, encoding="utf-8")
            aside.replace(out / name)
            written.append(out / name)
    except OSError as error:
        raise MissingRequirement(
            f"the report cannot be written to {out}: {error.strerror}", remedy="Choose another folder with --out."
        ) from error
    return written


def render_html(summary: ExperimentSummary, experiment: Experiment) -> str:
    """Render the HTML page."""
    charts = [chart for measure, title in _CURVES if (chart := _chart(summary, measure, title))]
    warnings = "".join(f"<li>{_safe(warning)}</li>" for warning in summary.warnings)
    return "\n".join(
        [
            "<!doctype html>",
            '<html lang="en"><head><meta charset="utf-8">',
            f'<meta http-equiv="Content-Security-Policy" content="{_POLICY}">',
            '<meta name="viewport" content="width=device-width, initial-scale=1">',
            f"<title>{_safe(summary.name)}</title><style>{STYLE}{_MORE_STYLE}</style></head><body>",
            f"<h1>{_safe(summary.name)}</h1>",
            *(f'<p class="soft">{_safe(line)}</p>' for line in _about(experiment)),
            f"<p>{_safe(HOW_TO_READ)}.</p>",
            f"<p>Left out:</p><ul>{warnings}</ul>" if warnings else "",
            *(_html_table(table) for table in build_tables(summary)),
            *(f'<p class="soft">{_safe(note)}</p>' for note in _notes(summary)),
            "<h2>curves; bands are 95 % intervals</h2>" if charts else "",
            *charts,
            f"<h2>recipe</h2><pre>{_safe(experiment.recipe)}</pre>",
            *(f"<pre>--set {_safe(override)}</pre>" for override in experiment.overrides),
            "</body></html>\n",
        ]
    )


def render_markdown(summary: ExperimentSummary, experiment: Experiment) -> str:
    """Render the tables and the recipe as Markdown, without curves."""
    lines = [
        f"# {_cell(summary.name)}",
        "",
        *(f"{_cell(line)}  " for line in _about(experiment)),
        "",
        f"{HOW_TO_READ}.",
    ]
    lines += ["", *(f"- left out: {_cell(warning)}" for warning in summary.warnings)] if summary.warnings else []
    for table in build_tables(summary):
        lines += ["", f"## {table.title}", "", _row(table.head), _row(["---"] * len(table.head))]
        lines += [_row(row) for row in table.rows]
    lines += ["", *(f"- {_cell(note)}" for note in _notes(summary))] if _notes(summary) else []
    fence = "```" if "```" not in experiment.recipe else "~~~~"
    lines += ["", "## recipe", "", f"{fence}toml", picture_controls(experiment.recipe, "\n\t").rstrip("\n"), fence]
    lines += (
        ["", *(f"- `--set {_cell(override)}`" for override in experiment.overrides)] if experiment.overrides else []
    )
    return "\n".join(lines) + "\n"


def _notes(summary: ExperimentSummary) -> list[str]:
    return [] if summary.corrections is None else summary.corrections.notes()


def _about(experiment: Experiment) -> list[str]:
    started = datetime.fromtimestamp(experiment.time, UTC).strftime("%Y-%m-%d %H:%M UTC")
    code = experiment.code_git
    commit = "" if code is None else f", code at commit {code.commit[:12]}{' with changes' if code.dirty else ''}"
    packages = ", ".join(f"{name} {version}" for name, version in experiment.packages.items())
    return [
        f"Started {started}{commit}, Python {experiment.python}; reported {time.strftime('%Y-%m-%d %H:%M')}.",
        f"Packages: {packages}." if packages else "",
    ]


def _chart(summary: ExperimentSummary, measure: str, title: str) -> str:
    if not summary.trained:
        return ""
    return render_line_chart(
        title, [ChartSeries(picture_controls(group.name), group.curve(measure)) for group in summary.groups]
    )


def _html_table(table: TextTable) -> str:
    head = "".join(f"<th>{_safe(cell)}</th>" for cell in table.head)
    body = "".join(f"<tr>{''.join(f'<td>{_safe(cell)}</td>' for cell in row)}</tr>\n" for row in table.rows)
    return f'<h2>{_safe(table.title)}</h2><div class="wide"><table><tr>{head}</tr>\n{body}</table></div>'


def _row(cells: "list[str] | tuple[str, ...]") -> str:
    return f"| {' | '.join(_cell(cell) for cell in cells)} |"


def _cell(text: str) -> str:
    """Escape a text for a Markdown table cell."""
    shown = picture_controls(text, "").replace("\\", "\\\\")
    for sign in "|`*_<[":
        shown = shown.replace(sign, f"\\{sign}")
    return shown


def _safe(text: str) -> str:
    return escape(picture_controls(text, "\n\t"))
