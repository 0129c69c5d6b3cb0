"""Real trainers of TRL train with our reward: three steps on a CPU, with a tiny random model.

TRL has an environment of its own (`make test-adapters`); elsewhere these tests are skipped.
"""

import pickle
import subprocess
import sys
from collections.abc import Callable, Iterator
from importlib.util import find_spec
from math import isnan
from pathlib import Path
from statistics import fmean, stdev
from typing import Any

import pytest
from rlvr.verifiers import Completion, Problem, Verdict, gate, verify_format, verify_math, weighted
from rlvr.verifiers.adapters import Judging, as_trl

from .readme import plugs

real = pytest.mark.skipif(find_spec("trl") is None, reason="TRL is not installed (make test-adapters installs it)")
# What torch, transformers and TRL warn of is theirs.
pytestmark = pytest.mark.filterwarnings("default")

TINY_MODEL = Path(__file__).parents[2] / "evals" / "tiny_model.py"
STEPS, GROUP = 3, 4
QUESTIONS = [("2+2?", "4"), ("3+3?", "6"), ("What is it?", ""), ("1+1?", "2")]


def by_length(problem: Problem, completion: Completion) -> Verdict:
    """What a random model can earn: a share by the number of characters, and of some nothing is known."""
    if len(completion.text) % 3 == 0:
        return Verdict(None, "error", "sandbox_unavailable")
    return Verdict(len(completion.text) % 5 / 5, "wrong", "different_text", extracted=str(len(completion.text)))


class Recorded:
    """A reward that keeps what it was asked and what it said."""

    def __init__(self, reward: Any) -> None:
        self.reward = reward
        self.seen: list[tuple[Problem, Completion, Verdict]] = []

    def __call__(self, problem: Problem, completion: Completion) -> Verdict:
        verdict = self.reward(problem, completion)
        self.seen.append((problem, completion, verdict))
        return verdict


def earning() -> Recorded:
    return Recorded(weighted(length=(1.0, by_length), format=(0.1, verify_format)))


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> str:
    folder = tmp_path_factory.mktemp("tiny")
    subprocess.run([sys.executable, TINY_MODEL, folder], check=True, capture_output=True)
    return str(folder)


@pytest.fixture
def run(model: str, tmp_path: Path) -> Callable[..., Any]:
    """run(code, reward): the code with the names that README's line needs, and the trainer after its three steps."""

    def train(code: str, reward: Any, *, kind: str = "GRPO", conversational: bool = False) -> Any:
        import datasets
        import trl

        def prompt(question: str) -> Any:
            return [{"role": "user", "content": question}] if conversational else question

        rows = [{"prompt": prompt(question), "solution": gold} for question, gold in QUESTIONS]
        names = {
            "GRPOTrainer": trl.GRPOTrainer,
            "RLOOTrainer": trl.RLOOTrainer,
            "as_trl": as_trl,
            "reward": reward,
            "model": model,
            "dataset": datasets.Dataset.from_list(rows),
            "args": getattr(trl, f"{kind}Config")(
                output_dir=str(tmp_path),
                use_cpu=True,
                bf16=False,
                report_to=[],
                num_generations=GROUP,
                per_device_train_batch_size=2 * GROUP,
                max_completion_length=8,
                beta=0.0,
                max_steps=STEPS,
                logging_steps=1,
                save_strategy="no",
                learning_rate=1e-3,
            ),
        }
        exec(code, names)
        trainer: Any = names["trainer"]
        trainer.train()
        return trainer

    return train


def steps(trainer: Any) -> list[dict[str, float]]:
    return [entry for entry in trainer.state.log_history if "reward" in entry]


LINES = {
    ("GRPO", False): plugs("TRL")[0],
    ("GRPO", True): plugs("TRL")[0].replace("as_trl(reward)", "as_trl(reward, asynchronous=True)"),
    ("RLOO", False): plugs("TRL")[0].replace("GRPO", "RLOO"),
    ("RLOO", True): plugs("TRL")[0].replace("GRPO", "RLOO").replace("reward)", "reward, asynchronous=True)"),
}


