"""Loads a model into sharded networks, run by torchrun from test_shard_loading.py: `loading_probe.py OUT MODEL`."""

import os
import sys
from pathlib import Path
from typing import Any

import torch
from transformers import AutoModelForCausalLM

from pipelines.files import write_json
from pipelines.training.core.model import gather_parameters, load_model
from pipelines.training.core.shard_loading import allocate_model, open_for_sharding
from pipelines.training.generation.inference_copy import copy_weights
from pipelines.training.ppo.fsdp import connect_ranks
from pipelines.training.ppo.trainer import PPOTrainer
from pipelines.training.stages.ppo import build_trainer
from tests.training.helpers import CPU, tiny_model, trainer_of

RANK = int(os.environ["RANK"])


def memory(name: str) -> int:
    """Bytes of a line of /proc/self/status, e.g. VmHWM, the peak of the resident set."""
    lines = Path("/proc/self/status").read_text().splitlines()
    return next(int(line.split()[1]) * 1024 for line in lines if line.startswith(f"{name}:"))


def compare(trainer: PPOTrainer, original: Any) -> dict[str, Any]:
    """How many parameters of each network are those of the model, to the bit."""
    known = dict(original.named_parameters())
    assert trainer.reference is not None
    found: dict[str, Any] = {}
    networks: dict[str, Any] = {
        "policy": trainer.policy,
        "critic": trainer.value_network,
        "reference": trainer.reference,
    }
    for name, network in networks.items():
        gathered = {key: value.clone() for key, value in gather_parameters(network)}
        stored = network.stored_names()
        found[name] = {
            "equal": sum(torch.equal(gathered[key], known[stored[key]]) for key in stored),
            "of": len(stored),
            "others": {key: float(value.abs().max()) for key, value in gathered.items() if key not in stored},
            "buffers": all(map(torch.equal, network.buffers(), original.buffers())),
        }
    return found


def main(out: Path, path: Path) -> None:
    """Write what this process found."""
    AutoModelForCausalLM.from_pretrained(out / "tiny")  # imports what loading needs, which is no part of the peak
    ranks = connect_ranks(CPU)
    config = trainer_of(tiny_model(), kl=0.1).config
    ranks.barrier()
    Path("/proc/self/clear_refs").write_text("5")  # the peak starts from here
    before = memory("VmRSS")
    model, weights = open_for_sharding(path)
    assert weights is not None
    trainer = build_trainer(config, model, CPU, ranks, weights)
    ranks.barrier()
    peak = memory("VmHWM") - before
    original = load_model(path)
    write_json(out / f"{RANK}.json", {"peak": peak, "networks": compare(trainer, original)})
    whole = allocate_model(path, torch.float32, torch.device("cpu"))
    copy_weights(trainer.policy.model, whole)
    if RANK == 0:
        whole.save_pretrained(out / "saved")
        original.save_pretrained(out / "original")
    ranks.barrier()


if __name__ == "__main__":
    main(Path(sys.argv[1]), Path(sys.argv[2]))
