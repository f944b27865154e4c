"""The index: every rollout of a workspace in one SQLite file that can be thrown away and built again."""

from cogtui.store.index import Store, open_store
from cogtui.store.values.types import END, Cursor, Page, Query, RolloutDetail, RolloutRow, Sort

__all__ = ["END", "Cursor", "Page", "Query", "RolloutDetail", "RolloutRow", "Sort", "Store", "open_store"]
