"""The prose judge beside labelled steps, and its speed: `python -m benchmarks.prose [--gold FILE ...]`.

`--gold` names labelled traces (JSONL or gzipped, `id`, `text`, `steps[{start, end, behaviors[]}]`), which are not part
of the repository. The judge reads each whole text and cuts it itself; a step is marked where a span overlaps it by
half of the shorter of the two. Intervals resample traces. Speed is CPU time on one core over documents of 400 words
put together from CHAMP, judged one by one.
"""

import argparse
import os
import time
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from benchmarks.champ import champ_documents
from pipelines.behaviors.judges.prose.judge import judge_text
from pipelines.behaviors.judges.prose.network import OUTPUTS
from pipelines.behaviors.judges.prose.train.labelled import LabelledTrace, overlaps, read_labelled
from pipelines.behaviors.judges.prose.train.measures import kappa_interval

DOCUMENTS_BUDGET = 300
WORDS = 400
RUNS = 5


def marked_steps(trace: LabelledTrace) -> NDArray[np.bool_]:
    """The (steps, 3) steps that the spans of the judge mark, columns as `OUTPUTS`."""
    marked = np.zeros_like(trace.labels)
    spans = judge_text(trace.text).spans
    for column, behavior in enumerate(OUTPUTS):
        places = [(span.start or 0, span.end or 0) for span in spans if span.behavior == behavior]
        for _, step in overlaps(places, trace.steps):
            marked[step, column] = True
    return marked


def agreement(path: Path) -> None:
    """Print kappa by behaviour and macro, with 95 % intervals by trace."""
    traces = [trace for trace in read_labelled(path) if trace.steps]
    gold, marked = [trace.labels for trace in traces], [marked_steps(trace) for trace in traces]
    kappas, intervals, macro = kappa_interval(gold, marked)
    print(f"{path.name}: {len(traces)} traces, {sum(map(len, gold)):,} steps")
    for column, behavior in enumerate(OUTPUTS):
        low, high = intervals[column]
        n_gold, n_marked = (sum(int(one[:, column].sum()) for one in some) for some in (gold, marked))
        print(f"  {behavior:14} {kappas[column]:.3f} ({low:.3f}-{high:.3f})   labelled {n_gold}, marked {n_marked}")
    print(f"  {'macro':14} {np.mean(kappas):.3f} ({macro[0]:.3f}-{macro[1]:.3f})")


def documents(n: int) -> list[str]:
    """Documents of 400 words, worked solutions one after another."""
    words: list[str] = []
    found: list[str] = []
    for document in champ_documents():
        words += str(document["text"]).replace("\n", "\n ").split(" ")
        while len(words) >= WORDS and len(found) < n:
            found.append(" ".join(words[:WORDS]).replace("\n ", "\n"))
            words = words[WORDS:]
        if len(found) == n:
            break
    return found


def speed() -> bool:
    """Print documents a second beside the budget, and seconds of long texts; whether the budget is met."""
    texts = documents(400)
    judge_text(texts[0])
    times = []
    for _ in range(RUNS):
        began = time.process_time()
        for text in texts:
            judge_text(text)
        times.append(time.process_time() - began)
    rate = len(texts) / min(times)
    met = rate >= DOCUMENTS_BUDGET
    print(f"{len(texts)} documents of {WORDS} words, one by one: {rate:.0f}/s, budget {DOCUMENTS_BUDGET}, met: {met}")
    whole = "\n\n".join(texts)
    for size in (500_000, 1_000_000, 2_000_000, 5_000_000):
        long = (whole * (size // len(whole) + 1))[:size]
        began = time.process_time()
        judge_text(long)
        took = time.process_time() - began
        print(f"  one text of {size:,} characters: {took:.2f} s, {size / took / 1e6:.2f} MB/s")
    return met


def main() -> int:
    """Run the measurements; 1 where the budget is missed."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--gold", type=Path, nargs="*", default=[], help="files of labelled traces")
    given = parser.parse_args()
    for path in given.gold:
        agreement(path)
    return 0 if speed() else 1


if __name__ == "__main__":
    os.environ.setdefault("OMP_NUM_THREADS", "1")
    raise SystemExit(main())
