"""Countdown: generator, solver, reward."""
