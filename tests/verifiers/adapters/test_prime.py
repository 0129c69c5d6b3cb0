"""PrimeIntellect's verifiers themselves, beside ours in one process: rollouts of their single-agent environment, whose
model calls go through their interception server to a scripted one; and their command line."""

import asyncio
import json
import os
import subprocess
import sys
from collections.abc import Iterator
from importlib import import_module
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

import pytest
from rlvr.verifiers import Completion, Problem, Verdict, gate, verify_format, verify_math, weighted
from rlvr.verifiers.adapters import Judging, as_prime
from rlvr.verifiers.adapters.prime import NAMED, PLUG

from .readme import plugs
from .scripted import server

try:
    INSTALLED = tuple(int(number) for number in version("verifiers").split(".")[:2])
except PackageNotFoundError:
    INSTALLED = (0, 0)
if INSTALLED < (0, 4):
    pytest.skip("verifiers 0.4 is not installed (make test-adapters installs it)", allow_module_level=True)

vf: Any = import_module("verifiers.v1")  # theirs: `import verifiers.v1 as vf`

REWARD = weighted(correct=(1.0, verify_math), format=(0.1, verify_format))
GATED = gate(verify_format, then=weighted(correct=(1.0, verify_math)))
RIGHT = "<think>2+2</think><answer>4</answer>"
SCRIPT = {
    "right": {"content": RIGHT},
    "thinks apart": {"content": "<answer>4</answer>", "reasoning_content": "2+2"},
    "wrong": {"content": "A: 5"},
    "says nothing": {"content": None},
    "cut": {"content": "It may be", "finish_reason": "length"},
    "unreadable": {"content": RIGHT},
}
TASKSET = '''
import httpx
import verifiers.v1 as vf

ROWS = {"right": "4", "thinks apart": "4", "wrong": "4", "says nothing": "4", "cut": "4", "unreadable": ""}


class MathData(vf.TaskData):
    answer: str


class MathTask(vf.Task[MathData]):
    pass


class MathTaskset(vf.Taskset[MathTask]):
    def load(self):
        for prompt, answer in ROWS.items():
            yield MathTask(MathData(prompt=prompt, answer=answer), self.config.task)


class Once(vf.Harness[vf.HarnessConfig]):
    """One model call through the interception server, in this process, as the contract of `launch` allows."""

    EXECUTES_CODE = NEEDS_CONTAINER = False

    async def launch(self, ctx, trace, runtime, endpoint, secret, mcp_urls, data):
        body = {"model": ctx.model, "messages": [{"role": "user", "content": data.prompt}]}
        async with httpx.AsyncClient() as client:
            reply = await client.post(
                f"{endpoint}/chat/completions", headers={"Authorization": f"Bearer {secret}"}, json=body
            )
        reply.raise_for_status()
        return vf.ProgramResult(exit_code=0, stdout="", stderr="")


__all__ = ["MathTaskset", "Once"]
'''


@pytest.fixture
def taskset(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Any]:
    """The module of a taskset as users write one, importable by its name."""
    (tmp_path / "arithmetic.py").write_text(TASKSET, encoding="utf-8")
    monkeypatch.syspath_prepend(tmp_path)
    monkeypatch.setenv("SCRIPTED_KEY", "none")
    import arithmetic  # pyright: ignore[reportMissingImports]

    yield arithmetic
    del sys.modules["arithmetic"]


def rollouts(taskset: Any) -> dict[str, Any]:
    """The trace of each task, by its prompt."""

    async def run(address: str) -> dict[str, Any]:
        config = {"taskset": {"id": taskset.__name__}, "agent": {"runtime": {"type": "subprocess"}}}
        env = vf.SingleAgentEnv(vf.SingleAgentEnvConfig(**config))
        client = vf.EvalClientConfig(base_url=address, api_key_var="SCRIPTED_KEY")
        context = vf.ModelContext(model="scripted", client=client)
        traces: dict[str, Any] = {}
        async with env.serving():
            for task in env.taskset:
                (slot,) = env.slots(task)
                (traces[task.data.prompt],) = (await env.run_slot(slot, context)).traces
        return traces

    with server(SCRIPT) as address:
        return asyncio.run(run(address))


def plug(taskset: Any, reward: Any) -> None:
    """The line of the README."""
    exec(plugs("PrimeIntellect verifiers")[0], {"vf": vf, "as_prime": as_prime, "MathTask": taskset.MathTask} | reward)


def test_the_two_packages_live_side_by_side() -> None:
    theirs, ours = import_module("verifiers"), import_module("rlvr.verifiers")
    assert theirs is not ours and theirs.__version__ == version("verifiers") and not hasattr(ours, "__version__")
    assert verify_math(Problem("1", answer="4"), Completion("A: 4")).score == 1
    assert sys.modules["verifiers.v1"].Task.__module__ == "verifiers.v1.task"


