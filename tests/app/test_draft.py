"""The annotation model: whatever a person does, what is written holds; undo inverts."""

from collections.abc import Callable
from itertools import pairwise

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from cogtui.app.annotation.boundaries import SpanEdge, TextSelection, TextUnit, move_boundary
from cogtui.app.annotation.draft import AnnotationDraft, DraftHistory, Flag, InvalidEdit, span_key
from cogtui.store.user_data.annotations import check_annotation, new_annotation, read_annotation
from pipelines.behaviors.segment import segments
from pipelines.behaviors.sets.registered import BEHAVIORS
from pipelines.records import Behavior, LabelledSpan
from tests.app.strategies import hostile_text, texts_with_spans

TEXT = "Try 3 + 4 = 7. That is not 32, so again.\nFirst make 8."


def one(behavior: Behavior, words: str, text: str = TEXT) -> LabelledSpan:
    start = text.index(words)
    return LabelledSpan(behavior=behavior, start=start, end=start + len(words), quote=words)


def holds(draft: AnnotationDraft) -> None:
    """Everything that is promised of a draft, and that it survives being written and read."""
    record = new_annotation(
        "r", draft.text, "ann", spans=draft.spans, open=draft.open, rejected=draft.rejected, done=draft.done,
        basis=draft.basis,
    )  # fmt: skip
    check_annotation(record, draft.text)
    places = [span_key(span) for span in (*draft.spans, *draft.open, *draft.rejected)]
    assert len(set(places)) == len(places)
    assert not (draft.done and draft.open)
    for behavior in BEHAVIORS:
        own = sorted((p[1], p[2]) for p in map(span_key, draft.spans) if p[0] == behavior)
        assert all(end <= start for (_, end), (start, _) in pairwise(own))


@st.composite
def edits(draw: st.DrawFn) -> Callable[[AnnotationDraft], AnnotationDraft]:
    """Some key a person might press, on any draft."""
    kind = draw(
        st.sampled_from(("accept", "remove", "add", "move", "relabel", "flag", "all", "none", "done", "reopen"))
    )
    which, behavior = draw(st.integers(0, 7)), draw(st.sampled_from(BEHAVIORS))
    a, b = draw(st.integers(-2, 60)), draw(st.integers(-2, 60))
    flag: Flag = draw(st.sampled_from(("weak", "repeat")))

    def edit(draft: AnnotationDraft) -> AnnotationDraft:
        if kind == "add":
            return draft.add(a, b, behavior)
        if kind in ("all", "none", "done", "reopen"):
            return {
                "all": AnnotationDraft.accept_all,
                "none": AnnotationDraft.reject_all,
                "done": AnnotationDraft.finish,
                "reopen": AnnotationDraft.reopen,
            }[kind](draft)
        if not draft.items:
            return draft
        span = draft.items[which % len(draft.items)]
        if kind == "accept":
            return draft.accept(span)
        if kind == "remove":
            return draft.remove(span)
        if kind == "move":
            return draft.move(span, a, b)
        if kind == "relabel":
            return draft.relabel(span, behavior)
        return draft.toggle(span, flag)

    return edit


@settings(deadline=None)
@given(texts_with_spans(), st.lists(edits(), max_size=12), st.integers(0, 3))
def test_any_edits_keep_what_is_promised_and_undo_inverts_them(
    case: tuple[str, list[LabelledSpan]], chosen: list[Callable[[AnnotationDraft], AnnotationDraft]], again: int
) -> None:
    text, judges = case
    history = DraftHistory(AnnotationDraft(text))
    history.put(history.draft.propose(judges, "rules-1"))
    states = [history.draft]
    for number, edit in enumerate(chosen):
        try:
            changed = history.put(edit(history.draft))
        except InvalidEdit:
            continue
        holds(history.draft)
        assert changed == (history.draft != states[-1])
        if changed:
            states.append(history.draft)
        if number == again:  # another judge, in the middle of it
            if history.put(history.draft.propose(reversed(judges), "other")):
                states.append(history.draft)
            holds(history.draft)
    for state in reversed(states[:-1]):
        assert history.undo()
        assert history.draft == state
    for state in states[1:]:
        assert history.redo()
        assert history.draft == state
    assert not history.redo()


@given(texts_with_spans())
def test_what_was_decided_is_not_proposed_again(case: tuple[str, list[LabelledSpan]]) -> None:
    text, judges = case
    draft = AnnotationDraft(text).propose(judges, "a")
    for span in draft.open[::2]:
        draft = draft.remove(span)
    draft = draft.accept_all()
    again = draft.propose(judges, "b")
    assert set(again.open) <= set(draft.open)
    assert (again.spans, again.rejected) == (draft.spans, draft.rejected)


