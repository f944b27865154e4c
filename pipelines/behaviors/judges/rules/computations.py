"""Computations: expressions with the result that the trace states, in symbols or in words."""

import re
from dataclasses import dataclass, field
from typing import Final

from pipelines.behaviors.judges.rules.expressions import ArithmeticExpression, read_expression
from pipelines.behaviors.judges.rules.spoken import VERB_STEMS, find_verb, read_spoken
from pipelines.behaviors.judges.rules.tokens import (
    CLOSE,
    GLUE,
    NEWLINE,
    NUMBER,
    OPEN,
    OPERATOR,
    OTHER,
    RELATION,
    WORD_OPERATORS,
    WORDS,
    Number,
    TokenTable,
    key,
)


@dataclass(slots=True)
class Computation:
    """`15 * 6 = 90`, `94/26 ≈ 3.6`, `91 minus 80 is 11`, `60 - 62 + 12 = -2 + 12 = 10`, or a bare `(94 - 86) * 13`."""

    start: int
    end: int
    sides: list[ArithmeticExpression]
    """The expressions left, between and right of the relations; at least one has an operator."""
    exact: list[bool]
    """For each relation, whether it is an equality rather than an approximation."""
    result: Number | None
    """The stated result; the computed value if none is stated."""
    claimed: bool
    """Whether the trace states the result."""
    on_last: bool = False
    """Whether its first operand is the last result, which is implied: `adding 14 makes 59`."""
    spoken: bool = False
    """Whether it is expressed with a verb (`multiply 5 by 8`)."""
    first_line_end: int = 0
    """Offset of its end, or of the end of its first line if it has several."""
    main: ArithmeticExpression = field(init=False)
    """The computed side: the first with an operator."""
    leads_with_result: bool = field(init=False)
    """Whether the first side is a single number: `98 = 2 × 49`."""
    operands: tuple[Number, ...] = field(init=False)
    keys: tuple[Number, ...] = field(init=False)
    """The keys of the operands, for comparison with results (`tokens.key`)."""
    result_key: Number | None = field(init=False)
    form: str = field(init=False)
    value: Number | None = field(init=False)

    def __post_init__(self) -> None:
        main = self.sides[0]
        self.leads_with_result = not main.operators
        if self.leads_with_result:
            main = next(side for side in self.sides if side.operators)
        self.main = main
        self.operands = operands = main.operands
        self.keys = tuple(map(key, operands)) if float in map(type, operands) else operands
        self.form = "" if self.on_last else main.form
        self.value = main.value
        self.set_result(self.result)

    def set_result(self, result: Number | None) -> None:
        """Set the result."""
        self.result = result
        self.result_key = None if result is None else key(result)


_SAYS: Final = re.compile(
    r"[*_`$)\\ ]{0,6}(?:[,:]? ?(?:and |so |then )?(?:which|that|this|it|what)(?:'s| is| gives| equals| makes| yields"
    r"| leaves| would be| will be| comes? to| becomes| results in| evaluates to| totals| brings)"
    r"(?: us| me| you)?(?: (?:with|to|at))?(?: a total of)?"
    r"|[,:]? ?(?:and |so )?(?:is|are|was|equals|equal to|is equal to|would be|will be|gives|give|giving|yields|yield"
    r"|yielding|makes|make|making|leaves|leaving|becomes|totals|totalling|totaling|results in|resulting in"
    r"|comes to|comes out to|comes out as|brings|evaluates to|works out to"
    r"|(?:we|i|you) (?:get|obtain|have|reach|arrive at|end up with)|to (?:get|obtain|make|give|reach|produce|have)"
    r"|getting|obtaining|for a total of"
    r"|es|son|da|dan|es igual a|obtenemos|ist|sind|ergibt|gibt|macht|gleich|fait|font|donne|vaut|égale|é|dá|fa"
    r"|等于|得|得到|是|为|就是|结果是)"
    r"(?: us| me| you)?(?: with| to)?)"
    r"(?:(?<=[\u3400-\u9fff])|[ :]{1,2})(?:about |approximately |roughly |around |just |only |now |then |also |still "
    r"|negative )?"
    r"[*_`$\\(\[]{0,6}(?=-?\d)"
)
"""Matches from the end of an expression, over words, to its stated result."""
_BEFORE_SAYING: Final = frozenset((WORDS, OTHER, GLUE))
_SAYS_SPELLED: Final = re.compile(
    r",? ?(?:which |that |and )?(?:is|equals|gives|makes|yields|we get|to get|we have|leaves) (?=[a-z])"
)


