"""Speed of the Countdown task on one core, in CPU seconds, beside the budgets: `python -m benchmarks.countdown`.

Every figure is the median of several runs; a budget that is missed makes the exit code 1.
"""

import argparse
import random
import statistics
import sys
import time
from collections.abc import Callable
from fractions import Fraction
from functools import partial

from pipelines.tasks.countdown.expression import parse
from pipelines.tasks.countdown.problems import Problem, ProblemSpace, generate
from pipelines.tasks.countdown.reward import score_completion
from pipelines.tasks.countdown.solver import solutions, solve

RUNS = 7
REWARD_BUDGET = 30_000
GENERATION_BUDGET_S = 1.0


def cpu_seconds(work: Callable[[], object], runs: int = RUNS) -> float:
    """Median CPU time of a piece of work."""
    times = []
    for _ in range(runs):
        start = time.process_time()
        work()
        times.append(time.process_time() - start)
    return statistics.median(times)


def a_completion(problem: Problem, rng: random.Random) -> str:
    """About 300 tokens of search in the usual wording, then an answer: right, wrong, malformed or missing."""
    lines: list[str] = []
    while sum(len(line) for line in lines) < 1_100:
        first, second = rng.sample(problem.numbers, 2)
        lines.append(f"Let me try {first} + {second} = {first + second}, then I still need {problem.target - first}. ")
        lines.append(f"That gives {first * second}, which is not {problem.target}, so I go back and try again.\n")
    kind = rng.random()
    if kind < 0.4:
        answer = solve(problem.numbers, problem.target) or ""
    elif kind < 0.8:
        answer = " - ".join(map(str, problem.numbers))
    elif kind < 0.9:
        answer = f"{problem.numbers[0]} + {problem.numbers[1]} = {problem.target}"
    else:
        return "".join(lines)
    return f"{''.join(lines)}</think>\n<answer> {answer} </answer>"


def solve_all(problems: list[Problem]) -> None:
    """One solution of each problem."""
    for problem in problems:
        solve(problem.numbers, problem.target)


def report(name: str, figure: str, budget: str = "", met: bool = True) -> bool:
    """Prints one line; returns whether the budget is met."""
    print(f"{name:<58} {figure:>22}   {budget}{'' if met else '   MISSED'}")
    return met


def main() -> int:
    """Runs all benchmarks; 1 if a budget is missed."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--completions", type=int, default=20_000, help="completions scored in one run")
    completions = parser.parse_args().completions
    rng = random.Random(0)
    space = ProblemSpace()
    problems = generate(space, 1_000)
    scored = [(a_completion(problem, rng), problem) for problem in rng.choices(problems, k=completions)]

    def score_all() -> None:
        for completion, problem in scored:
            score_completion(completion, problem.numbers, problem.target)

    met = True
    rate = completions / cpu_seconds(score_all)
    length = statistics.mean(len(completion) for completion, _ in scored)
    met &= report(
        f"reward, completions of {length:,.0f} characters",
        f"{rate:,.0f} / s",
        f">= {REWARD_BUDGET:,} / s",
        rate >= REWARD_BUDGET,
    )
    answers = [solve(problem.numbers, problem.target) or "" for problem in problems]
    parsing = cpu_seconds(lambda: [parse(answer).value() for answer in answers])
    report("parse and evaluate an answer", f"{parsing / len(answers) * 1e6:.1f} us")
    hostile = f"<answer>{'(' * 500_000}1{')' * 500_000}</answer>"
    report(
        "reward of a megabyte of parentheses", f"{cpu_seconds(lambda: score_completion(hostile, (1,), 1)) * 1e6:.0f} us"
    )

    seconds = cpu_seconds(lambda: generate(space, 1_000))
    met &= report(
        "1,000 problems, 3-4 numbers up to 100",
        f"{seconds:.2f} s",
        f"< {GENERATION_BUDGET_S:.0f} s",
        seconds < GENERATION_BUDGET_S,
    )
    for size in (5, 6):
        seconds = cpu_seconds(partial(generate, ProblemSpace(sizes=(size,)), 100), runs=3)
        report(f"a problem of {size} numbers up to 100, drawn and checked", f"{seconds * 10:.1f} ms")
    for size in (3, 4, 5, 6):
        some = generate(ProblemSpace(sizes=(size,)), 50, seed=1)
        seconds = cpu_seconds(partial(solve_all, some), runs=3)
        report(f"one solution, {size} numbers", f"{seconds / len(some) * 1e3:.2f} ms")
    seconds = cpu_seconds(lambda: solve((1, 2, 3, 4, 5, 6), 9_999), runs=3)
    report("proof that six numbers have no solution", f"{seconds * 1e3:.0f} ms")
    found = list(solutions((2, 3, 7, 8, 50, 75), 812))
    assert all(parse(text).value() == Fraction(812) for text in found)
    seconds = cpu_seconds(lambda: list(solutions((2, 3, 7, 8, 50, 75), 812)), runs=3)
    report(f"all {len(found)} distinct solutions of a problem of six numbers", f"{seconds * 1e3:.0f} ms")
    return 0 if met else 1


if __name__ == "__main__":
    sys.exit(main())
