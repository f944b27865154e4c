"""Prepares and runs one stage in this process, for the child process of a job and for `python -m pipelines`."""

import errno
import importlib.util
import time
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

from pydantic import ValidationError

from pipelines.errors import CogtuiError, InvalidInput, MissingRequirement, StageFailed
from pipelines.files import write_json
from pipelines.folder import StageFolder, StageInfo
from pipelines.shards import current_shard
from pipelines.stages import Inputs, StageConfig, StageKind, content_key, stage_kind
from pipelines.stages.settings import attempt_settings, settings_of, with_settings


def validated_config(kind: StageKind, raw: dict[str, Any], base: Path) -> StageConfig:
    """Validate the config of a stage; paths in it are relative to `base`.

    Raises:
        InvalidInput: some fields are wrong; lists each on a line of its own.
    """
    try:
        return kind.config_model().model_validate(raw, context={"base": base})
    except ValidationError as error:
        lines = [f"{'.'.join(map(str, item['loc'])) or kind.name}: {item['msg']}" for item in error.errors()]
        raise InvalidInput(f"the config of stage kind {kind.name} is not valid", detail="\n".join(lines)) from error


def prepare(
    kind_name: str, raw_config: dict[str, Any], out: Path, inputs: Iterable[Path], *, base: Path
) -> StageFolder:
    """Create the folder of a stage that runs without a recipe, or return the existing one.

    Raises:
        InvalidInput: the folder belongs to another stage, or the config is wrong.
    """
    kind = stage_kind(kind_name)
    config = validated_config(kind, raw_config, base)
    upstream = {StageFolder(path).key: path.absolute() for path in inputs}
    key = content_key(kind.name, config, upstream)
    folder = StageFolder(out)
    if (out / "stage.json").exists():
        if folder.key != key:
            raise InvalidInput(
                f"{out} belongs to another stage ({folder.key}, not {key})",
                remedy="Choose another --out, or delete it.",
            )
        return folder
    out.mkdir(parents=True, exist_ok=True)
    info = StageInfo(
        kind=kind.name,
        key=key,
        config=config.model_dump(mode="json"),
        inputs=tuple(sorted(upstream)),
        input_folders={key: str(path) for key, path in upstream.items()},
        name=kind.name,
        created=time.time(),
    )
    write_json(out / "stage.json", info.model_dump(mode="json"))
    return folder


def given_settings(kind_name: str, raw_config: dict[str, Any], *, base: Path) -> dict[str, Any]:
    """Return the settings in a config as a user wrote it, defaults included, by dotted path."""
    kind = stage_kind(kind_name)
    config = validated_config(kind, raw_config, base)
    return settings_of(type(config), config.model_dump(mode="json"))


def run_stage(folder: StageFolder, settings: Mapping[str, Any] | None = None) -> dict[str, Any]:
    """Run or continue the stage of a folder and return its result. A finished stage is not run again.

    Args:
        folder: of the stage.
        settings: config fields that change no result, by dotted path, instead of those in `stage.json`; by default
            those of the attempt that this process runs.

    Raises:
        MissingRequirement: a package that the stage needs is not installed for this Python.
        StageFailed: the disk is full, or the stage ended without a result.
        CogtuiError: raised by the stage.
    """
    done = folder.result()
    if done is not None:
        return done
    info = folder.info()
    kind = stage_kind(info.kind)
    require_packages(kind)
    planned = with_settings(kind.config_model(), info.config, attempt_settings() if settings is None else settings)
    config = validated_config(kind, planned, folder.path)
    inputs = Inputs.of(folder)
    for key, upstream in inputs.items():
        if upstream.result() is None:
            raise StageFailed(f"the input {key} is not done: it has no result.json", remedy="Run that stage first.")
    try:
        kind.run_function()(config, inputs, folder)
    except CogtuiError:
        raise
    except Exception as error:
        if not _disk_was_full(error):
            raise
        raise StageFailed(
            f"the disk is full: {getattr(error, 'filename', None) or folder.path}",
            detail="Nothing written so far is lost.",
            remedy="Free some space and run the recipe again with --retry; the stage continues.",
        ) from error
    result = folder.result()
    if result is None and (shard := current_shard()) is not None:
        return {"shard": shard.index, "of": shard.count}  # the run that gathers writes the result
    if result is None:
        raise StageFailed(f"stage kind {kind.name} ended without writing its result")
    return result


def _disk_was_full(error: BaseException) -> bool:
    """Return whether an error, or one of its causes, reports a full disk."""
    seen: BaseException | None = error
    while seen is not None:
        if isinstance(seen, OSError) and seen.errno in (errno.ENOSPC, errno.EDQUOT):
            return True
        # torch's zip writer reports a short write with this message.
        if isinstance(seen, RuntimeError) and "inline_container" in str(seen) and "unexpected pos" in str(seen):
            return True
        seen = seen.__cause__ or seen.__context__
    return False


def require_packages(kind: StageKind) -> None:
    """Check that the packages of a kind are installed, without importing them.

    Raises:
        MissingRequirement: some are missing; names them and the extra that installs them.
    """
    missing = [name for name in kind.packages if importlib.util.find_spec(name) is None]
    if missing:
        raise MissingRequirement(
            f"stage kind {kind.name} needs {', '.join(missing)}, not installed for this Python",
            remedy=f"Install the extra: pip install 'cogtui[{kind.extra}]'"
            if kind.extra
            else f"Install them: pip install {' '.join(missing)}",
        )
