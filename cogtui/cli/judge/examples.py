"""The command `gold examples`: few-shot examples for an LLM judge's prompts, and what they bring on held-out traces."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from cogtui.analysis.agreement.corrections import BeforeAndAfter, compare_versions, find_examples, split_texts
from cogtui.analysis.agreement.measures import Agreement, JudgementSource, measure_agreement
from cogtui.analysis.agreement.sources import (
    TextToJudge,
    final_label_source,
    find_run,
    judge_stages,
    read_gold_source,
    read_judge_run,
    run_source,
)
from cogtui.cli.console.layout import format_table, output_width
from cogtui.cli.console.output import emit, emit_json, emit_wrapped, narrate
from cogtui.cli.judge.agreement_tables import format_number, format_range
from cogtui.cli.judge.choice import select_ids
from cogtui.cli.judge.flow import JudgeRequest, judge_selection
from cogtui.cli.rollouts.shared import fresh_store
from jobs.workspace import Workspace
from pipelines.behaviors.judges.llm.few_shot import PromptExample, add_examples
from pipelines.behaviors.judges.registry import is_model_name, make_judge
from pipelines.behaviors.judges.stage import JudgeConfig
from pipelines.errors import InvalidInput, MissingRequirement, NotFound
from pipelines.files import read_json, write_atomic
from pipelines.folder import StageFolder
from pipelines.records import JudgeRun, text_sha256
from pipelines.wording import count_of


@dataclass(frozen=True, slots=True)
class ExamplesRequest:
    """The arguments of `cogtui gold examples`."""

    judge: str
    out: Path
    gold: Path | None
    most: int
    share: float
    evaluate: bool
    cap: float | None
    yes: bool


def write_examples(workspace: Workspace, request: ExamplesRequest, *, as_json: bool) -> None:
    """Write prompt files with examples, and compare the judge before and after on held-out traces.

    Raises:
        NotFound: no such judge run, or no trace that people labelled and it judged.
        InvalidInput: it is no LLM judge, or it agrees with people everywhere.
        MissingRequirement: the prompts cannot be written.
    """
    found = find_run(workspace, request.judge)
    if not is_model_name(found.run.judge):
        raise InvalidInput(
            f"{found.run.judge} has no prompts", remedy="Examples are for LLM judges: openai:…, anthropic:…, vllm:…."
        )
    folder = _folder_of(workspace, found.run)
    reference, labelled = _reference(workspace, request.gold)
    judge = run_source(found, labelled)
    texts = [text for text in labelled if text.id in judge.traces]
    if not texts:
        raise NotFound(
            f"no trace is labelled by people and judged by {found.run.judge}",
            remedy="Annotate traces that it judged (a in a trace), and mark them done.",
        )
    split = split_texts(texts, request.share)
    examples = find_examples(reference, judge, split.examples, most=request.most)
    if not examples:
        raise InvalidInput(
            f"{found.run.judge} agrees with the people on all {len(split.examples)} traces that examples may come from"
        )
    prompts = _write_prompts(folder, request.out, examples)
    config, fields = _new_config(folder, prompts, request.cap)
    new_run = make_judge(config.judge, config).run
    before = measure_agreement(_part(reference, split.held_out), judge)
    compared = None
    if request.evaluate:
        compared = _evaluate(workspace, request, reference, judge, config, fields, split.held_out, as_json=as_json)
    if as_json:
        emit_json(
            {
                "judge": found.run.judge,
                "run": found.run.id,
                "prompt_sha256": found.run.prompt_sha256,
                "new_run": new_run.id,
                "new_prompt_sha256": new_run.prompt_sha256,
                "prompts": {name: str(path) for name, path in prompts.items()},
                "examples": {name: [one._asdict() for one in each] for name, each in examples.items()},
                "examples_from": [text.id for text in split.examples],
                "held_out": [text.id for text in split.held_out],
                "split_by_problem": split.by_problem,
                "before": _figures(before if compared is None else compared.before),
                "after": None if compared is None else _figures(compared.after),
                "gain": None if compared is None else {"f1": compared.gain, "interval": compared.gain_interval},
            }
        )
        return
    counts = ", ".join(f"{name} {len(each)}" for name, each in examples.items())
    traces = count_of(len(split.examples), "trace")
    emit_wrapped(f"{found.run.judge}: examples from {traces} ({counts}); {len(split.held_out)} held out", "  ")
    if not split.by_problem:
        narrate("warning: the traces are of few problems, some of them on both sides: gains may be overstated")
    for name, path in prompts.items():
        emit(f"  {name}: {path}")
    emit(f"prompts {(found.run.prompt_sha256 or '-')[:8]} → {(new_run.prompt_sha256 or '-')[:8]}, run {new_run.id}")
    for line in _tables(before, compared):
        emit(line)
    if compared is None:
        options = " ".join(f"--prompt {name}={path}" for name, path in prompts.items())
        emit("measure them with --evaluate; use them with:")
        emit(f"  cogtui judge --judge {found.run.judge} {options}")


def _folder_of(workspace: Workspace, run: JudgeRun) -> StageFolder:
    for folder, other in judge_stages(workspace):
        if other.id == run.id and (folder.path / "work" / "prompts.json").is_file():
            return folder
    raise NotFound(f"the prompts of {run.id} are not in the workspace", remedy="Judge some traces with it again.")


def _reference(workspace: Workspace, gold: Path | None) -> tuple[JudgementSource, tuple[TextToJudge, ...]]:
    if gold is not None:
        traces = read_gold_source(gold)
        return traces.source(), traces.texts
    return final_label_source(workspace)


def _part(source: JudgementSource, texts: Iterable[TextToJudge]) -> JudgementSource:
    return JudgementSource(source.name, {one.id: source.traces[one.id] for one in texts if one.id in source.traces})


def _write_prompts(folder: StageFolder, out: Path, examples: Mapping[str, Sequence[PromptExample]]) -> dict[str, Path]:
    """Write each question with its examples, over the text that the judge was asked with."""
    texts = read_json(folder.path / "work" / "prompts.json")
    if not isinstance(texts, dict):
        raise InvalidInput(f"{folder.path / 'work' / 'prompts.json'} cannot be read")
    written = {}
    try:
        out.mkdir(parents=True, exist_ok=True)
        for name, each in examples.items():
            text = add_examples(str(texts[name]), each) + "\n"
            # A file that a judge was asked with is never written over: its stage could not be judged on.
            path = (out / f"{name}-{text_sha256(text)[:8]}.md").absolute()
            write_atomic(path, text)
            written[name] = path
    except OSError as error:
        raise MissingRequirement(f"cannot write {out}: {error.strerror}") from error
    return written


def _new_config(
    folder: StageFolder, prompts: Mapping[str, Path], cap: float | None
) -> tuple[JudgeConfig, dict[str, Any]]:
    """Return the judge's config with the new prompts, and its fields for a stage."""
    old = folder.info().config
    fields = {**old, "prompts": {**old.get("prompts", {}), **{name: str(path) for name, path in prompts.items()}}}
    fields |= {"rollouts": None, "splits": ()} | ({} if cap is None else {"spending_cap": cap})
    return JudgeConfig.model_validate(fields), fields


