"""The `priming_data` stage: writes, derives or imports the traces of one condition, scored by the task."""

import os
from collections.abc import Iterator
from typing import Any

from pipelines.errors import InvalidInput
from pipelines.files import read_json
from pipelines.folder import StageFolder
from pipelines.llm.prices import find_price
from pipelines.llm.run_dialogues import SPENDING_FILE
from pipelines.stages import Inputs
from pipelines.streams import read_rollouts
from pipelines.tasks.countdown.problems import Problem
from pipelines.tasks.countdown.task import CountdownTask, LoadedCountdown, as_problem, load_countdown
from pipelines.teachers import derive
from pipelines.teachers.collect import CollectionSettings, PrimingSetStats, collect, score_trace
from pipelines.teachers.conditions import CONDITIONS
from pipelines.teachers.configs import PrimingDataConfig
from pipelines.teachers.draft import WrittenTrace
from pipelines.teachers.human import HUMAN_TEACHER as HUMAN
from pipelines.teachers.human import read_human_traces
from pipelines.teachers.model.prompts import load_prompts
from pipelines.teachers.model.teacher import ModelTeacher, ModelTeacherConfig
from pipelines.teachers.self_distilled import PLAIN as PLAIN_PHRASES
from pipelines.teachers.self_distilled import VARIED as VARIED_PHRASES
from pipelines.teachers.self_distilled import arrange_samples, group_samples
from pipelines.teachers.symbolic.teacher import SymbolicTeacher, SymbolicWritingConfig
from pipelines.teachers.teacher import DroppedTrace, Teacher
from pipelines.traces import TRACES_NAME, PrimingTrace, encode_trace, read_traces

__all__ = ["PrimingDataConfig", "run"]

_UNIT = "traces"
SAMPLES = "samples"
"""Teacher of traces that are arranged from a model's own samples."""
_TEACHER_OF_ORIGIN: dict[str, str] = {"imported": HUMAN, "sampled": SAMPLES}
WORK = "work"
"""Folder in the stage folder for replies and batches of a model."""


def run(config: PrimingDataConfig, inputs: Inputs, folder: StageFolder) -> None:
    """Write `artifacts/traces.jsonl`, which appears by rename, and the counts in `result.json`.

    Raises:
        InvalidInput: the inputs do not fit the condition, or there is no trace at all.
    """
    loaded = load_countdown(inputs.one("problems"))
    stats = PrimingSetStats()
    origin = CONDITIONS[config.condition].origin
    source: str | None = None
    if origin == "written":
        traces = _written(config, config.condition, config.n, loaded, folder, stats)
    elif origin == "imported":
        traces = _imported(config, loaded, folder, stats)
    elif origin == "sampled":
        source, traces = _self_distilled(config, inputs, loaded, folder, stats)
    else:
        source, traces = _derived(config, inputs, loaded, folder, stats)
    path = folder.artifacts / TRACES_NAME
    aside = path.with_name(f".{path.name}.{os.getpid()}.tmp")
    try:
        with aside.open("wb") as stream:
            for trace in traces:
                stream.write(encode_trace(trace))
                stats.count(trace)
                folder.report(stats.n, config.n, _UNIT)
            stream.flush()
            os.fsync(stream.fileno())
        if not stats.n:
            raise InvalidInput(
                f"no trace could be made for {config.condition}",
                detail=", ".join(f"{reason}: {count}" for reason, count in stats.drops.items()),
                remedy="Choose a source whose traces have answers.",
            )
        aside.replace(path)
    finally:
        aside.unlink(missing_ok=True)
    folder.report(stats.n, stats.n, _UNIT)
    folder.write_result(
        {
            "condition": config.condition,
            "teacher": _TEACHER_OF_ORIGIN.get(origin, config.teacher),
            "source": source,
            "asked_for": config.n,
            **stats.result(),
            **_spent(folder),
        }
    )


def _spent(folder: StageFolder) -> dict[str, Any]:
    """Return the spending of all attempts; empty if no model was used."""
    path = folder.path / WORK / SPENDING_FILE
    return {"spent": read_json(path)} if path.exists() else {}


def make_teacher(config: PrimingDataConfig, condition: str, task: CountdownTask) -> Teacher:
    """Build the teacher that the config names.

    Raises:
        InvalidInput: a prompt or price file cannot be used.
    """
    spec = config.model_spec()
    if spec is None:
        return SymbolicTeacher(task, symbolic_config(config))
    table = None if config.prices is None else config.prices.path
    writer = ModelTeacherConfig(
        spec=spec,
        prompts=load_prompts(condition, {name: file.unchanged() for name, file in config.prompts.items()}),
        max_tokens=config.max_tokens,
        temperature=config.temperature,
        price=find_price(spec.provider, spec.model, table),
        service=config,
    )
    return ModelTeacher(task, writer)


def symbolic_config(config: PrimingDataConfig) -> SymbolicWritingConfig:
    """Return the symbolic teacher's part of the config."""
    return SymbolicWritingConfig(
        style=config.style,
        failed_attempts=config.failed_attempts,
        unsolved=config.unsolved,
        linear_correct=config.linear_correct,
        max_words=config.max_words,
    )


def _written(
    config: PrimingDataConfig,
    condition: str,
    n: int,
    loaded: LoadedCountdown,
    folder: StageFolder,
    stats: PrimingSetStats,
) -> Iterator[PrimingTrace]:
    work = folder.path / WORK
    work.mkdir(exist_ok=True)
    settings = CollectionSettings()
    if config.model_spec() is not None:
        stats.judged = True
        settings = CollectionSettings(config.draws, config.draws, config.over_request, config.breaking == "drop")
    return collect(
        make_teacher(config, condition, loaded.task),
        loaded.task,
        loaded.train,
        condition=condition,
        n=n,
        seed=config.seed,
        key=folder.key,
        work=work,
        stats=stats,
        settings=settings,
    )


