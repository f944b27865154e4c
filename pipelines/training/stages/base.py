"""The `base` stage: builds and pretrains a small model, or copies an existing one."""

import random
from typing import TYPE_CHECKING, Any

from pipelines.errors import InvalidInput
from pipelines.folder import StageFolder
from pipelines.stages import Inputs
from pipelines.tasks.countdown.task import LoadedCountdown, load_countdown
from pipelines.tasks.loading import LoadedProblems, load_problems, task_name
from pipelines.tasks.registry import COUNTDOWN
from pipelines.tokenizer import build_tokenizer, encode, read_tokenizer, require_embeddings, require_special_tokens
from pipelines.training.core import runtime
from pipelines.training.core.configs import BaseConfig, PretrainingConfig
from pipelines.training.core.metrics import read_last_metrics
from pipelines.training.core.model import build_model, count_parameters, load_model, save_model
from pipelines.training.shipped import SHIPPED_NAMES, shipped_model

if TYPE_CHECKING:
    from transformers import PreTrainedModel, PreTrainedTokenizerBase

    from pipelines.training.supervised.pretraining import DrawTexts


def run(config: BaseConfig, inputs: Inputs, folder: StageFolder) -> None:
    """Write `artifacts/model`."""
    run_on = runtime.start(config)
    if config.pretrained is not None:
        _copy_pretrained(config, folder, run_on)
        return
    tokenizer, draw = _prepare(config, inputs.one("problems"))
    model = build_model(config.architecture, tokenizer).to(run_on.device)
    result: dict[str, Any] = {}
    if config.pretraining is not None:
        from pipelines.training.supervised.pretraining import pretrain

        pretrain(
            config.pretraining,
            model,
            tokenizer,
            draw,
            folder,
            run_on,
            seed=config.seed,
            checkpoint_every=config.checkpoint_every,
        )
        result = read_last_metrics(folder, "pretraining")
    save_model(folder, model, tokenizer)
    folder.write_result(
        {"parameters": count_parameters(model), "vocabulary": len(tokenizer), **result, **run_on.describe()}
    )


def _prepare(config: BaseConfig, problems: StageFolder) -> "tuple[PreTrainedTokenizerBase, DrawTexts]":
    """Return the tokenizer of a task and its pretraining texts.

    Raises:
        InvalidInput: the task has no pretraining texts, or `pretraining` asks for other texts than it has.
    """
    from pipelines.training.supervised.pretraining import countdown_texts, solved_texts

    pretraining = config.pretraining or PretrainingConfig()
    if task_name(problems) == COUNTDOWN:
        countdown = load_countdown(problems)
        return build_task_tokenizer(config, countdown), countdown_texts(pretraining, countdown)
    loaded = load_problems(problems)
    name = loaded.task.name
    if not hasattr(loaded.task, "pretraining_text"):
        raise InvalidInput(
            f"the task {name} has no texts to pretrain a model on",
            remedy="Take a base model with `pretrained`, or give the task a `pretraining_text` (docs/tasks.md).",
        )
    for kind in ("documents", "worksheets", "habits"):
        if getattr(pretraining, kind):
            raise InvalidInput(
                f"the task {name} has no {kind} to pretrain a model on",
                remedy=f"Set pretraining.{kind} = 0; `linear` is the number of solved problems a step.",
            )
    return build_text_tokenizer(loaded), solved_texts(pretraining, loaded)


def build_text_tokenizer(loaded: LoadedProblems) -> "PreTrainedTokenizerBase":
    """Build the word-level tokenizer of a task from its prompts and the pretraining texts of all its problems.

    The words of the test problems are tokens too; their texts are never trained on.
    """
    problems = [*loaded.train, *loaded.test]
    prompts = [loaded.task.prompt(problem) for problem in problems]
    rng = random.Random(0)
    texts = [loaded.task.pretraining_text(problem, rng) for problem in problems]  # type: ignore[attr-defined]
    tokenizer = build_tokenizer((), [*prompts, *texts], range(0))
    for prompt in prompts:
        encode(tokenizer, prompt, prompt=True)
    return tokenizer


def build_task_tokenizer(config: BaseConfig, loaded: LoadedCountdown) -> "PreTrainedTokenizerBase":
    """Build the word-level tokenizer of a task from the teacher's phrases, the words of the prompts, and numbers.

    Raises:
        InvalidInput: `max_number` is less than what the problems need.
    """
    from pipelines.teachers.symbolic.base_texts import largest_number
    from pipelines.teachers.symbolic.lexicon import phrases

    problems = [*loaded.train, *loaded.test]
    needed = largest_number(loaded.task.arithmetic, problems)
    largest = config.tokenizer.max_number or needed
    if largest < needed:
        raise InvalidInput(
            f"tokenizer.max_number is {largest}, but numbers up to {needed} occur in these problems",
            remedy="Raise it, or bound the arithmetic of the problems.",
        )
    if largest > 100_000:
        raise InvalidInput(
            f"the problems have numbers up to {largest}: too many for one token each",
            remedy="Set a maximum for the arithmetic of the problems stage.",
        )
    prompts = [loaded.task.prompt(problem) for problem in problems]
    tokenizer = build_tokenizer(phrases(config.tokenizer.style), prompts, range(largest + 1))
    for prompt in prompts:
        encode(tokenizer, prompt, prompt=True)
    return tokenizer


def _copy_pretrained(config: BaseConfig, folder: StageFolder, run_on: runtime.Runtime) -> None:
    assert config.pretrained is not None
    source = _source_of(config.pretrained)
    tokenizer = read_tokenizer(source, config.revision)
    if config.pad_token is not None:
        if config.pad_token not in tokenizer.get_vocab():
            raise InvalidInput(
                f"pad_token {config.pad_token!r} is not in the vocabulary of {config.pretrained}",
                remedy="Name a token it has; a new one would need a larger embedding.",
            )
        tokenizer.pad_token = config.pad_token
    require_special_tokens(tokenizer, config.pretrained)
    model = load_model(source, config.revision, as_stored=True)  # half the disk where it is bfloat16
    require_embeddings(tokenizer, model.get_input_embeddings().num_embeddings, config.pretrained)
    save_model(folder, model, tokenizer)
    folder.write_result(
        {
            "pretrained": config.pretrained,
            **_commit(model),
            "parameters": count_parameters(model),
            "vocabulary": len(tokenizer),
            **run_on.describe(),
        }
    )


def _commit(model: "PreTrainedModel") -> dict[str, str]:
    """Return the commit of a model of the hub, for the result; transformers notes it in the config."""
    commit = getattr(model.config, "_commit_hash", None)
    return {"revision": str(commit)} if commit else {}


def _source_of(pretrained: str) -> str:
    """Return what to load: the verified folder of a shipped model, else the folder or hub id itself."""
    if pretrained in SHIPPED_NAMES:
        return str(shipped_model(pretrained).verified_folder())
    return pretrained
