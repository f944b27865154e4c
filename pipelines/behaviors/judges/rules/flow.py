"""Relates each computation to the earlier ones: it continues, goes back, restates, or starts a new attempt."""

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field
from enum import Enum
from typing import Final

from pipelines.behaviors.judges.rules.computations import Computation
from pipelines.behaviors.judges.rules.formula import WholeFormula, contains
from pipelines.behaviors.judges.rules.tokens import Number, key

_AHEAD: Final = 4
"""Number of later computations searched for the use of a second operand."""
_RECENT: Final = 24
"""Number of past steps compared, so that the cost of a long attempt stays linear in its length."""
_TRIVIAL: Final = 4
"""Forms up to this length, such as ` 5 `, identify nothing."""
_BOTH: Final = 2


class StepRelation(Enum):
    """The relation of a computation to the earlier ones."""

    leaves_path: bool
    """Whether it starts another attempt."""

    FIRST = "first"
    CONTINUES = "continues"
    RESTATES = "restates"
    SERVES_GOAL = "serves a goal"
    SECOND_OPERAND = "second operand"
    BACK = "goes back"
    FRESH = "fresh"


for _relation in StepRelation:
    _relation.leaves_path = _relation in (StepRelation.BACK, StepRelation.FRESH)


@dataclass(slots=True)
class SolutionAttempt:
    """The current attempt: the numbers it used and its results."""

    numbers: dict[Number, int] = field(default_factory=dict)
    """Given numbers used, with their counts."""
    results: list[Number] = field(default_factory=list)
    forms: list[str] = field(default_factory=list)

    def used(self, number: Number) -> int:
        """Return how often a given number was used."""
        return self.numbers.get(number, 0)


