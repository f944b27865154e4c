"""TRL's completions: parquet with `prompt`, `completion`, `step`, `advantage` and a column per reward function."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, ClassVar, Final

from cogtui.store.importing.column_importer import ColumnImporter
from cogtui.store.importing.columns import FIELDS
from cogtui.store.importing.protocol import FileSample, ImportColumns
from cogtui.store.importing.values import read_number

_AFTER_REWARDS: Final = ("advantage", "advantages")


class TRLImporter(ColumnImporter):
    """Imports completions that a TRL trainer logged.

    The rewards are the columns of numbers between completion and advantage. They are added as TRL does it: a reward
    function that returned None for a completion counts nothing, and if all did, there is no reward.
    """

    name = "trl"
    label = "completions of a TRL trainer"
    default_split = "train"
    layout: ClassVar = {"completion": ("completion",), "prompt": ("prompt",), "step": ("step",)}
    required = frozenset(("prompt", "completion", "step", "advantage"))
    skips_null_rewards = True

    def columns(self, sample: FileSample, given: Mapping[str, str]) -> ImportColumns:
        """Find the columns, the rewards by their place; see `RowImporter.columns`."""
        found = super().columns(sample, given)
        names = list(sample.rows[0])
        end = next((names.index(name) for name in _AFTER_REWARDS if name in names), len(names))
        between = names[names.index("completion") + 1 : end] if "completion" in names[:end] else []
        taken = {column for field, columns in found.fields.items() if field != "reward" for column in columns}
        rewards = tuple(name for name in between if name not in taken and _is_reward(name, sample.rows))
        if "reward" in given or not rewards:
            return found
        fields = {**found.fields, "reward": rewards}
        return ImportColumns({field: fields[field] for field in FIELDS if field in fields})


def _is_reward(name: str, rows: Sequence[Mapping[str, Any]]) -> bool:
    values = [row.get(name) for row in rows]
    numbers = [value is None or (isinstance(value, int | float) and not isinstance(value, bool)) for value in values]
    return all(numbers) and any(read_number(value) is not None for value in values)


IMPORTER: Final = TRLImporter()
