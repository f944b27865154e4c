"""Where judgements to compare come from: gold files, teachers' traces, the rules, and judge runs of a workspace."""

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final

from cogtui.analysis.agreement.measures import BehaviorFinding, JudgementSource, TraceFindings
from cogtui.store import open_store
from cogtui.store.user_data.annotations import HUMAN, annotator_of, human_judge_run, latest_annotations
from jobs.workspace import Workspace
from pipelines.behaviors.gold import GoldTrace, read_gold
from pipelines.behaviors.sets.registered import BEHAVIORS
from pipelines.errors import CogtuiError, InvalidInput, NotFound
from pipelines.files import read_json
from pipelines.folder import StageFolder
from pipelines.records import Behavior, Judgement, JudgeRun, LabelledSpan, Rollout, text_sha256
from pipelines.streams import complete_lines, parse_line, read_rollouts, read_stream, strip_envelope
from pipelines.tasks.registry import describe_problem

RULES_NAME: Final = "rules"
_LABELS_OF_A_GROUP: Final = ("condition",)


@dataclass(frozen=True, slots=True)
class TextToJudge:
    """A trace to be judged: what a gold row, a rollout and a teacher's trace have in common."""

    id: str
    task: str
    problem: Mapping[str, Any]
    text: str
    group: str = ""

    @property
    def problem_id(self) -> str:
        """Id of its problem."""
        return str(self.problem.get("id", ""))

    def described(self) -> str:
        """Return its problem in one line."""
        return describe_problem(self.task, self.problem).short


@dataclass(frozen=True, slots=True)
class LabelledTexts:
    """Texts with the judgements that come with them."""

    name: str
    texts: tuple[TextToJudge, ...]
    spans: Mapping[str, tuple[LabelledSpan, ...]]
    unfinished: frozenset[str] = frozenset()
    """Ids of texts of which a behaviour without a span was not looked for."""

    def source(self) -> JudgementSource:
        """The spans that came with the texts, as a judge's."""
        traces = {}
        for text in self.texts:
            findings = findings_from_spans(self.spans[text.id])
            if text.id in self.unfinished:
                findings = {behavior: one for behavior, one in findings.items() if one.spans}
            traces[text.id] = _trace(text, findings)
        return JudgementSource(self.name, traces)


def findings_from_spans(spans: Iterable[LabelledSpan]) -> dict[Behavior, BehaviorFinding]:
    """What spans with labels say: every behaviour judged, counted by the spans that are neither weak nor repeat."""
    findings: dict[Behavior, BehaviorFinding] = {}
    kept = list(spans)
    for behavior in BEHAVIORS:
        own = tuple(span for span in kept if span.behavior == behavior)
        findings[behavior] = BehaviorFinding("ok", sum(not (span.weak or span.repeat) for span in own), own)
    return findings


def _trace(text: TextToJudge, findings: Mapping[Behavior, BehaviorFinding]) -> TraceFindings:
    return TraceFindings(text.id, text.problem_id, findings, text.group)


# --- files -----------------------------------------------------------------------------------------------------


def read_gold_source(path: Path) -> LabelledTexts:
    """A gold file, or a teacher's `traces.jsonl`, whose spans are exact too.

    Raises:
        NotFound: no such file. InvalidInput: a row that cannot be used, named with its field.
    """
    if _is_teachers(path):
        return _read_teachers(path)
    gold = read_gold(path)
    texts = tuple(_text_of(trace) for trace in gold)
    unfinished = frozenset(trace.id for trace in gold if not trace.done)
    return LabelledTexts(path.name, texts, {trace.id: trace.spans for trace in gold}, unfinished)


def _text_of(trace: GoldTrace) -> TextToJudge:
    return TextToJudge(trace.id, trace.task, trace.problem, trace.text)


def _is_teachers(path: Path) -> bool:
    if not path.is_file():
        return False
    first = next(complete_lines(path), None)
    try:
        return first is not None and "completion" in parse_line(first.data)
    except ValueError:
        return False


def _read_teachers(path: Path) -> LabelledTexts:
    from pipelines.traces import read_traces

    traces = list(read_traces(path))
    texts = tuple(TextToJudge(t.id, t.task, t.problem, t.completion, t.condition) for t in traces)
    return LabelledTexts(path.name, texts, {trace.id: trace.spans for trace in traces})