def _evaluate(
    workspace: Workspace,
    request: ExamplesRequest,
    reference: JudgementSource,
    judge: JudgementSource,
    config: JudgeConfig,
    fields: Mapping[str, Any],
    held_out: tuple[TextToJudge, ...],
    *,
    as_json: bool,
) -> BeforeAndAfter:
    """Judge the held-out traces with the new prompts, and compare."""
    store, _ = fresh_store(workspace)
    with store:
        ids = store.existing([text.id for text in held_out])
    if not ids:
        raise NotFound(
            "none of the held-out traces is in the workspace", remedy="Import the file first: cogtui import FILE."
        )
    chosen = select_ids(workspace, ids, config)
    judge_selection(
        JudgeRequest("", fields, workspace=workspace.path, yes=request.yes, as_json=as_json),
        workspace,
        chosen,
        fields,
        config,
    )
    new = read_judge_run(workspace, make_judge(config.judge, config).run)
    return compare_versions(reference, judge, run_source(new, held_out), held_out)


def _figures(agreement: Agreement) -> dict[str, Any]:
    score = agreement.scores["any_overlap"]
    return {
        "traces": agreement.traces,
        "macro_f1": score.macro,
        "behaviors": {
            name: {
                "traces": n,
                "f1": score.tallies[name].f1,
                "presence_kappa": agreement.presence[name].kappa,
                "count_alpha": agreement.counts[name].alpha,
            }
            for name, n in agreement.compared.items()
        },
    }


def _tables(before: Agreement, compared: BeforeAndAfter | None) -> list[str]:
    first = before if compared is None else compared.before
    rows: list[tuple[str, ...]] = [("held out", "traces", "F1", "presence kappa", "count alpha")]
    for name, n in first.compared.items():
        cells = [_cells(first, name)]
        if compared is not None:
            cells.append(_cells(compared.after, name))
        rows.append((name, str(n), *(" → ".join(each) for each in zip(*cells, strict=True))))
    lines = ["", *format_table(rows, range(1, 5), width=output_width())]
    if compared is not None:
        gain = "-" if compared.gain is None else f"{compared.gain:+.3f}"
        lines.append(f"macro F1 {gain}, 95 % interval over problems {format_range(compared.gain_interval)}")
    return [*lines, ""]


def _cells(agreement: Agreement, behavior: str) -> tuple[str, str, str]:
    f1 = agreement.scores["any_overlap"].tallies[behavior].f1
    return (
        format_number(f1),
        format_number(agreement.presence[behavior].kappa),
        format_number(agreement.counts[behavior].alpha),
    )
