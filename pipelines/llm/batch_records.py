"""What a stage remembers of its batches: one small file each, written before anything is submitted."""

from collections import Counter
from collections.abc import Iterator
from dataclasses import asdict, dataclass
from pathlib import Path

from pipelines.errors import InvalidInput
from pipelines.files import read_json, write_json


@dataclass(slots=True)
class BatchRecord:
    """A batch. Written before it is submitted, so that a crash in between is found out."""

    tag: str
    """Name of its file, and its label at services that keep one."""
    ids: list[str]
    """Ids of its requests; once collected, only of those that got no answer."""
    intended: float
    """When it was about to be submitted, seconds since the epoch."""
    reserved: float = 0.0
    """What was set aside for it, US dollars."""
    id: str | None = None
    """What the service calls it; None where that was never noted."""
    collected: bool = False
    counts_as_try: bool = True
    """False where the service never began it."""


class BatchRecords:
    """The batches of one piece of work, oldest first.

    Raises:
        InvalidInput: a file is damaged; names it.
    """

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        folder.mkdir(parents=True, exist_ok=True)
        self.open: list[BatchRecord] = []
        """Not collected yet."""
        self.tries: Counter[str] = Counter()
        """By request, the batches it was in without an answer, the open ones included."""
        self.batch_ids: set[str] = set()
        """Ids the service gave to any of them."""
        self._made = 0
        for path in sorted(folder.glob("*.json")):
            self._recall(path)
        self.open.sort(key=lambda batch: batch.intended)

    def _recall(self, path: Path) -> None:
        try:
            batch = BatchRecord(**read_json(path))
        except TypeError as error:
            raise InvalidInput(f"{path} is no record of a batch", detail=str(error), remedy="Restore it.") from error
        self._made += 1
        if batch.id is not None:
            self.batch_ids.add(batch.id)
        if batch.counts_as_try:
            self.tries.update(batch.ids)
        if not batch.collected:
            self.open.append(batch)

    def create(self, ids: list[str], intended: float, reserved: float) -> BatchRecord:
        """A batch about to be submitted, on disk when this returns."""
        self._made += 1
        batch = BatchRecord(f"{self._made:05d}-{ids[0]}", ids, intended, reserved)
        self.open.append(batch)
        self.tries.update(ids)
        self.save(batch)
        return batch

    def mark_submitted(self, batch: BatchRecord, batch_id: str) -> None:
        """Notes the service's id of a batch."""
        batch.id = batch_id
        self.batch_ids.add(batch_id)
        self.save(batch)

    def mark_collected(self, batch: BatchRecord, unanswered: list[str], *, began: bool = True) -> None:
        """Notes that nothing more is to be had from a batch.

        Args:
            batch: the batch.
            unanswered: its requests that got no answer.
            began: whether the service worked on it at all.
        """
        for request_id in set(batch.ids).difference(unanswered if began else ()):
            self.tries[request_id] -= 1
            if not self.tries[request_id]:
                del self.tries[request_id]  # memory does not grow with what is answered
        batch.ids, batch.collected, batch.counts_as_try = unanswered, True, began
        self.open.remove(batch)
        self.save(batch)

    def open_request_ids(self) -> Iterator[str]:
        """Ids of the requests in open batches."""
        for batch in self.open:
            yield from batch.ids

    def save(self, batch: BatchRecord) -> None:
        """Writes the file of a batch, whole and synced."""
        write_json(self._folder / f"{batch.tag}.json", asdict(batch))
