"""The plain style: a text is a sequence of phrases of a closed vocabulary and whole numbers (`lexicon.PLAIN`)."""

from pipelines.records import Behavior
from pipelines.teachers.draft import TextRange, WordDraft
from pipelines.teachers.symbolic import lexicon
from pipelines.teachers.symbolic.arithmetic import Equation, EquationChain, Tree, spaced_parts
from pipelines.teachers.symbolic.search import SearchAttempt, SearchRecord, SubgoalPlan

_STOP = " ."


def step_words(step: Equation) -> tuple[str, ...]:
    """Return the words of an equation, e.g. of `3 + 4 = 7`."""
    return (str(step.left), step.operation, str(step.right), "=", str(step.result))


def chain_words(chain: EquationChain) -> list[str]:
    """Return the words of a chain's equations, separated by commas."""
    words: list[str] = []
    for step in chain.steps:
        if words:
            words.append(",")
        words.extend(step_words(step))
    return words


def answer_words(tree: Tree) -> list[str]:
    """Return the words of an answer, with its tags."""
    return [lexicon.ANSWER_OPEN, *spaced_parts(tree), lexicon.ANSWER_CLOSE]


def write_plain(
    search: SearchRecord, behaviors: frozenset[Behavior], *, operations: str, space_first: bool, close_thought: bool
) -> WordDraft:
    """Write a search in the plain style so that it shows exactly these behaviours.

    Args:
        search: the search.
        behaviors: the behaviours to show.
        operations: of the task; no other sign is written.
        space_first: whether the completion starts with a space.
        close_thought: whether the prompt ends with an open `<think>`.
    """
    draft = WordDraft(space_first=space_first)
    last = search.events[-1] if search.events else None
    after_failure = False
    for event in search.events:
        if after_failure:
            _try_again(draft)
            after_failure = False
        if isinstance(event, SubgoalPlan):
            _plan(draft, event, behaviors, operations)
        else:
            _attempt(draft, event, behaviors, final=event is last and event.hit)
            after_failure = not event.hit
    if search.answer is None:
        draft.add_words(lexicon.STOP_HERE)
    if close_thought:
        draft.add_words(lexicon.CLOSE_THOUGHT)
    if search.answer is not None:
        draft.add_words(*answer_words(search.answer))
    return draft


def _try_again(draft: WordDraft) -> None:
    place = draft.add_words(lexicon.TRY_AGAIN)
    draft.mark("backtracking", place.start, place.end - len(_STOP))


def _plan(draft: WordDraft, plan: SubgoalPlan, behaviors: frozenset[Behavior], operations: str) -> None:
    if "backward_chaining" in behaviors:
        draft.add_words(lexicon.WORK_BACK)
        place = draft.add_words(*backward_words(plan, operations))
        draft.mark("backward_chaining", place.start, place.end)
        draft.add_words(".")
    if "subgoal" in behaviors:
        rest = " , ".join(map(str, plan.rest)).split(" ")
        place = draft.add_words(lexicon.NEED, str(plan.needed), lexicon.FROM, *rest)
        draft.mark("subgoal", place.start, place.end)
        draft.add_words(".")


def backward_words(plan: SubgoalPlan, operations: str) -> tuple[str, ...]:
    """Return the words of the arithmetic backwards from the target.

    Sums and differences are inverted (`17 - 5 = 12`). Products and reversed plans state the target on the left
    (`24 = 12 * 2`), since the task may lack the inverse operation.
    """
    undo = {"+": "-", "-": "+"}.get(plan.operation)
    if undo and undo in operations and not plan.reversed:
        return step_words(Equation(plan.target, undo, plan.held, plan.needed))
    return (str(plan.target), "=", str(plan.last.left), plan.operation, str(plan.last.right))


def _attempt(
    draft: WordDraft, attempt: SearchAttempt, behaviors: frozenset[Behavior], *, final: bool
) -> TextRange | None:
    words = chain_words(attempt.chain)
    place = draft.add_words(*words) if words else None
    if "verification" in behaviors and attempt.complete:
        verdict = draft.add_words(lexicon.VERDICT_YES if attempt.hit else lexicon.VERDICT_NO)
        draft.mark("verification", verdict.start, verdict.end - len(_STOP))
    elif words and not final:
        draft.add_words(".")
    return place
