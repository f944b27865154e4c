"""`cogtui show KEY`: state, attempts, config and result of one stage."""

import json
from collections.abc import Iterator, Mapping
from datetime import datetime
from typing import Any

from cogtui.cli.console.layout import format_table, output_width
from cogtui.cli.console.output import emit_json, emit_wrapped
from jobs.formatting import format_duration, format_progress
from jobs.recipe.labels import label_text
from jobs.state.reader import AttemptState, RunRecord, StageState, stage_states
from jobs.workspace import Workspace
from pipelines.folder import StageFolder

_HANGING = " " * 11
"""Continuation lines begin below the values."""


def show_stage(workspace: Workspace, prefix: str, *, as_json: bool) -> None:
    """Print a stage.

    Raises:
        NotFound: no such stage. InvalidInput: the prefix is ambiguous.
    """
    folder = workspace.find(prefix)
    key = folder.path.name
    found = stage_states(workspace, [key])[key]
    info = folder.info()
    inputs = stage_states(workspace, info.inputs)
    if as_json:
        emit_json(_record(found, folder, info.config, {name: inputs.get(name) for name in info.inputs}))
        return
    for line in _lines(found, folder, info.config, {name: inputs.get(name) for name in info.inputs}):
        emit_wrapped(line, _HANGING)


def _record(
    state: StageState, folder: StageFolder, config: Mapping[str, Any], inputs: Mapping[str, StageState | None]
) -> dict[str, Any]:
    return {
        "key": state.key,
        "kind": state.kind,
        "name": state.name,
        "cell": dict(state.labels),
        "folder": str(folder.path),
        "state": state.state,
        "evidence": state.evidence,
        "age_s": state.age_s,
        "stalled": state.stalled,
        "reason": state.reason,
        "remedy": state.remedy,
        "progress": None if state.progress is None else state.progress.model_dump(),
        "inputs": [{"key": key, "state": "missing" if found is None else found.state} for key, found in inputs.items()],
        "attempts": [_attempt_record(attempt) for attempt in state.attempts],
        "config": dict(config),
        "result": folder.result(),
    }


def _attempt_record(attempt: AttemptState) -> dict[str, Any]:
    return {
        "number": attempt.number,
        "folder": attempt.path,
        "cluster": attempt.cluster,
        "job_id": attempt.job_id,
        "state": attempt.state,
        "evidence": attempt.evidence,
        "reason": attempt.reason,
        "remedy": attempt.remedy,
        "submitted": attempt.submitted,
        "host": attempt.host,
        "pid": attempt.pid,
        "code": attempt.code,
        "signal": attempt.signal,
        "restarts": attempt.restarts,
        "runs": [{name: getattr(run, name) for name in RunRecord.__slots__} for run in attempt.runs],
        "resources": dict(attempt.resources),
        "settings": dict(attempt.settings),
    }


def _lines(
    state: StageState, folder: StageFolder, config: Mapping[str, Any], inputs: Mapping[str, StageState | None]
) -> Iterator[str]:
    yield f"{state.key}  {state.name or state.kind}  {label_text(state.labels)}".rstrip()
    age = "" if state.age_s is None else f", {format_duration(state.age_s)} old"
    yield f"state      {state.state}{' (stalled)' if state.stalled else ''}  by {state.evidence}{age}"
    if state.reason:
        yield f"reason     {state.reason}"
    if state.remedy:
        yield f"remedy     {state.remedy}"
    if state.progress is not None:
        values = "  ".join(f"{name}={value:.4g}" for name, value in state.progress.values.items())
        yield f"progress   {format_progress(state.progress)}  {state.progress.message}  {values}".rstrip()
    yield f"folder     {folder.path}"
    for key, found in inputs.items():
        yield f"input      {key}  {'missing' if found is None else found.state}"
    for attempt in state.attempts:
        yield ""
        yield from _attempt_lines(attempt, config)
    yield ""
    yield "config"
    yield from (f"  {line}" for line in json.dumps(config, indent=1, ensure_ascii=False).splitlines()[1:-1])
    result = folder.result()
    if result is not None:
        summary = _detail_table(state.kind, result)
        if summary:
            yield "summary"
            yield from format_table(summary, width=output_width(), indent="  ")
        yield "result"
        yield from (f"  {line}" for line in json.dumps(result, indent=1, ensure_ascii=False).splitlines()[1:-1])


def _attempt_lines(attempt: AttemptState, config: Mapping[str, Any]) -> Iterator[str]:
    job = f", job {attempt.job_id}" if attempt.job_id else ""
    host = f" on {attempt.host}" if attempt.host else ""
    yield f"attempt {attempt.number}  {attempt.state}  {attempt.cluster}{job}{host}"
    yield f"  submitted  {_moment(attempt.submitted)}"
    if attempt.reason:
        yield f"  reason     {attempt.reason}"
    for run in attempt.runs:
        yield f"  start {run.number}    {_run_text(run)}"
    asked = ", ".join(f"{name}={value}" for name, value in attempt.resources.items() if value not in (None, {}, [], 0))
    if asked:
        yield f"  resources  {asked}"
    changed = ", ".join(f"{name}={value}" for name, value in attempt.settings.items() if _at(config, name) != value)
    if changed:
        yield f"  settings   {changed}  (not as planned)"
    yield f"  folder     {attempt.path}"


def _at(config: Any, name: str) -> Any:
    """Return the value of a config field by its dotted path; None where there is none."""
    for part in name.split("."):
        config = config.get(part) if isinstance(config, Mapping) else None
    return config


def _run_text(run: RunRecord) -> str:
    resumed = "" if run.resumed_step is None else f", resumed at step {run.resumed_step}"
    begun = f"{_moment(run.started)} on {run.host}{resumed}"
    if run.ended is None:
        return f"{begun}{f', {run.why}' if run.why else ''}"
    how = f"signal {run.signal}" if run.signal is not None else f"code {run.code}" if run.code is not None else ""
    lasted = format_duration(max(0.0, run.ended - run.started))  # both times are by the clock of one host
    return f"{begun}, {run.why or 'ended'} after {lasted}{f' ({how})' if how else ''}"


def _moment(seconds: float) -> str:
    return datetime.fromtimestamp(seconds).astimezone().strftime("%Y-%m-%d %H:%M:%S %Z")


def _detail_table(kind_name: str, result: Mapping[str, Any]) -> list[tuple[str, ...]]:
    """Return the detail table of a result, head first; empty if the kind has none or is unknown here."""
    from pipelines.stages import find_kind  # only for finished stages: it costs 60 ms

    kind = find_kind(kind_name)
    table = None if kind is None else kind.detail_table_of(result)
    return [] if table is None else [table.head, *table.rows]
