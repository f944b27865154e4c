"""Decides the state of a stage from the evidence: scheduler, exit record, result, processes.

Import `reader.stage_states` (once) or `reader.StateReader` (repeatedly), and the names of `types`.
`local`, `slurm` and `shards` decide for each kind of job; `files` reads the records; `failures` gives reasons.
"""
