"""Sources of judgements: gold files, teachers' traces, the rules judge, and judge runs of a workspace."""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any, Final

from cogtui.analysis.agreement.measures import BehaviorFinding, JudgementSource, TraceFindings
from cogtui.store import open_store
from cogtui.store.user_data.annotations import (
    ADJUDICATED,
    HUMAN,
    HumanAnnotation,
    annotator_of,
    human_judge_run,
    latest_annotations,
)
from cogtui.store.user_data.final_labels import final_labels
from jobs.workspace import Workspace
from pipelines.behaviors.gold import GoldTrace, read_gold
from pipelines.behaviors.sets.registered import behaviors_in_use
from pipelines.errors import CogtuiError, InvalidInput, NotFound
from pipelines.files import read_json
from pipelines.folder import StageFolder
from pipelines.records import Behavior, Judgement, JudgeRun, LabelledSpan, Rollout, text_sha256
from pipelines.streams import complete_lines, parse_line, read_rollouts, read_stream, strip_envelope
from pipelines.tasks.registry import describe_problem

RULES_NAME: Final = "rules"
LABELS_NAME: Final = "labels"
"""Means the people's final labels of a workspace."""
REPEAT: Final = "repeat"
"""The parameter by which judge runs differ that asked the same again."""
_LABELS_OF_A_GROUP: Final = ("condition",)


@dataclass(frozen=True, slots=True)
class TextToJudge:
    """A text to judge: the fields that gold rows, rollouts and teachers' traces share."""

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
    """Texts with labelled spans."""

    name: str
    texts: tuple[TextToJudge, ...]
    spans: Mapping[str, tuple[LabelledSpan, ...]]
    unfinished: frozenset[str] = frozenset()
    """Ids of texts in which behaviours without a span were not looked for."""

    def source(self) -> JudgementSource:
        """Return the labelled spans as the findings of a judge."""
        traces = {}
        behaviors = behaviors_in_use(span.behavior for spans in self.spans.values() for span in spans)
        for text in self.texts:
            findings = findings_from_spans(self.spans[text.id], behaviors)
            if text.id in self.unfinished:
                findings = {behavior: one for behavior, one in findings.items() if one.spans}
            traces[text.id] = _trace(text, findings)
        return JudgementSource(self.name, traces)


def findings_from_spans(
    spans: Iterable[LabelledSpan], behaviors: Sequence[Behavior] | None = None
) -> dict[Behavior, BehaviorFinding]:
    """Convert labelled spans to findings: every behaviour judged, weak and repeated spans not counted.

    Args:
        spans: of one text.
        behaviors: those judged; the sets that the spans belong to if not given.
    """
    findings: dict[Behavior, BehaviorFinding] = {}
    kept = list(spans)
    for behavior in behaviors or behaviors_in_use(span.behavior for span in kept):
        own = tuple(span for span in kept if span.behavior == behavior)
        findings[behavior] = BehaviorFinding("ok", sum(not (span.weak or span.repeat) for span in own), own)
    return findings


def _trace(text: TextToJudge, findings: Mapping[Behavior, BehaviorFinding]) -> TraceFindings:
    return TraceFindings(text.id, text.problem_id, findings, text.group)


# --- files -----------------------------------------------------------------------------------------------------


def read_gold_source(path: Path) -> LabelledTexts:
    """Read a gold file, or a teacher's `traces.jsonl`, whose spans are exact as well.

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
    for row, trace in enumerate(traces, start=1):
        if "spans" not in trace.model_fields_set:
            raise InvalidInput(
                f"{path}, row {row}: spans: missing, which says nothing about behaviours",
                remedy='Write "spans": [] where somebody looked and found none.',
            )
    texts = tuple(TextToJudge(t.id, t.task, t.problem, t.completion, t.condition) for t in traces)
    return LabelledTexts(path.name, texts, {trace.id: trace.spans for trace in traces})


# --- judges ----------------------------------------------------------------------------------------------------


def registered_source(name: str, texts: Iterable[TextToJudge]) -> JudgementSource:
    """Run a registered judge on texts.

    Raises:
        InvalidInput: there is no such judge, or it needs a config.
    """
    from pipelines.behaviors.judge import JudgeTask
    from pipelines.behaviors.judges.registry import make_judge

    judge = make_judge(name)
    by_id = {text.id: text for text in texts}
    tasks = (JudgeTask(text.id, text.task, text.problem, text.text) for text in by_id.values())
    traces = {}
    with TemporaryDirectory() as work:
        for judged in judge.judge(tasks, Path(work)):
            findings = {
                name: BehaviorFinding(one.status, one.count, one.spans) for name, one in judged.verdicts.items()
            }
            traces[judged.task.rollout_id] = _trace(by_id[judged.task.rollout_id], findings)
    return JudgementSource(
        name, {uid: traces[uid] for uid in by_id if uid in traces}, judge.run.id, gives_probabilities(name)
    )


def is_independent(run: JudgeRun) -> bool:
    """Return whether a judge run is neither made of others, as final labels are, nor the repetition of another."""
    return annotator_of(run) != ADJUDICATED and REPEAT not in run.params


def gives_probabilities(judge: str) -> bool:
    """Return whether the scores of a judge's spans are probabilities."""
    from pipelines.behaviors.judges.registry import JUDGES

    return judge in JUDGES and JUDGES.get(judge).gives_probabilities


