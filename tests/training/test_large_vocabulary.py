"""A vocabulary of tens of thousands of tokens: the logits that exist at once are bounded, and nothing else changes."""

from typing import Any

import pytest
import torch

from pipelines.training.core.engine_configs import SamplingConfig
from pipelines.training.generation import row_dropping
from pipelines.training.generation.row_dropping import sample_tokens
from pipelines.training.ppo import networks
from pipelines.training.ppo.batch import RolloutBatch
from tests.training.helpers import PAD, tiny_model, trainer_of
from tests.training.memory_counter import peak_bytes
from tests.training.test_batch import Row

pytestmark = pytest.mark.train

VOCABULARY = 12_000
ROWS: list[Any] = [Row((5, 6), tuple(range(2 + row, 42 + row)), float(row % 2)) for row in range(4)]
ALL_LOGITS = 160 * VOCABULARY * 4
"""Bytes of the logits of all generated tokens."""


def update(monkeypatch: pytest.MonkeyPatch, bytes_at_once: int) -> tuple[dict[str, float], dict[str, Any], int]:
    """Metrics and weights after an update with this bound, and the peak of memory."""
    monkeypatch.setattr(networks, "LOGITS_BYTES", bytes_at_once)
    trainer = trainer_of(tiny_model(VOCABULARY), mini_batch=4, entropy=0.1)
    batch = RolloutBatch.from_rollouts(ROWS, PAD)
    with peak_bytes() as peak:
        metrics = trainer.update(batch, 0)
    return metrics, dict(trainer.policy.named_parameters()), peak.value


def test_logits_in_parts_change_the_memory_and_not_the_update(monkeypatch: pytest.MonkeyPatch) -> None:
    whole_metrics, whole, large = update(monkeypatch, ALL_LOGITS)
    metrics, parted, small = update(monkeypatch, ALL_LOGITS // 16)
    assert metrics == pytest.approx(whole_metrics, rel=1e-4, abs=1e-6)
    for name, value in whole.items():
        assert torch.allclose(parted[name], value, atol=2e-4), name  # a fiftieth of one AdamW step
    states = 4 * VOCABULARY * 16 * 8
    """Gradients and optimizer states of the embeddings of both networks, roughly."""
    assert large > 4 * ALL_LOGITS
    assert small < states + ALL_LOGITS


def test_rows_are_sampled_in_parts(monkeypatch: pytest.MonkeyPatch) -> None:
    logits = torch.randn(64, VOCABULARY, generator=torch.Generator().manual_seed(3))
    uniforms = torch.rand(64, dtype=torch.float64, generator=torch.Generator().manual_seed(4))
    sampling = SamplingConfig(top_p=0.9, top_k=0)
    with peak_bytes() as whole_peak:
        whole = sample_tokens(logits, uniforms, sampling)
    monkeypatch.setattr(row_dropping, "_SAMPLED_BYTES", 5 * VOCABULARY * 8)
    with peak_bytes() as parted_peak:
        parted = sample_tokens(logits, uniforms, sampling)
    assert torch.equal(parted, whole)
    assert len(set(whole.tolist())) > 30
    assert parted_peak.value < whole_peak.value / 8


def test_the_bound_is_in_bytes() -> None:
    assert networks.tokens_of_logits(151_936) * 151_936 * 4 <= networks.LOGITS_BYTES
    assert networks.tokens_of_logits(151_936) == 883
    assert networks.tokens_of_logits(10**9) == 1
