"""Follows the evaluations of training stages while they run: test accuracy by step, from their metrics streams."""

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final, NamedTuple

import msgspec

from jobs.planning.types import StageInstance
from jobs.recipe.labels import label_text
from jobs.state.types import StageState
from pipelines.streams import complete_lines, stream_files

_STREAM: Final = "metrics-eval-"
_POLL_S: Final = 1.0
_STARTED: Final = frozenset({"running", "resuming", "done", "failed", "cancelled", "timeout", "preempted", "lost"})


class EvaluatedStep(NamedTuple):
    """One evaluation of one stage on test problems."""

    key: str
    step: int
    accuracy: float
    n: int


class _MetricLine(msgspec.Struct):
    step: int
    values: dict[str, float]


@dataclass(slots=True)
class EvaluationFollower:
    """Reads new evaluations of the stages of a run, at most once a second.

    Args:
        folder_of: returns the folder of a stage from its key.
        now: seconds on a monotonic clock.
    """

    folder_of: Callable[[str], Path]
    now: Callable[[], float]
    _offsets: dict[Path, int] = field(default_factory=dict)
    _found: dict[str, dict[int, EvaluatedStep]] = field(default_factory=dict)
    _finished: set[str] = field(default_factory=set)
    _polled: float = float("-inf")

    def poll(self, stages: Iterable[StageInstance], states: Mapping[str, StageState]) -> list[EvaluatedStep]:
        """Return the evaluations that are new, in the order of stages and steps.

        A stage is read once more after it is done, then never again.
        """
        if self.now() - self._polled < _POLL_S:
            return []
        self._polled = self.now()
        new = []
        for stage in stages:
            state = states.get(stage.key)
            if state is None or state.state not in _STARTED or stage.key in self._finished or not _evaluates(stage):
                continue
            new += self._read(stage.key)
            if state.state == "done":
                self._finished.add(stage.key)
        return new

    def _read(self, key: str) -> list[EvaluatedStep]:
        new = []
        try:
            for path in stream_files(self.folder_of(key), "metrics"):
                if path.name.startswith(_STREAM):
                    for line in complete_lines(path, self._offsets.get(path, 0)):
                        self._offsets[path] = line.end
                        one = _parse(key, line.data)
                        if one is not None and one.step not in self._found.setdefault(key, {}):
                            self._found[key][one.step] = one
                            new.append(one)
        except OSError:
            return new  # the stage is being prepared, or its folder cannot be read just now
        return new

    def curves(self, stages: Sequence[StageInstance]) -> dict[str, list[tuple[int, float]]]:
        """Return the mean accuracy by step of each condition, over the seeds evaluated at that step."""
        sums: dict[str, dict[int, list[float]]] = {}
        for stage in stages:
            for step, one in self._found.get(stage.key, {}).items():
                sums.setdefault(_series_name(stage), {}).setdefault(step, []).append(one.accuracy)
        return {
            name: [(step, sum(values) / len(values)) for step, values in sorted(by_step.items())]
            for name, by_step in sums.items()
        }


def _parse(key: str, line: bytes) -> EvaluatedStep | None:
    try:
        record = msgspec.json.decode(line, type=_MetricLine)
    except msgspec.MsgspecError:
        return None
    accuracy = record.values.get("accuracy")
    return None if accuracy is None else EvaluatedStep(key, record.step, accuracy, int(record.values.get("n", 0)))


def _evaluates(stage: StageInstance) -> bool:
    from pipelines.stages.builtin import find_kind

    kind = find_kind(stage.kind)
    return kind is not None and kind.evaluates == "training"


def _series_name(stage: StageInstance) -> str:
    others = {name: value for name, value in stage.labels.items() if name != "seed"}
    return " ".join(map(str, others.values())) or label_text(stage.labels) or stage.name
