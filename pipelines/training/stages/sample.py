"""The `sample` stage: scored completions of a model on problems. It resumes after the last rollout written."""

from contextlib import closing
from pathlib import Path
from typing import TYPE_CHECKING

from pipelines.folder import StageFolder
from pipelines.records import Metric
from pipelines.signals import graceful
from pipelines.stages import Inputs, find_kind
from pipelines.streams import read_rollouts
from pipelines.tasks.loading import load_problems
from pipelines.tokenizer import load_tokenizer
from pipelines.training.core import runtime
from pipelines.training.core.configs import SampleConfig
from pipelines.training.core.model import load_model, max_positions
from pipelines.training.generation.engine import Engine
from pipelines.training.generation.factory import make_engine
from pipelines.training.generation.vllm import VLLMEngine
from pipelines.training.generation.vllm_settings import load_model_config, vllm_model
from pipelines.training.sampling.metrics import rollout_metrics, rules_verdict_writer
from pipelines.training.sampling.rollouts import RolloutSampler, rollout_keys

if TYPE_CHECKING:
    from transformers import PreTrainedTokenizerBase


def run(config: SampleConfig, inputs: Inputs, folder: StageFolder) -> None:
    """Sample, score and write the rollouts, then their metrics and the result."""
    run_on = runtime.start(config)
    loaded = load_problems(inputs.one("problems"))
    problems = (loaded.test if config.split == "test" else loaded.train)[: config.problems]
    path = inputs.model()
    tokenizer = load_tokenizer(path)
    engine, positions = _engine(config, path, tokenizer, run_on)
    sampler = RolloutSampler(
        folder.key, loaded.task, tokenizer, engine, seed=config.seed, max_prompt_tokens=config.max_prompt_tokens
    )
    sampler.check_prompts(problems, new_tokens=config.sampling.max_new_tokens, positions=positions)
    step = _step_of(inputs)
    todo = list(rollout_keys(config.split, step, problems, config.samples))
    with closing(engine), graceful() as stop, folder.stream("rollouts", config.split) as stream:
        sampler.sync(step)
        for start in range(0, len(todo), config.batch):
            stop.raise_if_requested()
            # Batches are equal in all attempts, and a batch is skipped only if all of it was written.
            if start + config.batch > len(stream):
                sampled = sampler.sample(todo[start : start + config.batch], config.sampling)
                stream.append(each.rollout for each in sampled)
            folder.report(min(start + config.batch, len(todo)), len(todo), "rollouts")
    rollouts = list(read_rollouts(folder.path))
    with rules_verdict_writer(folder.path) as verdicts:
        values = rollout_metrics(rollouts, behaviors=True, verdicts=verdicts)
    with folder.stream("metrics", config.split) as metrics:
        metrics.append([Metric(step=step, values=values | {"n": len(rollouts)})])
    folder.write_result({"n": len(rollouts), "step": step, **values, **run_on.describe()})


def _engine(
    config: SampleConfig, path: Path, tokenizer: "PreTrainedTokenizerBase", run_on: runtime.Runtime
) -> tuple[Engine, int | None]:
    """Build the engine; return it with the longest sequence of the model, in tokens."""
    longest = config.max_prompt_tokens + config.sampling.max_new_tokens
    if config.engine.name == "vllm":
        # vLLM loads the weights itself; a second copy would only take memory.
        described = load_model_config(path)
        engine = VLLMEngine(vllm_model(path, described, tokenizer, longest), config.engine.vllm, run_on)
        return engine, max_positions(described)
    model = load_model(path).to(run_on.device)
    return make_engine(config.engine, model, tokenizer, run_on, path=path, max_sequence=longest), max_positions(model)


def _step_of(inputs: Inputs) -> int:
    """Return the step of reinforcement learning the model is at; 0 before any."""
    upstream = inputs.model_stage()
    kind = find_kind(upstream.info().kind)
    if kind is None or kind.evaluates != "training":
        return 0
    return int((upstream.result() or {}).get("steps", 0))
