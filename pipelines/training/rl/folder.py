"""The stage folder as processes beyond the first see it: what they read is there, what they write goes nowhere."""

from collections.abc import Iterable

from pipelines.folder import StageFolder
from pipelines.records import Judgement, Metric, Rollout
from pipelines.streams import StreamWriter


class DiscardingStreamWriter(StreamWriter):
    """A stream with one writer elsewhere: this one writes nothing."""

    def _recall(self) -> None:
        """Reads nothing either."""

    def append(self, records: Iterable[Rollout | Metric | Judgement]) -> int:
        """Writes none of them."""
        return 0


class NonWritingFolder(StageFolder):
    """Reads like a stage folder; streams and progress are the first process's to write."""

    def stream(self, family: str, name: str) -> StreamWriter:
        """A writer that writes nothing."""
        return DiscardingStreamWriter(self.path, family, name)

    def report(
        self, done: float, total: float, unit: str, message: str = "", values: dict[str, float] | None = None
    ) -> None:
        """Writes nothing."""


def rank_folder(rank: int, folder: StageFolder) -> StageFolder:
    """The folder as process `rank` of a stage is to use it."""
    return folder if rank == 0 else NonWritingFolder(folder.path)
