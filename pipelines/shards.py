"""Shards of a stage: each task of a job array runs one, then a last run without a shard gathers the parts.

A stage kind supports shards by a config field `shards` outside its key. Its run function asks `current_shard()`:
with a shard it does that part only and writes no result; without one it does the rest and writes the result.
A stage that runs alone, or locally, needs no shards.
"""

import os
import re
from dataclasses import dataclass
from typing import Final

from pipelines.errors import InvalidInput

SHARD_VARIABLE: Final = "COGTUI_SHARD"
_SHARD: Final = re.compile(r"(\d+)/(\d+)")


@dataclass(frozen=True, slots=True)
class Shard:
    """One part of the work."""

    index: int
    """From 0."""
    count: int

    def takes(self, number: int) -> bool:
        """Return whether an item of this running number belongs to the shard: every `count`-th does."""
        return number % self.count == self.index


def current_shard() -> Shard | None:
    """Return the shard this process is to do, or None for the whole stage.

    Raises:
        InvalidInput: COGTUI_SHARD is not INDEX/COUNT.
    """
    given = os.environ.get(SHARD_VARIABLE)
    if not given:
        return None
    match = _SHARD.fullmatch(given)
    if match is None or not int(match[1]) < int(match[2]):
        raise InvalidInput(f"{SHARD_VARIABLE} is {given!r}, not INDEX/COUNT with INDEX below COUNT")
    return Shard(int(match[1]), int(match[2]))
