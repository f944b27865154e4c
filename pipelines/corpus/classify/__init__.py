"""The `classify` stage: document judges, chunks that make it resumable, counts of behaviours."""
