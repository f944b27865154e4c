"""Finds verification: verdicts on a result, and announced re-computations with their verdict."""

import re
from typing import Final

from pipelines.behaviors.judges.rules.clauses import Clause
from pipelines.behaviors.judges.rules.computations import Computation
from pipelines.behaviors.judges.rules.cues import Cue, read_clause
from pipelines.behaviors.judges.rules.state import AnnouncedCheck, SpanDraft, TraceState
from pipelines.behaviors.judges.rules.tokens import key

_BEFORE: Final = 16
"""Characters searched for the equals sign of an equation whose rest a clause is."""
_FAR: Final = 2
"""Most lines between a result and a verdict that does not name the target."""


def take_verdict(state: TraceState, clause: Clause) -> bool:
    """Add the span of a verdict, or extend the one before; return whether the clause is a verdict."""
    cue = clause.cue
    flow = state.flow
    checking = state.check is not None and state.check.open
    if not checking and not _may_judge(state, clause):
        return False
    if checking and state.check is not None:
        state.check.end = clause.end
        close_check(state)
        _judge(state, cue)
        return True
    if cue.mild or cue.versus == "N":
        _judge(state, cue)  # a verdict on the rules or a subgoal ends an attempt, but checks no result
        return True
    weak = state.under_goal and cue.versus != "T" and not flow.at_target
    start, end = _extent(state, clause)
    state.growing = False
    previous = state.found[-1] if state.found else None
    again = _says_again(state, cue)
    if previous is not None and previous.behavior == "verification" and _joins(state, previous, clause):
        previous.end = max(previous.end, end)
        previous.weak &= weak
    else:
        why = "judges the result"
        state.add(SpanDraft("verification", start, end, weak=weak, repeat=again, why=why, says=cue.polarity))
    if again:
        return True  # nothing was computed since, so nothing new failed or was reached
    _judge(state, cue)
    if cue.polarity > 0 and (weak or cue.doubts):
        flow.reached = False
    return True


def _says_again(state: TraceState, cue: Cue) -> bool:
    """Return whether the verdict before said the same of the same result; remember this one."""
    last = state.flow.last
    before = state.judged
    state.judged = None if last is None else (last, cue.polarity)
    return before is not None and before[0] is last and before[1] == cue.polarity


def _may_judge(state: TraceState, clause: Clause) -> bool:
    cue = clause.cue
    flow = state.flow
    if flow.last is None or (clause.line - state.line > _FAR and cue.versus != "T" and not _is_near(state, clause)):
        return False
    if cue.if_reached and not (flow.reached or (clause.touches and not cue.alone)):
        return False
    if clause.start and state.masked[max(0, clause.start - _BEFORE) : clause.start].rstrip(" *`$").endswith(("=", "≈")):
        return False  # the rest of an equation
    if clause.question and (cue.polarity > 0 or cue.versus or _ASKS.match(clause.text)):
        return False
    if cue.versus == "N" and not state.under_goal:
        return False
    if state.idle_goal and cue.versus != "T":
        return False
    return _subject_fits(state, clause)


def _is_near(state: TraceState, clause: Clause) -> bool:
    """Return whether a verdict stands at most two paragraphs behind the result, blank lines aside."""
    last = state.flow.last
    if last is None or clause.start - last.end > _WINDOW:
        return False
    return len(_PARAGRAPH.findall(state.masked, last.end, clause.start)) <= _FAR


_WINDOW: Final = 160
_PARAGRAPH: Final = re.compile(r"\n\s*(?=\S)")
_ASKS: Final = re.compile(r"(?:is|are|was|does|do|did|can|could|would|will|should|what|how|why)\b")


def _judge(state: TraceState, cue: Cue) -> None:
    if cue.polarity < 0:
        state.flow.failed = not cue.near
        state.flow.reached = False
        state.flow.licence = False
        if not (state.under_goal or cue.near or cue.mild):
            state.flow.goals = set()
    else:
        state.flow.reached = True


def _subject_fits(state: TraceState, clause: Clause) -> bool:
    """Return whether the number a verdict names is a result rather than a given number."""
    match = _SUBJECT.match(clause.text)
    value = state.number_at(clause.start + match.start(1)) if match else None
    return value is None or key(value) in state.flow.results or value not in state.flow.given


_SUBJECT: Final = re.compile(
    r"^(?:(?:so|but|and|then|the|still|since|now|here|even|hmm|as) ){0,3}(N+)\b(?= (?:is|are|was|isn't|exceeds|does"
    r"|still|also|would|≠|!=)|'s| ≠| !=)"
)