@dataclass(slots=True)
class ResultFlow:
    """The state of a trace between computations. All values in it are keys: see `tokens.key`."""

    given: Counter[Number]
    target: Number
    attempt: SolutionAttempt = field(default_factory=SolutionAttempt)
    last: Computation | None = None
    results: set[Number] = field(default_factory=set)
    """All results of forward computations so far."""
    backward: set[Number] = field(default_factory=set)
    """All values computed backwards from the target."""
    forms: dict[str, int] = field(default_factory=dict)
    """All forms computed so far, with the number of attempts that started with each."""
    goals: set[Number] = field(default_factory=set)
    licence: bool = False
    """Whether a goal was just stated: the first computation that serves it is no new attempt."""
    marked: bool = False
    """Whether words before the current computation introduce an attempt."""
    new_plan: bool = False
    """Whether the goal just stated belongs to another plan: the first computation for it is a new attempt."""
    reserved: set[Number] = field(default_factory=set)
    """The given numbers that the arithmetic from the target has set aside: 50 after `96 - 50 = 46`."""
    resources: set[Number] = field(default_factory=set)
    """The numbers named as operands of the goal."""
    used: set[Number] = field(default_factory=set)
    """All given numbers used so far."""
    failed: bool = False
    """Whether the last result was rejected."""
    reached: bool = False
    """Whether the target was reached and not rejected since."""
    formula: WholeFormula | None = None
    """What is still to be computed of a formula that was written whole before its parts."""

    @property
    def at_target(self) -> bool:
        """Whether the last result is the target, whatever the verdict on it."""
        return self.last is not None and self.last.result_key == self.target

    def relate(self, computations: Sequence[Computation], place: int) -> StepRelation:
        """Return the relation of the computation at an index to the earlier ones. Changes no state."""
        computation = computations[place]
        last = self.last
        if last is None:
            return StepRelation.FIRST
        if computation.on_last or (computation.form != last.form and self._goes_on(computation, last)):
            return StepRelation.CONTINUES
        if self._restates(computation, last):
            return StepRelation.RESTATES
        if self._serves_goal(computation):
            return StepRelation.SERVES_GOAL
        if self._second_operand(computations, place):
            return StepRelation.SECOND_OPERAND
        if self.is_formula_part(computation):
            return StepRelation.CONTINUES
        return StepRelation.BACK if self._goes_back(computation) else StepRelation.FRESH

    def is_formula_part(self, computation: Computation) -> bool:
        """Return whether a computation is the next part of the formula that was written whole."""
        return self.formula is not None and not self.failed and self.formula.without(computation) is not None

    def _goes_back(self, computation: Computation) -> bool:
        return any(value in self.results and value not in self.given for value in computation.keys)

    def _goes_on(self, computation: Computation, last: Computation) -> bool:
        form = computation.form
        if len(last.form) > _TRIVIAL and contains(form, last.form):
            return True
        if len(form) > _TRIVIAL and not (last.claimed and (self.marked or self.failed)) and contains(last.form, form):
            return True  # computes a part of it
        if not self.failed:
            for earlier in self.attempt.forms[-_RECENT:]:
                if earlier != form and contains(form, earlier):
                    return True
        result = last.result_key
        if result is None or result not in computation.keys:
            return False
        if result not in self.given:
            return True
        # The last result is also a given number: the reading that overuses fewer numbers is taken.
        going_on = self._overdraft(computation, without=result)
        afresh = self._overdraft(computation)
        return going_on < afresh or (going_on == afresh == 0 and not self.failed)

    def _overdraft(self, computation: Computation, without: Number | None = None) -> int:
        """Return how many numbers are overused if `without` is the last result; for the computation alone if None."""
        spent = dict(self.attempt.numbers) if without is not None else {}
        if without is not None:
            spent[without] = spent.get(without, 0) - 1
        for value in computation.keys:
            if value in self.given:
                spent[value] = spent.get(value, 0) + 1
        touched = set(computation.keys)
        return sum(max(0, count - self.given[value]) for value, count in spent.items() if value in touched)

    def _restates(self, computation: Computation, last: Computation) -> bool:
        if computation.form == last.form:
            return True
        if self.failed:
            return False
        values = [key(value) for value in (computation.value, last.value) if value is not None]
        agree = len(values) < _BOTH or values[0] == values[1]
        if agree and sorted(computation.keys) == sorted(last.keys):
            return True
        if self.reached and computation.form in self.forms:
            return True
        if agree and len(values) == _BOTH and not last.claimed:
            return True
        result = computation.result_key
        if result is None or (result != last.result_key and (last.value is None or result != key(last.value))):
            return False
        attempt = self.attempt
        return all(
            value in attempt.numbers or value in attempt.results[-_RECENT:] or value in last.keys
            for value in computation.keys
        )

    def is_new(self, computation: Computation) -> bool:
        """Return whether its form is new, and neither contains nor is part of a form of the attempt."""
        form = computation.form
        return form not in self.forms and not any(
            known in form or form in known for known in self.attempt.forms[-_RECENT:]
        )

    def belongs(self, goals: set[Number]) -> bool:
        """Return whether intermediate goals continue the current plan rather than start another after a failure."""
        last = self.last
        if last is None or goals & self.backward:
            return not self.new_plan
        if any(value in goals for value in last.keys):
            return True
        result = last.result_key
        target = self.target
        if result is not None and any(
            target in (result + goal, result - goal, goal - result, result * goal) or result == target * goal
            for goal in goals
        ):
            return True
        return not self.failed and not self._unmet()

    def _unmet(self) -> bool:
        return any(goal not in self.results and goal not in self.given for goal in self.goals)

    def _serves_goal(self, computation: Computation) -> bool:
        if self.new_plan:
            return False
        if computation.result_key in self.goals:
            return True
        if not self.licence:
            return False
        named = bool(self.resources) and all(value in self.resources for value in computation.keys)
        return named or self.fits_beside(computation)

    def fits_beside(self, computation: Computation) -> bool:
        """Return whether it avoids the given numbers that the attempt has used up."""
        spent = dict(self.attempt.numbers)
        for value in computation.keys:
            if value in self.given:
                spent[value] = spent.get(value, 0) + 1
                if spent[value] > self.given[value]:
                    return False
        return True

    def _second_operand(self, computations: Sequence[Computation], place: int) -> bool:
        """Return whether a later computation combines its result with another result of the attempt."""
        computation = computations[place]
        result = computation.result_key
        attempt = self.attempt
        if result is None or not attempt.results or not self.fits_beside(computation):
            return False
        if not self.failed and self.at_target:
            return not self._goes_back(computation)  # the target was reached with numbers left over
        if self.failed and self._goes_back(computation):
            return False
        pending = [
            value
            for value in attempt.results[-_RECENT:]
            if value != result and (value not in self.given or attempt.used(value) >= self.given[value])
        ]
        mine = {result}
        for later in computations[place + 1 : place + 1 + _AHEAD]:
            if any(value in mine for value in later.keys):
                if any(value in pending and value not in mine for value in later.keys):
                    return True
                if later.result_key is not None:
                    mine.add(later.result_key)
        return False

    def note(self, computation: Computation, relation: StepRelation) -> None:
        """Update the state with a computation."""
        form = computation.form
        if relation.leaves_path or relation is StepRelation.FIRST:
            self.attempt = SolutionAttempt()
            self.forms[form] = self.forms.get(form, 0) + 1
        else:
            self.forms.setdefault(form, 0)
        if relation is not StepRelation.RESTATES:
            self._spend(computation, relation)
        self.formula = self._formula_after(computation)
        result = computation.result_key
        if result is not None:
            self.attempt.results.append(result)
            self.results.add(result)
            self.reached = result == self.target
        self.last = computation
        self.failed = False
        self.licence = False
        self.new_plan = False
        self.resources = set()

    def _formula_after(self, computation: Computation) -> WholeFormula | None:
        rest = None if self.formula is None else self.formula.without(computation)
        if rest is not None:
            return None if rest.is_done else rest
        return WholeFormula.of(computation)

    def _spend(self, computation: Computation, relation: StepRelation) -> None:
        attempt = self.attempt
        carried = self.last.result_key if relation is StepRelation.CONTINUES and self.last is not None else None
        given, numbers = self.given, attempt.numbers
        for value in computation.keys:
            if value == carried:
                carried = None
            elif value in given:
                used = numbers.get(value, 0)
                if used < given[value] or value not in self.results:
                    numbers[value] = used + 1
                    self.used.add(value)
        if len(computation.form) > _TRIVIAL:
            attempt.forms.append(computation.form)

    def takes_reserved(self, computation: Computation) -> bool:
        """Return whether a computation uses a number that backward chaining has set aside, and so leaves its plan."""
        return any(value in self.reserved and self.given[value] == 1 for value in computation.keys)

    def leave_backward(self) -> None:
        """Forget what was computed from the target and its goals: another plan has begun."""
        self.backward = set()
        self.goals = set()
        self.reserved = set()

    def note_backward(self, computation: Computation) -> None:
        """Update the state with arithmetic from the target, which is a plan and not an attempt."""
        result = computation.result_key
        uses_result = any(value in self.results or value in self.backward for value in computation.keys)
        self.new_plan = self.last is not None and not uses_result and (self.failed or self._unmet())
        starts = [value for value in computation.keys if value in self.given]
        self.reserved = self.reserved | set(starts) if uses_result else set(starts)
        if starts and not uses_result:
            self.attempt = SolutionAttempt(numbers=dict.fromkeys(starts, 1))
        if result is not None and result != self.target:
            wanted = {result}
        else:
            wanted = {value for value in computation.keys if value not in self.given and value not in self.results}
        self.backward |= wanted
        self.goals = wanted if self.new_plan else self.goals | wanted
        self.licence = True
