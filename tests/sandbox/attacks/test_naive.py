"""The table cannot rot: every attack is shown to succeed where the hole that it uses is open.

The naive runners of `naive.py` judge in throw-away containers, never on this machine.
"""

from collections import Counter
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest

from .attack import Attack, Box
from .boxes import job, run_naive
from .naive import RUNNERS
from .problem import ONE, STYLES, TWO, Style, program
from .table import ATTACKS

SHOWN = [(attack, style, runner) for attack in ATTACKS for style, names in attack.beats.items() for runner in names]
HUNG_S, PATIENCE_S = 2.0, 60.0  # nothing that ends takes as long as the first, or fails for the second

# Runners that read only some shapes of tests; the others read all five.
ONLY: dict[str, tuple[Style, ...]] = {
    "pickled": ("call",),
    "reported": ("call",),
    "normalised": ("call",),
    "late_open": ("stdin",),
    "files": ("stdin",),
    "judge_beside": ("stdin",),
    "pytest": ("mbpp",),
    "formatted": ("checker",),
    "in_process_list": (),  # of its own question
    "in_process_close": ("stdin", "call"),
    "deny_list": ("call", "mbpp", "humaneval"),
    "environment": ("call", "mbpp"),
    "in_process_instance": ("call",),
    "outside_with_metadata": (),  # in the open container
    "loose": ("call",),
    "absolute": ("stdin", "call"),
    "relative": ("stdin", "call"),
    "result_file": (),  # honest programs are told to write the file
    "reported_message": ("mbpp", "humaneval"),
}
FAIR = [(runner, style) for runner in RUNNERS for style in ONLY.get(runner, STYLES)]


def name_of(attack: Attack, style: Style, runner: str) -> str:
    return f"{attack.name}-{style}-{runner}"


@pytest.fixture(scope="module")
def results(box_image: str) -> dict[str, str]:
    """What every naive runner made of every attack on it, and of an honest and a wrong program."""
    jobs: dict[Box, list[dict[str, Any]]] = {"plain": [], "open": []}
    for attack, style, runner in SHOWN:
        limit = HUNG_S if attack.result == "hung" else PATIENCE_S
        source, tests = attack.programs[style], attack.question.tests(style)
        jobs[attack.box].append(job(name_of(attack, style, runner), runner, source, tests, limit))
    for runner, style in FAIR:
        for kind, source in (("honest", TWO.honest(style)), ("wrong", program(style, "", "1"))):
            jobs["plain"].append(job(f"{kind}-{style}-{runner}", runner, source, TWO.tests(style), PATIENCE_S))
    parts: list[tuple[list[dict[str, Any]], Box]] = [(jobs["plain"][n::3], "plain") for n in range(3)]
    with ThreadPoolExecutor() as threads:
        found = threads.map(lambda part: run_naive(box_image, *part), [*parts, (jobs["open"], "open")])
        return {name: result for results in found for name, result in results.items()}


@pytest.mark.parametrize(("attack", "style", "runner"), SHOWN, ids=[name_of(*shown) for shown in SHOWN])
def test_it_succeeds_where_nothing_stops_it(attack: Attack, style: Style, runner: str, results: dict[str, str]) -> None:
    assert results[name_of(attack, style, runner)] == attack.result, attack.tries


@pytest.mark.parametrize(("runner", "style"), FAIR)
def test_the_naive_runners_are_fair(runner: str, style: Style, results: dict[str, str]) -> None:
    """They pay an honest program and do not pay a wrong one: what an attack is paid for, it forged."""
    assert results[f"honest-{style}-{runner}"] == "paid"
    assert results[f"wrong-{style}-{runner}"] == "unpaid"


def test_the_table_is_what_it_says() -> None:
    assert len({attack.name for attack in ATTACKS}) == len(ATTACKS) >= 60
    kinds = Counter(attack.kind for attack in ATTACKS)
    assert min(kinds.values()) >= 10 and set(kinds) == {"forge", "bomb", "escape", "leftover", "hostile_text"}
    assert sum(set(attack.programs) == set(STYLES) for attack in ATTACKS) >= 13
    assert sum(attack.unshown is not None for attack in ATTACKS) <= 5
    assert ONE.tests("stdin") != TWO.tests("stdin")
