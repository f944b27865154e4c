"""Rows of any other program: fields are guessed from the names of columns, or given by `--map`."""

from typing import Final

from cogtui.store.importing.column_importer import ColumnImporter
from cogtui.store.importing.columns import FIELDS
from cogtui.store.importing.protocol import FileSample


class PlainImporter(ColumnImporter):
    """Imports rows with columns of any names."""

    name = "plain"
    label = "rows with columns"
    default_split = "import"
    layout = FIELDS

    def matches(self, sample: FileSample) -> float:
        """Return a low confidence: any row has columns."""
        return 0.01


IMPORTER: Final = PlainImporter()
