"""The network in torch: trained on labelled steps, then written down in small numbers."""

from collections import defaultdict
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from pipelines.behaviors.judges.prose.network import BAG_SCALE, DENSE_LIMIT, N_OUTPUTS, VocabularyIndex, vocabulary_rows
from pipelines.behaviors.judges.prose.train.labelled import Example

_HASH: Final = np.uint64(0xFFFFFFFF)


@dataclass(frozen=True, slots=True)
class TrainingSettings:
    """How the network is trained.

    Attributes:
        width: columns of the table that feed the recurrent head.
        inner: size of the dense features' layer.
        hidden: size of the GRU.
        problems: an n-gram is kept if texts of so many problems have it.
        chunk: clauses of a text trained on at once.
        batch: clauses of a batch.
        dropped: share of n-grams dropped in training.
    """

    seed: int = 0
    epochs: int = 6
    rate: float = 3e-3
    width: int = 32
    inner: int = 32
    hidden: int = 32
    problems: int = 5
    chunk: int = 48
    batch: int = 560
    dropped: float = 0.3
    start_bias: float = -3.5


def vocabulary_of(examples: Sequence[Example], problems: int) -> NDArray[np.uint32]:
    """Return the sorted hashes of the n-grams that occur in texts of at least so many problems."""
    grams = defaultdict(list)
    for example in examples:
        grams[example.trace.problem].append(np.unique(example.features.grams & _HASH))
    each = np.concatenate([np.unique(np.concatenate(found)) for found in grams.values()])
    values, count = np.unique(each, return_counts=True)
    return values[count >= problems].astype(np.uint32)


class _Clauses:
    """The clauses of all examples, ready for batches: table rows, dense features."""

    def __init__(self, examples: Sequence[Example], vocabulary: NDArray[np.uint32]) -> None:
        lookup = VocabularyIndex(vocabulary)
        found = [vocabulary_rows(lookup, example.features) for example in examples]
        self.rows = np.concatenate([rows for rows, _ in found])
        self.count = np.concatenate([count for _, count in found])
        self.first = np.concatenate([[0], self.count.cumsum()[:-1]])
        dense = np.vstack([example.features.dense for example in examples]).astype(np.float64)
        self.mean = dense.mean(0).astype(np.float32)
        self.inverse = (1 / (dense.std(0) + 1e-3)).astype(np.float32)
        scaled = (dense.astype(np.float32) - self.mean) * self.inverse
        self.dense = np.clip(scaled, -DENSE_LIMIT, DENSE_LIMIT).astype(np.float32)
        self.base = np.concatenate([[0], np.cumsum([example.features.n for example in examples])])


@dataclass(frozen=True, slots=True)
class _Chunk:
    """Clauses `low` to `high` of an example."""

    example: int
    low: int
    high: int


def _batches(examples: Sequence[Example], settings: TrainingSettings, rng: np.random.Generator) -> list[list[_Chunk]]:
    chunks = []
    for number, example in enumerate(examples):
        n, size = example.features.n, settings.chunk
        offset = int(rng.integers(0, size)) if n > size else 0
        edges = [0, *range(offset, n, size), n] if n > size else [0, n]
        chunks += [_Chunk(number, low, high) for low, high in pairwise(edges) if high > low]
    found: list[list[_Chunk]] = [[]]
    held = 0
    for at in rng.permutation(len(chunks)):
        chunk = chunks[int(at)]
        found[-1].append(chunk)
        held += chunk.high - chunk.low
        if held >= settings.batch:
            found.append([])
            held = 0
    return [batch for batch in found if batch]


@dataclass(frozen=True, slots=True)
class _Targets:
    """(pairs, 2) clause and step of a batch, (steps, 3) labels, (steps,) weights; a step cut by a chunk weighs 0."""

    pairs: NDArray[np.int64]
    labels: NDArray[np.float32]
    weights: NDArray[np.float32]


