"""Reads from the index what the dashboard shows."""

from collections.abc import Mapping, Sequence
from typing import NamedTuple

from cogtui.analysis.curve_corrections import LabelledRollout, labelled_rollouts
from cogtui.analysis.curves import RunPlace
from cogtui.store import Store
from cogtui.store.values.types import StepSummary


class CurveData(NamedTuple):
    """What was read of the index for the runs that are shown."""

    summaries: list[StepSummary]
    names: frozenset[tuple[str, str]]
    """(stream, name) of the metrics of these runs."""
    labelled: Sequence[LabelledRollout] = ()
    """The rollouts that people labelled."""


def read_curves(store: Store, places: Mapping[str, RunPlace]) -> CurveData:
    """Read the summaries of the rollouts of these runs, or of all rollouts where no run is known."""
    summaries = store.per_step()
    if places:
        summaries = [one for one in summaries if one.stage in places]
        keys = list(places)
    else:
        keys = sorted({one.stage for one in summaries})
    return CurveData(summaries, frozenset(store.metric_names(keys)), labelled_rollouts(store))
