"""Speed and memory of the corpus stages on generated documents: `python -m benchmarks.corpus [PART...]`.

Parts: `rules` (at least 300 documents of 400 words a second on one core), `endpoint` (at least 90 % of a bare loop
over the SDK), `curate` (a million documents in flat memory; `--documents` for fewer).
"""

import argparse
import json
import multiprocessing
import os
import random
import resource
import tempfile
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from multiprocessing.connection import Connection
from pathlib import Path
from typing import Any

from pipelines.files import write_json
from pipelines.folder import StageFolder
from pipelines.run import prepare, run_stage
from tests.corpus.lab import PLAIN, RICH

WORDS = 400
_VOCABULARY = [
    f"{a}{b}" for a in ("re", "con", "de", "pro", "sub", "in") for b in ("late", "form", "tain", "duce", "fer")
]


def document(number: int, words: int = WORDS) -> dict[str, Any]:
    """A document of about so many words, with behaviours or without; one in twenty repeats an earlier one."""
    rng = random.Random(number if number % 20 else max(0, number - 20 * (number % 7)) + 1)
    head = (RICH if rng.random() < 0.4 else PLAIN).format(n=rng.randrange(10**9))
    rest = words - len(head.split())
    filler = " ".join(
        rng.choice(_VOCABULARY) + ("." if at % 12 == 11 else str(rng.randrange(900)) if at % 5 == 0 else "")
        for at in range(rest)
    )
    return {"text": f"{head} {filler}", "domain": rng.choice(("algebra", "geometry", "other"))}


def write_documents(path: Path, count: int, words: int = WORDS) -> None:
    """A JSONL file of documents."""
    with path.open("w", encoding="ascii") as stream:
        for number in range(count):
            stream.write(json.dumps(document(number, words)) + "\n")


def rules(folder: Path, count: int) -> None:
    """Documents a CPU second of the whole stage: reading, language, judging, records, counting."""
    path = folder / "rules.jsonl"
    write_documents(path, count)
    stage = prepare(
        "classify", {"documents": [str(path)], "columns": {"domain": "domain"}}, folder / "rules", [], base=folder
    )
    began = time.process_time()
    found = run_stage(stage)
    took = time.process_time() - began
    assert found["judged"] == count, found
    print(f"rules: {count:,} documents of {WORDS} words, {count / took:.0f} a CPU second (budget 300)")


def _serve(pipe: Connection, delay_s: float) -> None:
    from tests.loopback.server import serve
    from tests.loopback.state import State

    def brain(question: Any) -> str:
        if question.schema and "problem" in question.schema["properties"]:
            return '{"problem": true, "solution": true, "domain": "algebra"}'
        return '{"instances": [], "count": 0}'

    with serve(State(brain=brain, delay_s=delay_s)) as url:
        pipe.send(url)
        pipe.recv()


def _bodies(config: dict[str, Any], folder: Path, count: int) -> list[dict[str, Any]]:
    """The bodies of the requests that the stage sends, so that both loops send the same bytes."""
    from pipelines.behaviors.judge import JudgeTask
    from pipelines.corpus.classify.dialogue import DocumentDialogue, FactsQuestion
    from pipelines.corpus.classify.document_judges import ModelDocumentJudge, read_prompt
    from pipelines.corpus.classify.stage import ClassifyConfig
    from pipelines.llm.clients.openai_api import chat_body
    from pipelines.llm.clients.protocol import ModelSpec
    from pipelines.records import countdown_fields

    judge = ModelDocumentJudge(ClassifyConfig.model_validate(config, context={"base": folder}))
    question = FactsQuestion.of(read_prompt("facts"))
    tasks = (JudgeTask("", **countdown_fields((), 0), completion=document(number)["text"]) for number in range(count))
    requests = (
        request
        for task in tasks
        for request in DocumentDialogue(task, judge.prompt_config, question, None).pending_requests()
    )
    return [chat_body(ModelSpec("openai", "loopback"), request) for request in requests]


def _bare(url: str, bodies: list[dict[str, Any]]) -> float:
    """Seconds of a bare loop over the SDK."""
    import openai

    client: Any = openai.OpenAI(api_key="test-key", base_url=f"{url}/v1", max_retries=8, timeout=600)
    began = time.perf_counter()
    with ThreadPoolExecutor(16) as pool:
        answered = sum(1 for _ in pool.map(lambda body: client.chat.completions.create(**body), bodies))
    assert answered == len(bodies)
    return time.perf_counter() - began


