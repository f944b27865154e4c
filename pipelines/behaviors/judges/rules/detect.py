"""The four behaviours of a trace: one pass over its clauses and computations, in order."""

import re
from collections import Counter
from collections.abc import Sequence
from typing import Final

from pipelines.behaviors.judges.rules.attempts import (
    is_backward,
    reaches,
    settle_marker,
    take_backward,
    take_forward,
    take_goal,
    take_marker,
)
from pipelines.behaviors.judges.rules.clauses import Clause, cut, mask
from pipelines.behaviors.judges.rules.computations import Computation, read_computations
from pipelines.behaviors.judges.rules.cues import NOTHING
from pipelines.behaviors.judges.rules.flow import ResultFlow
from pipelines.behaviors.judges.rules.state import SpanDraft, TraceState
from pipelines.behaviors.judges.rules.tokens import fold, tokenize
from pipelines.behaviors.judges.rules.verdicts import announce_check, checks, close_check, take_verdict

_OUTSIDE: Final = re.compile(
    r"<answer>.*?(?:</answer>|\Z)|```(?:python|py|javascript|js|c|cpp|java|bash)\b.*?(?:```|\Z)", re.DOTALL
)
"""Matches the answer element and programs, which are not reasoning; but see `_blank`."""
_SPEAKERS: Final = ("user", "human", "question", "problem")
_NEXT_TURN: Final = re.compile(r"\n\s*(?:user|human|question|problem|<\|im_start\|>\s*user)\s*:")
"""Matches the next question, which a base model may write after its answer; the text from there is ignored."""
_END_OF_THOUGHT: Final = "</think"


def find_behaviors(text: str, numbers: Sequence[int], target: int) -> tuple[list[SpanDraft], list[Computation]]:
    """Find the spans of the four behaviours, in order of start, and the computations of a trace.

    Args:
        text: a completion of the problem.
        numbers: the numbers given.
        target: the number to be reached.
    """
    folded = fold(text)
    if any(name in folded for name in _SPEAKERS) and (turn := _NEXT_TURN.search(folded)) is not None:
        folded = folded[: turn.start()]
    if "<answer>" in folded or "```" in folded:
        folded = _OUTSIDE.sub(_blank, folded)
    tokens = tokenize(folded)
    computations = read_computations(tokens, folded)
    if not computations:
        return [], []
    masked = mask(folded, tokens, computations, target)
    breaks = cut(masked, computations)
    state = TraceState(folded, masked, tokens, computations, breaks, ResultFlow(Counter(numbers), target))
    state.thought_end = folded.find(_END_OF_THOUGHT)
    _run(state)
    settle_marker(state, dropped=True)
    close_check(state)
    return sorted(state.found, key=lambda span: (span.start, span.end)), computations


def _blank(outside: re.Match[str]) -> str:
    """Return spaces for an answer or a program; an answer element that computes more than once is reasoning."""
    text = outside[0]
    if text.startswith("<answer>") and text.count("=") > 1 and len(read_computations(tokenize(text), text)) > 1:
        return text
    return " " * len(text)


def _run(state: TraceState) -> None:
    clauses = state.breaks.clauses
    place = 0
    for index, computation in enumerate(state.computations):
        while place < len(clauses) and clauses[place].start < computation.start:
            _take_clause(state, clauses[place], index)
            place += 1
        _take_computation(state, index)
    for clause in clauses[place:]:
        _take_clause(state, clause, len(state.computations))


def _in_sentence(state: TraceState, clause: Clause, index: int) -> Computation | None:
    """Return the computation at an index, if it is in the sentence of a clause."""
    if index < len(state.computations) and state.breaks.sentence_at[index] == clause.sentence:
        return state.computations[index]
    return None


def _take_clause(state: TraceState, clause: Clause, ahead: int) -> None:
    cue = clause.cue
    flow = state.flow
    if state.lead and state.lead[-1].sentence != clause.sentence and not _reaches_down(state.lead[-1], clause.line):
        state.lead.clear()
    if cue is NOTHING:
        _extend_heading(state, clause)
        state.lead.append(clause)
        return
    if cue.goals and take_goal(state, clause, _in_sentence(state, clause, ahead)):
        state.lead.clear()
        return
    judged = cue.polarity != 0 and take_verdict(state, clause)
    if judged:
        state.lead.clear()
        state.asked = None
    elif "T" in clause.text and (clause.question or cue.check) and flow.last is not None:
        state.asked = clause
    if cue.rejects and state.idle_goal:
        flow.licence = False
    if cue.rejects and state.marker is not None and state.marker.sentence != clause.sentence:
        settle_marker(state, dropped=True)
    elif cue.rejects or (judged and cue.polarity < 0):
        state.covered = False
    if cue.doubts and not judged:
        flow.reached = False
    if cue.check and not judged:
        announce_check(state, clause)
    if cue.strong or (cue.weak and not judged):
        take_marker(state, clause, judged=judged)
    if not judged:
        state.lead.append(clause)


def _extend_heading(state: TraceState, clause: Clause) -> None:
    """Let a strong marker reach over the words behind its colon: `Option B: begin with 33`."""
    marker = state.marker
    if marker is None or not marker.strong or marker.sentence != clause.sentence:
        return
    if _COLON.fullmatch(state.masked, marker.end, clause.start):
        marker.end = clause.end


_COLON: Final = re.compile(r"[*_` ]*:[*_` ]*")


def _reaches_down(clause: Clause, line: int) -> bool:
    """Return whether a line with only `try:` belongs to the next line."""
    return clause.cue.bare and line - clause.line <= 1


def _take_computation(state: TraceState, index: int) -> None:
    computation = state.computations[index]
    sentence = state.breaks.sentence_at[index]
    line = state.breaks.line_at[index]
    if state.lead and state.lead[-1].sentence != sentence and not _reaches_down(state.lead[-1], line):
        state.lead.clear()
    marker = state.marker
    if marker is not None and marker.strong and not reaches(marker, sentence, line):
        settle_marker(state)
    if state.check is not None and checks(state, computation, line):
        state.marker = None
        if computation.result_key == state.flow.target:
            state.flow.reached = True
    elif is_backward(state, index):
        take_backward(state, computation, sentence)
    else:
        take_forward(state, index, sentence, line)
    state.lead.clear()
    state.asked = None
    state.line = line
    state.sentence = sentence
