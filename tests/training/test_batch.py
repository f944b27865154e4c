"""Batches and chunks: the right token at the right place, nothing from padding."""

from dataclasses import dataclass
from typing import Any

import pytest
import torch

from pipelines.training.ppo.batch import RolloutBatch
from tests.training.helpers import CPU, PAD, tiny_model, trainer_of

pytestmark = pytest.mark.train


@dataclass(frozen=True)
class Row:
    """Looks like a drawn rollout."""

    prompt: tuple[int, ...]
    completion: tuple[int, ...]
    reward: float = 0.0
    log_probs: tuple[float, ...] | None = None


ROWS: list[Any] = [
    Row((5, 6), (7, 8, 9, 1), 1.0),
    Row((4,), (3, 1), 0.1),
    Row((2, 3, 4, 5), (6,), 0.0),
    Row((9, 8), (2, 2, 2, 2, 2, 1), 0.5),
]


def test_a_chunk_asks_for_every_generated_token_and_no_other() -> None:
    batch = RolloutBatch.from_rollouts(ROWS, PAD)
    micro_batch = batch.micro_batch([0, 2, 1], CPU.device)
    assert micro_batch.targets.tolist() == [7, 8, 9, 1, 6, 3, 1]
    assert micro_batch.ids.shape == (3, 6)
    # The position before each target is kept: its hidden state is what the target was drawn from.
    places = [(row, column) for row, column in micro_batch.target_mask.nonzero().tolist()]
    assert places == [(0, 1), (0, 2), (0, 3), (0, 4), (1, 3), (2, 0), (2, 1)]


def test_values_come_back_to_their_place() -> None:
    batch = RolloutBatch.from_rollouts(ROWS, PAD)
    target = torch.zeros(batch.mask.shape)
    micro_batch = batch.micro_batch([3, 1], CPU.device)
    values = torch.arange(1.0, 9.0)
    micro_batch.scatter(target, values)
    assert target[3].tolist() == [1, 2, 3, 4, 5, 6]
    assert target[1].tolist() == [7, 8, 0, 0, 0, 0]
    assert not target[[0, 2]].any()
    assert torch.equal(micro_batch.gather(target), values)


@pytest.mark.parametrize("size", [None, 1, 2, 3])
def test_chunks_are_of_similar_length_and_lose_nothing(size: int | None) -> None:
    batch = RolloutBatch.from_rollouts(ROWS, PAD)
    chunks = batch.group_rows(range(4), size, tokens=1000)
    assert sorted(row for chunk in chunks for row in chunk) == [0, 1, 2, 3]
    totals = [int(batch.lengths[row] + batch.prompt_lengths[row]) for chunk in chunks for row in chunk]
    assert totals == sorted(totals, reverse=True)
    if size is not None:
        assert max(map(len, chunks)) <= size


def test_chunks_without_a_size_are_bounded_in_tokens() -> None:
    rows: list[Any] = [Row((2,) * 99, (1,)) for _ in range(100)]
    batch = RolloutBatch.from_rollouts(rows, PAD)
    chunks = batch.group_rows(range(100), None, tokens=4099)
    assert [len(chunk) for chunk in chunks] == [40, 40, 20]


def test_estimates_are_those_of_each_row_alone_whatever_it_is_padded_with() -> None:
    model = tiny_model()
    trainer = trainer_of(model, micro_batch=3)
    torch.nn.init.normal_(trainer.value_network.head.weight)
    found = trainer.estimate(RolloutBatch.from_rollouts(ROWS, PAD), 0)
    other_padding = trainer.estimate(RolloutBatch.from_rollouts(ROWS, 11), 0)
    for row, each in enumerate(ROWS):
        ids = torch.tensor([each.prompt + each.completion])
        with torch.no_grad():
            output = model(input_ids=ids)
            hidden = trainer.value_network.backbone(input_ids=ids).last_hidden_state[0]
        log_probs = output.logits[0].log_softmax(-1)
        first = len(each.prompt) - 1
        for t, token in enumerate(each.completion):
            expected = log_probs[first + t]
            assert float(found.log_probs[row, t]) == pytest.approx(float(expected[token]), abs=1e-5)
            spread = float(-(expected.exp() * expected).sum())
            assert float(found.entropy[row, t]) == pytest.approx(spread, abs=1e-5)
            value = float(trainer.value_network.head(hidden[first + t]).detach())
            assert float(found.values[row, t]) == pytest.approx(value, abs=1e-5)
        beyond = slice(len(each.completion), None)
        for tensor in (found.log_probs, found.entropy, found.values):
            assert not tensor[row, beyond].any()
    assert found.reference is not None
    assert torch.allclose(found.reference, found.log_probs, atol=1e-6)
    assert torch.equal(found.log_probs, other_padding.log_probs)
    assert torch.equal(found.values, other_padding.values)


def test_log_probabilities_are_of_the_distribution_that_was_sampled() -> None:
    model = tiny_model()
    batch = RolloutBatch.from_rollouts(ROWS, PAD)
    trainer = trainer_of(model, sampling={"temperature": 2.0, "max_new_tokens": 8})
    found = trainer.estimate(batch, 0)
    with torch.no_grad():
        logits = model(input_ids=torch.tensor([[4, 3]])).logits[0, 0]
    assert float(found.log_probs[1, 0]) == pytest.approx(float((logits / 2).log_softmax(-1)[3]), abs=1e-5)
