"""The effect itself: the preset that ships, as a user starts it, learns."""

import json
import subprocess
import sys
from pathlib import Path

import pytest


@pytest.mark.slow
def test_addition_learns(tmp_path: Path) -> None:
    done = subprocess.run(
        [sys.executable, "-m", "rlvr.trainer", "addition"], cwd=tmp_path, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr[-2000:]
    rows = [json.loads(line) for line in (tmp_path / "runs" / "addition" / "metrics.jsonl").read_text().splitlines()]
    first, last = rows[0], rows[-1]
    print({name: (first[name], last[name]) for name in ("eval/pass@1", "eval/greedy", "seconds")})
    assert first["step"] == 0 and last["step"] == 300
    assert 0.15 <= first["eval/pass@1"] <= 0.4 and first["eval/greedy"] >= 0.28
    assert last["eval/pass@1"] >= 0.7 and last["eval/greedy"] >= 0.95
