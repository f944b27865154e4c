"""Countdown problems: the record, drawing new ones, and files of them. Import them from here."""

from pipelines.tasks.countdown.generator import ProblemSpace, draw, generate
from pipelines.tasks.countdown.problem import MAX_NUMBERS, MIN_NUMBERS, Problem, ProblemKey, make_problem, problem_id
from pipelines.tasks.countdown.reading import iterate_problems, read_problems, write_problems

__all__ = [
    "MAX_NUMBERS",
    "MIN_NUMBERS",
    "Problem",
    "ProblemKey",
    "ProblemSpace",
    "draw",
    "generate",
    "iterate_problems",
    "make_problem",
    "problem_id",
    "read_problems",
    "write_problems",
]
