"""Prints comparisons and writes reports of experiments."""

import difflib
from collections.abc import Sequence
from pathlib import Path

from cogtui.analysis.experiment_comparison import ExperimentComparison, compare_two
from cogtui.analysis.experiment_summary import ExperimentSummary, summarise_experiment
from cogtui.analysis.sentences import describe_experiment
from cogtui.analysis.tables import HOW_TO_READ, TextTable, build_claims_table, build_tables
from cogtui.cli.console.layout import Layout, format_table, output_width, prose_width, wrap_words
from cogtui.cli.console.output import emit, emit_json, narrate
from jobs.planning.archive import archived_names
from jobs.planning.experiments import Experiment, latest_experiments
from jobs.workspace import Workspace
from pipelines.errors import NotFound
from pipelines.wording import count_of

_PAIR = 2


def show_comparison(
    workspace: Workspace, names: Sequence[str], *, reference: bool, judge_error: bool, as_json: bool
) -> None:
    """Print the tables of the newest start of each experiment; of two, how the second differs from the first.

    Raises:
        NotFound: there is no experiment of that name.
    """
    found = [find_experiment(workspace, name) for name in dict.fromkeys(names)]
    summaries = [
        summarise_experiment(
            one.name, one.cells, workspace, reference=reference, recipe=one.recipe, judge_error=judge_error
        )
        for one in found
    ]
    warnings = [f"{one.name}: {warning}" for one in summaries for warning in one.warnings]
    compared = compare_two(summaries, found, workspace) if len(found) == _PAIR else None
    if as_json:
        data = [summary.as_data() for summary in summaries]
        if compared is not None:
            data[1]["against"] = compared.as_data()
        emit_json(data, warnings)
        return
    for place, summary in enumerate(summaries if compared is None or reference else ()):
        for line in ([""] if place else []) + comparison_lines(summary):
            emit(line)
    if compared is not None:
        for line in ([""] if reference else []) + _difference_lines(compared, summaries):
            emit(line)
    for warning in warnings:
        narrate(f"warning: {warning}")


def _difference_lines(compared: ExperimentComparison, summaries: Sequence[ExperimentSummary]) -> list[str]:
    """Return the comparison of two experiments as lines of text."""
    lines = []
    for order, summary in zip(("first", "second"), summaries, strict=True):
        runs = [run for group in summary.groups for run in group.runs]
        done = sum(run.end is not None for run in runs)
        lines.append(f"{order}: {summary.name}, {done} of {count_of(len(runs), 'run')} finished")
    lines += wrap_words(
        "Differences are second − first, paired by seed where both have at least two seeds in common, with half of the"
        " 95 % interval over seeds (Student's t; else Welch's); behaviours are counted by the rules judge.",
        prose_width(),
    )
    for table in compared.tables():
        layout: Layout = "stack" if table.title == "differs in" else "split"
        lines += ["", table.title]
        lines += format_table([table.head, *table.rows], layout=layout, width=output_width(), indent="  ")
    if not compared.differences:
        lines += ["", "no condition is in both"]
    if not compared.configs:
        lines += ["", "matrix, configs, code and packages are the same"]
    for name, only in ((compared.first, compared.only_first), (compared.second, compared.only_second)):
        if only:
            lines += wrap_words(f"only in {name}: {', '.join(only)}", prose_width(), "  ")
    return [*lines, "", "All tables of one of them: cogtui compare EXPERIMENT"]


def comparison_lines(summary: ExperimentSummary) -> list[str]:
    """Return a summary as lines of text."""
    runs = [run for group in summary.groups for run in group.runs]
    done = sum(run.end is not None for run in runs)
    lines = wrap_words(f"{summary.name}: {done} of {count_of(len(runs), 'run')} finished; {HOW_TO_READ}", prose_width())
    claims = build_claims_table(summary)
    for table in build_tables(summary):
        if table != claims:
            rows = format_table([table.head, *table.rows], width=output_width(), indent="  ")
            lines += ["", *wrap_words(table.title, prose_width(), "  "), *rows]
    lines += _judge_error_lines(summary)
    lines += _claim_lines(claims)
    words = sentence_lines(summary)
    if words:
        lines += ["", *words]
    if not runs:
        lines.append("no stage evaluates a model (kinds ppo and sample do)")
    return lines


def _judge_error_lines(summary: ExperimentSummary) -> list[str]:
    """Return the sentences about corrections by people's labels, wrapped."""
    notes = [] if summary.corrections is None or not summary.groups else summary.corrections.notes()
    lines = ["", "judge error"] if notes else []
    for note in notes:
        lines += wrap_words(f"  {note}", prose_width(), "  ")
    return lines


def _claim_lines(claims: TextTable) -> list[str]:
    """Return the claims as wrapped text: a line with the verdict of each, and its comparisons below."""
    lines = ["", claims.title] if claims.rows else []
    for verdict, text in claims.rows:
        if verdict:
            lines += wrap_words(f"  {verdict}  {text}", prose_width(), "  ")
        else:
            lines += wrap_words(f"    {text}", prose_width(), "  ")
    return lines


def sentence_lines(summary: ExperimentSummary) -> list[str]:
    """Return what an experiment shows in a few sentences; no lines where it has no primed and unprimed runs."""
    lines = []
    for sentence in describe_experiment(summary):
        lines += wrap_words(f"  {sentence}", prose_width(), "  ")
    return [f"{summary.name} in words", *lines] if lines else []


def write_report(workspace: Workspace, name: str, out: Path, *, judge_error: bool, as_json: bool) -> None:
    """Write `report.html` and `report.md` into a folder, which is created if missing.

    Raises:
        NotFound: there is no experiment of that name.
        MissingRequirement: the folder cannot be written.
    """
    from cogtui.analysis.report.write import write_report
    from cogtui.cli.rollouts.shared import fresh_store

    experiment = find_experiment(workspace, name)
    store, warnings = fresh_store(workspace)
    try:
        written = write_report(experiment, store, out, judge_error=judge_error)
    finally:
        store.close()
    if as_json:
        emit_json({"files": [str(file) for file in written.files]}, [*written.left_out, *warnings])
        return
    for file in written.files:
        emit(str(file))
    for warning in (*written.left_out, *warnings):
        narrate(f"warning: {warning}")


def find_experiment(workspace: Workspace, name: str) -> Experiment:
    """Return the newest start of an experiment.

    Raises:
        NotFound: there is no experiment of that name.
    """
    damaged: list[str] = []
    known = latest_experiments(workspace, damaged=damaged)
    if name in known:
        return known[name]
    near = difflib.get_close_matches(name, known, n=1)
    if name in archived_names(workspace):
        raise NotFound(f"the experiment {name!r} is archived", remedy=f"Restore it: cogtui archive --undo {name}")
    if near:
        remedy = f"Did you mean {near[0]}?"
    elif known:
        remedy = f"There are: {', '.join(sorted(known))}."
    else:
        remedy = "Start one with cogtui run, or name another workspace with --workspace."
    raise NotFound(f"no experiment {name!r} in {workspace.path}", detail="\n".join(damaged), remedy=remedy)
