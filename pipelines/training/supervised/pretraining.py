"""Pretraining of a small model: each optimizer step mixes the three kinds of base text.

A model that sees one kind per step forgets the others in between, verdicts first.
"""

import math
import random
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

import torch
from torch import Tensor

from pipelines.errors import InvalidInput, StageFailed
from pipelines.folder import StageFolder
from pipelines.records import Metric
from pipelines.signals import graceful
from pipelines.tasks.countdown.task import LoadedCountdown
from pipelines.tasks.loading import LoadedProblems
from pipelines.teachers.symbolic.base_texts import PretrainingSource, PretrainingText
from pipelines.training.core.checkpoint import TrainingCheckpoint
from pipelines.training.core.configs import PretrainingConfig
from pipelines.training.core.runtime import Runtime, memory_guard

if TYPE_CHECKING:
    from transformers import PreTrainedModel, PreTrainedTokenizerBase

IGNORED_LABEL: Final = -100
"""Label of a token that is not in the loss."""

_MOST_METRICS: Final = 200


def pretrain(
    config: PretrainingConfig,
    model: "PreTrainedModel",
    tokenizer: "PreTrainedTokenizerBase",
    draw: "DrawTexts",
    folder: StageFolder,
    runtime: Runtime,
    *,
    seed: int,
    checkpoint_every: int,
) -> None:
    """Train the model in place, from the newest checkpoint if there is one.

    Args:
        config: how long and how fast.
        model: trained in place.
        tokenizer: of the model.
        draw: returns the texts of one step by kind, from a generator of random numbers.
        folder: of the stage.
        runtime: the device.
        seed: seeds the texts of every step.
        checkpoint_every: steps between checkpoints; 0 for a default.

    Raises:
        InvalidInput: a text is longer than the model's positions.
        StageFailed: the loss is not finite, or out of memory.
    """
    optimizer = torch.optim.AdamW(
        model.parameters(), lr=config.learning_rate, betas=config.betas, weight_decay=config.weight_decay
    )
    schedule = torch.optim.lr_scheduler.LambdaLR(optimizer, learning_rate_multiplier(config))
    checkpoint = TrainingCheckpoint(folder, {"model": model, "optimizer": optimizer, "schedule": schedule})
    done = checkpoint.resume()
    every = checkpoint_every or max(100, config.steps // 10)
    shown = max(1, config.steps // _MOST_METRICS)
    model.train()
    with graceful() as stop, folder.stream("metrics", "pretraining") as metrics:
        while done < config.steps:
            texts = draw(random.Random(f"{seed}/{done}"))
            values = _step(config, model, tokenizer, texts, optimizer, runtime, done)
            schedule.step()
            if done % shown == 0 or done + 1 == config.steps:
                metrics.append([Metric(step=done, values=values)])
            done += 1
            folder.report(done, config.steps, "steps", values={"loss": values["loss"]})
            if done == config.steps or done % every == 0 or stop.requested:
                checkpoint.save(done, keep=1)
            stop.raise_if_requested()


def learning_rate_multiplier(config: PretrainingConfig) -> Callable[[int], float]:
    """Return the function step → multiplier of the learning rate: linear warm-up, constant, cosine to zero."""
    warmup = config.warmup * config.steps
    constant = max(warmup, config.constant * config.steps)

    def rate(step: int) -> float:
        if step < warmup:
            return (step + 1) / (warmup + 1)
        if step < constant:
            return 1.0
        return 0.5 * (1 + math.cos(math.pi * (step - constant) / max(1.0, config.steps - constant)))

    return rate


DrawTexts = Callable[[random.Random], "dict[str, list[PretrainingText]]"]
"""Returns the texts of one step, by kind, in the order of the loss weights."""


def countdown_texts(config: PretrainingConfig, loaded: LoadedCountdown) -> DrawTexts:
    """Return the texts of Countdown: linear solutions, documents and worksheets."""
    source = PretrainingSource(loaded.task, loaded.train)
    return lambda rng: sample_texts(config, source, rng)


def solved_texts(config: PretrainingConfig, loaded: LoadedProblems) -> DrawTexts:
    """Return the texts of another task: as many of its solved training problems as there are `linear` solutions."""
    pretraining_text = loaded.task.pretraining_text  # type: ignore[attr-defined]  # optional member, checked by the stage

    def draw(rng: random.Random) -> dict[str, list[PretrainingText]]:
        problems = [rng.choice(loaded.train) for _ in range(config.linear)]
        texts = [
            PretrainingText(loaded.task.prompt(problem), pretraining_text(problem, rng), ()) for problem in problems
        ]
        return {"linear": texts, "documents": [], "worksheets": []}

    return draw


def sample_texts(
    config: PretrainingConfig, source: PretrainingSource, rng: random.Random
) -> dict[str, list[PretrainingText]]:
    """Generate the texts of one step, by kind, in the order of the loss weights."""
    words = config.text_tokens
    # Short-circuits, so that a base without habits draws the same random numbers as before habits existed.
    shows_habits = [bool(config.habits) and rng.random() < config.habits for _ in range(config.linear)]
    return {
        "linear": [
            source.habit(rng, condition=config.habit_condition)
            if habit
            else source.linear(rng, correct=config.linear_correct)
            for habit in shows_habits
        ],
        "documents": [source.document(rng, words=words) for _ in range(config.documents)],
        "worksheets": [source.worksheet(rng, words=words) for _ in range(config.worksheets)],
    }


def _step(
    config: PretrainingConfig,
    model: "PreTrainedModel",
    tokenizer: "PreTrainedTokenizerBase",
    texts: dict[str, list[PretrainingText]],
    optimizer: torch.optim.Optimizer,
    runtime: Runtime,
    step: int,
) -> dict[str, float]:
    kinds = [kind for kind, weight in zip(texts, config.weights, strict=True) if texts[kind] and weight]
    weights = [weight for kind, weight in zip(texts, config.weights, strict=True) if kind in kinds]
    encoded = [tokenize_texts(texts[kind], tokenizer) for kind in kinds]
    packed = PackedTexts.pack(encoded, longest=int(model.config.max_position_embeddings)).to(runtime.device)
    what = f"pretraining step {step}, {packed.ids.shape[0]} rows × {packed.ids.shape[1]} tokens"
    with memory_guard(what, "Set fewer texts per step."):
        with runtime.autocast():
            logits = model(input_ids=packed.ids, position_ids=packed.positions, use_cache=False).logits
        losses = loss_per_kind(logits, packed, kinds=len(kinds))
        loss = losses @ losses.new_tensor(weights)
        loss.backward()
        total = float(loss.detach())
    values = {f"loss_{kind}": float(part) for kind, part in zip(kinds, losses.detach(), strict=True)}
    norm = float(torch.nn.utils.clip_grad_norm_(model.parameters(), config.max_grad_norm))
    if not math.isfinite(total) or not math.isfinite(norm):
        raise StageFailed(
            f"pretraining step {step} has the loss {total} and a gradient of length {norm}",
            remedy="Lower pretraining.learning_rate.",
        )
    optimizer.step()
    optimizer.zero_grad(set_to_none=True)
    return {"loss": total, **values, "grad_norm": norm, "learning_rate": float(optimizer.param_groups[0]["lr"])}


def loss_per_kind(logits: Tensor, packed: "PackedTexts", *, kinds: int) -> Tensor:
    """Return the mean cross-entropy over the labelled tokens of each kind, (kinds,).

    Args:
        logits: (rows, width, vocabulary).
        packed: the texts.
        kinds: number of kinds.
    """
    labels = packed.labels[:, 1:]
    each = torch.nn.functional.cross_entropy(
        logits[:, :-1].flatten(0, 1).float(), labels.flatten(), ignore_index=IGNORED_LABEL, reduction="none"
    ).view_as(labels)
    means = [each[(packed.kinds[:, 1:] == kind) & (labels != IGNORED_LABEL)].mean() for kind in range(kinds)]
    return torch.stack(means)


TokenizedText = tuple[list[int], list[int]]
"""Token ids and labels of one text."""


def tokenize_texts(texts: Sequence[PretrainingText], tokenizer: "PreTrainedTokenizerBase") -> list[TokenizedText]:
    """Tokenize texts and label their tokens.

    A text with a prompt ends with the end-of-sequence token; one without is an excerpt. Tokens of prompts and masked
    ranges have the label `IGNORED_LABEL`.

    Raises:
        InvalidInput: a word is not in the vocabulary.
    """
    prompts = tokenizer([text.prompt for text in texts])["input_ids"]
    found: Any = tokenizer([text.text for text in texts], add_special_tokens=False, return_offsets_mapping=True)
    encoded = []
    for text, prompt, ids, offsets in zip(texts, prompts, found["input_ids"], found["offset_mapping"], strict=True):
        end = [int(tokenizer.eos_token_id)] if text.prompt else []
        if tokenizer.unk_token_id in ids:
            raise InvalidInput(
                "a pretraining text has a word that is not in the tokenizer's vocabulary",
                remedy="Set tokenizer.style to the style of the pretraining text: plain.",
            )
        encoded.append((prompt + ids + end, [IGNORED_LABEL] * len(prompt) + _labels(text, ids, offsets) + end))
    return encoded


@dataclass(frozen=True, slots=True)
class PackedTexts:
    """Several texts per row, each with positions that start at 0; all tensors are (rows, width).

    Models of transformers read from positions that start again where one text ends, and let none see another.
    """

    ids: Tensor
    labels: Tensor
    """The first token of a text is never labelled: nothing precedes it."""
    positions: Tensor
    kinds: Tensor
    """Index of the text's kind; -1 on padding."""

    @classmethod
    def pack(cls, kinds: Sequence[Sequence[TokenizedText]], *, longest: int) -> "PackedTexts":
        """Pack texts of several kinds, the longest first, each into the first row with room for it.

        Raises:
            InvalidInput: a text has more than `longest` tokens.
        """
        texts = [(kind, ids, labels) for kind, found in enumerate(kinds) for ids, labels in found]
        texts.sort(key=lambda text: -len(text[1]))
        width = len(texts[0][1])
        if width > longest:
            raise InvalidInput(
                f"a pretraining text has {width} tokens, the model only {longest} positions",
                remedy="Raise architecture.max_positions or lower pretraining.text_tokens.",
            )
        rows: list[list[tuple[int, list[int], list[int]]]] = []
        room: list[int] = []
        for text in texts:
            row = next((row for row, left in enumerate(room) if left >= len(text[1])), None)
            if row is None:
                row = len(rows)
                rows.append([])
                room.append(width)
            rows[row].append(text)
            room[row] -= len(text[1])
        shape = (len(rows), width)
        packed = cls(
            torch.zeros(shape, dtype=torch.long),
            torch.full(shape, IGNORED_LABEL),
            torch.zeros(shape, dtype=torch.long),
            torch.full(shape, -1),
        )
        for row, content in enumerate(rows):
            at = 0
            for kind, ids, labels in content:
                place = slice(at, at + len(ids))
                packed.ids[row, place] = torch.tensor(ids)
                packed.labels[row, place] = torch.tensor([IGNORED_LABEL, *labels[1:]])
                packed.positions[row, place] = torch.arange(len(ids))
                packed.kinds[row, place] = kind
                at += len(ids)
        return packed

    def to(self, device: torch.device) -> "PackedTexts":
        """Return a copy on a device."""
        return PackedTexts(*(each.to(device) for each in (self.ids, self.labels, self.positions, self.kinds)))


def _labels(text: PretrainingText, ids: list[int], offsets: list[tuple[int, int]]) -> list[int]:
    labels = list(ids)
    ranges = iter(text.masked)
    start, stop = next(ranges, (0, 0))
    for index, (_, end) in enumerate(offsets):
        # A token may include the space before its word, which masked ranges exclude; hence the token's end decides.
        while stop and end > stop:
            start, stop = next(ranges, (0, 0))
        if start < end <= stop:
            labels[index] = IGNORED_LABEL
    return labels
