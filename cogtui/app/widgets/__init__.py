"""Widgets that draw lines: lists, tables, detail panes, bars. They know no feature."""
