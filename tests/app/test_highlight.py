"""The boundary sweep: pieces partition the text and know exactly the spans above them."""

from hypothesis import given
from hypothesis import strategies as st

from cogtui.app.rendering.highlight import Highlights, minimap, partition_text
from pipelines.behaviors.sets.registered import BEHAVIORS
from pipelines.records import Behavior, LabelledSpan
from tests.app.strategies import texts_with_spans


def span(behavior: Behavior, start: int, end: int) -> LabelledSpan:
    return LabelledSpan(behavior=behavior, start=start, end=end, quote="x" * (end - start))


@given(st.integers(0, 60), st.lists(st.tuples(st.integers(-5, 70), st.integers(-5, 70)), max_size=8))
def test_pieces_partition_the_text_and_hold_the_spans_that_cover_them(
    length: int, ranges: list[tuple[int, int]]
) -> None:
    pieces = partition_text(length, ranges)
    assert [place for piece in pieces for place in range(piece.start, piece.end)] == list(range(length))
    for piece in pieces:
        for place in range(piece.start, piece.end):
            assert set(piece.active) == {i for i, (start, end) in enumerate(ranges) if start <= place < end}


def test_the_innermost_behaviour_comes_first() -> None:
    spans = [span("verification", 0, 20), span("backtracking", 5, 10), span("subgoal", 5, 12)]
    marked = Highlights(20, spans)
    pieces = [
        (piece.start, piece.end, tuple(dict.fromkeys(marked.spans[index].behavior for index in piece.active)))
        for piece in marked.pieces
    ]
    assert pieces == [
        (0, 5, ("verification",)),
        (5, 10, ("backtracking", "subgoal", "verification")),
        (10, 12, ("subgoal", "verification")),
        (12, 20, ("verification",)),
    ]


def test_unaligned_spans_and_spans_past_the_end_have_no_pieces() -> None:
    lost = LabelledSpan(behavior="subgoal", quote="never said", alignment="unaligned", score=0.0)
    marked = Highlights(5, [lost, span("verification", 9, 12)])
    assert marked.spans == []
    assert [(piece.start, piece.end, piece.active) for piece in marked.pieces] == [(0, 5, ())]


@given(texts_with_spans(), st.data())
def test_a_line_of_pieces_is_the_whole_cut_to_the_line(
    case: tuple[str, list[LabelledSpan]], data: st.DataObject
) -> None:
    text, spans = case
    marked = Highlights(len(text), spans)
    start = data.draw(st.integers(0, len(text)))
    end = data.draw(st.integers(start, len(text)))
    pieces = marked.pieces_between(start, end)
    assert [place for piece in pieces for place in range(piece.start, piece.end)] == list(range(start, end))
    for piece in pieces:
        assert set(piece.active) == {i for i, (first, last) in enumerate(marked.ranges) if first <= piece.start < last}


def test_gutter_shows_a_letter_where_a_span_begins_and_a_bar_where_it_goes_on() -> None:
    marked = Highlights(30, [span("verification", 2, 25), span("backward_chaining", 12, 14)])
    assert marked.lanes(0, 10) == "V   "
    assert marked.lanes(10, 20) == "│  C"
    assert marked.lanes(20, 30) == "│   "
    assert marked.lanes(26, 30) == "    "


def test_jumps_go_by_reading_order_and_by_behaviour() -> None:
    marked = Highlights(50, [span("subgoal", 30, 35), span("verification", 5, 9), span("verification", 40, 44)])
    order = [(item.behavior, item.start) for item in marked.spans]
    assert order == [("verification", 5), ("subgoal", 30), ("verification", 40)]
    assert marked.jump(None, 0, 1, None) == 0
    assert marked.jump(0, 0, 1, "verification") == 2
    assert marked.jump(2, 0, 1, None) is None
    assert marked.jump(None, 36, -1, None) == 1
    assert marked.jump(2, 0, -1, "verification") == 0
    assert marked.jump(None, 0, 1, "backtracking") is None


def test_minimap_marks_the_parts_a_span_touches() -> None:
    cells = minimap(100, [span("verification", 0, 10), span("subgoal", 5, 6), span("backtracking", 95, 100)], 10)
    assert cells == [("verification", "subgoal"), *[()] * 8, ("backtracking",)]
    assert minimap(0, [], 3) == [(), (), ()]


@given(texts_with_spans(), st.integers(1, 40))
def test_minimap_shows_every_placed_span(case: tuple[str, list[LabelledSpan]], width: int) -> None:
    text, spans = case
    cells = minimap(len(text), spans, width)
    assert len(cells) == width
    assert {behavior for cell in cells for behavior in cell} == {item.behavior for item in spans}
    assert all(list(cell) == [name for name in BEHAVIORS if name in cell] for cell in cells)
