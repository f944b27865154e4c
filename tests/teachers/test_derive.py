"""Control sets: what is left of a trace, what replaces it, and that wrong answers are wrong."""

import random
import re
from collections.abc import Callable
from pathlib import Path

import pytest

from pipelines.errors import InvalidInput
from pipelines.tasks.countdown.problems import Problem
from pipelines.teachers.collect import score_trace
from pipelines.teachers.derive import (
    Transformation,
    answer_suffix,
    corrupted_answer,
    dots,
    empty_cot,
    illegal_line,
    token_counter,
)
from pipelines.teachers.draft import WrittenTrace
from pipelines.teachers.symbolic.lexicon import STYLES, phrases
from pipelines.teachers.symbolic.teacher import SymbolicTeacher, SymbolicWritingConfig
from pipelines.teachers.teacher import DroppedTrace
from pipelines.traces import PrimingTrace
from tests.teachers.conftest import MINI, TRAIN


def traces(style: str, condition: str = "all_strategies", n: int = 24) -> list[PrimingTrace]:
    teacher = SymbolicTeacher(MINI, SymbolicWritingConfig(style=style))
    found = []
    for index in range(n):
        problem = TRAIN[index % len(TRAIN)]
        seed = f"test {index}"
        written = teacher.write(problem, condition, random.Random(seed))
        if isinstance(written, WrittenTrace):
            written.meta["seed"] = seed
            found.append(trace(problem, written, index=index, condition=condition))
    assert len(found) > n // 2
    return found


def trace(
    problem: Problem, written: WrittenTrace, *, index: int = 0, condition: str = "all_strategies"
) -> PrimingTrace:
    return score_trace(MINI, problem, written, key="set", index=index, condition=condition, teacher="symbolic")


def made(transform: Transformation, source: PrimingTrace) -> WrittenTrace:
    result = transform(source)
    assert isinstance(result, WrittenTrace)
    assert result.meta["source"] == source.id
    return result


def words(text: str) -> int:
    return len(re.findall(r"\S+", text))


def pairs(text: str) -> int:
    """A tokenizer that merges two filler words into one token."""
    return words(re.sub(r"\. \.", "..", text))


@pytest.mark.parametrize("style", STYLES)
def test_empty_cot_keeps_the_answer_alone(style: str) -> None:
    for source in traces(style):
        result = made(empty_cot, source)
        assert re.fullmatch(r"</think>\s<answer>[^<]+</answer>", result.completion)
        assert source.completion.endswith(result.completion)
        assert result.spans == ()
        assert MINI.score(result.completion, TRAIN[0]).answer == source.answer


@pytest.mark.parametrize("style", STYLES)
@pytest.mark.parametrize("count", [words, pairs, len])
def test_dots_are_as_long_as_their_source(style: str, count: Callable[[str], int]) -> None:
    exact = 0
    sources = traces(style)
    for source in sources:
        result = made(dots(count), source)
        end = answer_suffix(source.completion)
        assert end is not None
        assert result.completion.endswith(end)
        assert set(result.completion[: -len(end)]) <= {".", " ", "\n"}
        assert result.spans == ()
        wanted = count(source.completion)
        assert result.meta["tokens"] == count(result.completion)
        assert result.meta["source_tokens"] == wanted
        assert wanted - 3 <= count(result.completion) <= wanted
        exact += count(result.completion) == wanted
    if count is words:
        assert exact == len(sources)


@pytest.mark.parametrize("style", STYLES)
def test_a_corrupted_answer_is_wrong_and_the_rest_untouched(style: str) -> None:
    for source in traces(style):
        result = made(corrupted_answer(MINI, 0), source)
        cut = source.completion.rindex("<answer>")
        assert result.completion[:cut] == source.completion[:cut]
        score = MINI.score(result.completion, source.problem)
        assert score.reason == "wrong_value"  # the given numbers, legally combined
        assert result.spans == source.spans
        assert result.completion == made(corrupted_answer(MINI, 0), source).completion


