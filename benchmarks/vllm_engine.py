"""The colocated vLLM engine beside bare `LLM.generate`, and a weight update: `python -m benchmarks.vllm_engine`.

Needs the environment of `make vllm-env`, or a GPU and requirements-gpu.txt. All generate the same prompts with one
engine, whose start is not counted. The bare call asks for tokens alone, or also for what the engine asks for: a seed
for each prompt, and log-probabilities.
"""

import argparse
import sys
import tempfile
import time
from collections.abc import Callable
from importlib.util import find_spec
from pathlib import Path
from typing import Any

# Hidden size, layers, heads, key heads, feed-forward size, vocabulary; the second is the shape of SmolLM2-135M.
MODELS = {
    "small": (256, 4, 4, 4, 1024, 2048),
    "135m": (576, 30, 9, 3, 1536, 49152),
}


def make_model(name: str, path: Path) -> Any:
    """Build a model with random weights and write it."""
    import torch
    from transformers import LlamaConfig, LlamaForCausalLM

    hidden, layers, heads, key_heads, wide, vocabulary = MODELS[name]
    torch.manual_seed(0)
    config = LlamaConfig(
        vocab_size=vocabulary,
        hidden_size=hidden,
        intermediate_size=wide,
        num_hidden_layers=layers,
        num_attention_heads=heads,
        num_key_value_heads=key_heads,
        max_position_embeddings=2048,
        tie_word_embeddings=True,
        bos_token_id=None,
        eos_token_id=1,
        pad_token_id=0,
    )
    model = LlamaForCausalLM(config).eval()
    model.save_pretrained(path)
    return model


def make_tokenizer(path: Path, vocabulary: int) -> Any:
    """Write a tokenizer of this many words, for vLLM to load."""
    from tokenizers import Tokenizer, models
    from transformers import PreTrainedTokenizerFast

    words = {"<pad>": 0, "<eos>": 1} | {f"w{index}": index for index in range(2, vocabulary)}
    tokenizer = PreTrainedTokenizerFast(
        tokenizer_object=Tokenizer(models.WordLevel(words, unk_token="<pad>")), eos_token="<eos>", pad_token="<pad>"
    )
    tokenizer.save_pretrained(path)
    return tokenizer


def start(name: str, path: Path, threads: int) -> tuple[Any, Any]:
    """Start a colocated engine on a model of this shape; return both."""
    import torch

    from pipelines.training.core.engine_configs import VLLMConfig
    from pipelines.training.core.runtime import Runtime
    from pipelines.training.generation.vllm import ColocatedVLLMEngine
    from pipelines.training.generation.vllm_settings import vllm_model

    torch.set_num_threads(threads)
    device = torch.device("cuda" if torch.cuda.is_available() else "cpu")
    runtime = Runtime(device, torch.bfloat16 if device.type == "cuda" else torch.float32)
    model = make_model(name, path)
    tokenizer = make_tokenizer(path, MODELS[name][-1])
    engine = ColocatedVLLMEngine(vllm_model(path, model, tokenizer, 1024), VLLMConfig(), runtime, model.to(device))
    engine.sync(0)
    return model, engine


def speed(path: Path, prompts: int, tokens: int, threads: int) -> None:
    """Print tokens per second of the engine and of bare calls, each the best of ten in turn."""
    import vllm

    from pipelines.training.core.engine_configs import SamplingConfig
    from pipelines.training.generation.engine import GenerationRequest

    _, engine = start("small", path, threads)
    texts = [tuple(2 + (index + step) % 2000 for step in range(32)) for index in range(prompts)]
    requests = [GenerationRequest(text, index) for index, text in enumerate(texts)]
    sampling = SamplingConfig(max_new_tokens=tokens)
    plain: dict[str, Any] = {"temperature": 1.0, "max_tokens": tokens, "detokenize": False, "stop_token_ids": [1]}
    alone = [vllm.SamplingParams(**plain)] * prompts
    seeded = [vllm.SamplingParams(**plain, seed=index, logprobs=0) for index in range(prompts)]

    def bare(settings: list[Any]) -> int:
        asked = [{"prompt_token_ids": list(text)} for text in texts]
        found = engine._llm.generate(asked, sampling_params=settings, use_tqdm=False)
        return sum(len(each.outputs[0].token_ids) for each in found)

    calls: dict[str, Callable[[], int]] = {
        "colocated": lambda: sum(len(each.tokens) for each in engine.generate(requests, sampling)),
        "bare LLM.generate": lambda: bare(alone),
        "bare with seeds and log-probabilities": lambda: bare(seeded),
    }
    # On one thread of a shared machine, the CPU time of this process is what the work costs.
    clock = time.process_time if threads == 1 else time.perf_counter
    best = dict.fromkeys(calls, 0.0)
    for _ in range(10):
        for name, call in calls.items():
            began = clock()
            best[name] = max(best[name], call() / (clock() - began))
    engine.close()
    print(f"{prompts} prompts of 32 tokens, up to {tokens} new ones, threads: {threads}")
    for name, found in best.items():
        print(f"  {name}: {found:.0f} tokens/s, {best['colocated'] / found:.2f}")


def sync(path: Path, threads: int) -> None:
    """Print how long the weights of a model of 135 million parameters take into the engine."""
    model, engine = start("135m", path, threads)
    found = []
    for step in range(1, 6):
        began = time.perf_counter(), time.process_time()
        engine.sync(step)
        found.append((time.perf_counter() - began[0], time.process_time() - began[1]))
    engine.close()
    wall, processor = (sorted(each)[2] for each in zip(*found, strict=True))
    millions = sum(each.numel() for each in model.parameters()) / 1e6
    print(f"weights of {millions:.0f} million parameters: {wall:.2f} s, {processor:.2f} s of CPU (medians of 5)")


def main() -> None:
    """Run one of the two measurements; each needs a process of its own."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("what", nargs="?", choices=["speed", "sync"], default="speed")
    parser.add_argument("--prompts", type=int, default=64)
    parser.add_argument("--tokens", type=int, default=128)
    parser.add_argument("--threads", type=int, default=1)
    given = parser.parse_args()
    if find_spec("vllm") is None:
        print(
            "vLLM is not installed for this Python: make vllm-env, then .venv-vllm/bin/python -m benchmarks.vllm_engine"
        )
        sys.exit(0)
    with tempfile.TemporaryDirectory() as folder:
        if given.what == "speed":
            speed(Path(folder), given.prompts, given.tokens, given.threads)
        else:
            sync(Path(folder), given.threads)


if __name__ == "__main__":
    main()
