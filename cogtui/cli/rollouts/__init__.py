"""`cogtui rollouts`, `trace`, `export`, `import`, `note`, `notes` and `reindex`, a module each.

`judge` and `open` import `shared.fresh_store` and the parsing of labels in `import_`.
"""
