"""What the dashboard of curves can show: measures of rollouts, and metrics that training writes."""

from collections.abc import Collection, Iterable
from typing import Final, NamedTuple

from cogtui.analysis.curves import Measure
from pipelines.behaviors.sets.registered import BEHAVIOR_LETTERS

ROLLOUTS: Final = "rollouts"
"""The source of a measure that is computed from indexed rollouts."""


class ChartMeasure(NamedTuple):
    """One chart of the dashboard."""

    source: str
    """`ROLLOUTS`, or a stream of metrics such as `metrics-train`."""
    name: Measure
    title: str

    @property
    def key(self) -> str:
        """A text that identifies it: `metrics-train:kl`."""
        return f"{self.source}:{self.name}"

    @property
    def split(self) -> str:
        """The split of the rollouts that it was measured on; empty if it does not say, or the screen chooses it."""
        return _SPLITS.get(self.source, "")


_EVAL: Final = "metrics-eval"
_TRAIN: Final = "metrics-train"
_SPLITS: Final = {_EVAL: "test", _TRAIN: "train", "metrics-test": "test"}
_SPEED: Final = "metrics-speed"
_TITLES: Final[dict[tuple[str, str], str]] = {
    (_EVAL, "accuracy"): "test accuracy",
    (_TRAIN, "reward"): "reward, training",
    (_EVAL, "length"): "response length, tokens",
    (ROLLOUTS, "length"): "response length, characters",
    (ROLLOUTS, "tokens"): "response length, tokens",
    (_TRAIN, "kl"): "KL to the base",
    (_TRAIN, "policy_change"): "KL to the sampling policy",
    (_TRAIN, "entropy"): "entropy",
    (_TRAIN, "explained_variance"): "explained variance",
    (_TRAIN, "policy_loss"): "policy loss",
    (_TRAIN, "value_loss"): "value loss",
    (_TRAIN, "loss"): "loss",
    (_SPEED, "generated_tokens_per_s"): "tokens/s, generated",
    (_SPEED, "trained_tokens_per_s"): "tokens/s, trained",
}
_FIRST: Final[tuple[tuple[tuple[str, str], ...], ...]] = (
    ((_EVAL, "accuracy"), (ROLLOUTS, "accuracy")),
    ((_TRAIN, "reward"), (ROLLOUTS, "reward")),
    ((_EVAL, "length"), (ROLLOUTS, "tokens"), (ROLLOUTS, "length")),
)
"""The first charts; of each line the first that there is."""
_LATER: Final[tuple[tuple[tuple[str, str], ...], ...]] = (
    ((_TRAIN, "kl"),),
    ((_TRAIN, "entropy"),),
    ((_TRAIN, "explained_variance"),),
    ((_TRAIN, "policy_loss"), (_TRAIN, "loss")),
    ((_TRAIN, "value_loss"),),
    ((_SPEED, "generated_tokens_per_s"),),
)
"""The charts after those of behaviours."""


def measure_of(source: str, name: str) -> ChartMeasure:
    """Return a measure with its title."""
    title = _TITLES.get((source, name))
    if title is None and name in BEHAVIOR_LETTERS:
        title = f"{BEHAVIOR_LETTERS[name]} {name.replace('_', ' ')} a trace"
        title += "" if source == ROLLOUTS else f", {source.removeprefix('metrics-')}"
    if title is None:
        place = "" if source == ROLLOUTS else f", {source.removeprefix('metrics-')}"
        title = f"{name.replace('_', ' ')}{place}"
    return ChartMeasure(source, name, title)


def list_measures(
    of_rollouts: Iterable[Measure], metrics: Collection[tuple[str, str]], behaviors: Iterable[str]
) -> tuple[list[ChartMeasure], list[ChartMeasure]]:
    """Return the measures of the usual dashboard, and all others there are.

    Args:
        of_rollouts: measures that indexed rollouts have.
        metrics: (stream, name) of what training wrote.
        behaviors: those whose counts are known, in their order.
    """
    there = {(ROLLOUTS, name) for name in of_rollouts} | set(metrics)
    counted = list(behaviors)
    wanted = [next((one for one in line if one in there), None) for line in _FIRST]
    for name in counted:
        wanted.append(next((one for one in ((ROLLOUTS, name), (_EVAL, name)) if one in there), None))
    wanted += [next((one for one in line if one in there), None) for line in _LATER]
    usual = [one for one in wanted if one is not None]
    rest = sorted(there - set(usual), key=lambda one: (one[0] != ROLLOUTS, one))
    return [measure_of(*one) for one in usual], [measure_of(*one) for one in rest]
