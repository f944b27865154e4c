"""The word-level tokenizer: one token a phrase and number, the exact text back; what other tokenizers must have."""

from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pipelines.errors import InvalidInput
from pipelines.teachers.symbolic.lexicon import phrases
from pipelines.tokenizer import (
    build_tokenizer,
    decode,
    encode,
    has_closed_vocabulary,
    load_tokenizer,
    require_special_tokens,
)
from pipelines.training.core.configs import ArchitectureConfig
from pipelines.training.core.model import build_model

pytestmark = pytest.mark.train

PROMPT = "numbers 3 5 7 goal 17\n<think>\n"
PLAIN = phrases("plain")
TOKENIZER = build_tokenizer(PLAIN, [PROMPT], range(51))
WORDS = st.sampled_from([*PLAIN, *map(str, range(51))])


@given(st.lists(st.lists(WORDS, min_size=1), min_size=1), st.booleans(), st.booleans())
def test_plain_text_has_a_token_a_word_and_comes_back_exactly(
    lines: list[list[str]], space_first: bool, newline_last: bool
) -> None:
    text = " " * space_first + "\n".join(" ".join(line) for line in lines) + "\n" * newline_last
    ids = encode(TOKENIZER, text)
    assert decode(TOKENIZER, ids) == text
    # Neighbours may together spell a longer phrase: never more tokens than words, newlines and the first space.
    assert len(ids) <= sum(map(len, lines)) + len(lines) - 1 + space_first + newline_last


def test_phrases_are_single_tokens() -> None:
    for phrase in PLAIN:
        assert len(encode(TOKENIZER, phrase)) == 1, phrase
    assert len(encode(TOKENIZER, "5 + 3 = 8 is not the goal . Let's try something else .")) == 7


def test_the_longer_phrase_wins() -> None:
    ids = encode(TOKENIZER, "is the goal . is not the goal . goal .")
    assert TOKENIZER.convert_ids_to_tokens(ids) == [" is the goal .", " is not the goal .", " goal", " ."]


def test_a_number_is_the_same_token_wherever_it_stands() -> None:
    five = encode(TOKENIZER, "5")
    assert encode(TOKENIZER, "3 5\n5 ( 5 )").count(five[0]) == 3


def test_prompts_are_alike_in_length() -> None:
    assert len(encode(TOKENIZER, PROMPT, prompt=True)) == len(encode(TOKENIZER, PROMPT.replace("17", "4"))) == 9


@pytest.mark.parametrize("text", ["99", "5+3", "Eureka", "5 <eos>!", "a  b"])
def test_what_the_vocabulary_lacks_is_refused(text: str) -> None:
    with pytest.raises(InvalidInput, match="vocabulary"):
        encode(TOKENIZER, text)


def test_special_tokens_are_apart() -> None:
    ids = {TOKENIZER.pad_token_id, TOKENIZER.eos_token_id, TOKENIZER.unk_token_id}
    assert len(ids) == 3
    assert decode(TOKENIZER, [TOKENIZER.eos_token_id]) == "<eos>"


@pytest.mark.parametrize("family", ["llama", "qwen2"])
def test_it_is_the_same_after_saving(family: Any, tmp_path: Path) -> None:
    model = build_model(ArchitectureConfig(family=family, layers=1, hidden_size=16), TOKENIZER)
    model.save_pretrained(tmp_path)
    TOKENIZER.save_pretrained(tmp_path)
    again = load_tokenizer(tmp_path)
    text = f"{PROMPT}5 * 3 = 15 is not the goal . <answer> 3 + 7 </answer>"
    assert encode(again, text) == encode(TOKENIZER, text)
    assert decode(again, encode(again, text)) == text
    assert (again.pad_token_id, again.eos_token_id) == (TOKENIZER.pad_token_id, TOKENIZER.eos_token_id)
    assert has_closed_vocabulary(again)


def test_the_default_family_can_be_loaded_by_anyone(tmp_path: Path) -> None:
    from transformers import AutoTokenizer

    model = build_model(ArchitectureConfig(layers=1, hidden_size=16), TOKENIZER)
    model.save_pretrained(tmp_path)
    TOKENIZER.save_pretrained(tmp_path)
    assert AutoTokenizer.from_pretrained(tmp_path)(PROMPT)["input_ids"] == encode(TOKENIZER, PROMPT)


@pytest.mark.parametrize(("lacking", "said"), [("eos_token", "end-of-sequence"), ("pad_token", "padding")])
def test_a_tokenizer_must_end_and_pad(lacking: str, said: str) -> None:
    tokenizer = build_tokenizer(PLAIN, [], range(3))
    setattr(tokenizer, lacking, None)
    with pytest.raises(InvalidInput, match=f"some/model has no {said} token"):
        require_special_tokens(tokenizer, "some/model")


def test_a_folder_without_a_tokenizer_is_named(tmp_path: Path) -> None:
    with pytest.raises(InvalidInput, match="no tokenizer can be read from"):
        load_tokenizer(tmp_path)
