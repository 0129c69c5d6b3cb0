"""rLLM's contract, from rllm-org/rllm: `rllm/eval/types.py` at cd24263, `rllm/types.py` at 02f0663,
`rllm/eval/_resolution.py` at 99ef53f, `rllm/engine/agentflow_engine.py` at 969979c, and `rllm/rewards/reward_fn.py` at
33f147a."""

import inspect
import sys
import tomllib
from dataclasses import dataclass, field
from importlib import import_module
from typing import Any, Protocol, runtime_checkable

import pytest
from rlvr.verifiers import Completion, Problem, Verdict, gate, verify_format, verify_math, weighted
from rlvr.verifiers.adapters import Judging, NotJudged, as_rllm
from rlvr.verifiers.adapters.rllm import NAMED, PLUG

from .readme import plugs

REWARD = weighted(correct=(1.0, verify_math), format=(0.1, verify_format))
RIGHT = "<think>2+2</think><answer>4</answer>"


@dataclass
class Signal:
    name: str
    value: float
    metadata: dict[str, Any] = field(default_factory=dict)


@dataclass
class EvalOutput:
    reward: float
    is_correct: bool
    signals: list[Signal] = field(default_factory=list)
    metadata: dict[str, Any] = field(default_factory=dict)


@dataclass(slots=True, kw_only=True)
class RewardOutput:
    reward: float
    metadata: dict[str, Any] = field(default_factory=dict)
    is_correct: bool | None = None


@dataclass
class Task:
    id: str
    instruction: str | list[dict[str, Any]]
    metadata: dict[str, Any] = field(default_factory=dict)


@dataclass
class Step:
    output: Any = None
    model_response: str = ""


@dataclass
class Trajectory:
    steps: list[Step] = field(default_factory=list)
    output: Any = None
    reward: float | None = None
    signals: dict[str, float] = field(default_factory=dict)


@dataclass
class Episode:
    trajectories: list[Trajectory] = field(default_factory=list)
    artifacts: dict[str, Any] = field(default_factory=dict)
    metrics: dict[str, Any] = field(default_factory=dict)
    is_correct: bool = False


@runtime_checkable
class Evaluator(Protocol):
    def evaluate(self, task: Any, episode: Episode) -> EvalOutput: ...


@runtime_checkable
class RewardFunction(Protocol):
    def __call__(self, task_info: dict[str, Any], action: str) -> RewardOutput: ...


@pytest.fixture(autouse=True)
def _rllm(monkeypatch: pytest.MonkeyPatch) -> None:
    names = {
        "rllm.eval.types": {"EvalOutput": EvalOutput, "Signal": Signal},
        "rllm.rewards.reward_types": {"RewardOutput": RewardOutput},
        "rllm": {},
        "rllm.eval": {},
        "rllm.rewards": {},
    }
    for name, inside in names.items():
        module = type(sys)(name)
        module.__dict__.update(inside)
        monkeypatch.setitem(sys.modules, name, module)


class AgentTrainer:
    """What the engine does with the evaluator for an episode: by position; rewards and signals are written back."""

    def __init__(self, evaluator: Any, train_dataset: Any) -> None:
        assert isinstance(evaluator, Evaluator)
        self.evaluator, self.train_dataset = evaluator, train_dataset

    def rollout(self, task: Any, episode: Episode) -> Episode:
        output = self.evaluator.evaluate(task, episode)
        for trajectory in episode.trajectories:
            trajectory.reward = output.reward
            trajectory.signals = {signal.name: signal.value for signal in output.signals}
        episode.is_correct = output.is_correct
        episode.metrics.update(output.metadata)
        episode.metrics.update({signal.name: signal.value for signal in output.signals})
        return episode


def trainer(reward: Any) -> AgentTrainer:
    """By the line of the README."""
    scope = {"AgentTrainer": AgentTrainer, "as_rllm": as_rllm, "reward": reward, "dataset": []}
    exec(plugs("rllm")[0], scope)
    made: Any = scope["trainer"]
    return made


def answered(text: str) -> Episode:
    return Episode([Trajectory()], {"answer": text})


ROW = {"question": "2+2?", "ground_truth": "4", "data_source": "gsm8k", "id": 7}


@pytest.mark.parametrize("task", [ROW, Task("7", "2+2?", {"ground_truth": "4"})], ids=["row", "task"])
def test_an_episode_is_paid_and_its_parts_are_signals(task: Any) -> None:
    episode = trainer(REWARD).rollout(task, answered(RIGHT))
    assert episode.trajectories[0].reward == pytest.approx(1.1) and episode.is_correct is True
    assert episode.metrics == {"acc": 1, "judged": 1, "correct": 1, "format": 1} == episode.trajectories[0].signals
    episode = trainer(REWARD).rollout(task, answered("A: 5"))
    assert episode.trajectories[0].reward == 0 and episode.is_correct is False


