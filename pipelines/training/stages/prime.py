"""The `prime` stage: supervised fine-tuning on priming traces with TRL's SFTTrainer, loss on completions only."""

from typing import TYPE_CHECKING, Any

from pipelines.errors import InvalidInput
from pipelines.folder import StageFolder
from pipelines.stages import Inputs
from pipelines.tokenizer import encode, load_tokenizer
from pipelines.traces import TRACES_NAME, PrimingTrace, read_traces
from pipelines.training.core import runtime
from pipelines.training.core.configs import PrimeConfig
from pipelines.training.core.metrics import read_last_metrics
from pipelines.training.core.model import count_parameters, save_model
from pipelines.training.supervised.sft import disable_dataset_progress, fine_tune

if TYPE_CHECKING:
    from transformers import PreTrainedTokenizerBase


def run(config: PrimeConfig, inputs: Inputs, folder: StageFolder) -> None:
    """Train from the newest checkpoint if there is one; write `artifacts/model` and the result."""
    run_on = runtime.start(config)
    path = inputs.model()
    tokenizer = load_tokenizer(path)
    traces = list(read_traces(inputs.one("priming_data").artifact(TRACES_NAME)))
    examples = tokenize_traces(traces, tokenizer, config.max_tokens)
    disable_dataset_progress()

    from datasets import Dataset

    model, steps = fine_tune(config, path, tokenizer, Dataset.from_list(examples), folder, run_on, stream="priming")
    save_model(folder, model, tokenizer, dtype=config.save_dtype)
    folder.write_result(
        {
            "traces": len(examples),
            "steps": steps,
            "tokens": sum(sum(each["completion_mask"]) for each in examples),
            **read_last_metrics(folder, "priming"),
            "parameters": count_parameters(model),
            **run_on.describe(),
        }
    )


def tokenize_traces(
    traces: list[PrimingTrace], tokenizer: "PreTrainedTokenizerBase", max_tokens: int
) -> list[dict[str, Any]]:
    """Tokenize traces into rows with `input_ids` and `completion_mask`.

    Prompt and completion are tokenized separately, as in sampling.

    Raises:
        InvalidInput: no traces, or one is too long or has a word outside the vocabulary; names it.
    """
    if not traces:
        raise InvalidInput("there are no priming traces", remedy="Raise n in the priming_data stage.")
    examples = []
    for trace in traces:
        try:
            prompt = encode(tokenizer, trace.prompt, prompt=True)
            completion = [*encode(tokenizer, trace.completion), int(tokenizer.eos_token_id)]
        except InvalidInput as error:
            raise InvalidInput(
                f"trace {trace.id}: {error.summary}", detail=error.detail, remedy=error.remedy
            ) from error
        length = len(prompt) + len(completion)
        if length > max_tokens:
            raise InvalidInput(
                f"trace {trace.id} has {length} tokens, more than {max_tokens}",
                remedy="Raise max_tokens in the prime stage, or make shorter traces.",
            )
        mask = [0] * len(prompt) + [1] * len(completion)
        examples.append({"input_ids": prompt + completion, "completion_mask": mask})
    return examples
