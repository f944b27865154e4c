"""What a report says, as text and values: both files are made of it."""

from __future__ import annotations

import json
import re
import shlex
import time
import tomllib
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Final

from cogtui.analysis.chart import ChartSeries
from cogtui.analysis.claims import Claim
from cogtui.analysis.comparisons import Verdict
from cogtui.analysis.experiment_summary import ExperimentSummary, summarise_experiment
from cogtui.analysis.report.agreement import describe_agreement
from cogtui.analysis.report.samples import SampleTraces, choose_samples
from cogtui.analysis.sentences import describe_experiment, describe_missing, describe_multiplicity
from cogtui.analysis.tables import MISSING, TextTable, build_claims_table, build_tables
from cogtui.store import Store
from jobs.formatting import format_duration
from jobs.planning.experiments import Experiment
from jobs.recipe.bundled import bundled_recipes
from jobs.recipe.claims import read_compare_table
from jobs.recipe.labels import label_text
from jobs.state.reader import stage_states
from jobs.state.types import STATE_GLYPHS
from pipelines.behaviors.sets.four_habits import FOUR_HABITS
from pipelines.wording import count_of

VERDICT_GLYPHS: Final[dict[Verdict, str]] = {"holds": "✓", "does not hold": "✗", "undecided": "?"}
_CURVES: Final = (
    ("accuracy", "accuracy on the test problems"),
    ("reward", "reward on the test problems"),
    *((behavior, f"{behavior.replace('_', ' ')} a completion") for behavior in FOUR_HABITS.names),
    ("length", "tokens a completion"),
)
_SHOWS: Final = re.compile(r"#[ \t]*shows:[ \t]*(.*)")
_TAKES: Final = re.compile(r"#[ \t]*takes:")
_ITEM_DEPTH: Final = 2
_EXAMPLE_DEPTH: Final = 4
"""Blanks before a comment's text that make it an item of a list, or an example that is left out."""
_NOT_SET: Final = frozenset({"kind", "needs", "skip"})


@dataclass(frozen=True, slots=True)
class CurveChart:
    """A figure: one measure over training, a line for each condition."""

    title: str
    lines: tuple[ChartSeries, ...]


@dataclass(frozen=True, slots=True)
class ReportContent:
    """Everything that a report shows."""

    name: str
    question: str
    """From the recipe's `# shows:` line; empty if it has none."""
    about: tuple[str, ...]
    """Paragraphs of the recipe's first comment."""
    stated_claims: tuple[str, ...]
    """Claims that the recipe wrote down before it was run."""
    answer: tuple[str, ...]
    setup: tuple[TextTable, ...]
    claims: tuple[Claim, ...]
    claim_notes: tuple[str, ...]
    tables: tuple[TextTable, ...]
    table_notes: tuple[str, ...]
    left_out: tuple[str, ...]
    figures: tuple[CurveChart, ...]
    figure_note: str
    samples: SampleTraces
    agreement: tuple[str, ...]
    agreement_tables: tuple[TextTable, ...]
    provenance: tuple[str, ...]
    stages: TextTable
    commands: tuple[str, ...]
    reproduce_notes: tuple[str, ...]
    recipe: str


def build_content(experiment: Experiment, store: Store, *, judge_error: bool) -> ReportContent:
    """Collect what a report shows.

    Args:
        experiment: the newest start.
        store: the index of its workspace, read up to date.
        judge_error: whether to correct counts by people's labels.
    """
    workspace = store.workspace
    summary = summarise_experiment(
        experiment.name,
        experiment.cells,
        workspace,
        reference=True,
        recipe=experiment.recipe,
        judge_error=judge_error,
    )
    question, about = _question(experiment.recipe)
    claims_table = build_claims_table(summary)
    agreement, agreement_tables = describe_agreement(store)
    figures = _figures(summary)
    multiplicity = describe_multiplicity(summary.claims) if summary.claims else ""
    corrections = [] if summary.corrections is None else summary.corrections.notes()
    commands, notes = _how_to_reproduce(experiment)
    return ReportContent(
        name=experiment.name,
        question=question,
        about=about,
        stated_claims=tuple(claim.text for claim in read_compare_table(experiment.recipe).claims),
        answer=_answer(summary),
        setup=_setup(experiment, summary),
        claims=summary.claims,
        claim_notes=tuple(note for note in (describe_missing(summary), multiplicity) if note),
        tables=tuple(table for table in build_tables(summary) if table != claims_table),
        table_notes=tuple(corrections if summary.groups else []),
        left_out=summary.warnings,
        figures=figures,
        figure_note=_figure_note(summary),
        samples=choose_samples(store, summary.groups),
        agreement=agreement,
        agreement_tables=agreement_tables,
        provenance=_provenance(experiment),
        stages=_stage_table(experiment, store),
        commands=commands,
        reproduce_notes=notes,
        recipe=experiment.recipe,
    )


