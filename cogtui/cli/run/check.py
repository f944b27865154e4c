"""Evaluates `--assert` over the results of a run, cell by cell; a missing value is an error, never zero."""

import operator
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Final

from cogtui.cli.run.assertions import (
    Assertion,
    BinaryOperation,
    ConstantValue,
    Expression,
    FunctionCall,
    Negation,
    ResultReference,
    UnaryMinus,
)
from jobs.recipe.labels import Label, label_text
from jobs.recipe.source import suggest
from pipelines.errors import InvalidInput

Value = float | str | bool
_ARITHMETIC: Final[dict[str, Callable[[float, float], float]]] = {
    "+": operator.add,
    "-": operator.sub,
    "*": operator.mul,
    "/": operator.truediv,
}
_ORDER: Final[dict[str, Callable[[float, float], bool]]] = {
    "<": operator.lt,
    "<=": operator.le,
    ">": operator.gt,
    ">=": operator.ge,
}


@dataclass(frozen=True, slots=True)
class CellResults:
    """The results of the stages of one cell."""

    labels: Mapping[str, Label]
    stages: Mapping[str, tuple[str, Mapping[str, Any]]]
    """Name in the recipe → content key and result; stages without a result are absent."""


@dataclass(frozen=True, slots=True)
class AssertionCheck:
    """Whether an assertion is true in one cell, or over all cells, with the values used."""

    assertion: str
    cell: str
    holds: bool
    values: dict[str, Value] = field(default_factory=dict)

    def __str__(self) -> str:
        values = ", ".join(f"{name} = {_shown(value)}" for name, value in self.values.items())
        return f"{self.cell or 'all cells'}: {values}"


def check_names(assertion: Assertion, stages: Iterable[str], cells: Sequence[Mapping[str, Label]]) -> None:
    """Check stage names and selectors before the run.

    Raises:
        InvalidInput: no such stage, dimension or value; names the nearest.
    """
    known = list(stages)
    values: dict[str, dict[str, None]] = {}
    for labels in cells:
        for name, label in labels.items():
            values.setdefault(name, {})[_written(label)] = None
    for reference in (*assertion.references(), *(call.argument for call in assertion.calls())):
        if reference.stage not in known:
            hint = suggest(reference.stage, known, "Stages")
            raise InvalidInput(f"--assert: the recipe has no stage {reference.stage!r}", remedy=hint)
        for name, value in reference.selector:
            if name not in values:
                raise InvalidInput(f"--assert: the matrix has no {name!r}", remedy=suggest(name, values, "Dimensions"))
            if value not in values[name]:
                raise InvalidInput(
                    f"--assert: {name} has no value {value!r}", remedy=suggest(value, values[name], "Values")
                )


def check_fields(assertion: Assertion, cells: Sequence[CellResults]) -> None:
    """Check before the run the fields of stages that have a result already; of others nothing is known yet.

    Raises:
        InvalidInput: a result has no such field; names the nearest.
    """
    for reference in (*assertion.references(), *(call.argument for call in assertion.calls())):
        for cell in cells:
            if reference.stage in cell.stages:
                _field(reference, cell)


def check_assertion(assertion: Assertion, cells: Sequence[CellResults]) -> list[AssertionCheck]:
    """Evaluate an assertion in every cell that has all stages it names; cells with equal instances count once.

    A selector chooses the cell with these values and otherwise the labels of the present cell, so that
    `ppo[condition=a].x > ppo[condition=b].x` compares seed by seed. `mean`, `min` and `max` use all cells that match
    their selector, each stage once.

    Raises:
        InvalidInput: a value is missing or of the wrong type, or no cell has the stages.
    """
    totals: dict[Expression, Value] = {call: _total(call, cells) for call in assertion.calls()}
    checks: dict[tuple[tuple[str, str], ...], AssertionCheck] = {}
    for cell in cells:
        found = {reference: _cell_of(reference, cell, cells) for reference in assertion.references()}
        if any(target is None or reference.stage not in target.stages for reference, target in found.items()):
            continue
        targets = {reference: target for reference, target in found.items() if target is not None}
        identity = tuple((str(reference), target.stages[reference.stage][0]) for reference, target in targets.items())
        if identity in checks:
            continue
        values = totals | {reference: _value(reference, target) for reference, target in targets.items()}
        holds = _evaluate(assertion.expression, values)
        if not isinstance(holds, bool):
            raise InvalidInput(
                f"--assert must evaluate to true or false, but {assertion.text} is {_shown(holds)}",
                remedy="Compare it with a value, e.g. with > 0.",
            )
        chosen = {name for reference in targets for name, _ in reference.selector}
        rest = {name: label for name, label in cell.labels.items() if name not in chosen}
        title = label_text(rest) if targets else ""
        checks[identity] = AssertionCheck(
            assertion.text, title, holds, {str(name): value for name, value in values.items()}
        )
    if not checks:
        stages = ", ".join(dict.fromkeys(reference.stage for reference in assertion.references()))
        raise InvalidInput(
            f"--assert: no cell has a result of all of {stages}", detail=assertion.text, remedy="See cogtui ls."
        )
    return list(checks.values())


