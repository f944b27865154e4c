"""Mode 3: browsing rollouts."""
