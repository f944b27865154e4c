"""Runs vLLM's batch runner over many files with one engine: `vllm_batches.py ARGUMENTS OF RUN_BATCH`.

Another Python than ours may run this file, one in which vLLM is installed and this package is not, so it imports
nothing of ours. Each line of standard input is a JSON object: `input`, a file of requests, and `output`, the file of
answers, which appears by rename. It ends with standard input, or with the process that started it.

A request whose prompt and `max_tokens` exceed the model's context is refused (HTTP 400). It is asked again without a
limit, which gives it what the prompt leaves.
"""

import asyncio
import ctypes
import importlib
import json
import os
import signal
import sys
from collections.abc import Iterable
from typing import Any

RUNNERS = ("vllm.entrypoints.launchers.run_batch", "vllm.entrypoints.openai.run_batch")
"""Where vLLM has its batch runner, newest first."""


def runner() -> Any:
    """Import vLLM's batch runner."""
    for name in RUNNERS[:-1]:
        try:
            return importlib.import_module(name)
        except ModuleNotFoundError as error:
            if not str(error.name).startswith("vllm.entrypoints"):
                raise
    return importlib.import_module(RUNNERS[-1])


def lines_of(path: str) -> Iterable[dict[str, Any]]:
    """Read the objects of a file of lines."""
    with open(path, encoding="utf-8") as stream:  # noqa: PTH123
        for line in stream:
            if line.strip():
                yield json.loads(line)


def refused(record: dict[str, Any]) -> bool:
    """Return whether an answer is that the request cannot be processed."""
    return ((record.get("response") or {}).get("status_code")) == 400


async def answer(run_batch: Any, engine: tuple[Any, ...], arguments: Any, source: str, target: str) -> None:
    """Answer a file of requests."""
    part = f"{target}.part"
    arguments.input_file, arguments.output_file = source, part
    await run_batch(*engine, arguments)
    again = {record["custom_id"] for record in lines_of(part) if refused(record)}
    over = (each for each in lines_of(source) if each["custom_id"] in again)
    requests = [each for each in over if each["body"].pop("max_tokens", None)]
    if requests:
        fitted = f"{target}.fitted"
        with open(f"{fitted}.in", "w", encoding="utf-8") as stream:  # noqa: PTH123
            stream.writelines(json.dumps(each) + "\n" for each in requests)
        arguments.input_file, arguments.output_file = f"{fitted}.in", fitted
        await run_batch(*engine, arguments)
        better = {record["custom_id"]: record for record in lines_of(fitted)}
        answers = [better.get(record["custom_id"], record) for record in lines_of(part)]
        with open(part, "w", encoding="utf-8") as stream:  # noqa: PTH123
            stream.writelines(json.dumps(each) + "\n" for each in answers)
        os.remove(fitted)  # noqa: PTH107
        os.remove(f"{fitted}.in")  # noqa: PTH107
    os.replace(part, target)  # noqa: PTH105


def main() -> None:
    """Start the engine and answer files until there are no more."""
    sys.path.pop(0)  # the folder of this file, whose modules may have names of others
    ctypes.CDLL(None).prctl(1, signal.SIGTERM, 0, 0, 0)  # PR_SET_PDEATHSIG
    module = runner()
    run_batch = module.run_batch

    async def run_many(*given: Any) -> None:
        """Take the place of the runner of one file, inside the runner's own start of the engine."""
        *engine, arguments = given
        while line := await asyncio.to_thread(sys.stdin.readline):
            file = json.loads(line)
            await answer(run_batch, tuple(engine), arguments, file["input"], file["output"])

    module.run_batch = run_many
    asyncio.run(module.main(module.parse_args()))


if __name__ == "__main__":
    main()
