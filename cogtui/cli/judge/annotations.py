"""The commands `annotations`, `annotations export` and `annotations import`."""

import sys
from collections.abc import Sequence
from pathlib import Path

from cogtui.cli.console.output import emit_json, emit_wrapped, narrate
from cogtui.cli.rollouts.shared import fresh_store
from cogtui.store import RolloutDetail, Store
from cogtui.store.user_data.annotations import (
    ADJUDICATED,
    MAX_NAME,
    HumanAnnotation,
    find_overlap,
    new_annotation,
    unreadable_annotations,
)
from jobs.append_log import identity
from jobs.workspace import Workspace
from pipelines.behaviors.gold import GoldTrace, gold_lines, read_gold
from pipelines.behaviors.sets.registered import BEHAVIOR_LETTERS
from pipelines.errors import CogtuiError, InvalidInput, MissingRequirement, NotFound
from pipelines.files import write_atomic
from pipelines.records import text_sha256
from pipelines.wording import count_of


def list_annotations(workspace: Workspace, *, as_json: bool) -> None:
    """Print the annotations of all people; those that count nowhere with the reason."""
    store, warnings = fresh_store(workspace)
    with store:
        checked = store.checked_humans()
    warnings += unreadable_annotations(workspace)
    if as_json:
        emit_json([_as_data(one, why) for one, why in checked], warnings)
        return
    for one, why in checked:
        if why is not None:
            emit_wrapped(f"{one.rollout}  {one.annotator}  not counted: {why}", "  ")
            continue
        by_name = {behavior: one.count(behavior) for behavior in one.behaviors}
        counts = " ".join(f"{BEHAVIOR_LETTERS[name]} {'–' if n is None else n}" for name, n in by_name.items())
        undecided = f"  {len(one.open)} to decide" if one.open else ""
        who = f"adjudicated by {one.adjudicator or '?'}" if one.is_adjudication else one.annotator
        emit_wrapped(f"{one.rollout}  {who}  {'done    ' if one.done else 'not done'}  {counts}{undecided}", "  ")
    for warning in warnings:
        narrate(f"warning: {warning}")
    counted = [one for one, why in checked if why is None]
    done = sum(one.done for one in counted)
    out = f", {len(checked) - len(counted):,} not counted" if len(counted) < len(checked) else ""
    narrate(f"{count_of(len(counted), 'trace')} annotated, {done:,} of them done{out}")


def _as_data(one: HumanAnnotation, why: str | None) -> dict[str, object]:
    return {
        "rollout": one.rollout,
        "annotator": one.annotator,
        "adjudicator": one.adjudicator or None,
        "done": one.done and why is None,
        "not_counted": why,
        "counts": {behavior: one.count(behavior) if why is None else None for behavior in one.behaviors},
        "spans": [span.model_dump(mode="json") for span in one.spans],
        "open": len(one.open),
        "rejected": len(one.rejected),
        "time": one.time,
    }


def export_annotations(
    workspace: Workspace, file: Path, *, annotator: str | None, unfinished: bool, as_json: bool
) -> None:
    """Write one person's annotations in the gold format.

    Raises:
        NotFound: there are no annotations of that person. InvalidInput: several people annotated and none was named.
        MissingRequirement: the file cannot be written.
    """
    store, warnings = fresh_store(workspace)
    with store:
        reasons = store.checked_humans()
        mine = _of_one([one for one, _ in reasons], annotator)
        refused = {one.id: why for one, why in reasons if why is not None}
        chosen = [one for one in mine if unfinished or one.done]
        traces, gone = [], []
        for one in chosen:
            if one.id in refused:
                gone.append(f"{one.rollout} is left out: {refused[one.id]}")
                continue
            try:
                traces.append(_gold(one, store.rollout(one.rollout)))
            except CogtuiError as error:
                gone.append(f"{one.rollout} is left out: {error.summary}")
    left = len(mine) - len(chosen)
    if left:
        warnings.append(f"{count_of(left, 'trace')} left out as not done; --unfinished writes all")
    warnings += gone
    lines = gold_lines(traces)
    if str(file) == "-":
        sys.stdout.write(lines)
    else:
        try:
            write_atomic(file, lines)
        except OSError as error:
            raise MissingRequirement(f"cannot write {file}: {error.strerror}") from error
    if as_json and str(file) != "-":
        emit_json({"path": str(file.absolute()), "traces": len(traces), "left_out": left + len(gone)}, warnings)
        return
    for warning in warnings:
        narrate(f"warning: {warning}")
    narrate(f"{count_of(len(traces), 'trace')} written to {file}")


