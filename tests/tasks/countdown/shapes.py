"""The same two problems in every shape in which problem sets have been published."""

import json
from typing import Any

from pipelines.tasks.countdown.problems import Problem, make_problem

WANTED = [make_problem((44, 19, 35), 98), make_problem((63, 95, 96), 64)]

CHAT = "Given the numbers [{numbers}], write an equation that equals {target}. For example (1 + 2) / 3."


def chat(problem: Problem) -> list[dict[str, str]]:
    text = CHAT.format(numbers=", ".join(map(str, problem.numbers)), target=problem.target)
    return [
        {"role": "system", "content": "Numbers such as [1, 2] must reach target 3."},
        {"role": "user", "content": text},
    ]


SHAPES: dict[str, Any] = {
    "own": lambda problem: problem.model_dump(mode="json"),
    "nums": lambda problem: {"target": problem.target, "nums": list(problem.numbers)},
    "numbers": lambda problem: {"numbers": list(problem.numbers), "target": problem.target, "other": 1.5},
    "strings": lambda problem: {"numbers": json.dumps(list(problem.numbers)), "target": str(problem.target)},
    "floats": lambda problem: {"numbers": [float(each) for each in problem.numbers], "target": float(problem.target)},
    "verl": lambda problem: {
        "data_source": "countdown",
        "prompt": chat(problem),
        "reward_model": {
            "style": "rule",
            "ground_truth": {"numbers": list(problem.numbers), "target": problem.target},
        },
        "extra_info": {"split": "train", "index": 3},
    },
    "verl, truth as text": lambda problem: {
        "reward_model": {"ground_truth": json.dumps({"nums": list(problem.numbers), "target": problem.target})}
    },
    "chat prompt": lambda problem: {"prompt": chat(problem)},
    "query": lambda problem: {
        "query": f"Reach it: numbers [{', '.join(map(str, problem.numbers))}] and target {problem.target}",
        "completion": "<think> numbers [1, 2] target 5",
    },
    "in words": lambda problem: {
        "question": f"Using the numbers {problem.numbers[0]}, {problem.numbers[1]}, and {problem.numbers[2]}, "
        f"make {problem.target}."
    },
}
