"""Importing rollout files: recognising their layout, converting rows, writing a stage of kind `import`.

`plan.plan_import` and `run.run_import` import, `opening.open_files` opens files without a workspace. An importer of a
layout is one file (`protocol.RowImporter`), built in under `layouts` or of another package, listed by `registry`.
"""
