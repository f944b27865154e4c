"""The `pretrain` stage: continued pretraining on a curated set of documents, packed or text by text."""

from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

from pipelines.corpus.documents.examples import PretrainingExample, read_examples
from pipelines.errors import CogtuiError, InvalidInput
from pipelines.folder import StageFolder
from pipelines.stages import Inputs
from pipelines.tokenizer import encode, load_tokenizer
from pipelines.training.core import runtime
from pipelines.training.core.configs import PretrainConfig
from pipelines.training.core.metrics import read_last_metrics
from pipelines.training.core.model import count_parameters, save_model
from pipelines.training.core.trl_compat import pack_texts
from pipelines.training.supervised.sft import disable_dataset_progress, fine_tune

if TYPE_CHECKING:
    from datasets import Dataset
    from transformers import PreTrainedTokenizerBase

STREAM = "continued"


def run(config: PretrainConfig, inputs: Inputs, folder: StageFolder) -> None:
    """Train from the newest checkpoint if there is one; write `artifacts/model` and the result."""
    run_on = runtime.start(config)
    path = inputs.model()
    tokenizer = load_tokenizer(path)
    source = inputs.one("curate").artifact(f"{config.condition}.jsonl")
    disable_dataset_progress()
    dataset = build_dataset(config, source, tokenizer, folder)
    tokens = sum(len(mask) for mask in dataset["completion_mask"])
    learnt = sum(map(sum, dataset["completion_mask"]))
    model, steps = fine_tune(config, path, tokenizer, dataset, folder, run_on, stream=STREAM)
    save_model(folder, model, tokenizer, dtype=config.save_dtype)
    folder.write_result(
        {
            "condition": config.condition,
            "examples": sum(1 for _ in read_examples(source)),
            "rows": len(dataset),
            "tokens": tokens,
            "learnt_tokens": learnt,
            "steps": steps,
            **read_last_metrics(folder, STREAM),
            "parameters": count_parameters(model),
            **run_on.describe(),
        }
    )


def build_dataset(
    config: PretrainConfig, source: Path, tokenizer: "PreTrainedTokenizerBase", folder: StageFolder
) -> "Dataset":
    """Build the rows to train on; they are kept on disk and mapped into memory.

    Raises:
        InvalidInput: no examples, or one is too long or has a word outside the vocabulary; names it.
    """
    from datasets import Dataset
    from datasets.exceptions import DatasetGenerationError
    from datasets.fingerprint import Hasher

    cache = folder.path / "work"
    cache.mkdir(exist_ok=True)
    given = {"config": config, "source": source, "tokenizer": tokenizer}
    # The default fingerprint covers the tokenizer's internals, which differ between processes.
    mark = Hasher.hash((folder.key, config.model_dump_json()))
    try:
        dataset: Dataset = Dataset.from_generator(_rows, gen_kwargs=given, cache_dir=str(cache), fingerprint=mark)
    except DatasetGenerationError as error:
        if isinstance(error.__cause__, CogtuiError):
            raise error.__cause__ from error
        raise
    if not len(dataset):
        raise InvalidInput(f"{source.name} has no examples", remedy="Look at the data card of the curate stage.")
    if config.packing:
        dataset = pack_texts(dataset.shuffle(seed=config.seed, keep_in_memory=True), config.max_tokens)
    return dataset


def _rows(config: PretrainConfig, source: Path, tokenizer: "PreTrainedTokenizerBase") -> Iterator[dict[str, Any]]:
    for example in read_examples(source):
        yield _row(config, example, tokenizer)


def _row(config: PretrainConfig, example: PretrainingExample, tokenizer: "PreTrainedTokenizerBase") -> dict[str, Any]:
    try:
        prompt = encode(tokenizer, example.prompt, prompt=True) if example.prompt else []
        completion = encode(tokenizer, example.completion, prompt=not example.prompt)
    except InvalidInput as error:
        raise InvalidInput(
            f"example {example.id}: {error.summary}", detail=error.detail, remedy=error.remedy
        ) from error
    ids = [*prompt, *completion, int(tokenizer.eos_token_id)]
    if len(ids) > config.max_tokens and not config.packing:
        raise InvalidInput(
            f"example {example.id} has {len(ids)} tokens, more than {config.max_tokens}",
            remedy="Raise max_tokens in the pretrain stage, or set packing = true.",
        )
    unlearnt = len(prompt) if config.loss == "completion" else 0
    return {"input_ids": ids, "completion_mask": [0] * unlearnt + [1] * (len(ids) - unlearnt)}
