"""A dialogue, a brain and a service for the tests of asking."""

import json
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field

import pytest

from pipelines.llm.clients.connect import connect
from pipelines.llm.clients.protocol import ModelClient, ModelSpec
from pipelines.llm.requests import ModelReply, ModelRequest
from tests.loopback.brain import Question
from tests.loopback.server import serve
from tests.loopback.state import State

SCHEMA = {
    "type": "object",
    "properties": {"said": {"type": "string"}},
    "required": ["said"],
    "additionalProperties": False,
}


def echo(question: Question) -> str:
    """Answers with the last line it was given."""
    return json.dumps({"said": question.user.splitlines()[-1]})


@dataclass
class Chat:
    """Asks some questions about a text, and once more about each answer."""

    text: str
    questions: tuple[str, ...] = ("one", "two")
    follow_up: bool = False
    replies: dict[str, ModelReply] = field(default_factory=dict)

    def pending_requests(self) -> Sequence[ModelRequest]:
        """What has no reply yet."""
        return [self.ask(name) for name in self.names() if name not in self.replies]

    def names(self) -> list[str]:
        names = list(self.questions)
        if self.follow_up and all(name in self.replies for name in self.questions):
            names += [f"{name} again" for name in self.questions]
        return names

    def ask(self, name: str) -> ModelRequest:
        return ModelRequest("You answer.", self.text, f"{name} {self.text}", SCHEMA, 50)

    def receive_reply(self, ask: ModelRequest, reply: ModelReply) -> None:
        """Keeps a reply."""
        self.replies[ask.question.removesuffix(f" {self.text}")] = reply


@pytest.fixture
def state() -> State:
    return State(brain=echo)


@pytest.fixture
def url(state: State) -> Iterator[str]:
    with serve(state) as base_url:
        yield base_url


@pytest.fixture(params=["openai", "anthropic"])
def client(request: pytest.FixtureRequest, state: State, url: str, monkeypatch: pytest.MonkeyPatch) -> ModelClient:
    pytest.importorskip(request.param)
    monkeypatch.setenv(f"{request.param.upper()}_API_KEY", state.key)
    base = f"{url}/v1" if request.param == "openai" else url
    return connect(ModelSpec(request.param, "loopback", base), max_retries=2)


MakeChats = Callable[[int], list[Chat]]
