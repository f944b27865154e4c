"""Writes the reports of a run. Whether they can be written is checked before anything starts."""

import os
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from cogtui.cli.console.output import narrate
from cogtui.cli.run.reports.outcome import RunOutcome
from pipelines.errors import InvalidInput, MissingRequirement
from pipelines.files import expand_user

SUMMARY_VARIABLE: Final = "GITHUB_STEP_SUMMARY"


@dataclass(frozen=True, slots=True)
class RunReports:
    """The files to write at the end of a run; None for those that are not wanted."""

    junit: Path | None = None
    summary: Path | None = None

    @classmethod
    def prepare(
        cls, junit: Path | None, *, github_summary: bool, environment: Mapping[str, str] = os.environ
    ) -> "RunReports":
        """Return the reports that were asked for.

        Raises:
            InvalidInput: a path is a folder. MissingRequirement: a file cannot be written there.
        """
        summary: Path | None = None
        if github_summary:
            stated = environment.get(SUMMARY_VARIABLE, "")
            summary = Path(stated) if stated else None
            if summary is None:
                narrate(f"{SUMMARY_VARIABLE} is not set: no summary is written")
            else:
                _check(summary, SUMMARY_VARIABLE)
        if junit is not None:
            junit = expand_user(junit).absolute()
            _check(junit, "--junit")
        return cls(junit, summary)

    def write(self, outcome: RunOutcome) -> MissingRequirement | None:
        """Write the reports; return the first error, so that it hides no error of the run."""
        first: MissingRequirement | None = None
        for path, write in ((self.junit, _write_junit), (self.summary, _write_summary)):
            if path is None:
                continue
            try:
                write(path, outcome)
            except OSError as error:
                first = first or MissingRequirement(f"the report {path} cannot be written: {error.strerror}")
        return first


def _check(path: Path, option: str) -> None:
    """Check that a file can be written, by writing one beside it."""
    if path.is_dir():
        raise InvalidInput(f"{option}: {path} is a folder", remedy="Name a file.")
    probe = path.with_name(f".{path.name}.{os.getpid()}.tmp")
    try:
        if path.exists():
            path.open("ab").close()
        else:
            probe.open("xb").close()
    except OSError as error:
        raise MissingRequirement(
            f"{option}: {path} cannot be written: {error.strerror}",
            remedy="Name a file in a folder that you can write.",
        ) from None
    finally:
        with suppress(OSError):
            probe.unlink(missing_ok=True)


def _write_junit(path: Path, outcome: RunOutcome) -> None:
    from cogtui.cli.run.reports.junit import junit_xml

    content = junit_xml(outcome)
    if path.exists() and not path.is_file():  # e.g. /dev/stdout
        path.write_bytes(content)
        return
    aside = path.with_name(f".{path.name}.{os.getpid()}.tmp")
    try:
        aside.write_bytes(content)
        aside.replace(path)
    except PermissionError:  # the file may be writable in a folder that is not
        path.write_bytes(content)
    finally:
        with suppress(OSError):
            aside.unlink(missing_ok=True)


def _write_summary(path: Path, outcome: RunOutcome) -> None:
    from cogtui.cli.run.reports.github import markdown_summary

    with path.open("a", encoding="utf-8", errors="replace") as stream:  # earlier steps of the job have written to it
        stream.write(markdown_summary(outcome) + "\n")
