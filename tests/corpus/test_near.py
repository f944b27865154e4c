"""Near duplicates are found by how many word n-grams they share."""

import random
import sqlite3

import pytest

from pipelines.corpus.documents.near_duplicates import NearDuplicateIndex


def words(seed: int, count: int = 300) -> list[str]:
    rng = random.Random(seed)
    return [f"word{rng.randrange(5000)}" for _ in range(count)]


def changed(text: list[str], every: int) -> list[str]:
    return [f"other{index}" if index % every == every - 1 else word for index, word in enumerate(text)]


@pytest.fixture
def near() -> NearDuplicateIndex:
    return NearDuplicateIndex(sqlite3.connect(":memory:"), 0.8, 5)


def test_equal_and_nearly_equal_ones_are_told_from_others(near: NearDuplicateIndex) -> None:
    originals = [words(seed) for seed in range(50)]
    assert [near.check_and_add(" ".join(text)) for text in originals] == [None] * 50
    assert [near.check_and_add("  ".join(text).upper()) for text in originals] == ["duplicate"] * 50
    close = [
        near.check_and_add(" ".join(changed(text, 150))) for text in originals
    ]  # 2 of 300 words, Jaccard about 0.93
    assert close.count("near_duplicate") >= 48
    far = [near.check_and_add(" ".join(changed(text, 12))) for text in originals]  # Jaccard about 0.4
    assert far == [None] * 50


def test_with_a_threshold_of_one_only_equal_ones_repeat() -> None:
    near = NearDuplicateIndex(sqlite3.connect(":memory:"), 1, 5)
    text = words(0)
    assert near.check_and_add(" ".join(text)) is None
    assert near.check_and_add(" ".join(changed(text, 150))) is None
    assert near.check_and_add(" ".join(text)) == "duplicate"


@pytest.mark.parametrize("text", ["", "one", "two words", "\ud800 \udfff 😀", "\x00"])
def test_odd_texts(near: NearDuplicateIndex, text: str) -> None:
    assert near.check_and_add(text) is None
    assert near.check_and_add(text) == "duplicate"
