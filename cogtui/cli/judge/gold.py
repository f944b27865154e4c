"""The commands `gold` and `gold next`."""

from dataclasses import dataclass
from typing import Any

from cogtui.analysis.experiment_summary import summarise_experiment
from cogtui.analysis.gold_queue import GoldQueue, build_queue, choose_comparison
from cogtui.analysis.sentences import describe_comparison
from cogtui.cli.compare.show import find_experiment
from cogtui.cli.console.output import emit, emit_json, emit_table, emit_wrapped, narrate
from cogtui.cli.rollouts.shared import fresh_store
from cogtui.store.user_data.final_labels import FinalLabel
from jobs.workspace import Workspace
from pipelines.behaviors.sets.registered import BEHAVIOR_LETTERS
from pipelines.errors import InvalidInput
from pipelines.wording import count_of


def list_labels(workspace: Workspace, *, as_json: bool) -> None:
    """Print the final labels."""
    store, warnings = fresh_store(workspace)
    with store:
        labels = store.final_labels()
        existing = set(store.existing(labels))
    gone = len(labels) - len(existing)
    if gone:
        warnings.append(f"{count_of(gone, 'label')} of rollouts that are no longer in the workspace; kept")
    if as_json:
        emit_json([_label_data(one, present=one.rollout in existing) for one in labels.values()], warnings)
        return
    for warning in warnings:
        narrate(f"warning: {warning}")
    for one in labels.values():
        counts = " ".join(
            f"{letter} {_count(one.count(name))}"
            for name, letter in BEHAVIOR_LETTERS.items()
            if one.count(name) is not None
        )
        gone_too = "" if one.rollout in existing else "  (not in the workspace)"
        emit_wrapped(f"{one.rollout}  {counts}  {_origin(one)}{gone_too}", "  ")
    differ = sum(one.differ for one in labels.values())
    outdated = sum(one.outdated for one in labels.values())
    adjudicated = sum(one.adjudication is not None for one in labels.values())
    narrate(
        f"{count_of(len(labels), 'completion')} labelled, {adjudicated:,} adjudicated, "
        f"{differ:,} on which annotators differ, {outdated:,} annotated since they were adjudicated"
    )
    if differ or outdated:
        narrate("decide them in the app: mode 5, d")


def _count(value: float | None) -> str:
    return "–" if value is None else f"{value:g}"


def _origin(one: FinalLabel) -> str:
    if one.adjudication is not None:
        since = ", annotated since" if one.outdated else ""
        return f"decided by {one.adjudication.adjudicator or '?'}{since}"
    names = ", ".join(each.annotator for each in one.annotations)
    return f"annotators differ: {names}" if one.differ else names


def _label_data(one: FinalLabel, *, present: bool) -> dict[str, Any]:
    behaviors = sorted({name for each in one.deciding for name in each.behaviors}, key=list(BEHAVIOR_LETTERS).index)
    return {
        "rollout": one.rollout,
        "counts": {name: one.count(name) for name in behaviors},
        "annotators": [each.annotator for each in one.annotations],
        "adjudicator": None if one.adjudication is None else one.adjudication.adjudicator,
        "adjudicated": None if one.adjudication is None else one.adjudication.time,
        "differ": one.differ,
        "outdated": one.outdated,
        "in_workspace": present,
    }


@dataclass(frozen=True, slots=True)
class QueueRequest:
    """The arguments of `cogtui gold next`."""

    experiment: str
    claim: str | None
    about: str | None
    half_width: float | None
    limit: int
    tag: str | None


def show_queue(workspace: Workspace, request: QueueRequest, *, as_json: bool) -> None:
    """Print the completions to label next for a claim.

    Raises:
        NotFound: no such experiment, claim or comparison.
        InvalidInput: the claim is not about behaviours, or nothing is left to label.
    """
    experiment = find_experiment(workspace, request.experiment)
    summary = summarise_experiment(
        experiment.name, experiment.cells, workspace, recipe=experiment.recipe, judge_error=True
    )
    chosen = choose_comparison(summary, request.claim, request.about)
    store, _ = fresh_store(workspace)
    with store:
        labels = store.final_labels()
    queue = build_queue(summary, labels, chosen, limit=request.limit)
    if not queue.completions:
        raise InvalidInput(
            f"every completion of {queue.comparison.name} is labelled", remedy="Add seeds to narrow the interval."
        )
    if request.tag:
        _tag(workspace, [one.rollout for one in queue.completions], request.tag)
    if as_json:
        emit_json(_queue_data(queue, request), summary.warnings)
        return
    emit_wrapped(queue.claim.text)
    for line in (describe_comparison(queue.comparison), *_forecast(queue, request)):
        emit_wrapped(f"  {line}", "  ")
    emit("")
    rows = [("rollout", "condition", "seed", "problem")]
    rows += [(one.rollout, f"{one.group} at the {one.when}", str(one.seed), one.problem) for one in queue.completions]
    emit_table(rows, layout="stack")
    if request.tag:
        narrate(f"tagged: the filter tag:{request.tag} lists them in the app; a annotates, D marks done")


def _forecast(queue: GoldQueue, request: QueueRequest) -> list[str]:
    """Say what the listed labels bring, and how many a half-width takes."""
    cells = ", ".join(f"{cell.name} {cell.labels} of {cell.size:,}" for cell in queue.cells)
    lines = [f"labelled: {cells}"]
    if queue.seeds_half is None:
        return [*lines, "one seed, or labels of one seed alone: no number of labels gives an interval over seeds"]
    after = queue.half_width(queue.allocation(len(queue.completions)))
    assumed = ", the judge's error assumed" if any(cell.assumed for cell in queue.cells) else ""
    if after is not None:
        lines.append(f"with these {len(queue.completions)} more: about ± {after:.3f}{assumed}")
    lines.append(f"the seeds alone give ± {queue.seeds_half:.3f}")
    wanted = request.half_width
    if wanted is not None:
        lines.append(_needed(queue, wanted, f"± {wanted:g}"))
    elif queue.comparison.verdict == "undecided" and queue.comparison.difference.mean:
        lines.append(_needed(queue, abs(queue.comparison.difference.mean), "to decide it"))
    return lines


def _needed(queue: GoldQueue, half_width: float, what: str) -> str:
    more = queue.needed(half_width)
    if more is None:
        return f"{what}: no number of labels is enough; add seeds"
    return f"{what}: about {more:,} more labels"


def _queue_data(queue: GoldQueue, request: QueueRequest) -> dict[str, Any]:
    wanted = request.half_width
    return {
        "claim": queue.claim.name,
        "comparison": queue.comparison.as_data(),
        "cells": [
            {
                "group": cell.group,
                "when": cell.when,
                "weight": cell.weight,
                "labels": cell.labels,
                "completions": cell.size,
                "error_variance": cell.variance,
                "assumed": cell.assumed,
            }
            for cell in queue.cells
        ],
        "seeds_half": queue.seeds_half,
        "half_after": queue.half_width(queue.allocation(len(queue.completions))),
        "needed": None if wanted is None else queue.needed(wanted),
        "next": [one._asdict() for one in queue.completions],
    }


def _tag(workspace: Workspace, ids: list[str], tag: str) -> None:
    store, _ = fresh_store(workspace)
    with store:
        for uid in ids:
            tags = store.rollout(uid).tags
            if tag not in tags:
                store.annotate(uid, tags=(*tags, tag))
