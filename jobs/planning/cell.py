"""One cell of an experiment's matrix, as a plan makes it and a snapshot keeps it."""

from collections.abc import Mapping

from jobs.recipe.labels import Label, label_text
from pipelines.file_record import FileRecord


class Cell(FileRecord, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """One cell of the matrix: its values, and its stage instances by stage name."""

    labels: Mapping[str, Label]
    """Matrix values, the seed included; empty for a recipe without matrix and seeds."""
    stages: Mapping[str, str]
    """Name of the stage in the recipe → content key, in dependency order; skipped stages are absent."""

    @property
    def title(self) -> str:
        """`condition=none seed=1`; `all` for a recipe with one cell."""
        return label_text(self.labels) or "all"
