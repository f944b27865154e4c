"""`[resources.NAME]` of a recipe: what a stage asks of the machine. Never part of a content key."""

import re
from pathlib import Path
from typing import Annotated, Final, Self

from pydantic import BaseModel, ConfigDict, Field, ValidationInfo, field_validator, model_validator

from pipelines.errors import InvalidInput
from pipelines.files import expand_user

_MEMORY: Final = re.compile(r"\d+(\.\d+)?[KMGT]B?", re.IGNORECASE)
_TIME: Final = re.compile(r"(?:(?P<days>\d+)-)?(?P<hours>\d+):(?P<minutes>[0-5]\d)(?::(?P<seconds>[0-5]\d))?")
_VARIABLE: Final = re.compile(r"[A-Za-z_][A-Za-z0-9_]*")


class Resources(BaseModel):
    """Cluster parameters of a stage. The local queue uses `gpus`, `cpus`, `python`, `environment` and `processes`."""

    model_config = ConfigDict(frozen=True, extra="forbid", strict=True, defer_build=True)

    partition: str | None = Field(None, description="Slurm partition.")
    account: str | None = Field(None, description="Slurm account to charge.")
    qos: str | None = Field(None, description="Slurm quality of service.")
    constraint: str | None = Field(None, description="Node features the job needs, as sbatch takes them.")
    nodes: Annotated[int, Field(ge=1)] = Field(1, description="Number of nodes.")
    processes: Annotated[int, Field(ge=1)] = Field(
        1, description="Processes a node; above 1 the stage starts under torchrun."
    )
    gpus: Annotated[int, Field(ge=0)] = Field(0, description="GPUs a node; locally, slots no two jobs share.")
    gpu_memory: str | None = Field(None, description="Memory of one GPU, e.g. 80G, for cogtui plan --memory.")
    cpus: Annotated[int, Field(ge=1)] = Field(1, description="CPU cores a node.")
    memory: str | None = Field(None, description="Memory a node, e.g. 64G.")
    time: str | None = Field(None, description="Time limit: H:MM, H:MM:SS or D-HH:MM:SS.")
    warn_s: Annotated[float, Field(gt=0, le=65_535)] | None = Field(
        None,
        description="Seconds before the time limit or a preemption at which the stage is asked to save; by default "
        "three times its last save, at least 60.",
    )
    sbatch: dict[str, str | int | bool] = Field(
        default_factory=dict, description="Further sbatch options by long name, e.g. { exclude = 'node7' }."
    )
    setup: tuple[str, ...] = Field((), description="Shell lines before the stage, e.g. module load cuda.", strict=False)
    python: Path | None = Field(
        None,
        description="Python interpreter of the stage, if not the launcher's own; relative to the recipe's folder.",
        strict=False,
    )
    environment: dict[str, str] = Field(default_factory=dict, description="Environment variables of the stage.")

    @field_validator("python")
    @classmethod
    def _python_is_beside_the_recipe(cls, value: Path | None, info: ValidationInfo) -> Path | None:
        if value is None:
            return None
        # Not resolved: the `python` of a virtual environment is a link, and works only through it.
        try:
            expanded = expand_user(value)
        except InvalidInput as error:
            raise ValueError(error.summary) from error
        return (Path((info.context or {}).get("base", ".")) / expanded).absolute()

    @field_validator("memory", "gpu_memory")
    @classmethod
    def _memory_has_a_unit(cls, value: str | None, info: ValidationInfo) -> str | None:
        if value is not None and (not _MEMORY.fullmatch(value) or not memory_bytes(value)):
            raise ValueError(f"{info.field_name} is a number above 0 with a unit K, M, G or T, e.g. 64G")
        return value

    @field_validator("time")
    @classmethod
    def _time_is_readable(cls, value: str | None) -> str | None:
        if value is not None and not _TIME.fullmatch(value):
            raise ValueError("time is H:MM, H:MM:SS or D-HH:MM:SS, e.g. 12:00:00")
        return value

    @field_validator("environment")
    @classmethod
    def _variables_have_names(cls, value: dict[str, str]) -> dict[str, str]:
        for name in value:
            if not _VARIABLE.fullmatch(name):
                raise ValueError(f"{name!r} is not a valid name of an environment variable")
        return value

    @model_validator(mode="after")
    def _warned_within_the_limit(self) -> Self:
        if self.warn_s is not None and self.minutes is not None and self.warn_s >= self.minutes * 60:
            raise ValueError(f"warn_s is {self.warn_s:g}, as long as the time limit or longer: {self.time}")
        return self

    @property
    def minutes(self) -> int | None:
        """The time limit in whole minutes, rounded up, as submitit takes it; None without a limit."""
        if self.time is None:
            return None
        match = _TIME.fullmatch(self.time)
        assert match is not None  # checked by the validator
        whole = int(match["days"] or 0) * 1440 + int(match["hours"]) * 60 + int(match["minutes"])
        return whole + (1 if int(match["seconds"] or 0) else 0)


def memory_bytes(text: str | None) -> int | None:
    """Return the bytes of `64G`, in units of 1024 as Slurm counts them; None for None."""
    if text is None:
        return None
    number, unit = re.fullmatch(r"([\d.]+)([KMGT])B?", text.upper()).groups()  # type: ignore[union-attr]
    return int(float(number) * 1024 ** (" KMGT".index(unit)))
