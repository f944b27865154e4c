"""Saved views: named combinations of filter, order, columns and grouping for the list of rollouts.

They are a file of the user's configuration, not of a workspace, so that they apply to every workspace and to files
opened without one.
"""

from __future__ import annotations

import os
from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Final, Literal, cast, get_args

from pydantic import BaseModel, ConfigDict, Field, ValidationError, field_validator

from cogtui.preferences import config_folder
from cogtui.store.filter.lexer import FilterError
from cogtui.store.filter.parser import parse
from cogtui.store.values.fields import COLUMN_NAMES
from cogtui.store.values.types import SORT_FIELDS, GroupSort, Sort
from pipelines.errors import InvalidInput, MissingRequirement, NotFound
from pipelines.files import read_json, write_json

FILE: Final = "views.json"


def _sort_field(text: str, fields: tuple[str, ...]) -> str:
    if text.removeprefix("-") not in fields:
        raise ValueError(f"cannot sort by {text!r}; one of {', '.join(fields)}, with - in front for the largest first")
    return text


class View(BaseModel):
    """A saved view."""

    model_config = ConfigDict(extra="forbid", frozen=True, defer_build=True)

    name: Annotated[str, Field(min_length=1, max_length=60, pattern=r"^[^\x00-\x1f]*$")]
    filter: str = ""
    """A filter, in the filter language."""
    sort: str = "-step"
    """A column, with `-` in front for the largest first."""
    columns: tuple[str, ...] = ()
    """Names of columns, in order; empty means the default."""
    groups: str = ""
    """Empty lists rollouts; otherwise problems in this order: `problem`, `-mean`, …"""

    @field_validator("filter")
    @classmethod
    def _is_filter(cls, text: str) -> str:
        try:
            parse(text)
        except FilterError as error:
            raise ValueError(f"the filter {text!r} is not valid: {error.message}") from None
        return text

    @field_validator("sort")
    @classmethod
    def _is_sort(cls, text: str) -> str:
        return _sort_field(text, SORT_FIELDS)

    @field_validator("groups")
    @classmethod
    def _is_group_sort(cls, text: str) -> str:
        return _sort_field(text, get_args(GroupSort)) if text else text

    @field_validator("columns")
    @classmethod
    def _are_columns(cls, names: tuple[str, ...]) -> tuple[str, ...]:
        return check_columns(names)

    @property
    def order(self) -> Sort:
        """The sort as a value of the index."""
        return Sort(self.sort.removeprefix("-"), self.sort.startswith("-"))

    @property
    def group_order(self) -> tuple[GroupSort, bool]:
        """Field and direction of the order of problems."""
        return cast("GroupSort", self.groups.removeprefix("-") or "problem"), self.groups.startswith("-")


class ViewsFile(BaseModel):
    """The content of `views.json`."""

    model_config = ConfigDict(extra="forbid", frozen=True, defer_build=True)

    version: Literal[1] = 1
    columns: tuple[str, ...] = ()
    """The columns chosen last, for the list without a view; empty means the default."""
    views: tuple[View, ...] = ()

    @field_validator("columns")
    @classmethod
    def _are_columns(cls, names: tuple[str, ...]) -> tuple[str, ...]:
        return check_columns(names)

    def view(self, name: str) -> View:
        """Return the view of a name.

        Raises:
            NotFound: there is none; lists those there are.
        """
        for view in self.views:
            if view.name == name:
                return view
        names = ", ".join(view.name for view in self.views)
        remedy = f"There are: {names}." if names else "Save one in the app: v in the list of rollouts."
        raise NotFound(f"no view {name!r}", remedy=remedy)


def check_columns(names: tuple[str, ...]) -> tuple[str, ...]:
    """Return the names themselves.

    Raises:
        ValueError: one of them is not a column.
    """
    for name in names:
        if name not in COLUMN_NAMES:
            raise ValueError(f"there is no column {name!r}; one of {', '.join(COLUMN_NAMES)}")
    return names


def views_path(environment: Mapping[str, str] = os.environ) -> Path:
    """Return the path of the file: in `COGTUI_CONFIG`, else `XDG_CONFIG_HOME/cogtui`, else `~/.config/cogtui`."""
    return config_folder(environment) / FILE


def read_views() -> ViewsFile:
    """Read the saved views; empty if there is no file.

    Raises:
        InvalidInput: the file is not valid; it is then never overwritten.
    """
    path = views_path()
    try:
        found = read_json(path)
        return ViewsFile() if found is None else ViewsFile.model_validate(found)
    except ValidationError as error:
        first = error.errors()[0]
        place = ".".join(map(str, first["loc"]))
        raise InvalidInput(
            f"{path} cannot be used: {place}: {first['msg']}", remedy="Fix or remove that file."
        ) from None
    except OSError as error:
        raise InvalidInput(f"{path} cannot be read: {error.strerror}") from error


def save_view(view: View) -> ViewsFile:
    """Save a view, replacing one of the same name; return all views.

    Raises:
        InvalidInput: the existing file is not valid. MissingRequirement: it cannot be written.
    """
    now = read_views()
    kept = [one for one in now.views if one.name != view.name]
    return _write(now.model_copy(update={"views": tuple(sorted([*kept, view], key=lambda one: one.name))}))


def remove_view(name: str) -> ViewsFile:
    """Remove a view; return the others. Raises the errors of `save_view`, and NotFound."""
    now = read_views()
    now.view(name)
    return _write(now.model_copy(update={"views": tuple(one for one in now.views if one.name != name)}))


def save_columns(names: tuple[str, ...]) -> ViewsFile:
    """Save the columns chosen last. Raises the errors of `save_view`."""
    return _write(read_views().model_copy(update={"columns": names}))


def _write(views: ViewsFile) -> ViewsFile:
    path = views_path()
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        write_json(path, views.model_dump(mode="json"))
    except OSError as error:
        raise MissingRequirement(
            f"views cannot be saved in {path}: {error.strerror}",
            remedy="Set COGTUI_CONFIG to a folder that you can write to.",
        ) from error
    return views