def read_computations(tokens: TokenTable, folded: str) -> list[Computation]:
    """Return all computations of a text, in order, without overlaps."""
    kinds = tokens.kinds
    found: list[Computation] = []
    speaks = any(stem in folded for stem in VERB_STEMS)
    search = (_BEGIN_OR_WORDS if speaks else _BEGIN).search
    position = 0
    while (begin := search(kinds, position)) is not None:
        index = begin.start()
        position = index + 1
        kind = kinds[index]
        if kind == WORDS:
            spoken = _spoken(tokens, folded, index, found)
            if spoken is not None:
                found.append(spoken[0])
                position = spoken[1]
            continue
        if kind == NUMBER:
            behind = begin.start(1)
            if kinds[behind] == WORDS and tokens.values[behind] not in WORD_OPERATORS:
                continue
            if kinds[index - 1 : index] == _OPERATOR and _signed(tokens, index, found):
                index -= 1
            elif index and kinds[index - 1] == WORDS and _in_a_name(tokens, index, folded):
                continue
        expression = read_expression(tokens, index)
        if expression is not None:
            computation, position = _chain(tokens, folded, expression)
            if computation is not None:
                found.append(computation)
    return found


_OTHER: Final = bytes((OTHER,))
_CELL_STARTS: Final = (bytes((NUMBER,)), bytes((GLUE,)), bytes((OPERATOR,)))
_NUMBER: Final = bytes((NUMBER,))
_OPERATOR: Final = bytes((OPERATOR,))
_BEGIN: Final = re.compile(b"%c(?=%c*([%c%c%c%c]))|%c" % (NUMBER, GLUE, OPERATOR, RELATION, OPEN, WORDS, OPEN))
"""Matches an open bracket, or a number followed by a token that can continue a computation."""
_BEGIN_OR_WORDS: Final = re.compile(_BEGIN.pattern + b"|%c" % WORDS)


def _in_a_name(tokens: TokenTable, index: int, folded: str) -> bool:
    """Return whether a number ends a name: `x2 = x1 + 14`. Chinese has no space before numbers; `3x4` is a product."""
    start = tokens.starts[index]
    if tokens.ends[index - 1] != start or not folded[start - 1].isascii():
        return False
    return tokens.values[index - 1] != "x" or index < _OPERANDS or tokens.kinds[index - 2] not in (NUMBER, CLOSE)


_OPERANDS: Final = 2


def _signed(tokens: TokenTable, index: int, found: list[Computation]) -> bool:
    """Return whether the minus before a number is its sign. At the start of a line it may be a bullet."""
    before = index - 1
    if before < 0 or tokens.kinds[index] != NUMBER or tokens.kinds[before] != OPERATOR or tokens.values[before] != "-":
        return False
    if tokens.ends[before] != tokens.starts[index]:
        return False
    if before == 0 or tokens.kinds[before - 1] == NEWLINE:
        number = tokens.values[index]
        return bool(found) and isinstance(number, int | float) and found[-1].result == -number
    return tokens.kinds[before - 1] in (OTHER, WORDS, RELATION, OPEN)


def _chain(tokens: TokenTable, folded: str, first: ArithmeticExpression) -> tuple[Computation | None, int]:
    """Return an expression with the sides joined to it by `=`, `≈`, `→` or words, and the index after the last token.

    There is no computation where no side has an operator.
    """
    sides = [first]
    exact: list[bool] = []
    operators = first.operators
    line_end = 0
    index = first.after
    while True:
        index, relation, crossed = _relation(tokens, index)
        if relation is None:
            break
        side = read_expression(tokens, index)
        if side is None or (relation == "=" and _is_distance(tokens, folded, index, side)):
            break
        if crossed and not line_end:
            line_end = sides[-1].end
        sides.append(side)
        exact.append(relation == "=")
        operators += side.operators
        index = side.after
    last = sides[-1]
    if last.operators and (cell := _next_cell(tokens, last)) is not None:
        sides.append(cell)
        exact.append(True)
        last = cell
    elif last.operators and (said := _said(tokens, folded, last)) is not None:
        sides.append(said)
        exact.append("about" not in folded[last.end : said.start])
        last = said
    if not operators:
        return None, last.after
    return _computation(sides, exact, line_end or last.end), last.after


def _computation(
    sides: list[ArithmeticExpression],
    exact: list[bool],
    first_line_end: int,
    *,
    on_last: bool = False,
    spoken: bool = False,
) -> Computation:
    first, last = sides[0], sides[-1]
    main = 0 if first.operators else next(place for place, side in enumerate(sides) if side.operators)
    claimed = len(sides) - 1 > main and last.value is not None
    leading = main == 1 and len(sides) == 2
    result = last.value if claimed else first.value if leading else sides[main].value
    return Computation(first.start, last.end, sides, exact, result, claimed or leading, on_last, spoken, first_line_end)


def _next_cell(tokens: TokenTable, expression: ArithmeticExpression) -> ArithmeticExpression | None:
    """Return the number in the table cell behind an expression, if it is its value: `| 22 + 19 | 41 |`."""
    index = expression.after
    if tokens.kinds[index : index + 1] != _OTHER or tokens.values[index] != "|":
        return None
    side = read_expression(tokens, index + 1) if tokens.kinds[index + 1 : index + 2] in _CELL_STARTS else None
    if side is None or side.operators or side.value is None or side.value != expression.value:
        return None
    behind = side.after
    return side if tokens.kinds[behind : behind + 1] == _OTHER and tokens.values[behind] == "|" else None


