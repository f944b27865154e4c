"""Finds API keys, tokens and passwords in `[resources]`, which would end up in files of the workspace."""

import re
from collections.abc import Iterator
from typing import Final, NamedTuple

from jobs.recipe.resources import Resources

_NAME: Final = re.compile(
    r"(?:^|_)(?:API_?KEY|(?:ACCESS|SECRET|PRIVATE|ENCRYPTION|ACCOUNT)_KEY|TOKEN|SECRET|PASSWORD|PASSWD|CREDENTIALS?)$",
    re.IGNORECASE,
)
_VALUE: Final = re.compile(
    r"(?:sk|pk|rk)-[A-Za-z0-9_-]{16,}|hf_[A-Za-z0-9]{20,}|gh[opsru]_[A-Za-z0-9]{20,}|github_pat_\w{20,}"
    r"|glpat-[\w-]{16,}|xox[abprs]-[\w-]{10,}|gsk_[A-Za-z0-9]{20,}|AIza[\w-]{30,}|A[KS]IA[A-Z0-9]{16}"
)
"""Prefixes by which services mark their keys."""
_PLACEHOLDERS: Final = frozenset({"", "empty", "none", "null", "dummy", "unused", "local", "x", "-"})
"""Values that servers without keys are given."""
_ASSIGNMENT: Final = re.compile(r"(?<![\w$])([A-Za-z_]\w*)=(?:\"([^\"]*)\"|'([^']*)'|([^\s;&|]*))")


class SecretInResources(NamedTuple):
    """A value that looks like a secret, without the value."""

    field: str
    """`environment` or `setup`."""
    name: str
    """Of the variable."""


def find_secrets(resources: Resources) -> Iterator[SecretInResources]:
    """Find variables that look like secrets, by their names and by their values.

    A reference such as `$(cat ~/.key)` or `$OPENAI_API_KEY` in a line of `setup` is none: the shell resolves it on the
    node.
    """
    for name, value in resources.environment.items():
        if _is_secret(name, value):
            yield SecretInResources("environment", name)
    for line in resources.setup:
        for match in _ASSIGNMENT.finditer(line):
            value = next((text for text in match.groups()[1:] if text is not None), "")
            if not value.startswith(("$", "`", "~")) and _is_secret(match[1], value):
                yield SecretInResources("setup", match[1])


def _is_secret(name: str, value: str) -> bool:
    if value.strip().lower() in _PLACEHOLDERS:
        return False
    return _NAME.search(name) is not None or _VALUE.search(value) is not None
