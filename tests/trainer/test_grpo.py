"""The loop as a whole: it resumes bit for bit, two ranks do what one does, and what goes wrong is said."""

import json
import os
import random
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch
from rlvr.evals.errors import UsageError
from rlvr.trainer import grpo
from rlvr.trainer.command import main, run
from rlvr.trainer.config import Config
from safetensors.torch import load_file

SMALL = Config(
    task="addition", tiny_dim=32, tiny_layers=1, tiny_heads=2, prompts=4, group=4, max_tokens=8, steps=6,
    learning_rate=1e-2, held_out=3, eval_every=3, eval_samples=2, checkpoint_every=2, rollout_prompts=2,
    reward="test_grpo_rewards:digits",
)  # fmt: skip

# A reward that a model without training gets now and then, and that depends on nothing but the text.
REWARDS = """
from rlvr.verifiers.types import Verdict, not_judged

def digits(problem, completion):
    score = sum(c.isdigit() for c in completion.text) / 8
    return Verdict(score, "correct" if score > 0.5 else "wrong", "value_match")

def unjudged(problem, completion):
    return not_judged("sandbox_unavailable") if "1" in completion.text else digits(problem, completion)

def nobody(problem, completion):
    return not_judged("sandbox_unavailable")
"""


@pytest.fixture(autouse=True)
def _alone(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    torch.set_num_threads(1)
    (tmp_path / "test_grpo_rewards.py").write_text(REWARDS)
    monkeypatch.chdir(tmp_path)
    monkeypatch.syspath_prepend(str(tmp_path))
    monkeypatch.setenv("PYTHONPATH", str(tmp_path))


def rows(path: Path) -> list[dict[str, Any]]:
    found = [json.loads(line) for line in path.read_text().splitlines()]
    return [{name: value for name, value in row.items() if not name.startswith("seconds")} for row in found]


def weights(folder: Path) -> dict[str, torch.Tensor]:
    return load_file(folder / "final" / "model.safetensors")


def assert_same(one: Path, other: Path) -> None:
    for name in ("metrics.jsonl", "completions.jsonl", "eval.jsonl"):
        assert rows(one / name) == rows(other / name)
    assert (one / "notes.log").read_text() == (other / "notes.log").read_text()
    ours, theirs = weights(one), weights(other)
    assert ours.keys() == theirs.keys()
    assert all(torch.equal(ours[name], theirs[name]) for name in ours)


VARIANTS = {
    "grpo": {},
    "reference, minibatches, entropy": {"minibatches": 2, "epochs": 2, "entropy_share": 0.5, "refresh_reference": 3,
                                        "loss": {"kl_coef": 0.05}},
    "dynamic sampling, schedule": {"algorithm": "dapo", "dynamic_sampling": 2, "schedule": "cosine", "warmup_steps": 2,
                                   "micro_batch_tokens": 32, "mask_truncated": True},
}  # fmt: skip


@pytest.mark.parametrize("variant", VARIANTS.values(), ids=VARIANTS)
def test_a_run_that_goes_on_from_a_checkpoint_equals_one_that_never_stopped(
    variant: dict[str, Any], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    config = replace(SMALL, **variant)
    run(config, tmp_path / "whole", quiet=True)
    step = grpo.take_step

    def stop_in(number: int) -> Callable[[grpo.Run], None]:
        def stopping(state: grpo.Run) -> None:
            if state.step == number:
                raise KeyboardInterrupt
            step(state)

        return stopping

    for number in (4, 6):  # two checkpoints, and once from a step behind its checkpoint
        monkeypatch.setattr(grpo, "take_step", stop_in(number))
        with pytest.raises(KeyboardInterrupt):
            run(config, tmp_path / "parts", quiet=True)
    monkeypatch.setattr(grpo, "take_step", step)
    run(config, tmp_path / "parts", quiet=True)
    assert_same(tmp_path / "whole", tmp_path / "parts")
    assert [row["step"] for row in rows(tmp_path / "whole" / "metrics.jsonl")] == list(range(7))


def flags(config: Config) -> list[str]:
    names = ("task", "tiny_dim", "tiny_layers", "tiny_heads", "prompts", "group", "max_tokens", "steps", "held_out",
             "learning_rate", "eval_every", "eval_samples", "checkpoint_every", "rollout_prompts",
             "reward")  # fmt: skip
    (Path.cwd() / "small.toml").write_text("\n".join(f"{name} = {json.dumps(getattr(config, name))}" for name in names))
    return ["small.toml"]


@pytest.mark.slow
def test_kill_9_at_random_moments_changes_nothing(tmp_path: Path) -> None:
    config = replace(SMALL, steps=30, checkpoint_every=3)
    run(config, tmp_path / "whole", quiet=True)
    command = [sys.executable, "-m", "rlvr.trainer", *flags(config), "--out", "killed", "--quiet"]
    moments = random.Random(0)
    kills = 0
    environment = os.environ | {"OMP_NUM_THREADS": "1"}
    for _ in range(4):
        child = subprocess.Popen(command, env=environment)
        written = tmp_path / "killed" / "metrics.jsonl"
        before = written.stat().st_size if written.exists() else 0
        while child.poll() is None and (not written.exists() or written.stat().st_size <= before):
            time.sleep(0.005)
        time.sleep(moments.uniform(0, 0.3))
        child.send_signal(signal.SIGKILL)
        kills += child.wait() == -signal.SIGKILL
    assert subprocess.run(command, env=environment, check=False).returncode == 0
    assert kills
    assert_same(tmp_path / "whole", tmp_path / "killed")


@pytest.mark.slow
@pytest.mark.parametrize("parallel", ["ddp", "fsdp"])
@pytest.mark.parametrize("variant", [{}, VARIANTS["reference, minibatches, entropy"]], ids=["plain", "reference"])
def test_two_ranks_do_what_one_does(parallel: str, variant: dict[str, Any], tmp_path: Path) -> None:
    # A rounding that differs must not become another token within the run: few and small steps.
    config = replace(SMALL, **variant, learning_rate=1e-3, steps=4)
    run(config, tmp_path / "one", quiet=True)
    (tmp_path / "ranks.py").write_text(f"""
from pathlib import Path
from rlvr.trainer.command import run
from rlvr.trainer.config import Config
run({replace(config, parallel=parallel)!r}, Path("two"), quiet=True)
""")
    launch = [sys.executable, "-m", "torch.distributed.run", "--nproc-per-node", "2", "--standalone", "ranks.py"]
    environment = os.environ | {"OMP_NUM_THREADS": "1"}
    done = subprocess.run(launch, env=environment, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr[-2000:]
    assert rows(tmp_path / "one" / "completions.jsonl") == rows(tmp_path / "two" / "completions.jsonl")
    for ours, theirs in zip(
        rows(tmp_path / "one" / "metrics.jsonl"), rows(tmp_path / "two" / "metrics.jsonl"), strict=True
    ):
        assert ours == pytest.approx(theirs, rel=1e-4, abs=1e-6)
    sharded = weights(tmp_path / "two")
    assert all(torch.allclose(weight, sharded[name], atol=1e-5) for name, weight in weights(tmp_path / "one").items())


def test_what_could_not_be_judged_is_masked_and_never_0(tmp_path: Path) -> None:
    run(replace(SMALL, reward="test_grpo_rewards:unjudged", steps=2), tmp_path / "run", quiet=True)
    written = rows(tmp_path / "run" / "completions.jsonl")
    unjudged = [row for row in written if row["score"] is None]
    assert unjudged and len(unjudged) < len(written)
    assert {row["advantage"] for row in unjudged} == {0.0}
    for row in rows(tmp_path / "run" / "metrics.jsonl")[1:]:
        judged = [one["score"] for one in written if one["step"] == row["step"] and one["score"] is not None]
        assert row["reward"] == pytest.approx(sum(judged) / len(judged))
        assert row["judged"] == len(judged) / 16


@pytest.mark.parametrize("entropy_share", [1.0, 0.5])
def test_a_run_that_nobody_can_judge_teaches_nothing(entropy_share: float, tmp_path: Path) -> None:
    config = replace(SMALL, reward="test_grpo_rewards:nobody", steps=2, eval_every=0, entropy_share=entropy_share)
    run(config, tmp_path / "run", quiet=True)
    assert "none of 4 could be judged" in (tmp_path / "run" / "notes.log").read_text()
    run(replace(SMALL, steps=0), tmp_path / "untrained", quiet=True)
    assert all(torch.equal(w, weights(tmp_path / "untrained")[name]) for name, w in weights(tmp_path / "run").items())


def test_a_loss_that_is_not_finite_skips_the_update_and_says_which_sample(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    loss = grpo.LOSSES["grpo"]
    calls = []

    def sometimes(batch: Any, config: Any) -> torch.Tensor:
        calls.append(batch)
        found = loss(batch, config)
        return found * (float("nan") if len(calls) == 2 else 1.0)

    monkeypatch.setitem(grpo.LOSSES, "grpo", sometimes)
    run(replace(SMALL, loss={"kl_coef": 0.0}, minibatches=1), tmp_path / "run", quiet=True)
    skipped = [row for row in rows(tmp_path / "run" / "metrics.jsonl") if row.get("skipped")]
    assert len(skipped) == 1
    assert "is not finite" in (tmp_path / "run" / "notes.log").read_text()
    assert "sample" in (tmp_path / "run" / "notes.log").read_text()
    assert all(weight.isfinite().all() for weight in weights(tmp_path / "run").values())


def test_a_loss_that_never_is_finite_ends_the_run(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    loss = grpo.LOSSES["grpo"]
    monkeypatch.setitem(grpo.LOSSES, "grpo", lambda batch, config: loss(batch, config) * float("inf"))
    with pytest.raises(UsageError, match="10 updates in a row"):
        run(replace(SMALL, steps=30), tmp_path / "run", quiet=True)


def test_other_settings_are_refused_in_the_same_folder(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    command = [*flags(replace(SMALL, steps=1)), "--out", "run", "--quiet"]
    assert main(command) == 0
    assert main([*command, "--learning-rate", "1"]) == 2
    assert "learning_rate: 0.01 there, 1.0 here" in capsys.readouterr().err
    assert main(command) == 0, "the same again has nothing left to do"


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["nothing.toml"], "there is no such file, and no such preset"),
        (["small.toml", "--algorithm", "ppo"], "none of grpo"),
        (["small.toml", "--loss.kl-coef", "a"], "kl_coef"),
        (["small.toml", "--prompts", "5", "--minibatches", "2"], "does not divide"),
        (["small.toml", "--dtype", "int8"], "dtype = 'int8': is not one of float32, bfloat16"),
        (["small.toml", "--task", "addishun"], "the tiny model reads addition, countdown"),
        (["small.toml", "--reward", "maths"], "there is no such verifier"),
    ],
)
def test_what_is_wrong_is_said_in_one_line(arguments: list[str], said: str, capsys: pytest.CaptureFixture[str]) -> None:
    flags(replace(SMALL, steps=1))
    assert main([*arguments, "--out", "run", "--quiet"]) == 2
    error = capsys.readouterr().err
    assert said in error and error.count("\n") == 1