@pytest.mark.parametrize("style", STYLES)
def test_an_illegal_line_keeps_search_and_verdicts(style: str) -> None:
    transform = illegal_line(SymbolicTeacher(MINI, SymbolicWritingConfig(style=style)))
    kept = 0
    for source in traces(style):
        result = transform(source)
        if isinstance(result, DroppedTrace):
            assert result.reason == "no_illegal_line"
            continue
        kept += 1
        score = MINI.score(result.completion, source.problem)
        assert score.reason == "wrong_numbers"
        assert score.value == source.problem["target"]
        behaviors = [span.behavior for span in result.spans if not span.weak]
        assert behaviors.count("backtracking") == source.meta["failed_attempts"]
        if style == "plain":
            assert behaviors == [span.behavior for span in source.spans]
            shared = len(result.completion[: -len(answer_suffix(result.completion) or "")].split(" . ")) - 2
            assert result.completion.split(" . ")[:shared] == source.completion.split(" . ")[:shared]
    assert kept > 15


def test_an_illegal_line_needs_the_teacher_that_wrote_the_source() -> None:
    source = traces("plain")[0]
    other_settings = illegal_line(SymbolicTeacher(MINI, SymbolicWritingConfig(style="varied")))
    assert other_settings(source) == DroppedTrace("not_reproduced")
    with pytest.raises(InvalidInput, match="corrupted_answer"):
        other_settings(source.model_copy(update={"teacher": "anthropic:some-model"}))


def test_a_trace_without_an_answer_has_no_counterpart() -> None:
    unsolved = trace(TRAIN[0], WrittenTrace("3 + 7 = 10 . I stop here . </think>", ()))
    teacher = SymbolicTeacher(MINI, SymbolicWritingConfig(style="plain"))
    for transform in (empty_cot, dots(words), corrupted_answer(MINI, 0), illegal_line(teacher)):
        assert transform(unsolved) == DroppedTrace("no_answer")


def test_a_wrong_answer_of_the_source_stays_as_it_is() -> None:
    wrong = trace(TRAIN[0], WrittenTrace("hm </think> <answer> 3 + 7 </answer>", ()))
    assert made(corrupted_answer(MINI, 0), wrong).completion == wrong.completion


def test_the_answer_part_is_the_last_answer() -> None:
    assert answer_suffix("a <answer>1</answer> b </think> c <answer>2</answer>") == "</think> c <answer>2</answer>"
    assert answer_suffix("</think> a <answer>1</answer> b <answer>2</answer> c") == (
        "</think> a <answer>1</answer> b <answer>2</answer> c"
    )
    assert answer_suffix("a <answer>1") is None


@pytest.mark.train
@pytest.mark.parametrize("style", STYLES)
def test_dots_under_the_tokenizers_models_have(style: str, tmp_path: Path) -> None:
    """The word-level tokenizer of a base model made here, and a byte-level BPE as hub models have."""
    sources = traces(style)
    if style == "plain":
        from pipelines.tokenizer import build_tokenizer

        build_tokenizer(phrases("plain"), [MINI.prompt(TRAIN[0])], range(51)).save_pretrained(tmp_path)
    else:
        _byte_level([source.completion for source in sources]).save_pretrained(tmp_path)
    count = token_counter(tmp_path)
    for source in sources:
        result = made(dots(count), source)
        assert result.meta["tokens"] == result.meta["source_tokens"] == count(source.completion)


def _byte_level(texts: list[str]):  # type: ignore[no-untyped-def]
    from tokenizers import Tokenizer, models, pre_tokenizers, trainers
    from transformers import PreTrainedTokenizerFast

    tokenizer = Tokenizer(models.BPE())
    tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    alphabet = pre_tokenizers.ByteLevel.alphabet()
    # Hub models have a token for a full stop after a space.
    tokenizer.train_from_iterator(
        [*texts, " . . ." * 1000], trainers.BpeTrainer(vocab_size=600, initial_alphabet=alphabet)
    )
    return PreTrainedTokenizerFast(tokenizer_object=tokenizer, eos_token="<eos>", pad_token="<pad>")


@pytest.mark.train
def test_a_folder_without_a_tokenizer_is_named(tmp_path: Path) -> None:
    with pytest.raises(InvalidInput, match="tokenizer"):
        token_counter(tmp_path)
