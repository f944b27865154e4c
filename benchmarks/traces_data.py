"""A workspace of many rollouts for benchmarks: about 1.5 kB of text each, all four behaviours judged, with spans.

`python -m benchmarks.traces_data DIR --rollouts 1000000` writes it; the same number gives the same files.
"""

import argparse
import hashlib
import json
import random
import time
from pathlib import Path
from typing import BinaryIO

from jobs.workspace import Workspace
from pipelines.behaviors.sets.registered import BEHAVIORS
from pipelines.folder import StageInfo
from pipelines.records import JudgeRun
from pipelines.streams import ROTATE_BYTES

CONDITIONS = (
    "none", "all_strategies", "only_backtracking", "backtracking_verification", "backtracking_subgoal",
    "backtracking_backward", "negative_control", "empty_cot", "dots", "no_positive_all_strategies",
)  # fmt: skip
SEEDS = (1, 2)
TEXTS = 20_000
PROBLEMS = 5_000
PER_STEP = 512
CHARACTERS = 1_400


class Parts:
    """A stream written as a stage writes it, rotated, without the cost of validating a million records."""

    def __init__(self, folder: Path, stream: str) -> None:
        self._folder = folder
        self._stream = stream
        self._part = 1
        self._size = 0
        self._file = self._open()

    def _open(self) -> BinaryIO:
        return (self._folder / f"{self._stream}-{self._part:03d}.jsonl").open("wb", buffering=1 << 20)

    def write(self, line: bytes) -> None:
        """Appends a line."""
        if self._size + len(line) > ROTATE_BYTES:
            self._file.close()
            self._part += 1
            self._size = 0
            self._file = self._open()
        self._file.write(line)
        self._size += len(line)

    def close(self) -> None:
        """Closes the last file."""
        self._file.close()


def write_text(rng: random.Random) -> tuple[list[int], int, str, dict[str, list[tuple[int, int]]]]:
    """Numbers, target, a completion, and where its behaviours are."""
    numbers = [rng.randint(1, 99) for _ in range(rng.choice((3, 4)))]
    target = rng.randint(10, 99)
    pieces: list[str] = []
    places: dict[str, list[tuple[int, int]]] = {behavior: [] for behavior in BEHAVIORS}
    at = 0

    def add(text: str, behavior: str = "") -> None:
        nonlocal at
        pieces.append(text)
        if behavior:
            places[behavior].append((at, at + len(text)))
        at += len(text)

    add(f"I have the numbers {numbers} and want {target}.\n")
    while at < CHARACTERS:
        first, second = rng.sample(numbers, 2)
        result, sign, other = rng.randint(-50, 5000), rng.choice("+-*/"), rng.choice("+-*/")
        add(
            f"Let me try {first} {sign} {second} = {result}, then {result} {other} {numbers[0]} = "
            f"{rng.randint(0, 9999)}. "
        )
        if rng.random() < 0.4:
            add(f"That gives {result}, which is not {target}.", "verification")
            add(" ")
        if rng.random() < 0.2:
            add("This does not work, so I go back and try a different pair.", "backtracking")
            add("\n")
        if rng.random() < 0.1:
            add(f"If I could make {target - numbers[0]} first, the rest is easy.", "subgoal")
            add("\n")
        if rng.random() < 0.03:
            add(f"Working backwards from {target}, I need {target + numbers[1]}.", "backward_chaining")
            add("\n")
    add(f"<answer>{numbers[0]} + {numbers[1]}</answer>")
    return numbers, target, "".join(pieces), places


def _dump(value: object) -> bytes:
    return json.dumps(value, separators=(",", ":")).encode()


