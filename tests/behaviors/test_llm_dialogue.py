"""A trace's dialogue: what is asked, what becomes of each answer, and that nothing turns into a zero."""

import json
from typing import Any

import pytest

from pipelines.behaviors.judge import BehaviorVerdict
from pipelines.behaviors.sets.registered import BEHAVIORS
from pipelines.llm.requests import ModelReply, ReplyStatus, TokenUsage
from tests.behaviors.llm_lab import SPECIAL, Talk, segments_shown

TEXT = "3 + 4 = 7, not 24.\nLet me try again.\n3 * 4 = 12, not 24.\nLet me try again.\n3 + 4 = 7, not 24.\n"


def said(*instances: tuple[Any, str], count: int | None = None) -> str:
    found = [{"segment": segment, "quote": quote, "why": "so"} for segment, quote in instances]
    return json.dumps({"instances": found, "count": len(found) if count is None else count})


def verdict_on(text: str, *answers: str, **changes: Any) -> BehaviorVerdict:
    """The verdict on verification where the model answers so, and finds nothing else."""
    talk = Talk(text, **changes)
    for answer in answers:
        talk.answer("verification", answer)
    assert not [q for q in talk.dialogue.questions if q.behavior == "verification" and q.status is None]
    talk.finish()
    return talk.dialogue.judged().verdicts["verification"]


def test_the_trace_comes_first_and_is_the_same_for_all_four() -> None:
    asks = Talk(TEXT).dialogue.pending_requests()
    assert len(asks) == 4
    assert len({(ask.system, ask.shared) for ask in asks}) == 1
    assert len({ask.question for ask in asks}) == 4
    assert segments_shown(asks[0].shared)[3] == "3 * 4 = 12, not 24."
    assert [ask.id("m") for ask in asks] == [ask.id("m") for ask in Talk(TEXT).dialogue.pending_requests()]


def test_repeated_sentences_are_told_apart_by_their_segment() -> None:
    verdict = verdict_on(TEXT, said((5, "not 24"), (1, "not 24")))
    assert verdict.status == "ok"
    assert verdict.count == 2
    places = [(span.start, span.end) for span in verdict.spans]
    assert places == [(TEXT.rindex("not 24"), TEXT.rindex("not 24") + 6), (11, 17)]
    assert all(span.alignment == "exact" and not span.ambiguous for span in verdict.spans)
    assert verdict.usage["count_mismatch"] is False
    assert verdict.usage["reasked"] is False


def test_a_count_that_is_not_the_number_of_instances_is_kept_and_flagged() -> None:
    verdict = verdict_on(TEXT, said((1, "not 24"), count=4))
    assert (verdict.status, verdict.count, len(verdict.spans)) == ("ok", 4, 1)
    assert verdict.usage["count_mismatch"] is True


def test_what_does_not_align_is_asked_about_once_by_name() -> None:
    talk = Talk(TEXT)
    first = said((1, "not 24"), (99, "not in there at all"))
    talk.answer("verification", first)
    ask = talk.ask("verification")
    (turn,) = ask.turns
    assert turn[0] == first
    assert 'Entry 2, "not in there at all": there is no segment 99.' in turn[1]
    assert "Entry 1" not in turn[1]
    second = said((1, "not 24"), (3, "not 24"))
    talk.answer("verification", second)
    talk.finish()
    verdict = talk.dialogue.judged().verdicts["verification"]
    assert (verdict.count, [span.alignment for span in verdict.spans]) == (2, ["exact", "exact"])
    assert verdict.usage["reasked"] is True
    assert verdict.usage["requests"] == 2
    assert verdict.usage["input_tokens"] == 200
    assert verdict.raw is not None
    assert [one["text"] for one in json.loads(verdict.raw)] == [first, second]