def _imported(
    config: PrimingDataConfig, loaded: LoadedCountdown, folder: StageFolder, stats: PrimingSetStats
) -> Iterator[PrimingTrace]:
    assert config.traces is not None  # checked by the config
    key = folder.key
    for index, (problem, result) in enumerate(read_human_traces(config.traces.path, loaded.test)):
        if stats.n >= config.n:
            break
        if isinstance(result, DroppedTrace):
            stats.drops[result.reason] += 1
            continue
        yield score_trace(loaded.task, problem, result, key=key, index=index, condition=config.condition, teacher=HUMAN)


def _self_distilled(
    config: PrimingDataConfig, inputs: Inputs, loaded: LoadedCountdown, folder: StageFolder, stats: PrimingSetStats
) -> tuple[str, Iterator[PrimingTrace]]:
    """Return the key of the samples and the traces arranged from them; counts how many samples could be used."""
    upstream = inputs.all_of("sample")
    if len(upstream) != 1:
        raise InvalidInput(
            f"the condition {config.condition} is arranged from the samples of one stage, got {len(upstream)}",
            remedy='Add a `sample` stage with split = "train" to this stage\'s `needs`.',
        )
    if upstream[0].info().config.get("split") != "train":
        raise InvalidInput(
            f"the samples of {upstream[0].key} answer test problems, on which the model will be evaluated",
            remedy='Set split = "train" in that stage.',
        )
    samples = group_samples(read_rollouts(upstream[0].path))
    stats.notes["problems_with_a_right_sample"] = sum(bool(each.right) for each in samples)
    arranged = arrange_samples(
        samples,
        n=config.n,
        failed_attempts=config.failed_attempts,
        phrases=PLAIN_PHRASES if config.style == "plain" else VARIED_PHRASES,
        space_first=bool(loaded.train) and not loaded.task.prompt(loaded.train[0])[-1:].isspace(),
        seed=config.seed,
    )
    return upstream[0].key, _scored_arrangements(arranged, config, loaded, folder.key, stats)


def _scored_arrangements(
    arranged: Iterator[tuple[Problem, WrittenTrace]],
    config: PrimingDataConfig,
    loaded: LoadedCountdown,
    key: str,
    stats: PrimingSetStats,
) -> Iterator[PrimingTrace]:
    for index, (problem, written) in enumerate(arranged):
        yield score_trace(
            loaded.task, problem, written, key=key, index=index, condition=config.condition, teacher=SAMPLES
        )
    if stats.n < config.n:
        stats.warnings.append(f"only {stats.n:,} of {config.n:,} traces could be arranged from the samples")


def _derived(
    config: PrimingDataConfig, inputs: Inputs, loaded: LoadedCountdown, folder: StageFolder, stats: PrimingSetStats
) -> tuple[str, Iterator[PrimingTrace]]:
    """Return the source's name and the derived traces. Without an input set, the source is written on the fly."""
    upstream = inputs.all_of("priming_data")
    if len(upstream) > 1:
        raise InvalidInput(f"{config.condition} is derived from one set of priming data, got {len(upstream)}")
    if upstream:
        written_as = PrimingDataConfig.model_validate(upstream[0].info().config)
        name = upstream[0].key
        source = read_traces(upstream[0].artifact(TRACES_NAME))
    else:
        written_as = config
        name = config.source_condition
        # Twice as many, since some have no counterpart; only as many as needed are written.
        source = _written(config, config.source_condition, 2 * config.n, loaded, folder, stats)
    transform = _transformation(config, written_as, inputs, loaded)
    return name, _transformed(source, transform, config, loaded, folder.key, stats)


def _transformation(
    config: PrimingDataConfig, written_as: PrimingDataConfig, inputs: Inputs, loaded: LoadedCountdown
) -> derive.Transformation:
    if config.condition == "empty_cot":
        return derive.empty_cot
    if config.condition == "dots":
        if not inputs.all_writing("model"):
            raise InvalidInput(
                "the condition dots needs a model's tokenizer, and no model is among its inputs",
                remedy="Add the stage that makes the model to this stage's `needs`.",
            )
        return derive.dots(derive.token_counter(inputs.model()))
    if config.wrong_answers == "select":
        return derive.select_wrong_answers
    if config.wrong_answers == "illegal_line":
        return derive.illegal_line(SymbolicTeacher(loaded.task, symbolic_config(written_as)))
    return derive.corrupted_answer(loaded.task, config.seed)


def _transformed(
    source: Iterator[PrimingTrace],
    transform: derive.Transformation,
    config: PrimingDataConfig,
    loaded: LoadedCountdown,
    key: str,
    stats: PrimingSetStats,
) -> Iterator[PrimingTrace]:
    for index, trace in enumerate(source):
        if stats.n >= config.n:
            break
        result = transform(trace)
        if isinstance(result, DroppedTrace):
            stats.drops[result.reason] += 1
            continue
        _note(result.meta, stats)
        problem = as_problem(trace.problem)
        made = score_trace(
            loaded.task,
            problem,
            result,
            key=key,
            index=index,
            condition=config.condition,
            teacher=trace.teacher,
            prompt=trace.prompt,
        )
        if config.condition == "no_positive_all_strategies" and made.correct:
            raise AssertionError(f"a wrong answer came out right: {made.answer}")
        yield made


def _note(meta: dict[str, Any], stats: PrimingSetStats) -> None:
    if meta.get("tokens") != meta.get("source_tokens"):
        stats.notes["length_differs"] += 1