# --- judges ----------------------------------------------------------------------------------------------------


def rules_source(texts: Iterable[TextToJudge]) -> JudgementSource:
    """What the rules say of texts, here and now."""
    from pipelines.behaviors.judges.rules.judge import RulesJudge, judge_problem

    traces = {}
    for text in texts:
        result = judge_problem(text.text, text.task, text.problem)
        traces[text.id] = _trace(text, findings_from_spans(result.spans))
    return JudgementSource(RULES_NAME, traces, RulesJudge().run.id)


@dataclass(slots=True)
class WorkspaceJudgeRun:
    """The judgements of one judge run, wherever in a workspace they lie."""

    run: JudgeRun
    judgements: dict[str, dict[Behavior, Judgement]] = field(default_factory=dict)
    """By rollout id."""
    upstream: list[StageFolder] = field(default_factory=list)
    """Stages whose rollouts were judged."""
    by_name: bool = False
    """A person asked for by name."""
    annotated: Workspace | None = None
    """Of a person: the workspace whose rollouts were annotated."""

    @property
    def name(self) -> str:
        """How the judge is called in a comparison: a person by name where they are compared with each other."""
        return self.run.judge if self.run.judge != HUMAN or not self.by_name else _called(self.run)


def find_run(workspace: Workspace, name: str) -> WorkspaceJudgeRun:
    """The judge run that a name means: a run id or a beginning of one, a judge's name, or a judge stage's key.

    `human` is the person who annotated; where there are several, `human:USER@HOST`.

    Raises:
        NotFound: none. InvalidInput: several different ones; names them.
    """
    people = {found.run.id: found for found in human_runs(workspace)}
    runs: dict[str, JudgeRun] = {run: found.run for run, found in people.items()}
    persons = [
        found
        for found in people.values()
        if name in (HUMAN, f"{HUMAN}:{annotator_of(found.run)}") or found.run.id.startswith(name)
    ]
    fits: list[tuple[StageFolder, JudgeRun]] = []
    for folder, run in _judge_stages(workspace):
        runs.setdefault(run.id, run)
        hexadecimal = folder.path.name.rpartition("-")[2]
        if run.judge == name or run.id.startswith(name) or folder.path.name.startswith(name) or hexadecimal == name:
            fits.append((folder, run))
    chosen = {run.id for _, run in fits} | {person.run.id for person in persons}
    if not chosen:
        known = ", ".join(sorted(f"{_called(run)} ({run.id})" for run in runs.values())) or "none yet"
        raise NotFound(
            f"no judge run {name!r} in {workspace.path}", detail=f"Judge runs there: {known}.", remedy="Judge first."
        )
    if len(chosen) > 1:
        detail = ", ".join(f"{_called(runs[run])} ({_how(runs[run])})" for run in sorted(chosen))
        raise InvalidInput(f"{name!r} fits {len(chosen)} judge runs", detail=detail, remedy="Name one of them.")
    if persons:
        persons[0].by_name = name != HUMAN
        return persons[0]
    found = WorkspaceJudgeRun(fits[0][1])
    for folder, _ in fits:
        _collect(workspace, folder, found)
    return found


def _how(run: JudgeRun) -> str:
    """The id of a judge run, with what it asked for where it says so: that is mostly where two of a name differ."""
    mode = run.params.get("mode")
    return f"{run.id}, {mode}" if mode else run.id


def human_runs(workspace: Workspace) -> list[WorkspaceJudgeRun]:
    """What each person says in a workspace, straight from their files."""
    found: dict[str, WorkspaceJudgeRun] = {}
    for one in latest_annotations(workspace):
        run = human_judge_run(one.annotator)
        mine = found.setdefault(run.id, WorkspaceJudgeRun(run, annotated=workspace))
        mine.judgements[one.rollout] = {
            behavior: Judgement(
                rollout_id=one.rollout, judge_run=run.id, behavior=behavior, status=one.status(behavior),
                count=one.count(behavior), spans=one.spans_of(behavior), text_sha256=one.text_sha256,
            )
            for behavior in BEHAVIORS
        }  # fmt: skip
    return list(found.values())


