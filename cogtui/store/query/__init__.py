"""Queries on the index: pages of rollouts, details, aggregates, groups by problem, judge runs.

`Store` (`cogtui.store`) is the interface to all of them; `serialize` is public to the commands and exports.
"""
