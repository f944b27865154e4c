"""Shared by PPO and GRPO: sampling and evaluation of a step, processes, health checks, the summary."""
