"""What several tests of the verifiers share: where the real data lies, and how its rows are read."""

import json
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest
from hypothesis import HealthCheck, settings

# How long an example takes depends on the machine: no verdict hangs on it.
settings.register_profile("untimed", deadline=None, suppress_health_check=[HealthCheck.too_slow])
settings.load_profile("untimed")

DATA = Path(__file__).resolve().parents[3] / "shared" / "data"

# file: the columns of the problem's id, the gold, the completion(s) and the verdict(s) stored with them
DUMPS = {
    "aime24_30x22_pooled": (None, "gt", "completions", "score"),
    "gsm8k_gpt3_labelled": ("id", "answer", "completion", "label"),
    "nemo_rs0": ("id", "expected_answer", "generation", "symbolic_correct"),
    "nemo_rs1": ("id", "expected_answer", "generation", "symbolic_correct"),
    "nemo_rs2": ("id", "expected_answer", "generation", "symbolic_correct"),
    "qwen2.5_14b_aime24": ("idx", "answer", "code", "score"),
    "qwen2.5_14b_math500": ("idx", "answer", "code", "score"),
    "qwen_math_100x8": ("idx", "answer", "code", "score"),
    "sky_t1_32b_aime24": ("idx", "answer", "code", "score"),
    "sky_t1_32b_math500": ("idx", "answer", "code", "score"),
}


@dataclass(frozen=True)
class Stored:
    """One completion of a dump, and the verdict that was stored with it."""

    file: str
    id: str
    sample: int
    gold: str
    text: str
    right: bool


@pytest.fixture(scope="session")
def data() -> Path:
    """The folder of real data; a test that asks for it is skipped where it is absent."""
    if not DATA.is_dir():
        pytest.skip("the real data is not here: it lies at ../shared/data beside the checkout")
    return DATA


@pytest.fixture(scope="session")
def dump(data: Path) -> Callable[[str], Iterator[Stored]]:
    """dump(name): the completions of one dump, in the order of the file."""

    def read(name: str) -> Iterator[Stored]:
        id_column, gold, completion, verdict = DUMPS[name]
        with (data / "dumps" / f"{name}.jsonl").open(encoding="utf-8") as lines:
            for number, line in enumerate(lines):
                row = json.loads(line)
                texts, verdicts = row[completion], row[verdict]
                if isinstance(texts, str):
                    texts, verdicts = [texts], [verdicts]
                identity = str(row[id_column]) if id_column else str(number)
                for sample, (text, right) in enumerate(zip(texts, verdicts, strict=True)):
                    yield Stored(name, identity, sample, row[gold], text, bool(right))

    return read
