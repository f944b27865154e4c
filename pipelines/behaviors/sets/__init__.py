"""Behaviour sets: taxonomies of behaviours as data, a folder each with `set.toml` and prompts.

`definition` reads a folder, `four_habits` is the built-in set, `registered` adds those of installed packages.
"""
