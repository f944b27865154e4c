"""Saving of one trace's annotation after each change, one write after another."""

import asyncio
from collections.abc import Callable, Mapping
from typing import Any

from cogtui.app.annotation.draft import AnnotationDraft
from cogtui.app.shell.resource_thread import ResourceThread
from cogtui.store import Store
from cogtui.store.user_data.annotations import HumanAnnotation, new_annotation
from pipelines.errors import CogtuiError


class AnnotationWriter:
    """Writes the annotation of one rollout and tracks what is on disk.

    Args:
        store: the index of the workspace, in its thread.
        rollout: id of the rollout.
        annotator: name of the annotator, `USER@HOST`.
        saved: the annotation on disk; None if there is none.
        on_written: called after every write, successful or not.
        more: further fields of every record that is written.
    """

    def __init__(
        self,
        store: ResourceThread[Store],
        rollout: str,
        annotator: str,
        saved: HumanAnnotation | None,
        on_written: Callable[[], None],
        more: Mapping[str, Any] | None = None,
    ) -> None:
        self._store = store
        self._rollout = rollout
        self._annotator = annotator
        self._on_written = on_written
        self._more = dict(more or {})
        self._latest = saved
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
        before = self._latest
        record = new_annotation(
            self._rollout, draft.text, self._annotator, after=before,
            spans=draft.spans, open=draft.open, rejected=draft.rejected, done=draft.done, basis=draft.basis,
            **self._more,
        )  # fmt: skip
        expected = None if before is None else before.stamp
        self._latest = record
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
            self._latest = self._saved  # a failed write is repeated with the next change
        self._on_written()
