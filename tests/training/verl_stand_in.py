"""A stand-in for verl's interpreter: what verl writes and calls, without a model.

It trains nothing. Settings that the stage must give are read strictly, the parquet files are read, rewards come from
the stage's own reward function, and dumps, metrics and checkpoints have verl's formats; `tests/verl` holds the same
files against verl itself. Called as `python verl_stand_in.py ARGUMENTS OF AN INTERPRETER`.
"""

import importlib.util
import json
import os
import shutil
import sys
import time
from pathlib import Path
from typing import Any

import pyarrow.parquet

DIE_AT = "VERL_STAND_IN_DIES_AT"
RAY = "VERL_STAND_IN_RAY"
"""File with the process of Ray's first node."""
WAIT_AT = "VERL_STAND_IN_WAITS_AT"


def parse(overrides: list[str]) -> dict[str, str]:
    """Overrides by key, texts without their quotes."""
    found = {}
    for override in overrides:
        key, _, value = override.partition("=")
        found[key.lstrip("+")] = value.strip("'")
    return found


def train(settings: dict[str, str]) -> None:
    """Writes what verl writes while it trains."""
    n, batch = int(settings["actor_rollout_ref.rollout.n"]), int(settings["data.train_batch_size"])
    steps, every = int(settings["trainer.total_training_steps"]), int(settings["trainer.save_freq"])
    test_every = int(settings["trainer.test_freq"])
    rows = pyarrow.parquet.read_table(settings["data.train_files"]).to_pylist()
    tests = pyarrow.parquet.read_table(settings["data.val_files"]).to_pylist()
    assert len(rows) == steps * batch
    checkpoints = Path(settings["trainer.default_local_dir"])
    metrics = Path(settings["ray_kwargs.ray_init.runtime_env.env_vars.VERL_FILE_LOGGER_PATH"])
    first = 0
    if settings["trainer.resume_mode"] == "resume_path":
        came_from = Path(settings["trainer.resume_from_path"])
        first = int(came_from.name.removeprefix("global_step_"))
        assert (came_from / "actor" / "weights").read_text() == str(first)
    with metrics.open("wb") as log:

        def write(step: int, data: dict[str, Any]) -> None:
            log.write(json.dumps({"step": step, "data": data}).encode() + b"\n")
            log.flush()

        if settings["trainer.val_before_train"] == "true":
            dump(Path(settings["trainer.validation_data_dir"]), first, tests, 1, settings)
            write(first, {"val-core/countdown/acc/mean@1": 0.0})
        for step in range(first + 1, steps + 1):
            if str(step) == os.environ.get(DIE_AT):
                sys.exit("stand-in: out of memory")
            while str(step) == os.environ.get(WAIT_AT):
                time.sleep(0.05)
            scores = dump(
                Path(settings["trainer.rollout_data_dir"]), step, rows[(step - 1) * batch : step * batch], n, settings
            )
            if step == steps or step % every == 0:
                save(checkpoints, step)
            data = {
                "critic/score/mean": sum(scores) / len(scores),
                "actor/pg_loss": 0.5,
                "critic/vf_loss": float("nan"),
            }
            if test_every > 0 and (step == steps or step % test_every == 0):
                dump(Path(settings["trainer.validation_data_dir"]), step, tests, 1, settings)
            write(
                step, {name: None if value != value else value for name, value in data.items()} | {"timing_s/gen": 2.0}
            )


def dump(folder: Path, step: int, rows: list[dict[str, Any]], n: int, settings: dict[str, str]) -> list[float]:
    """Writes the dump of a step in verl's fields; returns the scores."""
    folder.mkdir(exist_ok=True, parents=True)
    spec = importlib.util.spec_from_file_location("given", settings["reward.custom_reward_function.path"])
    assert spec is not None
    assert spec.loader is not None
    reward = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(reward)
    prefix = "reward.custom_reward_function.reward_kwargs."
    kwargs = {key.removeprefix(prefix): value for key, value in settings.items() if key.startswith(prefix)}
    lines, scores = [], []
    for group, row in enumerate(rows):
        problem = json.loads(row["extra_info"]["problem"])
        for sample in range(n):
            sign = "+-"[(step + group + sample) % 2]
            output = f"<answer> {f' {sign} '.join(map(str, problem['numbers']))} </answer>"
            truth = row["reward_model"]["ground_truth"]
            result = reward.compute_score(
                data_source=row["data_source"], solution_str=output, ground_truth=truth, extra_info=row["extra_info"],
                **kwargs,
            )  # fmt: skip
            scores.append(result["score"])
            lines.append({"input": row["prompt"][0]["content"], "output": output, "gts": truth, "score": scores[-1],
                          "step": step, "uid": f"{step:08x}-{group}_{sample}_0"})  # fmt: skip
    lines.append({"input": "", "output": "", "gts": None, "score": 0.0, "step": step, "uid": "pad_0_0"})
    (folder / f"{step}.jsonl").write_text("".join(json.dumps(line) + "\n" for line in lines))
    return scores


def save(checkpoints: Path, step: int) -> None:
    """Writes a checkpoint in verl's layout, and deletes the one before."""
    path = checkpoints / f"global_step_{step}"
    (path / "actor").mkdir(parents=True)
    (path / "actor" / "weights").write_text(str(step))
    (path / "data.pt").write_bytes(b"dataloader")
    (checkpoints / "latest_checkpointed_iteration.txt").write_text(str(step))
    for old in checkpoints.glob("global_step_*"):
        if old != path:
            shutil.rmtree(old)


def merge(arguments: list[str]) -> None:
    """Writes a merged model and, as verl does, a tokenizer of its own."""
    given = dict(zip(arguments[::2], arguments[1::2], strict=True))
    target = Path(given["--target_dir"])
    target.mkdir(parents=True)
    (target / "model.safetensors").write_text((Path(given["--local_dir"]) / "weights").read_text())
    (target / "tokenizer_config.json").write_text("{}")


def ray(arguments: list[str]) -> None:
    """The first node stays until it is ended; another one joins it, or fails, and stays as long as the first."""
    head = Path(os.environ[RAY])
    if "--head" in arguments:
        head.write_text(str(os.getpid()))
        while True:
            time.sleep(1)
    if not head.exists():
        sys.exit("stand-in: nobody answers")
    (head.parent / "joined").touch()
    pid = head.read_text()
    while Path("/proc", pid).exists():
        time.sleep(0.05)
    sys.exit(1)  # Ray's own end is no good one here


def main(arguments: list[str]) -> None:
    """Does what verl's interpreter would do with these arguments."""
    if arguments[:2] == ["-m", "verl.trainer.main_ppo"]:
        train(parse(arguments[2:]))
    elif arguments[:3] == ["-m", "verl.model_merger", "merge"]:
        merge(arguments[3:])
    elif arguments[:3] == ["-m", "ray.scripts.scripts", "start"]:
        ray(arguments[3:])
    elif arguments[0] == "-c" and "ray.init" in arguments[1]:
        sys.exit(not (Path(os.environ[RAY]).parent / "joined").exists())
    elif arguments[0] == "-c":  # whether packages are there: of a stand-in they are
        assert {"verl", "ray"} <= set(arguments[2:])
    else:
        sys.exit(f"unknown arguments {arguments}")


if __name__ == "__main__":
    main(sys.argv[1:])