def _targets(examples: Sequence[Example], batch: Sequence[_Chunk]) -> _Targets:
    pairs, labels, weights = [], [], []
    clause = step = 0
    for chunk in batch:
        example = examples[chunk.example]
        inside = (example.pairs[:, 0] >= chunk.low) & (example.pairs[:, 0] < chunk.high)
        mine = example.pairs[inside]
        if len(mine):
            low, high = int(mine[0, 1]), int(mine[-1, 1]) + 1
            weight = example.weights[low:high].copy()
            cut = example.pairs[~inside, 1]
            weight[cut[(cut >= low) & (cut < high)] - low] = 0
            pairs.append(mine + np.array([clause - chunk.low, step - low]))
            labels.append(example.trace.labels[low:high])
            weights.append(weight)
            step += high - low
        clause += chunk.high - chunk.low
    if not pairs:
        return _Targets(np.zeros((0, 2), np.int64), np.zeros((0, N_OUTPUTS), np.float32), np.zeros(0, np.float32))
    return _Targets(np.concatenate(pairs), np.vstack(labels).astype(np.float32), np.concatenate(weights))


def train(examples: Sequence[Example], settings: TrainingSettings) -> dict[str, NDArray[Any]]:
    """Train a network; the result has the arrays of `pipelines.behaviors.judges.prose.network.Network`."""
    import torch
    from torch import nn
    from torch.nn import functional

    torch.set_num_threads(1)
    torch.use_deterministic_algorithms(True)
    torch.manual_seed(settings.seed)
    rng = np.random.default_rng(settings.seed)
    vocabulary = vocabulary_of(examples, settings.problems)
    clauses = _Clauses(examples, vocabulary)
    width, inner, hidden = settings.width, settings.inner, settings.hidden
    n_dense = clauses.dense.shape[1]
    table = nn.EmbeddingBag(len(vocabulary) + 1, width + 3 * N_OUTPUTS, mode="sum")
    nn.init.normal_(table.weight, 0, 0.05)
    table.weight.data[:, width:] = 0
    bag_bias = nn.Parameter(torch.zeros(width))
    dense_in = nn.Linear(n_dense, inner)
    wide = nn.Linear(n_dense, N_OUTPUTS)
    gru = nn.GRU(width + inner, hidden, bidirectional=True, batch_first=True)
    out = nn.Linear(width + inner + 2 * hidden, N_OUTPUTS)
    nn.init.zeros_(wide.weight)
    for layer in (wide, out):
        nn.init.constant_(layer.bias, settings.start_bias)
    drop = nn.Dropout(0.3)
    modules = nn.ModuleList([table, dense_in, wide, gru, out])
    parameters = [*modules.parameters(), bag_bias]
    optimizer = torch.optim.AdamW(parameters, lr=settings.rate, weight_decay=1e-4)

    def heads(batch: Sequence[_Chunk]) -> Iterator[Any]:
        """The logits of the linear, then of the recurrent head: (clauses, 3)."""
        at = np.concatenate([np.arange(c.low, c.high) + clauses.base[c.example] for c in batch])
        count = clauses.count[at]
        offset = np.concatenate([[0], count.cumsum()[:-1]])
        place = np.repeat(clauses.first[at] - offset, count) + np.arange(count.sum())
        kept = rng.random(len(place)) >= settings.dropped
        weight = np.repeat(BAG_SCALE / np.sqrt(count), count) * kept / (1 - settings.dropped)
        bag = table(
            torch.from_numpy(clauses.rows[place]),
            torch.from_numpy(offset),
            per_sample_weights=torch.from_numpy(weight.astype(np.float32)),
        )
        dense = torch.from_numpy(clauses.dense[at])
        length = [c.high - c.low for c in batch]
        linear = bag[:, width:]
        ends = np.cumsum(length)
        not_first, not_last = torch.ones(len(at), 1), torch.ones(len(at), 1)
        not_first[[0, *ends[:-1].tolist()]] = 0
        not_last[(ends - 1).tolist()] = 0
        behind = torch.roll(linear[:, N_OUTPUTS : 2 * N_OUTPUTS], 1, 0) * not_first
        before = torch.roll(linear[:, 2 * N_OUTPUTS :], -1, 0) * not_last
        yield linear[:, :N_OUTPUTS] + wide(dense) + behind + before
        seen = drop(torch.cat([torch.relu(bag[:, :width] + bag_bias), torch.relu(dense_in(dense))], 1))
        inside = torch.arange(max(length))[None] < torch.tensor(length)[:, None]
        padded = seen.new_zeros(len(length), max(length), seen.shape[1])
        padded[inside] = seen
        packed = nn.utils.rnn.pack_padded_sequence(padded, length, batch_first=True, enforce_sorted=False)
        context, _ = nn.utils.rnn.pad_packed_sequence(gru(packed)[0], batch_first=True)
        yield out(torch.cat([seen, drop(context[inside])], 1))

    done = 0
    modules.train()
    for _ in range(settings.epochs):
        batches = _batches(examples, settings, rng)
        for batch in batches:
            targets = _targets(examples, batch)
            clause, step = (torch.from_numpy(targets.pairs[:, column]) for column in (0, 1))
            labels = torch.from_numpy(targets.labels)
            weights = torch.from_numpy(targets.weights)[:, None]
            loss: Any = 0
            for logits in heads(batch):
                # A step is marked by any of its clauses: its odds are the sum of theirs.
                odds = torch.zeros_like(labels).index_add(0, step, torch.exp(logits[clause].clamp(-15, 12)))
                each = functional.binary_cross_entropy_with_logits(torch.log(odds + 1e-7), labels, reduction="none")
                loss = loss + (each * weights).sum() / weights.sum().clamp(min=1) * N_OUTPUTS
            share = done / (settings.epochs * len(batches) * 1.02)
            for group in optimizer.param_groups:
                group["lr"] = settings.rate * min(1, (done + 1) / 40) * max(0.0, 1 - share) + 1e-5
            optimizer.zero_grad()
            loss.backward()
            nn.utils.clip_grad_norm_(parameters, 1.0)
            optimizer.step()
            done += 1
    weights_of = {name: value.detach().numpy() for name, value in gru.state_dict().items()}
    small, scale = _quantised(table.weight.detach().numpy())
    return {
        "vocabulary": vocabulary,
        "table": small,
        "table_scale": scale,
        "bag_bias": bag_bias.detach().numpy().astype(np.float16),
        "dense_mean": clauses.mean,
        "dense_inverse": clauses.inverse,
        "dense_in": dense_in.weight.detach().numpy().T.astype(np.float16),
        "dense_bias": dense_in.bias.detach().numpy().astype(np.float16),
        "wide": wide.weight.detach().numpy().T.astype(np.float16),
        "wide_bias": wide.bias.detach().numpy().astype(np.float16),
        "gru_in": _both(weights_of, "weight_ih", 1).astype(np.float16),
        "gru_in_bias": _both(weights_of, "bias_ih", 0).astype(np.float16),
        "gru_hidden": np.stack([weights_of["weight_hh_l0"].T, weights_of["weight_hh_l0_reverse"].T]).astype(np.float16),
        "gru_hidden_bias": np.stack([weights_of["bias_hh_l0"], weights_of["bias_hh_l0_reverse"]])[:, None].astype(
            np.float16
        ),
        "out": out.weight.detach().numpy().T.astype(np.float16),
        "out_bias": out.bias.detach().numpy().astype(np.float16),
    }


def _both(weights: dict[str, NDArray[Any]], name: str, axis: int) -> NDArray[Any]:
    return np.concatenate([weights[f"{name}_l0"].T, weights[f"{name}_l0_reverse"].T], axis)


def _quantised(table: NDArray[np.float32]) -> tuple[NDArray[np.int8], NDArray[np.float32]]:
    """The table in whole numbers from -127 to 127, and the scale of each column; rare large values are cut off."""
    size = np.abs(table)
    scale = (np.minimum(size.max(0), np.quantile(size, 0.9995, axis=0)) / 127 + 1e-9).astype(np.float32)
    return np.clip(np.round(table / scale), -127, 127).astype(np.int8), scale