def _of_one(found: Sequence[HumanAnnotation], annotator: str | None) -> list[HumanAnnotation]:
    people = sorted({one.annotator for one in found})
    if annotator is None and len(people) > 1:
        raise InvalidInput(
            f"{len(people)} people annotated here", detail=", ".join(people), remedy="Name one with --annotator."
        )
    mine = [one for one in found if annotator in (None, one.annotator)]
    if not mine:
        who = f"no annotations of {annotator}" if annotator else "there are no annotations"
        raise NotFound(who, detail=f"People who annotated: {', '.join(people)}." if people else "")
    return mine


def _gold(one: HumanAnnotation, detail: RolloutDetail) -> GoldTrace:
    if text_sha256(detail.completion) != one.text_sha256:
        raise InvalidInput("its text has changed since it was annotated")
    return GoldTrace(
        id=one.rollout,
        task=detail.row.task,
        problem=dict(detail.row.problem),
        text=detail.completion,
        spans=one.spans,
        model=detail.row.condition or "",
        source=detail.row.stage,
        annotator=one.annotator,
        annotated=one.time,
        done=one.done,
    )


def import_annotations(
    workspace: Workspace, file: Path, *, annotator: str | None, replace: bool, as_json: bool
) -> None:
    """Import the annotations of a gold file.

    Raises:
        NotFound: the file does not exist. InvalidInput: a row is wrong; names row and field, and imports nothing.
    """
    traces = read_gold(file)
    for row, trace in enumerate(traces, start=1):
        clash = find_overlap(trace.spans)
        if clash is not None:
            one, other = clash
            raise InvalidInput(
                f"{file}, trace {row} ({trace.id}): spans: two {one.behavior} spans overlap, "
                f"{one.start}:{one.end} and {other.start}:{other.end}"
            )
    store, warnings = fresh_store(workspace)
    with store:
        taken: list[HumanAnnotation] = []
        kept = absent = other_text = 0
        replaced: set[str] = set()
        for trace in traces:
            uid = _rollout_of(store, trace)
            if uid is None:
                absent += 1
                other_text += bool(store.existing([trace.id]))
                continue
            who = _checked_name(annotator or trace.annotator or identity(), file, trace)
            standing = store.human(uid, who)
            if who == ADJUDICATED:
                raise InvalidInput(
                    f"{file}: trace {trace.id}: {ADJUDICATED!r} is the name of final labels, which have an adjudicator",
                    remedy="Name who annotated with --annotator.",
                )
            if standing is not None and not replace and (trace.annotated or 0.0) <= standing.time:
                kept += standing.spans != trace.spans or standing.done != trace.done
                continue
            if standing is not None and standing.spans != trace.spans:
                replaced.add(who)
            new = new_annotation(uid, trace.text, who, after=standing, spans=trace.spans, done=trace.done)
            if trace.annotated is not None and standing is None:
                new = new.model_copy(update={"time": trace.annotated})
            taken.append(new)
        store.write_human(taken)
    if absent:
        warnings.append(f"{absent:,} of {len(traces):,} traces are not rollouts of this workspace")
    if other_text:
        warnings.append(
            f"{other_text:,} of these have the id of a rollout with another text, to which their offsets do not belong"
        )
    for who in sorted(replaced):
        warnings.append(
            f"annotations of {who} with other spans are replaced (the files keep them); if {who} of {file.name} is "
            "another person, import with --annotator and another name, then the file of the first again with --replace"
        )
    if kept:
        warnings.append(f"{kept:,} were annotated later here and are kept; --replace uses those of the file")
    if as_json:
        emit_json({"read": len(traces), "taken": len(taken), "kept": kept, "absent": absent}, warnings)
        return
    for warning in warnings:
        narrate(f"warning: {warning}")
    narrate(f"{len(taken):,} of {len(traces):,} traces taken over")


def _checked_name(who: str, file: Path, trace: GoldTrace) -> str:
    if len(who) > MAX_NAME:
        raise InvalidInput(
            f"{file}, trace {trace.id[:80]}: annotator: a name of {len(who):,} characters ({who[:20]}…)",
            remedy=f"Name who annotated in at most {MAX_NAME} characters, here or with --annotator.",
        )
    return who


def _rollout_of(store: Store, trace: GoldTrace) -> str | None:
    """Return the rollout of a gold trace: the one with its id if the text is equal, else the first with its text."""
    try:
        detail = store.rollout(trace.id)
    except CogtuiError:
        detail = None
    if detail is not None and detail.row.id == trace.id and detail.completion == trace.text:
        return trace.id
    return store.same_text(trace.problem, trace.text)
