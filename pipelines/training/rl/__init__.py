"""Shared by PPO and GRPO.

`step_runner` samples and evaluates a step, `ranks` is the interface to several processes, `health` warns, `summary`
writes the result.
"""
