"""Mode 4: a measure over training steps, by condition."""
