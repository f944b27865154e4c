"""The independent check at the end of a round: files, index, command line, app and a reference against each other."""

import hashlib
from collections import Counter
from collections.abc import Iterator, Mapping
from typing import Any, Final, NamedTuple

from tests.soak.readers import StageContent, StreamContent, WorkspaceContent

_UNTIMED_EXCEPT: Final = ("metrics-speed",)
"""Streams with measured times, which differ from run to run."""
_VOLATILE_RESULTS: Final = frozenset({"elapsed_s", "seconds", "host", "device", "tokens_per_second"})
_IDENTITIES: Final = {
    "rollouts": ("id",),
    "metrics": ("step",),
    "judgements": ("rollout_id", "judge_run", "behavior"),
}


class Finding(NamedTuple):
    """A difference that must not be."""

    name: str
    """Which check found it."""
    place: str
    text: str

    def __str__(self) -> str:
        return f"{self.name}: {self.place}: {self.text}"


def check(content: WorkspaceContent, reference: WorkspaceContent | None = None) -> list[Finding]:
    """Return everything that is lost, doubled, damaged or false in a workspace in which all stages should be done.

    Args:
        content: of the workspace.
        reference: of a workspace in which the same recipe ran undisturbed.
    """
    found: list[Finding] = []
    for stage in content.stages.values():
        found += _check_result(stage)
        found += _check_streams(stage)
        found += _check_checkpoints(stage)
        found += _check_attempts(stage)
    if reference is not None:
        found += _compare(content.stages, reference.stages)
    found += [Finding("ticket-left", name, "is still in the queue") for name in content.tickets]
    found += [Finding("process-left", line, "still runs") for line in content.processes]
    found += _check_index(content)
    found += _check_command_line(content)
    found += _check_app(content)
    return found


def _check_result(stage: StageContent) -> Iterator[Finding]:
    if stage.result_problem:
        yield Finding("result-damaged", stage.key, stage.result_problem)
        return
    if not isinstance(stage.result, dict) or not stage.result:
        yield Finding("not-done", stage.key, "has no result")
        return
    if stage.kind == "soak_walk":
        for family in ("rollouts", "metrics"):
            there = sum(len(records.records) for name, records in stage.streams.items() if name.startswith(family))
            if stage.result.get(family) != there:
                yield Finding("result-count", stage.key, f"states {stage.result.get(family)} {family}; {there} there")
        expected = stage.result.get("steps")
        steps = sorted(record["step"] for record in stage.streams.get("metrics-train", StreamContent()).records)
        if steps != list(range(int(expected or 0))):
            yield Finding("step-missing", stage.key, f"metrics of steps {steps}, of {expected}")
    if stage.kind == "judge":
        statuses = Counter(str(r["status"]) for r in stage.streams.get("judgements-judge", StreamContent()).records)
        if stage.result.get("statuses") != dict(statuses):
            yield Finding(
                "result-count", stage.key, f"states {stage.result.get('statuses')}; {dict(statuses)} in its stream"
            )


def _check_streams(stage: StageContent) -> Iterator[Finding]:
    for name, stream in stage.streams.items():
        place = f"{stage.key}/{name}"
        for line in stream.broken:
            yield Finding("broken-line", place, line)
        fields = _IDENTITIES[name.partition("-")[0]]
        seen = Counter(tuple(record.get(field) for field in fields) for record in stream.records)
        for identity, number in seen.items():
            if number > 1:
                yield Finding("duplicate-record", place, f"{identity} is there {number} times")
        numbers = [record.get("seq") for record in stream.records]
        if numbers != list(range(len(numbers))):
            wrong = next(place for place, number in enumerate(numbers) if number != place)
            yield Finding("sequence-gap", place, f"record {wrong} has the number {numbers[wrong]}")


def _check_checkpoints(stage: StageContent) -> Iterator[Finding]:
    for checkpoint in stage.checkpoints[-1:]:  # an older one that was damaged has been passed over
        place = f"{stage.key}/step-{checkpoint.step}"
        for problem in checkpoint.problems:
            yield Finding("checkpoint-damaged", place, problem)
        for name, length in checkpoint.streams.items():
            if stage.lengths.get(name, -1) < length:
                yield Finding("stream-short", place, f"{name} has {stage.lengths.get(name)} bytes, and had {length}")


def _check_attempts(stage: StageContent) -> Iterator[Finding]:
    if stage.ran_twice:
        yield Finding("ran-twice", stage.key, "two processes ran it at the same time")


