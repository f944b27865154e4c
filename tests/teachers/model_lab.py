"""A stand-in for a model that writes traces: it does what the prompt says, by the symbolic teacher's search."""

import random
import re
from pathlib import Path
from typing import Any, Final

from pipelines.tasks.countdown.problems import Problem
from pipelines.tasks.countdown.task import CountdownTask
from pipelines.teachers.draft import WrittenTrace
from pipelines.teachers.model.prompts import WRITTEN, load_prompts
from pipelines.teachers.symbolic.teacher import SymbolicTeacher
from tests.loopback.brain import Question
from tests.loopback.faults import Fault
from tests.loopback.state import State

BAD_DAYS: Final[tuple[Fault, ...]] = (
    "rate_limit", "overloaded", "cut", "slow", "bad_request", "refusal", "length", "prose", "empty", "errored",
    "expired", "missing",
)  # fmt: skip
"""All that can go wrong with a request for a trace."""

_TEACHER: Final = SymbolicTeacher(CountdownTask())


def write(question: Question, condition: str | None = None) -> str:
    """A trace for the problem asked about, of the condition that the system prompt describes or of another one."""
    numbers = re.search(r"^Numbers: (.*)$", question.user, re.MULTILINE)
    target = re.search(r"^Target: (\d+)$", question.user, re.MULTILINE)
    assert numbers
    assert target
    problem = Problem(id="p", numbers=tuple(map(int, numbers[1].split(", "))), target=int(target[1]))
    asked = condition or next(name for name in WRITTEN if load_prompts(name).system == question.system)
    written = _TEACHER.write(problem, asked, random.Random(question.user))
    if not isinstance(written, WrittenTrace):  # some problems are beyond a short search, for models too
        total = " + ".join(map(str, problem.numbers))
        return f"<think>\nNothing came of {numbers[1]}.\n</think>\n<answer>{total}</answer>"
    return f"<think>\n{written.completion}"


def obedient(question: Question) -> str:
    """Writes what it is asked for."""
    return write(question)


def wilful(question: Question) -> str:
    """Shows every behaviour, whatever it is asked for."""
    return write(question, "all_strategies")


def settings(state: State, url: str, place: Path, **config: Any) -> dict[str, Any]:
    """Config fields of a set that the loopback Claude writes, with the server's own prices."""
    tariff = state.ledger.tariff
    table = place / "prices.toml"
    table.write_text(
        f"[anthropic]\nloopback = {{ input = {tariff.input}, cached_input = {tariff.cached}, "
        f"cache_write = {tariff.cache_write}, output = {tariff.output}, batch = {tariff.batch} }}\n"
    )
    service = {"teacher": "anthropic:loopback", "url": url, "prices": str(table), "poll_s": 0.05}
    return {**service, "style": "varied", **config}
