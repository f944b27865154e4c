"""Exporting rollouts: JSON lines, CSV, parquet, and a self-contained HTML page.

`selection.ExportSelection` reads the rollouts; `tables` and `html` write them. Public to the command `export` and the
app.
"""