@dataclass(slots=True)
class WorkspaceJudgeRun:
    """All judgements of one judge run in a workspace."""

    run: JudgeRun
    judgements: dict[str, dict[Behavior, Judgement]] = field(default_factory=dict)
    """By rollout id."""
    upstream: list[StageFolder] = field(default_factory=list)
    """The stages whose rollouts were judged."""
    by_name: bool = False
    """Whether the user asked for an annotator by name."""
    annotated: Workspace | None = None
    """For an annotator, the workspace that holds the annotated rollouts."""

    @property
    def name(self) -> str:
        """Name of the judge in a comparison; the annotator's name where annotators are compared with each other."""
        return self.run.judge if self.run.judge != HUMAN or not self.by_name else judge_label(self.run)


def find_run(workspace: Workspace, name: str) -> WorkspaceJudgeRun:
    """Find the judge run that a name means.

    A name is a run id or a prefix of one, a judge's name, or the key of a judge stage. `human` is the annotator; where
    there are several, `human:USER@HOST`.

    Raises:
        NotFound: none. InvalidInput: several different ones; names them.
    """
    people = {found.run.id: found for found in human_runs(workspace)}
    runs: dict[str, JudgeRun] = {run: found.run for run, found in people.items()}
    persons = [
        found
        for found in people.values()
        if name == f"{HUMAN}:{annotator_of(found.run)}"
        or (is_independent(found.run) if name == HUMAN else found.run.id.startswith(name))
    ]
    fits: list[tuple[StageFolder, JudgeRun]] = []
    for folder, run in judge_stages(workspace):
        runs.setdefault(run.id, run)
        hexadecimal = folder.path.name.rpartition("-")[2]
        if run.judge == name or run.id.startswith(name) or folder.path.name.startswith(name) or hexadecimal == name:
            fits.append((folder, run))
    first = [(folder, run) for folder, run in fits if REPEAT not in run.params]
    if len({run.id for _, run in first}) == 1 and all(run.id != name for _, run in fits):
        fits = first  # repeats of a judge are named by their ids
    chosen = {run.id for _, run in fits} | {person.run.id for person in persons}
    if not chosen:
        known = ", ".join(sorted(f"{judge_label(run)} ({run.id})" for run in runs.values())) or "none yet"
        raise NotFound(
            f"no judge run {name!r} in {workspace.path}",
            detail=f"Judge runs in this workspace: {known}.",
            remedy="Run cogtui judge first.",
        )
    if len(chosen) > 1:
        detail = ", ".join(f"{judge_label(runs[run])} ({_how(runs[run])})" for run in sorted(chosen))
        raise InvalidInput(f"{name!r} matches {len(chosen)} judge runs", detail=detail, remedy="Name one of them.")
    if persons:
        persons[0].by_name = name != HUMAN
        return persons[0]
    found = WorkspaceJudgeRun(fits[0][1])
    for folder, _ in fits:
        _collect(workspace, folder, found)
    return found


def read_judge_run(workspace: Workspace, run: JudgeRun) -> WorkspaceJudgeRun:
    """Read all judgements of a judge run that judged in stages."""
    found = WorkspaceJudgeRun(run)
    for folder, other in judge_stages(workspace):
        if other.id == run.id:
            _collect(workspace, folder, found)
    return found


