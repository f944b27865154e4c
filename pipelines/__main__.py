"""`python -m pipelines STAGE CONFIG --out DIR`: one stage alone, without recipe, queue or index.

CONFIG is a TOML file with the stage's own fields. A folder that already has its `stage.json` (as jobs
makes them) is run or continued with `python -m pipelines --folder DIR`.
"""

import argparse
import contextlib
import os
import sys
import tomllib
from pathlib import Path
from typing import Any, Final

from pipelines import signals
from pipelines.errors import CogtuiError, Interrupted, InvalidInput, MissingRequirement, NotFound
from pipelines.files import canonical_json, write_reserved
from pipelines.folder import ATTEMPT_VARIABLE, StageFolder
from pipelines.run import given_settings, prepare, run_stage
from pipelines.stages import STAGE_KINDS

EXIT_CODES: Final[tuple[tuple[type[CogtuiError], int], ...]] = (
    (InvalidInput, 2),
    (MissingRequirement, 3),
    (NotFound, 4),
    (Interrupted, signals.EXIT_INTERRUPTED),
)


def exit_code(error: CogtuiError) -> int:
    """Return the exit code of a stage process for an error; 1 where nothing more exact is known."""
    return next((code for kind, code in EXIT_CODES if isinstance(error, kind)), 1)


def main(arguments: list[str] | None = None) -> int:
    """Run one stage; returns the exit code."""
    kinds = ", ".join(sorted(STAGE_KINDS.builtin_names()))
    parser = argparse.ArgumentParser(prog="python -m pipelines", description="Run one stage alone.")
    parser.add_argument("stage", nargs="?", help=f"stage kind: {kinds}, or one of a plug-in")
    parser.add_argument("config", nargs="?", type=Path, help="TOML file with the stage's fields")
    parser.add_argument("--out", type=Path, help="the stage's folder")
    parser.add_argument("--input", type=Path, action="append", default=[], help="an upstream stage's folder")
    parser.add_argument("--folder", type=Path, help="run or continue the stage of this folder")
    given = parser.parse_args(arguments)
    signals.install()
    settings: dict[str, Any] | None = None
    try:
        if given.folder:
            place = given.folder
        elif given.stage and given.config and given.out:
            place, written = given.out, _read_toml(given.config)
            prepare(given.stage, written, place, given.input, base=given.config.parent)
            settings = given_settings(given.stage, written, base=given.config.parent)
        else:
            parser.error("give STAGE CONFIG --out DIR, or --folder DIR")
        # of a job standard output is a log; of a command it is the result, for programs
        log = sys.stdout if os.environ.get(ATTEMPT_VARIABLE) else sys.stderr
        result = run_stage(StageFolder(place, log=log), settings)
        if os.environ.get("RANK", "0") == "0":
            sys.stdout.write(canonical_json(result) + "\n")
    except CogtuiError as error:
        _record(error)
        sys.stderr.write(f"{error}\n")
        return exit_code(error)
    _leave_group()
    return 0


def _record(error: CogtuiError) -> None:
    """Write an error to the attempt's folder; on a full disk into the space that the worker reserved for it."""
    attempt = os.environ.get(ATTEMPT_VARIABLE)
    if not attempt:
        return
    path = Path(attempt) / "error.json"
    if isinstance(error, Interrupted) and path.exists():
        return  # another process of this stage failed, and torchrun stopped this one for it
    with contextlib.suppress(OSError):
        write_reserved(path, error.as_dict())


def _leave_group() -> None:
    """End torch's process group, where the stage was in one; after an error the others may never answer."""
    distributed = sys.modules.get("torch.distributed")
    if distributed is not None and distributed.is_available() and distributed.is_initialized():
        distributed.destroy_process_group()


def _read_toml(path: Path) -> dict[str, object]:
    try:
        return tomllib.loads(path.read_text(encoding="utf-8"))
    except OSError as error:
        raise NotFound(f"cannot read {path}: {error.strerror}") from error
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise InvalidInput(f"{path} is not valid TOML: {error}") from error


if __name__ == "__main__":
    sys.exit(main())
