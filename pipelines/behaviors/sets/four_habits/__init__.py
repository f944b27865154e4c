"""The four habits of Gandhi et al. (2025), the default behaviour set."""

from pathlib import Path
from typing import Final

from pipelines.behaviors.sets.definition import BehaviorSet, read_set

FOUR_HABITS: Final[BehaviorSet] = read_set(Path(__file__).parent)
