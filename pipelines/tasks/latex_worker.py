"""The process that compares LaTeX answers with math-verify. It reads one JSON line for each comparison.

Answers are model text. Of math-verify only the LaTeX parser is used, which builds sympy expressions from a grammar; its
other parser hands text to Python's `eval`, as does sympy for numbers in LaTeX, which are read here instead. Should a
version of sympy or math-verify evaluate text all the same, an audit hook stops it: a comparison compiles no text,
starts no process, and opens no socket and no file for writing. Its memory and CPU time are limited.
"""

import json
import os
import resource
import sys
from typing import Any, Final, NoReturn

_MEMORY: Final = 2 << 30
_CPU_S: Final = 2
"""Seconds of CPU a comparison may take, so that a busy machine changes no result."""
_FORBIDDEN: Final = ("os.", "subprocess.", "socket.", "shutil.", "ctypes.", "pty.", "webbrowser.")
_WARM_UP: Final = (
    (r"\frac{1}{2}", "0.5"), (r"x^2+1", r"1+x^{2}"), (r"\{1,2\}", r"\{2,1\}"), (r"(1,2]", r"(1,2]"),
    (r"\begin{pmatrix}1\\2\end{pmatrix}", r"\begin{pmatrix}1\\2\end{pmatrix}"), (r"x=3", "3"), (r"\sqrt{2}", "1.41"),
    (r"x<3", r"x \lt 4"), (r"2\pi", r"\pi+\pi"), (r"\sin^2 x+\cos^2 x", "1"), ("3+4i", "4i+3"), (r"50\%", "0.5"),
    (r"\int_0^1 x dx", "0.5"), (r"x^2-1", r"(x-1)(x+1)"), (r"\sum_{i=1}^{3} i", "6"), (r"\lim_{x \to 0} x", "0"),
    ("5!", "120"), (r"\log_2 8", "3"), (r"\binom{5}{2}", "10"), ("y=2x+3", "y=3+2x"), (r"\frac{d}{dx} x^2", "2x"),
)  # fmt: skip
"""Comparisons after which sympy has imported what it imports on first use; its modules evaluate texts of their own."""


def _deny(event: str, arguments: tuple[Any, ...]) -> None:
    if event in ("compile", "exec"):
        name = arguments[1] if event == "compile" else getattr(arguments[0], "co_filename", "")
        # a module that is imported late comes from a file
        denied = not str(name).endswith(".py") and not str(name).startswith("<frozen")
    elif event == "open":
        mode, flags = arguments[1], arguments[2]
        denied = any(letter in str(mode or "") for letter in "wax+") or bool(isinstance(flags, int) and flags & 3)
    else:
        denied = event.startswith(_FORBIDDEN) and event not in ("os.listdir", "os.scandir")
    if denied:
        raise PermissionError(f"refused: {event}")


def _number(text: str) -> Any:
    """Return a number of LaTeX text exactly."""
    from fractions import Fraction

    from sympy import Integer, Rational

    value = Fraction(text.replace(",", "").replace(" ", ""))
    return Integer(value.numerator) if value.denominator == 1 else Rational(value.numerator, value.denominator)


def _no_evaluation(*_: Any, **__: Any) -> Any:
    raise PermissionError("refused: text to be evaluated")


def _take_evaluation_out() -> None:
    """Replace what evaluates text in sympy and the LaTeX parser."""
    from latex2sympy2_extended import latex2sympy2
    from sympy.parsing import sympy_parser

    # both hand the text to sympy's evaluating parser
    latex2sympy2._Latex2Sympy.parse_number = lambda _, text: _number(text)
    latex2sympy2.convert_number = lambda text: _number(
        text.replace(",", ".") if text.startswith("0") and "," in text else text
    )
    latex2sympy2.parse_expr = _no_evaluation
    sympy_parser.parse_expr = _no_evaluation
    sympy_parser.eval_expr = _no_evaluation


def compare(gold: str, answer: str) -> bool | None:
    """Return whether two LaTeX expressions are equal; None where the answer cannot be parsed."""
    from math_verify import LatexExtractionConfig, parse, verify

    def parsed(text: str) -> Any:
        return parse(f"${text}$", [LatexExtractionConfig()], fallback_mode="no_fallback", parsing_timeout=None)

    given = parsed(answer)
    return bool(verify(parsed(gold), given, timeout_seconds=None)) if given else None


def main() -> None:
    """Answer comparisons until standard input ends, each in a child that has imported sympy already."""
    import logging

    resource.setrlimit(resource.RLIMIT_AS, (_MEMORY, _MEMORY))
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    sys.setrecursionlimit(3000)
    logging.disable()
    for gold, answer in _WARM_UP:
        compare(gold, answer)
    _take_evaluation_out()
    _reply({"ready": True})
    for line in sys.stdin:
        child = os.fork()
        if child == 0:
            _answer(json.loads(line))
        _, status = os.waitpid(child, 0)
        if status != 0:
            _reply({"equal": None, "error": "stopped"})


def _answer(request: dict[str, str]) -> NoReturn:
    """Compare in this process, which may neither evaluate text nor use more than some seconds of CPU; then exit."""
    resource.setrlimit(resource.RLIMIT_CPU, (_CPU_S, _CPU_S))
    sys.addaudithook(_deny)
    try:
        reply: dict[str, Any] = {"equal": compare(request["gold"], request["answer"])}
    except (Exception, RecursionError, MemoryError) as error:
        reply = {"equal": None, "error": f"{type(error).__name__}: {error}"[:200]}
    _reply(reply)
    os._exit(0)


def _reply(value: dict[str, Any]) -> None:
    os.write(1, json.dumps(value).encode() + b"\n")


if __name__ == "__main__":
    main()
