"""A model behind a service as the teacher: asked for traces live or in batches, its traces judged by the rules."""

import re
from collections.abc import Generator, Iterable, Sequence
from contextlib import closing
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Final

from pipelines.behaviors.judges.rules.judge import judge_completion
from pipelines.files import write_json
from pipelines.llm.clients.connect import connect
from pipelines.llm.clients.protocol import ModelSpec
from pipelines.llm.config import ModelServiceConfig
from pipelines.llm.prices import Price
from pipelines.llm.requests import ModelReply, ModelRequest
from pipelines.llm.run_dialogues import run_dialogues
from pipelines.tasks.countdown.reward import find_answer
from pipelines.tasks.countdown.task import CountdownTask
from pipelines.teachers.draft import WrittenTrace
from pipelines.teachers.model.prompts import TeacherPrompts
from pipelines.teachers.symbolic import lexicon
from pipelines.teachers.teacher import DroppedTrace, TraceOutcome, TraceRequest

_OPEN_THOUGHT: Final = re.compile(r"<think>[ \t]*\r?\n?")


@dataclass(frozen=True, slots=True)
class ModelTeacherConfig:
    """Which model writes, and how it is asked."""

    spec: ModelSpec
    prompts: TeacherPrompts
    max_tokens: int
    temperature: float | None
    price: Price | None
    """None where it is unknown."""
    service: ModelServiceConfig


class ModelTeacher:
    """Asks a model for each trace once. Making one spends nothing and imports no SDK."""

    def __init__(self, task: CountdownTask, writer: ModelTeacherConfig) -> None:
        self.task = task
        self.writer = writer

    @property
    def name(self) -> str:
        """`anthropic:MODEL` and the like."""
        return str(self.writer.spec)

    def answer(self, requests: Iterable[TraceRequest], work: Path) -> Generator[TraceOutcome]:
        """Answers requests in their order, whatever order the replies come in, so that a set does not depend on it.

        Raises:
            As `pipelines.llm.run_dialogues.run_dialogues`.
        """
        writer = self.writer
        write_json(work / "prompts.json", dict(writer.prompts.texts))
        asked = (_TraceDialogue(place, request, self._ask(request)) for place, request in enumerate(requests))
        early: dict[int, TraceOutcome] = {}
        due = 0
        with closing(
            run_dialogues(asked, writer.service, partial(connect, writer.spec), writer.price, work)
        ) as finished:
            for dialogue in finished:
                early[dialogue.place] = self._outcome(dialogue)
                while due in early:
                    yield early.pop(due)
                    due += 1

    def _ask(self, request: TraceRequest) -> ModelRequest:
        prompts = self.writer.prompts
        return ModelRequest(
            system=prompts.system,
            shared="",
            question=prompts.question(request.problem, self.task, request.index, request.seed),
            schema=None,
            max_tokens=self.writer.max_tokens,
            temperature=self.writer.temperature,
        )

    def _outcome(self, dialogue: "_TraceDialogue") -> TraceOutcome:
        request, reply = dialogue.request, dialogue.reply
        assert reply is not None
        if reply.status != "ok":
            return TraceOutcome(request, DroppedTrace(reply.status))
        completion = extract_completion(reply.text, self.task, request)
        if completion is None:
            return TraceOutcome(request, DroppedTrace("empty"))
        judged = judge_completion(completion, request.problem.numbers, request.problem.target)
        meta = {"prompt_sha256": self.writer.prompts.sha256, "output_tokens": reply.usage.output_tokens}
        return TraceOutcome(request, WrittenTrace(completion, judged.spans, meta))


class _TraceDialogue:
    """One request, until it is answered."""

    def __init__(self, place: int, request: TraceRequest, ask: ModelRequest) -> None:
        self.place = place
        self.request = request
        self.reply: ModelReply | None = None
        self._ask = ask

    def pending_requests(self) -> Sequence[ModelRequest]:
        """The ask, as long as it has no reply."""
        return () if self.reply is not None else (self._ask,)

    def receive_reply(self, ask: ModelRequest, reply: ModelReply) -> None:
        """Keeps the reply."""
        self.reply = reply


def extract_completion(said: str, task: CountdownTask, request: TraceRequest) -> str | None:
    """What a model said as a completion that continues the prompt; None where nothing is left.

    What stands before the thought and behind the answer is talk and goes. Where the prompt opens the thought,
    the completion must not open it again.
    """
    text = said
    opening = _OPEN_THOUGHT.search(text)
    if opening is not None:
        text = text[opening.end() if task.opens_thought else opening.start() :]
    place = find_answer(text)
    if place is not None:
        text = text[: place[1] + len(lexicon.ANSWER_CLOSE)]
    text = text.strip()
    if not text:
        return None
    return text if task.prompt(request.problem)[-1:].isspace() else f" {text}"