@pytest.mark.parametrize(
    "episode",
    [
        answered("A: 4"),
        Episode([Trajectory(output="A: 5"), Trajectory(output="A: 4")]),
        Episode([Trajectory([Step("A: 5"), Step("A: 4")])]),
        Episode([Trajectory([Step(None, "A: 4")])]),
    ],
    ids=["artifact", "output", "step", "response"],
)
def test_the_answer_is_found_where_agents_leave_it(episode: Episode) -> None:
    assert trainer(REWARD).rollout(ROW, episode).is_correct


@pytest.mark.parametrize("episode", [Episode(), Episode([Trajectory()]), Episode([Trajectory([Step()])]), answered("")])
def test_no_answer_is_wrong(episode: Episode) -> None:
    assert trainer(REWARD).evaluator.evaluate(ROW, episode).reward == 0


def test_a_part_that_was_not_reached_has_its_name_too() -> None:
    gated = trainer(gate(verify_format, then=weighted(correct=(1.0, verify_math))))
    assert gated.rollout(ROW, answered(RIGHT)).metrics.keys() == gated.rollout(ROW, answered("A: 4")).metrics.keys()


def test_the_verifier_sees_the_task() -> None:
    seen: list[tuple[Problem, Completion]] = []

    def reward(problem: Problem, completion: Completion) -> Verdict:
        seen.append((problem, completion))
        return Verdict(0.5, "wrong", "different_text")

    trainer(reward).rollout(ROW, answered("four"))
    trainer(reward).rollout(Task("a", [{"role": "user", "content": "2+2?"}], {"answer": 4}), answered("four"))
    assert seen == [
        (Problem("7", "2+2?", "4", source="gsm8k"), Completion("four")),
        (Problem("a", "user: 2+2?", "4"), Completion("four")),
    ]


def test_older_workflows_call_it_as_a_reward_function() -> None:
    function = as_rllm(REWARD)
    assert isinstance(function, RewardFunction)
    output = function({"ground_truth": ["4"]}, RIGHT)
    assert output.reward == pytest.approx(1.1) and output.is_correct is True
    assert output.metadata["format"] == 1 and output.metadata["extracted"] == "4"

    class Action:
        action = "A: 5"

    output = function(task_info={"ground_truth": "4"}, action=Action())
    assert (output.reward, output.is_correct, output.metadata["extracted"]) == (0.0, False, "5")


@pytest.mark.parametrize("row", [{}, {"ground_truth": ""}, {"ground_truth": ["4", "5"]}])
def test_a_gold_that_cannot_be_read_is_not_a_reward_of_0(row: dict[str, Any]) -> None:
    with pytest.raises(NotJudged, match="could not be judged"):
        trainer(REWARD).rollout(row, answered(RIGHT))
    with pytest.raises(NotJudged):
        as_rllm(REWARD)(row, RIGHT)
    assert trainer(Judging(REWARD, unjudged=-1.0)).rollout(row, answered(RIGHT)).trajectories[0].reward == -1


def test_a_reward_that_raises_is_not_a_reward_of_0() -> None:
    def reward(problem: Problem, completion: Completion) -> Verdict:
        raise KeyError("a bug")

    with pytest.raises(NotJudged, match="a bug"):
        trainer(reward).rollout(ROW, answered(RIGHT))


def test_a_data_set_names_it_by_its_import_path(monkeypatch: pytest.MonkeyPatch) -> None:
    """`rllm/eval/_resolution.py`: `module:attribute` is imported; what has `evaluate` is called with the Task, unless
    the first parameter is called as a row is, or bears no annotation."""
    path = tomllib.loads(PLUG.format(module="rlvr_reward", file="rlvr_reward.py"))["verifier"]["import_path"]
    module = type(sys)("rlvr_reward")
    setattr(module, NAMED, as_rllm(REWARD))
    monkeypatch.setitem(sys.modules, "rlvr_reward", module)
    module_name, _, attribute = path.partition(":")
    evaluator = getattr(import_module(module_name), attribute)
    first, *_ = inspect.signature(evaluator.evaluate).parameters.values()
    assert first.name == "task" and first.annotation not in (inspect.Parameter.empty, dict)
    assert evaluator.evaluate(Task("7", "2+2?", {"ground_truth": "4"}), answered("A: 4")).reward == 1
