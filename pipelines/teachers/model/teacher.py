"""A language model as the teacher, live or in batches; the rules judge finds the behaviours in its traces."""

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
    """Model, prompts and sampling of a model teacher."""

    spec: ModelSpec
    prompts: TeacherPrompts
    max_tokens: int
    temperature: float | None
    price: Price | None
    """None if unknown."""
    service: ModelServiceConfig


class ModelTeacher:
    """Requests each trace from a model once. Building one spends nothing and imports no SDK."""

    def __init__(self, task: CountdownTask, writer: ModelTeacherConfig) -> None:
        self.task = task
        self.writer = writer

    @property
    def name(self) -> str:
        """The model, e.g. `anthropic:MODEL`."""
        return str(self.writer.spec)

    def answer(self, requests: Iterable[TraceRequest], work: Path) -> Generator[TraceOutcome]:
        """Yield outcomes in the order of the requests, so that a set does not depend on the order of replies.

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
    """A dialogue of one request and its reply."""

    def __init__(self, place: int, request: TraceRequest, ask: ModelRequest) -> None:
        self.place = place
        self.request = request
        self.reply: ModelReply | None = None
        self._ask = ask

    def pending_requests(self) -> Sequence[ModelRequest]:
        """Return the request if it has no reply yet."""
        return () if self.reply is not None else (self._ask,)

    def receive_reply(self, ask: ModelRequest, reply: ModelReply) -> None:
        """Keep the reply."""
        self.reply = reply


def extract_completion(said: str, task: CountdownTask, request: TraceRequest) -> str | None:
    """Return a model's reply as a completion that continues the prompt; None if nothing is left.

    Text before the thought and after the answer is removed. If the prompt ends with `<think>`, the completion must not
    repeat it.
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