def _is_distance(tokens: TokenTable, folded: str, index: int, side: ArithmeticExpression) -> bool:
    """Return whether a number behind an arrow says how far off the result is: `99 → 9 too many`."""
    if side.operators or folded[tokens.starts[index] - 1 : tokens.starts[index]] == "=":
        return False
    return _DISTANCE.match(folded, side.end) is not None


_DISTANCE: Final = re.compile(
    r"[*_`$)\\]* (?:too|more|less|short|over|under|off|away|above|below|higher|lower|left|missing|beyond|shy|needed)\b"
)


_MAY_RELATE: Final = frozenset((RELATION, GLUE, NEWLINE, CLOSE))


def _relation(tokens: TokenTable, index: int) -> tuple[int, str | None, bool]:
    """Skip filler and at most one line break up to a relation: (index after it, sign or None, line crossed)."""
    kinds = tokens.kinds
    size = len(kinds)
    if index >= size or kinds[index] not in _MAY_RELATE:
        return index, None, False
    if kinds[index] == RELATION and kinds[index + 1 : index + 2] == _NUMBER:
        return index + 1, str(tokens.values[index]), False  # mostly
    if kinds[index] == NEWLINE and (index + 1 >= size or kinds[index + 1] not in _MAY_RELATE):
        return index, None, False
    crossed = False
    start = index
    while index < size:
        kind = kinds[index]
        if kind == RELATION:
            sign = str(tokens.values[index])
            index += 1
            while index < size and (kinds[index] == GLUE or (kinds[index] == NEWLINE and not crossed)):
                crossed |= kinds[index] == NEWLINE
                index += 1
            return index, sign, crossed
        if kind == NEWLINE and not crossed:
            crossed = True
        elif kind == CLOSE and not crossed:
            pass  # `(60 + 40) = 100` read without its brackets
        elif kind != GLUE:
            break
        index += 1
    return start, None, False


def _said(tokens: TokenTable, folded: str, expression: ArithmeticExpression) -> ArithmeticExpression | None:
    """Return the number or expression that the following words state as the result."""
    if expression.after >= len(tokens.kinds) or tokens.kinds[expression.after] not in _BEFORE_SAYING:
        return None
    match = _SAYS.match(folded, expression.end)
    if match is None:
        match = _SAYS_SPELLED.match(folded, expression.end)
        if match is None:
            return None
    index = expression.after
    while index < len(tokens) and tokens.starts[index] < match.end():
        index += 1
    if index >= len(tokens) or tokens.starts[index] != match.end():
        return None
    if tokens.kinds[index] not in (NUMBER, OPERATOR):
        return None
    said = read_expression(tokens, index)
    if said is not None and not said.operators and said.value is not None and match[0].endswith("negative "):
        said.value = -said.value
    return said


def _spoken(tokens: TokenTable, folded: str, index: int, found: list[Computation]) -> tuple[Computation, int] | None:
    """Return a computation in words at a token: `multiply 20 by 3`, or the continuation `plus 92 is 285`."""
    words = str(tokens.values[index])
    sign = WORD_OPERATORS.get(words)
    if sign is not None and found and index + 1 < len(tokens) and tokens.kinds[index + 1] == NUMBER:
        number = tokens.values[index + 1]
        assert isinstance(number, int | float)
        step = ArithmeticExpression(
            start=tokens.starts[index],
            end=tokens.ends[index + 1],
            value=None,
            operands=(number,),
            operators=1,
            form=f" {sign} {number} ",
            first=index,
            after=index + 2,
        )
        return _with_result(tokens, folded, step, on_last=True)
    verb = find_verb(words)
    if verb < 0:
        return None
    told = read_spoken(tokens, folded, index, tokens.starts[index] + verb)
    return None if told is None else _with_result(tokens, folded, told.expression, on_last=told.on_last)


def _with_result(
    tokens: TokenTable, folded: str, expression: ArithmeticExpression, *, on_last: bool
) -> tuple[Computation, int] | None:
    """Return an operation in words with its result. One on the last result counts only if a result follows."""
    sides = [expression]
    after = expression.after
    behind, relation, _ = _relation(tokens, after)
    side = read_expression(tokens, behind) if relation else _said(tokens, folded, expression)
    while side is not None:
        sides.append(side)
        after = side.after
        behind, relation, _ = _relation(tokens, after)
        side = read_expression(tokens, behind) if relation else None
    if len(sides) == 1 and on_last:
        return None
    computation = _computation(sides, [True] * (len(sides) - 1), sides[-1].end, on_last=on_last, spoken=True)
    if on_last:
        computation.set_result(sides[-1].value)
        computation.claimed = True
    return computation, after
