"""Tasks: problems, prompts and exact scores."""
