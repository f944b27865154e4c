"""Labels: the matrix values of a stage or cell."""

from collections.abc import Mapping

Label = bool | int | float | str
"""A matrix value."""


def label_text(labels: Mapping[str, Label]) -> str:
    """Return labels as text: `condition=none seed=1`."""
    return " ".join(f"{name}={value}" for name, value in labels.items())