def _compare(found: Mapping[str, StageContent], wanted: Mapping[str, StageContent]) -> Iterator[Finding]:
    for key in sorted({*found, *wanted}):
        if key not in found or key not in wanted:
            yield Finding("stage-set", key, "is missing" if key not in found else "was never planned")
            continue
        mine, other = found[key], wanted[key]
        for name in sorted({*mine.streams, *other.streams}):
            if name in _UNTIMED_EXCEPT:
                continue
            records = mine.streams.get(name, StreamContent()).records
            expected = other.streams.get(name, StreamContent()).records
            if records == expected:
                continue
            place = next((n for n, pair in enumerate(zip(records, expected, strict=False)) if pair[0] != pair[1]), -1)
            yield Finding(
                "content-differs", f"{key}/{name}",
                f"{len(records)} records, undisturbed {len(expected)}; the first that differs is {place}",
            )  # fmt: skip
        if mine.artifacts != other.artifacts:
            names = sorted(
                name
                for name in {*mine.artifacts, *other.artifacts}
                if mine.artifacts.get(name) != other.artifacts.get(name)
            )
            yield Finding("artifact-differs", key, ", ".join(names))
        if _lasting(mine.result) != _lasting(other.result):
            yield Finding("result-differs", key, f"{mine.result}, undisturbed {other.result}")


def _lasting(result: Any) -> Any:
    return {k: v for k, v in result.items() if k not in _VOLATILE_RESULTS} if isinstance(result, dict) else result


def _rollouts(stage: StageContent) -> dict[str, str]:
    """The completions of a stage, by rollout id."""
    return {
        str(record["id"]): str(record["completion"])
        for name, stream in stage.streams.items()
        if name.startswith("rollouts-")
        for record in stream.records
    }


def _all_traces(content: WorkspaceContent) -> int:
    return sum(stage.traces for stage in content.stages.values())


def _check_index(content: WorkspaceContent) -> Iterator[Finding]:
    index = content.index
    if index is None:
        return
    if index.bad_lines:
        yield Finding("index-bad-lines", "bad_line", f"{index.bad_lines} lines")
    for identity in index.misplaced:
        yield Finding("index-address", identity, "its address does not hold its record")
    judged = {
        str(record["rollout_id"])
        for stage in content.stages.values()
        for name, stream in stage.streams.items()
        if name.startswith("judgements-")
        for record in stream.records
    }
    for stage in content.stages.values():
        rollouts = _rollouts(stage)
        expected = len(rollouts) + stage.traces
        if index.rollouts.get(stage.key, 0) != expected:
            yield Finding("index-count", stage.key, f"{index.rollouts.get(stage.key, 0)} rollouts; {expected} in files")
        of_judge = len(judged & set(rollouts))
        if rollouts and index.judgements.get(stage.key, 0) != of_judge:
            yield Finding(
                "index-judgements", stage.key, f"{index.judgements.get(stage.key, 0)} judged; {of_judge} in files"
            )
        steps = sum(len(stream.records) for name, stream in stage.streams.items() if name.startswith("metrics-"))
        if index.metrics.get(stage.key, 0) != steps:
            yield Finding("index-metrics", stage.key, f"{index.metrics.get(stage.key, 0)} steps; {steps} in files")


def _check_command_line(content: WorkspaceContent) -> Iterator[Finding]:
    said = content.command_line
    if said is None:
        return
    for key in sorted({*said.states, *content.stages}):
        stage = content.stages.get(key)
        truth = "done" if stage is not None and isinstance(stage.result, dict) else "another state"
        if (said.states.get(key) == "done") != (truth == "done"):
            yield Finding("command-line-state", key, f"says {said.states.get(key)}; the files say {truth}")
    texts = {k: v for stage in content.stages.values() for k, v in _rollouts(stage).items()}
    expected = len(texts) + _all_traces(content)
    if len(said.rollouts) != expected:
        yield Finding("command-line-count", "rollouts", f"lists {len(said.rollouts)}; {expected} in files")
    for identity, text in texts.items():
        shown = said.rollouts.get(identity)
        if shown is not None and shown != hashlib.sha256(text.encode("utf-8", "surrogatepass")).hexdigest():
            yield Finding("command-line-text", identity, "shows another completion than the file")


def _check_app(content: WorkspaceContent) -> Iterator[Finding]:
    shown = content.app
    if shown is None:
        return
    wrong = [word for word in shown.words if word != "done"]
    if wrong or not shown.words:
        yield Finding("app-state", "matrix", f"shows {wrong or 'nothing'} where all are done")
    expected = sum(len(_rollouts(stage)) + stage.traces for stage in content.stages.values())
    if shown.rollouts != expected:
        yield Finding("app-count", "traces", f"shows {shown.rollouts} rollouts; {expected} in files")
