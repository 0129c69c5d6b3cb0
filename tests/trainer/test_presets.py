"""Presets that ship, on a Hugging Face model of a few thousand parameters and a local copy of the data."""

import importlib.util
import json
from pathlib import Path
from typing import Any

import pytest
import torch
from rlvr.trainer.command import main
from rlvr.trainer.config import PRESETS, Config, read_config

pytest.importorskip("transformers")
PROBLEMS = [
    {"problem": f"What is {a} + {b}?", "solution": f"We add and get $\\boxed{{{a + b}}}$."}
    for a in range(4)
    for b in range(4)
]


@pytest.fixture
def tiny(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A model that writes nonsense, and what it is trained on."""
    path = Path(__file__).parents[1] / "evals" / "tiny_model.py"
    spec = importlib.util.spec_from_file_location("tiny_model", path)
    assert spec is not None and spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    module.make(tmp_path / "model")
    (tmp_path / "problems.jsonl").write_text("".join(json.dumps(row) + "\n" for row in PROBLEMS))
    monkeypatch.chdir(tmp_path)
    torch.set_num_threads(1)
    return tmp_path


@pytest.mark.parametrize("name", sorted(path.stem for path in PRESETS.glob("*.toml")))
def test_every_preset_is_read(name: str) -> None:
    read_config(Config, name, {})


@pytest.mark.parametrize("dtype", ["float32", "bfloat16"])
def test_r1_zero_math_trains_a_hugging_face_model(dtype: str, tiny: Path) -> None:
    flags: dict[str, Any] = {
        "model": "model", "data": "problems.jsonl", "eval-data": "problems.jsonl", "eval-task": "math_train",
        "dtype": dtype, "prompts": 2, "group": 4, "max-tokens": 12, "steps": 2, "eval-every": 0, "out": "run",
        "loss.kl-coef": 0.01,
    }  # fmt: skip
    arguments = [word for name, value in flags.items() for word in (f"--{name}", str(value))]
    assert main(["r1_zero_math", "--quiet", *arguments]) == 0
    rows = [json.loads(line) for line in (tiny / "run" / "metrics.jsonl").read_text().splitlines()]
    assert [row["step"] for row in rows] == [0, 1, 2]
    assert {"reward/correct", "reward/format", "kl", "entropy", "length"} <= rows[-1].keys()
    assert rows[0]["eval/problems"] == rows[-1]["eval/problems"] == len(PROBLEMS)
    written = [json.loads(line) for line in (tiny / "run" / "completions.jsonl").read_text().splitlines()]
    assert len(written) == 16 and set(written[0]["parts"]) == {"correct", "format"}
    assert main(["r1_zero_math", "--quiet", *arguments, "--model", "run/final", "--out", "again"]) == 0
