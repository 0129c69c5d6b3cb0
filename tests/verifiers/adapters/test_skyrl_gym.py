"""SkyRL-gym itself with our environment, driven as SkyRL's generator does (`skyrl_gym_generator.py` at bc2dea2)."""

import sys
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest
from rlvr.verifiers import Completion, Problem, Verdict, gate, verify_format, verify_math, weighted
from rlvr.verifiers.adapters import Judging, NotJudged, as_skyrl_gym
from rlvr.verifiers.adapters.skyrl_gym import NAMED, PLUG

from .readme import plugs

skyrl_gym = pytest.importorskip("skyrl_gym", reason="skyrl-gym is not installed (make test-adapters installs it)")
from skyrl_gym.envs.registration import deregister  # noqa: E402
from skyrl_gym.metrics import aggregate_for_environment  # noqa: E402

REWARD = weighted(correct=(1.0, verify_math), format=(0.1, verify_format))
RIGHT = "<think>2+2</think><answer>4</answer>"
PROMPT = [{"role": "user", "content": "What is 2+2?"}]
# A row as SkyRL's GSM8K example makes it, without its prompt and env_class.
ROW = {
    "data_source": "openai/gsm8k",
    "reward_spec": {"method": "rule", "ground_truth": "4"},
    "extra_info": {"split": "train", "index": 3},
}


@pytest.fixture(autouse=True)
def _forgotten() -> Iterator[None]:
    yield
    if "rlvr" in skyrl_gym.registry:
        deregister("rlvr")


def rollout(row: dict[str, Any], output: str) -> tuple[Any, Any]:
    """What the generator does with one sample: each call in a thread of its executor, by position."""
    with ThreadPoolExecutor(1) as executor:
        env = skyrl_gym.make("rlvr", env_config={}, extras={**row, "max_turns": 1})
        chat, _ = executor.submit(env.init, [*PROMPT]).result()
        assert chat == PROMPT
        done = executor.submit(env.step, output).result()
        metrics = env.get_metrics()
        executor.submit(env.close).result()
    return done, metrics


def register(reward: Any) -> None:
    skyrl_gym.register(id="rlvr", entry_point=as_skyrl_gym(reward))


@pytest.mark.parametrize(
    ("output", "score"),
    [(RIGHT, 1.1), (RIGHT + "<|im_end|>", 1.1), (r"\boxed{4}", 1.0), ("A: 5", 0.0), ("", 0.0)],
)
def test_the_line_of_the_readme_registers_an_environment(output: str, score: float) -> None:
    exec(plugs("SkyRL-gym")[0], {"skyrl_gym": skyrl_gym, "as_skyrl_gym": as_skyrl_gym, "reward": REWARD})
    step, metrics = rollout(ROW, output)
    assert step["reward"] == pytest.approx(score) and step["done"] is True and step["observations"] == []
    assert step.get("postprocessed_action") is None
    assert (step["metadata"]["status"] == "correct") is (score >= 1)
    assert metrics.keys() == {"score", "acc", "judged", "correct", "format"}
    assert metrics["format"] == (1.0 if output.startswith("<think>") else 0.0)


def test_skyrl_averages_the_parts() -> None:
    register(REWARD)
    metrics = [rollout(ROW, output)[1] for output in (RIGHT, r"\boxed{4}", "A: 5")]
    means = aggregate_for_environment("rlvr", metrics)
    assert means == pytest.approx({"score": 0.7, "acc": 2 / 3, "judged": 1.0, "correct": 2 / 3, "format": 1 / 3})


def test_a_part_that_was_not_reached_has_its_name_too() -> None:
    register(gate(verify_format, then=weighted(correct=(1.0, verify_math))))
    assert rollout(ROW, "A: 4")[1].keys() == rollout(ROW, RIGHT)[1].keys()


def test_the_verifier_sees_what_skyrl_hands_over() -> None:
    seen: list[tuple[Problem, Completion]] = []

    def reward(problem: Problem, completion: Completion) -> Verdict:
        seen.append((problem, completion))
        return Verdict(0.25, "wrong", "different_text")

    register(reward)
    rollout(ROW, "four")
    assert seen == [
        (Problem("3", "user: What is 2+2?", "4", source="openai/gsm8k"), Completion("four")),
    ]


@pytest.mark.parametrize(
    "row",
    [{"reward_spec": {"ground_truth": ""}}, {"reward_spec": {}}, {}, {"reward_spec": None}, {"reward_spec": "4"}],
)
def test_a_gold_that_cannot_be_read_stops_the_trainer(row: dict[str, Any]) -> None:
    register(REWARD)
    with pytest.raises(NotJudged, match="could not be judged"):
        rollout(row, RIGHT)


def test_what_was_not_judged_is_paid_what_was_said() -> None:
    register(Judging(REWARD, unjudged=-0.5))
    step, metrics = rollout({}, RIGHT)
    assert step["reward"] == -0.5 and metrics["judged"] == 0 and step["metadata"]["reason"] == "malformed_problem"


def test_a_reward_that_raises_is_not_a_reward_of_0() -> None:
    def reward(problem: Problem, completion: Completion) -> Verdict:
        raise KeyError("a bug")

    register(reward)
    with pytest.raises(NotJudged, match="a bug"):
        rollout(ROW, RIGHT)


def test_an_import_path_names_it_too(monkeypatch: pytest.MonkeyPatch) -> None:
    module = type(sys)("rlvr_reward")
    setattr(module, NAMED, as_skyrl_gym(REWARD))
    monkeypatch.setitem(sys.modules, "rlvr_reward", module)
    exec(PLUG.format(module="rlvr_reward", file="rlvr_reward.py"), {"skyrl_gym": skyrl_gym})
    assert rollout(ROW, RIGHT)[0]["reward"] == pytest.approx(1.1)
