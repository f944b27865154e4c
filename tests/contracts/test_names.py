"""One name, one concept: a reader who searches for a class finds one."""

import ast
from collections import defaultdict
from pathlib import Path

import cogtui
import jobs
import pipelines


def public_classes(root: Path) -> dict[str, set[str]]:
    """Public class names below a folder, wherever in a module they are bound, and the modules that define them."""
    found: dict[str, set[str]] = defaultdict(set)
    for path in sorted(root.rglob("*.py")):
        module = ".".join(path.relative_to(root.parent).with_suffix("").parts)
        for node in _top_level(ast.parse(path.read_text(encoding="utf-8")).body):
            if not node.name.startswith("_"):
                found[node.name].add(module)
    return found


def _top_level(body: list[ast.stmt]) -> list[ast.ClassDef]:
    """Classes of a module, also those under `if` and `try`; not those inside classes and functions."""
    found = []
    for node in body:
        if isinstance(node, ast.ClassDef):
            found.append(node)
        elif not isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
            for inner in ("body", "orelse", "finalbody"):
                found += _top_level(getattr(node, inner, []))
            for handler in getattr(node, "handlers", []):
                found += _top_level(handler.body)
    return found


def test_no_public_class_name_is_defined_in_two_modules() -> None:
    modules: dict[str, set[str]] = defaultdict(set)
    for package in (cogtui, jobs, pipelines):
        assert package.__file__
        for name, places in public_classes(Path(package.__file__).parent).items():
            modules[name] |= places
    assert len(modules) > 100
    twice = {name: sorted(places) for name, places in sorted(modules.items()) if len(places) > 1}
    assert twice == {}, "rename all but one of each, after what it is in its own field"


def test_a_class_is_found_wherever_a_module_binds_it(tmp_path: Path) -> None:
    text = (
        "class One: \n    class Inner: ...\n"
        "def f():\n    class Local: ...\n"
        "if True:\n    class Two: ...\nelse:\n    class Three: ...\n"
        "try:\n    import x\nexcept ImportError:\n    class Four: ...\n"
        "class _Private: ...\n"
    )
    (tmp_path / "package").mkdir()
    (tmp_path / "package" / "room.py").write_text(text)
    assert public_classes(tmp_path / "package") == {name: {"package.room"} for name in ("One", "Two", "Three", "Four")}
