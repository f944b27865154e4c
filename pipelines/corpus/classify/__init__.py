"""The `classify` stage: document judges, chunks that make it resumable, counts of behaviours.

From outside: `chunks` and `stats`, for `curate` and tables.
"""
