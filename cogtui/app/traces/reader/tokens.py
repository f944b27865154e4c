"""Token boundaries of a text under a run's tokenizer."""

from pathlib import Path
from typing import Final

from jobs.workspace import Workspace
from pipelines.errors import InvalidInput, MissingRequirement, NotFound

_NAME: Final = "tokenizer.json"
_DEPTH: Final = 4
"""Number of levels of inputs searched for a tokenizer."""


def find_tokenizer(workspace: Workspace, stage: str, depth: int = _DEPTH) -> Path | None:
    """Return the tokenizer of a stage's rollouts: its own, else that of an input."""
    folder = workspace.folder(stage)
    places = [folder.artifacts / "model" / _NAME, *sorted(folder.path.glob(f"checkpoints/*/{_NAME}"))]
    places += sorted(folder.path.glob(f"checkpoints/*/*/{_NAME}"))
    for path in places:
        if path.is_file():
            return path
    try:
        inputs = folder.info().inputs if depth else ()
    except (InvalidInput, NotFound, OSError):
        return None
    return next((found for name in inputs if (found := find_tokenizer(workspace, name, depth - 1))), None)


def token_ranges(workspace: Workspace, stage: str, text: str) -> list[tuple[int, int]]:
    """Return the tokens of a text in order, as half-open code-point ranges.

    The text is tokenized again; the model may have produced it with other tokens.

    Raises:
        MissingRequirement: there is no tokenizer, or the library that reads it is not installed.
        InvalidInput: the file is no tokenizer, or the text has what no tokenizer takes (lone surrogates).
    """
    path = find_tokenizer(workspace, stage)
    if path is None:
        raise MissingRequirement(f"neither {stage} nor its inputs have a {_NAME}")
    try:
        from tokenizers import Tokenizer
    except ImportError:
        raise MissingRequirement("tokens need the tokenizers package", remedy="pip install 'cogtui[train]'") from None
    try:
        text.encode()
        found = Tokenizer.from_file(str(path)).encode(text, add_special_tokens=False)
    except UnicodeEncodeError:
        raise InvalidInput("this text has lone surrogates, which tokenizers do not accept") from None
    except Exception as error:  # the library raises no narrower type
        raise InvalidInput(f"{path} cannot be used: {error}") from None
    return [(start, end) for start, end in found.offsets if end > start]
