"""NeMo-RL's contract on a real Ray, from NVIDIA-NeMo/RL: `nemo_rl/environments/interfaces.py` at commit 0b8a793,
`environments/utils.py` (`register_env`, `create_env`) at edc6a57, `experience/rollouts.py` (`calculate_rewards`) at
a07e8b4. The package that stands in for it lies on the disk, because Ray's processes import it too."""

import os
import sys
from collections.abc import Iterator
from importlib import import_module
from pathlib import Path
from typing import Any

import pytest
from rlvr.verifiers import Completion, Problem, Verdict, gate, verify_format, verify_math, weighted
from rlvr.verifiers.adapters import Judging, as_nemo_rl
from rlvr.verifiers.adapters.nemo_rl import NAMED, PLUG

from .readme import plugs

torch = pytest.importorskip("torch")
ray = pytest.importorskip("ray")

REWARD = weighted(correct=(1.0, verify_math), format=(0.1, verify_format))
RIGHT = "<think>2+2</think><answer>4</answer>"
INTERFACES = """
import abc
from typing import Generic, NamedTuple, TypeVar

import torch

Metadata = TypeVar("Metadata")


class EnvironmentReturn(NamedTuple, Generic[Metadata]):
    observations: list[dict[str, str]]
    metadata: list[Metadata]
    next_stop_strings: list[list[str] | None] | list[None]
    rewards: torch.Tensor
    terminateds: torch.Tensor
    answers: list[str | None] | None = None


class EnvironmentInterface(abc.ABC, Generic[Metadata]):
    @abc.abstractmethod
    def step(self, message_log_batch, metadata): ...

    @abc.abstractmethod
    def global_post_process_and_metrics(self, batch): ...
"""


@pytest.fixture(scope="module")
def started(tmp_path_factory: pytest.TempPathFactory) -> Iterator[None]:
    """A Ray of one processor, whose processes find the stand-in by PYTHONPATH."""
    root = tmp_path_factory.mktemp("nemo")
    (root / "nemo_rl" / "environments").mkdir(parents=True)
    for package in ("nemo_rl", "nemo_rl/environments"):
        (root / package / "__init__.py").write_text("", encoding="utf-8")
    (root / "nemo_rl" / "environments" / "interfaces.py").write_text(INTERFACES, encoding="utf-8")
    with pytest.MonkeyPatch.context() as patch:
        patch.syspath_prepend(root)
        ray.init(
            "local",
            num_cpus=1,
            include_dashboard=False,
            logging_level="error",
            log_to_driver=False,
            object_store_memory=1 << 27,
            runtime_env={"env_vars": {"PYTHONPATH": os.pathsep.join((str(root), str(Path.cwd())))}},
        )
        yield
        ray.shutdown()
    for name in [name for name in sys.modules if name.partition(".")[0] == "nemo_rl"]:
        del sys.modules[name]


class Trainer:
    """What NeMo-RL's launcher and rollout do with an environment."""

    def __init__(self, reward: Any, patch: pytest.MonkeyPatch) -> None:
        self.registry: dict[str, str] = {}
        executables: dict[str, str] = {}
        module = type(sys)("rlvr_reward")
        setattr(module, NAMED, as_nemo_rl(reward))
        patch.setitem(sys.modules, "rlvr_reward", module)
        lines = plugs("NeMo-RL")
        assert "; ".join(lines) == PLUG.format(module="rlvr_reward", file="rlvr_reward.py")
        system = type("PY_EXECUTABLES", (), {"SYSTEM": sys.executable})
        scope = {"register_env": self.registry.__setitem__, "ACTOR_ENVIRONMENT_REGISTRY": executables}
        for line in lines:
            exec(line, {**scope, "PY_EXECUTABLES": system})
        module_name, _, attribute = self.registry["rlvr"].rpartition(".")
        actor = getattr(import_module(module_name), attribute)
        # As NeMo-RL makes it, but for the variables: it passes on its whole environment; ours lead to the stand-in.
        self.env = actor.options(
            runtime_env={
                "py_executable": executables[self.registry["rlvr"]],
                "env_vars": {"PYTHONPATH": os.pathsep.join((*sys.path[:1], str(Path.cwd())))},
            }
        ).remote({"num_workers": 1})

    def rewards(self, *samples: tuple[str, Any]) -> Any:
        """`calculate_rewards`: a batch by position, and its six fields by position, indexed sample by sample."""
        logs = [[{"role": "user", "content": "2+2?"}, {"role": "assistant", "content": text}] for text, _ in samples]
        result = ray.get(self.env.step.remote(logs, [info for _, info in samples]))
        observations, metadata, stops, rewards, terminateds, answers = result
        assert all(set(observation) == {"role", "content"} for observation in observations)
        assert [metadata[i] for i in range(len(samples))] == [info for _, info in samples]
        assert [stops[i] for i in range(len(samples))] == [None] * len(samples)
        assert torch.tensor([terminateds[i] for i in range(len(samples))]).bool().all()
        return torch.tensor([rewards[i] for i in range(len(samples))]), [answers[i] for i in range(len(samples))]

    def metrics(self) -> dict[str, float]:
        batch = {"total_reward": torch.zeros(1)}
        same, metrics = ray.get(self.env.global_post_process_and_metrics.remote(batch))
        assert same.keys() == batch.keys()
        return metrics


