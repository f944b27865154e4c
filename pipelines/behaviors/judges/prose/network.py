"""The network of the prose judge, in numpy: an n-gram table, a linear head and a recurrent head.

A clause is the scaled sum of its n-grams' rows. Of a row, the first `width` columns feed the recurrent head (with the
dense features, through a bidirectional GRU), the last nine are linear weights: three for the clause itself, three for
the clause behind it and three for the clause before it. The logits of the two heads are averaged.
"""

from dataclasses import dataclass
from typing import Any, Final, Self

import numpy as np
from numpy.typing import NDArray

from pipelines.behaviors.judges.prose.features import TextFeatures

Floats = NDArray[np.float32]

OUTPUTS: Final = ("verification", "backtracking", "subgoal")
"""Names of the columns of the logits."""
N_OUTPUTS: Final = len(OUTPUTS)
BAG_SCALE: Final = 3.0
DENSE_LIMIT: Final = 4.0
"""Standard deviations at which dense features are cut off."""
WINDOW: Final = 256
"""Clauses the GRU reads in one go; a longer text is read in windows."""
MARGIN: Final = 32
"""Clauses before and after a window that the GRU reads to know the context."""
_BLOCK: Final = 4_096
"""Clauses whose n-grams are looked up at once, which bounds memory."""
_OWNER: Final = np.uint64(32)
_HALF: Final = np.uint64(0xFFFFFFFF)


class VocabularyIndex:
    """Finds hashes in a sorted vocabulary by their upper bits: half the time of a binary search.

    Args:
        vocabulary: (v,) sorted hashes, at least one.
    """

    _BITS: Final = 18

    def __init__(self, vocabulary: NDArray[np.uint32]) -> None:
        self.vocabulary = vocabulary
        self._shift = np.uint32(32 - self._BITS)
        upper = vocabulary >> self._shift
        self._first = np.searchsorted(upper, np.arange(1 << self._BITS, dtype=np.uint32)).astype(np.int64)
        np.minimum(self._first, len(vocabulary) - 1, out=self._first)
        self._most = int(np.bincount(upper).max(initial=1))

    def find(self, hashed: NDArray[np.uint32]) -> NDArray[np.int64]:
        """Return the index of each hash that is in the vocabulary; another index for one that is not."""
        at: NDArray[np.int64] = self._first[hashed >> self._shift]
        short = np.flatnonzero(self.vocabulary[at] < hashed)
        last = len(self.vocabulary) - 1
        for _ in range(self._most):
            if not len(short):
                break
            at[short] = np.minimum(at[short] + 1, last)
            short = short[(self.vocabulary[at[short]] < hashed[short]) & (at[short] < last)]
        return at


def vocabulary_rows(lookup: VocabularyIndex, features: TextFeatures) -> tuple[NDArray[np.int64], Any]:
    """Look up the n-grams of a text.

    Args:
        lookup: the vocabulary.
        features: of the text.

    Returns:
        Rows of the table, clause by clause, each clause led by row 0, which every clause has; and the number of rows
        of each clause. An n-gram that a clause repeats counts once; one outside the vocabulary is left out.
    """
    hashed = (features.grams & _HALF).astype(np.uint32)
    at = lookup.find(hashed)
    known = lookup.vocabulary[at] == hashed
    owner = (features.grams[known] >> _OWNER).astype(np.int64)
    keys = np.concatenate([np.arange(features.n) << 32, (owner << 32) + at[known] + 1])
    keys.sort()
    first = np.empty(len(keys), bool)
    first[:1] = True
    np.not_equal(keys[1:], keys[:-1], out=first[1:])
    keys = keys[first]
    return keys & 0xFFFFFFFF, np.bincount(keys >> 32, minlength=features.n)


