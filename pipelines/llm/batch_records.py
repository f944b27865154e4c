"""Records of submitted batches, one small file each, written before the batch is submitted."""

from collections import Counter
from collections.abc import Iterator
from dataclasses import asdict, dataclass
from pathlib import Path

from pipelines.errors import InvalidInput
from pipelines.files import read_json, write_json


@dataclass(slots=True)
class BatchRecord:
    """One batch. It is written before the submission, so that a crash in between is detected."""

    tag: str
    """Name of its file, and its label at services that support labels."""
    ids: list[str]
    """Ids of its requests; after collection only of those without a reply."""
    intended: float
    """Time just before the submission, seconds since the epoch."""
    reserved: float = 0.0
    """Reserved budget, US dollars."""
    id: str | None = None
    """The service's id; None if it was never recorded."""
    collected: bool = False
    counts_as_try: bool = True
    """False if the service never started it."""


class BatchRecords:
    """The batch records in a folder, oldest first.

    Raises:
        InvalidInput: a file is damaged; names it.
    """

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        self.open: list[BatchRecord] = []
        """Batches that are not collected yet."""
        self.tries: Counter[str] = Counter()
        """Request id → number of batches it was in without a reply, including open ones."""
        self.batch_ids: set[str] = set()
        """The service's ids of all batches."""
        self._made = 0
        for path in sorted(folder.glob("*.json")):
            self._recall(path)
        self.open.sort(key=lambda batch: batch.intended)

    def _recall(self, path: Path) -> None:
        try:
            batch = BatchRecord(**read_json(path))
        except TypeError as error:
            raise InvalidInput(
                f"{path} is not a batch record", detail=str(error), remedy="Restore the file."
            ) from error
        self._made += 1
        if batch.id is not None:
            self.batch_ids.add(batch.id)
        if batch.counts_as_try:
            self.tries.update(batch.ids)
        if not batch.collected:
            self.open.append(batch)

    def create(self, ids: list[str], intended: float, reserved: float) -> BatchRecord:
        """Record a batch that is about to be submitted; the file is on disk when this returns."""
        self._made += 1
        batch = BatchRecord(f"{self._made:05d}-{ids[0]}", ids, intended, reserved)
        self.open.append(batch)
        self.tries.update(ids)
        self.save(batch)
        return batch

    def mark_submitted(self, batch: BatchRecord, batch_id: str) -> None:
        """Record the service's id of a batch."""
        batch.id = batch_id
        self.batch_ids.add(batch_id)
        self.save(batch)

    def mark_collected(self, batch: BatchRecord, unanswered: list[str], *, began: bool = True) -> None:
        """Record that a batch is collected.

        Args:
            batch: the batch.
            unanswered: its requests without a reply.
            began: whether the service started it.
        """
        for request_id in set(batch.ids).difference(unanswered if began else ()):
            self.tries[request_id] -= 1
            if not self.tries[request_id]:
                del self.tries[request_id]  # memory does not grow with the number of replies
        batch.ids, batch.collected, batch.counts_as_try = unanswered, True, began
        self.open.remove(batch)
        self.save(batch)

    def open_request_ids(self) -> Iterator[str]:
        """Iterate over the ids of the requests in open batches."""
        for batch in self.open:
            yield from batch.ids

    def save(self, batch: BatchRecord) -> None:
        """Write the file of a batch atomically and sync it."""
        write_json(self._folder / f"{batch.tag}.json", asdict(batch))
