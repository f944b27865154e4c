"""The `judge` stage: judges the rollouts and traces of its upstream stages."""

from collections import Counter
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Final

from pydantic import Field

from pipelines.behaviors.judge import BehaviorVerdict, JudgedTask, JudgeTask
from pipelines.behaviors.judges.config import JudgeChoiceConfig
from pipelines.behaviors.judges.registry import make_judge
from pipelines.behaviors.recorded import first_judgements
from pipelines.behaviors.verdict_files import StoredVerdicts
from pipelines.errors import InvalidInput
from pipelines.files import read_json, write_json
from pipelines.folder import StageFolder
from pipelines.records import JudgeRun
from pipelines.signals import graceful
from pipelines.stages import UNLESS_DEFAULT, InputFile, Inputs
from pipelines.streams import read_rollouts, read_stream

STREAM: Final = "judge"


class JudgeConfig(JudgeChoiceConfig):
    """Config of the `judge` stage."""

    rollouts: InputFile | None = Field(
        default=None, description="File of rollout ids, one a line: judge only these. None means all."
    )
    splits: tuple[str, ...] = Field(
        default=(), description="Judge only rollouts of these splits, e.g. test; empty means all."
    )
    judge_run: str | None = Field(
        default=None,
        description="Id of the judge run, e.g. rules-0123456789ab: refuse to judge with another version of the judge."
        " None takes the version that is installed.",
        json_schema_extra=UNLESS_DEFAULT,
    )


def run(config: JudgeConfig, inputs: Inputs, folder: StageFolder) -> None:
    """Write a judgement a rollout and behaviour; continue where an earlier attempt stopped.

    Texts that an upstream stage judged by the same judge run for its metrics are not judged again. A text that the
    judge leaves out is recorded as unjudged.

    Raises:
        InvalidInput: the judge cannot be made, or is another version than `judge_run` says.
    """
    judge = make_judge(config.judge, config)
    if config.judge_run not in (None, judge.run.id):
        raise InvalidInput(
            f"the judge {config.judge} is {judge.run.id} here, and judge_run asks for {config.judge_run}",
            remedy="Install that version of the judge, or remove judge_run to take this one.",
        )
    behaviors = config.behavior_set().names
    write_json(folder.artifacts / "judge_run.json", judge.run.model_dump(mode="json"))
    work = folder.path / "work"
    work.mkdir(exist_ok=True)
    total = sum(1 for _ in _tasks(config, inputs))
    done = _judged_before(folder, judge.run, behaviors)
    stored = StoredVerdicts((upstream.path for upstream in inputs.all_writing("rollouts")), judge.run.id)
    n_done = len(done)
    with folder.stream("judgements", STREAM) as stream, graceful() as stop:

        def record(judged: JudgedTask) -> None:
            nonlocal n_done
            stream.append(judged.records(judge.run.id, behaviors))
            done.add(judged.task.rollout_id)
            n_done += 1
            folder.report(n_done, total, "rollouts")
            stop.raise_if_requested()

        def tasks_to_judge() -> Iterator[JudgeTask]:
            for task in _tasks(config, inputs):
                if task.rollout_id in done:
                    continue
                if (known := stored.find(task)) is None:
                    yield task
                else:  # a judge takes tasks one by one, so that the records are in the order of the rollouts
                    record(known)

        for judged in judge.judge(tasks_to_judge(), work):
            record(judged)
        left_out = BehaviorVerdict("unjudged", raw=f"the judge {config.judge} gave no verdict on this text")
        for task in _tasks(config, inputs):
            if task.rollout_id not in done:
                record(JudgedTask(task, dict.fromkeys(behaviors, left_out)))
    spent = read_json(work / "spent.json")  # written by judges that cost money
    folder.write_result(_summary(folder, judge.run, total, behaviors) | ({} if spent is None else {"spent": spent}))


def _tasks(config: JudgeConfig, inputs: Inputs) -> Iterator[JudgeTask]:
    tasks = all_tasks(config, inputs)
    if config.rollouts is None:
        return tasks
    chosen = set(config.rollouts.path.read_text(encoding="utf-8").split())
    return (task for task in tasks if task.rollout_id in chosen)


def all_tasks(config: JudgeConfig, inputs: Inputs) -> Iterator[JudgeTask]:
    """Yield the tasks of the inputs of a judge stage in its `splits`, without regard to its `rollouts`."""
    for upstream in inputs.all_writing("rollouts"):
        for rollout in read_rollouts(upstream.path):
            if not config.splits or rollout.split in config.splits:
                yield JudgeTask(rollout.id, rollout.task, rollout.problem, rollout.completion)
    for path in _trace_files(inputs):
        from pipelines.traces import read_traces  # imported here because teachers import behaviors

        for trace in read_traces(path):
            yield JudgeTask(trace.id, trace.task, trace.problem, trace.completion)


def _trace_files(inputs: Inputs) -> Iterator[Path]:
    for upstream in inputs.all_writing("traces"):
        yield from sorted(upstream.artifacts.glob("traces*.jsonl"))


def _judged_before(folder: StageFolder, run: JudgeRun, behaviors: Sequence[str]) -> set[str]:
    """Return the rollouts of which the judgements of all behaviours are on disk."""
    records = first_judgements(read_stream(folder.path, "judgements"), run.id)
    written = Counter(str(record["rollout_id"]) for record in records)
    return {rollout_id for rollout_id, count in written.items() if count == len(behaviors)}


def _summary(folder: StageFolder, run: JudgeRun, total: int, behaviors: Sequence[str]) -> dict[str, object]:
    """Return counts and means with their n; failed judgements are counted by status and are in no mean."""
    counts: Counter[str] = Counter()
    judged: Counter[str] = Counter()
    statuses: Counter[str] = Counter()
    facts: Counter[str] = Counter()
    attempts: Counter[str] = Counter()
    for record in first_judgements(read_stream(folder.path, "judgements"), run.id):
        statuses[str(record["status"])] += 1
        facts.update(str(fact["kind"]) for fact in record.get("facts", ()))
        for attempt in record.get("attempts", ()):
            attempts.update(["n", *(name for name in ("legal", "complete", "reached") if attempt[name])])
        if record["status"] == "ok":
            judged[str(record["behavior"])] += 1
            counts[str(record["behavior"])] += int(record["count"])
    return {
        "judge_run": run.id,
        "judge": run.judge,
        "rollouts": total,
        "statuses": dict(statuses),
        "facts": dict(facts),
        **({"attempts": dict(attempts)} if attempts else {}),
        "behaviors": {
            behavior: {
                "n": judged[behavior],
                "count": counts[behavior],
                "mean": counts[behavior] / judged[behavior] if judged[behavior] else None,
            }
            for behavior in behaviors
        },
    }
