"""Finds backtracking, subgoals and backward chaining: markers, new attempts, goals, arithmetic from the target."""

import re
from bisect import bisect_left
from typing import Final

from pipelines.behaviors.judges.rules.clauses import Clause
from pipelines.behaviors.judges.rules.computations import Computation
from pipelines.behaviors.judges.rules.flow import StepRelation
from pipelines.behaviors.judges.rules.state import PendingMarker, SpanDraft, TraceState
from pipelines.behaviors.judges.rules.tokens import Number, key
from pipelines.behaviors.judges.rules.verdicts import close_check

# --- markers -----------------------------------------------------------------------------------------------


def take_marker(state: TraceState, clause: Clause, *, judged: bool) -> None:
    """Keep a marker until a computation, another marker or the end of the trace shows what it introduces."""
    cue = clause.cue
    if state.flow.last is None or (cue.after_failure and not state.flow.failed):
        return
    waiting = state.marker
    if waiting is not None and waiting.sentence == clause.sentence:
        waiting.strong |= cue.strong
        waiting.turns |= cue.turns
        waiting.breaks |= cue.breaks
        waiting.end = clause.end
        return
    if waiting is not None:
        settle_marker(state)
    if state.covered and (cue.strong or cue.turns):
        return  # it belongs to the attempt already announced
    start = clause.start + (cue.marker_at if judged else 0)
    if not judged:
        for before in reversed(state.lead):
            if before.sentence != clause.sentence or not (before.cue.aside or before.cue.weak):
                break
            start = before.start
    state.marker = PendingMarker(
        start,
        clause.end,
        clause.sentence,
        clause.line,
        cue.strong,
        cue.turns,
        cue.breaks or cue.strong,
        cue.bare,
        cue.heading,
    )


def settle_marker(state: TraceState, *, dropped: bool = False) -> None:
    """Add a span for a marker without a computation in its sentence; it covers the next attempt.

    Args:
        state: the pass.
        dropped: what it announced was let go of at once, so that it covers nothing.
    """
    marker = state.marker
    state.marker = None
    if marker is None or not (marker.strong or marker.turns) or state.flow.last is None:
        return
    if dropped and state.flow.reached:
        return  # nothing follows a success
    close_check(state)
    again = state.turned_from is state.flow.last  # nothing was tried since the last announcement
    state.turned_from = state.flow.last
    why = "says that another path is tried"
    state.add(SpanDraft("backtracking", marker.start, marker.end, repeat=again, why=why))
    state.covered = not dropped
    state.under_goal = False
    state.flow.licence = False


def reaches(marker: PendingMarker, sentence: int, line: int) -> bool:
    """Return whether a marker belongs to a computation of its sentence, `Case 2.` of its line, `try:` of the next."""
    if marker.sentence == sentence or (marker.heading and marker.line == line):
        return True
    return marker.bare and line - marker.line <= 1


# --- goals and arithmetic from the target ------------------------------------------------------------------

_LEADS_IN: Final = frozenset(("first", "now", "next", "then", "so", "also", "ok", "okay"))


def take_goal(state: TraceState, clause: Clause, ahead: Computation | None) -> bool:
    """Add the span of an intermediate goal; return whether the clause sets one.

    Args:
        state: the pass.
        clause: what may set a goal.
        ahead: the computation behind it in its sentence.
    """
    flow = state.flow
    named = [state.number_at(clause.start + place) for place in clause.cue.goals if place >= 0]
    values = {value for value in named if value is not None}
    if values and -1 not in clause.cue.goals and not _is_goal(state, clause, values, ahead):
        return False
    start = clause.start
    for before in reversed(state.lead):
        if before.sentence != clause.sentence or before.text not in _LEADS_IN:
            break
        start = before.start
    goals = {key(value) for value in values}
    again = bool(goals) and goals <= state.stated
    state.stated |= goals
    end = clause.end + clause.question
    state.add(SpanDraft("subgoal", start, end, repeat=again, why="states an intermediate goal"))
    flow.new_plan = not flow.belongs(goals)
    flow.goals = goals if flow.new_plan else flow.goals | goals
    flow.licence = True
    aimed = {clause.start + place + mark for place in clause.cue.goals for mark in range(_LONGEST_MARK)}
    flow.resources = set(state.numbers_between(clause.start, clause.end, leave_out=aimed))
    state.under_goal = bool(goals)
    state.idle_goal = True
    settle_marker(state)
    return True


