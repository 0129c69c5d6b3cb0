"""README's table of trainers: every line of code in it is run by the test that its row names."""

import re

import pytest
from rlvr.evals.adapter_command import TRAINERS
from rlvr.verifiers import adapters

from .readme import README, plugs, rows


@pytest.mark.parametrize("trainer", rows())
def test_the_code_of_a_row_is_run_by_the_tests_that_it_names(trainer: str) -> None:
    files = [README.parent / path for path in re.findall(r"\]\(([^)]+\.py)\)", rows()[trainer]["tested"])]
    assert files
    uses = re.findall(rf'plugs\("{trainer}"\)(?:\[(\w+)\])?', "".join(file.read_text() for file in files))
    whole = any(not index.isdigit() for index in uses)  # all of them, or by a variable
    assert whole or {int(index) for index in uses} == set(range(len(plugs(trainer))))


def test_every_adapter_has_a_row_and_every_row_its_versions() -> None:
    table = README.read_text(encoding="utf-8").partition("### In your trainer")[2].partition("\n### ")[0]
    assert f"`{' '.join(TRAINERS)}`" in " ".join(table.split())
    for name in (name for name in adapters.__all__ if name.startswith("as_")):
        assert f"{name}(reward" in table or name.removeprefix("as_").replace("_", "-") in TRAINERS, name
    assert all(row["version"].startswith("read") for row in rows().values())
