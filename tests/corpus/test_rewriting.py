"""Rewritten documents are checked: the answer stands in the document, behaviours are kept or gone."""

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pipelines.corpus.classify.document_judges import read_prompt
from pipelines.corpus.curate.rewriting import (
    RewriteDialogue,
    RewritePrompts,
    RewriteResult,
    RewriteSource,
    is_answer_preserved,
    read_parts,
)
from pipelines.corpus.curate.selection import SetName
from pipelines.corpus.curate.symbolic_rewriter import keep_last_attempt
from pipelines.llm.requests import ModelReply, ModelRequest, ReplyStatus

DOCUMENT = "Find x with 2x = 14. Let us check: 2 * 7 = 14. So the answer is \\boxed{x = 7}."
COUNTS = {"verification": 1, "backtracking": 0, "subgoal": 0, "backward_chaining": 0}
GOOD = {
    "question": "Find x with 2x = 14.",
    "thought": "Halve both sides. Let me double-check that: 2 * 7 = 14.",
    "answer": "x = 7",
}


def rewritten(kind: SetName, text: str, status: ReplyStatus = "ok") -> RewriteResult:
    record: dict[str, Any] = {"completion": DOCUMENT}
    request = ModelRequest("", "", "", None, 10)
    dialogue = RewriteDialogue(RewriteSource(record, 0, True, COUNTS), kind, request)
    assert dialogue.pending_requests() == [request]
    dialogue.receive_reply(request, ModelReply(status, text))
    assert dialogue.pending_requests() == []
    return dialogue.rewritten()


def test_a_good_one_is_kept() -> None:
    (piece,) = rewritten("owm_rich", f"Here:\n```json\n{json.dumps(GOOD)}\n```").pieces
    assert piece.prompt == "Question: Find x with 2x = 14.\n"
    assert piece.completion.endswith("</think>\n<answer>x = 7</answer>")
    assert piece.behaviors["verification"] == 1


@pytest.mark.parametrize(
    ("kind", "answer", "reason"),
    [
        ("owm_rich", {**GOOD, "answer": "x = 8"}, "answer_lost"),
        ("owm_rich", {**GOOD, "answer": "1"}, "answer_lost"),
        ("owm_rich", {**GOOD, "answer": "{}"}, "answer_lost"),
        ("owm_rich", {**GOOD, "thought": "Halve both sides."}, "behaviors_lost"),
        ("owm_minimised", GOOD, "behaviors_remain"),
        ("owm_rich", {"question": "", "thought": "", "answer": ""}, "no_question"),
        ("owm_rich", {"question": "x"}, "parse_error"),
        ("owm_rich", [GOOD], None),
        ("owm_rich", "no json", "parse_error"),
    ],
)
def test_what_breaks_its_condition_is_dropped_and_named(kind: SetName, answer: object, reason: str | None) -> None:
    found = rewritten(kind, json.dumps(answer))
    assert found.dropped == (() if reason is None else (reason,))


@pytest.mark.parametrize("status", ["refused", "truncated", "api_error"])
def test_what_did_not_come_is_named(status: ReplyStatus) -> None:
    assert rewritten("owm_rich", "", status).dropped == (status,)


def test_an_answer_is_found_whatever_is_around_it() -> None:
    assert is_answer_preserved("$x = 7$", DOCUMENT)
    assert is_answer_preserved("X  =  7.", DOCUMENT)
    assert not is_answer_preserved("7 = x", DOCUMENT)
    assert not is_answer_preserved("", DOCUMENT)


@given(st.text(max_size=200))
def test_whatever_a_model_says_is_read_or_not(text: str) -> None:
    read_parts(text)
    read_parts("{" + text + "}")


def test_nothing_in_a_document_fills_a_hole() -> None:
    prompts = RewritePrompts(
        read_prompt("rewrite_system"),
        read_prompt("rewrite"),
        {"owm_rich": read_prompt("rewrite_keep"), "owm_minimised": read_prompt("rewrite_omit")},
    )
    asked = prompts.question("owm_rich", "a {manner} and {nonce} and {document}", "code123")
    assert "a {manner} and {nonce} and {document}" in asked
    assert asked.count("code123") == 3


def test_the_straight_way_is_the_last_attempt() -> None:
    thought = (
        "Working backwards , 24 = 12 * 2 . I need 12 from 3 , 4 . 3 + 4 = 7 is not the goal . "
        "Let's try something else . I need 12 from 3 , 4 . 3 * 4 = 12 , 12 * 2 = 24 is the goal ."
    )
    assert keep_last_attempt(thought) == "3 * 4 = 12 , 12 * 2 = 24"
    assert keep_last_attempt("3 + 4 = 7") == "3 + 4 = 7"
