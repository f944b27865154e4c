"""Queries of Slurm: `client` runs squeue and sacct, `types` holds their answers."""