def _called(run: JudgeRun) -> str:
    annotator = annotator_of(run)
    return run.judge if annotator is None else f"{HUMAN}:{annotator}"


def _judge_stages(workspace: Workspace) -> Iterator[tuple[StageFolder, JudgeRun]]:
    for folder in map(workspace.folder, workspace.keys()):
        raw = read_json(folder.path / "artifacts" / "judge_run.json")
        if raw is None:
            continue
        try:
            yield folder, JudgeRun.model_validate(raw)
        except ValueError as error:
            raise InvalidInput(f"{folder.path / 'artifacts' / 'judge_run.json'} is no judge run") from error


def _collect(workspace: Workspace, folder: StageFolder, found: WorkspaceJudgeRun) -> None:
    for record in read_stream(folder.path, "judgements"):
        if record.get("judge_run") != found.run.id:
            continue
        try:
            judgement = Judgement.model_validate(strip_envelope(record))
        except ValueError as error:
            raise InvalidInput(f"{folder.path}: a line of the judgements is no judgement", detail=str(error)) from error
        found.judgements.setdefault(judgement.rollout_id, {}).setdefault(judgement.behavior, judgement)
    info = folder.info()
    found.upstream += [StageFolder(Path(info.input_folders.get(key, workspace.stages / key))) for key in info.inputs]


def run_source(found: WorkspaceJudgeRun, texts: Iterable[TextToJudge]) -> JudgementSource:
    """What a judge run says of texts: of rollouts with their id, else of the very same text judged elsewhere."""
    by_digest: dict[str, dict[Behavior, Judgement]] = {}
    for verdicts in found.judgements.values():
        for judgement in verdicts.values():
            by_digest.setdefault(judgement.text_sha256, {}).setdefault(judgement.behavior, judgement)
    traces = {}
    for text in texts:
        digest = text_sha256(text.text)
        own = found.judgements.get(text.id, {})
        verdicts = own if any(one.text_sha256 == digest for one in own.values()) else by_digest.get(digest, {})
        if verdicts:
            traces[text.id] = _trace(
                text,
                {behavior: BehaviorFinding(one.status, one.count, one.spans) for behavior, one in verdicts.items()},
            )
    return JudgementSource(found.name, traces, found.run.id)


def texts_of(found: WorkspaceJudgeRun) -> Iterator[TextToJudge]:
    """The texts that a judge run judged, each with the condition and step it belongs to."""
    if found.annotated is not None:
        yield from _annotated_texts(found.annotated, found.judgements)
    for upstream in found.upstream:
        labels = _labels(upstream)
        if (upstream.path / "artifacts" / "traces.jsonl").exists():
            for text in _read_teachers(upstream.path / "artifacts" / "traces.jsonl").texts:
                if text.id in found.judgements:
                    yield text
            continue
        for rollout in read_rollouts(upstream.path):
            if rollout.id in found.judgements:
                yield _rollout_text(rollout, labels)


def _annotated_texts(workspace: Workspace, ids: Iterable[str]) -> Iterator[TextToJudge]:
    """The rollouts that people annotated, by the index: they may lie in any stage."""
    with open_store(workspace) as store:
        store.ingest()
        for name in ids:
            try:
                detail = store.rollout(name)
            except NotFound:
                continue  # its stage is gone; the comparison says how many are not there
            row = detail.row
            labels = [row.condition] if row.condition is not None else []
            group = " ".join([*labels, row.split, f"step {row.step}"])
            yield TextToJudge(row.id, row.task, row.problem, detail.completion, group)


def _labels(folder: StageFolder) -> Mapping[str, Any]:
    try:
        return folder.info().labels
    except CogtuiError:
        return {}


def _rollout_text(rollout: Rollout, labels: Mapping[str, Any]) -> TextToJudge:
    names = [str(labels[name]) for name in _LABELS_OF_A_GROUP if name in labels]
    group = " ".join([*names, rollout.split, f"step {rollout.step}"])
    return TextToJudge(rollout.id, rollout.task, rollout.problem, rollout.completion, group)
