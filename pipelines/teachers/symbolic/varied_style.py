"""The varied style: searches in many wordings and layouts."""

import random
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final, Literal

from pipelines.records import Behavior
from pipelines.teachers.draft import TraceDraft
from pipelines.teachers.symbolic import lexicon, wording
from pipelines.teachers.symbolic.arithmetic import (
    Calculator,
    Equation,
    EquationChain,
    Tree,
    contains,
    lean_text,
    reductions,
    spaced_parts,
)
from pipelines.teachers.symbolic.search import SearchAttempt, SearchRecord, SubgoalPlan
from pipelines.teachers.symbolic.sentences import Layout, Sentence, SentenceLayout, TextPart, fill_wording

ArithmeticForm = Literal["equations", "expression", "running", "words"]
AttemptEntry = Literal["first", "covered", "alone", "lead", "bare"]
"""How an attempt begins: as the first; after a marker; after a marker that is still to be written; with words in its
own sentence; without a word."""

_NEAR: Final = 3
_SIGNS: Final[tuple[dict[str, str], ...]] = (
    {},
    {},
    {},
    {"*": "×"},
    {"*": "×", "/": "÷"},
    {"*": "×", "-": "−", "/": "÷"},
    {"*": "·", "-": "−"},
)
_FORMS: Final[dict[Layout, tuple[ArithmeticForm, ...]]] = {
    "prose": ("equations", "equations", "expression", "words"),
    "lines": ("equations", "equations", "expression", "running"),
    "items": ("equations", "expression", "running"),
    "terse": ("expression", "expression", "running"),
}
_TURNS: Final[dict[Layout, tuple[AttemptEntry, ...]]] = {
    "prose": ("alone", "alone", "lead", "lead", "bare"),
    "lines": ("alone", "alone", "lead", "bare"),
    "items": ("alone", "lead", "bare", "bare"),
    "terse": ("bare", "bare", "bare", "lead"),
}


@dataclass(frozen=True, slots=True)
class TraceStyle:
    """Style choices that are constant within a trace."""

    layout: Layout
    signs: dict[int, str]
    spaces: bool
    bold: bool
    forms: tuple[ArithmeticForm, ...]
    verdicts_inline: float
    """Fraction of verdicts in the same sentence as their arithmetic."""

    @classmethod
    def draw(cls, rng: random.Random) -> "TraceStyle":
        """Draw a random style."""
        layout: Layout = rng.choice(("prose", "prose", "lines", "lines", "items", "terse"))
        forms = _FORMS[layout]
        return cls(
            layout=layout,
            signs=str.maketrans(dict(rng.choice(_SIGNS))),
            spaces=rng.random() < 0.85,
            bold=rng.random() < 0.1,
            forms=(rng.choice(forms),) if rng.random() < 0.6 else forms,
            verdicts_inline=1.0 if layout in ("terse", "items") else rng.choice((0.0, 0.3, 0.7, 1.0)),
        )


