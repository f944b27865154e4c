"""Health checks of a training run: named warnings, computed from the metrics of its steps.

Each check compares means over the last steps with means over the first ones. The thresholds are rules of thumb: a
warning says where to look. A resumed run replays the metrics and gives the same warnings.
"""

from collections import deque
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Final

WINDOW: Final = 5
"""Number of steps in each mean, at the start of the run and now."""

MeanMetrics = Mapping[str, float]


@dataclass(frozen=True, slots=True)
class HealthCheck:
    """One failure pattern."""

    name: str
    required_metrics: tuple[str, ...]
    """Metrics that the check needs; it is skipped without them."""
    is_triggered: Callable[[MeanMetrics, MeanMetrics], bool]
    """(means at the start, means now) → whether to warn."""
    message: str
    """Warning, with `{first[...]}` and `{now[...]}`."""


HEALTH_CHECKS: Final = (
    HealthCheck(
        "length_collapse",
        ("length", "accuracy"),
        lambda first, now: now["length"] < first["length"] / 4 and now["accuracy"] <= first["accuracy"] + 0.02,
        "completions shrank from {first[length]:.0f} to {now[length]:.0f} tokens and accuracy did not rise",
    ),
    HealthCheck(
        "length_explosion",
        ("truncation_rate",),
        lambda first, now: now["truncation_rate"] > 0.9 and first["truncation_rate"] < 0.5,
        "{now[truncation_rate]:.0%} of the completions run into the token limit, {first[truncation_rate]:.0%} at first",
    ),
    HealthCheck(
        "entropy_collapse",
        ("entropy", "accuracy"),
        lambda first, now: now["entropy"] < first["entropy"] / 10 and now["accuracy"] < 0.9,
        "entropy fell from {first[entropy]:.3f} to {now[entropy]:.3f}: the policy has almost stopped exploring",
    ),
    HealthCheck(
        "kl_explosion",
        ("kl",),
        lambda first, now: now["kl"] > 0.5,
        "the KL divergence from the initial policy is {now[kl]:.2f} nats per token",
    ),
    HealthCheck(
        "steps_too_large",
        ("clip_fraction",),
        lambda first, now: now["clip_fraction"] > 0.4,
        "{now[clip_fraction]:.0%} of the tokens are clipped: the learning rate is too high",
    ),
    HealthCheck(
        "critic_diverged",
        ("explained_variance",),
        lambda first, now: now["explained_variance"] < -1,
        "the critic explains {now[explained_variance]:.2f} of the variance: worse than predicting the mean",
    ),
    HealthCheck(
        "reward_hacking",
        ("reward", "format_rate", "accuracy"),
        lambda first, now: (
            now["format_rate"] > first["format_rate"] + 0.2
            and now["reward"] > first["reward"]
            and now["accuracy"] <= first["accuracy"] + 0.02
        ),
        "only the form of answers improves: well-formed ones went from {first[format_rate]:.0%} to "
        "{now[format_rate]:.0%}, correct ones from {first[accuracy]:.0%} to {now[accuracy]:.0%}",
    ),
)


class HealthMonitor:
    """Runs the checks step by step; each warns once, when it first triggers."""

    def __init__(self) -> None:
        self._first: list[Mapping[str, float]] = []
        self._last: deque[Mapping[str, float]] = deque(maxlen=WINDOW)
        self._reported: set[str] = set()

    def observe(self, step: int, metrics: Mapping[str, float]) -> list[str]:
        """Return the warnings that this step triggers for the first time, each as `name: sentence`."""
        if metrics.get("equal_rewards"):
            # The policy was not updated, so the metrics of the update are missing.
            return self._report_once(
                "equal_rewards", f"all rewards of the step equal {metrics.get('reward', 0):g}: policy not updated"
            )
        if len(self._first) < WINDOW:
            self._first.append(metrics)
            return []
        self._last.append(metrics)
        if len(self._last) < WINDOW:
            return []
        first, now = _means(self._first), _means(self._last)
        found = []
        for check in HEALTH_CHECKS:
            if all(name in first and name in now for name in check.required_metrics) and check.is_triggered(first, now):
                found += self._report_once(check.name, check.message.format(first=first, now=now))
        return found

    def _report_once(self, name: str, sentence: str) -> list[str]:
        if name in self._reported:
            return []
        self._reported.add(name)
        return [f"{name}: {sentence}"]


def health_warnings(train: Mapping[int, Mapping[str, float]]) -> list[str]:
    """Return all warnings of a run, as `name: sentence (step N)`.

    Args:
        train: metrics of the training steps, by step.
    """
    health = HealthMonitor()
    found = []
    equal = [step for step, values in sorted(train.items()) if values.get("equal_rewards")]
    if equal:
        steps = ", ".join(map(str, equal[:8])) + (", …" if len(equal) > 8 else "")
        found.append(
            f"equal_rewards: all rewards were equal, so the policy was not updated, in {len(equal)} steps: {steps}"
        )
    for step, metrics in sorted(train.items()):
        said = health.observe(step, metrics)
        found += [f"{warning} (step {step})" for warning in said if not warning.startswith("equal_rewards:")]
    return found


def _means(steps: "list[Mapping[str, float]] | deque[Mapping[str, float]]") -> dict[str, float]:
    """Return the means of the metrics that all of the steps have."""
    names = set(steps[0]).intersection(*steps)
    return {name: sum(each[name] for each in steps) / len(steps) for name in names}
