"""Two texts in rows: alignment by segment, the words that differ, the lines they make."""

from hypothesis import given, settings
from hypothesis import strategies as st

from cogtui.app.rendering.pair_layout import PairLayout
from cogtui.app.rendering.pairing import SegmentPair, find_differing_ranges, pair_segments
from tests.app.strategies import hostile_text, patient

LEFT = "First try 3 + 4 = 7. That is not 32. Let me try again.\n(3 + 5) * 4 = 32, works."
RIGHT = "First try 3 + 5 = 8. That is not 32. The rest is easy: 8 * 4 = 32.\n(3 + 5) * 4 = 32, works."


def words(pair: SegmentPair) -> tuple[str | None, str | None]:
    left = None if pair.left is None else LEFT[slice(*pair.left)].strip()
    right = None if pair.right is None else RIGHT[slice(*pair.right)].strip()
    return left, right


def test_equal_segments_stand_together_and_those_alike_are_one_changed() -> None:
    rows = [(pair.kind, *words(pair)) for pair in pair_segments(LEFT, RIGHT).pairs]
    assert rows == [
        ("changed", "First try 3 + 4 = 7.", "First try 3 + 5 = 8."),
        ("same", "That is not 32.", "That is not 32."),
        ("left", "Let me try again.", None),
        ("right", None, "The rest is easy: 8 * 4 = 32."),
        ("same", "(3 + 5) * 4 = 32, works.", "(3 + 5) * 4 = 32, works."),
    ]


def test_only_the_words_the_other_lacks_differ() -> None:
    left, right = "First try 3 + 4 = 7.", "First try 3 + 5 = 8, now."
    ranges = find_differing_ranges(left, right)
    assert [left[a:b] for a, b in ranges[0]] == ["4", "7"]
    assert [right[a:b] for a, b in ranges[1]] == ["5", "8, now"]


def test_a_repeated_sentence_keeps_its_order() -> None:
    again = "That fails. " * 3
    found = pair_segments(again + "End.", "Start here, please. " + again)
    assert [pair.kind for pair in found.pairs] == ["right", "same", "same", "same", "left"]


@patient
@given(hostile_text, hostile_text)
def test_every_segment_of_both_texts_stands_in_one_row(left: str, right: str) -> None:
    pairing = pair_segments(left, right)
    for side, text in enumerate((left, right)):
        places = [(pair.left, pair.right)[side] for pair in pairing.pairs]
        assert "".join(text[slice(*place)] for place in places if place is not None) == text
    for pair in pairing.pairs:
        assert pair.left is not None or pair.right is not None
        if pair.left is not None and pair.right is not None:
            same = left[slice(*pair.left)].split() == right[slice(*pair.right)].split()
            assert pair.same == same


@patient
@given(hostile_text)
def test_a_text_is_the_same_as_itself(text: str) -> None:
    assert {pair.kind for pair in pair_segments(text, text).pairs} <= {"same"}


@settings(patient, max_examples=60)
@given(hostile_text, hostile_text, st.integers(4, 60), st.booleans(), st.booleans())
def test_lines_show_every_character_once(left: str, right: str, width: int, stacked: bool, raw: bool) -> None:
    pairs = pair_segments(left, right).pairs
    folded = [pair.same and left[slice(*pair.left)] == right[slice(*pair.right)] for pair in pairs]  # type: ignore[misc]
    layout = PairLayout((left, right), pairs, width, stacked=stacked, folded=folded, raw=raw)
    shown = ["", ""]
    for line in range(len(layout)):
        found = layout.line(line)
        assert layout.pair_at(line) == found.pair
        assert found.left is not None or found.right is not None
        for side, place in enumerate((found.left, found.right)):
            if place is not None:
                text = (left, right)[side]
                shown[side] += text[slice(*place)]
                assert layout.line_of(side, place[0]) == line or place[0] == place[1]
        if found.both:
            assert found.left is not None
            shown[1] += left[slice(*found.left)]
    gone = "" if raw else "\n"
    assert shown[0] == (left if raw else left.replace(gone, ""))
    assert shown[1] == (right if raw else right.replace(gone, ""))