@real
@pytest.mark.parametrize("conversational", [False, True], ids=["plain", "conversational"])
@pytest.mark.parametrize(("kind", "asynchronous"), LINES)
def test_a_trainer_logs_what_the_reward_said(run: Any, kind: str, asynchronous: bool, conversational: bool) -> None:
    reward = earning()
    trainer = run(LINES[kind, asynchronous], reward, kind=kind, conversational=conversational)
    logged = steps(trainer)
    assert len(logged) == STEPS and len(reward.seen) == STEPS * 2 * GROUP
    for step, said in zip(logged, batches(reward.seen), strict=True):
        verdicts = [verdict for _, _, verdict in said]
        scores = [verdict.score for verdict in verdicts if verdict.score is not None]
        parts = [verdict.parts["length"].score for verdict in verdicts if verdict.parts["length"].score is not None]
        assert step["rewards/rlvr/mean"] == pytest.approx(fmean(scores), abs=1e-6)
        assert step["reward"] == pytest.approx(fmean(scores), abs=1e-6)
        assert step["rlvr/judged"] == pytest.approx(len(scores) / len(verdicts))
        assert step["rlvr/length"] == pytest.approx(fmean(parts), abs=1e-6)
        assert step["rlvr/format"] == 0.0 == step["rlvr/acc"]
    golds = dict(QUESTIONS)
    for problem, completion, _ in reward.seen:
        assert problem.prompt is not None and problem.answer == golds[problem.prompt.removeprefix("user: ")]
        assert completion.n_tokens is not None and 1 <= completion.n_tokens <= 8
    assert list(trainer._logs["extra"]["rlvr/reason"])[-1] == reward.seen[-1][2].reason
    assert list(trainer._logs["extra"]["rlvr/extracted"])[-1] == reward.seen[-1][2].extracted


def batches(seen: list[Any]) -> Iterator[list[Any]]:
    for start in range(0, len(seen), 2 * GROUP):
        yield seen[start : start + 2 * GROUP]


@real
@pytest.mark.parametrize("kind", ["GRPO", "RLOO"])
def test_what_was_not_judged_is_left_out_of_its_group(run: Any, kind: str) -> None:
    reward = earning()
    trainer = run(LINES[kind, False], reward, kind=kind)
    last = list(batches(reward.seen))[-1]
    scores = [verdict.score for _, _, verdict in last]
    assert None in scores and any(scores), "the model must have written some of each"
    got = list(trainer._logs["advantages"])[-2 * GROUP :]
    for first in (0, GROUP):
        group = scores[first : first + GROUP]
        judged = [score for score in group if score is not None]
        for score, advantage in zip(group, got[first : first + GROUP], strict=True):
            if score is None:
                assert advantage == 0
            elif kind == "RLOO":
                others = (sum(judged) - score) / max(len(judged) - 1, 1)
                assert advantage == pytest.approx(score - others if len(judged) > 1 else 0, abs=1e-5)
            else:
                spread = stdev(judged) if len(judged) > 1 else 0.0
                assert advantage == pytest.approx((score - fmean(judged)) / (spread + 1e-4), abs=1e-3)
    paid = list(trainer._logs["rewards"]["rlvr"])[-2 * GROUP :]
    assert [isnan(each) for each in paid] == [score is None for score in scores]


@real
def test_golds_that_cannot_be_read_and_rewards_that_raise_are_no_zeros(run: Any) -> None:
    def raises(problem: Problem, completion: Completion) -> Verdict:
        if problem.answer == "":
            return verify_math(problem, completion)
        raise KeyError("in the reward")

    step = steps(run(LINES["GRPO", False], raises))[-1]
    assert step["rlvr/judged"] == 0 and step["rewards/rlvr/mean"] is None and "rlvr/acc" not in step


@real
def test_a_part_that_nobody_reached_is_not_in_the_log(run: Any) -> None:
    step = steps(run(LINES["GRPO", False], gate(verify_format, then=verify_math)))[-1]
    assert step["rlvr/gate"] == 0 and step["rlvr/judged"] == 1 and "rlvr/then" not in step


def test_columns_of_numpy_and_texts_of_anything() -> None:
    numpy = pytest.importorskip("numpy")
    function = as_trl(verify_math)
    given = function(
        prompts=["2+2?"] * 3,
        completions=[r"\boxed{4}", "\x00\ud800", [{"role": "assistant", "content": "The answer is 4."}]],
        completion_ids=[[1], [], [1, 2]],
        answer=[numpy.int64(4), numpy.array(["4"]), "4"],
        trainer_state=object(),
    )
    assert given == [1.0, 0.0, 1.0]
    for golds in (("4", "5"), numpy.array([4, 5])):
        assert function(prompts=["2+2?"] * 2, completions=[r"\boxed{4}"] * 2, answer=golds) == [1.0, 0.0]


def test_it_goes_to_another_process() -> None:
    function = pickle.loads(pickle.dumps(as_trl(Judging(verify_math, threads=2), name="math")))
    assert function.__name__ == "math"
    assert function(["?"], [r"\boxed{4}"], [[1]], solution=[r"so $\boxed{4}$"]) == [1.0]
