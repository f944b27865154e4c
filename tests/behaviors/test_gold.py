"""Gold files: what is written is read back, and a wrong row is named with its field."""

import json
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from cogtui.analysis.agreement.sources import read_gold_source
from pipelines.behaviors.gold import GoldTrace, read_annotated, read_gold, write_gold
from pipelines.behaviors.markup import parse_marked, write_marked
from pipelines.behaviors.sets.registered import BEHAVIORS
from pipelines.errors import InvalidInput, NotFound
from pipelines.records import LabelledSpan, countdown_fields
from tests.behaviors import hostile

EXAMPLES = Path(__file__).parents[2] / "examples" / "gold"


def labelled(text: str, start: int, end: int, behavior: int = 0) -> LabelledSpan:
    return LabelledSpan(behavior=BEHAVIORS[behavior], start=start, end=end, quote=text[start:end])


@given(st.lists(hostile.text, min_size=1, max_size=3), st.data())
def test_a_gold_file_gives_back_what_was_written(tmp_path_factory: Any, texts: list[str], data: st.DataObject) -> None:
    traces = []
    for index, text in enumerate(texts):
        spans = []
        if text:
            start = data.draw(st.integers(0, len(text) - 1))
            end = data.draw(st.integers(start + 1, len(text)))
            spans.append(labelled(text, start, end, index % 4).model_copy(update={"weak": True}))
        traces.append(
            GoldTrace(id=f"t{index}", **countdown_fields((1, 2), 3), text=text, spans=tuple(spans), style="hostile")
        )
    path = tmp_path_factory.mktemp("gold") / "gold.jsonl"
    write_gold(path, traces)
    assert read_gold(path) == traces


def row(**changes: Any) -> dict[str, Any]:
    text = "3 + 4 = 7 (not 24)"
    span = {"behavior": "verification", "start": 10, "end": 18, "quote": "(not 24)"}
    return {"id": "g1", "numbers": [3, 4], "target": 24, "text": text, "spans": [span], **changes}


def span_row(**changes: Any) -> dict[str, Any]:
    given_row = row()
    given_row["spans"] = [given_row["spans"][0], {**given_row["spans"][0], **changes}]
    return given_row


@pytest.mark.parametrize(
    ("second", "message"),
    [
        (span_row(start=11), r"row 2: spans\[1\]\.quote: the text at 11:18 is not the quote \(trace g1\)"),
        (span_row(end=99), r"row 2: spans\[1\]\.end: 99 lies beyond the text of 18 characters"),
        (span_row(start=18, end=10), r"row 2: spans\[1\]: .*empty or reversed span 18:10"),
        (span_row(behavior="doubt"), r"row 2: spans\[1\]\.behavior"),
        (span_row(start=None, end=None, alignment="unaligned"), r"row 2: spans\[1\]\.start: a gold span needs offsets"),
        (row(numbers="3 4"), r"row 2: numbers"),
        ({"id": "g1"}, r"row 2: numbers"),
        (row(id="g0"), r"row 2: id: 'g0' is also the id of row 1"),
        ([1], r"row 2: not a JSON object"),
    ],
)
def test_a_wrong_row_is_named_with_its_field(tmp_path: Path, second: object, message: str) -> None:
    path = tmp_path / "gold.jsonl"
    path.write_text(json.dumps(row(id="g0")) + "\n" + json.dumps(second) + "\n")
    with pytest.raises(InvalidInput, match=message):
        read_gold(path)


def test_a_line_that_is_no_json_and_a_missing_file_are_named(tmp_path: Path) -> None:
    path = tmp_path / "gold.jsonl"
    path.write_text(json.dumps(row()) + "\n\n{nonsense\n")
    with pytest.raises(InvalidInput, match="row 3: not JSON"):
        read_gold(path)
    with pytest.raises(NotFound, match="cannot read the gold file"):
        read_gold(tmp_path / "none.jsonl")


def test_fields_of_others_are_passed_over(tmp_path: Path) -> None:
    path = tmp_path / "gold.jsonl"
    path.write_text(json.dumps(row(counts_strict={"verification": 1}, split="dev")) + "\n")
    assert read_gold(path)[0].spans[0].quote == "(not 24)"


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({}, "row 2: spans: missing"),
        ({"span": []}, r"row 2: span: unknown field; is spans meant\?"),
        ({"Spans": []}, r"row 2: Spans: unknown field; is spans meant\?"),
        ({"spans": [], "doen": False}, r"row 2: doen: unknown field; is done meant\?"),
        ({"spans": [], "anotator": "ann"}, r"row 2: anotator: unknown field; is annotator meant\?"),
        ({"spans": None}, "row 2: spans"),
    ],
)
def test_missing_spans_are_not_none(tmp_path: Path, change: dict[str, Any], message: str) -> None:
    path = tmp_path / "gold.jsonl"
    rest = {name: value for name, value in row(id="g0").items() if name != "spans"}
    path.write_text(json.dumps(row()) + "\n" + json.dumps({**rest, **change}) + "\n")
    for read in (read_gold, read_gold_source):
        with pytest.raises(InvalidInput, match=message) as caught:
            read(path)
        assert str(path) in caught.value.summary
    path.write_text(json.dumps({**rest, "spans": [], "license": "MIT"}) + "\n")
    assert read_gold(path)[0].spans == ()


def test_marks_and_back() -> None:
    marked = "First ⟦B let's try ⟦C 24 - 3 = 21⟧⟧ ⟦Vw (too low)⟧ and ⟦Vr (too low)⟧"
    text, spans = parse_marked(marked)
    assert text == "First let's try 24 - 3 = 21 (too low) and (too low)"
    assert [(span.behavior, span.quote, span.weak, span.repeat) for span in spans] == [
        ("backtracking", "let's try 24 - 3 = 21", False, False),
        ("backward_chaining", "24 - 3 = 21", False, False),
        ("verification", "(too low)", True, False),
        ("verification", "(too low)", False, True),
    ]
    assert write_marked(text, spans) == marked


@pytest.mark.parametrize(("marked", "message"), [("a\n⟦V b", "line 2: ⟦ is not closed"), ("a⟧", "closes nothing")])
def test_marks_that_do_not_pair_are_named(marked: str, message: str) -> None:
    with pytest.raises(InvalidInput, match=message):
        parse_marked(marked)


def test_crossing_spans_cannot_be_marked() -> None:
    text = "abcdef"
    with pytest.raises(InvalidInput, match="crosses"):
        write_marked(text, [labelled(text, 0, 4), labelled(text, 2, 6, 1)])


def test_the_shipped_gold_is_what_the_annotated_files_say() -> None:
    annotated = [trace for path in sorted((EXAMPLES / "annotated").glob("*.txt")) for trace in read_annotated(path)]
    assert read_gold(EXAMPLES / "gold.jsonl") == annotated
    assert len(annotated) >= 40


@pytest.mark.parametrize(("half", "traces"), [("tuned", 24), ("held-out", 16)])
def test_the_gold_in_eight_styles_is_what_its_annotated_files_say(half: str, traces: int) -> None:
    gold = read_gold(EXAMPLES / "styles" / f"{half}.jsonl")
    assert gold == read_annotated(EXAMPLES / "styles" / f"{half}.txt")
    assert len(gold) == traces


def test_a_wrong_header_names_the_trace(tmp_path: Path) -> None:
    path = tmp_path / "a.txt"
    path.write_text("=== x1 | style | 1 2\ntext")
    with pytest.raises(InvalidInput, match="trace x1"):
        read_annotated(path)
