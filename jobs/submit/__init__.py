"""Starting and cancelling stages, locally and on Slurm."""