@dataclass(frozen=True, slots=True)
class Network:
    """The weights. `width` is the number of table columns of the recurrent head, `h` the size of the GRU.

    Attributes:
        vocabulary: (v,) uint32, sorted.
        table: (v + 1, width + 9) int8; row 0 belongs to every clause.
        table_scale: (width + 9,).
        bag_bias: (width,).
        dense_mean, dense_inverse: (d,) mean and inverse standard deviation of the dense features.
        dense_in, dense_bias: (d, e), (e,).
        wide, wide_bias: (d, 3), (3,) linear weights of the dense features.
        gru_in, gru_in_bias: (width + e, 6 h), (6 h,): forward reset, update, candidate; then backward.
        gru_hidden, gru_hidden_bias: (2, h, 3 h), (2, 1, 3 h).
        lookup: finds hashes in the vocabulary.
        out, out_bias: (width + e + 2 h, 3), (3,).
    """

    vocabulary: NDArray[np.uint32]
    table: NDArray[np.int8]
    table_scale: Floats
    bag_bias: Floats
    dense_mean: Floats
    dense_inverse: Floats
    dense_in: Floats
    dense_bias: Floats
    wide: Floats
    wide_bias: Floats
    gru_in: Floats
    gru_in_bias: Floats
    gru_hidden: Floats
    gru_hidden_bias: Floats
    out: Floats
    out_bias: Floats
    lookup: VocabularyIndex

    @classmethod
    def of(cls, arrays: dict[str, NDArray[Any]]) -> Self:
        """Make the network of the arrays of a model file.

        Raises:
            KeyError: an array is missing. ValueError: two arrays do not fit each other.
        """
        kept: dict[str, Any] = {
            name: arrays[name] if name in ("vocabulary", "table") else arrays[name].astype(np.float32)
            for name in cls.__slots__
            if name != "lookup"
        }
        network = cls(**kept, lookup=VocabularyIndex(kept["vocabulary"]))
        network._check()
        return network

    def _check(self) -> None:
        width, hidden = len(self.bag_bias), self.gru_hidden.shape[1]
        dense, inner = self.dense_in.shape
        expected = {
            "table": (len(self.vocabulary) + 1, width + 3 * N_OUTPUTS),
            "table_scale": (width + 3 * N_OUTPUTS,),
            "dense_mean": (dense,),
            "dense_inverse": (dense,),
            "dense_bias": (inner,),
            "wide": (dense, N_OUTPUTS),
            "wide_bias": (N_OUTPUTS,),
            "gru_in": (width + inner, 6 * hidden),
            "gru_in_bias": (6 * hidden,),
            "gru_hidden": (2, hidden, 3 * hidden),
            "gru_hidden_bias": (2, 1, 3 * hidden),
            "out": (width + inner + 2 * hidden, N_OUTPUTS),
            "out_bias": (N_OUTPUTS,),
        }
        for name, shape in expected.items():
            if getattr(self, name).shape != shape:
                raise ValueError(f"{name} has shape {getattr(self, name).shape}, not {shape}")

    def logits(self, features: TextFeatures) -> Floats:
        """Compute the (n, 3) logits of a text's clauses, columns as `OUTPUTS`."""
        bag = self._bag(features)
        width = len(self.bag_bias)
        dense = (features.dense - self.dense_mean) * self.dense_inverse
        np.clip(dense, -DENSE_LIMIT, DENSE_LIMIT, out=dense)
        seen = np.concatenate([bag[:, :width] + self.bag_bias, dense @ self.dense_in + self.dense_bias], 1)
        np.maximum(seen, 0, out=seen)
        linear = bag[:, width:]
        wide = linear[:, :N_OUTPUTS] + dense @ self.wide + self.wide_bias
        wide[1:] += linear[:-1, N_OUTPUTS : 2 * N_OUTPUTS]
        wide[:-1] += linear[1:, 2 * N_OUTPUTS :]
        context = self._context(seen @ self.gru_in + self.gru_in_bias)
        deep = np.concatenate([seen, context], 1) @ self.out + self.out_bias
        return np.asarray((wide + deep) / 2, np.float32)

    def _bag(self, features: TextFeatures) -> Floats:
        out = np.empty((features.n, self.table.shape[1]), np.float32)
        rows, count = vocabulary_rows(self.lookup, features)
        first = np.concatenate([[0], count.cumsum()])
        scale = (BAG_SCALE / np.sqrt(count)).astype(np.float32)
        for low in range(0, features.n, _BLOCK):
            high = min(low + _BLOCK, features.n)
            part = self.table[rows[first[low] : first[high]]].astype(np.float32)
            out[low:high] = np.add.reduceat(part, first[low:high] - first[low], 0) * scale[low:high, None]
        out *= self.table_scale
        return out

    def _context(self, driven: Floats) -> Floats:
        """Run both directions of the GRU. `driven`: (n, 6 h) inputs; returns (n, 2 h)."""
        n, hidden = len(driven), self.gru_hidden.shape[1]
        if n <= WINDOW:
            whole: Floats = self._gru(driven[None], np.array([n]))[0]
            return whole
        starts = np.arange(0, n, WINDOW)
        lows = np.maximum(starts - MARGIN, 0)
        highs = np.minimum(starts + WINDOW + MARGIN, n)
        out = np.empty((n, 2 * hidden), np.float32)
        for at in range(0, len(starts), 64):
            some = slice(at, at + 64)
            length = highs[some] - lows[some]
            block = np.zeros((len(length), int(length.max()), driven.shape[1]), np.float32)
            for row, (low, high) in enumerate(zip(lows[some], highs[some], strict=True)):
                block[row, : high - low] = driven[low:high]
            found = self._gru(block, length)
            for row, (low, start) in enumerate(zip(lows[some], starts[some], strict=True)):
                end = min(start + WINDOW, n)
                out[start:end] = found[row, start - low : end - low]
        return out

    def _gru(self, driven: Floats, length: NDArray[np.int64]) -> Floats:
        """(windows, time, 6 h) inputs and the length of each window; returns (windows, time, 2 h)."""
        windows, time, _ = driven.shape
        hidden = self.gru_hidden.shape[1]
        step = np.arange(time)[None]
        turned = np.where(step < length[:, None], length[:, None] - 1 - step, step)[:, :, None]
        both = driven.reshape(windows, time, 2, 3 * hidden)
        inputs = np.empty((time, 2, windows, 3 * hidden), np.float32)
        inputs[:, 0] = both[:, :, 0].swapaxes(0, 1)
        inputs[:, 1] = np.take_along_axis(both[:, :, 1], turned, 1).swapaxes(0, 1)
        states = np.empty((time, 2, windows, hidden), np.float32)
        state = np.zeros((2, windows, hidden), np.float32)
        recurrent = np.empty((2, windows, 3 * hidden), np.float32)
        gates, candidate = recurrent[..., : 2 * hidden], recurrent[..., 2 * hidden :]
        reset, update = gates[..., :hidden], gates[..., hidden:]
        for at in range(time):  # in place: half the time of a step is that of new arrays
            np.matmul(state, self.gru_hidden, out=recurrent)
            recurrent += self.gru_hidden_bias
            driving = inputs[at]
            gates += driving[..., : 2 * hidden]
            gates *= 0.5  # the logistic function as a hyperbolic tangent: it cannot overflow
            np.tanh(gates, out=gates)
            gates *= 0.5
            gates += 0.5
            candidate *= reset
            candidate += driving[..., 2 * hidden :]
            np.tanh(candidate, out=candidate)
            following = states[at]
            np.subtract(state, candidate, out=following)
            following *= update
            following += candidate
            state = following
        out = np.empty((windows, time, 2 * hidden), np.float32)
        out[..., :hidden] = states[:, 0].swapaxes(0, 1)
        out[..., hidden:] = np.take_along_axis(states[:, 1].swapaxes(0, 1), turned, 1)
        return out