def _extent(state: TraceState, clause: Clause) -> tuple[int, int]:
    """Return the range of the verdict without connectives, with its arrow or brackets."""
    start, end = clause.start, clause.end
    text = clause.text
    if clause.arrow >= 0:
        start = clause.arrow
    elif (lead := _CONNECTIVE.match(text)) is not None and lead.end() < len(text):
        start += lead.end()
    if clause.cue.strong and clause.cue.marker_at > 0:
        end = clause.start + len(text[: clause.cue.marker_at].rstrip(" ,;:-–"))
    elif (cut := _own_end(text)) < len(text):
        end = clause.start + cut
    if state.asked is not None and state.asked.line == clause.line:
        start = state.asked.start
    elif state.lead and _EXCLAIMS.fullmatch(state.lead[-1].text) and state.lead[-1].sentence == clause.sentence:
        start = state.lead[-1].start
    last = state.flow.last
    if last is not None and clause.touches and not last.claimed and _BARE_PREDICATE.match(text):
        gap = state.masked[last.end : clause.start]
        if not gap.strip() and last.end - last.start <= _SHORT_SUBJECT:
            start = last.start
    if clause.bracket and start == clause.start and end == clause.end:
        opening = state.masked.rfind("(", 0, start)
        closing = state.masked.find(")", end)
        if opening >= 0 and closing >= 0:
            start, end = opening, closing + 1
    return start, end


def _own_end(text: str) -> int:
    """Return where a verdict ends in its clause: before a `but` or after a mark, unless a verdict follows."""
    sign = _SIGN.match(text)
    if sign is not None:
        return len(text) if read_clause(text[sign.end() :].strip()).polarity else sign.end(1)
    for joint in _BUT.finditer(text):
        if read_clause(text[: joint.start()]).polarity and not read_clause(text[joint.end() :]).polarity:
            return joint.start()
    return len(text)


_SIGN: Final = re.compile(r"([✓✔✅☑❌✗✘✖][\ufe0e\ufe0f]?)\s+(?=\w)")
_BUT: Final = re.compile(r",? (?:but|though|although|yet|except|however|and (?=(?:each|every|all|no) ))\b ?")
_EXCLAIMS: Final = re.compile(
    r"(?:oh|ah|yes|great|nice|wow|aha|perfect|excellent|hey|awesome)(?: (?:nice|great|wow|yes|good))?"
)
_CONNECTIVE: Final = re.compile(r"^(?:and|but|so|hmm|oh|well|then)\b[ ,]+(?=\w)")
_BARE_PREDICATE: Final = re.compile(r"^(?:is|isn't|does not equal|doesn't equal|≠|!=)(?: \w+){0,2} ?(?:T|≠)")
_SHORT_SUBJECT: Final = 14


def _joins(state: TraceState, previous: SpanDraft, clause: Clause) -> bool:
    """Return whether a verdict continues the one before: same sentence, or an interjection on the same line."""
    last = state.flow.last
    if last is not None and last.start > previous.start:
        return False
    gap = state.masked[previous.end : clause.start]
    if "\n" in gap:
        return False
    if _JOINT.fullmatch(gap):
        return True
    words = state.masked[previous.start : previous.end].strip("( )")
    return bool(_SAME_LINE.fullmatch(gap)) and len(words) <= _INTERJECTION and _ALONE.match(words) is not None


_JOINT: Final = re.compile(r"[ ,，;:()–—-]*(?:(?:and|but|so|which means|hence|thus|therefore|or)[ ,]+)*")
_SAME_LINE: Final = re.compile(r"[ .!…,，;:)]*(?:(?:and|but|so|oh|well)[ ,]+)*")
_INTERJECTION: Final = 12
_ALONE: Final = re.compile(
    r"\W*(?:yes|no|nope|great|perfect|nice|excellent|exactly|correct|right|ok|yeah|yep|bingo|works|success|sí|oui|ja"
    r"|nein)\b"
)


def announce_check(state: TraceState, clause: Clause) -> None:
    """Store that a check is announced."""
    close_check(state)
    state.check = AnnouncedCheck(clause.start, clause.line)


def checks(state: TraceState, computation: Computation, line: int) -> bool:
    """Return whether a computation belongs to an announced check of a candidate; if not, end the check."""
    check = state.check
    if check is None:
        return False
    if check.open:
        if line - check.line <= 1:
            check.line = line
            check.end = computation.end
            return True
        close_check(state)
        return False
    if line - check.line > _FAR or not _is_candidate(state, computation):
        state.check = None
        return False
    check.open = True
    check.line = line
    check.end = computation.end
    return True


def _is_candidate(state: TraceState, computation: Computation) -> bool:
    """Return whether the recomputed attempt is a candidate answer: it reached the target or uses all numbers."""
    flow = state.flow
    last = flow.last
    if last is None or computation.on_last:
        return False
    known = flow.used | flow.results
    if not all(value in known for value in computation.keys):
        return False
    if flow.failed and computation.main.operators > 1 and flow.is_new(computation):
        return False  # `let me recalculate`, followed by another computation
    all_used = sum(flow.attempt.numbers.values()) >= sum(flow.given.values())
    return flow.reached or all_used or flow.at_target


def close_check(state: TraceState) -> None:
    """Add the span of a check that computed something, from its announcement to its verdict."""
    check = state.check
    state.check = None
    if check is not None and check.open:
        state.add(SpanDraft("verification", check.start, check.end, why="computes a candidate again"))
