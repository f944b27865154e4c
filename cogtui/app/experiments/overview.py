"""What an experiment came to so far: stages done, time left, accuracy, claims and warnings. Computed in a thread."""

import statistics
from collections.abc import Iterable, Mapping, Sequence
from typing import Final, NamedTuple

from cogtui.analysis.claims import Claim, decide_claims
from cogtui.analysis.intervals import MeanEstimate
from cogtui.analysis.outcomes import ConditionGroup, EvaluatedRun, group_runs
from cogtui.app.shell.snapshot import WorkspaceSnapshot
from cogtui.app.shell.stage_figures import StageFigures
from jobs.planning.experiments import Experiment
from jobs.recipe.claims import CompareTable, read_compare_table
from jobs.recipe.labels import label_text
from jobs.state.durations import mean_seconds, share_done
from jobs.state.types import StageState
from pipelines.errors import CogtuiError
from pipelines.wording import count_of

_FAILED: Final = frozenset({"failed", "timeout", "lost"})
_WAITING: Final = frozenset({"queued", "running", "resuming"})


class ClaimLine(NamedTuple):
    """A claim in one sentence."""

    verdict: str
    text: str


class ExperimentOverview(NamedTuple):
    """One row of the list of experiments, and what stands below its matrix."""

    name: str
    total: int
    done: int
    running: int
    failed: int
    waiting: int
    share: float
    """Share done, running stages by their progress."""
    seconds_left: float | None
    """An estimate from finished stages of the same kinds; None where nothing runs or nothing is known."""
    best: str
    """The group of runs that ends highest; empty before one has finished."""
    before: MeanEstimate | None
    after: MeanEstimate | None
    gain: MeanEstimate | None
    """Of the best group."""
    claims: tuple[ClaimLine, ...]
    warnings: tuple[tuple[str, int, str], ...]
    """(name, number of stages, the first one with what it says)."""


class OverviewReader:
    """Computes overviews; those of experiments whose stages did not change are kept."""

    def __init__(self) -> None:
        self._kept: dict[str, tuple[object, ExperimentOverview]] = {}

    def read(self, snapshot: WorkspaceSnapshot) -> tuple[ExperimentOverview, ...]:
        """Return the overviews of all experiments, in the order of the snapshot."""
        seconds = mean_seconds(snapshot.states.values())
        found = []
        for experiment in snapshot.experiments:
            keys = sorted({key for cell in experiment.cells for key in cell.stages.values()})
            states = [snapshot.states.get(key) for key in keys]
            seen = (
                experiment.time,
                tuple(
                    None if one is None else (one.state, len(one.attempts), one.progress and one.progress.done)
                    for one in states
                ),
                tuple(key in snapshot.figures for key in keys),
            )
            kept = self._kept.get(experiment.name)
            if kept is None or kept[0] != seen:
                kept = self._kept[experiment.name] = (seen, summarise(experiment, snapshot, seconds))
            found.append(kept[1])
        return tuple(found)


def summarise(experiment: Experiment, snapshot: WorkspaceSnapshot, seconds: Mapping[str, float]) -> ExperimentOverview:
    """Compute the overview of one experiment."""
    keys = {key for cell in experiment.cells for key in cell.stages.values()}
    states = {key: snapshot.states[key] for key in keys if key in snapshot.states}
    done = sum(one.state == "done" for one in states.values())
    running = sum(one.state in ("running", "resuming") for one in states.values())
    parts = sum(_part(one) for one in states.values())
    groups = finished_groups(experiment, snapshot.figures)
    best = max(
        (group for group in groups if group.finished),
        key=lambda group: getattr(group.estimate("accuracy", "end"), "mean", -1.0),
        default=None,
    )
    return ExperimentOverview(
        experiment.name,
        len(keys),
        done,
        running,
        sum(one.state in _FAILED for one in states.values()),
        sum(one.state == "queued" for one in states.values()),
        parts / len(keys) if keys else 0.0,
        _seconds_left(list(states.values()), seconds),
        "" if best is None else best.name,
        None if best is None else best.estimate("accuracy", "start"),
        None if best is None else best.estimate("accuracy", "end"),
        None if best is None else best.estimate("accuracy", "gain"),
        tuple(claim_lines(experiment, groups)),
        tuple(_warnings(keys, snapshot)),
    )


