"""The rules judge reads what an untrained model writes: any order of the words and signs of a trace."""

from hypothesis import given, settings
from hypothesis import strategies as st

from pipelines.behaviors.judges.rules.judge import judge_completion

WORDS = (
    "1 2 13 33 24 1.21 2) + - * / = × ÷ ≠ → ≈ ✓ ** ^ . , ( ) [ : ? ! - • \n \n\n <think> </think> <answer> </answer> "
    "goal numbers is not the goal Let's try something else what if we need so wait hmm gives equals minus times five "
    "sqrt x too low high close but no that works check 不 对 pero nein"
)


@settings(max_examples=400)
@given(
    st.lists(st.tuples(st.sampled_from(WORDS.split(" ")), st.sampled_from(["", " ", "\n"])), max_size=50),
    st.lists(st.integers(1, 40), min_size=2, max_size=5),
    st.integers(1, 99),
)
def test_any_salad_of_words_is_judged(salad: list[tuple[str, str]], numbers: list[int], target: int) -> None:
    text = "".join(word + gap for word, gap in salad)
    for span in judge_completion(text, numbers, target).spans:
        assert span.start is not None
        assert text[span.start : span.end] == span.quote


def test_an_arrow_or_equals_sign_at_the_end_points_at_nothing() -> None:
    assert judge_completion("13x\n<think> 33\n1.21 →** ", [13, 33], 46).spans == ()
    assert judge_completion("4 + 2 =", [4, 2], 8).spans == ()
