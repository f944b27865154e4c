"""Saving of one trace's annotation after each change, one write after another."""

import asyncio
from collections.abc import Callable

from cogtui.app.annotation.draft import AnnotationDraft
from cogtui.app.shell.resource_thread import ResourceThread
from cogtui.store import Store
from cogtui.store.user_data.annotations import HumanAnnotation, new_annotation
from pipelines.errors import CogtuiError


class AnnotationWriter:
    """Writes the annotation of one rollout and tracks what is on disk.

    Args:
        store: where it is written.
        rollout: id of the rollout.
        annotator: whose annotation it is.
        saved: what is on disk already.
        told: called when a write ended, well or not.
    """

    def __init__(
        self,
        store: ResourceThread[Store],
        rollout: str,
        annotator: str,
        saved: HumanAnnotation | None,
        told: Callable[[], None],
    ) -> None:
        self._store = store
        self._rollout = rollout
        self._annotator = annotator
        self._told = told
        self._standing = saved
        """The last record written or being written."""
        self._saved = saved
        """The last record known to be on disk."""
        self._writing = 0
        self.state = "" if saved is None else "saved"
        """For display: empty, `saving`, `saved`, or why saving failed."""

    @property
    def writing(self) -> bool:
        """Whether a write is in progress."""
        return self._writing > 0

    @property
    def failed(self) -> bool:
        """Whether the last write failed."""
        return self.state.startswith("NOT SAVED")

    def save(self, draft: AnnotationDraft) -> None:
        """Write the annotation; if another process has changed it, `failed` becomes true."""
        before = self._standing
        record = new_annotation(
            self._rollout, draft.text, self._annotator, after=before,
            spans=draft.spans, open=draft.open, rejected=draft.rejected, done=draft.done, basis=draft.basis,
        )  # fmt: skip
        expected = None if before is None else before.stamp
        self._standing = record
        self._writing += 1
        self.state = "saving"
        future = self._store.submit(lambda store: store.write_human([record], after=expected))
        future.add_done_callback(lambda done: self._written(record, done))

    def _written(self, record: HumanAnnotation, done: asyncio.Future[None]) -> None:
        self._writing -= 1
        error = done.exception() if not done.cancelled() else CogtuiError("the app was closed")
        if error is None:
            self._saved = record
            if not self._writing:
                self.state = "saved"
        elif not self.failed:
            self.state = f"NOT SAVED: {error}"
        if not self._writing:
            self._standing = self._saved  # a failed write is repeated with the next change
        self._told()
