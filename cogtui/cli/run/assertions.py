"""The language of `cogtui run --assert 'ppo.reward_last > ppo.reward_first'`: syntax tree and parser.

    expression  = all { "or" all } ;  all = test { "and" test } ;  test = [ "not" ] test | comparison
    comparison  = sum [ ( "<" | "<=" | ">" | ">=" | "==" | "!=" ) sum ]
    sum         = product { ( "+" | "-" ) product } ;  product = sign { ( "*" | "/" ) sign }
    sign        = [ "-" ] value ;  value = number | text | "true" | "false" | reference | call | "(" expression ")"
    call        = ( "mean" | "min" | "max" ) "(" reference ")"
    reference   = STAGE [ selector ] { "." FIELD } [ selector ] ;  selector = "[" DIMENSION "=" VALUE … "]"

Text is never passed to Python's own parser. `cogtui.cli.run.check` evaluates the tree.
"""

import re
from dataclasses import dataclass
from typing import Final, Literal, cast

from pipelines.errors import InvalidInput

Comparison = Literal["<", "<=", ">", ">=", "==", "!="]
Arithmetic = Literal["+", "-", "*", "/"]
Logic = Literal["and", "or"]
Function = Literal["mean", "min", "max"]

MAX_LENGTH: Final = 2000
MAX_DEPTH: Final = 40
FUNCTIONS: Final = ("mean", "min", "max")

_TOKEN: Final = re.compile(
    r"""\s*(?: (?P<number>\d+(?:\.\d+)?(?:[eE][+-]?\d+)?) | (?P<name>[A-Za-z_][A-Za-z0-9_]*)
    | (?P<text>"[^"]*"|'[^']*') | (?P<selector>\[[^\[\]]*\]) | (?P<sign><=|>=|==|!=|[<>+\-*/().]) )""",
    re.VERBOSE,
)
_SELECTION: Final = re.compile(r"""([A-Za-z_][A-Za-z0-9_]*)\s*=\s*("[^"]*"|'[^']*'|[^\s,=]+)[\s,]*""")


@dataclass(frozen=True, slots=True)
class ConstantValue:
    """A number, a text, true or false."""

    value: float | str | bool


@dataclass(frozen=True, slots=True)
class ResultReference:
    """A value of a stage's `result.json`."""

    stage: str
    fields: tuple[str, ...]
    selector: tuple[tuple[str, str], ...] = ()

    def __str__(self) -> str:
        chosen = " ".join(f"{name}={value}" for name, value in self.selector)
        return f"{self.stage}{f'[{chosen}]' if chosen else ''}.{'.'.join(self.fields)}"


@dataclass(frozen=True, slots=True)
class FunctionCall:
    """A function over all cells that match a reference's selector."""

    function: Function
    argument: ResultReference

    def __str__(self) -> str:
        return f"{self.function}({self.argument})"


@dataclass(frozen=True, slots=True)
class UnaryMinus:
    """Unary minus."""

    value: "Expression"


@dataclass(frozen=True, slots=True)
class Negation:
    """Logical negation."""

    value: "Expression"


@dataclass(frozen=True, slots=True)
class BinaryOperation:
    """Two expressions with an operator."""

    sign: Comparison | Arithmetic | Logic
    left: "Expression"
    right: "Expression"


Expression = ConstantValue | ResultReference | FunctionCall | UnaryMinus | Negation | BinaryOperation


@dataclass(frozen=True, slots=True)
class Assertion:
    """The text of an assertion and its syntax tree."""

    text: str
    expression: Expression

    def references(self) -> tuple[ResultReference, ...]:
        """Return every reference outside a call, each once."""
        return tuple(dict.fromkeys(node for node in _walk(self.expression) if isinstance(node, ResultReference)))

    def calls(self) -> tuple[FunctionCall, ...]:
        """Return every call, each once."""
        return tuple(dict.fromkeys(node for node in _walk(self.expression) if isinstance(node, FunctionCall)))


def parse_assertion(text: str) -> Assertion:
    """Parse an assertion.

    Raises:
        InvalidInput: points at the error with a caret.
    """
    return Assertion(text, _AssertionParser(text).parse())


def _walk(node: Expression) -> list[Expression]:
    if isinstance(node, UnaryMinus | Negation):
        return [node, *_walk(node.value)]
    if isinstance(node, BinaryOperation):
        return [node, *_walk(node.left), *_walk(node.right)]
    return [node]


@dataclass(frozen=True, slots=True)
class _Token:
    kind: str
    text: str
    start: int


