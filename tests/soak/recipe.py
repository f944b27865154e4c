"""The recipe of the soak test: a small matrix with a chain in each cell."""

from pathlib import Path

_RECIPE = """\
name = "soak"
seeds = {seeds}

[matrix]
condition = ["none", "backtracking_only"]

[stages.problems]
kind = "problems"
train = 24
test = 12
sizes = [3]
number_range = [1, 20]
target_range = [1, 60]

[stages.priming_data]
kind = "priming_data"
needs = ["problems"]
condition = "backtracking_verification"
seed = "{{seed}}"
n = 60

[stages.walk]
kind = "soak_walk"
needs = ["problems"]
condition = "{{condition}}"
seed = "{{seed}}"
steps = {steps}
step_s = {step_s}

[stages.judge]
kind = "judge"
needs = ["walk"]
"""

_PPO = """\

[stages.base]
kind = "base"
needs = ["problems"]
seed = "{seed}"
architecture = { layers = 2 }
pretraining = { steps = 20 }

[stages.ppo]
kind = "ppo"
needs = ["problems", "base"]
seed = "{seed}"
steps = 12
prompts = 8
rollouts = 2
sampling = { max_new_tokens = 24 }
mini_batch = 16
checkpoint_every = 3
evaluation = { every = 6, samples = 1 }
"""


def write_recipe(path: Path, *, seeds: int = 2, steps: int = 12, step_s: float = 0.3, ppo: bool = False) -> Path:
    """Write the recipe; return its path.

    Args:
        path: of the file.
        seeds: cells of each of the two conditions.
        steps: of each walk.
        step_s: seconds a step takes.
        ppo: also pretrain a tiny model and train it by PPO in each cell.
    """
    text = _RECIPE.format(seeds=list(range(seeds)), steps=steps, step_s=step_s)
    path.write_text(text + (_PPO if ppo else ""), encoding="utf-8")
    return path
