"""Control sets: another set's traces without their reasoning, with filler instead of it, or with wrong answers.

Each derived trace names its source in `meta["source"]`. Only source traces without an answer have no counterpart.
"""

import random
from collections.abc import Callable
from pathlib import Path
from typing import Any, Final

from pipelines.errors import InvalidInput, MissingRequirement
from pipelines.tasks.countdown.reward import find_answer
from pipelines.tasks.countdown.task import CountdownTask, as_problem
from pipelines.teachers.draft import WrittenTrace
from pipelines.teachers.symbolic import lexicon
from pipelines.teachers.symbolic.arithmetic import Calculator, lean_text, spaced_parts
from pipelines.teachers.symbolic.teacher import SymbolicTeacher
from pipelines.teachers.teacher import DroppedTrace
from pipelines.traces import PrimingTrace

_DRAWS: Final = 50

_MAX_STOPS: Final = 1 << 20

Transformation = Callable[[PrimingTrace], WrittenTrace | DroppedTrace]
CountTokens = Callable[[str], int]


def answer_suffix(completion: str) -> str | None:
    """Return the completion from the end of its thought, or from its answer; None without an answer."""
    place = find_answer(completion)
    if place is None:
        return None
    opening = place[0] - len(lexicon.ANSWER_OPEN)
    closed = completion.rfind(lexicon.CLOSE_THOUGHT, 0, opening)
    return completion[closed if closed >= 0 else opening :]


def empty_cot(trace: PrimingTrace) -> WrittenTrace | DroppedTrace:
    """Keep the answer only."""
    end = answer_suffix(trace.completion)
    if end is None:
        return DroppedTrace("no_answer")
    lead = "" if trace.prompt[-1:].isspace() else " "
    return WrittenTrace(lead + end, (), _meta(trace))


def dots(count_tokens: CountTokens) -> Transformation:
    """Return a function that replaces the reasoning by filler of the same length in tokens.

    The filler is full stops with a space before each, which word-level and byte-level tokenizers do not merge. If no
    number of them gives the exact length, the largest below it is used; `meta` has both lengths.
    """

    def transform(trace: PrimingTrace) -> WrittenTrace | DroppedTrace:
        end = answer_suffix(trace.completion)
        if end is None:
            return DroppedTrace("no_answer")
        lead = "" if trace.prompt[-1:].isspace() else " "
        between = trace.completion[: -len(end)][-1:]
        between = between if between.isspace() else " "
        wanted = count_tokens(trace.completion)

        def filled(stops: int) -> str:
            return f"{lead}{' '.join(['.'] * stops)}{between}{end}" if stops else lead + end

        stops = _fit(lambda stops: count_tokens(filled(stops)), wanted)
        text = filled(stops)
        return WrittenTrace(text, (), {**_meta(trace), "tokens": count_tokens(text), "source_tokens": wanted})

    return transform


def _fit(length: Callable[[int], int], wanted: int) -> int:
    """Return the most stops whose length is at most `wanted`, by bisection."""
    above = 1
    while length(above) <= wanted:
        above *= 2
        if above > _MAX_STOPS:
            raise InvalidInput("the tokenizer drops full stops, so they cannot be filler")
    fits = above // 2
    while above - fits > 1:
        middle = (fits + above) // 2
        if length(middle) <= wanted:
            fits = middle
        else:
            above = middle
    return fits


def token_counter(model: Path) -> CountTokens:
    """Return a function that counts the tokens of a text with a model's tokenizer, without special tokens.

    Raises:
        MissingRequirement: transformers is not installed. InvalidInput: the folder has no tokenizer.
    """
    try:
        from pipelines.tokenizer import read_tokenizer

        tokenizer = read_tokenizer(model)
    except ImportError as error:
        raise MissingRequirement(
            "the condition dots needs a model's tokenizer, and transformers is not installed for this Python",
            remedy="Install the extra: pip install 'cogtui[train]'",
        ) from error
    return lambda text: len(tokenizer(text, add_special_tokens=False)["input_ids"])


def corrupted_answer(task: CountdownTask, seed: int) -> Transformation:
    """Return a function that replaces the answer by a legal expression of the given numbers with another value."""
    calculator = Calculator(task.arithmetic)

    def meta(trace: PrimingTrace) -> dict[str, Any]:
        failed = trace.meta.get("failed_attempts")
        return _meta(trace) if failed is None else {**_meta(trace), "failed_attempts": failed}

    def transform(trace: PrimingTrace) -> WrittenTrace | DroppedTrace:
        place = find_answer(trace.completion)
        if place is None:
            return DroppedTrace("no_answer")
        if not trace.correct:
            return WrittenTrace(trace.completion, trace.spans, meta(trace))
        rng = random.Random(f"{seed} {trace.problem_id} {trace.completion}")
        start, end = place
        old = trace.completion[start:end]
        spaced = trace.meta.get("style") == "plain"
        problem = as_problem(trace.problem)
        for _ in range(_DRAWS):
            chain = calculator.random_chain(problem.numbers, rng)
            if chain is None or chain.value == problem.target:
                continue
            tree = chain.item.tree
            answer = " ".join(spaced_parts(tree)) if spaced else lean_text(tree)
            new = old.replace(old.strip(), answer)
            spans = tuple(span for span in trace.spans if span.end is not None and span.end <= start)
            return WrittenTrace(trace.completion[:start] + new + trace.completion[end:], spans, meta(trace))
        return DroppedTrace("no_wrong_answer")

    return transform


def select_wrong_answers(trace: PrimingTrace) -> WrittenTrace | DroppedTrace:
    """Keep the trace if its answer is wrong, whatever the reason; works with every teacher."""
    if trace.answer is None:
        return DroppedTrace("no_answer")
    if trace.correct:
        return DroppedTrace("right_answer")
    return WrittenTrace(trace.completion, trace.spans, _meta(trace))


def illegal_line(teacher: SymbolicTeacher) -> Transformation:
    """Return a function that rewrites the last line: true, ending in the target, but with a number that was not given.

    The source is written again from its seed, so it must be by the symbolic teacher with the same task and settings; a
    trace that is not reproduced exactly is dropped as `not_reproduced`.
    """

    def transform(trace: PrimingTrace) -> WrittenTrace | DroppedTrace:
        if trace.answer is None:
            return DroppedTrace("no_answer")
        seed = trace.meta.get("seed")
        if trace.teacher != teacher.name or not isinstance(seed, str):
            raise InvalidInput(
                f"the trace {trace.id} was written by {trace.teacher}, so its last line cannot be rewritten",
                remedy='Set wrong_answers = "select" or "corrupted_answer".',
            )
        problem = as_problem(trace.problem)
        again = teacher.write(problem, trace.condition, random.Random(seed))
        if isinstance(again, DroppedTrace) or again.completion != trace.completion:
            return DroppedTrace("not_reproduced")
        wrong = teacher.write(problem, trace.condition, random.Random(seed), illegal_line=True)
        if isinstance(wrong, DroppedTrace):
            return wrong
        return WrittenTrace(wrong.completion, wrong.spans, {**wrong.meta, **_meta(trace)})

    return transform


def _meta(trace: PrimingTrace) -> dict[str, Any]:
    style = {"style": trace.meta["style"]} if "style" in trace.meta else {}
    return {**style, "source": trace.id, "source_condition": trace.condition}
