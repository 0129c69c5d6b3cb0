"""The Rubric of PrimeIntellect's verifiers 0.3 and before: their own `SingleTurnEnv`, with a scripted model server."""

import asyncio
from importlib import import_module
from importlib.metadata import PackageNotFoundError, version
from typing import Any

import pytest
from rlvr.verifiers import Completion, Problem, Verdict, gate, verify_format, verify_math, weighted
from rlvr.verifiers.adapters import Judging, as_rubric

from .readme import plugs
from .scripted import server

try:
    INSTALLED = tuple(int(number) for number in version("verifiers").split(".")[:2])
except PackageNotFoundError:
    INSTALLED = (9, 9)
if INSTALLED >= (0, 4):
    pytest.skip("verifiers before 0.4 is not installed (make test-adapters installs it)", allow_module_level=True)

from datasets import Dataset

vf: Any = import_module("verifiers")  # theirs: `import verifiers as vf`


REWARD = weighted(correct=(1.0, verify_math), format=(0.1, verify_format))
GATED = gate(verify_format, then=weighted(correct=(1.0, verify_math)))
RIGHT = "<think>2+2</think><answer>4</answer>"
SCRIPT = {
    "right": {"content": RIGHT},
    "wrong": {"content": "A: 5"},
    "cut": {"content": "It may be", "finish_reason": "length"},
    "unreadable": {"content": RIGHT},
}
GOLDS = {"right": "4", "wrong": "4", "cut": "4", "unreadable": ""}


def rollouts(reward: Any, monkeypatch: pytest.MonkeyPatch) -> dict[str, Any]:
    """What `SingleTurnEnv` makes of each question, by the line of the README."""
    monkeypatch.setenv("SCRIPTED_KEY", "none")
    dataset = Dataset.from_list([{"question": question, "answer": gold} for question, gold in GOLDS.items()])
    scope: dict[str, Any] = {"vf": vf, "as_rubric": as_rubric, "dataset": dataset, "reward": reward}
    exec(plugs("PrimeIntellect verifiers")[2], scope)

    async def run(address: str) -> list[Any]:
        client = vf.ClientConfig(api_base_url=address, api_key_var="SCRIPTED_KEY")
        rows = scope["env"].get_dataset().to_list()
        return (await scope["env"].generate(rows, client, "scripted"))["outputs"]

    with server(SCRIPT) as address:
        return {output["prompt"][-1]["content"]: output for output in asyncio.run(run(address))}


def ours(output: Any) -> dict[str, float]:
    return {name: value for name, value in output["metrics"].items() if name.startswith("rlvr")}


def test_rollouts_are_paid_and_log_their_parts(monkeypatch: pytest.MonkeyPatch) -> None:
    outputs = rollouts(REWARD, monkeypatch)
    assert {name: output["reward"] for name, output in outputs.items()} == pytest.approx(
        {"right": 1.1, "wrong": 0, "cut": 0, "unreadable": 0}
    )
    parts = {"rlvr/acc": 1, "rlvr/judged": 1, "rlvr/correct": 1, "rlvr/format": 1}
    assert ours(outputs["right"]) == pytest.approx({"rlvr": 1.1, **parts})
    assert ours(outputs["wrong"]) == {**dict.fromkeys(parts, 0), "rlvr": 0, "rlvr/judged": 1}
    assert outputs["right"]["error"] is None


def test_what_was_not_judged_is_an_error_of_the_rollout(monkeypatch: pytest.MonkeyPatch) -> None:
    output = rollouts(REWARD, monkeypatch)["unreadable"]
    assert "could not be judged" in str(output["error"])
    assert set(ours(output).values()) == {0}


def test_what_was_not_judged_is_paid_what_was_said(monkeypatch: pytest.MonkeyPatch) -> None:
    output = rollouts(Judging(GATED, unjudged=-1.0), monkeypatch)["unreadable"]
    assert output["reward"] == -1 and output["error"] is None
    assert ours(output) == {"rlvr": -1, "rlvr/acc": 0, "rlvr/judged": 0, "rlvr/gate": 0, "rlvr/then/correct": 0}


def test_a_reward_that_raises_is_an_error_of_the_rollout(monkeypatch: pytest.MonkeyPatch) -> None:
    def reward(problem: Problem, completion: Completion) -> Verdict:
        raise KeyError("a bug")

    assert all("a bug" in str(output["error"]) for output in rollouts(reward, monkeypatch).values())


def test_the_verifier_sees_the_row_and_the_reply(monkeypatch: pytest.MonkeyPatch) -> None:
    seen: dict[str, tuple[Problem, Completion]] = {}

    def reward(problem: Problem, completion: Completion) -> Verdict:
        seen[problem.id] = (problem, completion)
        return Verdict(0.5, "wrong", "different_text")

    rollouts(reward, monkeypatch)
    assert seen["1"] == (Problem("1", "user: wrong", "4"), Completion("A: 5", finished=True))
    assert seen["2"][1] == Completion("It may be", finished=False)
