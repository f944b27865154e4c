"""Judges that ask vLLM: by its server, and offline by its batch runner.

The model is made by hand: whatever it reads, it says one of two answers, whichever the schema allows.
"""

import contextlib
import json
import os
import socket
import subprocess
import sys
import time
import urllib.request
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from pipelines.folder import StageFolder
from pipelines.run import prepare, run_stage
from pipelines.streams import read_rollouts
from tests.training.helpers import run_alone
from tests.vllm.lab import ROOT

pytestmark = [pytest.mark.vllm, pytest.mark.slow]
COUNTED = '{"instances":[],"count":0}'
FACTS = '{"problem":true,"solution":false,"domain":"algebra"}'
CONTEXT = 4096
"""Less than the 8,192 tokens that a judge allows an answer."""
TEMPLATE = "{% for m in messages %}{{ m['role'] }}: {{ m['content'] }}\n{% endfor %}assistant:"
SERVED = ["--dtype", "float32", "--enforce-eager", "--max-model-len", str(CONTEXT)]


def make_model(path: Path) -> Path:
    """A model whose next token depends on the last one alone: an answer, then the end of the sequence."""
    import torch
    from tokenizers import AddedToken, Tokenizer, decoders, models, pre_tokenizers, trainers
    from transformers import LlamaConfig, LlamaForCausalLM, PreTrainedTokenizerFast

    made = Tokenizer(models.BPE())
    made.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    made.decoder = decoders.ByteLevel()
    texts = [each.read_text(encoding="utf-8") for each in sorted((ROOT / "pipelines").rglob("prompts/**/*.md"))]
    alphabet = pre_tokenizers.ByteLevel.alphabet()
    made.train_from_iterator(
        texts, trainers.BpeTrainer(vocab_size=2000, initial_alphabet=alphabet, show_progress=False)
    )
    made.add_special_tokens([AddedToken("<end>", special=True)])
    made.add_tokens([AddedToken(COUNTED), AddedToken(FACTS)])
    tokenizer = PreTrainedTokenizerFast(tokenizer_object=made, eos_token="<end>", pad_token="<end>")
    tokenizer.chat_template = TEMPLATE
    end, counted, facts = (tokenizer.convert_tokens_to_ids(each) for each in ("<end>", COUNTED, FACTS))
    config = LlamaConfig(
        vocab_size=len(tokenizer),
        hidden_size=64,
        intermediate_size=64,
        num_hidden_layers=1,
        num_attention_heads=2,
        num_key_value_heads=2,
        max_position_embeddings=CONTEXT,
        tie_word_embeddings=False,
        bos_token_id=None,
        eos_token_id=end,
        pad_token_id=end,
    )
    model = LlamaForCausalLM(config)
    with torch.no_grad():
        layer = model.model.layers[0]
        layer.self_attn.o_proj.weight.zero_()
        layer.mlp.down_proj.weight.zero_()
        reads, said = torch.zeros(64), torch.zeros(64)
        reads[0], said[1] = 1.0, 1.0
        model.model.embed_tokens.weight[:] = reads
        model.model.embed_tokens.weight[[counted, facts]] = said
        model.lm_head.weight.zero_()
        model.lm_head.weight[counted] = reads
        model.lm_head.weight[facts] = 0.9 * reads
        model.lm_head.weight[end] = said
    model.save_pretrained(path)
    tokenizer.save_pretrained(path)
    return path


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return make_model(tmp_path_factory.mktemp("model") / "answers")


@pytest.fixture
def url(model: Path, tmp_path: Path) -> Iterator[str]:
    """The address of a server with the model."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    module = "vllm.entrypoints.openai.api_server"
    command = [sys.executable, "-m", module, "--host", "127.0.0.1", "--port", str(port), "--model", str(model), *SERVED]
    environment = os.environ | {"VLLM_CPU_KVCACHE_SPACE": "1", "VLLM_NO_USAGE_STATS": "1", "DO_NOT_TRACK": "1"}
    with (tmp_path / "server.log").open("w") as log:
        server = subprocess.Popen(command, env=environment, stdout=log, stderr=log)
    try:
        until = time.monotonic() + 600
        while time.monotonic() < until:
            assert server.poll() is None, (tmp_path / "server.log").read_text()[-4000:]
            with contextlib.suppress(OSError), urllib.request.urlopen(f"http://127.0.0.1:{port}/health", timeout=5):
                break
            time.sleep(0.5)
        yield f"http://127.0.0.1:{port}/v1"
    finally:
        server.terminate()
        server.wait(60)


def judged(folder: StageFolder) -> dict[str, Any]:
    """The result of a judge stage."""
    found = folder.result()
    assert found is not None
    return found


def test_a_judge_asks_a_server_whose_context_is_shorter_than_its_answers(
    model: Path, url: str, inputs: list[Path], tmp_path: Path
) -> None:
    sampled = run_alone("sample", {"samples": 1, "sampling": {"max_new_tokens": 20}}, tmp_path / "sample", inputs)
    config = {"judge": f"vllm:{model}", "url": url, "concurrency": 4}
    result = judged(run_alone("judge", config, tmp_path / "judge", [sampled.path]))
    assert result["statuses"] == {"ok": 4 * len(list(read_rollouts(sampled.path)))}


def test_documents_are_classified_by_one_process(model: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("VLLM_CPU_KVCACHE_SPACE", "1")
    documents = tmp_path / "documents.jsonl"
    text = "Let x be the number of apples. Then x + {n} = 12, so we subtract on both sides and find the number x."
    documents.write_text("".join(json.dumps({"text": text.format(n=n)}) + "\n" for n in range(8)))
    config = {
        "documents": [str(documents)],
        "judge": f"vllm:{model}",
        "language": "",
        "chunk": 4,
        "offline": {"arguments": SERVED},
    }
    folder = prepare("classify", config, tmp_path / "classify", [], base=tmp_path)
    run_stage(folder)
    result = judged(folder)
    assert result["statuses"] == {"ok": 8 * 4}
    assert result["domains"] == {"algebra": 8}
    assert len(list(folder.path.glob("work/chunk-*/vllm/*.out.jsonl"))) == 2
    assert len(list(folder.path.glob("work/chunk-*/vllm/vllm.log"))) == 1, "the model was loaded once"