def _cell_of(reference: ResultReference, cell: CellResults, cells: Sequence[CellResults]) -> CellResults | None:
    if not reference.selector:
        return cell
    wanted = {name: _written(label) for name, label in cell.labels.items()} | dict(reference.selector)
    return next(
        (other for other in cells if {name: _written(label) for name, label in other.labels.items()} == wanted), None
    )


def _total(call: FunctionCall, cells: Sequence[CellResults]) -> float:
    chosen = dict(call.argument.selector)
    numbers: dict[str, float] = {}
    for cell in cells:
        if call.argument.stage not in cell.stages:
            continue
        if all(_written(cell.labels[name]) == value for name, value in chosen.items()):
            key = cell.stages[call.argument.stage][0]
            numbers[key] = _number(_value(call.argument, cell), str(call.argument))
    if not numbers:
        raise InvalidInput(f"--assert: {call} has no value: no cell has a result of {call.argument.stage}")
    if call.function == "mean":
        return sum(numbers.values()) / len(numbers)
    return min(numbers.values()) if call.function == "min" else max(numbers.values())


def _field(reference: ResultReference, cell: CellResults) -> Any:
    """Return what a result has under a reference.

    Raises:
        InvalidInput: it has no such field.
    """
    key, here = cell.stages[reference.stage]
    value: Any = here
    for part in reference.fields:
        if isinstance(value, list) and part.isdecimal() and int(part) < len(value):
            value = value[int(part)]
        elif isinstance(value, Mapping) and part in value:
            value = value[part]
        else:
            names = [str(name) for name in value] if isinstance(value, Mapping) else []
            raise InvalidInput(
                f"--assert: the result of {reference.stage} has no {'.'.join(reference.fields)!r}",
                detail=f"in {key}, {label_text(cell.labels)}".rstrip(", "),
                remedy=suggest(part, names, "Fields"),
            )
    return value


def _value(reference: ResultReference, cell: CellResults) -> Value:
    key, _ = cell.stages[reference.stage]
    value = _field(reference, cell)
    if value is None:
        raise InvalidInput(f"--assert: {reference} is missing in {key}", remedy="A missing value is not zero.")
    if not isinstance(value, bool | int | float | str):
        names = [str(name) for name in value]
        raise InvalidInput(
            f"--assert: {reference} is not a single value", remedy=f"Take one of: {', '.join(names[:12])}."
        )
    return value if isinstance(value, bool | str) else float(value)


def _evaluate(node: Expression, values: Mapping[Expression, Value]) -> Value:
    if isinstance(node, ConstantValue):
        return node.value
    if isinstance(node, ResultReference | FunctionCall):
        return values[node]
    if isinstance(node, UnaryMinus):
        return -_number(_evaluate(node.value, values), "a negated value")
    if isinstance(node, Negation):
        return not _truth(_evaluate(node.value, values), "not")
    return _binary(node, _evaluate(node.left, values), _evaluate(node.right, values))


def _binary(node: BinaryOperation, left: Value, right: Value) -> Value:
    if node.sign in ("and", "or"):
        # Both operands are evaluated, so that a missing value is always an error.
        one, other = _truth(left, node.sign), _truth(right, node.sign)
        return (one and other) if node.sign == "and" else (one or other)
    if node.sign in ("==", "!="):
        if type(left) is not type(right):
            raise InvalidInput(f"--assert: {_shown(left)} and {_shown(right)} are of different types")
        return (left == right) == (node.sign == "==")
    first, second = (_number(value, f"an operand of {node.sign}") for value in (left, right))
    if node.sign in _ORDER:
        return _ORDER[node.sign](first, second)
    if node.sign == "/" and second == 0:
        raise InvalidInput("--assert: division by zero")
    return _ARITHMETIC[node.sign](first, second)


def _number(value: Value, what: str) -> float:
    if isinstance(value, bool | str):
        raise InvalidInput(f"--assert: {what} is not a number: {_shown(value)}")
    return value


def _truth(value: Value, what: str) -> bool:
    if not isinstance(value, bool):
        raise InvalidInput(f"--assert: an operand of {what} is neither true nor false: {_shown(value)}")
    return value


def _written(label: Label) -> str:
    return str(label).lower() if isinstance(label, bool) else str(label)


def _shown(value: Value) -> str:
    if isinstance(value, bool):
        return str(value).lower()
    return f"{value:.6g}" if isinstance(value, float) else repr(value)