@pytest.mark.usefixtures("started")
def test_a_batch_is_paid_and_its_parts_are_metrics(monkeypatch: pytest.MonkeyPatch) -> None:
    trainer = Trainer(REWARD, monkeypatch)
    gold = {"ground_truth": "4", "extracted_answer": None}
    rewards, answers = trainer.rewards((RIGHT, gold), (r"\boxed{4}", gold), ("A: 5", gold), ("", gold))
    assert rewards.tolist() == pytest.approx([1.1, 1.0, 0.0, 0.0])
    assert answers == ["4", "4", "5", None]
    trainer.rewards((RIGHT, gold))
    means = {"score": 3.2 / 5, "acc": 3 / 5, "judged": 1.0, "correct": 3 / 5, "format": 2 / 5}
    assert trainer.metrics() == pytest.approx({f"rlvr/{name}": mean for name, mean in means.items()})
    assert trainer.metrics() == {}


@pytest.mark.usefixtures("started")
def test_what_was_not_judged_stops_the_trainer_or_is_paid_what_was_said(monkeypatch: pytest.MonkeyPatch) -> None:
    trainer = Trainer(REWARD, monkeypatch)
    for info in ({"ground_truth": ""}, {}, None):
        with pytest.raises(ray.exceptions.RayTaskError, match="could not be judged"):
            trainer.rewards((RIGHT, info))
    trainer = Trainer(Judging(REWARD, unjudged=-1.0), monkeypatch)
    assert trainer.rewards((RIGHT, {}), (RIGHT, {"answer": 4}))[0].tolist() == pytest.approx([-1.0, 1.1])
    assert trainer.metrics()["rlvr/judged"] == 0.5


@pytest.fixture
def here(started: None) -> Any:
    """Makes the environment that the actor class wraps, in this process."""
    return lambda reward: as_nemo_rl(reward).__ray_metadata__.modified_class(None)


def test_a_part_that_was_not_reached_counts_0(here: Any) -> None:
    env = here(gate(verify_format, then=weighted(correct=(1.0, verify_math))))
    log = [[{"role": "assistant", "content": text}] for text in (RIGHT, "A: 4")]
    assert env.step(log, [{"answer": "4"}] * 2).rewards.tolist() == [1.0, 0.0]
    assert env.global_post_process_and_metrics({})[1]["rlvr/then/correct"] == 0.5


def test_the_verifier_sees_what_nemo_rl_hands_over(here: Any) -> None:
    seen: list[tuple[Problem, Completion]] = []

    def reward(problem: Problem, completion: Completion) -> Verdict:
        seen.append((problem, completion))
        return Verdict(0.5, "wrong", "different_text")

    log = [{"role": "system", "content": "Be brief."}, {"role": "user", "content": "2+2?"}]
    env = here(reward)
    env.step([[*log, {"role": "assistant", "content": "four"}]], [{"ground_truth": 4.0}])
    env.shutdown()
    assert seen == [(Problem("0", "system: Be brief.\n\nuser: 2+2?", "4.0"), Completion("four"))]


def test_a_reward_that_raises_is_not_a_reward_of_0(here: Any) -> None:
    def reward(problem: Problem, completion: Completion) -> Verdict:
        raise KeyError("a bug")

    with pytest.raises(RuntimeError, match="a bug"):
        here(reward).step([[{"role": "assistant", "content": "4"}]], [{"answer": "4"}])


def test_a_batch_without_samples(here: Any) -> None:
    env = here(REWARD)
    assert env.step([], []).rewards.numel() == 0 and env.global_post_process_and_metrics({})[1] == {}
