"""Named warnings: each on a run that shows it, none on a healthy one."""

import pytest

from pipelines.training.rl.health import HEALTH_CHECKS, WINDOW, HealthMonitor, health_warnings

pytestmark = pytest.mark.train

HEALTHY = {
    "reward": 0.3,
    "accuracy": 0.25,
    "format_rate": 0.6,
    "truncation_rate": 0.1,
    "length": 100.0,
    "entropy": 0.5,
    "kl": 0.01,
    "clip_fraction": 0.05,
    "explained_variance": 0.4,
}


def run(end: dict[str, float], steps: int = 20) -> dict[int, dict[str, float]]:
    """Metrics that go in a straight line from the healthy ones to others."""
    last = HEALTHY | end
    return {
        step: {name: HEALTHY[name] + (last[name] - HEALTHY[name]) * step / (steps - 1) for name in HEALTHY}
        for step in range(steps)
    }


SICK: dict[str, dict[str, float]] = {
    "length_collapse": {"length": 3},
    "length_explosion": {"truncation_rate": 1.0, "length": 400},
    "entropy_collapse": {"entropy": -0.2},
    "kl_explosion": {"kl": 2.0},
    "steps_too_large": {"clip_fraction": 0.9},
    "critic_diverged": {"explained_variance": -4.0},
    "reward_hacking": {"format_rate": 1.0, "reward": 0.35},
}


@pytest.mark.parametrize("name", [sign.name for sign in HEALTH_CHECKS])
def test_each_sign_is_named_once_with_its_step(name: str) -> None:
    (warning,) = health_warnings(run(SICK[name]))
    assert warning.startswith(f"{name}: ")
    assert warning.endswith(")")
    assert WINDOW <= int(warning.rpartition("(step ")[2].rstrip(")")) < 20


@pytest.mark.parametrize(
    "end",
    [
        {},
        {"accuracy": 0.9, "reward": 0.9, "length": 5},  # shorter because it knows
        {"accuracy": 0.7, "reward": 0.7, "format_rate": 1.0},  # in form, and right
        {"accuracy": 1.0, "reward": 1.0, "entropy": 0.001},  # certain, and right
    ],
)
def test_a_run_that_gets_better_is_left_alone(end: dict[str, float]) -> None:
    assert health_warnings(run(end)) == []


def test_nothing_is_said_of_what_was_not_measured() -> None:
    bare = {step: {"reward": values["reward"]} for step, values in run(SICK["kl_explosion"]).items()}
    assert health_warnings(bare) == []


def test_too_few_steps_say_nothing() -> None:
    assert health_warnings(run(SICK["kl_explosion"], steps=2 * WINDOW - 1)) == []


def test_a_resumed_run_does_not_repeat_what_was_said() -> None:
    metrics = run(SICK["length_collapse"])
    whole = HealthMonitor()
    said = [whole.observe(step, values) for step, values in metrics.items()]
    at = next(step for step, found in enumerate(said) if found)
    resumed = HealthMonitor()
    for step in range(at + 1):
        resumed.observe(step, metrics[step])
    assert not any(resumed.observe(step, metrics[step]) for step in range(at + 1, len(metrics)))
