"""verl's metrics under the names that this project's own trainer uses, and the follower of its metrics file."""

import math
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Final, NamedTuple

from pipelines.streams import complete_lines, parse_line

_LEARNT: Final = {
    "actor/entropy": "entropy",
    "actor/reward_kl_penalty": "kl",
    "actor/pg_loss": "policy_loss",
    "actor/pg_clipfrac": "clip_fraction",
    "actor/ppo_kl": "policy_change",
    "actor/grad_norm": "actor_grad_norm",
    "critic/vf_loss": "value_loss",
    "critic/vf_clipfrac": "value_clip_fraction",
    "critic/vf_explained_var": "explained_variance",
    "critic/grad_norm": "critic_grad_norm",
}


class VerlStep(NamedTuple):
    """The metrics that verl logged at one of its steps, which it counts from 1; 0 is before training."""

    step: int
    values: dict[str, float]

    @property
    def has_update(self) -> bool:
        """Whether these are the metrics of an update, not only those of an evaluation."""
        return any(name.startswith(("actor/", "critic/", "timing_s/update")) for name in self.values)

    def learnt(self) -> dict[str, float]:
        """Return the metrics of the update by their names in this project."""
        return {ours: self.values[theirs] for theirs, ours in _LEARNT.items() if theirs in self.values}

    def speed(self) -> dict[str, float]:
        """Return seconds and tokens per second of generation and update, where verl logged them."""
        found = {}
        if (generating := self.values.get("timing_s/gen")) is not None:
            found["generate_s"] = generating
        updates = [
            self.values[name] for name in ("timing_s/update_actor", "timing_s/update_critic") if name in self.values
        ]
        if updates:
            found["update_s"] = sum(updates)
        return found


class MetricsFollower:
    """Reads the complete lines that verl appends to its metrics file."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._offset = 0

    def read(self) -> list[VerlStep]:
        """Return the steps logged since the last call; values that are missing or not finite are left out."""
        found: list[VerlStep] = []
        if not self._path.exists():
            return found
        for line in complete_lines(self._path, self._offset):
            self._offset = line.end
            try:
                record = parse_line(line.data)
                found.append(VerlStep(int(record["step"]), finite_values(record["data"])))
            except (ValueError, KeyError, TypeError, AttributeError):
                continue
        return found


def finite_values(data: Mapping[str, Any]) -> dict[str, float]:
    """Return the numbers among logged values."""
    return {
        str(name): float(value)
        for name, value in data.items()
        if isinstance(value, int | float) and not isinstance(value, bool) and math.isfinite(value)
    }