def _how(run: JudgeRun) -> str:
    """Return the id of a judge run and its mode, which is what usually distinguishes two runs of one name."""
    parts = [run.id, str(run.params.get("mode", "")), f"repeat {run.params[REPEAT]}" if REPEAT in run.params else ""]
    return ", ".join(part for part in parts if part)


def human_runs(workspace: Workspace) -> list[WorkspaceJudgeRun]:
    """Read the annotations of every annotator from their files."""
    found: dict[str, WorkspaceJudgeRun] = {}
    for one in _counted_annotations(workspace):
        run = human_judge_run(one.annotator)
        mine = found.setdefault(run.id, WorkspaceJudgeRun(run, annotated=workspace))
        mine.judgements[one.rollout] = {
            behavior: Judgement(
                rollout_id=one.rollout, judge_run=run.id, behavior=behavior, status=one.status(behavior),
                count=one.count(behavior), spans=one.spans_of(behavior), text_sha256=one.text_sha256,
            )
            for behavior in one.behaviors
        }  # fmt: skip
    return list(found.values())


def _counted_annotations(workspace: Workspace) -> list[HumanAnnotation]:
    """Return the current annotations that fit their texts, which are read through the index."""
    if next(latest_annotations(workspace), None) is None:
        return []
    with open_store(workspace) as store:
        store.ingest()
        return store.humans()


def final_label_source(workspace: Workspace) -> tuple[JudgementSource, tuple[TextToJudge, ...]]:
    """Return the people's final labels with their texts; traces on which annotators differ are left out."""
    labels = {uid: one for uid, one in final_labels(_counted_annotations(workspace)).items() if not one.differ}
    texts = tuple(
        text for text in _annotated_texts(workspace, labels) if text_sha256(text.text) == labels[text.id].text_sha256
    )
    traces = {
        text.id: _trace(
            text,
            {
                behavior: BehaviorFinding(one.status(behavior), one.count(behavior), one.spans_of(behavior))
                for one in labels[text.id].deciding[:1]
                for behavior in one.behaviors
            },
        )
        for text in texts
    }
    return JudgementSource("people, final labels", traces), texts


def judge_label(run: JudgeRun) -> str:
    """Return how a judge run is named on the command line: the judge, for a person with their name."""
    annotator = annotator_of(run)
    return run.judge if annotator is None else f"{HUMAN}:{annotator}"


def judge_stages(workspace: Workspace) -> Iterator[tuple[StageFolder, JudgeRun]]:
    """Yield the stages that have judgements, with their judge runs.

    Raises:
        InvalidInput: a stage describes no judge run.
    """
    for folder in map(workspace.folder, workspace.keys()):
        raw = read_json(folder.path / "artifacts" / "judge_run.json")
        if raw is None:
            continue
        try:
            yield folder, JudgeRun.model_validate(raw)
        except ValueError as error:
            raise InvalidInput(f"{folder.path / 'artifacts' / 'judge_run.json'} is not a judge run") from error


def _collect(workspace: Workspace, folder: StageFolder, found: WorkspaceJudgeRun) -> None:
    for record in read_stream(folder.path, "judgements"):
        if record.get("judge_run") != found.run.id:
            continue
        try:
            judgement = Judgement.model_validate(strip_envelope(record))
        except ValueError as error:
            raise InvalidInput(
                f"{folder.path}: a line of the judgements is not a judgement", detail=str(error)
            ) from error
        found.judgements.setdefault(judgement.rollout_id, {}).setdefault(judgement.behavior, judgement)
    info = folder.info()
    found.upstream += [StageFolder(Path(info.input_folders.get(key, workspace.stages / key))) for key in info.inputs]


def run_source(found: WorkspaceJudgeRun, texts: Iterable[TextToJudge]) -> JudgementSource:
    """Return a judge run's findings on texts, matched by rollout id, else by identical text."""
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
    return JudgementSource(found.name, traces, found.run.id, gives_probabilities(found.run.judge))


def texts_of(found: WorkspaceJudgeRun) -> Iterator[TextToJudge]:
    """Yield the texts that a judge run judged, each with its condition and step."""
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
    """Yield the annotated rollouts, read through the index because they may be in any stage."""
    with open_store(workspace) as store:
        store.ingest()
        for name in ids:
            try:
                detail = store.rollout(name)
            except NotFound:
                continue  # its stage was deleted; the comparison reports how many are missing
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
