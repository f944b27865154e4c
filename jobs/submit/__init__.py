"""Starts and cancels stages: `launch.submit`, `launch.preview`, `cancel.cancel`.

`choice` decides which stages start, `claims` makes attempts, `slurm` and `sbatch` submit them to Slurm. Outside `jobs`
import only from `launch`, `cancel` and `choice`.
"""
