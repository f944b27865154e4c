"""What the app depends on inside Textual, and what breaks when Textual changes.

Upgrading Textual: change the version in pyproject.toml and constraints.txt, run this file, and follow each message.
"""

import ast
import importlib
import inspect
import pkgutil
import textwrap
import tomllib
from collections.abc import Iterator
from functools import cache
from importlib.metadata import version
from pathlib import Path

import pytest
from textual.app import App
from textual.message import Message
from textual.message_pump import MessagePump
from textual.screen import Screen
from textual.scroll_view import ScrollView
from textual.scrollbar import ScrollBarRender
from textual.widget import Widget

import cogtui.app

ROOT = Path(__file__).parents[2]
ADAPTER = Path("cogtui/app/textual_compat")

PRIVATE_PARTS = {
    "Widget._set_dirty(self, *regions)": (Widget, "StyledWidget would show stale lines"),
    "Widget._vertical_scrollbar": (Widget, "LineScrollView could not install its scrollbar"),
    "App._start_widget(self, parent, widget)": (App, "LineScrollView could not start its scrollbar"),
    "ScrollView._scroll_update(self, virtual_size)": (ScrollView, "scrollbars would not follow the number of lines"),
    "Screen._refresh_layout(self, size, scroll)": (Screen, "DeferredPaintScreen would show an empty screen"),
    "Screen._layout_required": (Screen, "DeferredPaintScreen would paint the same screen several times"),
    "ScrollBarRender.render_bar(cls, size, virtual_size, window_size, position, thickness, vertical, back_color, "
    "bar_color)": (ScrollBarRender, "LineScrollBar would draw nothing"),
}
"""Each private part or fragile signature in use: the class it is looked up on, and what depends on it."""

GENERATED = {
    "_computes", "_css_type_name", "_css_type_names", "_decorated_handlers", "_default_virtual_size",
    "_inherit_bindings", "_inherit_component_classes", "_inherit_css", "_merged_bindings", "_reactives", "bubble",
    "can_focus", "can_focus_children", "no_dispatch", "verbose",
}  # fmt: skip
"""Attributes that Textual itself writes on every subclass."""
MEANT = {
    # Class variables and methods that Textual documents for subclasses.
    "BINDINGS", "COMMAND_PALETTE_BINDING", "CSS_PATH", "DEFAULT_CSS", "ENABLE_COMMAND_PALETTE", "TITLE",
    "border_subtitle", "border_title", "get_line_filters",
    "HORIZONTAL_BREAKPOINTS", "VERTICAL_BREAKPOINTS", "action_command_palette", "action_help_quit", "animation_level",
    "can_replace", "check_action", "compose", "control", "cursor_blink", "cursor_position", "get_content_height",
    "get_system_commands", "get_theme_variable_defaults", "pop_screen", "render_line", "render_lines", "value",
    "watch_scroll_y",
    # Overridden on purpose in textual_compat.
    "_layout_required", "_set_dirty", "_vertical_scrollbar", "is_current", "vertical_scrollbar", "virtual_size",
    "watch_virtual_size",
}  # fmt: skip
"""Attributes that our classes override on purpose."""


def test_the_minor_version_of_textual_is_pinned() -> None:
    minor = ".".join(version("textual").split(".")[:2])
    following = f"{minor.split('.')[0]}.{int(minor.split('.')[1]) + 1}"
    dependencies = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]["dependencies"]
    (requirement,) = [text for text in dependencies if text.startswith("textual")]
    assert requirement.startswith(f"textual>={minor}")
    assert requirement.endswith(f",<{following}")
    assert f"textual=={version('textual')}" in (ROOT / "constraints.txt").read_text().splitlines()