def _is_goal(state: TraceState, clause: Clause, values: set[Number], ahead: Computation | None) -> bool:
    """Return whether numbers are goals: not merely to be used (`I need 5 and 27 too`), nor computed right here."""
    made = ahead is not None and ahead.result in values and state.flow.target not in ahead.operands
    if made and not clause.question and not _AIMS.search(clause.text):
        return False  # `we can get 8 by 94 - 86`
    return not (values <= set(state.flow.given) and _USES_UP.search(clause.text))


_LONGEST_MARK: Final = 3
"""One more than the characters of a mark before a number: `**`."""
_AIMS: Final = re.compile(
    r"\b(?:need|want|if|how|try|let's|let me|first|aim|look|like|must|should|goal|requires?|faut|besoin|necesit\w+"
    r"|brauch\w*|quiero)\b|要"
)
_USES_UP: Final = re.compile(r"\b(?:need|have|want) (?:to use )?(?:the )?N+(?: and N+|,| too| as well| also| left|$)")


def is_backward(state: TraceState, index: int) -> bool:
    """Return whether arithmetic starts from the target, or has it as a known result with an unknown operand."""
    flow = state.flow
    computation = state.computations[index]
    target = flow.target
    main = computation.main
    if flow.is_formula_part(computation):
        return False
    if target not in computation.keys and computation.result_key != target and not flow.backward:
        return False
    told = main.value == target and _target_before(state, computation) is not None
    if told or (computation.leads_with_result and computation.sides[0].value == target):
        unknown = any(value not in flow.given and value not in flow.results for value in computation.keys)
        return not flow.reached and (unknown or main.operators == 1)
    if main.holes == 1 and computation.claimed and computation.result == target:
        return main.operators == 1 or all(value in flow.given or value in flow.results for value in computation.keys)
    if main.operators != 1 or len(main.operands) != 2 or computation.on_last:
        return False
    if flow.at_target:
        return False
    left, right = computation.keys
    if left == target:
        return target not in flow.given and not _is_tried(state, computation)
    if right == target and target not in flow.given:
        return "-" in main.form and left in flow.results and _is_aimed_for(state, index)
    if left in flow.backward and left not in flow.results and left not in flow.given:
        return True
    if computation.claimed and computation.result_key == target and main.value == target:
        known = [value in flow.given or value in flow.results or value in flow.goals for value in computation.keys]
        return known.count(False) == 1
    return False


def _is_tried(state: TraceState, computation: Computation) -> bool:
    """Return whether a verdict right behind compares the result with the target: `96 - 60 = 36 (not 96)`."""
    clauses = state.breaks.clauses
    index = bisect_left(clauses, computation.end, key=lambda clause: clause.start)
    if index >= len(clauses) or not clauses[index].touches:
        return False
    clause = clauses[index]
    return clause.cue.polarity < 0 and clause.cue.versus == "T" and clause.start - computation.end <= _ADJACENT


_ADJACENT: Final = 8
_TAKEN_APART: Final = re.compile(
    r"\b(T+)\b[*`$ ]*(?:(?:can|could) be )?(?:(?:is|equals|as|be|also|just|simply|really|the same as|written|expressed"
    r"|rewritten|thought of|seen|made|the (?:product|sum|difference) of)[*`$ ]+)+$"
)
"""Words before a decomposition of the target: `write 24 as 30 - 6`, `24 is the same as 20 + 4`."""
_REACH_BACK: Final = 48


