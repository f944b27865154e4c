"""Reading and checking the cards of shipped models. Imports no torch."""

import hashlib
import tomllib
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Final

from pipelines.errors import InvalidInput
from pipelines.files import canonical_json, file_sha256

SHIPPED_NAMES: Final = ("mini-plain", "mini-habits")

_FOLDER: Final = Path(__file__).parent
_CARD: Final = "card.toml"


@dataclass(frozen=True, slots=True)
class ShippedModel:
    """A base model of this package.

    Attributes:
        name: as `base.pretrained` names it in a recipe.
        folder: weights, config and tokenizer in the Hugging Face layout.
        summary: what it is, one sentence.
        recipe: the recipe that makes it again.
        stage: the stage of that recipe.
        parameters: number of parameters.
        figures: what it was measured to do; the card says how.
        sha256: digest of each file of the folder but the card.
    """

    name: str
    folder: Path
    summary: str
    recipe: str
    stage: str
    parameters: int
    figures: Mapping[str, float]
    sha256: Mapping[str, str]

    @property
    def digest(self) -> str:
        """One digest of all files; part of the content key of a stage that uses the model."""
        return hashlib.sha256(canonical_json(dict(self.sha256)).encode()).hexdigest()

    def verified_folder(self) -> Path:
        """Return the folder after checking every file against the card.

        Raises:
            InvalidInput: a file is missing or differs.
        """
        for name, expected in self.sha256.items():
            path = self.folder / name
            if not path.is_file():
                raise _damaged(f"{name} of the shipped model {self.name} is missing")
            if file_sha256(path) != expected:
                raise _damaged(f"{name} of the shipped model {self.name} differs from its card")
        return self.folder


def shipped_model(name: str, root: Path = _FOLDER) -> ShippedModel:
    """Return the model of that name; its files are not checked yet.

    Raises:
        InvalidInput: there is none, or its card cannot be read.
    """
    if name not in SHIPPED_NAMES:
        raise InvalidInput(f"no model {name!r} is shipped", remedy=f"Shipped models: {', '.join(SHIPPED_NAMES)}.")
    return _read(name, root / name.replace("-", "_"))


@cache
def _read(name: str, folder: Path) -> ShippedModel:
    try:
        card = tomllib.loads((folder / _CARD).read_text(encoding="utf-8"))
        return ShippedModel(
            name=name,
            folder=folder,
            summary=str(card["summary"]),
            recipe=str(card["recipe"]),
            stage=str(card["stage"]),
            parameters=int(card["parameters"]),
            figures={key: float(value) for key, value in card["figures"].items()},
            sha256={key: str(value) for key, value in card["sha256"].items()},
        )
    except (OSError, ValueError, KeyError) as error:
        raise _damaged(f"the card of the shipped model {name} cannot be read: {error!r}") from error


def _damaged(summary: str) -> InvalidInput:
    return InvalidInput(summary, remedy="Install cogtui again.")
