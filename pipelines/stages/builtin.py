"""The stage kinds: those of this project, and those that plug-ins add through entry points `cogtui.stages`.

A look-up of a built-in kind never searches installed packages.
"""

from typing import Final

from pipelines.plugins import Registry
from pipelines.stages.kinds import Output, StageKind, Upstream, problem_of_kind

_PROBLEMS: Final = Upstream(("problems",))
_MODEL: Final = Upstream(writes=("model",))
_OPTIONAL_MODEL: Final = Upstream(writes=("model",), required=False)
_SAMPLES: Final = Upstream(("sample",), required=False)
_TRAIN: Final = ("torch", "transformers")

IMPORT: Final = StageKind(
    "import", "rollouts of other programs, taken over by `cogtui import`", "", "", writes=("rollouts", "traces")
)
"""Kind of the stages that imported files become. No recipe can name it: it has neither config nor function."""

_BUILTIN: Final = (
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
        upstream=(_PROBLEMS,),
        packages=_TRAIN,
        extra="train",
        writes=("model",),
        needs="pipelines.training.core.needs:base_needs",
    ),
    StageKind(
        "priming_data",
        "traces of one condition by a teacher, scored by the exact reward; or a control set of another set",
        "pipelines.teachers.configs:PrimingDataConfig",
        "pipelines.teachers.stage:run",
        upstream=(_PROBLEMS, Upstream(("priming_data",), required=False), _SAMPLES, _OPTIONAL_MODEL),
        writes=("traces",),
        result_table="pipelines.teachers.tables:priming_table",
        cost="pipelines.teachers.costs:billed_text",
    ),
    StageKind(
        "prime",
        "supervised fine-tuning on priming data, completion-only loss",
        "pipelines.training.core.configs:PrimeConfig",
        "pipelines.training.stages.prime:run",
        upstream=(_MODEL, Upstream(("priming_data",))),
        packages=(*_TRAIN, "trl", "datasets"),
        extra="train",
        writes=("model",),
    ),
    StageKind(
        "corpus",
        "a corpus in miniature: documents of the symbolic teacher with and without behaviours",
        "pipelines.corpus.miniature.stage:CorpusConfig",
        "pipelines.corpus.miniature.stage:run",
        upstream=(_PROBLEMS,),
    ),
    StageKind(
        "classify",
        "judges a corpus of documents for the four behaviours; shardable",
        "pipelines.corpus.classify.stage:ClassifyConfig",
        "pipelines.corpus.classify.stage:run",
        upstream=(Upstream(("corpus",), required=False),),
        writes=("documents",),
        result_table="pipelines.corpus.tables:classify_table",
        detail_table="pipelines.corpus.tables:classify_details",
        needs="pipelines.stages.needs:classify_needs",
    ),
    StageKind(
        "curate",
        "a rich and a minimised set of equal tokens from classified documents, rewritten or as they are",
        "pipelines.corpus.curate.stage:CurateConfig",
        "pipelines.corpus.curate.stage:run",
        upstream=(Upstream(("classify",)), Upstream(("problems",), required=False), _OPTIONAL_MODEL),
        result_table="pipelines.corpus.tables:curate_table",
        detail_table="pipelines.corpus.tables:curate_details",
        needs="pipelines.stages.needs:curate_needs",
    ),
    StageKind(
        "pretrain",
        "continued pretraining on one of the two sets of a curated corpus",
        "pipelines.training.core.configs:PretrainConfig",
        "pipelines.training.stages.pretrain:run",
        upstream=(_MODEL, Upstream(("curate",))),
        packages=(*_TRAIN, "trl", "datasets"),
        extra="train",
        writes=("model",),
        result_table="pipelines.training.core.tables:pretrain_table",
    ),
    StageKind(
        "ppo",
        "PPO with a critic and the exact reward; rollouts, metrics, checkpoints, periodic evaluation",
        "pipelines.training.core.configs:PPOConfig",
        "pipelines.training.stages.ppo:run",
        upstream=(_PROBLEMS, _MODEL),
        packages=_TRAIN,
        extra="train",
        writes=("model", "rollouts"),
        evaluates="training",
        result_table="pipelines.training.core.tables:ppo_table",
        needs="pipelines.stages.needs:engine_needs",
        launches_itself="pipelines.stages.needs:engine_launches_itself",
    ),
    StageKind(
        "sample",
        "rollouts of a checkpoint on the test problems",
        "pipelines.training.core.configs:SampleConfig",
        "pipelines.training.stages.sample:run",
        upstream=(_PROBLEMS, _MODEL),
        packages=_TRAIN,
        extra="train",
        writes=("rollouts",),
        evaluates="once",
        result_table="pipelines.training.core.tables:sample_table",
        needs="pipelines.stages.needs:engine_needs",
    ),
    StageKind(
        "judge",
        "judges rollouts for the four behaviours, with spans",
        "pipelines.behaviors.judges.stage:JudgeConfig",
        "pipelines.behaviors.judges.stage:run",
        upstream=(Upstream(writes=("rollouts", "traces"), many=True),),
        result_table="pipelines.behaviors.judges.tables:judge_table",
    ),
)


def _problem_of(kind: object) -> str | None:
    if isinstance(kind, StageKind) and kind.name == IMPORT.name:
        return f"the name {kind.name!r} is used for imported files"
    return problem_of_kind(kind)


STAGE_KINDS: Final[Registry[StageKind]] = Registry(
    "cogtui.stages", "stage kind", {kind.name: kind for kind in _BUILTIN}, _problem_of
)
"""All kinds that a recipe can name."""


def stage_kind(name: str) -> StageKind:
    """Return the kind of that name.

    Raises:
        InvalidInput: there is none; names the nearest and, if a plug-in of that name was skipped, why.
    """
    return STAGE_KINDS.get(name)


def find_kind(name: str) -> StageKind | None:
    """Return the kind of that name, `import` included; None where nothing here knows it."""
    if name == IMPORT.name:
        return IMPORT
    return STAGE_KINDS.get(name) if name in STAGE_KINDS else None


def accepted_kinds(*upstream: Upstream) -> list[str]:
    """Return the names of all kinds that one of these inputs can be, for messages. Searches installed packages."""
    kinds = [STAGE_KINDS.get(name) for name in STAGE_KINDS.names()]
    return [kind.name for kind in (*kinds, IMPORT) if any(one.accepts(kind) for one in upstream)]


def kinds_that_write(output: Output) -> list[str]:
    """Return the names of all kinds with an output, for messages. Searches installed packages."""
    return accepted_kinds(Upstream(writes=(output,)))