def endpoint(folder: Path, count: int) -> None:
    """Requests a second through the stage against those of a bare loop over the SDK, of the same server."""
    here, there = multiprocessing.Pipe()
    server = multiprocessing.get_context("spawn").Process(target=_serve, args=(there, 0.05), daemon=True)
    server.start()
    url = here.recv()
    path = folder / "endpoint.jsonl"
    write_documents(path, count)
    os.environ["OPENAI_API_KEY"] = "test-key"
    config = {
        "documents": [str(path)], "columns": {"domain": "domain"}, "judge": "openai:loopback", "url": f"{url}/v1",
        "concurrency": 16,
    }  # fmt: skip
    stage = prepare("classify", config, folder / "endpoint", [], base=folder)
    bodies = _bodies(config, folder, count)
    _bare(url, bodies[:100])
    plain = _bare(url, bodies)
    began = time.perf_counter()
    run_stage(stage)
    took = time.perf_counter() - began
    print(
        f"endpoint: {5 * count:,} requests; SDK alone {5 * count / plain:.0f}/s, the stage {5 * count / took:.0f}/s, "
        f"{100 * plain / took:.0f} % (budget 90 %)"
    )
    here.send(None)
    server.join(5)


def _classified(folder: Path, count: int, words: int) -> StageFolder:
    """A finished `classify` stage with generated documents, written without judging anything."""
    from pipelines.behaviors.sets.registered import BEHAVIORS
    from pipelines.corpus.classify.document_judges import RulesDocumentJudge
    from pipelines.corpus.classify.stats import ClassificationStats
    from pipelines.records import text_sha256

    run = RulesDocumentJudge().run
    stage = StageFolder(folder / "classify-000000000000")
    stage.path.mkdir()
    write_json(stage.path / "stage.json", {"kind": "classify", "key": stage.path.name, "config": {}})
    write_json(stage.artifacts / "judge_run.json", run.model_dump(mode="json"))
    size = 5_000
    blank = {
        "v": 1, "step": 0, "split": "document", "sample": 0, "numbers": [], "target": 0, "prompt": "", "reward": None,
        "correct": None, "answer": None, "finish_reason": "stop", "n_tokens": 0,
    }  # fmt: skip
    judged: dict[str, Any] = {
        "judge_run": run.id,
        "status": "ok",
        "spans": [],
        "raw": None,
        "usage": {},
        "text_sha256": text_sha256(""),
    }
    for chunk in range(-(-count // size)):
        name = f"documents_{chunk:05d}-001.jsonl"
        records = (stage.path / f"rollouts-{name}").open("w")
        said = (stage.path / f"judgements-{name}").open("w")
        with records, said:
            for number in range(chunk * size, min(count, (chunk + 1) * size)):
                one = document(number, words)
                rich = "Let us try another" in one["text"]
                record = {**blank, "id": f"{number:016x}", "problem_id": f"d{number}", "completion": one["text"]}
                record["meta"] = {"domain": one["domain"], "flags": [], "problem": True, "where": f"x:{number}"}
                records.write(json.dumps(record) + "\n")
                for behavior in BEHAVIORS:
                    verdict = {"rollout_id": record["id"], "behavior": behavior, "count": int(rich), **judged}
                    said.write(json.dumps(verdict) + "\n")
    tally = ClassificationStats(documents=count, judged=count)
    write_json(stage.path / "result.json", {"chunks": -(-count // size), **tally.result()})
    return stage


def curate(folder: Path, count: int) -> None:
    """Time and memory of curating so many documents."""
    source = _classified(folder, count, 120)
    config = {"tokenizer": "words", "tokens": 60 * count // 10}
    stage = prepare("curate", config, folder / "curate", [source.path], base=folder)
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    began = time.process_time()
    found = run_stage(stage)
    took = time.process_time() - began
    most = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    tokens = {name: one["tokens"] for name, one in found["sets"].items()}
    print(f"curate: {count:,} documents in {took:.0f} CPU s ({count / took:.0f}/s)")
    print(f"  resident {before / 1024:.0f} MiB before, {most / 1024:.0f} MiB at most")
    print(f"  {tokens}, differing by {100 * found['difference']:.4f} %; left out {found['left_out']}")


def _parts(given: argparse.Namespace) -> Iterator[str]:
    yield from given.parts or ("rules", "endpoint", "curate")


def main() -> None:
    """Prints the figures."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("parts", nargs="*", choices=("rules", "endpoint", "curate", []))
    parser.add_argument("--documents", type=int, default=1_000_000, help="documents to curate")
    given = parser.parse_args()
    with tempfile.TemporaryDirectory() as scratch:
        folder = Path(scratch)
        for part in _parts(given):
            {"rules": lambda: rules(folder, 2_000), "endpoint": lambda: endpoint(folder, 1_000),
             "curate": lambda: curate(folder, given.documents)}[part]()  # fmt: skip


if __name__ == "__main__":
    main()