def _question(recipe: str) -> tuple[str, tuple[str, ...]]:
    """Return what a recipe's first comment says: its `# shows:` line, and the paragraphs that are prose."""
    question, paragraphs, was_item = "", [""], False
    for line in recipe.splitlines():
        if not line.startswith("#"):
            if line.strip():
                break
            continue
        if match := _SHOWS.match(line):
            question = question or match[1].strip()
        elif not _TAKES.match(line):
            text = line[1:]
            depth = len(text) - len(text.lstrip())
            is_item = _ITEM_DEPTH <= depth < _EXAMPLE_DEPTH
            if not text.strip() or is_item or was_item:
                paragraphs.append("")
            if depth < _EXAMPLE_DEPTH:
                paragraphs[-1] = f"{paragraphs[-1]} {text.strip()}".strip()
            was_item = is_item
    return question, tuple(one for one in paragraphs if one)


def _answer(summary: ExperimentSummary) -> tuple[str, ...]:
    sentences = list(describe_experiment(summary))
    if summary.claims:
        counted = [
            f"{count} {words[count > 1]}"
            for verdict, words in _COUNTED.items()
            if (count := sum(claim.verdict == verdict for claim in summary.claims))
        ]
        sentences.append(f"Of {count_of(len(summary.claims), 'claim')}, {', '.join(counted)}.")
    runs = [run for group in summary.groups for run in group.runs]
    done = sum(run.end is not None for run in runs)
    if not runs:
        return ("No stage of this experiment evaluates a model (kinds ppo and sample do).",)
    if done < len(runs):
        sentences.append(f"{done} of {count_of(len(runs), 'run')} finished; the others are left out and named below.")
    if done and max(len(group.finished) for group in summary.groups) == 1:
        sentences.append("There is one seed: nothing here has an interval over seeds.")
    return tuple(sentences)


_COUNTED: Final[dict[Verdict, tuple[str, str]]] = {
    "holds": ("holds", "hold"),
    "does not hold": ("does not hold", "do not hold"),
    "undecided": ("is undecided", "are undecided"),
}


def _setup(experiment: Experiment, summary: ExperimentSummary) -> tuple[TextTable, ...]:
    try:
        recipe: Mapping[str, Any] = tomllib.loads(experiment.recipe)
    except tomllib.TOMLDecodeError:
        recipe = {}
    values: dict[str, list[Any]] = {}
    for cell in experiment.cells:
        for name, value in cell.labels.items():
            values.setdefault(name, [])
            if value not in values[name]:
                values[name].append(value)
    rows = [(name, ", ".join(map(str, found)), str(len(found))) for name, found in values.items()]
    rows.append(
        ("runs", f"{sum(len(group.finished) for group in summary.groups)} finished", str(len(experiment.cells)))
    )
    rows += [("changed by --set", override, "") for override in experiment.overrides]
    stages = recipe.get("stages")
    described = [
        (
            name,
            str(stage.get("kind", MISSING)),
            ", ".join(map(str, needs)) if isinstance(needs := stage.get("needs", []), list) else MISSING,
            "; ".join(f"{field} = {_value(one)}" for field, one in stage.items() if field not in _NOT_SET),
        )
        for name, stage in (stages.items() if isinstance(stages, Mapping) else ())
        if isinstance(stage, Mapping)
    ]
    tables = [
        TextTable("what is varied", ("", "values", "number"), tuple(rows)),
        TextTable("stages, and what the recipe sets", ("stage", "kind", "needs", "set"), tuple(described)),
    ]
    return tuple(table for table in tables if table.rows)