def _judgements(text: str, places: dict[str, list[tuple[int, int]]], run: str) -> list[bytes]:
    """What follows the rollout's id in each of the four lines."""
    digest = hashlib.sha256(text.encode()).hexdigest()
    lines = []
    for behavior in BEHAVIORS:
        spans = [
            {"start": a, "end": b, "quote": text[a:b], "alignment": "exact", "score": 1.0, "ambiguous": False,
             "why": "", "weak": False, "repeat": False}
            for a, b in places[behavior]
        ]  # fmt: skip
        said = {"judge_run": run, "behavior": behavior, "status": "ok", "count": len(spans), "spans": spans,
                "raw": None, "usage": {}, "text_sha256": digest}  # fmt: skip
        lines.append(b"," + _dump(said)[1:] + b"\n")
    return lines


def _stage(
    workspace: Workspace, kind: str, number: int, labels: dict[str, str | int], inputs: tuple[str, ...] = ()
) -> Path:
    path = workspace.stages / f"{kind}-{number:012x}"
    path.mkdir()
    info = StageInfo(
        kind=kind, key=path.name, config={}, inputs=inputs, labels={**labels}, name=kind, created=time.time()
    )
    (path / "stage.json").write_text(info.model_dump_json())
    return path


def generate(workspace: Workspace, rollouts: int) -> None:
    """Writes PPO stages of ten conditions and two seeds, and a judge stage for each."""
    workspace.create()
    rng = random.Random(rollouts)
    run = JudgeRun(id="rules-benchmark00", judge="rules")
    texts = []
    for _ in range(min(TEXTS, rollouts)):
        numbers, target, text, places = write_text(rng)
        body = {"numbers": numbers, "target": target,
                "prompt": f"Using the numbers {numbers}, create an equation that equals {target}. Show your work "
                "in <think> </think> tags and return the final answer in <answer> </answer> tags.",
                "completion": text}  # fmt: skip
        texts.append((_dump(body)[1:-1], _judgements(text, places, run.id), len(text) // 3))
    cells = [(condition, seed) for condition in CONDITIONS for seed in SEEDS]
    share = -(-rollouts // len(cells))
    for number, (condition, seed) in enumerate(cells, 1):
        count = min(share, rollouts - share * (number - 1))
        if count <= 0:
            break
        labels: dict[str, str | int] = {"condition": condition, "seed": seed}
        folder = _stage(workspace, "ppo", number, labels)
        judged = _stage(workspace, "judge", 1000 + number, labels, (folder.name,))
        (judged / "artifacts").mkdir()
        (judged / "artifacts" / "judge_run.json").write_text(run.model_dump_json())
        _write_stage(rng, folder, judged, texts, count)
        for path in (folder, judged):
            (path / "result.json").write_text("{}")


def _write_stage(
    rng: random.Random, folder: Path, judged: Path, texts: list[tuple[bytes, list[bytes], int]], count: int
) -> None:
    stream, judgements = Parts(folder, "rollouts-train"), Parts(judged, "judgements-judge")
    for index in range(count):
        body, said, tokens = rng.choice(texts)
        step, place = divmod(index, PER_STEP)
        problem = (step * 131 + place // 4 * 7) % PROBLEMS
        identity = hashlib.sha256(f"{folder.name}/{index}".encode()).hexdigest()[:16]
        reward = rng.choices((0.0, 0.1, 1.0), (1, 6, 1 + step / 40))[0]
        head = (
            f'{{"v":1,"stream":"rollouts-train","seq":{index},"id":"{identity}","step":{step},"split":"train",'
            f'"problem_id":"train-{problem:05d}","sample":{place % 4},'
        ).encode()
        tail = (
            f',"reward":{reward},"correct":{"true" if reward == 1 else "false"},"answer":"1 + 2",'
            f'"finish_reason":"stop","n_tokens":{tokens},"meta":{{}}}}\n'
        ).encode()
        stream.write(head + body + tail)
        for line in said:
            judgements.write(
                b'{"v":1,"stream":"judgements-judge","seq":0,"rollout_id":"' + identity.encode() + b'"' + line
            )
    stream.close()
    judgements.close()


def main() -> None:
    """Writes the workspace."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("folder", type=Path)
    parser.add_argument("--rollouts", type=int, default=100_000)
    given = parser.parse_args()
    generate(Workspace(given.folder), given.rollouts)


if __name__ == "__main__":
    main()
