"""The soak test: random faults over running experiments, and an independent check of what they left (docs/jobs.md)."""