def _value(value: Any) -> str:
    return json.dumps(value, ensure_ascii=False, default=str)


def _figures(summary: ExperimentSummary) -> tuple[CurveChart, ...]:
    if not summary.trained:
        return ()
    charts = [
        CurveChart(title, tuple(ChartSeries(group.name, group.curve(measure)) for group in summary.groups))
        for measure, title in _CURVES
    ]
    return tuple(chart for chart in charts if any(line.points for line in chart.lines))


def _figure_note(summary: ExperimentSummary) -> str:
    seeds = max((len(group.finished) for group in summary.groups), default=0)
    if seeds > 1:
        return "Means over seeds by training step; bands are 95 % intervals over seeds (Student's t)."
    return "By training step. One seed: there is no interval over seeds, so lines have no bands."


def _provenance(experiment: Experiment) -> tuple[str, ...]:
    try:
        started = datetime.fromtimestamp(experiment.time, UTC).strftime("%Y-%m-%d %H:%M UTC")
    except (OverflowError, ValueError, OSError):  # a damaged snapshot
        started = "at an unknown time"
    code = experiment.code_git
    if code is None:
        commit = "The code was an installed package, without a commit."
    else:
        commit = f"Code at commit {code.commit[:12]}{', with changes that are not committed' if code.dirty else ''}."
    packages = ", ".join(f"{name} {version}" for name, version in experiment.packages.items())
    return (
        f"Started {started} from {Path(experiment.recipe_path).name}; reported {time.strftime('%Y-%m-%d %H:%M')}.",
        commit,
        f"Python {experiment.python or 'of an unknown version'}; {packages or 'versions of packages not recorded'}.",
    )


def _stage_table(experiment: Experiment, store: Store) -> TextTable:
    keys = list(dict.fromkeys(key for cell in experiment.cells for key in cell.stages.values()))
    states = stage_states(store.workspace, keys)
    rows = []
    for key in keys:
        state = states.get(key)
        if state is None:
            rows.append((MISSING, "", key, f"{STATE_GLYPHS['unknown']} no folder", MISSING, MISSING))
            continue
        seconds = [run.ended - run.started for attempt in state.attempts for run in attempt.runs if run.ended]
        rows.append(
            (
                state.name,
                label_text(state.labels),
                key,
                f"{STATE_GLYPHS[state.state]} {state.state}",
                str(len(state.attempts)),
                format_duration(sum(seconds)) if seconds else MISSING,
            )
        )
    return TextTable("every stage", ("stage", "run", "content key", "state", "attempts", "time"), tuple(rows))


def _how_to_reproduce(experiment: Experiment) -> tuple[tuple[str, ...], tuple[str, ...]]:
    """Return the commands that run the experiment and report it again, and what they do not fix."""
    bundled = next((one for one in bundled_recipes() if _is_text_of(one.path, experiment.recipe)), None)
    recipe = f"{experiment.name}.toml" if bundled is None else bundled.name
    changes = [f"--set {shlex.quote(override)}" for override in experiment.overrides]
    code, name = experiment.code_git, shlex.quote(experiment.name)
    commands = [
        *([f"git checkout {code.commit[:12]}"] if code is not None else []),
        " ".join(["cogtui run", shlex.quote(recipe), *changes]),
        f"cogtui compare {name} --reference paper",
        f"cogtui report {name} --out report",
    ]
    notes = [
        f"The recipe comes with cogtui as {bundled.name}."
        if bundled is not None
        else f"Save the recipe below as {experiment.name}.toml.",
        "Seeds fix problems, data and sampling. Other hardware or other versions of packages round differently, so "
        "single completions differ while means stay within their intervals.",
    ]
    if code is not None and code.dirty:
        notes.append("The code had changes that were not committed: the commit alone is not what ran.")
    return tuple(commands), tuple(notes)


def _is_text_of(path: Path, text: str) -> bool:
    try:
        return path.read_text("utf-8") == text
    except (OSError, UnicodeDecodeError):
        return False
