"""Which two judges are compared: chosen for the user until the user chooses."""

from collections.abc import Sequence
from typing import Final

from cogtui.analysis.agreement.indexed import ComparisonSide
from cogtui.app.rollout.trace_facts import judge_name
from cogtui.store.query.judge_runs import JudgeRunSummary
from cogtui.store.user_data.annotations import ADJUDICATED, HUMAN, human_judge_run

RULES: Final = ComparisonSide("rules", "rules, live")
_FINAL = human_judge_run(ADJUDICATED)


class SideChoice:
    """The reference A and the measured judge B, and the gold files that were opened."""

    def __init__(self) -> None:
        self.sides: list[ComparisonSide | None] = [None, None]
        self._gold: list[ComparisonSide] = []
        self._by_hand = False

    def options(self, summaries: Sequence[JudgeRunSummary]) -> list[tuple[ComparisonSide, JudgeRunSummary | None]]:
        """Return all sides that can be compared, in the order of the table."""
        runs = [(_side_of(one), one) for one in summaries]
        return [*runs, (RULES, None), *((gold, None) for gold in self._gold)]

    def fill(self, summaries: Sequence[JudgeRunSummary]) -> None:
        """Choose the sides that the user did not: an annotator as reference if there is one, then the largest runs."""
        known = {side for side, _ in self.options(summaries)}
        self.sides = [side if side in known and self._by_hand else None for side in self.sides]
        if not summaries or None not in self.sides:
            return
        people = [_side_of(one) for one in summaries if one.run.judge == HUMAN]
        others = [_side_of(one) for one in summaries if one.run.judge != HUMAN]
        people.sort(key=lambda side: side.run != _FINAL.id)  # final labels before those of one annotator
        ranked = [*people[:1], *others, *people[1:], RULES]
        first = self.sides[0] or next(side for side in ranked if side != self.sides[1])
        self.sides = [first, self.sides[1] or next(side for side in ranked if side != first)]

    def set_side(self, place: int, side: ComparisonSide) -> None:
        """Make a judge the reference (0) or the measured one (1); swap the two if it is the other side already."""
        if self.sides[1 - place] == side:
            self.swap()
            return
        self.sides[place] = side
        self._by_hand = True

    def swap(self) -> None:
        """Swap reference and measured judge."""
        self.sides.reverse()
        self._by_hand = True

    def add_gold(self, side: ComparisonSide) -> None:
        """Make a gold file the reference; the live rules judge is measured if nothing else was."""
        if side not in self._gold:
            self._gold.append(side)
        other = self.sides[1]
        self.sides = [side, RULES if other is None or other == side else other]
        self._by_hand = True


def _side_of(one: JudgeRunSummary) -> ComparisonSide:
    return ComparisonSide("run", judge_name(one.run), one.run.id)
