"""Facts about a stage as lines of a detail pane."""

import re
from collections.abc import Mapping
from typing import Final

from cogtui.app.rendering.states import ENDED_BADLY, format_time, progress_text, state_part
from cogtui.app.rendering.styles import Part
from cogtui.app.rendering.text import fit, printable_line
from cogtui.app.shell.stage_figures import StageFigures
from cogtui.app.widgets.detail_pane import labelled_rows
from jobs.formatting import format_duration
from jobs.recipe.labels import Label, label_text
from jobs.state.types import AttemptState, RunRecord, StageState

Rows = list[list[Part]]


def short_title(labels: Mapping[str, Label]) -> str:
    """Format labels for a screen: the condition by its value alone, the others as `seed=1`."""
    condition = labels.get("condition")
    others = label_text({name: value for name, value in labels.items() if name != "condition"})
    return others if condition is None else f"{condition} {others}".rstrip()


def stage_rows(stage: StageState | None, figures: StageFigures | None, width: int, *, attempts: bool) -> Rows:
    """Return state, evidence, progress, final figures, reason and remedy of a stage, and its attempts if requested.

    Ages are shown as times of day, so that nothing changes while nothing happens.
    """
    if stage is None:
        return []
    rows: Rows = [
        [
            (printable_line(f"{stage.name or stage.kind} {label_text(stage.labels)}".rstrip(), 160), "strong"),
            (f"  {printable_line(stage.key, 80)}", "dim"),
        ],
        [("state     ", "dim"), state_part(stage), (f"   by {evidence_text(stage)}", "dim")],
    ]
    if stage.state == "done" and figures is not None and figures.values:
        # The last progress report holds values of the last step, not of the result.
        for index, (name, value) in enumerate(figures.values[:4]):
            rows += labelled_rows("result" if index == 0 else "", f"{name}  {value}", width, limit=2)
    else:
        rows += labelled_rows("progress", progress_text(stage.progress), width, limit=2)
    for index, warning in enumerate(figures.warnings if figures is not None else ()):
        rows += labelled_rows("warning" if index == 0 else "", printable_line(warning), width, "warn", limit=2)
    rows += labelled_rows(
        "reason", stage.reason, width, "bad" if stage.state in ("failed", "timeout", "lost") else "warn"
    )
    rows += labelled_rows("remedy", remedy_with_keys(stage.remedy), width)
    for key, does in helpful_keys(stage):
        rows.append([(fit("", 10), ""), (fit(key, 3), "key"), (does, "")])
    if attempts:
        for attempt in reversed(stage.attempts):
            rows += attempt_rows(attempt, width)
    return rows


_KEYS: Final = (
    (re.compile(r"\bsee cogtui logs\b", re.IGNORECASE), "see the log (l)"),
    (
        re.compile(r"\brun (?:the recipe|it) again with --retry(?: to start it again)?", re.IGNORECASE),
        "start it again (r)",
    ),
    (re.compile(r"\brun the recipe again\b", re.IGNORECASE), "start it again (r)"),
    (re.compile(r"\bby: cogtui retry \S+ --set (\S+)"), r"with \1 (m)"),
    (re.compile(r"\bcogtui retry \S+ --set (\S+)"), r"\1 (m)"),
    (re.compile(r"--set (\w+\.)"), r"\1"),
    (re.compile(r"\bcogtui cancel ends it\b"), "cancel it (x)"),
)
"""What remedies of the command line say, and what to press in the app instead."""


def remedy_with_keys(remedy: str) -> str:
    """Return a remedy that names keys of the app in place of commands."""
    for words, key in _KEYS:
        remedy = words.sub(key, remedy)
    begins = r"(^|\. )(s|c)(?=ee the log|tart it again|ancel it)"
    return re.sub(begins, lambda found: found[1] + found[2].upper(), remedy)


def suggested_changes(remedy: str) -> str:
    """Return the first `FIELD=VALUE` that a remedy suggests; empty without one."""
    found = re.search(r"--set ([\w.]+=\w+)", remedy)
    return "" if found is None else found[1]


def helpful_keys(stage: StageState) -> list[tuple[str, str]]:
    """Return (key, what it does) for a stage that needs attention."""
    keys: list[tuple[str, str]] = []
    if stage.stalled:
        keys.append(("x", "cancel it, with those that wait for it"))
    elif stage.state == "blocked":
        keys.append(("r", "start it again, with the inputs that are not done"))
    elif stage.state in ENDED_BADLY and not stage.active:
        if changes := suggested_changes(stage.remedy):
            keys.append(("m", f"start it again with changes, as {changes}"))
        again = "continue from its last checkpoint" if stage.progress is not None else "start it again"
        keys.append(("r", again))
    if stage.attempts and (stage.stalled or stage.state in ENDED_BADLY or stage.state == "unknown"):
        keys.append(("l", "log at the error" if stage.state in ENDED_BADLY else "log"))
    return keys


def evidence_text(stage: StageState) -> str:
    """Return the evidence of a state and its time: `exit.json, 12:03:04`."""
    if stage.evidence == "none":
        return "no evidence"
    if stage.age_s is None:
        return stage.evidence
    if stage.state in ("running", "resuming") and stage.age_s < 60:
        return f"{stage.evidence}, less than a minute old"
    return f"{stage.evidence}, {format_time(stage.read_at - stage.age_s)}"


def attempt_rows(attempt: AttemptState, width: int) -> Rows:
    """Return the lines of one attempt and its runs."""
    where = f"{attempt.cluster} job {attempt.job_id or 'not known'}"
    if attempt.host:
        where += f" on {attempt.host}" + (f" (pid {attempt.pid})" if attempt.pid else "")
    ending = format_ending(attempt.code, attempt.signal)
    head = f"{attempt.state}{ending} · {where} · submitted {format_time(attempt.submitted)}"
    rows = labelled_rows(f"attempt {attempt.number}", head, width, limit=3)
    if len(attempt.runs) > 1 or any(run.resumed_step is not None for run in attempt.runs):
        for run in attempt.runs:
            rows += labelled_rows("", run_text(run), width, "dim", limit=1)
    return rows


def run_text(run: RunRecord) -> str:
    """Describe one run of an attempt: when, for how long, from which step, how it ended."""
    text = f"run {run.number} on {run.host}, {format_time(run.started)}"
    if run.ended is not None:
        text += f" for {format_duration(run.ended - run.started)}"
    if run.resumed_step is not None:
        text += f", resumed at step {run.resumed_step}"
    if run.why:
        text += f", {run.why}"
    return text + format_ending(run.code, run.signal)


def format_ending(code: int | None, number: int | None) -> str:
    """Format how a process ended, as ` · exit 1` or ` · signal 9`; empty while unknown."""
    if number is not None:
        return f" · signal {number}"
    return "" if code is None else f" · exit {code}"
