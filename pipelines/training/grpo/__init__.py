"""GRPO by TRL."""
