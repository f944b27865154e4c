"""The registry of stage kinds: name → config model, run function, what it needs upstream.

Everything here is light. A kind's config model is imported when a recipe names it, its run function
(and with it torch and friends) only by the process that runs the stage.
"""

import difflib
import hashlib
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from importlib import import_module
from pathlib import Path
from typing import Any, Final, Protocol, Self, cast

from pydantic import BaseModel, ConfigDict, ValidationInfo, model_serializer, model_validator

from pipelines.errors import InvalidInput, NotFound
from pipelines.files import canonical_json, file_sha256
from pipelines.folder import StageFolder
from pipelines.records import CONTRACT_VERSION

MODEL_KINDS: Final = ("base", "prime", "pretrain", "ppo")
"""Kinds that write `artifacts/model`: weights, config and tokenizer in the Hugging Face layout."""


class StageConfig(BaseModel):
    """Base of all stage configs. A field with `json_schema_extra={"in_key": False}` never changes results."""

    model_config = ConfigDict(frozen=True, extra="forbid", validate_default=True)

    def key_fields(self) -> dict[str, Any]:
        """The fields that decide what the stage computes, defaults included."""
        dumped = self.model_dump(mode="json", context={"for_key": True})
        return {name: value for name, value in dumped.items() if name not in self._outside_key()}

    @classmethod
    def _outside_key(cls) -> set[str]:
        outside = set()
        for name, field in cls.model_fields.items():
            extra = field.json_schema_extra
            if isinstance(extra, dict) and extra.get("in_key") is False:
                outside.add(name)
        return outside


class InputFile(BaseModel):
    """A file a config points to. Its content, not its place, is part of the key.

    Written as a plain path in a recipe, relative to the recipe's folder (validation context `base`).
    """

    model_config = ConfigDict(frozen=True, extra="forbid", defer_build=True)

    path: Path
    sha256: str

    @model_validator(mode="before")
    @classmethod
    def _from_path(cls, value: Any, info: ValidationInfo) -> Any:
        if not isinstance(value, str | Path):
            return value
        base = Path((info.context or {}).get("base", "."))
        path = (base / Path(value).expanduser()).absolute()
        if not path.is_file():
            raise ValueError(f"no such file: {path}")
        return {"path": path, "sha256": file_sha256(path)}

    def unchanged(self) -> Path:
        """The file, if its content is still what the stage was planned with.

        Raises:
            InvalidInput: it is gone or another: the stage would not be the one its key names.
        """
        if not self.path.is_file() or file_sha256(self.path) != self.sha256:
            raise InvalidInput(
                f"the file {self.path} is not what it was when this stage was planned",
                remedy="Put it back, or plan again: with another content this is another stage.",
            )
        return self.path

    @model_serializer(mode="wrap")
    def _for_key(self, handler: Any, info: Any) -> Any:
        if (info.context or {}).get("for_key"):
            return {"sha256": self.sha256}
        return handler(self)


@dataclass(frozen=True, slots=True)
class Upstream:
    """One thing a stage needs from upstream."""

    kinds: tuple[str, ...]
    required: bool = True
    many: bool = False
    """Whether several stages of these kinds may be given."""


class RunFunction(Protocol):
    """What runs a stage: reads config and inputs, writes the folder, resumes from it, writes the result last."""

    def __call__(self, config: Any, inputs: "Inputs", folder: StageFolder) -> None: ...


@dataclass(frozen=True, slots=True)
class StageKind:
    """A kind of stage as recipes name it."""

    name: str
    summary: str
    config_path: str
    """`module:Class`; the module imports nothing heavy."""
    run_path: str
    """`module:function`."""
    upstream: tuple[Upstream, ...] = ()
    packages: tuple[str, ...] = ()
    """Packages beyond the core that the run function imports."""
    extra: str = ""
    """The extra of this project that brings them."""

    def config_model(self) -> type[StageConfig]:
        """The config model of this kind."""
        return cast("type[StageConfig]", _load(self.config_path))

    def run_function(self) -> RunFunction:
        """The function that runs it. Imports what the stage needs."""
        return cast("RunFunction", _load(self.run_path))


def _load(path: str) -> Any:
    module, _, attribute = path.partition(":")
    return getattr(import_module(module), attribute)


class Inputs(Mapping[str, StageFolder]):
    """The upstream folders of a stage, by key."""

    def __init__(self, folders: Iterable[StageFolder]) -> None:
        self._folders = {folder.key: folder for folder in folders}

    def __getitem__(self, key: str) -> StageFolder:
        return self._folders[key]

    def __iter__(self) -> Any:
        return iter(self._folders)

    def __len__(self) -> int:
        return len(self._folders)

    @classmethod
    def of(cls, folder: StageFolder) -> Self:
        """The inputs that a folder's `stage.json` names."""
        info = folder.info()
        return cls(StageFolder(Path(info.input_folders.get(key, folder.path.parent / key))) for key in info.inputs)

    def all_of(self, *kinds: str) -> list[StageFolder]:
        """All upstream folders of these kinds."""
        return [folder for folder in self._folders.values() if folder.info().kind in kinds]

    def one(self, *kinds: str) -> StageFolder:
        """The one upstream folder of these kinds.

        Raises:
            NotFound: none or several.
        """
        found = self.all_of(*kinds)
        if len(found) != 1:
            raise NotFound(
                f"this stage needs one input of kind {' or '.join(kinds)}, got {len(found)}",
                remedy="Name it in the stage's `needs`.",
            )
        return found[0]

    def model(self) -> Path:
        """The folder of the one upstream model, in the Hugging Face layout."""
        return self.one(*MODEL_KINDS).artifact("model")


