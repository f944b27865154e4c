"""Makes `cogtui/store/showcase/showcase.tar.xz` from a workspace: `python -m benchmarks.showcase_data WORKSPACE NAME`.

Takes the finished runs of some seeds of an experiment: their test evaluations with every rollout, the judgements of
the rules judge (which is run where its stage has not finished) and all metrics. Models, checkpoints, training rollouts
and whatever names the machine are left out.
"""

import argparse
import hashlib
import io
import json
import lzma
import re
import shutil
import subprocess
import sys
import tarfile
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Final

from jobs.planning.cell import Cell
from jobs.planning.experiments import Experiment, latest_experiments
from jobs.workspace import Workspace

OUT: Final = Path(__file__).parents[1] / "cogtui" / "store" / "showcase"
LIMIT_BYTES: Final = 2_000_000
_KEPT: Final = ("stage.json", "result.json", "metrics-eval-*.jsonl", "metrics-train-*.jsonl", "metrics-priming-*.jsonl")
_MACHINE: Final = re.compile(rb"/(?:root|tmp|home|work|mnt)/[A-Za-z0-9]")


def main() -> None:
    """Make the archive and its card."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("workspace", type=Path)
    parser.add_argument("experiment")
    parser.add_argument("--seeds", type=int, nargs="+", default=[1])
    parser.add_argument("--out", type=Path, default=OUT)
    chosen = parser.parse_args()
    source = Workspace.locate(chosen.workspace)
    experiment = latest_experiments(source)[chosen.experiment]
    with tempfile.TemporaryDirectory() as temporary:
        copy = Workspace(Path(temporary) / "workspace")
        copy.create()
        cells = [cell for cell in experiment.cells if cell.labels.get("seed") in chosen.seeds and _done(source, cell)]
        for key in dict.fromkeys(key for cell in cells for key in cell.stages.values()):
            _copy_stage(source.folder(key).path, copy.folder(key).path)
        for cell in cells:
            _judge(copy, cell)
        _write_snapshot(copy, experiment, cells)
        _pack(copy.path, chosen.out, experiment.name, cells)


def _done(workspace: Workspace, cell: Cell) -> bool:
    return all(workspace.folder(key).result() is not None for name, key in cell.stages.items() if name != "judge")


def _copy_stage(source: Path, target: Path) -> None:
    target.mkdir(parents=True)
    kept = [*_KEPT]
    kept += ["rollouts-eval-*.jsonl"] if source.name.startswith("ppo-") else []
    kept += ["judgements-*.jsonl", "artifacts"] if source.name.startswith("judge-") else []
    for pattern in kept:
        for path in source.glob(pattern):
            (shutil.copytree if path.is_dir() else shutil.copyfile)(path, target / path.name)
    info = json.loads((target / "stage.json").read_text())
    if info.get("config", {}).get("python"):
        info["config"]["python"] = None
    (target / "stage.json").write_text(json.dumps(info, indent=1) + "\n")


def _judge(workspace: Workspace, cell: Cell) -> None:
    """Run the judge stage of a cell in the copy, where it has not finished."""
    folder = workspace.folder(cell.stages["judge"])
    if folder.result() is None:
        for path in folder.path.glob("judgements-*"):
            path.unlink()
        subprocess.run([sys.executable, "-m", "pipelines", "--folder", str(folder.path)], check=True)
    for name in ("progress.json", "work", "attempts"):
        path = folder.path / name
        if path.is_dir():
            shutil.rmtree(path)
        else:
            path.unlink(missing_ok=True)


def _write_snapshot(workspace: Workspace, experiment: Experiment, cells: list[Cell]) -> None:
    folder = workspace.experiments / experiment.name
    folder.mkdir()
    kept = experiment.model_copy(
        update={"cells": tuple(cells), "recipe_path": Path(experiment.recipe_path).name, "host": "", "overrides": ()}
    )
    (folder / "showcase.json").write_text(json.dumps(kept.model_dump(mode="json"), indent=1) + "\n")


def _pack(root: Path, out: Path, name: str, cells: list[Cell]) -> None:
    files = dict(_files(root))
    rollouts = _count(files, "rollouts-")
    judgements = _count(files, "judgements-")
    plain = io.BytesIO()
    with tarfile.open(fileobj=plain, mode="w", format=tarfile.PAX_FORMAT) as tar:
        for path, data in files.items():
            entry = tarfile.TarInfo(path)  # no owner, no times: the same files make the same archive
            entry.size = len(data)
            entry.mode = 0o644
            tar.addfile(entry, io.BytesIO(data))
    packed = lzma.compress(plain.getvalue(), preset=9 | lzma.PRESET_EXTREME)
    if len(packed) > LIMIT_BYTES:
        raise SystemExit(f"the archive has {len(packed):,} bytes, more than {LIMIT_BYTES:,}: choose fewer seeds")
    out.mkdir(parents=True, exist_ok=True)
    (out / "showcase.tar.xz").write_bytes(packed)
    groups = dict.fromkeys(" ".join(f"{key} {value}" for key, value in cell.labels.items()) for cell in cells)
    card: dict[str, Any] = {
        "experiment": name,
        "summary": f"{rollouts:,} completions of test problems at several steps of PPO, judged by rules: "
        + "; ".join(groups),
        "rollouts": rollouts,
        "judgements": judgements,
        "archive_sha256": hashlib.sha256(packed).hexdigest(),
        "files": {path: hashlib.sha256(data).hexdigest() for path, data in files.items()},
    }
    (out / "showcase.json").write_text(json.dumps(card, indent=1, ensure_ascii=False) + "\n", encoding="utf-8")
    print(f"{len(packed):,} bytes: {rollouts:,} rollouts, {judgements:,} judgements, {len(files)} files")


def _files(root: Path) -> Iterator[tuple[str, bytes]]:
    for path in sorted(root.rglob("*")):
        if path.is_file():
            data = path.read_bytes()
            found = _MACHINE.search(data)
            if found:
                raise SystemExit(f"{path.relative_to(root)} holds a path of this machine: {found[0]!r}")
            yield str(path.relative_to(root)), data


def _count(files: dict[str, bytes], prefix: str) -> int:
    return sum(data.count(b"\n") for path, data in files.items() if Path(path).name.startswith(prefix))


if __name__ == "__main__":
    main()
