"""`SymbolicRewriter`: rewrites documents of the miniature corpus by their fixed form, without a model."""

from collections.abc import Iterable, Iterator

from pipelines.corpus.curate.rewriting import (
    RewriteResult,
    RewriteSource,
    TrainingText,
    behavior_violation,
    puzzle_counts,
)
from pipelines.corpus.curate.selection import SetName
from pipelines.corpus.miniature.puzzles import PuzzleSection, find_puzzles, thought_and_answer
from pipelines.tasks.countdown.problems import make_problem
from pipelines.tasks.countdown.task import CountdownTask
from pipelines.teachers.symbolic import lexicon

_MOVES = (lexicon.NEED, lexicon.WORK_BACK)


class SymbolicRewriter:
    """Makes a prompt and a completion from each puzzle of a document.

    Args:
        task: builds the prompt, and scores the answer as a check.
    """

    def __init__(self, task: CountdownTask) -> None:
        self._task = task

    def rewrite(self, sources: Iterable[RewriteSource], kind: SetName) -> Iterator[RewriteResult]:
        """Yield the results in the order of the documents."""
        for source in sources:
            found = [self._piece(source.text, puzzle, kind) for puzzle in find_puzzles(source.text)]
            yield RewriteResult(
                source,
                tuple(each for each in found if isinstance(each, TrainingText)),
                tuple(each for each in found if isinstance(each, str)) if found else ("no_question",),
            )

    def _piece(self, text: str, puzzle: PuzzleSection, kind: SetName) -> TrainingText | str:
        """Return the training text of a puzzle, or the reason for dropping it."""
        parts = thought_and_answer(text[puzzle.body : puzzle.end])
        if parts is None:
            return "no_answer"
        thought, answer = parts
        before = puzzle_counts(thought, puzzle.numbers, puzzle.target)
        if kind == "owm_minimised":
            thought = keep_last_attempt(thought)
        problem = make_problem(puzzle.numbers, puzzle.target)
        prompt = self._task.prompt(problem)
        close = f" {lexicon.CLOSE_THOUGHT}" if self._task.opens_thought else ""
        space = "" if prompt[-1:].isspace() else " "
        completion = f"{space}{thought}{close} {lexicon.ANSWER_OPEN} {answer} {lexicon.ANSWER_CLOSE}"
        if not self._task.score(completion, problem).correct:
            return "answer_wrong"
        after = puzzle_counts(completion, puzzle.numbers, puzzle.target)
        return behavior_violation(kind, before, after) or TrainingText(prompt, completion, after)


def keep_last_attempt(thought: str) -> str:
    """Return only the last attempt, without verdict, intermediate goals and backward steps."""
    last = thought.rpartition(lexicon.TRY_AGAIN)[2].strip()
    for verdict in (lexicon.VERDICT_YES, lexicon.VERDICT_NO):
        last = last.removesuffix(verdict).strip()
    sentences = [part.strip() for part in last.split(" . ")]
    return " . ".join(part for part in sentences if part and not part.startswith(_MOVES))
