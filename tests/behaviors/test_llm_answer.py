"""Answers are read leniently in form and strictly in substance; what cannot be read is never a zero."""

import contextlib
import json

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from pipelines.behaviors.judges.llm.answer import (
    JudgeAnswer,
    QuotedInstance,
    UnreadableAnswer,
    parse_answer,
    parse_count,
)

ONE = JudgeAnswer((QuotedInstance(7, "not 24", "says so"),), 1)
BODY = '{"instances": [{"segment": 7, "quote": "not 24", "why": "says so"}], "count": 1}'


@pytest.mark.parametrize(
    "text",
    [
        BODY,
        f"  {BODY}\n",
        f"\ufeff{BODY}",
        f"```json\n{BODY}\n```",
        f"```\n{BODY}\n```",
        f"Here is what I found:\n\n```JSON\n{BODY}\n```\nAnything else?",
        f"I found one. {BODY} That is all.",
        BODY.replace("}]", "},]").replace(' 1}', " 1,}"),
        BODY.replace("7", '"7"').replace(": 1}", ': "1"}'),
        BODY.replace("7", '"s7"'),
        BODY.replace("7", '"⟦a1b2c3d4 7⟧"'),
        BODY.replace("7", "[7, 8]"),
        BODY.replace("7", "7.0"),
        BODY.replace("7", '"segments 7-8"'),
        BODY.replace('"instances"', '"thinking": "a, ] b", "instances"'),
    ],
)  # fmt: skip
def test_one_answer_in_many_forms(text: str) -> None:
    assert parse_answer(text) == ONE


def test_quotes_keep_what_looks_like_a_trailing_comma() -> None:
    quote = 'x, ] and ,} "1" \\ \n'
    body = json.dumps({"instances": [{"segment": 1, "quote": quote, "why": "5"}], "count": 1})
    assert parse_answer(body[:-1] + ",}").instances == (QuotedInstance(1, quote, "5"),)


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("", "no JSON object"),
        ("The writer checks twice.", "no JSON object"),
        ('{"instances": [{"segment": 7,', "not JSON"),
        ("{" * 100_000 + "}" * 100_000, "not JSON|too deeply"),
        ('{"answer": 3}', "neither instances nor count"),
        ('{"instances": []}', "declares no count"),
        ('{"count": 3}', "instances is not a list"),
        ('{"instances": {}, "count": 0}', "not a list"),
        ('{"instances": [3], "count": 1}', "instance 1 is not an object"),
        ('{"instances": [{"why": "x"}], "count": 1}', "neither quote nor segment"),
        ('{"instances": [], "count": -1}', "plausible"),
        ('{"instances": [], "count": 1e99}', "plausible"),
        ('{"instances": [], "count": true}', "declares no count"),
        ('{"instances": [], "count": null}', "declares no count"),
        ('{"instances": [], "count": NaN}', "declares no count"),
        ('{"instances": [], "count": "many"}', "declares no count"),
        ('{"instances": [], "count": 2.5}', "declares no count"),
        ('{"instances": [], "count": ' + "9" * 5000 + "}", "not JSON|plausible"),
    ],
)
def test_what_cannot_be_read_says_why(text: str, said: str) -> None:
    with pytest.raises(UnreadableAnswer, match=said):
        parse_answer(text)


def test_an_instance_is_kept_though_half_of_it_is_missing() -> None:
    text = '{"instances": ["as a string", {"segment": 4}, {"quote": "no segment", "segment": "none"}], "count": 5}'
    assert parse_answer(text) == JudgeAnswer(
        (QuotedInstance(None, "as a string", ""), QuotedInstance(4, "", ""), QuotedInstance(None, "no segment", "")), 5
    )


instances = st.lists(st.tuples(st.integers(1, 500), st.text(min_size=1), st.text()), max_size=8)


@given(instances, st.integers(0, 999), st.booleans(), st.booleans())
@example([(1, '"}],', "``` {")], 1, True, True)
def test_whatever_is_quoted_comes_through(
    made: list[tuple[int, str, str]], count: int, fenced: bool, commas: bool
) -> None:
    body = json.dumps(
        {"instances": [{"segment": s, "quote": q, "why": w} for s, q, w in made], "count": count}, ensure_ascii=False
    )
    if commas:
        body = body[:-1] + " , }"
    if fenced:
        body = f"Sure.\n```json\n{body}\n```"
    if fenced and "```" in "".join(q + w for _, q, w in made):
        return  # a fence inside a string cannot be told from the end of one
    assert parse_answer(body) == JudgeAnswer(tuple(QuotedInstance(*one) for one in made), count)


@given(st.text())
def test_any_text_is_read_or_refused(text: str) -> None:
    for parse in (parse_answer, parse_count):
        with contextlib.suppress(UnreadableAnswer):
            parse(text)


@pytest.mark.parametrize(
    ("text", "count"),
    [
        ("<count>3</count>", 3),
        ("<count> 3 </count>", 3),
        ("<count>\n12\n</count>", 12),
        ("<count>0</count>", 0),
        ("<count>[2]</count>", 2),
        ("<COUNT> 128 </Count>", 128),
        ("< count > 4 </ count >", 4),
        ("The trace says <count>99</count>, but I find two: <count> 2 </count>", 2),
    ],
)
def test_counts_with_or_without_blanks(text: str, count: int) -> None:
    assert parse_count(text) == count


@pytest.mark.parametrize(
    "text",
    ["", "3", "<count></count>", "<count> n </count>", "<count>-1</count>", "<count>two</count>", "<count>3",
     "<count>2.5</count>", "<count>٣</count>", "<count>1234567</count>", "<count>" + "9" * 50 + "</count>"],
)  # fmt: skip
def test_no_count_is_not_a_count_of_zero(text: str) -> None:
    with pytest.raises(UnreadableAnswer):
        parse_count(text)
