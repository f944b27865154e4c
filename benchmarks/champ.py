"""The worked solutions of CHAMP (the package champ-dataset, MIT) as documents.

`python -m benchmarks.champ` classifies all of them by the prose judge and prints the statistics; `--out FILE` only
writes them.
"""

import argparse
import json
import tempfile
import time
from collections.abc import Iterator
from importlib.resources import files
from pathlib import Path
from typing import Any

from pipelines.behaviors.sets.registered import BEHAVIORS
from pipelines.run import prepare, run_stage

MODEL = "Model"
"""How the roles of models begin."""


def champ_documents(every: int = 1) -> Iterator[dict[str, Any]]:
    """One document for each solution by a model, the answers of its conversation put together, and by people.

    Args:
        every: only each so manieth, for a sample.
    """
    text = (files("champ_dataset") / "dataset_files" / "v0.json").read_text(encoding="utf-8")
    number = 0
    for name, problem in json.loads(text)["problems"].items():
        question = str(problem["_text"])
        steps = [str(step["_text"]) for step in problem["solution"]["steps"]]
        solutions = [("people", "\n".join(steps))]
        for key, conversation in problem["conversations"].items():
            said = [
                str(one["text"]) for one in conversation["messages"] if one["role"].startswith(MODEL) and one["text"]
            ]
            solutions.append((key, "\n\n".join(said)))
        for source, solution in solutions:
            number += 1
            if number % every == 0:
                yield {
                    "id": f"{name}/{source}",
                    "text": f"{question}\n\n{solution}",
                    "domain": problem["category"],
                    "source": source,
                    "licence": "MIT",
                }


def main() -> None:
    """Prints the statistics and how fast they came about."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--out", type=Path, help="only write the documents there, as JSONL")
    parser.add_argument("--every", type=int, default=1, help="only each so manieth document")
    given = parser.parse_args()
    with tempfile.TemporaryDirectory() as scratch:
        path = given.out or Path(scratch) / "champ.jsonl"
        with path.open("w", encoding="ascii") as stream:
            for record in champ_documents(given.every):
                stream.write(json.dumps(record) + "\n")
        if given.out:
            return
        columns = {"id": "id", "domain": "domain", "source": "source", "licence": "licence"}
        folder = prepare(
            "classify", {"documents": [str(path)], "columns": columns}, Path(scratch) / "out", [], base=path
        )
        began = time.process_time()
        found = run_stage(folder)
        took = time.process_time() - began
        print(
            f"{found['documents']:,} documents, {found['judged']:,} judged, {found['rejected']} not; "
            f"{found['documents'] / took:.0f} documents a CPU second, language and records included"
        )
        for name in BEHAVIORS:
            one = found["behaviors"][name]
            shares = [100 * one[part] for part in ("share", "share_low", "share_high")]
            means = [one[part] for part in ("mean", "mean_low", "mean_high")]
            print(
                f"  {name:18} in {shares[0]:5.2f} % ({shares[1]:.2f}-{shares[2]:.2f}), "
                f"mean count {means[0]:.3f} ({means[1]:.3f}-{means[2]:.3f}), n {one['n']:,}"
            )
        for pair, one in found["cooccurrence"].items():
            print(f"  {pair:34} {100 * one['share']:5.2f} %")
        for fact in ("problem", "solution"):
            print(f"  has a {fact}: {100 * found[fact]['share']:.1f} %")


if __name__ == "__main__":
    main()
