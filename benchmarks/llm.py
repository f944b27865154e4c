"""What our loop over requests costs beyond the SDK: `python -m benchmarks.llm [REQUESTS] [--repeat N]`.

The same requests go to the same loopback server, which runs in a process of its own: once by a bare loop over the
SDK in as many threads, once through our loop with its ledger and budget. Budgets: at most 10 % more, memory flat.
"""

import argparse
import multiprocessing
import os
import statistics
import tempfile
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from multiprocessing.connection import Connection
from pathlib import Path
from typing import Any

from pipelines.behaviors.judges.llm.answer import SCHEMA
from pipelines.llm.clients.connect import connect
from pipelines.llm.clients.protocol import ModelSpec
from pipelines.llm.ledger import Ledger
from pipelines.llm.live_runner import run_live
from pipelines.llm.prices import Budget, Price
from pipelines.llm.requests import ModelReply, ModelRequest
from tests.loopback.server import serve
from tests.loopback.state import State

CONCURRENCY = 16
TRACE = "3 + 4 = 7, not 24. Let me try again.\n" * 25


def _serve(pipe: Connection, delay_s: float) -> None:
    state = State(brain=lambda question: '{"instances": [], "count": 0}', delay_s=delay_s)
    with serve(state) as url:
        pipe.send(url)
        pipe.recv()


class One:
    """A dialogue of one question."""

    def __init__(self, number: int, run: str) -> None:
        self._ask = ModelRequest("You judge.", f"{run} {number}\n{TRACE}", "How often?", SCHEMA, 500)
        self._done = False

    def pending_requests(self) -> list[ModelRequest]:
        """The question, until it is answered."""
        return [] if self._done else [self._ask]

    def receive_reply(self, ask: ModelRequest, reply: ModelReply) -> None:
        """Takes the answer."""
        assert reply.status == "ok", reply
        self._done = True


def bare(url: str, count: int, run: str) -> float:
    """Seconds of a bare loop over the SDK."""
    import openai

    client = openai.OpenAI(api_key="test-key", base_url=f"{url}/v1", max_retries=8, timeout=600)
    form = {"type": "json_schema", "json_schema": {"name": "answer", "strict": True, "schema": SCHEMA}}

    def ask(number: int) -> str | None:
        body: dict[str, Any] = {
            "model": "loopback",
            "messages": [
                {"role": "system", "content": "You judge."},
                {"role": "user", "content": f"{run} {number}\n{TRACE}\n\nHow often?"},
            ],
            "max_completion_tokens": 500,
            "response_format": form,
        }
        done: Any = client.chat.completions.create(**body)
        return str(done.choices[0].message.content)

    began = time.perf_counter()
    with ThreadPoolExecutor(CONCURRENCY) as pool:
        answered = sum(answer is not None for answer in pool.map(ask, range(count)))
    assert answered == count
    return time.perf_counter() - began


def _resident() -> int:
    """Resident memory of this process, in bytes."""
    return int(Path("/proc/self/statm").read_text().split()[1]) * os.sysconf("SC_PAGE_SIZE")


def ours(url: str, count: int, run: str) -> tuple[float, list[int]]:
    """Seconds of our loop, and the resident memory at ten points of it, in bytes."""
    os.environ["OPENAI_API_KEY"] = "test-key"
    memory: list[int] = []
    with tempfile.TemporaryDirectory() as folder:
        client = connect(ModelSpec("openai", "loopback", f"{url}/v1"))
        ledger = Ledger(Path(folder))
        budget = Budget(Price(1.0, 1.0, 1.0), 1e9)

        def dialogues() -> Iterator[One]:
            return (One(number, run) for number in range(count))

        began = time.perf_counter()
        for done, _ in enumerate(run_live(dialogues(), client, ledger, budget, concurrency=CONCURRENCY), start=1):
            if done % max(1, count // 10) == 0:
                memory.append(_resident())
        took = time.perf_counter() - began
        assert len(ledger) == count
        ledger.close()
    return took, memory


def main() -> None:
    """Prints the figures."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("requests", nargs="?", type=int, default=10_000)
    parser.add_argument("--repeat", type=int, default=1, help="pairs of runs, taken in turns")
    parser.add_argument("--delay", type=float, default=0.0, help="seconds the server thinks about a request")
    given = parser.parse_args()
    here, there = multiprocessing.Pipe()
    server = multiprocessing.get_context("spawn").Process(target=_serve, args=(there, given.delay), daemon=True)
    server.start()
    url = here.recv()
    bare(url, 200, "warm")
    ours(url, 200, "warm too")
    ratios = []
    for pair in range(given.repeat):
        started = time.process_time()
        plain = bare(url, given.requests, f"bare {pair}")
        between = time.process_time()
        mine, memory = ours(url, given.requests, f"ours {pair}")
        cpu = (time.process_time() - between) / (between - started) - 1
        ratios.append(mine / plain)
        early, late = memory[1] / 2**20, memory[-1] / 2**20
        print(f"{given.requests:,} requests, {CONCURRENCY} at once: SDK alone {plain:.1f} s, ours {mine:.1f} s")
        print(f"  overhead {100 * (mine / plain - 1):+.1f} % of the time, {100 * cpu:+.1f} % of the CPU")
        print(f"  memory {early:.0f} MiB at 20 %, {late:.0f} MiB at the end ({late - early:+.1f})", flush=True)
    print(f"median overhead {100 * (statistics.median(ratios) - 1):+.1f} % (budget 10 %)")
    here.send(None)
    server.join(5)


if __name__ == "__main__":
    main()
