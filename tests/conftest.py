"""What all tests share: Hypothesis profiles, and the signals an interactive shell leaves to the programs under test."""

import os
import signal

import pytest
from hypothesis import HealthCheck, settings

# No deadline: on a busy machine drawing examples is slow, and no test here is about how long that takes.
_COMMON = settings(deadline=None, suppress_health_check=[HealthCheck.too_slow])
# The same examples on every run, so that a failure is of the change and not of the day.
settings.register_profile("cogtui", _COMMON, derandomize=True, database=None)
# `make test-nightly`: new examples on every run, ten times as many where a test names no number.
settings.register_profile("nightly", _COMMON, max_examples=1000, print_blob=True)
# pytest --hypothesis-seed=N: Hypothesis does not look at the seed under `derandomize`.
settings.register_profile("seeded", _COMMON, print_blob=True)
settings.load_profile(os.environ.get("COGTUI_HYPOTHESIS", "cogtui"))

# pytest-xdist tells its workers the width of the terminal; programs under test would lay out their text for it.
os.environ.pop("COLUMNS", None)


def pytest_configure(config: pytest.Config) -> None:
    """Takes the profile that heeds a seed when one is given."""
    if config.getoption("hypothesis_seed", None) is not None and "COGTUI_HYPOTHESIS" not in os.environ:
        settings.load_profile("seeded")


def _ignore(number: int, frame: object) -> None:
    """Ignores a signal in this process alone: unlike SIG_IGN, a handler is not inherited through exec."""


# A script's `make test &` hands on an ignored SIGINT, nohup an ignored SIGHUP. This process goes on ignoring them. The
# programs that tests start must not inherit that, or no Ctrl-C and no hang-up could reach them.
for _number in (signal.SIGINT, signal.SIGHUP):
    if signal.getsignal(_number) is signal.SIG_IGN:
        signal.signal(_number, _ignore)


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """Lets two processes begin with the files that take longest, so that neither waits for the other at the end."""
    if config.getoption("dist", "no") == "no":
        return
    long_first = ("slurm", "slow", "train")
    rank: dict[object, int] = {}
    for item in items:
        own = min((place for place, name in enumerate(long_first) if item.get_closest_marker(name)), default=9)
        rank[item.path] = min(own, rank.get(item.path, 9))
    items.sort(key=lambda item: rank[item.path])
