"""A training run's folder as a real one would be: made by formulas, for the tests of its report."""

import json
import math
import random
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any

import pytest
from rlvr.trainer.reflection import REFLECTION_WORDS, reflection_metrics

CONFIG = """model = "tiny"
task = "addition"
algorithm = "grpo"
prompts = 16
group = 8
steps = {steps}
learning_rate = 3e-4

[loss]
kl_coef = 0.001
"""
Row = dict[str, Any]


@pytest.fixture
def training_run() -> Callable[..., Path]:
    """`make_run`."""
    return make_run


def make_run(folder: Path, *, steps: int = 200, every: int = 20, problems: int = 40, seed: int = 0) -> Path:
    """Write config.toml, metrics.jsonl, completions.jsonl and eval.jsonl of a run that learns to add."""
    folder.mkdir(parents=True, exist_ok=True)
    drawn = random.Random(seed)
    (folder / "config.toml").write_text(CONFIG.format(steps=steps))
    metrics: list[Row] = []
    evals: list[Row] = []
    completions: list[Row] = []
    seconds = 0.0
    for step in range(steps + 1):
        skill = 0.25 + 0.7 / (1 + math.exp(-8 * (step / steps - 0.4)))
        row: Row = {}
        if step:
            rows = [
                _completion(drawn, skill, step, f"{drawn.randint(10, 99)}+{drawn.randint(10, 99)}", k) for k in range(8)
            ]
            completions += [{"step": step, **each, "advantage": drawn.gauss(0, 1)} for each in rows]
            row = _metrics(drawn, skill, step, steps, rows)
            seconds += 0.9
        if step % every == 0:
            evals += [{"step": step, **each} for each in _evaluation(drawn, skill, problems)]
            row |= {
                "eval/pass@1": skill * 0.95 + drawn.gauss(0, 0.01), "eval/pass@1_stderr": 0.025,
                "eval/greedy": min(1, skill * 1.05 + drawn.gauss(0, 0.01)), "eval/greedy_stderr": 0.03,
                "eval/length": 40 + 60 * skill, "eval/problems": problems, "eval/samples": 2, "seconds/eval": 2.1,
            }  # fmt: skip
            seconds += 2.1
        metrics.append({"step": step, **row, "seconds": round(seconds, 3)})
    write(folder / "metrics.jsonl", metrics)
    write(folder / "eval.jsonl", evals)
    write(folder / "completions.jsonl", completions)
    return folder


def write(path: Path, rows: Iterable[Row]) -> None:
    """JSON lines, as RunLog writes them."""
    path.write_text("".join(json.dumps(row, separators=(",", ":")) + "\n" for row in rows))


def _metrics(drawn: random.Random, skill: float, step: int, steps: int, rows: list[Row]) -> Row:
    noise = drawn.gauss(0, 0.06)
    no_spread = {"all_right": round(16 * max(0, skill - 0.4) ** 2), "all_wrong": round(6 * (1 - skill) ** 2)}
    return {
        "reward": 0.9 * skill + 0.1 + noise, "reward_std": 0.4, "correct": min(1, skill + noise), "judged": 1.0,
        "reward/correct": skill + noise, "reward/format": min(1, 0.8 + 0.4 * skill), "reward/language": 0.97,
        "groups": 16, "groups/no_spread": sum(no_spread.values()), "groups/unjudged": 0,
        **{f"groups/{name}": n for name, n in no_spread.items()},
        "length": 40 + 60 * skill + drawn.gauss(0, 3), "length/max": 128,
        "truncated": max(0, 0.2 - 0.2 * skill + noise / 9), "kl": 0.02 * step / steps + abs(noise) / 90,
        "entropy": 0.6 * math.exp(-3 * step / steps) + 0.05 + abs(noise) / 9,
        "clip/low": abs(noise) / 20, "clip/high": abs(noise) / 15, "loss": noise / 10, "grad_norm": 0.3 + abs(noise),
        "learning_rate": 3e-4 * min(1, step / 10), "tokens": step * 9000,
        **reflection_metrics([row["completion"] for row in rows]),
        "seconds/rollout": 0.41 + abs(noise), "seconds/verify": 0.02, "seconds/train": 0.43,
    }  # fmt: skip


def _evaluation(drawn: random.Random, skill: float, problems: int) -> Iterable[Row]:
    asked = [f"{37 + 3 * i}+{85 + 7 * i}" for i in range(problems)]
    for mode, samples in (("sampled", 2), ("greedy", 1)):
        for id in asked:
            for k in range(samples):
                yield {"mode": mode, **_completion(drawn, skill, 0, id, k)}


def _completion(drawn: random.Random, skill: float, step: int, id: str, sample: int) -> Row:
    a, b = map(int, id.split("+"))
    right = drawn.random() < skill
    answer = a + b if right else a + b + drawn.choice((-10, 1, 10))
    units = f"{a % 10} + {b % 10} = {a % 10 + b % 10}, carry {(a % 10 + b % 10) // 10}."
    check = (
        f" Wait, let me check: {drawn.choice(REFLECTION_WORDS)}? {answer} - {b} = {answer - b}."
        if drawn.random() < skill**2
        else ""
    )
    text = f"<think>\n{units}\n{a // 10} + {b // 10} = {a // 10 + b // 10}.{check}\n</think>\n<answer>{answer}</answer>"
    status = "correct" if right else "wrong"
    part = {"score": float(right), "status": status, "reason": "same_number", "extracted": str(answer), "parts": {}}
    form = {"score": 1.0, "status": "correct", "reason": "well_formed", "extracted": None, "parts": {}}
    return {
        "id": id, "sample": sample, "prompt": f"What is {a} + {b}?", "completion": text, "score": 0.9 * right + 0.1,
        "status": status, "reason": "same_number", "extracted": str(answer), "parts": {"correct": part, "format": form},
        "tokens": len(text), "finished": True,
    }  # fmt: skip
