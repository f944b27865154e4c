"""The small parts an ingest is made of, against their plain definitions."""

import time
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from cogtui.store.filter.ast import TextPhrase
from cogtui.store.query.snippets import find_phrase, snippet_of
from cogtui.store.stage_files.line_reader import read_block, read_blocks
from cogtui.store.stage_files.scan import problem_number, record_ordinal
from cogtui.store.values.span_distances import NO_DISTANCE, span_distances
from pipelines.streams import complete_lines

RANGE = st.tuples(st.integers(0, 60), st.integers(1, 20)).map(lambda pair: (pair[0], pair[0] + pair[1]))
RANGES = st.lists(st.lists(RANGE, max_size=4), min_size=4, max_size=4)


@given(RANGES)
def test_gaps_are_the_least_distances(ranges: list[list[tuple[int, int]]]) -> None:
    expected = []
    for a, first in enumerate(ranges):
        for b, second in enumerate(ranges):
            found = [
                max(0, start - end)
                for begin, end in first
                for start, _ in second
                if (start > begin if a == b else start >= begin)
            ]
            expected.append(min(found, default=NO_DISTANCE))
    assert list(span_distances(ranges)) == expected


def test_gaps_of_many_spans_do_not_take_for_ever() -> None:
    crowded = [[(at // 3, at // 3 + 5) for at in range(20_000)] for _ in range(4)]
    started = time.process_time()
    assert span_distances(crowded)[1] == 0
    assert time.process_time() - started < 10


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    data=st.lists(st.sampled_from([b"ab", b"\n", b"{}", b" ", b"\r\n", b"xyz" * 5]), max_size=30).map(b"".join),
    limit=st.integers(1, 40),
    start=st.integers(0, 10),
)
def test_blocks_hold_the_complete_lines(tmp_path: Path, data: bytes, limit: int, start: int) -> None:
    path = tmp_path / "file"
    path.write_bytes(data)
    found: list[tuple[int, bytes]] = []
    offset = start
    while True:
        block = read_block(path, offset, limit)
        assert block.end >= offset
        found += zip(block.starts, block.lines, strict=True)
        if block.end == offset:
            break
        offset = block.end
    inked = [
        (start, line) for start, line in found if not line.isspace()
    ]  # blank lines are no records, and no mistakes
    assert inked == [(line.start, line.data) for line in complete_lines(path, start)]
    assert [line for block in read_blocks(path, start, 10**9) for line in block.lines] == [line for _, line in found]


def test_a_line_longer_than_a_block_is_read_whole(tmp_path: Path) -> None:
    path = tmp_path / "file"
    path.write_bytes(b"a" * 5_000_000 + b"\nb\ntorn")
    block = read_block(path, 0, 1 << 20)
    assert [len(line) for line in block.lines] == [5_000_000]
    assert read_block(path, block.end, 1 << 20).lines == [b"b"]


@pytest.mark.parametrize(
    ("text", "phrase", "place"),
    [
        ("Let me try a different pair.", "try a different", (7, 22)),
        ("Let me TRY, a-different pair", "try a different", (7, 23)),
        ("try a new one", "try a different", None),
        ("try try a different", "try a different", (4, 19)),
        ("Straße", "straße", (0, 6)),
        ("trying", "try", None),
        ("it is\n98.", "is 98", (3, 8)),
        ("😀 hello", "hello", (2, 7)),
    ],
)
def test_phrases_are_found_word_by_word(text: str, phrase: str, place: tuple[int, int] | None) -> None:
    assert find_phrase(text, TextPhrase(phrase, prefix=False)) == place


def test_a_snippet_shows_the_place_with_its_surroundings() -> None:
    text = "x " * 200 + "here is the NEEDLE in it" + " y" * 200
    snippet = snippet_of(text, [TextPhrase("needle", prefix=False)], 40)
    assert snippet is not None
    assert len(snippet.text) == 40
    assert [snippet.text[a:b] for a, b in snippet.marks] == ["NEEDLE"]
    assert text[snippet.start : snippet.start + 40] == snippet.text
    assert snippet_of(text, [TextPhrase("nothing", prefix=False)], 40) is None
    assert snippet_of("trying hard", [TextPhrase("tr", prefix=True)], 40) is not None


def test_places_grow_with_bytes_and_fit_the_database() -> None:
    assert record_ordinal(0, 5) < record_ordinal(0, 6)
    assert record_ordinal((2**63 - 1) & ~(2**27 - 1), 2**40) < 2**63


@pytest.mark.parametrize(
    ("name", "number"),
    [
        ("17", 17),
        ("train-00017", 17),
        ("test_3", 3),
        ("3-7-25_46", None),
        ("prompt-ab12", None),
        ("", None),
        ("x", None),
    ],
)
def test_the_number_of_a_problem(name: str, number: int | None) -> None:
    assert problem_number(name) == number
