"""What the shipped base models do before any training, and how they get into the package.

    python -m benchmarks.bases                         # measure the shipped models
    python -m benchmarks.bases --pack mini-plain STAGE # take over the model of a finished `base` stage folder

The models are made by `cogtui run examples/bases-mini.toml`. Figures: 120 held-out problems of the miniature, four
completions each at temperature 1, behaviours by the rules judge.
"""

import argparse
import shutil
import tempfile
from pathlib import Path
from typing import Any, Final

from pipelines.behaviors.judges.rules import judge_completion
from pipelines.files import file_sha256
from pipelines.run import prepare, run_stage
from pipelines.streams import read_rollouts
from pipelines.training.shipped import SHIPPED_NAMES, shipped_model

MINI_PROBLEMS: Final[dict[str, Any]] = {
    "train": 363,
    "test": 120,
    "sizes": [3],
    "number_range": [1, 9],
    "target_range": [10, 30],
    "distinct": True,
    "arithmetic": {"operations": "+-*", "minimum": 0, "maximum": 50},
    "template": "mini",
}
SUMMARIES: Final = {
    "mini-plain": "Pretrained on linear solutions, documents with verdicts, and worksheets: none of the four "
    "behaviours.",
    "mini-habits": "As mini-plain, but 15 % of its linear solutions were short searches with backtracking and "
    "verification.",
}
_BEHAVIORS: Final = ("verification", "backtracking", "subgoal", "backward_chaining")
_FILES: Final = (
    "config.json",
    "generation_config.json",
    "model.safetensors",
    "tokenizer.json",
    "tokenizer_config.json",
)


def measure(pretrained: str, *, samples: int = 4) -> dict[str, float]:
    """Sample the model on the held-out problems of the miniature.

    Args:
        pretrained: a shipped model, or a model folder.
        samples: completions of each of the 120 problems.

    Returns:
        Means over completions: accuracy, tokens, share truncated, and the count of each behaviour.
    """
    with tempfile.TemporaryDirectory() as folder:
        root = Path(folder)

        def run(kind: str, config: dict[str, Any], inputs: list[Path]) -> Path:
            out = root / kind
            run_stage(prepare(kind, config, out, inputs, base=root))
            return out

        problems = run("problems", MINI_PROBLEMS, [])
        base = run("base", {"pretrained": pretrained, "device": "cpu"}, [problems])
        config = {"split": "test", "samples": samples, "sampling": {"max_new_tokens": 192}, "device": "cpu"}
        rollouts = list(read_rollouts(run("sample", config, [problems, base])))
    counts = dict.fromkeys(_BEHAVIORS, 0)
    for rollout in rollouts:
        numbers, target = rollout.problem["numbers"], rollout.problem["target"]
        for span in judge_completion(rollout.completion, numbers, target).spans:
            counts[span.behavior] += 1
    n = len(rollouts)
    return {
        "accuracy": round(sum(bool(rollout.correct) for rollout in rollouts) / n, 4),
        "tokens": round(sum(rollout.n_tokens for rollout in rollouts) / n, 1),
        "truncated": round(sum(rollout.finish_reason == "length" for rollout in rollouts) / n, 4),
        **{f"{behavior}_per_completion": round(count / n, 3) for behavior, count in counts.items()},
    }


def pack(name: str, stage: Path) -> None:
    """Copy the model of a `base` stage into the package and write its card."""
    folder = shipped_folder(name)
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir(parents=True)
    source = stage / "artifacts" / "model"
    for file in _FILES:
        shutil.copyfile(source / file, folder / file)
    from pipelines.training.core.model import count_parameters, load_model

    figures = measure(str(folder))
    lines = [
        "# Measured by `python -m benchmarks.bases`: 120 held-out problems, four completions each at temperature 1.",
        f'summary = "{SUMMARIES[name]}"',
        'recipe = "examples/bases-mini.toml"',
        f'stage = "{name.replace("-", "_")}"',
        f"parameters = {count_parameters(load_model(folder))}",
        "",
        "[figures]",
        *(f"{key} = {value}" for key, value in figures.items()),
        "",
        "[sha256]",
        *(f'"{file}" = "{file_sha256(folder / file)}"' for file in _FILES),
    ]
    (folder / "card.toml").write_text("\n".join(lines) + "\n", encoding="utf-8")


def shipped_folder(name: str) -> Path:
    """Return the folder of a shipped model, whether or not it is there yet."""
    import pipelines.training.shipped

    return Path(pipelines.training.shipped.__file__).parent / name.replace("-", "_")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--pack", nargs=2, metavar=("NAME", "STAGE"))
    given = parser.parse_args()
    if given.pack:
        pack(given.pack[0], Path(given.pack[1]))
    for name in SHIPPED_NAMES:
        print(name, measure(name), "card:", dict(shipped_model(name).figures))


if __name__ == "__main__":
    main()
