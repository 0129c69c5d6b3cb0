"""Memory does not follow the size of the input: a stream of 300 MB is scored in a small, fixed amount."""

import json
import subprocess
import sys
import zlib
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import zstandard

MB = 1 << 20
STATUS = Path("/proc/self/status")

pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(not STATUS.exists(), reason="peak memory is read from /proc/self/status, which is Linux's"),
]

# Runs the command in a fresh interpreter and then says how much memory that took at its peak. (What `wait4` tells of a
# child counts the memory of the process that forked it, too.)
MEASURED = """
import sys
from rlvr.evals.cli import main
code = main(sys.argv[1:])
peak = next(line.split()[1] for line in open("/proc/self/status") if line.startswith("VmHWM"))
print(peak, file=sys.stderr)
sys.exit(code)
"""

# Rows of `size` bytes each, made as fast as a disk would give them; no two have the same text.
GENERATOR = r"""
import json, sys
rows, size, kind = int(sys.argv[1]), int(sys.argv[2]), sys.argv[3]
words = "so it goes on and on, line after line; "
def text(i):
    head = f"attempt {i}: "
    if kind == "boxes":  # the answer is all there is
        return head + r"\boxed{" + f"{i}+" * (size // (len(str(i)) + 1)) + "1}"
    return head + words * (size // len(words)) + rf" therefore \boxed{{{i % 7}}}"
out = sys.stdout.buffer
if kind == "lists":
    for i in range(0, rows, 8):
        out.write(json.dumps({"id": i, "completions": [text(i + j) for j in range(8)], "answer": "4"}).encode() + b"\n")
else:
    for i in range(rows):
        problem = i if kind == "boxes" else i // 4
        out.write(json.dumps({"id": problem, "completion": text(i), "answer": "4"}).encode() + b"\n")
"""

OWN = """
from rlvr.verifiers import Verdict
def short(problem, completion):
    return Verdict(1.0, "correct", "fine", completion.text[-40:])
"""

Measure = Callable[..., tuple[dict[str, Any], float, int]]


@pytest.fixture
def measure(tmp_path: Path, environment: dict[str, str]) -> Measure:
    """Score a generated stream: the summary, the peak in MB, and the size of the stream in MB."""

    def run(rows: int, size: int, kind: str, *more: object) -> tuple[dict[str, Any], float, int]:
        (tmp_path / "own.py").write_text(OWN, encoding="utf-8")
        generator = subprocess.Popen(
            [sys.executable, "-c", GENERATOR, str(rows), str(size), kind], stdout=subprocess.PIPE, env=environment
        )
        scorer = subprocess.Popen(
            [sys.executable, "-c", MEASURED, "score", "-", "--json", "--quiet", *map(str, more)],
            stdin=generator.stdout, stdout=subprocess.PIPE, stderr=subprocess.PIPE, cwd=tmp_path, env=environment,
        )  # fmt: skip
        assert generator.stdout is not None
        generator.stdout.close()
        output, errors = scorer.communicate(timeout=300)
        assert (scorer.returncode, generator.wait(60)) == (0, 0), errors.decode()
        return json.loads(output), int(errors.split()[-1]) / 1024, rows * size // MB

    return run


def test_a_stream_of_300_mb(measure: Measure) -> None:
    few, base, _ = measure(200, 8000, "rows")
    summary, peak, streamed = measure(40_000, 8000, "rows")
    assert streamed > 300
    assert few["samples"] == 200
    assert (summary["samples"], summary["problems"], summary["bad_rows"]) == (40_000, 10_000, 0)
    assert summary["status"]["correct"] == sum(i % 7 == 4 for i in range(40_000))
    assert peak < 200
    assert peak - base < 40, "more than a kilobyte is kept of each sample"


def test_long_rows_that_hold_lists(measure: Measure, tmp_path: Path) -> None:
    summary, peak, streamed = measure(800, 100_000, "lists", "--out", "out.jsonl")
    assert streamed > 75
    assert (summary["samples"], summary["problems"]) == (800, 100)
    assert peak < 200
    assert (tmp_path / "out.jsonl").stat().st_size > 75 * MB


def test_long_rows_and_workers(measure: Measure) -> None:
    """What waits for a worker is bounded, however fast the input comes."""
    summary, peak, streamed = measure(1000, 100_000, "rows", "--verifier", "own:short", "--workers", 2)
    assert streamed > 90
    assert summary["status"]["correct"] == 1000
    assert peak < 200


def test_answers_that_are_nearly_the_whole_completion(measure: Measure) -> None:
    """Answers are remembered for the vote; one as long as a book must not be."""
    _, base, _ = measure(10, 90_000, "boxes")
    summary, peak, streamed = measure(500, 90_000, "boxes")
    assert streamed > 40
    assert summary["samples"] == 500
    assert peak - base < 25


@pytest.mark.parametrize("kind", ["gzip", "zstd"])
def test_a_compressed_file_that_unpacks_to_a_thousand_times_its_size(
    kind: str, tmp_path: Path, environment: dict[str, str]
) -> None:
    """Only blank lines, so nothing but the unpacking can fill the memory."""
    path = tmp_path / "bomb"
    blank = (b" " * ((1 << 16) - 1) + b"\n") * 16
    packer: Any = zlib.compressobj(1, wbits=31) if kind == "gzip" else zstandard.ZstdCompressor().compressobj()
    with path.open("wb") as file:
        for _ in range(400):
            file.write(packer.compress(blank))
        file.write(packer.flush())
    assert path.stat().st_size < 4 * MB
    scorer = subprocess.run(
        [sys.executable, "-c", MEASURED, "score", path.name, "--quiet"],
        cwd=tmp_path, env=environment, capture_output=True, check=False, timeout=300,
    )  # fmt: skip
    said, peak = scorer.stderr.decode().splitlines()
    assert (scorer.returncode, said) == (2, "rlvr score: bomb: no rows to score")
    assert int(peak) / 1024 < 200
