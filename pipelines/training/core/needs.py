"""What a `base` stage of a given config needs: checked before any stage of a run starts."""

import shlex
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from pipelines.stages.needs import StageNeed
from pipelines.training.shipped import SHIPPED_NAMES


def base_needs(config: Mapping[str, Any]) -> list[StageNeed]:
    """Return what a `base` stage needs: the folder of its model, or a model of the hub in its cache."""
    pretrained = config.get("pretrained")
    if not isinstance(pretrained, str) or pretrained in SHIPPED_NAMES:
        return []
    if pretrained.startswith(("/", "./", "../", "~")):
        return [
            StageNeed("path", pretrained, "Set base.pretrained to the folder of a model, or to its name on the hub.")
        ]
    if Path(pretrained).is_dir():
        return []
    revision = config.get("revision")
    place = f"{pretrained}@{revision}" if revision else pretrained
    return [StageNeed("model", place, f"Fetch it on a machine with internet: cogtui fetch {shlex.quote(place)}")]
