"""Behaviours: sets of them, judges, span alignment, gold files and agreement metrics (docs/judges.md)."""
