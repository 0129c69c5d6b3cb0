"""How often `verify_math` is right on labelled cases out of public test suites, with `math-verify` beside it.

    python benchmarks/math_accuracy.py [CASES.jsonl]        (default: ../shared/data/math_cases.jsonl)

A row holds `answer` (the gold), `completion`, `expected` and its `track`. Both sides get the completion as it is: ours
at extract="any", which is what `math-verify` does by itself. The label of a case that the project's rules overrule is
flipped (tests/cases/flipped_math_cases.jsonl, each with its reason); figures stand before and after, for both sides.
Then every gold of the benchmarks beside the cases is judged against itself in a box.
"""

import json
import sys
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from typing import Any

from math_verify import parse, verify
from rlvr.evals.columns import RowReader
from rlvr.evals.files import Source
from rlvr.verifiers import Completion, Problem, verify_math

DATA = Path(__file__).parents[2] / "shared" / "data"
FLIPPED = Path(__file__).parents[1] / "tests" / "cases" / "flipped_math_cases.jsonl"
TRACKS = ("core", "extraction")
BENCHMARKS = ("math_test5000", "math500", "aime24", "aime25", "amc23", "gsm8k")
Case = dict[str, Any]
Judge = Callable[[str, str], bool]


def ours(gold: str, completion: str) -> bool:
    return verify_math(Problem("", answer=gold), Completion(completion), extract="any").status == "correct"


def peer(gold: str, completion: str) -> bool:
    """As its README shows; an answer of which it finds nothing is wrong."""
    return bool(verify(parse(f"${gold}$"), parse(completion)))


SIDES: dict[str, Judge] = {"verify_math": ours, "math-verify": peer}


def cases(path: Path) -> list[Case]:
    with path.open(encoding="utf-8") as lines:
        return [case for case in map(json.loads, lines) if case["track"] in TRACKS]


def share(right: int, of: int) -> str:
    return f"{right:4} of {of} ({right / of:6.1%})"


def labelled(path: Path) -> None:
    rows = cases(path)
    flipped = {row["id"] for row in map(json.loads, FLIPPED.read_text(encoding="utf-8").splitlines())}
    total = Counter(case["track"] for case in rows)
    print(f"{path.name}: {len(rows)} cases, {len(flipped)} labels flipped\n")
    print(f"{'':14}{'track':12}{'as labelled':22}{'after the flips':22}false accepts after them")
    for side, judge in SIDES.items():
        before, after, accepted = Counter[str](), Counter[str](), Counter[str]()
        for case in rows:
            says, track = judge(case["answer"], case["completion"]), case["track"]
            label = case["expected"] is not (case["id"] in flipped)
            before[track] += says is case["expected"]
            after[track] += says is label
            accepted[track] += says and not label
        for track in TRACKS:
            print(
                f"{side:14}{track:12}{share(before[track], total[track]):22}{share(after[track], total[track]):22}"
                f"{accepted[track]}"
            )


def golds(name: str) -> list[str]:
    """The gold answers of a benchmark, as `rlvr check-gold` finds them."""
    source = Source(str(DATA / "benchmarks" / f"{name}.jsonl"))
    reader = RowReader(source.name, {}, needs_answer=True)
    found: list[str] = []
    for line in source.lines():
        assert isinstance(line.row, dict), line.row
        found.append((reader.problem(line.row, line.number).answer or "").rpartition("####")[2].strip())
    return found


def against_themselves() -> None:
    print(f"\n{'gold in a box':26}" + "".join(f"{side:>22}" for side in SIDES))
    for name in BENCHMARKS:
        texts = golds(name)
        right = [sum(judge(gold, rf"\boxed{{{gold}}}") for gold in texts) for judge in SIDES.values()]
        print(f"{name:26}" + "".join(f"{share(count, len(texts)):>22}" for count in right))


if __name__ == "__main__":
    labelled(Path(sys.argv[1]) if len(sys.argv) > 1 else DATA / "math_cases.jsonl")
    against_themselves()