def _part(state: StageState) -> float:
    if state.state == "done":
        return 1.0
    return share_done(state.progress) or 0.0


def _seconds_left(states: Sequence[StageState], seconds: Mapping[str, float]) -> float | None:
    waiting = [one for one in states if one.state in _WAITING or one.state == "blocked"]
    workers = sum(one.state in ("running", "resuming") for one in states)
    if not workers or not seconds:
        return None
    usual = statistics.fmean(seconds.values())  # of a kind of which none has finished yet
    return sum(seconds.get(one.kind, usual) * (1 - _part(one)) for one in waiting) / workers


def finished_groups(experiment: Experiment, figures: Mapping[str, StageFigures]) -> list[ConditionGroup]:
    """Return the experiment's runs by group, with the accuracies that finished stages report."""
    dimensions = {name for cell in experiment.cells for name in cell.labels} - {"seed"}
    runs: dict[tuple[str, str], EvaluatedRun] = {}
    for cell in experiment.cells:
        others = {name: value for name, value in cell.labels.items() if name != "seed"}
        group = str(cell.labels["condition"]) if dimensions == {"condition"} else label_text(others)
        condition, seed = cell.labels.get("condition"), cell.labels.get("seed")
        trains = {key for key in cell.stages.values() if getattr(figures.get(key), "before", None) is not None}
        for name, key in cell.stages.items():
            known = figures.get(key)
            if (known is not None and known.accuracy is not None and (key in trains or not trains)) or (
                known is None and key.startswith(("ppo-", "grpo-"))
            ):
                points: dict[int, dict[str, float]] = {}
                if known is not None and known.accuracy is not None:
                    points[1] = {"accuracy": known.accuracy}
                    if known.before is not None:
                        points[0] = {"accuracy": known.before}
                runs.setdefault(
                    (key, group),
                    EvaluatedRun(
                        group or name,
                        None if condition is None else str(condition),
                        seed if isinstance(seed, int) and not isinstance(seed, bool) else None,
                        key,
                        name,
                        points,
                        1,
                        others,
                    ),
                )
    return group_runs(list(runs.values()))


def claim_lines(experiment: Experiment, groups: Sequence[ConditionGroup]) -> list[ClaimLine]:
    """Return the claims on accuracy in words, decided over seeds as `cogtui compare` does.

    Claims on behaviours and intervals over problems need the evaluations themselves; Compare shows them.
    """
    try:
        table = read_compare_table(experiment.recipe)
    except CogtuiError:
        table = CompareTable()
    return [describe_claim(claim) for claim in decide_claims(groups, table)]


def describe_claim(claim: Claim) -> ClaimLine:
    """Describe a claim: its sentence, the difference with its interval, over how many seeds."""
    made = claim.comparisons
    if len(made) == 1:
        found = made[0].difference
        half = ", one seed: no interval" if found.half is None else f" ± {_share(found.half)}"
        planned = made[0].planned
        seeds = f"{found.n} of {count_of(planned, 'seed')}" if found.n < planned else count_of(found.n, "seed")
        return ClaimLine(
            claim.verdict, f"{claim.text}: {_signed(found.mean)}{half}{'' if found.n == 1 else f', {seeds}'}"
        )
    means = [one.difference.mean for one in made]
    hold = sum(one.verdict == "holds" for one in made)
    return ClaimLine(
        claim.verdict, f"{claim.text}: {_signed(min(means))} to {_signed(max(means))}, {hold} of {len(made)} hold"
    )


def _share(value: float) -> str:
    return f"{value:.2f}".removeprefix("0")


def _signed(value: float) -> str:
    sign = "−" if value < 0 else "+"
    return f"{sign}{_share(abs(value))}"


def _warnings(keys: Iterable[str], snapshot: WorkspaceSnapshot) -> list[tuple[str, int, str]]:
    found: dict[str, list[str]] = {}
    for key in sorted(keys):
        figures = snapshot.figures.get(key)
        for warning in figures.warnings if figures is not None else ():
            name = warning.partition(":")[0].partition(" ")[0] or warning
            found.setdefault(name, []).append(f"{key[:12]} {warning.partition(':')[2].strip()}".rstrip())
    return [(name, len(places), places[0]) for name, places in sorted(found.items())]
