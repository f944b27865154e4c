"""Line breaking: no code point lost or shown twice, no line too wide, escapes readable back."""

import ast
import unicodedata

import pytest
from hypothesis import given
from hypothesis import strategies as st
from rich.cells import cell_len

from cogtui.app.rendering.layout import TextLayout
from cogtui.app.rendering.text import escaped, fit, short_names, shown
from tests.app.strategies import hostile_text


def lines_of(layout: TextLayout) -> list[str]:
    return [layout.text[slice(*layout.bounds(line))] for line in range(len(layout))]


@given(hostile_text, st.integers(2, 50), st.booleans(), st.booleans())
def test_lines_cover_the_text_but_for_its_newlines(text: str, width: int, wrap: bool, raw: bool) -> None:
    layout = TextLayout(text, width, wrap=wrap, raw=raw)
    covered = [place for line in range(len(layout)) for place in range(*layout.bounds(line))]
    assert covered == [place for place, char in enumerate(text) if raw or char != "\n"]
    for place in covered:
        start, end = layout.bounds(layout.line_of(place))
        assert start <= place < end


@given(hostile_text, st.integers(10, 50), st.booleans())
def test_no_line_is_wider_than_asked_but_for_one_hanging_space(text: str, width: int, raw: bool) -> None:
    layout = TextLayout(text, width, raw=raw)
    for line in lines_of(layout):
        assert cell_len(layout.show(line).rstrip(" ␉")) <= width or cell_len(layout.show(line)) <= width + 1


@given(hostile_text)
def test_shown_text_has_nothing_a_terminal_would_obey(text: str) -> None:
    printed = shown(text)
    visible_formats = {
        *range(0x600, 0x606),
        0x6DD,
        0x70F,
        0x890,
        0x891,
        0x8E2,
        0x110BD,
        0x110CD,
        *range(0x13430, 0x13460),
    }
    bad = [char for char in printed if unicodedata.category(char) in ("Cc", "Cf", "Cs", "Zl", "Zp")]
    assert not [char for char in bad if ord(char) not in visible_formats]
    printed.encode("utf-8")


@given(hostile_text)
def test_escaped_text_reads_back(text: str) -> None:
    printed = escaped(text)
    assert printed.isprintable()
    assert ast.literal_eval('"""' + printed.replace('"', '\\"') + '"""') == text


def test_words_are_kept_whole_and_long_words_cut() -> None:
    assert lines_of(TextLayout("try 12 + 7 again", 8)) == ["try 12 + ", "7 again"]
    assert lines_of(TextLayout("abcdefghij", 4)) == ["abcd", "efgh", "ij"]
    assert lines_of(TextLayout("a\n\nb", 4)) == ["a", "", "b"]
    assert lines_of(TextLayout("", 4)) == [""]


def test_continuation_lines_are_known() -> None:
    layout = TextLayout("one two\nthree", 4)
    assert [layout.continues(line) for line in range(len(layout))] == [False, True, False, True]


def test_wide_characters_count_two_cells() -> None:
    assert lines_of(TextLayout("漢字漢字", 4)) == ["漢字", "漢字"]


def test_a_flood_of_combining_marks_is_not_one_line() -> None:
    layout = TextLayout("a" + "\u0300" * 10_000, 40)
    assert max(end - start for start, end in map(layout.bounds, range(len(layout)))) <= 160


@pytest.mark.parametrize(("text", "width", "out"), [("abc", 5, "abc  "), ("abcdef", 4, "abc…"), ("漢字", 3, "漢…")])
def test_fit_fills_exactly(text: str, width: int, out: str) -> None:
    assert fit(text, width) == out
    assert cell_len(fit(text, width)) == width


@pytest.mark.parametrize("raw", [False, True])
def test_folds_hide_lines_and_offsets_in_them_are_at_the_line_before(raw: bool) -> None:
    text = "ask\nfirst\nsecond\nthird\nafter\nlast\nend"
    folds = {text.index("\nsecond"): text.index("after"), text.index("\nend"): len(text) + 1}
    layout = TextLayout(text, 20, raw=raw, folds=folds)
    assert [line.rstrip("\n") for line in lines_of(layout)] == ["ask", "first", "after", "last"]
    assert layout.line_of(text.index("third")) == 1
    assert layout.line_of(text.index("end")) == 3
    assert [layout.hidden_after(line) for line in range(4)] == [None, (9, 23), None, (33, 38)]
    assert not layout.continues(2)


@pytest.mark.parametrize("width", [3, 4, 5, 6, 8])
def test_stage_names_are_abbreviated_so_that_they_differ(width: int) -> None:
    names = ["problems", "base", "priming_data", "prime", "ppo", "sample", "judge"]
    short = short_names(names, width)
    assert len(set(short)) == len(names)
    assert all(1 <= len(text) <= width for text in short)
    assert short_names([*names, "prime"], width) == [*short, short[3]]
    assert short_names(names, 12) == names
