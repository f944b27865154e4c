"""From a recipe to a plan: stage instances with content keys, and which of them are finished.

Import `plan.make_plan` and `plan.materialise`, the types of `types`, and the snapshots of `experiments`.
`builder`, `reuse`, `materialize`, `files` and `code_version` are the steps behind them.
"""
