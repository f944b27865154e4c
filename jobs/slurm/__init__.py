"""Queries of Slurm: `client` runs squeue, sacct and other commands; `types` holds their answers.

Only `jobs.state`, `jobs.submit`, `jobs.worker` and `jobs.doctor` import from here.
"""
