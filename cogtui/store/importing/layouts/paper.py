"""The completions published with the paper: `completions_stepN` with `generated`, `ground_truth` and `score`."""

from typing import ClassVar, Final

from cogtui.store.importing.column_importer import ColumnImporter


class PaperImporter(ColumnImporter):
    """Imports the completions published with Gandhi et al. (2025)."""

    name = "paper"
    label = "completions published with the paper"
    default_split = "test"
    layout: ClassVar = {
        "completion": ("generated",),
        "prompt": ("prompt",),
        "reward": ("score",),
        "ground_truth": ("ground_truth",),
        "problem_id": ("index",),
    }
    required = frozenset(("generated", "ground_truth", "score"))


IMPORTER: Final = PaperImporter()
