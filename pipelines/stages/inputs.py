"""`Inputs`: the upstream folders of a stage."""

from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import Self

from pipelines.errors import NotFound
from pipelines.folder import StageFolder
from pipelines.stages.builtin import find_kind, kinds_that_write
from pipelines.stages.kinds import Output


class Inputs(Mapping[str, StageFolder]):
    """The upstream folders of a stage, by key."""

    def __init__(self, folders: Iterable[StageFolder]) -> None:
        self._folders = {folder.key: folder for folder in folders}

    def __getitem__(self, key: str) -> StageFolder:
        return self._folders[key]

    def __iter__(self) -> Iterator[str]:
        return iter(self._folders)

    def __len__(self) -> int:
        return len(self._folders)

    @classmethod
    def of(cls, folder: StageFolder) -> Self:
        """Return the inputs that a folder's `stage.json` names."""
        info = folder.info()
        return cls(StageFolder(Path(info.input_folders.get(key, folder.path.parent / key))) for key in info.inputs)

    def all_of(self, *kinds: str) -> list[StageFolder]:
        """Return all upstream folders of these kinds."""
        return [folder for folder in self._folders.values() if folder.info().kind in kinds]

    def one(self, *kinds: str) -> StageFolder:
        """Return the one upstream folder of these kinds.

        Raises:
            NotFound: none or several.
        """
        return _only(self.all_of(*kinds), kinds)

    def all_writing(self, output: Output) -> list[StageFolder]:
        """Return all upstream folders whose kind declares this output."""
        kinds = {folder: find_kind(folder.info().kind) for folder in self._folders.values()}
        return [folder for folder, kind in kinds.items() if kind is not None and output in kind.writes]

    def model_stage(self) -> StageFolder:
        """Return the folder of the one upstream stage that makes a model.

        Raises:
            NotFound: none or several.
        """
        found = self.all_writing("model")
        return found[0] if len(found) == 1 else _only(found, kinds_that_write("model"))

    def model(self) -> Path:
        """Return the folder of the one upstream model, in the Hugging Face layout."""
        return self.model_stage().artifact("model")


def _only(found: list[StageFolder], kinds: Iterable[str]) -> StageFolder:
    if len(found) != 1:
        raise NotFound(
            f"this stage needs one input of kind {' or '.join(kinds)}, got {len(found)}",
            remedy="Name it in the stage's `needs`.",
        )
    return found[0]
