"""Judges of documents: the prose judge, rules, a registered judge, or a language model."""

from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import closing
from dataclasses import dataclass
from functools import partial
from importlib.resources import as_file, files
from pathlib import Path
from typing import Final, Protocol

from pipelines.behaviors.align import ALIGNER
from pipelines.behaviors.judge import BehaviorVerdict, Judge, JudgedTask, JudgeTask, judge_run
from pipelines.behaviors.judges.llm.config import ANSWER_TOKENS, LLMJudgeConfig, model_of
from pipelines.behaviors.judges.llm.dialogue import JudgePromptConfig
from pipelines.behaviors.judges.llm.prompts import JudgePrompts, load_prompts, prompt_names
from pipelines.behaviors.judges.prose.judge import ProseJudge
from pipelines.behaviors.judges.rules.judge import RULES_VERSION, RulesJudge
from pipelines.behaviors.segment import SEGMENTER
from pipelines.behaviors.sets.four_habits import FOUR_HABITS
from pipelines.corpus.classify.dialogue import DocumentDialogue, FactsQuestion
from pipelines.corpus.classify.facts import DocumentFacts, facts_by_rules
from pipelines.corpus.miniature.puzzles import PuzzleSection, find_puzzles
from pipelines.errors import InvalidInput
from pipelines.files import write_json
from pipelines.llm.clients.connect import connect
from pipelines.llm.clients.protocol import ModelClient
from pipelines.llm.clients.vllm_offline import OfflineVLLMClient, OfflineVLLMConfig, OfflineVLLMRunner
from pipelines.llm.prices import Price, find_price
from pipelines.llm.run_dialogues import BatchRequestConfig, RequestSettings, run_dialogues
from pipelines.records import JudgeRun, Span, countdown_fields
from pipelines.tasks.registry import rules_context

PROMPTS: Final = files("pipelines.corpus") / "prompts"


@dataclass(frozen=True, slots=True)
class ClassifiedDocument:
    """The judgement and the facts of a document."""

    judged: JudgedTask
    facts: DocumentFacts


class DocumentJudge(Protocol):
    """Judges documents; the `task` of a document that states no puzzle is empty."""

    @property
    def run(self) -> JudgeRun:
        """Return judge, model, prompts and parameters."""
        ...

    def classify(self, tasks: Iterable[JudgeTask], work: Path, spent_before: float) -> Iterator[ClassifiedDocument]:
        """Yield each task once, in any order; replies stored in `work` are used again.

        Args:
            tasks: the documents, consumed lazily.
            work: an existing folder for replies and batches.
            spent_before: US dollars that other processes spent under the same cap.
        """
        ...

    def close(self) -> None:
        """End what the judge started."""
        ...


class RulesDocumentJudge:
    """Judges documents about puzzles by rules, all others by the prose judge."""

    def __init__(self) -> None:
        self._prose = ProseJudge()

    @property
    def run(self) -> JudgeRun:
        """Return a run that names the version of the rules and the run of the prose judge."""
        return judge_run("rules", params={"version": RULES_VERSION, "documents": self._prose.run.id})

    def classify(self, tasks: Iterable[JudgeTask], work: Path, spent_before: float) -> Iterator[ClassifiedDocument]:
        """Yield the documents in order; writes nothing to `work`."""
        rules = RulesJudge()
        for task in tasks:
            puzzles = find_puzzles(task.completion)
            if len(puzzles) > 1:
                judged = _by_section(rules, task, puzzles, work)
            else:
                about_numbers = rules_context(task.task, task.problem) is not None
                judge: Judge = rules if about_numbers else self._prose
                judged = next(iter(judge.judge([task], work)))
            yield ClassifiedDocument(judged, facts_by_rules(task.completion))

    def close(self) -> None:
        """Do nothing: nothing was started."""


class RegisteredDocumentJudge:
    """Judges documents by a registered judge; their facts are found by the rules of this package.

    Args:
        judge: judges the documents as completions.
    """

    def __init__(self, judge: Judge) -> None:
        self._judge = judge

    @property
    def run(self) -> JudgeRun:
        """Return the run of the registered judge."""
        return self._judge.run

    def classify(self, tasks: Iterable[JudgeTask], work: Path, spent_before: float) -> Iterator[ClassifiedDocument]:
        """Yield the documents in the order in which the judge finishes them."""
        for judged in self._judge.judge(tasks, work):
            yield ClassifiedDocument(judged, facts_by_rules(judged.task.completion))

    def close(self) -> None:
        """Do nothing: nothing was started."""


