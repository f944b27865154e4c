"""Speed of judging on one core, in CPU time, beside the budgets: `python -m benchmarks.judging`.

The rules judge reads the shipped gold traces, joined and cut to 300 tokens each (a digit, a word or a mark is a
token, which is how language models count arithmetic). Cold: every trace once, as written, with all caches emptied
before it, so that no clause was met before; the rate is for 300 tokens. A text of 2 MB may take at most 1.5 times as
long a character as one of 200 kB. Alignment places 40 quotes in a repetitive trace of 4 kB.
Every figure is the best of several runs, since other work on the machine only ever adds; a budget that is missed
makes the exit code 1.
"""

import random
import re
import sys
import time
from collections.abc import Callable
from pathlib import Path

from pipelines.behaviors.align import JudgeQuote, align_quotes
from pipelines.behaviors.gold import GoldTrace, read_gold
from pipelines.behaviors.judges.rules.judge import clear_caches, judge_completion
from pipelines.behaviors.segment import segments

RULES_BUDGET = 1_000
COLD_BUDGET = 500
LONG_BUDGET = 1.5
ALIGN_BUDGET_MS = 10.0
TOKENS = 300
RUNS = 15
GOLD = Path(__file__).parents[1] / "examples" / "gold" / "gold.jsonl"
STYLES = GOLD.parent / "styles"
_TOKEN = re.compile(r"\d|[^\W\d]+|[^\w\s]|\n+")


def best_seconds(work: Callable[[], object]) -> float:
    """Least CPU time of a piece of work over several runs."""
    times = []
    for _ in range(RUNS):
        start = time.process_time()
        work()
        times.append(time.process_time() - start)
    return min(times)


def pieces(traces: list[GoldTrace]) -> list[tuple[str, tuple[int, ...], int]]:
    """Texts of 300 tokens with their problem; shorter traces are followed by themselves."""
    found = []
    for trace in traces:
        text = trace.text
        while len(ends := [match.end() for match in _TOKEN.finditer(text)]) < TOKENS:
            text = f"{text}\n{trace.text}"
        found.append((text[: ends[TOKENS - 1]], tuple(trace.problem["numbers"]), trace.problem["target"]))
    return found


def cold_rate(traces: list[GoldTrace]) -> float:
    """Traces of 300 tokens a second of which no clause, word or token was met before."""
    tokens = sum(len(_TOKEN.findall(trace.text)) for trace in traces)
    times = []
    for _ in range(RUNS):
        spent = 0.0
        for trace in traces:
            clear_caches()
            began = time.process_time()
            judge_completion(trace.text, trace.problem["numbers"], trace.problem["target"])
            spent += time.process_time() - began
        times.append(spent)
    return tokens / TOKENS / min(times)


def long_ratio() -> float:
    """Time a character of a trace of 2 MB over that of one of 200 kB."""
    step = "82 + 90 = 172 (not 199). Let me try 90 * 2 = 180, too low. I need 19 more. 199 - 90 = 109.\n"
    seconds = []
    for size in (200_000, 2_000_000):
        text = step * (size // len(step))
        began = time.process_time()
        result = judge_completion(text, (82, 90, 41, 13), 199)
        _ = (result.verdicts(), result.facts, result.attempts)
        seconds.append((time.process_time() - began) / size)
    return seconds[1] / seconds[0]


def repetitive_trace(rng: random.Random) -> tuple[str, list[JudgeQuote]]:
    """A trace of about 4 kB that repeats itself, and 40 quotes of it with their segments, shuffled."""
    text = ""
    places: list[tuple[int, int]] = []
    while len(text) < 4_000:
        left, right = rng.choice((3, 5, 8)), rng.choice((20, 25, 40))
        sentence = f"Now I try {left} + {right} = {left + right}, which is not equal to 62, so I try something else. "
        start = len(text) + sentence.index("which")
        places.append((start, start + len("which is not equal to 62")))
        places.append((start + 26, len(text) + len(sentence) - 2))
        text += sentence
    cut = segments(text)
    quotes = [
        JudgeQuote(text[start:end], next(n for n, (low, high) in enumerate(cut, 1) if low <= start < high))
        for start, end in rng.sample(places, 40)
    ]
    return text, quotes


def report(name: str, value: str, budget: str, *, met: bool) -> bool:
    """Prints a figure beside its budget."""
    print(f"{name:<44} {value:>14}   budget {budget:<12} {'met' if met else 'MISSED'}")
    return met


def main() -> int:
    """Runs the measurements; 1 where a budget is missed."""
    gold = read_gold(GOLD)
    texts = pieces(gold)
    seconds = best_seconds(lambda: [judge_completion(*text) for text in texts])
    rate = len(texts) / seconds
    cold = cold_rate([*gold, *(trace for path in sorted(STYLES.glob("*.jsonl")) for trace in read_gold(path))])
    ratio = long_ratio()
    traces = [repetitive_trace(random.Random(seed)) for seed in range(20)]
    aligning = best_seconds(lambda: [align_quotes(text, quotes) for text, quotes in traces]) / len(traces) * 1e3
    changed = [
        (text, [JudgeQuote(quote.text.replace(" is", ""), quote.segment) for quote in quotes])
        for text, quotes in traces
    ]
    fuzzy = best_seconds(lambda: [align_quotes(text, quotes) for text, quotes in changed]) / len(changed) * 1e3
    met = [
        report("rules judge, 300 tokens", f"{rate:,.0f} traces/s", f">= {RULES_BUDGET:,}", met=rate >= RULES_BUDGET),
        report("the same, cold", f"{cold:,.0f} traces/s", f">= {COLD_BUDGET}", met=cold >= COLD_BUDGET),
        report("2 MB beside 200 kB, a character", f"{ratio:.2f} times", f"<= {LONG_BUDGET}", met=ratio <= LONG_BUDGET),
        report("40 verbatim quotes in 4 kB", f"{aligning:.2f} ms", "<= 10 ms", met=aligning <= ALIGN_BUDGET_MS),
        report("40 changed quotes in 4 kB", f"{fuzzy:.2f} ms", "<= 10 ms", met=fuzzy <= ALIGN_BUDGET_MS),
    ]
    return 0 if all(met) else 1


if __name__ == "__main__":
    sys.exit(main())
