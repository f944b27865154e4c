"""Starts and cancels stages: `start.start_stages`, `launch.preview`, `cancel.cancel`.

`choice` decides which stages start, `claims` makes attempts, `slurm` and `sbatch` submit them to Slurm. Outside `jobs`
import only from `start`, `retry`, `actions`, `launch`, `cancel` and `choice`.
"""
