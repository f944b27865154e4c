"""What else is asked about a document: does it pose a problem, does it solve one, what is it about."""

import re
from collections import Counter
from dataclasses import dataclass
from typing import Any, Final, Literal, get_args

from pipelines.records import JudgeStatus

Domain = Literal[
    "arithmetic",
    "algebra",
    "geometry",
    "number_theory",
    "combinatorics",
    "probability",
    "calculus",
    "linear_algebra",
    "logic",
    "physics",
    "computing",
    "other",
]
DOMAINS: Final[tuple[str, ...]] = get_args(Domain)

_PROBLEM: Final = re.compile(
    r"\?|\b(?:find|prove|show that|determine|compute|evaluate|calculate|solve|how many|how much|what is|exercise"
    r"|problem|question|puzzle|is it possible|goal)\b",
    re.IGNORECASE,
)
_SOLUTION: Final = re.compile(
    r"\b(?:therefore|hence|thus|it follows|the (?:final )?answer|the solution|solution:|proof|we (?:get|have"
    r"|obtain|conclude)|q\.?e\.?d|so the|is the goal)\b|∎|\\boxed|= *-?\d",
    re.IGNORECASE,
)
_WORDS: Final[dict[str, str]] = {
    "geometry": r"triangles?|circles?|angles?|polygons?|perpendicular|parallel|radius|tangents?|area|vertices",
    "number_theory": r"primes?|divisib\w+|divisors?|modulo|mod|congruen\w+|integers?|gcd|coprime",
    "combinatorics": r"permutations?|combinations?|ways|arrangements?|colou?rings?|graphs?|subsets?|strings?",
    "probability": r"probabilit\w+|random|expected|variance|dice|distributions?|coin",
    "calculus": r"derivatives?|integrals?|integrate|limits?|differentia\w+|continuous|converge\w*|series",
    "linear_algebra": r"matrix|matrices|vectors?|eigen\w+|determinant|rank|linear map|basis",
    "algebra": r"polynomials?|equations?|roots?|inequalit\w+|quadratic|variables?|factor(?:s|ing|ed)?|coefficients?",
    "logic": r"propositions?|axioms?|implies|predicate|truth table|sets?|induction",
    "physics": r"force|energy|velocity|momentum|electric|quantum|mass|voltage|acceleration",
    "computing": r"algorithms?|code|program|python|function call|array|complexity|software|compiler",
    "arithmetic": r"sums?|products?|plus|minus|times|numbers?|fractions?|digits?",
}
_DOMAIN: Final = re.compile("|".join(rf"(?P<{name}>\b(?:{words})\b)" for name, words in _WORDS.items()), re.IGNORECASE)
_FEWEST: Final = 2
"""Words of a field that make a document belong to it."""


@dataclass(frozen=True, slots=True)
class Facts:
    """What is known of a document beside its behaviours. Where `status` is not `ok`, nothing is."""

    status: JudgeStatus
    problem: bool | None = None
    solution: bool | None = None
    domain: str | None = None
    detail: str = ""
    usage: dict[str, Any] | None = None


def facts_by_rules(text: str) -> Facts:
    """The facts as far as single words tell them."""
    counts = Counter(match.lastgroup or "" for match in _DOMAIN.finditer(text))
    domain = max(counts, key=lambda name: counts[name]) if counts else "other"
    return Facts(
        "ok",
        problem=_PROBLEM.search(text) is not None,
        solution=_SOLUTION.search(text) is not None,
        domain=domain if counts[domain] >= _FEWEST else "other",
    )
