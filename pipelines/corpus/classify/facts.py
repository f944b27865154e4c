"""Facts about a document beside its behaviours: whether it poses a problem, whether it solves one, its domain."""

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
    r"|problem|question|puzzle|is it possible|goal)\b"
)
_SOLUTION: Final = re.compile(
    r"\b(?:therefore|hence|thus|it follows|the (?:final )?answer|the solution|solution:|proof|we (?:get|have"
    r"|obtain|conclude)|q\.?e\.?d|so the|is the goal)\b|∎|\\boxed|= *-?\d"
)
_WORDS: Final[dict[str, str]] = {
    "geometry": "triangle triangles circle circles angle angles polygon polygons perpendicular parallel radius tangent "
    "tangents area vertices",
    "number_theory": "prime primes divisible divisibility divisor divisors divides modulo mod congruent congruence "
    "integer integers gcd coprime",
    "combinatorics": "permutation permutations combination combinations ways arrangement arrangements coloring "
    "colorings colouring graph graphs subset subsets string strings tournament",
    "probability": "probability probabilities random expected variance dice distribution distributions coin coins",
    "calculus": "derivative derivatives integral integrals integrate limit limits differentiable differentiate "
    "continuous converge converges convergence series",
    "linear_algebra": "matrix matrices vector vectors eigenvalue eigenvalues eigenvector determinant rank basis",
    "algebra": "polynomial polynomials equation equations root roots inequality inequalities quadratic variable "
    "variables factor factors factoring factored coefficient coefficients",
    "logic": "proposition propositions axiom axioms implies predicate set sets induction",
    "physics": "force energy velocity momentum electric quantum mass voltage acceleration",
    "computing": "algorithm algorithms code program python array complexity software compiler",
    "arithmetic": "sum sums product products plus minus times number numbers fraction fractions digit digits",
}
_DOMAIN_OF: Final = {word: domain for domain, words in _WORDS.items() for word in words.split()}
_LETTERS: Final = re.compile("[a-z]+")
_FEWEST: Final = 2
"""Fewest words of a domain that make a document belong to it."""


@dataclass(frozen=True, slots=True)
class DocumentFacts:
    """Facts about a document; all of them are None unless `status` is `ok`."""

    status: JudgeStatus
    problem: bool | None = None
    solution: bool | None = None
    domain: str | None = None
    detail: str = ""
    usage: dict[str, Any] | None = None


def facts_by_rules(text: str) -> DocumentFacts:
    """Return the facts that single words indicate."""
    lowered = text.lower()
    words = Counter(_LETTERS.findall(lowered))
    counts: Counter[str] = Counter()
    for word in words:  # in order of their first occurrence, which decides between equals
        domain_of_word = _DOMAIN_OF.get(word)
        if domain_of_word is not None:
            counts[domain_of_word] += words[word]
    domain = max(counts, key=lambda name: counts[name]) if counts else "other"
    return DocumentFacts(
        "ok",
        problem="?" in text or _PROBLEM.search(lowered) is not None,
        solution=_SOLUTION.search(lowered) is not None,
        domain=domain if counts[domain] >= _FEWEST else "other",
    )
