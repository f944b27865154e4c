"""Judging prose that states no problem."""