_PROBLEMS: Final = Upstream(("problems",))
_MODEL: Final = Upstream(MODEL_KINDS)
_TRAIN: Final = ("torch", "transformers")

KINDS: Final[dict[str, StageKind]] = {
    kind.name: kind
    for kind in (
        StageKind(
            "problems",
            "train and test problems of a task; of Countdown: solvable, deduplicated, disjoint",
            "pipelines.tasks.stage:ProblemsConfig",
            "pipelines.tasks.stage:run",
        ),
        StageKind(
            "base",
            "a small model built from a config and pretrained without behaviours, or an existing checkpoint",
            "pipelines.training.core.configs:BaseConfig",
            "pipelines.training.stages.base:run",
            (_PROBLEMS,),
            _TRAIN,
            "train",
        ),
        StageKind(
            "priming_data",
            "traces of one condition by a teacher, scored by the exact reward; or a control set of another set",
            "pipelines.teachers.stage:PrimingDataConfig",
            "pipelines.teachers.stage:run",
            (_PROBLEMS, Upstream(("priming_data",), required=False), Upstream(MODEL_KINDS, required=False)),
        ),
        StageKind(
            "prime",
            "supervised fine-tuning on priming data, completion-only loss",
            "pipelines.training.core.configs:PrimeConfig",
            "pipelines.training.stages.prime:run",
            (_MODEL, Upstream(("priming_data",))),
            (*_TRAIN, "trl", "datasets"),
            "train",
        ),
        StageKind(
            "corpus",
            "a corpus in miniature: documents of the symbolic teacher with and without behaviours",
            "pipelines.corpus.miniature.stage:CorpusConfig",
            "pipelines.corpus.miniature.stage:run",
            (_PROBLEMS,),
        ),
        StageKind(
            "classify",
            "judges a corpus of documents for the four behaviours; shardable",
            "pipelines.corpus.classify.stage:ClassifyConfig",
            "pipelines.corpus.classify.stage:run",
            (Upstream(("corpus",), required=False),),
        ),
        StageKind(
            "curate",
            "a rich and a minimised set of equal tokens from classified documents, rewritten or as they are",
            "pipelines.corpus.curate.stage:CurateConfig",
            "pipelines.corpus.curate.stage:run",
            (
                Upstream(("classify",)),
                Upstream(("problems",), required=False),
                Upstream(MODEL_KINDS, required=False),
            ),
        ),
        StageKind(
            "pretrain",
            "continued pretraining on one of the two sets of a curated corpus",
            "pipelines.training.core.configs:PretrainConfig",
            "pipelines.training.stages.pretrain:run",
            (_MODEL, Upstream(("curate",))),
            (*_TRAIN, "trl", "datasets"),
            "train",
        ),
        StageKind(
            "ppo",
            "PPO with a critic and the exact reward; rollouts, metrics, checkpoints, periodic evaluation",
            "pipelines.training.core.configs:PPOConfig",
            "pipelines.training.stages.ppo:run",
            (_PROBLEMS, _MODEL),
            _TRAIN,
            "train",
        ),
        StageKind(
            "sample",
            "rollouts of a checkpoint on the test problems",
            "pipelines.training.core.configs:SampleConfig",
            "pipelines.training.stages.sample:run",
            (_PROBLEMS, _MODEL),
            _TRAIN,
            "train",
        ),
        StageKind(
            "judge",
            "judges rollouts for the four behaviours, with spans",
            "pipelines.behaviors.judges.stage:JudgeConfig",
            "pipelines.behaviors.judges.stage:run",
            (Upstream(("ppo", "sample", "priming_data", "import"), many=True),),
        ),
    )
}


def stage_kind(name: str) -> StageKind:
    """The kind of that name.

    Raises:
        InvalidInput: there is none; names the nearest.
    """
    if name in KINDS:
        return KINDS[name]
    near = difflib.get_close_matches(name, KINDS, n=1)
    hint = f"Did you mean {near[0]}? " if near else ""
    raise InvalidInput(f"there is no stage kind {name!r}", remedy=f"{hint}Kinds: {', '.join(KINDS)}.")


def content_key(kind: str, config: StageConfig, upstream: Iterable[str]) -> str:
    """`kind-` and 12 hex digits of the sha256 over kind, config, upstream keys and contract version."""
    identity = {
        "kind": kind,
        "config": config.key_fields(),
        "upstream": sorted(upstream),
        "contract": CONTRACT_VERSION,
    }
    return f"{kind}-{hashlib.sha256(canonical_json(identity).encode()).hexdigest()[:12]}"
