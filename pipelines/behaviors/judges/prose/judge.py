"""The prose judge: verification, backtracking and subgoals by a small learned model, backward chaining by wordings.

The model is `model.bin` beside this module; docs/prose-judge.md says what it learned from and how good it is.
"""

import threading
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from functools import lru_cache
from pathlib import Path
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray
from pydantic import TypeAdapter

from pipelines.behaviors.judge import BehaviorVerdict, JudgedTask, JudgeKind, JudgeTask, judge_run
from pipelines.behaviors.judges.prose import backward
from pipelines.behaviors.judges.prose.clauses import CUTTER, ProseClause, clauses
from pipelines.behaviors.judges.prose.features import FEATURES, text_features
from pipelines.behaviors.judges.prose.language import other_language
from pipelines.behaviors.judges.prose.model_file import read_model
from pipelines.behaviors.judges.prose.network import N_OUTPUTS, OUTPUTS, Network
from pipelines.behaviors.judges.prose.tokens import ProseTokens
from pipelines.behaviors.segment import SEGMENTER
from pipelines.behaviors.sets.four_habits import FOUR_HABITS
from pipelines.errors import InvalidInput
from pipelines.records import Behavior, JudgeRun, LabelledSpan, Span

MODEL: Final = Path(__file__).with_name("model.bin")
"""The model that is shipped."""

_SPANS: Final = TypeAdapter(tuple[LabelledSpan, ...])
_LEARNED: Final[tuple[Behavior, ...]] = ("verification", "backtracking", "subgoal")
assert _LEARNED == OUTPUTS


@dataclass(frozen=True, slots=True)
class ProseResult:
    """The spans that the prose judge found in one text.

    Attributes:
        spans: in order of start; `score` is the probability that the clause shows the behaviour.
        unjudged: behaviour to the reason why it was not judged; a behaviour in here has no spans and no count.
    """

    spans: tuple[LabelledSpan, ...]
    unjudged: dict[Behavior, str] = field(default_factory=dict)

    @property
    def counts(self) -> dict[Behavior, int]:
        """Number of spans of each behaviour that was judged."""
        found = [span.behavior for span in self.spans]
        return {behavior: found.count(behavior) for behavior in FOUR_HABITS.names if behavior not in self.unjudged}


class ProseModel:
    """A model file, ready to score clauses.

    Args:
        path: of the file.

    Raises:
        InvalidInput: the file is missing, damaged, of another format, or made for other features or cuts.
    """

    def __init__(self, path: Path) -> None:
        stored = read_model(path)
        made_for = {name: stored.facts.get(name) for name in ("features", "cutter", "segmenter")}
        needed = {"features": FEATURES, "cutter": CUTTER, "segmenter": SEGMENTER}
        if made_for != needed:
            raise InvalidInput(
                f"the model of the prose judge was made for another version: {path}",
                detail=f"It was made for {made_for}; needed is {needed}.",
                remedy="Install cogtui again, or make the model anew as docs/prose-judge.md says.",
            )
        try:
            self._network = Network.of(stored.arrays)
            slope, shift = np.asarray(stored.arrays["calibration"], np.float64).reshape(2, N_OUTPUTS)
            self.thresholds: NDArray[np.float64] = np.asarray(stored.arrays["thresholds"], np.float64).reshape(
                N_OUTPUTS
            )
        except (KeyError, ValueError) as error:
            raise InvalidInput(
                f"the model of the prose judge is damaged ({error}): {path}", remedy="Install cogtui again."
            ) from error
        self._slope, self._shift = slope, shift
        self.sha256 = stored.sha256
        self.facts: dict[str, Any] = stored.facts
        self._tokens = ProseTokens()
        self._lock = threading.Lock()

    def logits(self, text: str, places: list[ProseClause]) -> NDArray[np.float32]:
        """Compute the (clauses, 3) logits of a text cut into `places` (at least one)."""
        with self._lock:  # the table of tokens grows while it is read
            features = text_features(text, places, self._tokens)
        return self._network.logits(features)

    def probabilities(self, logits: NDArray[np.float32]) -> NDArray[np.float64]:
        """Turn logits into calibrated probabilities: higher logits never give lower ones."""
        return 0.5 + 0.5 * np.tanh(0.5 * (self._slope * logits.astype(np.float64) + self._shift))


