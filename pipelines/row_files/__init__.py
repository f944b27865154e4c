"""Files of rows in any container: JSON lines, JSON documents, parquet, Arrow, also compressed or in a zip archive.

A row is a JSON object. What its fields mean is for the caller: a layout of rollouts (`cogtui.store.importing`) or a
file of problems (`pipelines.tasks`). Containers are recognised by content, not by name.
"""

from pipelines.row_files.archive import ZipContent, list_zip, natural_key, open_member
from pipelines.row_files.columnar import count_parquet_rows, read_parquet
from pipelines.row_files.json_rows import read_lines, read_list
from pipelines.row_files.opening import is_parquet, open_file
from pipelines.row_files.reading import (
    COMPRESSED_SUFFIXES,
    ROW_SUFFIXES,
    container_of,
    has_row_suffix,
    read_rows,
    row_stem,
)
from pipelines.row_files.rows import Container, LeftOutFile, RawRow

__all__ = [
    "COMPRESSED_SUFFIXES",
    "ROW_SUFFIXES",
    "Container",
    "LeftOutFile",
    "RawRow",
    "ZipContent",
    "container_of",
    "count_parquet_rows",
    "has_row_suffix",
    "is_parquet",
    "list_zip",
    "natural_key",
    "open_file",
    "open_member",
    "read_lines",
    "read_list",
    "read_parquet",
    "read_rows",
    "row_stem",
]