def _target_before(state: TraceState, computation: Computation) -> int | None:
    """Return the place of the target that a computation is said to make up; None if it is not."""
    before = max(0, computation.start - _REACH_BACK)
    match = _TAKEN_APART.search(state.masked[before : computation.start])
    return None if match is None else before + match.start(1)


def _is_aimed_for(state: TraceState, index: int) -> bool:
    """Return whether the difference to the target becomes a goal rather than an operand."""
    result = state.computations[index].result_key
    if result is None:
        return False
    behind = state.computations[index + 1 : index + 1 + _SOON]
    target = state.flow.target
    if any(later.result_key == result and target not in later.keys for later in behind):
        return True
    start = state.computations[index].end
    return any(
        clause.cue.goals and result in state.numbers_between(clause.start, clause.end)
        for clause in state.breaks.clauses
        if start <= clause.start <= start + _NEARBY * 2
    )


_SOON: Final = 3


def take_backward(state: TraceState, computation: Computation, sentence: int) -> None:
    """Add the span of arithmetic from the target, which opens a goal."""
    named = _target_before(state, computation)
    start, end = computation.start if named is None else named, computation.first_line_end
    if computation.main.holes and (solved := _SOLVED.match(state.text, end)) is not None:
        end = solved.end()
    marker = state.marker
    if marker is not None and marker.strong:
        if marker.sentence == sentence and state.flow.last is not None and not state.covered:
            marker.end = end
        settle_marker(state)
    state.marker = None
    text = state.text[start:end]
    again = text in state.backward
    state.backward.add(text)
    state.add(SpanDraft("backward_chaining", start, end, repeat=again, why="starts from the target"))
    state.flow.note_backward(computation)
    state.under_goal = True
    state.idle_goal = False


_SOLVED: Final = re.compile(
    r"[*_`$)\\ ]*[,;]? ?(?:so |then |hence |thus |which means |and |=> ?)?[*_`$(\\ ]*"
    r"(?:something|x|y|n|\?|□|(?:the )?(?:rest|unknown|remainder|missing number)) ?(?:=|is|must be|would be|→|->) ?\d+"
)
"""Matches the value of the placeholder behind an equation with one: `, so x = 79`."""

# --- attempts ----------------------------------------------------------------------------------------------


def take_forward(state: TraceState, index: int, sentence: int, line: int) -> None:
    """Relate a computation to the earlier ones, and add a span if it starts another attempt."""
    flow = state.flow
    computation = state.computations[index]
    marker = state.marker
    if marker is not None and (marker.strong or marker.breaks or marker.turns):
        flow.licence = False
    flow.marked = marker is not None
    relation = _relation(state, index)
    first = flow.last is None
    answers = bool(state.lead) and any(clause.cue.answers for clause in state.lead)
    if relation.leaves_path and _presents(state, computation, answers=answers):
        relation = StepRelation.RESTATES
    strong = marker is not None and marker.strong
    # Without given numbers a result that is not used next shows nothing: proofs and sums compute `2/2` anywhere.
    turns_away = relation.leaves_path and (bool(flow.given) or marker is not None)
    drawn = not first and not answers and not state.covered and (strong or turns_away)
    if state.growing:
        grow(state, computation, relation)
    if drawn:
        _draw(state, computation, relation, sentence, line)
    if strong or (relation.leaves_path and marker is not None):
        state.under_goal = False
    if relation.leaves_path and flow.takes_reserved(computation):
        state.under_goal = False
        flow.leave_backward()
    state.covered = computation.main.holes > 0 and (drawn or state.covered)
    state.marker = None
    state.idle_goal = False
    if not (computation.main.holes and len(computation.operands) <= 1):  # `71 minus something` computes nothing
        flow.note(computation, relation)


