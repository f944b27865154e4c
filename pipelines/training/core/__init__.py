"""What all training stages share: configs, runtime, checkpoints, metrics, models."""