@pytest.mark.parametrize("part", PRIVATE_PARTS)
def test_the_private_parts_in_use_exist(part: str) -> None:
    owner, consequence = PRIVATE_PARTS[part]
    name, _, parameters = part.partition("(")
    attribute = name.rpartition(".")[2]
    message = f"Textual {version('textual')} changed {name}: {consequence}. Fix {ADAPTER}."
    if not parameters:
        assert attribute in attributes_of(owner), message
        return
    found = inspect.getattr_static(owner, attribute, None)
    assert found is not None, message
    function = found.__func__ if isinstance(found, classmethod) else found
    names = [name.strip("* ") for name in parameters.rstrip(")").split(",")]
    assert list(inspect.signature(function).parameters) == names, message


def test_only_the_adapter_uses_private_names_of_textual() -> None:
    private = {
        name for base in (App, Screen, ScrollView, Widget) for name in attributes_of(base) if name.startswith("_")
    }
    found = []
    for path in sorted((ROOT / "cogtui" / "app").rglob("*.py")):
        if path.relative_to(ROOT).is_relative_to(ADAPTER):
            continue
        tree = ast.parse(path.read_text())
        own = {node.name for node in ast.walk(tree) if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef)}
        own |= {node.attr for node in ast.walk(tree) if isinstance(node, ast.Attribute) and is_stored_on_self(node)}
        for node in ast.walk(tree):
            if isinstance(node, ast.Attribute) and node.attr in private - own and not node.attr.startswith("__"):
                found.append(f"{path.relative_to(ROOT)}:{node.lineno} {node.attr}")
            if isinstance(node, ast.ImportFrom) and (node.module or "").startswith("textual._"):
                found.append(f"{path.relative_to(ROOT)}:{node.lineno} {node.module}")
    assert found == []


def test_no_class_overrides_an_attribute_of_textual_by_accident() -> None:
    found = [
        f"{cls.__module__}.{cls.__qualname__}.{name}"
        for cls in sorted(own_classes(), key=lambda cls: (cls.__module__, cls.__qualname__))
        for name in sorted(overridden(cls) - GENERATED - MEANT)
    ]
    assert found == []


def test_the_check_for_accidental_overrides_finds_them() -> None:
    class Careless(Widget):
        focusable_now = True

        def refresh(self, *_: object, **__: object) -> "Careless":
            return self

        def remember(self) -> None:
            self._name = "the name that CSS and queries use"

    assert overridden(Careless) - GENERATED == {"_name", "refresh"}


def overridden(cls: type) -> set[str]:
    """Attributes that a class sets, on itself or on `self`, and that a class of Textual below it sets too."""
    theirs: set[str] = set()
    for base in cls.__mro__:
        if base.__module__.startswith("textual."):
            theirs |= set(vars(base)) | assigned_on_self(base)
    mine = set(vars(cls)) | assigned_on_self(cls)
    return {name for name in mine & theirs if not name.startswith("__")}


def attributes_of(cls: type) -> set[str]:
    """Attributes that a class and its bases in Textual set, on the class or on `self`."""
    return {
        name
        for base in cls.__mro__
        if base.__module__.startswith("textual.")
        for name in (*vars(base), *assigned_on_self(base))
    }


@cache
def assigned_on_self(cls: type) -> set[str]:
    """Names that the methods of a class assign as `self.NAME`."""
    tree = ast.parse(textwrap.dedent(inspect.getsource(cls)))
    return {node.attr for node in ast.walk(tree) if isinstance(node, ast.Attribute) and is_stored_on_self(node)}


def is_stored_on_self(node: ast.Attribute) -> bool:
    return isinstance(node.ctx, ast.Store) and isinstance(node.value, ast.Name) and node.value.id == "self"


def own_classes() -> set[type]:
    """Every class of the app that derives from one of Textual."""
    for module in pkgutil.walk_packages(cogtui.app.__path__, "cogtui.app."):
        importlib.import_module(module.name)
    found = {cls for base in (MessagePump, Message) for cls in subclasses(base)}
    return {cls for cls in found if cls.__module__.startswith("cogtui.app")}


def subclasses(cls: type) -> Iterator[type]:
    children: list[type] = cls.__subclasses__()
    for child in children:
        yield child
        yield from subclasses(child)