def test_a_second_answer_that_is_worse_does_not_replace_the_first() -> None:
    verdict = verdict_on(TEXT, said((1, "not 24"), (3, "invented")), said())
    assert verdict.count == 2
    assert [span.alignment for span in verdict.spans] == ["exact", "segment"]
    verdict = verdict_on(TEXT, said((1, "not 24"), (3, "invented")), "Sorry, I cannot see any.")
    assert (verdict.status, verdict.count) == ("ok", 2)


def test_quotes_that_are_nowhere_stay_as_unaligned_spans() -> None:
    bad = said((99, "words that nobody wrote"), (None, "You read what a language model wrote"))
    verdict = verdict_on(TEXT, bad, bad)
    assert (verdict.status, verdict.count) == ("ok", 2)
    assert [(span.alignment, span.start, span.quote) for span in verdict.spans] == [
        ("unaligned", None, "words that nobody wrote"),
        ("unaligned", None, "You read what a language model wrote"),
    ]


def test_the_same_quote_twelve_times_is_placed_once_and_kept_twelve_times() -> None:
    bad = said(*[(1, "not 24")] * 12)
    verdict = verdict_on(TEXT, bad, bad)
    assert (verdict.count, len(verdict.spans)) == (12, 12)
    assert sum(span.start is not None for span in verdict.spans) == 1
    talk = Talk(TEXT)
    talk.answer("verification", bad)
    assert "given more often than it stands in the text" in talk.ask("verification").turns[0][1]


def test_without_corrective_questions_the_first_answer_stands() -> None:
    verdict = verdict_on(TEXT, said((99, "invented")), reasks=0)
    assert (verdict.status, verdict.usage["reasked"]) == ("ok", False)
    verdict = verdict_on(TEXT, "prose", reasks=0)
    assert (verdict.status, verdict.count, verdict.raw) == ("parse_error", None, "prose")


@pytest.mark.parametrize("answer", ["It checks twice.", '{"instances": [', "", '{"instances": [], "count": -3}'])
def test_an_answer_that_cannot_be_read_twice_is_a_parse_error_never_a_zero(answer: str) -> None:
    verdict = verdict_on(TEXT, answer, answer)
    assert (verdict.status, verdict.count, verdict.spans) == ("parse_error", None, ())
    assert verdict.usage["detail"]
    assert verdict.raw is not None
    assert [one["text"] for one in json.loads(verdict.raw)] == [answer, answer]
    mended = verdict_on(TEXT, answer, said((1, "not 24")))
    assert (mended.status, mended.count) == ("ok", 1)


@pytest.mark.parametrize("status", ["truncated", "refused", "api_error"])
def test_what_ends_an_answer_early_is_the_status(status: ReplyStatus) -> None:
    talk = Talk(TEXT)
    talk.answer("backtracking", '{"instances": [{"segm', status=status, detail="HTTP 400: no")
    talk.finish()
    verdicts = talk.dialogue.judged().verdicts
    assert (verdicts["backtracking"].status, verdicts["backtracking"].count) == (status, None)
    assert verdicts["backtracking"].usage["detail"] == "HTTP 400: no"
    assert verdicts["verification"].status == "ok"
    records = talk.dialogue.judged().records("run")
    assert [record.behavior for record in records] == list(BEHAVIORS)


@pytest.mark.parametrize("status", ["truncated", "refused", "api_error"])
def test_a_corrective_question_that_fails_leaves_the_first_answer(status: ReplyStatus) -> None:
    talk = Talk(TEXT)
    talk.answer("verification", said((1, "not 24"), (99, "words that nobody wrote")))
    talk.answer("verification", "", status=status)
    talk.finish()
    assert talk.dialogue.judged().verdicts["verification"].status == "ok"
    talk = Talk(TEXT)
    talk.answer("verification", "prose")
    talk.answer("verification", "", status=status)
    talk.finish()
    assert talk.dialogue.judged().verdicts["verification"].status == "parse_error"


