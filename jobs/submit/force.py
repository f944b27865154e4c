"""Setting a finished stage's files aside, so that a forced attempt starts from nothing."""

from pathlib import Path
from typing import Final

from pipelines.errors import MissingRequirement

_STAYS: Final = frozenset({"stage.json", "attempts", "replaced"})


def set_aside(stage: Path, number: int) -> Path:
    """Moves what a stage wrote into `replaced/NNN/`, its `result.json` first; returns that folder.

    Raises:
        MissingRequirement: the folder cannot be written.
    """
    parent = stage / "replaced"
    place = parent / f"{number:03d}"
    try:
        parent.mkdir(exist_ok=True)
        while place.exists():
            number += 1
            place = parent / f"{number:03d}"
        place.mkdir()
        names = sorted((path.name for path in stage.iterdir()), key=lambda name: name != "result.json")
        for name in names:
            if name not in _STAYS:
                (stage / name).rename(place / name)
    except OSError as error:
        raise MissingRequirement(
            f"cannot set the files of {stage.name} aside: {error.strerror}",
            remedy="Mend the permissions and try again.",
        ) from error
    return place
