"""What the pages for contributors name exists: paths, classes, functions and links."""

import ast
import re
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
CONTRIBUTOR_PAGES = ("AGENTS.md", "CONTRIBUTING.md", "docs/architecture.md", "docs/glossary.md")
PAGES = tuple(str(path.relative_to(ROOT)) for path in sorted([*ROOT.glob("*.md"), *ROOT.glob("docs/*.md")]))
PACKAGES = ("benchmarks", "cogtui", "jobs", "pipelines")
PATH = re.compile(r"`((?:benchmarks|cogtui|docs|examples|jobs|pipelines|tests)/[\w./-]*)`")
RELATIVE = re.compile(r"`([a-z_]+(?:/[a-z_]+)*/|[a-z_/]+\.py)`")
FILES_OF_A_WORKSPACE = ("attempts/",)
CLASS = re.compile(r"`([A-Z]+[a-z]+\w*)`")
FUNCTION = re.compile(r"`((?:claim|ensure|locate|open|read|run|score|write)_\w+)`")
KEYS_AND_VALUES = {"Enter", "None"}
LINK = re.compile(r"\]\(([^)#\s:]*)(?:#([\w-]+))?\)")


def text_of(page: str) -> str:
    return (ROOT / page).read_text(encoding="utf-8")


def anchors(page: Path) -> set[str]:
    """Return the anchors that a forge makes of the headings of a page."""
    headings = re.findall(r"^#+ (.+)$", page.read_text(encoding="utf-8"), re.MULTILINE)
    return {re.sub(r"[^\w\- ]", "", heading.lower()).replace(" ", "-") for heading in headings}


@pytest.mark.parametrize("page", PAGES)
def test_paths_exist(page: str) -> None:
    # Placeholders such as `tests/PACKAGE/test_NAME.py` are in capitals.
    named = {path for path in PATH.findall(text_of(page)) if not re.search("[A-Z]{4}", path)}
    assert sorted(path for path in named if not (ROOT / path).exists()) == []


@pytest.mark.parametrize("page", CONTRIBUTOR_PAGES)
def test_paths_of_contributor_pages_are_whole(page: str) -> None:
    """A path relative to some package cannot be opened by clicking it, nor found by the test above."""
    named = [path for path in RELATIVE.findall(text_of(page)) if not path.startswith(FILES_OF_A_WORKSPACE)]
    assert sorted(path for path in named if not (ROOT / path).exists()) == []


@pytest.mark.parametrize("page", CONTRIBUTOR_PAGES)
def test_classes_and_functions_exist(page: str) -> None:
    source = "\n".join(
        path.read_text(encoding="utf-8") for package in PACKAGES for path in (ROOT / package).rglob("*.py")
    )
    defined = set(re.findall(r"^(?:class|def|async def) (\w+)", source, re.MULTILINE))
    text = text_of(page)
    assert sorted({*CLASS.findall(text), *FUNCTION.findall(text)} - defined - KEYS_AND_VALUES) == []


@pytest.mark.parametrize("page", PAGES)
def test_links_lead_somewhere(page: str) -> None:
    broken = []
    for target, anchor in LINK.findall(text_of(page)):
        path = (ROOT / page).parent / target if target else ROOT / page
        if not path.exists() or (anchor and anchor not in anchors(path)):
            broken.append(f"{target}#{anchor}")
    assert broken == []


def test_names_in_docstrings_exist() -> None:
    """A snake_case name in backticks is a name, a field or a text of the code, not one that was renamed since."""
    code: set[str] = set()
    named: list[tuple[str, str]] = []
    for path in (path for package in PACKAGES for path in (ROOT / package).rglob("*.py")):
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            if isinstance(node, ast.Expr) and isinstance(node.value, ast.Constant):
                found = re.findall(r"`([a-z]+(?:_[a-z]+)+)`", str(node.value.value))
                named += [(name, str(path.relative_to(ROOT))) for name in found]
                node.value.value = None  # the docstring itself is no code
            code.update(word for value in vars(node).values() for word in _words(value))
        code.update(re.findall(r"\w+", path.stem))
    assert sorted((name, page) for name, page in named if name not in code) == []


def _words(value: object) -> list[str]:
    return re.findall(r"\w+", value) if isinstance(value, str) else []
