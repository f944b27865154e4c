"""What a judge is shown: every character, numbered, behind a code the trace cannot forge; the same each time."""

from pathlib import Path

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from pipelines.behaviors.judge import JudgeTask
from pipelines.behaviors.judges.llm.dialogue import TraceDialogue
from pipelines.behaviors.judges.llm.prompts import JudgeMode, fill, load_prompts, prompt_names
from pipelines.behaviors.judges.llm.view import SegmentWindow, nonce_of, numbered, shown, windows
from pipelines.behaviors.segment import segments
from pipelines.behaviors.sets.registered import BEHAVIORS
from pipelines.errors import InvalidInput
from pipelines.records import countdown_fields
from tests.behaviors.llm_lab import SPECIAL, prompt_config, segments_shown


@given(st.text())
@example("0123456789abcdef" * 100)
def test_the_code_is_the_same_each_time_and_never_in_the_text(text: str) -> None:
    nonce = nonce_of(text)
    assert nonce == nonce_of(text)
    assert len(nonce) == 8
    assert nonce[0] in "abcdef"
    assert nonce not in text.lower()


def test_a_text_that_holds_its_own_code_gets_another() -> None:
    text = "some trace"
    first = nonce_of(text)
    assert nonce_of(f"{text} {first}") != first
    assert nonce_of(text) != nonce_of(f"{text}!")


@given(st.text(max_size=400))
@example(SPECIAL[4])
@example(SPECIAL[6])
def test_a_model_reads_back_every_segment_under_its_number(text: str) -> None:
    cut = segments(text)
    nonce = nonce_of(text)
    prompt = load_prompts("spans").shared(
        {"trace": numbered(text, cut, SegmentWindow(0, len(cut)), nonce), "nonce": nonce, "numbers": "1", "target": "2"}
    )
    expected = {
        number: shown(text[start:end]).strip()
        for number, (start, end) in enumerate(cut, start=1)
        if shown(text[start:end]).strip()
    }
    assert segments_shown(prompt) == expected


@given(st.text())
def test_what_is_sent_keeps_every_offset_and_can_be_sent(text: str) -> None:
    sent = shown(text)
    assert len(sent) == len(text)
    sent.encode("utf-8")
    assert "\x00" not in sent
    assert "\x1b" not in sent


@given(st.lists(st.integers(1, 300), max_size=60), st.integers(1, 500))
def test_windows_hold_every_segment_once_and_keep_to_the_limit(lengths: list[int], most: int) -> None:
    ends = [sum(lengths[: index + 1]) for index in range(len(lengths))]
    cut = list(zip([0, *ends[:-1]], ends, strict=False)) if lengths else []
    found = windows(cut, most)
    assert [index for window in found for index in range(window.first, window.end)] == list(range(len(cut)))
    for window in found:
        size = cut[window.end - 1][1] - cut[window.first][0]
        assert size <= most or window.end - window.first == 1


@pytest.mark.parametrize("mode", ["spans", "count_parity"])
def test_every_prompt_of_ours_is_there_and_filled(mode: JudgeMode) -> None:
    prompts = load_prompts(mode)
    holes = {"trace": "THE TRACE", "nonce": "NONCE", "numbers": "1, 2", "target": "33", "part": "1", "parts": "2"}
    shared = prompts.shared(holes)
    assert "THE TRACE" in shared
    assert "1, 2" in shared
    assert "33" in shared
    asked = {prompts.question(behavior, holes) for behavior in BEHAVIORS}
    assert len(asked) == 4
    assert all(("<count> n </count>" in question) == (mode == "count_parity") for question in asked)
    assert "{" not in shared + prompts.system


def test_holes_are_filled_once_and_other_braces_stay() -> None:
    assert fill("{trace} {target} {x} {}", {"trace": "{target}", "target": "24"}) == "{target} 24 {x} {}"


def test_ones_own_prompt_changes_the_digest_and_only_that_text(tmp_path: Path) -> None:
    mine = tmp_path / "mine.md"
    mine.write_text("Count the checks. {trace} <count> n </count>", encoding="utf-8")
    ours, own = load_prompts("count_parity"), load_prompts("count_parity", {"verification": mine})
    assert ours.sha256 == load_prompts("count_parity").sha256 != own.sha256
    assert own.shows_trace("verification")
    assert not own.shows_trace("subgoal")
    assert own.question("verification", {"trace": "T"}) == "Count the checks. T <count> n </count>"
    assert {name for name in prompt_names("count_parity") if ours.texts[name] != own.texts[name]} == {"verification"}


def test_prompts_that_cannot_work_are_refused_by_name(tmp_path: Path) -> None:
    blind = tmp_path / "trace.md"
    blind.write_text("No trace here.", encoding="utf-8")
    with pytest.raises(InvalidInput, match=r"trace\.md does not show the trace"):
        load_prompts("spans", {"trace": blind})
    with pytest.raises(InvalidInput, match="no prompt again"):
        load_prompts("count_parity", {"again": blind})
    with pytest.raises(InvalidInput, match="cannot be read"):
        load_prompts("spans", {"system": tmp_path / "absent.md"})
    blind.write_bytes(b"\xff\xfe{trace}")
    with pytest.raises(InvalidInput, match="cannot be read"):
        load_prompts("spans", {"trace": blind})


@pytest.mark.parametrize("mode", ["spans", "count_parity"])
def test_a_problem_of_another_task_takes_the_place_of_numbers_and_target(mode: JudgeMode) -> None:
    task = JudgeTask("r1", "elsewhere", {"id": "x", "question": "What is {target}?"}, "I am not sure.")
    requests = list(TraceDialogue(task, prompt_config(mode), None).pending_requests())
    for request in requests:
        text = request.shared + request.question
        assert '{"question": "What is {target}?"}' in text
        assert "{numbers}" not in text
        assert "I am not sure." in text
    known = JudgeTask("r1", **countdown_fields((3, 4), 12), completion="3 * 4")
    for request in TraceDialogue(known, prompt_config(mode), None).pending_requests():
        assert "3, 4" in request.shared
        assert "given this problem" not in request.shared
