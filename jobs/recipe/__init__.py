"""Reads a recipe: TOML with line numbers, matrix, stages, resources, and errors that name the line.

Import `load.load_recipe`, `resources.Resources`, `labels`, and `source.suggest` for `Did you mean X?`.
"""
