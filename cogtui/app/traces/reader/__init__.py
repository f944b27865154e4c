"""Reading one rollout and searching in it."""
