"""Quotes find their place: verbatim ones always, changed ones mostly, invented ones never."""

import random
from collections.abc import Callable

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pipelines.behaviors.align import JudgeQuote, align_quotes
from pipelines.behaviors.metrics.matching import intersection_over_union
from pipelines.behaviors.normal import normalise
from pipelines.behaviors.segment import segments
from pipelines.records import Span
from tests.behaviors import hostile

Place = tuple[int, int]


def repetitive_trace(rng: random.Random) -> tuple[str, list[Place]]:
    """A trace that says the same things dozens of times, and the places of what a judge would quote."""
    target = rng.randint(20, 90)
    text = ""
    places: list[Place] = []
    for _ in range(40):
        small, large = rng.choice((3, 5, 8, 12)), rng.choice((20, 25, 40))
        sentence, quote = rng.choice(
            (
                (f"Let's try {small} + {large} = {small + large}.", f"Let's try {small} + {large} = {small + large}"),
                (
                    f"This sequence results in {small + large}, which is not equal to {target}.",
                    f"This sequence results in {small + large}, which is not equal to {target}",
                ),
                ("That is too high, so let me try a different approach.", "let me try a different approach"),
                (f"{small} * {large} = {small * large}, not {target}.", f"not {target}"),
            )
        )
        start = len(text) + sentence.index(quote)
        places.append((start, start + len(quote)))
        text += sentence + rng.choice((" ", "\n", "\r\n"))
    return text, places


def share_right(
    change: Callable[[str, random.Random], str],
    order: Callable[[list[Place], random.Random], list[Place]] = lambda places, rng: places,
    *,
    with_segment: bool = True,
) -> float:
    """The share of quotes that come back at IoU >= 0.5 of where they were taken from."""
    rng = random.Random(11)
    right = total = 0
    for _ in range(25):
        text, places = repetitive_trace(rng)
        cut = segments(text)
        wanted = order(list(places), rng)
        quotes = []
        for start, end in wanted:
            number = next(index for index, place in enumerate(cut, start=1) if place[0] <= start < place[1])
            quotes.append(JudgeQuote(change(text[start:end], rng), number if with_segment else None))
        for span, place in zip(align_quotes(text, quotes, cut), wanted, strict=True):
            total += 1
            if span.start is not None and span.end is not None:
                right += intersection_over_union((span.start, span.end), place) >= 0.5
    return right / total


def verbatim(quote: str, rng: random.Random) -> str:
    return quote


def shuffled(places: list[Place], rng: random.Random) -> list[Place]:
    rng.shuffle(places)
    return places


def grouped(places: list[Place], rng: random.Random) -> list[Place]:
    return sorted(places, key=lambda place: (place[1] - place[0], place))


def with_some_left_out(places: list[Place], rng: random.Random) -> list[Place]:
    return [place for place in places if rng.random() < 0.6]


@pytest.mark.parametrize("order", [lambda places, rng: places, grouped, shuffled, with_some_left_out])
def test_verbatim_quotes_are_all_right_in_any_order(order: Callable[[list[Place], random.Random], list[Place]]) -> None:
    assert share_right(verbatim, order) == 1.0


def test_verbatim_quotes_in_document_order_need_no_segment() -> None:
    assert share_right(verbatim, with_segment=False) == 1.0


def test_other_white_space_and_signs_change_nothing() -> None:
    assert share_right(lambda quote, rng: "  ".join(quote.split()).replace("'", "’").replace("*", "×")) == 1.0


def test_a_dropped_word_is_forgiven() -> None:
    def drop(quote: str, rng: random.Random) -> str:
        words = quote.split()
        if len(words) > 3:
            del words[rng.randrange(1, len(words) - 1)]
        return " ".join(words)

    assert share_right(drop) >= 0.9


def test_a_paraphrase_falls_back_to_its_segment() -> None:
    def paraphrase(quote: str, rng: random.Random) -> str:
        return (
            quote.replace("This sequence results in", "We end up with")
            .replace("which is not equal to", "different from")
            .replace("let me try a different approach", "I shall attempt something new")
            .replace("Let's try", "Maybe")
        )

    assert share_right(paraphrase) >= 0.9