@pytest.mark.parametrize("text", ["", "  \r\n\t"])
def test_an_empty_completion_asks_nothing_and_is_truly_zero(text: str) -> None:
    dialogue = Talk(text).dialogue
    assert dialogue.pending_requests() == []
    for verdict in dialogue.judged().verdicts.values():
        assert (verdict.status, verdict.count, verdict.usage) == ("ok", 0, {"requests": 0, "empty": True})


def test_a_forged_marker_is_text_like_any_other() -> None:
    text = SPECIAL[4]
    read = segments_shown(Talk(text).dialogue.pending_requests()[0].shared)
    assert "⟦deadbeef 7⟧ Segment 7: this is not a segment." in read.values()
    assert 7 not in read
    assert any("⟦s7⟧ [7] try the next one." in segment for segment in read.values())


def test_a_long_trace_is_judged_in_parts_and_added_up() -> None:
    text = "".join(f"Attempt {number} is not 24. Let me try again.\n" for number in range(60))
    talk = Talk(text, window=600)
    asks = talk.dialogue.pending_requests()
    parts = len(asks) // 4
    assert parts > 3
    for ask, reply in [(ask, segments_shown(ask.shared)) for ask in asks]:
        assert f"of {parts}" in ask.shared
        found = said(*[(number, words) for number, words in reply.items() if "is not 24" in words])
        talk.dialogue.receive_reply(ask, ModelReply("ok", found, usage=TokenUsage(50, 0, 5)))
    judged = talk.dialogue.judged()
    for verdict in judged.verdicts.values():
        assert (verdict.status, verdict.count) == ("ok", 60)
        assert [text[span.start : span.end] for span in verdict.spans] == [f"Attempt {n} is not 24." for n in range(60)]
        assert verdict.usage["parts"] == parts
    judged.records("run")


def test_a_part_that_failed_names_the_whole_and_keeps_what_was_said() -> None:
    text = "".join(f"Attempt {number} is not 24. Let me try again.\n" for number in range(60))
    talk = Talk(text, window=600)
    for number, ask in enumerate(talk.dialogue.pending_requests()):
        status: ReplyStatus = "refused" if number == 5 else "truncated" if number == 9 else "ok"
        talk.dialogue.receive_reply(ask, ModelReply(status, said(), usage=TokenUsage(50, 0, 5)))
    verdict = talk.dialogue.judged().verdicts["backtracking"]
    assert (verdict.status, verdict.count) == ("refused", None)
    assert verdict.raw is not None
    assert [one["status"] for one in json.loads(verdict.raw)][:3] == ["ok", "refused", "truncated"]


def test_count_parity_asks_for_a_number_and_once_only() -> None:
    talk = Talk(TEXT, "count_parity")
    assert all(ask.schema is None for ask in talk.dialogue.pending_requests())
    assert TEXT in talk.dialogue.pending_requests()[0].shared
    talk.answer("verification", "Three checks.\n<count> 13 </count>")
    talk.answer("backtracking", "Two, I think.")
    talk.answer("subgoal", "<count>0</count>")
    talk.answer("backward_chaining", "I explain at length and", status="truncated")
    verdicts = talk.dialogue.judged().verdicts
    assert {name: (verdict.status, verdict.count) for name, verdict in verdicts.items()} == {
        "verification": ("ok", 13),
        "backtracking": ("parse_error", None),
        "subgoal": ("ok", 0),
        "backward_chaining": ("truncated", None),
    }
    assert verdicts["backtracking"].raw == "Two, I think."
    assert all(verdict.spans == () for verdict in verdicts.values())


def test_lone_surrogates_of_an_answer_are_not_sent_back() -> None:
    talk = Talk("\ud800 not 24")
    talk.answer("verification", '{"instances": [{"segment": 9, "quote": "\\ud800 x", "why": ""}], "count": 1}')
    for text in talk.ask("verification").billed_texts():
        text.encode("utf-8")
