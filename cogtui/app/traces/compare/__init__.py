"""Two rollouts side by side: alignment, screen, and the `m` and `d` actions that other screens inherit."""
