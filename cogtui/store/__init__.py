"""The index: every rollout of a workspace in one SQLite file that can be deleted and rebuilt from the stage folders.

`open_store` gives a `Store`, which the app and the commands query. Also public: `filter`, `values.types`,
`values.fields`, `export`, `importing` and `user_data`; the other packages belong to the store.
"""

from cogtui.store.index import Store, open_store
from cogtui.store.values.types import END, Cursor, Page, Query, RolloutDetail, RolloutRow, Sort

__all__ = ["END", "Cursor", "Page", "Query", "RolloutDetail", "RolloutRow", "Sort", "Store", "open_store"]
