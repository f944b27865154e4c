"""What a document is about, by rules."""

from pipelines.corpus.classify.facts import facts_by_rules


def test_facts() -> None:
    exercise = facts_by_rules("Find all primes p such that p divides 2p + 3 modulo 7.")
    assert (exercise.problem, exercise.solution, exercise.domain) == (True, False, "number_theory")
    article = facts_by_rules("The history of the town begins in the twelfth century.")
    assert (article.problem, article.solution, article.domain) == (False, False, "other")
    solved = facts_by_rules("Two circles have equal radius. Hence the area is the same.")
    assert (solved.problem, solved.solution, solved.domain) == (False, True, "geometry")