def test_rollouts_are_paid_and_log_their_parts(taskset: Any) -> None:
    plug(taskset, {"reward": REWARD})
    traces = rollouts(taskset)
    assert {name: trace.reward for name, trace in traces.items()} == pytest.approx(
        {"right": 1.1, "thinks apart": 1.1, "wrong": 0, "says nothing": 0, "cut": 0, "unreadable": 0}
    )
    assert traces["right"].rewards["rlvr"].score == pytest.approx(1.1)
    assert traces["right"].metrics == {"rlvr/acc": 1, "rlvr/judged": 1, "rlvr/correct": 1, "rlvr/format": 1}
    assert traces["wrong"].metrics == {"rlvr/acc": 0, "rlvr/judged": 1, "rlvr/correct": 0, "rlvr/format": 0}
    assert traces["wrong"].info["rlvr"]["extracted"] == "5"
    assert traces["cut"].info["rlvr"]["status"] == "truncated"
    assert json.dumps(traces["right"].to_record())  # what verifiers writes to traces.jsonl


def test_what_was_not_judged_bears_an_error_and_no_reward(taskset: Any) -> None:
    plug(taskset, {"reward": REWARD})
    trace = rollouts(taskset)["unreadable"]
    assert trace.rewards == {"rlvr": None} and trace.has_error
    assert trace.errors[0].type == "TaskError" and "could not be judged" in trace.errors[0].message
    assert trace.info["rlvr"]["detail"] == "gold: ''"


def test_what_was_not_judged_is_paid_what_was_said(taskset: Any) -> None:
    plug(taskset, {"reward": Judging(REWARD, unjudged=-1.0)})
    trace = rollouts(taskset)["unreadable"]
    assert trace.reward == -1 and trace.ok and trace.metrics["rlvr/judged"] == 0


def test_a_reward_that_raises_is_an_error_too(taskset: Any) -> None:
    def reward(problem: Problem, completion: Completion) -> Verdict:
        raise KeyError("a bug")

    plug(taskset, {"reward": reward})
    assert {trace.rewards["rlvr"] for trace in rollouts(taskset).values()} == {None}


def test_a_part_that_was_not_reached_has_its_name_too(taskset: Any) -> None:
    plug(taskset, {"reward": Judging(GATED, unjudged=0.0)})
    traces = rollouts(taskset)
    assert {frozenset(trace.metrics) for trace in traces.values()} == {
        frozenset({"rlvr/acc", "rlvr/judged", "rlvr/gate", "rlvr/then/correct"})
    }


def test_the_verifier_sees_the_task_and_the_reply(taskset: Any) -> None:
    seen: list[tuple[Problem, Completion]] = []

    def reward(problem: Problem, completion: Completion) -> Verdict:
        seen.append((problem, completion))
        return Verdict(0.5, "wrong", "different_text")

    plug(taskset, {"reward": reward})
    rollouts(taskset)
    assert seen[1] == (
        Problem("1", "thinks apart", "4"),
        Completion("<think>2+2</think><answer>4</answer>", finished=True),
    )
    assert seen[3][1] == Completion("", finished=True)
    assert seen[4][1] == Completion("It may be", finished=False)


def test_their_command_line_plugs_it_in_by_its_import_path(taskset: Any, tmp_path: Path) -> None:
    (tmp_path / "my_rewards.py").write_text(
        "from rlvr.verifiers import verify_format, verify_math, weighted\n"
        "reward = weighted(correct=(1.0, verify_math), format=(0.1, verify_format))\n",
        encoding="utf-8",
    )
    (tmp_path / "rlvr_reward.py").write_text(
        f"from my_rewards import reward\nfrom rlvr.verifiers.adapters import as_prime\n{NAMED} = as_prime(reward)\n",
        encoding="utf-8",
    )
    flag = plugs("PrimeIntellect verifiers")[1]
    assert flag == PLUG.format(module="rlvr_reward", file="rlvr_reward.py")
    with server(SCRIPT) as address:
        model = f"-m scripted --client.base-url {address} --client.api-key-var SCRIPTED_KEY"
        where = f"--env.agent.runtime.type subprocess --output-dir {tmp_path / 'out'}"
        subprocess.run(
            [str(Path(sys.executable).with_name("vf-eval")), "arithmetic", *f"{model} {where} {flag} -n 6".split()],
            cwd=tmp_path,
            env={**os.environ, "PYTHONPATH": str(tmp_path), "HOME": str(tmp_path)},
            check=True,
            capture_output=True,
            timeout=300,
        )
    (file,) = (tmp_path / "out").rglob("traces.jsonl")
    text = file.read_text(encoding="utf-8")
    assert text.count('"TaskError"') >= 1 and '"rlvr/format":1.0' in text.replace(" ", "")