def _by_section(rules: RulesJudge, task: JudgeTask, puzzles: Sequence[PuzzleSection], work: Path) -> JudgedTask:
    """Judge each puzzle against its own target and add up the counts."""
    text = task.completion
    parts = [
        JudgeTask("", **countdown_fields(each.numbers, each.target), completion=text[each.body : each.end])
        for each in puzzles
    ]
    verdicts = [judged.verdicts for judged in rules.judge(parts, work)]
    return JudgedTask(
        task,
        {
            behavior: BehaviorVerdict(
                "ok",
                sum(each[behavior].count or 0 for each in verdicts),
                tuple(
                    _moved(span, puzzle.body)
                    for each, puzzle in zip(verdicts, puzzles, strict=True)
                    for span in each[behavior].spans
                ),
            )
            for behavior in FOUR_HABITS.names
        },
    )


def _moved(span: Span, by: int) -> Span:
    assert span.start is not None
    assert span.end is not None
    return span.model_copy(update={"start": span.start + by, "end": span.end + by})


class ModelDocumentJudge:
    """Judges documents by a language model: four questions about behaviours, one about facts.

    Args:
        config: model, prompts and limits.
        offline: settings for running the model by vLLM in this job; None if a server has it.

    Raises:
        InvalidInput: the config names no model, or a prompt or price file cannot be used.
    """

    def __init__(self, config: LLMJudgeConfig, offline: OfflineVLLMConfig | None = None) -> None:
        spec = model_of(config)
        if spec is None:
            raise InvalidInput("this config names no model")
        if config.mode != "spans":
            raise InvalidInput("documents are judged with spans only", remedy='Leave out mode, or set mode = "spans".')
        self._spec = spec
        self._config = config
        self._runner = None if offline is None else OfflineVLLMRunner(spec, offline)
        self.prompt_config = JudgePromptConfig(
            prompts=document_prompts(config),
            max_tokens=config.max_tokens or ANSWER_TOKENS["spans"],
            temperature=config.temperature,
            reasks=config.reasks,
            window=config.window,
        )
        self._facts = FactsQuestion.of(read_prompt("facts"))
        table = None if config.prices is None else config.prices.path
        self._price: Price | None = find_price(spec.provider, spec.model, table)

    @property
    def run(self) -> JudgeRun:
        """Return the model, the digest of the prompts, and all parameters that change a request."""
        prompt_config = self.prompt_config
        params = {
            "of": "documents",
            "max_tokens": prompt_config.max_tokens,
            "reasks": prompt_config.reasks,
            "window": prompt_config.window,
        }
        if prompt_config.temperature is not None:
            params["temperature"] = str(prompt_config.temperature)
        return judge_run(
            str(self._spec),
            model=self._spec.model,
            prompt_sha256=f"{prompt_config.prompts.sha256[:32]}{self._facts.sha256[:32]}",
            params=params,
            segmenter=SEGMENTER,
            aligner=ALIGNER,
        )

    def classify(self, tasks: Iterable[JudgeTask], work: Path, spent_before: float) -> Iterator[ClassifiedDocument]:
        """Yield documents in the order in which they finish.

        Raises:
            CogtuiError: as `pipelines.llm.run_dialogues.run_dialogues`.
        """
        write_json(work / "prompts.json", {**self.prompt_config.prompts.texts, "facts": self._facts.text})
        dialogues = (DocumentDialogue(task, self.prompt_config, self._facts, self._price) for task in tasks)
        asking: RequestSettings = self._config
        client: Callable[[], ModelClient] = partial(connect, self._spec)
        if self._runner is not None:
            asking = BatchRequestConfig(self._config.spending_cap)
            client = partial(OfflineVLLMClient, self._runner, work / "vllm")
        finished = run_dialogues(dialogues, asking, client, self._price, work, spent_before=spent_before)
        with closing(finished):
            for dialogue in finished:
                yield ClassifiedDocument(dialogue.judged(), dialogue.facts())

    def close(self) -> None:
        """End the process of vLLM, if this started one."""
        if self._runner is not None:
            self._runner.close()


def document_prompts(config: LLMJudgeConfig) -> JudgePrompts:
    """Load the prompts: the user's, else those of this package, else those for traces."""
    own = {name: file.unchanged() for name, file in config.prompts.items()}
    with as_file(PROMPTS) as folder:
        ours = {name: folder / f"{name}.md" for name in prompt_names("spans") if (folder / f"{name}.md").is_file()}
        return load_prompts("spans", {**ours, **own})


def read_prompt(name: str) -> str:
    """Read a prompt of this package."""
    return (PROMPTS / f"{name}.md").read_text(encoding="utf-8").strip()
