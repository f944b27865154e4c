"""Loading a model into shards: the weights of the files to the bit, and no process ever holds a whole model."""

import filecmp
import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import torch

from pipelines.errors import InvalidInput
from pipelines.training.core.shard_loading import StoredWeights, allocate_model, build_empty_model, open_for_sharding
from tests.training.helpers import tiny_model

pytestmark = pytest.mark.train
PROBE = Path(__file__).with_name("loading_probe.py")


def load_in_two_processes(out: Path, model: Path) -> list[dict[str, Any]]:
    """What the two processes of the probe found."""
    launcher = [sys.executable, "-m", "torch.distributed.run", "--standalone", "--nproc-per-node=2"]
    done = subprocess.run(
        [*launcher, str(PROBE), str(out), str(model)],
        env=os.environ | {"OMP_NUM_THREADS": "1", "PYTHONPATH": str(PROBE.parents[2])},
        capture_output=True,
        text=True,
        timeout=600,
        check=False,
    )
    assert done.returncode == 0, done.stderr[-4000:]
    return [json.loads((out / f"{rank}.json").read_text()) for rank in range(2)]


def big_model(path: Path) -> int:
    """Write a model of 111 million parameters, in two files and bfloat16; return the number of parameters."""
    from transformers import Qwen2Config, Qwen2ForCausalLM

    torch.manual_seed(0)
    config = Qwen2Config(
        vocab_size=32_001,  # does not divide by two
        hidden_size=768,
        intermediate_size=2304,
        num_hidden_layers=9,
        num_attention_heads=12,
        num_key_value_heads=4,
        tie_word_embeddings=False,
    )
    model = Qwen2ForCausalLM(config).to(torch.bfloat16)
    model.generation_config.eos_token_id = [1, 7]
    model.save_pretrained(path, max_shard_size="150MB")
    return sum(parameter.numel() for parameter in model.parameters())


@pytest.mark.slow
def test_two_processes_load_their_shards_and_nothing_else(tmp_path: Path) -> None:
    n = big_model(tmp_path / "model")
    assert len(list((tmp_path / "model").glob("*.safetensors"))) > 1
    tiny_model().save_pretrained(tmp_path / "tiny")
    found = load_in_two_processes(tmp_path, tmp_path / "model")
    for each in found:
        for network in each["networks"].values():
            assert network["equal"] == network["of"] > 0
            assert network["buffers"]
    assert found[0]["networks"]["critic"]["others"] == {"head.weight": 0.0, "head.bias": 0.0}
    for file in sorted((tmp_path / "original").iterdir()):
        assert filecmp.cmp(file, tmp_path / "saved" / file.name, shallow=False), file.name
    # Half of policy, critic backbone and reference in float32 stay: 0.62 GB. The whole model in each process, copied
    # for critic and reference, took 1.25 GB.
    held = 4 * (3 * n - 32_001 * 768) / 2
    for each in found:
        assert held < each["peak"] < held + 0.05 * 4 * n + mapped_bytes(tmp_path / "model")


def mapped_bytes(model: Path) -> int:
    """The largest file of a model: pages of it that were read count as this process's until it is closed."""
    return max(file.stat().st_size for file in model.glob("*.safetensors"))


def test_an_empty_model_is_the_loaded_one_without_weights(tmp_path: Path) -> None:
    model = tiny_model()
    model.generation_config.eos_token_id = [1, 3]
    model.save_pretrained(tmp_path)
    empty = build_empty_model(tmp_path)
    assert all(parameter.is_meta for parameter in empty.parameters())
    assert empty.get_output_embeddings().weight is empty.get_input_embeddings().weight
    allocated = allocate_model(tmp_path, torch.bfloat16, torch.device("cpu"))
    assert {parameter.dtype for parameter in allocated.parameters()} == {torch.bfloat16}
    assert allocated.get_output_embeddings().weight is allocated.get_input_embeddings().weight
    for built in (empty, allocated):
        assert built.generation_config.eos_token_id == [1, 3]
        assert not built.training
        for one, other in zip(built.buffers(), model.buffers(), strict=True):
            assert torch.equal(one, other)


def test_files_with_other_names_are_loaded_whole(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    from safetensors.torch import load_file, save_file

    model = tiny_model()
    model.save_pretrained(tmp_path)
    stored = load_file(tmp_path / "model.safetensors")
    # As transformers itself saves a base model: without the prefix.
    save_file(
        {name.removeprefix("model."): value for name, value in stored.items()},
        tmp_path / "model.safetensors",
        metadata={"format": "pt"},
    )
    loaded, weights = open_for_sharding(tmp_path)
    assert weights is None
    assert "every process loads the whole model" in capsys.readouterr().err
    for one, other in zip(loaded.parameters(), model.parameters(), strict=True):
        assert torch.equal(one, other)


@pytest.mark.parametrize("damage", ["missing", "truncated"])
def test_damaged_files_are_named(tmp_path: Path, damage: str) -> None:
    tiny_model().save_pretrained(tmp_path)
    file = tmp_path / "model.safetensors"
    if damage == "missing":
        file.unlink()
    else:
        file.write_bytes(file.read_bytes()[:1000])
    with pytest.raises(InvalidInput, match="no model can be read from"):
        StoredWeights(tmp_path)
