"""The first draft of a final label: what annotators agree on is taken, the rest is proposed with their names."""

from collections.abc import Mapping, Sequence

from cogtui.app.annotation.draft import AnnotationDraft, SpanKey, span_key
from cogtui.store.user_data.annotations import ANNOTATORS, HumanAnnotation
from pipelines.records import LabelledSpan


def adjudication_draft(
    text: str, annotations: Sequence[HumanAnnotation], saved: HumanAnnotation | None
) -> AnnotationDraft:
    """Return the draft that an adjudicator begins with.

    Args:
        text: of the trace.
        annotations: the finished annotations of it.
        saved: an earlier adjudication; spans that are new since it are proposed beside what it decided.
    """
    spans = list({_version(span): span for one in annotations for span in one.spans}.values())
    if saved is not None:
        draft = AnnotationDraft.of(saved, text)
        new = {one.id for one in annotations} - set(saved.considered)
        return draft.propose(spans, draft.basis) if new else draft
    versions = [{_version(span) for span in one.spans} for one in annotations]
    shared = [span for span in spans if all(_version(span) in one for one in versions)]
    draft = AnnotationDraft(text, spans=tuple(shared))
    return draft.propose((span for span in spans if span not in shared), ANNOTATORS)


def _version(span: LabelledSpan) -> tuple[SpanKey, bool, bool]:
    return span_key(span), span.weak, span.repeat


def proposers(annotations: Sequence[HumanAnnotation]) -> dict[SpanKey, tuple[str, ...]]:
    """Return the annotators of each span, by short names."""
    names = short_names([one.annotator for one in annotations])
    found: dict[SpanKey, tuple[str, ...]] = {}
    for one in annotations:
        for span in one.spans:
            place = span_key(span)
            found[place] = (*found.get(place, ()), names[one.annotator])
    return found


def short_names(annotators: Sequence[str]) -> Mapping[str, str]:
    """Return the part before `@` of each name where it tells them apart, else the whole name."""
    users = {name: name.partition("@")[0] or name for name in annotators}
    return users if len(set(users.values())) == len(users) else {name: name for name in annotators}
