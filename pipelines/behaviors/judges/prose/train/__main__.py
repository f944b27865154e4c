"""Makes the model: `python -m pipelines.behaviors.judges.prose.train DATA --out model.bin`.

Five folds by problem give scores of traces that were not trained on: from them come the agreement that is printed, the
thresholds and the calibration. The network that is written is then trained on all traces.
"""

import argparse
import os
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from pipelines.behaviors.judges.prose.clauses import CUTTER
from pipelines.behaviors.judges.prose.features import FEATURES
from pipelines.behaviors.judges.prose.model_file import write_model
from pipelines.behaviors.judges.prose.network import N_OUTPUTS, OUTPUTS, Network
from pipelines.behaviors.judges.prose.train.labelled import Example, digest, examples, read_labelled
from pipelines.behaviors.judges.prose.train.measures import (
    average_precision,
    best_threshold,
    calibration_error,
    fit_logistic,
    kappa_interval,
)
from pipelines.behaviors.judges.prose.train.network import TrainingSettings, train
from pipelines.behaviors.segment import SEGMENTER

FOLDS: Final = 5
USUAL: Final = (30, 200)
"""Steps of the traces that thresholds and calibration are fitted to; labels thin out in longer ones."""
_NOTHING: Final = -30.0
"""Logit of a step that no clause overlaps."""

_PORTABLE: Final = {"MKL_CBWR": "COMPATIBLE", "ATEN_CPU_CAPABILITY": "default", "OMP_NUM_THREADS": "1"}
"""Environment under which torch computes the same on any x86-64 processor."""


def step_logits(example: Example, logits: NDArray[np.float32]) -> NDArray[np.float64]:
    """Turn (clauses, 3) into (steps, 3): of the clauses that overlap a step, the highest."""
    found = np.full(example.trace.labels.shape, _NOTHING)
    np.maximum.at(found, example.pairs[:, 1], logits[example.pairs[:, 0]])
    return found


def fold_of(problems: Sequence[str], folds: int) -> dict[str, int]:
    """Deal problems to folds."""
    names = np.array(sorted(set(problems)))
    np.random.default_rng(3).shuffle(names)
    return {str(name): at % folds for at, name in enumerate(names)}


def held_out(found: Sequence[Example], settings: TrainingSettings, folds: int) -> list[NDArray[np.float64]]:
    """Step logits of each example by a network that was trained without its problem."""
    fold = fold_of([example.trace.problem for example in found], folds)
    scores: dict[int, NDArray[np.float64]] = {}
    for number in range(folds):
        network = Network.of(train([e for e in found if fold[e.trace.problem] != number], settings))
        for at, example in enumerate(found):
            if fold[example.trace.problem] == number:
                scores[at] = step_logits(example, network.logits(example.features))
        print(f"fold {number + 1} of {folds}", file=sys.stderr, flush=True)
    return [scores[at] for at in range(len(found))]


def main() -> None:
    """Train, measure and write."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("data", type=Path, help="labelled traces: reasoning-steps-llm.jsonl.gz")
    parser.add_argument("--out", type=Path, required=True, help="where the model is written")
    parser.add_argument("--folds", type=int, default=FOLDS)
    given = parser.parse_args()
    if any(os.environ.get(name) != value for name, value in _PORTABLE.items()):
        os.execve(
            sys.executable,
            [sys.executable, "-P", "-m", __package__, *sys.argv[1:]],
            {**os.environ, **_PORTABLE},
        )
    settings = TrainingSettings()
    found = examples(read_labelled(given.data))
    scores = held_out(found, settings, given.folds)
    usual = [at for at, e in enumerate(found) if USUAL[0] <= len(e.trace.steps) <= USUAL[1]]
    gold: NDArray[np.bool_] = np.vstack([found[at].trace.labels for at in usual])
    score: NDArray[np.float64] = np.vstack([scores[at] for at in usual])
    thresholds = np.array([best_threshold(gold[:, b], score[:, b]) for b in range(N_OUTPUTS)])
    there = score[:, 0] > _NOTHING
    fitted = np.array([fit_logistic(gold[there, b], score[there, b]) for b in range(N_OUTPUTS)]).T.round(4)
    probability = 0.5 + 0.5 * np.tanh(0.5 * (fitted[0] * score + fitted[1]))
    chosen = (0.5 + 0.5 * np.tanh(0.5 * (fitted[0] * thresholds + fitted[1]))).round(4)
    facts = _report(found, scores, usual, fitted, chosen, gold, probability)
    arrays = train(found, settings) | {"calibration": fitted, "thresholds": chosen}
    made_for = {"features": FEATURES, "cutter": CUTTER, "segmenter": SEGMENTER}
    training = {"data_sha256": digest(given.data), "traces": len(found), "seed": settings.seed, "folds": given.folds}
    write_model(given.out, arrays, {**made_for, "training": training, "held_out": facts})
    print(f"{given.out}: {given.out.stat().st_size:,} bytes, sha256 {digest(given.out)}")


def _report(
    found: Sequence[Example],
    scores: Sequence[NDArray[np.float64]],
    usual: Sequence[int],
    fitted: NDArray[np.float64],
    chosen: NDArray[np.float64],
    gold: NDArray[np.bool_],
    probability: NDArray[np.float64],
) -> dict[str, Any]:
    """Print the agreement with the labels held out; return it as facts of the model."""
    facts: dict[str, Any] = {}
    for name, some in (("all", range(len(found))), ("30 to 200 steps", usual)):
        labels = [found[at].trace.labels for at in some]
        marked = [0.5 + 0.5 * np.tanh(0.5 * (fitted[0] * scores[at] + fitted[1])) > chosen for at in some]
        kappas, intervals, macro = kappa_interval(labels, marked)
        for behavior, value, (low, high) in zip(OUTPUTS, kappas, intervals, strict=True):
            print(f"{name:16} {behavior:13} kappa {value:.3f} ({low:.3f}-{high:.3f})")
        print(f"{name:16} {'macro':13} kappa {np.mean(kappas):.3f} ({macro[0]:.3f}-{macro[1]:.3f})")
        facts[name] = {b: round(value, 4) for b, value in zip(OUTPUTS, kappas, strict=True)}
    for b, behavior in enumerate(OUTPUTS):
        print(
            f"{behavior:13} average precision {average_precision(gold[:, b], probability[:, b]):.3f}, "
            f"calibration error {calibration_error(gold[:, b], probability[:, b]):.4f}, "
            f"marked from {chosen[b]:.3f} on, {gold[:, b].sum()} of {len(gold):,} steps labelled"
        )
    return facts


if __name__ == "__main__":
    main()
