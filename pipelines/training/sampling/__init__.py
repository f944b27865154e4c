"""Completions of problems, scored."""
