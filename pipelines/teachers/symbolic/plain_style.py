"""The plain style: every text is a row of phrases of a closed vocabulary and whole numbers (`lexicon.PLAIN`)."""

from pipelines.records import Behavior
from pipelines.teachers.draft import TextRange, WordDraft
from pipelines.teachers.symbolic import lexicon
from pipelines.teachers.symbolic.arithmetic import Equation, EquationChain, Tree, spaced_parts
from pipelines.teachers.symbolic.search import SearchAttempt, SearchRecord, SubgoalPlan

_STOP = " ."


def step_words(step: Equation) -> tuple[str, ...]:
    """`3 + 4 = 7` as words."""
    return (str(step.left), step.operation, str(step.right), "=", str(step.result))


def chain_words(chain: EquationChain) -> list[str]:
    """The equations of a chain with commas between."""
    words: list[str] = []
    for step in chain.steps:
        if words:
            words.append(",")
        words.extend(step_words(step))
    return words


def answer_words(tree: Tree) -> list[str]:
    """The answer with its tags."""
    return [lexicon.ANSWER_OPEN, *spaced_parts(tree), lexicon.ANSWER_CLOSE]


def write_plain(
    search: SearchRecord, behaviors: frozenset[Behavior], *, operations: str, space_first: bool, close_thought: bool
) -> WordDraft:
    """Puts a search into plain words, showing exactly these behaviours.

    Args:
        operations: those of the task; no other sign is written.
        space_first: whether a space stands between prompt and completion.
        close_thought: whether the prompt opened `<think>`.
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
    """The arithmetic from the target: `17 - 5 = 12` where a sum is undone by subtraction or the other way round.

    Products and reversed plans have the target as known result instead (`24 = 12 * 2`), so that no operation is
    needed that the task may not have.
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
