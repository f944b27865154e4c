"""LLM judges: a model behind a service judges traces, live or through its Batch API."""

from collections.abc import Iterable, Iterator
from contextlib import closing
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any, Final

from pipelines.behaviors.align import ALIGNER
from pipelines.behaviors.judge import JudgedTask, JudgeTask, judge_run
from pipelines.behaviors.judges.llm.config import ANSWER_TOKENS, LLMJudgeConfig, model_of
from pipelines.behaviors.judges.llm.dialogue import JudgePromptConfig, TraceDialogue
from pipelines.behaviors.judges.llm.prompts import load_prompts
from pipelines.behaviors.segment import SEGMENTER
from pipelines.behaviors.sets.four_habits import FOUR_HABITS
from pipelines.behaviors.sets.registered import SETS
from pipelines.errors import InvalidInput
from pipelines.files import write_json
from pipelines.llm.clients.connect import connect
from pipelines.llm.clients.protocol import ModelSpec
from pipelines.llm.prices import Price, estimate_usage, find_price, max_usage
from pipelines.llm.run_dialogues import run_dialogues
from pipelines.records import JudgeRun

_LIKELY_ANSWER: Final = 300
"""Tokens of a usual answer, for estimates."""


@dataclass(frozen=True, slots=True)
class JudgeCostEstimate:
    """What judging some traces would take."""

    traces: int
    requests: int
    """Without corrective questions, of which nobody knows beforehand."""
    empty: int
    """Traces without text, for which nothing is asked."""
    input_tokens: int
    output_tokens: int
    """Likely."""
    cost_usd: float | None
    """Likely, with nothing cached; None where the price is unknown."""
    most_usd: float | None
    """With every answer at its limit, and one corrective question for each."""

    def times(self, factor: int) -> "JudgeCostEstimate":
        """The estimate for so many times as much."""

        def scaled(cost: float | None) -> float | None:
            return None if cost is None else cost * factor

        return JudgeCostEstimate(
            self.traces * factor,
            self.requests * factor,
            self.empty * factor,
            self.input_tokens * factor,
            self.output_tokens * factor,
            scaled(self.cost_usd),
            scaled(self.most_usd),
        )


class LLMJudge:
    """A model behind a service, asked as a config says. Making one spends nothing and imports no SDK.

    Raises:
        InvalidInput: the config names no model, or a prompt or price file cannot be used.
    """

    def __init__(self, config: LLMJudgeConfig) -> None:
        spec = model_of(config)
        if spec is None:
            raise InvalidInput("this config names no LLM judge")
        self._spec: ModelSpec = spec
        self._config = config
        own = {name: file.unchanged() for name, file in config.prompts.items()}
        self._prompt_config = JudgePromptConfig(
            prompts=load_prompts(config.mode, own, SETS.get(config.behaviors)),
            max_tokens=config.max_tokens or ANSWER_TOKENS[config.mode],
            temperature=config.temperature,
            reasks=config.reasks if config.mode == "spans" else 0,
            window=config.window,
        )
        table = None if config.prices is None else config.prices.path
        self.price: Price | None = find_price(spec.provider, spec.model, table)

    @property
    def run(self) -> JudgeRun:
        """Who judges: the model, the prompts, and all that changes what is asked. Not where or how it is served."""
        prompt_config = self._prompt_config
        spans = prompt_config.prompts.mode == "spans"
        params: dict[str, Any] = {"mode": prompt_config.prompts.mode, "max_tokens": prompt_config.max_tokens}
        if self._config.behaviors != FOUR_HABITS.name:
            params["behaviors"] = self._config.behaviors
        if prompt_config.temperature is not None:
            params["temperature"] = prompt_config.temperature
        if spans:
            params |= {"reasks": prompt_config.reasks, "window": prompt_config.window}
        return judge_run(
            str(self._spec),
            model=self._spec.model,
            prompt_sha256=prompt_config.prompts.sha256,
            params=params,
            segmenter=SEGMENTER if spans else None,
            aligner=ALIGNER if spans else None,
        )

    def judge(self, tasks: Iterable[JudgeTask], work: Path) -> Iterator[JudgedTask]:
        """Judges the tasks; goes on from what `work` holds, for which nothing is paid again.

        Raises:
            MissingRequirement: the key or the SDK is missing, or the key is refused.
            SpendingCapReached, ServiceUnavailable, ServiceRefused, EverythingFails: run again, it continues.
            Interrupted: told to stop.
        """
        write_json(work / "prompts.json", dict(self._prompt_config.prompts.texts))
        dialogues = (TraceDialogue(task, self._prompt_config, self.price) for task in tasks)
        with closing(
            run_dialogues(dialogues, self._config, partial(connect, self._spec), self.price, work)
        ) as finished:
            for dialogue in finished:
                yield dialogue.judged()

    def estimate(self, tasks: Iterable[JudgeTask]) -> JudgeCostEstimate:
        """What judging the tasks would take. Asks nobody, needs no key."""
        traces = requests = empty = input_tokens = output_tokens = 0
        cost = most = 0.0
        batch = self._config.batch
        for task in tasks:
            asks = TraceDialogue(task, self._prompt_config, self.price).pending_requests()
            traces += 1
            requests += len(asks)
            empty += not asks
            for ask in asks:
                usage = estimate_usage(ask, _LIKELY_ANSWER)
                input_tokens += usage.input_tokens
                output_tokens += usage.output_tokens
                if self.price is not None:
                    cost += self.price.cost(usage, batch=batch)
                    # a corrective question repeats everything, the first answer too
                    worst = max_usage(ask)
                    most += self.price.cost(worst, batch=batch) * (1 + self._prompt_config.reasks)
                    most += self.price.input * self._prompt_config.reasks * worst.output_tokens / 1e6
        known = self.price is not None
        return JudgeCostEstimate(
            traces, requests, empty, input_tokens, output_tokens, cost if known else None, most if known else None
        )