class _AssertionParser:
    def __init__(self, text: str) -> None:
        self._text = text
        self._depth = 0
        if len(text) > MAX_LENGTH:
            raise InvalidInput(f"--assert: longer than {MAX_LENGTH} characters", remedy="Split it into several.")
        self._tokens = self._split()
        self._at = 0

    def parse(self) -> Expression:
        expression = self._any()
        if self._peek.kind != "end":
            raise self._wrong("expected an operator or the end here")
        return expression

    def _split(self) -> list[_Token]:
        tokens = []
        at = 0
        end = len(self._text.rstrip())
        while at < end:
            match = _TOKEN.match(self._text, at)
            if match is None or match.lastgroup is None:
                start = at + len(self._text[at:]) - len(self._text[at:].lstrip())
                raise self._wrong("unexpected character", start)
            tokens.append(_Token(match.lastgroup, match[match.lastgroup], match.start(match.lastgroup)))
            at = match.end()
        return [*tokens, _Token("end", "", end)]

    @property
    def _peek(self) -> _Token:
        return self._tokens[self._at]

    def _take(self, *texts: str) -> str | None:
        """Consume the next token if it is one of these names or signs."""
        token = self._peek
        if token.kind not in ("name", "sign") or token.text not in texts:
            return None
        self._at += 1
        return token.text

    def _wrong(self, message: str, start: int | None = None) -> InvalidInput:
        place = self._peek.start if start is None else start
        return InvalidInput(
            f"--assert: {message}",
            detail=f"{self._text}\n{' ' * place}^",
            remedy="Write it as 'STAGE.FIELD > STAGE.FIELD', e.g. 'ppo.reward_last > ppo.reward_first'.",
        )

    def _any(self) -> Expression:
        self._depth += 1
        if self._depth > MAX_DEPTH:
            raise self._wrong("nested too deeply")
        left = self._all()
        while self._take("or"):
            left = BinaryOperation("or", left, self._all())
        self._depth -= 1
        return left

    def _all(self) -> Expression:
        left = self._test()
        while self._take("and"):
            left = BinaryOperation("and", left, self._test())
        return left

    def _test(self) -> Expression:
        negations = 0
        while self._take("not"):
            negations += 1
        inner = self._comparison()
        for _ in range(negations):
            inner = Negation(inner)
        return inner

    def _comparison(self) -> Expression:
        left = self._sum()
        sign = self._take("<", "<=", ">", ">=", "==", "!=")
        if sign is None:
            return left
        right = self._sum()
        if self._take("<", "<=", ">", ">=", "==", "!="):
            self._at -= 1
            raise self._wrong("compare two values at a time, and join comparisons with and")
        return BinaryOperation(cast("Comparison", sign), left, right)

    def _sum(self) -> Expression:
        left = self._product()
        while sign := self._take("+", "-"):
            left = BinaryOperation(cast("Arithmetic", sign), left, self._product())
        return left

    def _product(self) -> Expression:
        left = self._signed()
        while sign := self._take("*", "/"):
            left = BinaryOperation(cast("Arithmetic", sign), left, self._signed())
        return left

    def _signed(self) -> Expression:
        negative = False
        while self._take("-"):
            negative = not negative
        value = self._value()
        return UnaryMinus(value) if negative else value

    def _value(self) -> Expression:
        token = self._peek
        if self._take("("):
            inner = self._any()
            if not self._take(")"):
                raise self._wrong("a ) is missing here")
            return inner
        if token.kind == "number":
            self._at += 1
            return ConstantValue(float(token.text))
        if token.kind == "text":
            self._at += 1
            return ConstantValue(token.text[1:-1])
        if token.kind == "name" and token.text not in ("and", "or", "not"):
            return self._named(token)
        raise self._wrong("expected a value here")

    def _named(self, token: _Token) -> Expression:
        if token.text in ("true", "false"):
            self._at += 1
            return ConstantValue(token.text == "true")
        following = self._tokens[self._at + 1]
        if following.text == "(":
            if token.text not in FUNCTIONS:
                raise self._wrong(f"there is no function {token.text}; there are {', '.join(FUNCTIONS)}")
            self._at += 2
            reference = self._reference()
            if not self._take(")"):
                raise self._wrong("a ) is missing here")
            return FunctionCall(cast("Function", token.text), reference)
        return self._reference()

    def _reference(self) -> ResultReference:
        stage = self._peek
        if stage.kind != "name":
            raise self._wrong("expected the name of a stage here")
        self._at += 1
        selector = self._selector()
        fields = []
        while self._take("."):
            part = self._peek
            if part.kind not in ("name", "number", "text"):
                raise self._wrong("expected the name of a field here")
            fields.append(part.text[1:-1] if part.kind == "text" else part.text)
            self._at += 1
        if not fields:
            raise self._wrong(f"expected a field of {stage.text} here, such as {stage.text}.reward_last")
        return ResultReference(stage.text, tuple(fields), selector or self._selector())

    def _selector(self) -> tuple[tuple[str, str], ...]:
        token = self._peek
        if token.kind != "selector":
            return ()
        inner = token.text[1:-1].strip()
        found: dict[str, str] = {}
        at = 0
        while at < len(inner):
            match = _SELECTION.match(inner, at)
            if match is None or match[1] in found:
                raise self._wrong("a selector is written [condition=none seed=1]")
            found[match[1]] = match[2].strip("\"'")
            at = match.end()
        if not found:
            raise self._wrong("this selector is empty")
        self._at += 1
        return tuple(found.items())
