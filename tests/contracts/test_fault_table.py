"""Each fault in the tables of docs/jobs.md names a test that exists."""

import re
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
PAGE = (ROOT / "docs/jobs.md").read_text(encoding="utf-8")
SECTION = PAGE[PAGE.index("## Faults") : PAGE.index("## Testing with a real Slurm")]
LEGEND = re.compile(r"`([A-Z])`(?: is| the files of)? `([\w/.]+)`")
TOKEN = re.compile(r"`([^`]+)`|\b([A-Z])\b")
DEFINED = re.compile(r"^(?:async )?def (test_\w+)", re.MULTILINE)


def files_of(name: str) -> list[Path]:
    """Return the test files that a name in the page means; without a folder it is one of the job tests."""
    path = ROOT / (name if name.startswith("tests/") else f"tests/jobs/{name}")
    return sorted(path.glob("test_*.py")) if path.is_dir() else [path]


LETTERS = {letter: files_of(path) for letter, path in LEGEND.findall(SECTION)}
ROWS = [
    [cell.strip() for cell in line.strip("|").split(" | ")]
    for line in SECTION.splitlines()
    if line.startswith("| ") and not line.startswith(("| fault", "| another user |"))
]


def defined_in(files: list[Path]) -> set[str]:
    return {name for file in files for name in DEFINED.findall(file.read_text(encoding="utf-8"))}


def is_defined(name: str, tests: set[str]) -> bool:
    """Whether a name is one of the tests; an ellipsis stands for the rest, brackets hold a parameter."""
    pattern = re.escape(name.partition("[")[0]).replace("…", ".*")
    return any(re.fullmatch(pattern, test) for test in tests)


def missing_tests(cell: str) -> list[str]:
    """Return the names in the last cell of a row that no test has, and the files that do not exist."""
    missing: list[str] = []
    groups: list[list[Path]] = []
    after_letter = named = False
    for quoted, letter in TOKEN.findall(cell):
        if letter:
            groups = [*groups, LETTERS[letter]] if after_letter else [LETTERS[letter]]
            after_letter = True
            continue
        after_letter = False
        named = True
        if quoted.endswith(".py"):
            groups = [files_of(quoted)]
            missing += [quoted for file in groups[0] if not file.is_file()]
        elif not all(is_defined(quoted, defined_in(group)) for group in groups) or not groups:
            missing.append(quoted)
    return missing if named else ["no test"]


@pytest.mark.parametrize("row", ROWS, ids=[row[0][:60] for row in ROWS])
def test_the_tests_of_a_fault_exist(row: list[str]) -> None:
    assert missing_tests(row[-1]) == []


def test_the_tables_are_read_whole() -> None:
    assert set(LETTERS) >= set("LMCSFQDPUI")
    assert all(len(row) == 3 for row in ROWS)
    assert len(ROWS) > 70
    assert missing_tests("L `test_no_such_thing`") == ["test_no_such_thing"]
    assert missing_tests("by hand") == ["no test"]
