"""Countdown problems in words. Imports nothing but the protocol: lists describe problems before they solve any."""

from pipelines.tasks.protocol import Description, JsonProblem


def describe(problem: JsonProblem) -> Description:
    """Return the numbers and the target of a problem, in one line and as a sentence."""
    numbers, target = list(map(str, problem["numbers"])), problem["target"]
    return Description(
        f"{' '.join(numbers)} → {target}", f"Reach {target} with {', '.join(numbers)}, each number exactly once."
    )
