"""What Slurm says: squeue and sacct."""