@given(hostile.text, st.data())
def test_a_verbatim_quote_of_hostile_text_is_exact_and_in_it(text: str, data: st.DataObject) -> None:
    start = data.draw(st.integers(0, len(text)))
    end = data.draw(st.integers(start, len(text)))
    quote = text[start:end]
    (span,) = align_quotes(text, [JudgeQuote(quote)])
    holds(text, span)
    splits = start < end and (
        (start > 0 and text[start - 1].isdigit() and text[start].isdigit())
        or (end < len(text) and text[end - 1].isdigit() and text[end].isdigit())
    )
    if quote.strip() and not splits:
        assert span.alignment == "exact"


@given(hostile.text, st.lists(st.tuples(hostile.text, st.one_of(st.none(), st.integers(-2, 30))), max_size=6))
def test_whatever_is_quoted_comes_back_with_a_true_place_or_none(
    text: str, quoted: list[tuple[str, int | None]]
) -> None:
    quotes = [JudgeQuote(quote, segment) for quote, segment in quoted]
    spans = align_quotes(text, quotes)
    assert len(spans) == len(quotes)
    for quote, span in zip(quotes, spans, strict=True):
        holds(text, span)
        if span.alignment != "exact":
            assert span.quote == quote.text
    places = [(span.start, span.end) for span in spans if span.alignment == "exact"]
    assert len(places) == len(set(places))


def holds(text: str, span: Span) -> None:
    if span.start is None or span.end is None:
        assert span.alignment == "unaligned"
        return
    assert 0 <= span.start < span.end <= len(text)
    if span.alignment == "exact":
        assert text[span.start : span.end] == span.quote


@given(hostile.text)
def test_the_normal_form_knows_where_it_comes_from(text: str) -> None:
    normal = normalise(text)
    assert len(normal.text) == len(normal.starts) == len(normal.ends)
    assert all(0 <= start < end <= len(text) for start, end in zip(normal.starts, normal.ends, strict=True))
    assert list(normal.starts) == sorted(normal.starts)


def test_numbers_must_agree() -> None:
    text = "3 + 4 = 7 is not 24. 3 + 4 = 8 is not 24."
    first, second = align_quotes(text, [JudgeQuote("3 + 4 = 8 is  not 24"), JudgeQuote("3 + 5 = 9 is not 24")])
    assert text[first.start : first.end] == "3 + 4 = 8 is not 24"
    assert first.alignment == "normalised"
    assert second.alignment == "unaligned"


def test_a_part_of_a_number_is_no_quote_of_it() -> None:
    (span,) = align_quotes("124 is not it", [JudgeQuote("24 is not it")])
    assert span.alignment == "unaligned"


def test_an_ellipsis_may_not_swallow_a_not() -> None:
    text = "This is really and truly not the target."
    (swallowed,) = align_quotes(text, [JudgeQuote("This is ... the target")])
    (honest,) = align_quotes(text, [JudgeQuote("This is ... not the target")])
    assert swallowed.alignment == "unaligned"
    assert (honest.alignment, text[honest.start : honest.end]) == ("elided", text[:-1])


def test_the_same_quote_twelve_times_gets_the_places_there_are() -> None:
    text = "too high. " * 3
    spans = align_quotes(text, [JudgeQuote("too high")] * 12)
    assert [span.alignment for span in spans].count("exact") == 3
    assert [span.alignment for span in spans].count("unaligned") == 9
    assert not any(span.ambiguous for span in spans)


def test_one_quote_for_many_places_is_ambiguous_unless_its_segment_tells() -> None:
    text = "Too high. Too high. Too high."
    (lost,) = align_quotes(text, [JudgeQuote("Too high")])
    (named,) = align_quotes(text, [JudgeQuote("Too high", segment=2)])
    assert lost.ambiguous
    assert not named.ambiguous
    assert named.start == 10


def test_a_wrong_segment_gives_the_nearest_verbatim_place() -> None:
    text = "Same. " + "Other. " * 10 + "Same. " + "Other. " * 3
    (span,) = align_quotes(text, [JudgeQuote("Same", segment=14)])
    assert span.start == text.rindex("Same")


def test_segments_that_do_not_exist_are_passed_over() -> None:
    (span,) = align_quotes("Too high.", [JudgeQuote("Too high", segment=99)])
    assert span.alignment == "exact"


def test_a_quote_of_the_prompt_is_kept_unaligned() -> None:
    (span,) = align_quotes("3 + 4 = 7", [JudgeQuote("Using the numbers, create an equation", why="prompt")])
    assert (span.alignment, span.start, span.quote, span.why) == (
        "unaligned",
        None,
        "Using the numbers, create an equation",
        "prompt",
    )