@given(hostile_text, st.integers(0, 200), st.sampled_from(("character", "word", "sentence")))
def test_boundaries_move_on_and_back_within_the_text(text: str, at: int, unit: TextUnit) -> None:
    edges: tuple[SpanEdge, ...] = ("start", "end")
    for edge in edges:
        low, high = (0, max(0, len(text) - 1)) if edge == "start" else (min(1, len(text)), len(text))
        here = max(low, min(at, high))
        for direction, limit in ((1, high), (-1, low)):
            there, steps = here, 0
            while there != limit:
                following = move_boundary(text, there, unit, direction, edge)
                assert (following - there) * direction > 0, (there, following)
                assert low <= following <= high
                there, steps = following, steps + 1
                assert steps <= len(text)
            assert move_boundary(text, limit, unit, direction, edge) == limit


@given(hostile_text)
def test_sentences_of_the_segmenter_are_where_boundaries_stop(text: str) -> None:
    starts = [
        start + len(text[start:end]) - len(text[start:end].lstrip())
        for start, end in segments(text)
        if text[start:end].strip()
    ]
    at = -1
    seen: list[int] = []
    while len(seen) < len(starts):
        at = move_boundary(text, at, "sentence", 1, "start")
        seen.append(at)
    assert seen == starts


def test_words_and_sentences_stop_where_a_person_expects() -> None:
    starts, at = [], 0
    for _ in range(6):
        at = move_boundary(TEXT, at, "word", 1, "start")
        starts.append(TEXT[at:].split()[0])
    assert starts == ["3", "+", "4", "=", "7.", "."]
    assert TEXT[: move_boundary(TEXT, 1, "word", 1, "end")] == "Try"
    assert TEXT[move_boundary(TEXT, 0, "sentence", 1, "start") :].startswith("That is not")
    end = move_boundary(TEXT, 20, "sentence", 1, "end")
    assert TEXT[:end].endswith("so again.")
    assert TEXT[: move_boundary(TEXT, end, "word", -1, "end")].endswith("so again")
    assert move_boundary("e\u0301x", 0, "character", 1, "start") == 2  # never between a letter and its accent


@given(hostile_text.filter(bool), st.data())
def test_a_selection_is_never_empty_and_stays_in_the_text(text: str, data: st.DataObject) -> None:
    start = data.draw(st.integers(0, len(text) - 1))
    selection = TextSelection(start, start + 1)
    for _ in range(8):
        act = data.draw(st.sampled_from(("swap", "reach", "move")))
        if act == "swap":
            selection = selection.swapped()
        elif act == "reach":
            selection = selection.reaching(data.draw(st.integers(0, len(text) - 1)))
        else:
            unit: TextUnit = data.draw(st.sampled_from(("character", "word", "sentence")))
            selection = selection.moved(text, unit, data.draw(st.sampled_from((1, -1))))
        assert 0 <= selection.start < selection.end <= len(text)
        assert selection.start <= selection.caret < selection.end


def test_each_edit_does_what_its_key_says() -> None:
    draft = AnnotationDraft(TEXT).propose(
        [one("verification", "That is not 32"), one("subgoal", "First make 8")], "rules-1"
    )
    first, second = draft.open
    assert draft.count("verification") == 0
    draft = draft.accept(first)
    assert (draft.spans, draft.open, draft.count("verification")) == ((first,), (second,), 1)
    with pytest.raises(InvalidEdit, match="1 proposal"):
        draft.finish()
    draft = draft.remove(second)
    assert (draft.open, draft.rejected) == ((), (second,))
    draft = draft.toggle(first, "weak")
    assert draft.count("verification") == 0
    assert draft.spans[0].weak
    with pytest.raises(InvalidEdit, match="overlap your V"):
        draft.add(16, 20, "verification")
    start = TEXT.index("so again")
    draft = draft.add(start, start + 8, "backtracking").relabel(draft.spans[0], "subgoal").finish()
    assert [(span.behavior, span.quote, span.weak) for span in draft.spans] == [
        ("subgoal", "That is not 32", True),
        ("backtracking", "so again", False),
    ]
    assert draft.done
    # Adding what was rejected takes the rejection back.
    assert draft.add(*span_key(second)[1:], "subgoal").rejected == ()


def test_a_line_with_lone_surrogates_comes_back_the_same() -> None:
    text = "x\ud800y"
    record = new_annotation("r", text, "ann", spans=(one("subgoal", "\ud800y", text),))
    import json

    line = json.dumps(record.model_dump(mode="json", exclude_defaults=True)).encode()
    assert read_annotation(line) == record
