"""Rollouts: problems to prompts, completions to scored records, metrics of rollouts."""
