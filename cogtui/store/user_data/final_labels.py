"""Final labels of rollouts: what people say, after adjudication where they differ."""

import statistics
from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from cogtui.store.user_data.annotations import ANNOTATORS, HUMAN, HumanAnnotation, why_not_counted
from pipelines.records import Behavior


@dataclass(frozen=True, slots=True)
class FinalLabel:
    """The people's label of one rollout."""

    rollout: str
    text_sha256: str
    """Digest of the text that was labelled."""
    annotations: tuple[HumanAnnotation, ...]
    """The finished annotations of that text, by annotator, without the adjudication."""
    adjudication: HumanAnnotation | None = None
    others: tuple[HumanAnnotation, ...] = ()
    """Finished annotations of other texts of the rollout, made earlier."""

    def of_text(self, text: str) -> "FinalLabel | None":
        """Return the label made of those annotations that fit a text; None if none does."""
        decided = () if self.adjudication is None else (self.adjudication,)
        mine = (*self.annotations, *decided, *self.others)
        fit = [one for one in mine if why_not_counted(one, text) is None]
        if len(fit) == len(mine):
            return self
        return _final_label(self.rollout, fit) if fit else None

    @property
    def deciding(self) -> tuple[HumanAnnotation, ...]:
        """The annotations that the label is made of: the adjudication, else those of all annotators."""
        return self.annotations if self.adjudication is None else (self.adjudication,)

    def count(self, behavior: Behavior) -> float | None:
        """Return the count of a behaviour; the mean where annotators differ and nobody decided. None if not judged.

        A rollout on which annotators differ is not left out: those are the hard ones, and a sample without them would
        make every judge look better.
        """
        counts = [count for one in self.deciding if (count := self._count(one, behavior)) is not None]
        return statistics.fmean(counts) if counts else None

    def presence(self, behavior: Behavior) -> float | None:
        """Return the share of its annotations that show a behaviour, 0 or 1 after adjudication; None if not judged."""
        counts = [count for one in self.deciding if (count := self._count(one, behavior)) is not None]
        return statistics.fmean(count > 0 for count in counts) if counts else None

    @staticmethod
    def _count(one: HumanAnnotation, behavior: Behavior) -> int | None:
        return one.count(behavior) if behavior in one.behaviors else None

    @property
    def differ(self) -> bool:
        """Whether annotators placed different spans and nobody decided since."""
        return self.adjudication is None and len({_places(one) for one in self.annotations}) > 1

    @property
    def is_led(self) -> bool:
        """Whether an annotator started from the spans of a judge, which lead a person to agree with it."""
        return any(
            one.basis and one.basis != ANNOTATORS and not one.basis.startswith(f"{HUMAN}-")
            for one in (*self.annotations, *((self.adjudication,) if self.adjudication is not None else ()))
        )

    @property
    def outdated(self) -> bool:
        """Whether an annotator changed or added an annotation after the adjudication."""
        return self.adjudication is not None and not {one.id for one in self.annotations} <= set(
            self.adjudication.considered
        )


def _places(one: HumanAnnotation) -> frozenset[tuple[object, ...]]:
    return frozenset((span.behavior, span.start, span.end, span.weak, span.repeat) for span in one.spans)


def final_labels(annotations: Iterable[HumanAnnotation]) -> dict[str, FinalLabel]:
    """Return the final labels by rollout.

    Only annotations marked done are used: before, a behaviour without spans was perhaps not looked for, and annotations
    with spans alone would be no random sample. Annotators who labelled different texts of a rollout: the latest counts.

    Args:
        annotations: the current ones of all people.
    """
    by_rollout: dict[str, list[HumanAnnotation]] = {}
    for one in annotations:
        if one.done:
            by_rollout.setdefault(one.rollout, []).append(one)
    return {rollout: _final_label(rollout, found) for rollout, found in by_rollout.items()}


def _final_label(rollout: str, found: list[HumanAnnotation]) -> FinalLabel:
    latest = max(found, key=lambda one: one.stamp)
    same = [one for one in found if one.text_sha256 == latest.text_sha256]
    decided = [one for one in same if one.is_adjudication]
    people = sorted((one for one in same if not one.is_adjudication), key=lambda one: one.annotator)
    others = tuple(one for one in found if one.text_sha256 != latest.text_sha256)
    return FinalLabel(rollout, latest.text_sha256, tuple(people), decided[0] if decided else None, others)


def awaiting_adjudication(labels: Mapping[str, FinalLabel]) -> list[FinalLabel]:
    """Return the labels on which annotators differ and nobody decided, and those changed since, by rollout."""
    return [labels[rollout] for rollout in sorted(labels) if labels[rollout].differ or labels[rollout].outdated]