@lru_cache(maxsize=2)
def load_model(path: Path) -> ProseModel:
    """Load a model once a process.

    Raises:
        InvalidInput: it cannot be used; see `ProseModel`.
    """
    return ProseModel(path)


def judge_text(text: str, model: ProseModel | None = None) -> ProseResult:
    """Find the four behaviours in a text that states no problem.

    Args:
        text: any text; lone surrogates and controls are no error.
        model: the model that scores it; the shipped one if left out.

    Returns:
        Spans whose offsets are half-open code points of `text`. A text in another language than English is not
        judged: `unjudged` says why.

    Raises:
        InvalidInput: the shipped model is missing, damaged or of another version.
    """
    if model is None:
        model = load_model(MODEL)
    language = other_language(text)
    if language is not None:
        return ProseResult(
            (), dict.fromkeys(FOUR_HABITS.names, f"the text is in another language than English: {language}")
        )
    places = clauses(text)
    if not places:
        return ProseResult(())
    probability = model.probabilities(model.logits(text, places))
    marked = [
        (int(clause), int(output), float(probability[clause, output]))
        for clause, output in np.argwhere(probability > model.thresholds)
    ]
    found: list[tuple[ProseClause, Behavior, float]] = [
        (places[clause], _LEARNED[output], round(score, 4)) for clause, output, score in marked
    ]
    if backward.mentions(text.lower()):
        found += [
            (place, "backward_chaining", backward.PRECISION)
            for place in places
            if backward.is_backward(text, place.start, place.end)
        ]
        found.sort(key=lambda one: (one[0].start, FOUR_HABITS.names.index(one[1])))
    return ProseResult(
        _SPANS.validate_python(
            [
                {
                    "behavior": behavior,
                    "start": place.start,
                    "end": place.end,
                    "quote": text[place.start : place.end],
                    "score": score,
                }
                for place, behavior, score in found
            ]
        )
    )


class ProseJudge:
    """The prose judge behind the judge interface.

    Args:
        path: of the model.
    """

    def __init__(self, path: Path = MODEL) -> None:
        self._path = path

    @property
    def run(self) -> JudgeRun:
        """Who judges: the model by its digest, and what is done around it.

        Raises:
            InvalidInput: the model cannot be used; nothing is judged then.
        """
        model = load_model(self._path)
        params = {"model_sha256": model.sha256, "cutter": CUTTER, "backward": backward.BACKWARD_VERSION}
        return judge_run("prose", params=params, segmenter=SEGMENTER)

    def judge(self, tasks: Iterable[JudgeTask], work: Path) -> Iterator[JudgedTask]:
        """Judge in order; keep nothing in `work`."""
        model = load_model(self._path)
        for task in tasks:
            yield JudgedTask(task, verdicts_of(judge_text(task.completion, model)))


def verdicts_of(result: ProseResult) -> dict[Behavior, BehaviorVerdict]:
    """Turn a result into a verdict for each behaviour; `raw` says why one was not judged."""
    found: dict[Behavior, list[Span]] = {behavior: [] for behavior in FOUR_HABITS.names}
    for span in result.spans:
        found[span.behavior].append(Span(**span.model_dump(exclude={"behavior"})))
    return {
        behavior: BehaviorVerdict("unjudged", raw=result.unjudged[behavior])
        if behavior in result.unjudged
        else BehaviorVerdict("ok", len(spans), tuple(spans))
        for behavior, spans in found.items()
    }


PROSE_JUDGE: Final = JudgeKind("learned judge of prose", lambda config: ProseJudge(), gives_probabilities=True)
