"""verl's rollout dumps: `STEP.jsonl` with `input`, `output`, and `score` or `gts`; `acc` and `pred` of verifiers."""

from typing import ClassVar, Final

from cogtui.store.importing.column_importer import ColumnImporter


class VerlImporter(ColumnImporter):
    """Imports a verl rollout dump."""

    name = "verl"
    label = "a verl rollout dump"
    default_split = "train"
    layout: ClassVar = {
        "completion": ("output",),
        "prompt": ("input",),
        "reward": ("score",),
        "correct": ("acc",),
        "answer": ("pred",),
        "step": ("step",),
        "ground_truth": ("gts",),
        "id": ("request_id", "uid"),
    }
    required = frozenset(("input", "output"))
    any_of = frozenset(("score", "gts"))


IMPORTER: Final = VerlImporter()
