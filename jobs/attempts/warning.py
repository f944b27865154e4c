"""How long before its time limit a stage is asked to save: `warn_s` of its resources, or three times its last save."""

from typing import Final

from jobs.attempts.records import Cluster

FIRST_S: Final = 90.0
"""Seconds before the limit while a stage has saved nothing."""
LEAST_S: Final = 60.0
"""Least seconds before the limit once it has: Slurm counts in half minutes, and a micro-batch takes some."""
SAVES: Final = 3.0
"""The last save's duration times this: disks are slower when several stages save, and a micro-batch comes first."""
_SHARE: Final = {"local": 1 / 10, "slurm": 1 / 4}
"""Most of a short limit that is given up without need; Slurm may send its warning up to a minute early."""


def warn_seconds(given_s: float | None, limit_s: float | None, save_s: float | None, cluster: Cluster) -> float:
    """Return how many seconds before its time limit a stage is asked to stop.

    Args:
        given_s: `warn_s` of its resources, which wins; None if unset.
        limit_s: its time limit; None without one, where only Slurm's preemptions are warned of.
        save_s: how long its last checkpoint took; None if it has none.
        cluster: where it runs.
    """
    if given_s is not None:
        return given_s
    least = FIRST_S if save_s is None else LEAST_S
    wanted = 0.0 if save_s is None else SAVES * save_s
    if limit_s is None:
        return max(least, wanted)
    return max(5.0 if cluster == "slurm" else 0.0, min(least, limit_s * _SHARE[cluster]), min(wanted, limit_s / 2))
