"""The adjudication screen: final labels of traces on which annotators differ."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

from cogtui.app.annotation.adjudication import adjudication_draft, proposers, short_names
from cogtui.app.annotation.draft import AnnotationDraft, SpanKey, span_key
from cogtui.app.annotation.screen import AnnotateScreen
from cogtui.app.shell.trace_order import QueueOrder
from cogtui.store import RolloutDetail, RolloutRow, Store
from cogtui.store.user_data.annotations import ADJUDICATED, HumanAnnotation
from pipelines.records import LabelledSpan, text_sha256


class AdjudicateScreen(AnnotateScreen):
    """A trace with what its annotators agree on, and their differences as proposals.

    The keys are those of annotation. Every change is saved as an adjudication with the name of who decides; it is the
    final label once it is marked done.

    Args:
        mode: title of the mode it is opened in.
        ids: the traces to decide, in order.
        rollout: the one opened.
        on_close: called when the screen is left.
    """

    HELP_TITLE = "Adjudicate"
    PATH = "adjudicate"
    FINISHED = "final"

    def __init__(
        self, mode: str, ids: Sequence[str], rollout: RolloutRow, on_close: Callable[[], None] | None = None
    ) -> None:
        super().__init__(mode, QueueOrder(ids), rollout, on_close=None if on_close is None else lambda *_: on_close())
        self.adjudicator = self.annotator
        self.annotator = ADJUDICATED
        self.annotations: tuple[HumanAnnotation, ...] = ()
        self._earlier: HumanAnnotation | None = None
        self._proposers: dict[SpanKey, tuple[str, ...]] = {}

    def read_trace(self, store: Store, rollout: RolloutRow) -> tuple[RolloutDetail, HumanAnnotation | None]:
        detail, saved = super().read_trace(store, rollout)
        label = store.final_labels().get(rollout.id)
        digest = text_sha256(detail.completion)
        self.annotations = () if label is None or label.text_sha256 != digest else label.annotations
        self._earlier = saved
        self._proposers = proposers(self.annotations)
        return detail, saved

    @property
    def byline(self) -> tuple[str, str]:
        names = short_names([one.annotator for one in self.annotations])
        who = f"annotators: {', '.join(names.values()) or 'none'}"
        if self._earlier is None or not self._earlier.done:
            return f"{who}; to be decided by", self.adjudicator
        return f"{who}; decided by", self._earlier.adjudicator or "an import"

    @property
    def record_fields(self) -> Mapping[str, Any]:
        return {"adjudicator": self.adjudicator, "considered": tuple(one.id for one in self.annotations)}

    def first_draft(self, saved: HumanAnnotation | None, text: str) -> AnnotationDraft:
        return adjudication_draft(text, self.annotations, saved)

    def proposed_by(self, span: LabelledSpan) -> str:
        names = self._proposers.get(span_key(span), ())
        return "all" if len(names) == len(self.annotations) > 1 else " ".join(names)

    def accepted(self, draft: AnnotationDraft, span: LabelledSpan) -> AnnotationDraft:
        return draft.accept_version(span)
