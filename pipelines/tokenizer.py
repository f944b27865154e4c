"""Tokenizers: a word-level one with a closed vocabulary for small models, and loading and checking of any other.

In the word-level tokenizer a token is a word, a whole number or a fixed phrase. One space between two tokens is
implied; a newline and each further space are tokens. Decoding gives the exact text back.
"""

import re
from collections.abc import Iterable
from pathlib import Path
from typing import TYPE_CHECKING, Final

from pipelines.errors import InvalidInput
from pipelines.files import read_json

if TYPE_CHECKING:
    from transformers import PreTrainedTokenizerBase

PAD: Final = "<pad>"
EOS: Final = "<eos>"
UNKNOWN: Final = "<unk>"


def build_tokenizer(phrases: Iterable[str], texts: Iterable[str], numbers: range) -> "PreTrainedTokenizerBase":
    """Build a word-level tokenizer.

    Args:
        phrases: each is one token, even if it contains spaces.
        texts: each of their words is a token, e.g. those of the prompts.
        numbers: whole numbers, each of which is a token.
    """
    from tokenizers import Regex, Tokenizer, decoders, models, normalizers, pre_tokenizers
    from transformers import PreTrainedTokenizerFast

    whole = sorted(set(phrases), key=lambda phrase: (-len(phrase), phrase))
    words = {word for text in texts for word in text.split()} - set(whole)
    tokens = [*whole, *(str(number) for number in numbers), *sorted(words)]
    vocabulary = {token: index for index, token in enumerate((PAD, EOS, UNKNOWN, "\n", " "))}
    for token in tokens:
        vocabulary.setdefault(f" {token}", len(vocabulary))

    tokenizer = Tokenizer(models.WordLevel(vocabulary, unk_token=UNKNOWN))
    # Every word includes the space before it, even at the start of a text or line, so a number is always one token.
    tokenizer.normalizer = normalizers.Sequence(
        [normalizers.Replace(Regex(r"\n(?=\S)"), "\n "), normalizers.Replace(Regex(r"\A(?!\n)"), " ")]
    )
    spaced = "|".join(re.escape(phrase) for phrase in whole if " " in phrase)
    pieces = [r" \S+", r"\n", " "]
    if spaced:
        pieces.insert(0, rf" (?:{spaced})(?!\S)")
    tokenizer.pre_tokenizer = pre_tokenizers.Split(Regex("|".join(pieces)), "isolated")
    tokenizer.decoder = decoders.Sequence([decoders.Fuse(), decoders.Replace("\n ", "\n"), decoders.Strip(" ", 1, 0)])
    return PreTrainedTokenizerFast(
        tokenizer_object=tokenizer,
        pad_token=PAD,
        eos_token=EOS,
        unk_token=UNKNOWN,
        padding_side="left",
        clean_up_tokenization_spaces=False,
    )


def load_tokenizer(path: Path | str, revision: str | None = None) -> "PreTrainedTokenizerBase":
    """Load the tokenizer of a model folder or hub id.

    Raises:
        InvalidInput: no tokenizer, or it lacks an end-of-sequence or padding token.
    """
    return require_special_tokens(read_tokenizer(path, revision), str(path))


def read_tokenizer(path: Path | str, revision: str | None = None) -> "PreTrainedTokenizerBase":
    """Load the tokenizer of a model folder or hub id without checking its special tokens.

    Raises:
        InvalidInput: no tokenizer there.
    """
    from transformers import AutoTokenizer, PreTrainedTokenizerFast

    # For some architectures AutoTokenizer ignores the tokenizer in the folder.
    named = read_json(Path(path) / "tokenizer_config.json") or {}
    own = named.get("tokenizer_class") in ("TokenizersBackend", "PreTrainedTokenizerFast")
    loader = PreTrainedTokenizerFast if own else AutoTokenizer
    try:
        tokenizer: PreTrainedTokenizerBase = loader.from_pretrained(str(path), revision=revision or "main")
    except (OSError, ValueError) as error:
        raise InvalidInput(f"no tokenizer can be read from {path}", detail=str(error)) from error
    return tokenizer


def require_special_tokens(tokenizer: "PreTrainedTokenizerBase", where: str) -> "PreTrainedTokenizerBase":
    """Return the tokenizer after checking that it can end completions and pad batches.

    Raises:
        InvalidInput: no end-of-sequence or padding token.
    """
    if tokenizer.eos_token_id is None:
        raise InvalidInput(
            f"the tokenizer of {where} has no end-of-sequence token, so no completion would ever end",
            remedy="Set eos_token in its tokenizer_config.json, or choose another model.",
        )
    if tokenizer.pad_token_id is None:
        raise InvalidInput(
            f"the tokenizer of {where} has no padding token",
            remedy="Name an unused token of its vocabulary as pad_token in the base stage.",
        )
    return tokenizer


def require_embeddings(tokenizer: "PreTrainedTokenizerBase", rows: int, where: str) -> None:
    """Check that a model has an embedding for every token of its tokenizer.

    Args:
        tokenizer: of the model.
        rows: of its embedding.
        where: the model, for the message.

    Raises:
        InvalidInput: the tokenizer is larger: a text with one of its last tokens would end the stage with an index
            error.
    """
    if len(tokenizer) > rows:
        raise InvalidInput(
            f"the tokenizer of {where} has {len(tokenizer)} tokens, and its model embeddings for {rows}",
            detail=f"The first token without an embedding is {tokenizer.convert_ids_to_tokens(rows)!r}.",
            remedy="Use the tokenizer that belongs to the model, or enlarge the embeddings and save both again.",
        )


def encode(tokenizer: "PreTrainedTokenizerBase", text: str, *, prompt: bool = False) -> list[int]:
    """Return the token ids of a text.

    Args:
        tokenizer: any tokenizer.
        text: the text to encode.
        prompt: whether the text begins a sequence and gets the tokenizer's first token, e.g. BOS.

    Raises:
        InvalidInput: a closed vocabulary lacks a word, or the ids would not decode to the text.
    """
    ids: list[int] = list(tokenizer(text, add_special_tokens=prompt)["input_ids"])
    if prompt and ids and ids[-1] == tokenizer.eos_token_id:
        ids.pop()  # some tokenizers end every text, but the model must continue this one
    if has_closed_vocabulary(tokenizer) and decode(tokenizer, ids) != text:
        unknown = [word for word in text.split() if tokenizer.unk_token_id in tokenizer(word)["input_ids"]]
        raise InvalidInput(
            "a text cannot be written in the tokenizer's vocabulary",
            detail=f"unknown words: {', '.join(map(repr, unknown[:8]))}" if unknown else f"in {text[:80]!r}",
            remedy="Use the teacher's style and the prompts that the base stage made its tokenizer for.",
        )
    return ids


def decode(tokenizer: "PreTrainedTokenizerBase", ids: Iterable[int]) -> str:
    """Return the exact text of token ids, including special tokens."""
    return str(tokenizer.decode(list(ids), skip_special_tokens=False, clean_up_tokenization_spaces=False))


def has_closed_vocabulary(tokenizer: "PreTrainedTokenizerBase") -> bool:
    """Return whether there are texts that the tokenizer cannot encode, as for our word-level ones."""
    backend = getattr(tokenizer, "backend_tokenizer", None)
    return type(getattr(backend, "model", None)).__name__ == "WordLevel"
