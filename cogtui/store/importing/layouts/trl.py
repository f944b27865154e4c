"""TRL's completions: parquet with `prompt`, `completion`, `step`, `advantage` and a column per reward function."""

from typing import ClassVar, Final

from cogtui.store.importing.column_importer import ColumnImporter


class TRLImporter(ColumnImporter):
    """Imports completions that a TRL trainer logged. Reward columns are added; chat messages become text."""

    name = "trl"
    label = "completions of a TRL trainer"
    default_split = "train"
    layout: ClassVar = {"completion": ("completion",), "prompt": ("prompt",), "step": ("step",)}
    required = frozenset(("prompt", "completion", "step", "advantage"))


IMPORTER: Final = TRLImporter()