class VariedWriter:
    """Puts one search into varied words."""

    def __init__(
        self, search: SearchRecord, behaviors: frozenset[Behavior], calculator: Calculator, rng: random.Random
    ) -> None:
        self.search = search
        self.behaviors = behaviors
        self.calculator = calculator
        self.rng = rng
        self.look = TraceStyle.draw(rng)
        self.page = SentenceLayout(
            self.look.layout,
            bullet=rng.choice(("- ", "* ", "• ", "1. ")),
            full_stops=rng.random() < 0.7,
            between_attempts=rng.choice(("\n", "\n", "; ")) if self.look.layout == "terse" else "\n",
        )
        self._group = 0

    def write(self, *, space_first: bool, close_thought: bool) -> TraceDraft:
        """Write the completion.

        Args:
            space_first: whether the completion starts with a space.
            close_thought: whether the prompt ends with an open `<think>`.
        """
        draft = TraceDraft()
        if space_first:
            draft.add(" ")
        self._opening()
        self._body()
        answer = self.search.answer
        if answer is None:
            self._say([TextPart(self.rng.choice(wording.STOPS))])
        elif self.rng.random() < 0.5:
            self._say([TextPart(self.rng.choice(wording.CLOSINGS).format(answer=self._expression(answer)))])
        self.page.write_to(draft)
        if close_thought:
            draft.add(f"\n{lexicon.CLOSE_THOUGHT}")
        if answer is not None:
            draft.add(f"\n{lexicon.ANSWER_OPEN}{self._answer(answer)}{lexicon.ANSWER_CLOSE}")
        return draft

    def _opening(self) -> None:
        if self.look.layout == "terse" or self.rng.random() < 0.4:
            return
        openings = wording.OPENINGS if self.behaviors else wording.LINEAR_OPENINGS
        numbers = format_list(self.search.numbers)
        self._say([TextPart(self.rng.choice(openings).format(numbers=numbers, target=self.search.target))])

    def _body(self) -> None:
        turn: AttemptEntry = "first"
        before: SearchAttempt | None = None
        events = self.search.events
        for place, event in enumerate(events):
            if turn == "alone":
                self._marker()
                turn = "covered"
            if isinstance(event, SubgoalPlan):
                self._plan(event)
                continue
            self._group += 1
            self._path(event, turn)
            following = next((later for later in events[place + 1 :] if isinstance(later, SearchAttempt)), None)
            turn = "first" if event.hit else self._next_turn(event, following)
            before = event
            if "verification" in self.behaviors and event.chain.steps:
                joined = turn == "alone" and following is not None and self.rng.random() < 0.3
                self._verdict(event, join_marker=joined)
                turn = "covered" if joined else turn
            self._group += 1
        if before is not None and before.hit and "verification" in self.behaviors and self.rng.random() < 0.25:
            running = " = ".join(
                self._expression(stage) for stage in reductions(before.chain.item.tree, self.calculator)
            )
            check = self.rng.choice(wording.CHECKS)
            self._say(fill_wording(check, "verification", {"running": running, "target": self.search.target}))

    def _next_turn(self, failed: SearchAttempt, following: SearchAttempt | None) -> AttemptEntry:
        """Choose how the attempt after a failed one begins: without words only if it cannot be read as the same path
        continued."""
        if following is None or not following.chain.steps or not failed.chain.steps:
            return "alone" if following is not None else "covered"
        first = following.chain.steps[0]
        same_path = failed.chain.value in (first.left, first.right) or contains(
            following.chain.item.tree, failed.chain.item.tree
        )
        turn = self.rng.choice(_TURNS[self.look.layout])
        return "alone" if same_path else turn

    def _marker(self) -> None:
        marker = self.rng.choice(wording.MARKERS)
        # In prose, a colon would join marker and attempt into one sentence and span.
        colon = self.look.layout == "lines" and self.rng.random() < 0.2
        self._say(fill_wording(marker, "backtracking"), colon=colon)

    def _path(self, attempt: SearchAttempt, turn: AttemptEntry) -> None:
        """Write the arithmetic of an attempt in one sentence, or one line per equation."""
        form = self.rng.choice(self.look.forms)
        lines = self._lines(attempt, form)
        if not lines:
            return
        marks = turn in ("lead", "bare")
        leads: tuple[str, ...] = wording.LEADS if turn == "lead" else wording.STARTS
        if form == "words":  # "how about 3 plus 4 is 7" is no English
            leads = tuple(lead for lead in leads if not lead or lead.endswith((": ", ", ")))
        lead = self.rng.choice(leads) if turn == "lead" or (turn == "first" and self.look.layout != "terse") else ""
        for place, line in enumerate(lines):
            text = lead + line if place == 0 else line
            behavior: Behavior | None = "backtracking" if marks and place == 0 else None
            self._say([TextPart(text, behavior)], attempt=True)

    def _lines(self, attempt: SearchAttempt, form: ArithmeticForm) -> list[str]:
        chain = attempt.chain
        if not chain.steps:
            return []
        if form == "words" and all(min(step.left, step.right) >= 0 for step in chain.steps):
            return [self.rng.choice(wording.JOINS).join(self._worded(step) for step in chain.steps)]
        if form == "expression":
            return [f"{self._expression(chain.item.tree)} = {self._value(chain)}"]
        if form == "running":
            stages = reductions(chain.item.tree, self.calculator)[:-1]
            return [" = ".join([*(self._expression(stage) for stage in stages), self._value(chain)])]
        equations = [self._equation(step) for step in chain.steps]
        return equations if self.look.layout == "lines" else [self.rng.choice(wording.JOINS).join(equations)]

    def _verdict(self, attempt: SearchAttempt, *, join_marker: bool) -> None:
        value, target = attempt.chain.value, self.search.target
        slots: dict[str, object] = {"value": self._number(value), "target": target, "off": abs(value - target)}
        if not attempt.complete:
            if attempt.plan is not None and self.rng.random() < 0.7:
                shortfall = self.rng.choice(wording.SHORTFALLS)
                self._append(fill_wording(shortfall, "verification", {"needed": attempt.plan.needed}, weak=True))
            if join_marker:
                self._marker()
            return
        if not join_marker and self.rng.random() < self.look.verdicts_inline:
            self._append(fill_wording(self.rng.choice(_inline_verdicts(value, target)), "verification", slots))
            return
        parts = fill_wording(self.rng.choice(_verdict_sentences(value, target)), "verification", slots)
        if join_marker:
            marker = self.rng.choice([text for text in wording.MARKERS if text.startswith("«")])
            parts += [TextPart(self.rng.choice((", so ", "; ", ", "))), *fill_wording(marker, "backtracking")]
        self._say(parts)

    def _plan(self, plan: SubgoalPlan) -> None:
        slots: dict[str, object] = {
            "target": plan.target,
            "held": plan.held,
            "needed": plan.needed,
            "rest": format_list(plan.rest, self.rng.choice(("and", "and", "&"))),
        }
        undone, split = self._undone(plan), self._split(plan)
        backward = "backward_chaining" in self.behaviors
        subgoal = "subgoal" in self.behaviors
        if backward and subgoal and self.rng.random() < 0.6:
            first, second = self.rng.choice(wording.BACKWARD_SUBGOALS)
            parts = fill_wording(first, "backward_chaining", {**slots, "undone": undone or split})
            self._say(parts + fill_wording(second, "subgoal", slots))
            return
        if backward:
            forms = wording.BACKWARD if undone and self.rng.random() < 0.7 else wording.SPLITS
            chosen = self.rng.choice(forms)
            self._say(fill_wording(chosen, "backward_chaining", {**slots, "undone": undone, "split": split}))
        if subgoal:
            self._say(fill_wording(self.rng.choice(wording.SUBGOALS), "subgoal", slots))

    def _undone(self, plan: SubgoalPlan) -> str:
        """Return the inverse of the last operation, e.g. `17 - 5 = 12`; empty if the task lacks the inverse."""
        undo = {"+": "-", "-": "+", "*": "/", "/": "*"}[plan.operation]
        if plan.reversed or undo not in self.calculator.arithmetic.operations:
            return ""
        return self._equation(Equation(plan.target, undo, plan.held, plan.needed))

    def _split(self, plan: SubgoalPlan) -> str:
        """Return the last equation with the target on the left, e.g. `17 = 12 + 5`."""
        last = plan.last
        left, right = self._number(last.left), self._number(last.right)
        return self._spaced(f"{plan.target} = {left} {last.operation} {right}")

    def _say(self, parts: list[TextPart], *, attempt: bool = False, colon: bool = False) -> None:
        if not attempt:
            self._group += 1
        self.page.sentences.append(Sentence(parts, self._group, attempt, colon))

    def _append(self, parts: list[TextPart]) -> None:
        """Append to the last sentence, which has the arithmetic of an attempt."""
        space = [] if parts[0].text.startswith((",", " ")) else [TextPart(" ")]
        self.page.sentences[-1].parts += space + parts

    def _spaced(self, text: str) -> str:
        return (text if self.look.spaces else text.replace(" ", "")).translate(self.look.signs)

    def _equation(self, step: Equation) -> str:
        right = f"({step.right})" if step.right < 0 else step.right
        return self._spaced(f"{step.left} {step.operation} {right} = {step.result}")

    def _worded(self, step: Equation) -> str:
        equals = self.rng.choice(wording.EQUALS_WORDS)
        sign = wording.OPERATION_WORDS[step.operation]
        return f"{step.left} {sign} {step.right} {equals} {self._number(step.result)}"

    def _number(self, value: int) -> str:
        return str(value).translate(self.look.signs)

    def _value(self, chain: EquationChain) -> str:
        value = self._number(chain.value)
        return f"**{value}**" if self.look.bold else value

    def _expression(self, tree: Tree) -> str:
        return lean_text(tree, spaces=self.look.spaces).translate(self.look.signs)

    def _answer(self, tree: Tree) -> str:
        """Return the answer in ASCII, as the reward expects it."""
        kind = self.rng.random()
        if kind < 0.5:
            return lean_text(tree)
        if kind < 0.75:
            return lean_text(tree, spaces=False)
        if kind < 0.9:
            return f" {lean_text(tree)} "
        return " ".join(spaced_parts(tree)).replace("( ", "(").replace(" )", ")")


def format_list(numbers: Sequence[int], conjunction: str = "and") -> str:
    """Return `3`, `3 and 4`, or `3, 4 and 5`."""
    *most, last = map(str, numbers)
    return f"{', '.join(most)} {conjunction} {last}" if most else last


def _inline_verdicts(value: int, target: int) -> tuple[str, ...]:
    if value == target:
        return wording.HITS
    near = wording.CLOSE if abs(value - target) <= _NEAR else ()
    return wording.MISSES + (wording.TOO_HIGH if value > target else wording.TOO_LOW) + near


def _verdict_sentences(value: int, target: int) -> tuple[str, ...]:
    if value == target:
        return wording.HIT_SENTENCES
    return wording.MISS_SENTENCES + (wording.HIGH_SENTENCES if value > target else wording.LOW_SENTENCES)