def _relation(state: TraceState, index: int) -> StepRelation:
    flow = state.flow
    computation = state.computations[index]
    relation = flow.relate(state.computations, index)
    if relation is StepRelation.SECOND_OPERAND and state.marker is not None and flow.failed:
        relation = StepRelation.FRESH
    if not relation.leaves_path:
        return relation
    if computation.start and state.text[computation.start - 1] == "'":
        return StepRelation.RESTATES  # quoted in a list of operations done so far
    lead = state.lead
    if lead and lead[-1].cue.carries:
        return StepRelation.CONTINUES
    joined = bool(lead) and lead[0].text.startswith("and") and state.marker is None and not flow.failed
    if flow.fits_beside(computation) and (joined or _combined_in_words(state, index)):
        return StepRelation.SECOND_OPERAND
    return relation


def _combined_in_words(state: TraceState, index: int) -> bool:
    """Return whether the words after a computation combine its result with another of the attempt: `45 and 53`."""
    computation = state.computations[index]
    if computation.result is None:
        return False
    behind = state.computations[index + 1].start if index + 1 < len(state.computations) else len(state.masked)
    named = {key(value) for value in state.numbers_between(computation.end, min(behind, computation.end + _NEARBY))}
    mine = computation.result_key
    return mine in named and any(value in named for value in state.flow.attempt.results[-_RECENT:] if value != mine)


_NEARBY: Final = 60
_RECENT: Final = 24


def _presents(state: TraceState, computation: Computation, *, answers: bool) -> bool:
    """Return whether a computation presents a known result rather than a new attempt."""
    flow = state.flow
    if answers or (
        0 <= state.thought_end < computation.start and (flow.reached or computation.result_key == flow.target)
    ):
        return True
    if flow.reached and state.marker is None and _tells_again(state, computation):
        return True
    marker = state.marker
    if marker is not None and _TRYING.search(state.masked[marker.start : marker.end]):
        return False
    restates = bool(state.lead) and any(clause.cue.restates for clause in state.lead)
    value = computation.result_key
    return restates and value is not None and flow.last is not None and flow.last.result_key == value


def _tells_again(state: TraceState, computation: Computation) -> bool:
    """Return whether a computation after a success adds nothing: a known result, or a step of a candidate."""
    flow = state.flow
    result = computation.result_key
    return result is None or result == flow.target or result in flow.results or not computation.claimed


def _draw(state: TraceState, computation: Computation, relation: StepRelation, sentence: int, line: int) -> None:
    marker = state.marker
    start, end = computation.start, computation.first_line_end
    again = state.flow.forms.get(computation.form, 0) > 0
    why = "goes back to an earlier result" if relation is StepRelation.BACK else "does not use the result just computed"
    if marker is not None and reaches(marker, sentence, line):
        start = marker.start
        why = "introduces another attempt"
    elif marker is not None and (marker.turns or _TRYING.search(state.masked[marker.start : marker.end])):
        start, end, again = marker.start, marker.end, False
        why = "says that another path is tried"
    else:
        start = next((clause.start for clause in state.lead if clause.cue.aside or clause.cue.weak), start)
    close_check(state)
    state.add(SpanDraft("backtracking", start, end, repeat=again, why=why))
    state.growing = end == computation.end


def grow(state: TraceState, computation: Computation, relation: StepRelation) -> None:
    """Extend the span of the last attempt over its continuation: `39 - 13 = 26, 94/26 ≈ 3.6`."""
    last = state.flow.last
    span = state.found[-1]
    gap = state.masked[span.end : computation.start]
    goes_on = last is not None and relation is StepRelation.CONTINUES and state.marker is None
    if goes_on and last is not None and span.end == last.end and _JOINS.fullmatch(gap):
        span.end = computation.first_line_end
        state.growing = span.end == computation.end
    else:
        state.growing = False


_MARKS: Final = r"(?:[*_`$ ]|\\(?:[,;()\[\]]|q?quad))*"
_JOINS: Final = re.compile(
    rf"{_MARKS}(?:[,，;]? ?(?:and |so |then |here |and then |and so |so that |next )?|[,;]?{_MARKS}|: ?){_MARKS}"
)


_TRYING: Final = re.compile(
    r"\b(?:try|let's|let me|attempt|consider|use|form|what if|how about|explore|probemos|essayons|versuch)|试"
)
