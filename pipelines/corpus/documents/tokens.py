"""Counts the tokens of training examples by the tokenizer of the model to be trained."""

import hashlib
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from pipelines.errors import InvalidInput, MissingRequirement
from pipelines.stages import Inputs

WORDS = "words"
"""Name of a tokenizer that counts words, for trials without transformers."""


@dataclass(frozen=True, slots=True)
class TokenCounter:
    """Counts the tokens of an example, including the end-of-sequence token."""

    name: str
    sha256: str
    """SHA-256 of the tokenizer's file; empty if it has none."""
    count: Callable[[str, str], int]
    """(prompt, completion) → number of tokens. Raises InvalidInput for a word that a closed vocabulary lacks."""


def token_counter(name: str | None, revision: str | None, inputs: Inputs) -> TokenCounter:
    """Return the counter of a named tokenizer, or of the one upstream model.

    Raises:
        InvalidInput: there is neither, or the tokenizer cannot be read.
        MissingRequirement: transformers is not installed.
    """
    if name == WORDS:
        return TokenCounter(WORDS, "", lambda prompt, completion: len(prompt.split()) + len(completion.split()) + 1)
    upstream = inputs.all_writing("model")
    if name is None and len(upstream) != 1:
        raise InvalidInput(
            "a token budget needs a tokenizer",
            remedy="Name one (`tokenizer`: a hub id, a folder or words), or put a model's stage into needs.",
        )
    where: str | Path = name if name is not None else upstream[0].artifact("model")
    try:
        from pipelines.tokenizer import encode, read_tokenizer

        tokenizer = read_tokenizer(where, revision)
    except ModuleNotFoundError as error:
        raise MissingRequirement(
            "counting tokens needs transformers", remedy="Install the extra: pip install 'cogtui[train]'"
        ) from error

    def count(prompt: str, completion: str) -> int:
        if not prompt:
            return len(encode(tokenizer, completion, prompt=True)) + 1
        return len(encode(tokenizer, prompt, prompt=True)) + len(encode(tokenizer, completion)) + 1

    backend = getattr(tokenizer, "backend_tokenizer", None)
    digest = "" if backend is None else hashlib.sha256(backend.to_str().encode()).hexdigest()
    shown = name if name is not None else f"{upstream[0].key} (upstream)"
    return TokenCounter(shown, digest, count)
