"""verl's own code loads our reward and calls it: its reward managers, its reward loop on Ray, its validation metrics.

verl has an environment of its own (`make test-adapters`); elsewhere the tests with it are skipped.
"""

import asyncio
import inspect
import os
import pickle
import shlex
import subprocess
import sys
from collections.abc import Callable, Iterator
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import pytest
from rlvr.verifiers import Completion, Problem, Verdict, gate, verify_format, verify_math, weighted
from rlvr.verifiers.adapters import Judging, NotJudged, as_verl
from rlvr.verifiers.adapters.verl import NAMED, PLUG

from .readme import plugs

real = pytest.mark.skipif(find_spec("verl") is None, reason="verl is not installed (make test-adapters installs it)")
# What torch, Ray and verl warn of is theirs.
pytestmark = pytest.mark.filterwarnings("default")

ROOT = Path(__file__).parents[3]
MY_REWARDS = """\
from rlvr.verifiers import gate, verify_format, verify_math, weighted
reward = gate(verify_format, then=weighted(correct=(1.0, verify_math), format=(0.5, verify_format)))
"""
RIGHT, WRONG, BARE = "<think>a</think><answer>4</answer>", "<think>a</think><answer>5</answer>", "It is 4."
PAID = {RIGHT: 1.5, WRONG: 0.5, BARE: 0.0}
# What our function answers for each, as verl keeps it.
TOLD = {
    RIGHT: {"acc": 1, "judged": 1, "gate": 1, "then/correct": 1, "then/format": 1, "pred": "4"},
    WRONG: {"acc": 0, "judged": 1, "gate": 1, "then/correct": 0, "then/format": 1, "pred": "5"},
    BARE: {"acc": 0, "judged": 1, "gate": 0, "then/correct": 0, "then/format": 0, "pred": "[INVALID]"},
}
for text, told in TOLD.items():
    told["score"] = PAID[text]
BAD_GOLD = ""  # nobody can say whether an answer equals it


@pytest.fixture(scope="module")
def tokenizer(tmp_path_factory: pytest.TempPathFactory) -> Any:
    from transformers import AutoTokenizer

    folder = tmp_path_factory.mktemp("tiny")
    script = ROOT / "tests" / "evals" / "tiny_model.py"
    subprocess.run([sys.executable, script, folder], check=True, capture_output=True)
    return AutoTokenizer.from_pretrained(folder)


@pytest.fixture
def reward_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The file that README's first line writes, in a folder that is the current one."""
    (tmp_path / "my_rewards.py").write_text(MY_REWARDS, encoding="utf-8")
    monkeypatch.chdir(tmp_path)
    monkeypatch.syspath_prepend(tmp_path)
    environment = {**os.environ, "PATH": f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}"}
    subprocess.run(plugs("verl")[0], shell=True, check=True, env=environment)
    return tmp_path / "rlvr_reward.py"


@pytest.fixture
def config(tokenizer: Any) -> Callable[..., Any]:
    """verl's own configuration with overrides as on its command line."""
    from hydra import compose, initialize_config_module

    def composed(*overrides: str) -> Any:
        with initialize_config_module("verl.trainer.config", version_base=None):
            return compose("ppo_trainer", [f"actor_rollout_ref.model.path={tokenizer.name_or_path}", *overrides])

    return composed


def overrides() -> list[str]:
    return shlex.split(plugs("verl")[1])


def batch(tokenizer: Any, texts: list[str], gold: Any = "4") -> Any:
    """Rollouts as verl holds them: prompts padded on the left, responses on the right."""
    import numpy
    import torch
    from verl import DataProto

    prompt = tokenizer("2+2?")["input_ids"]
    answers = [tokenizer(text)["input_ids"] for text in texts]
    width = max(map(len, answers)) + 2
    pad = tokenizer.pad_token_id
    prompts = torch.tensor([[pad, *prompt]] * len(texts))
    responses = torch.tensor([[*ids, *[pad] * (width - len(ids))] for ids in answers])
    seen = torch.tensor([[0] + [1] * (len(prompt) + len(ids)) + [0] * (width - len(ids)) for ids in answers])
    return DataProto.from_dict(
        tensors={"prompts": prompts, "responses": responses, "attention_mask": seen},
        non_tensors={
            "data_source": numpy.array(["aime"] * len(texts), dtype=object),
            "reward_model": numpy.array([{"ground_truth": gold, "style": "rule"} for _ in texts], dtype=object),
            "extra_info": numpy.array([{"index": i, "split": "train"} for i in range(len(texts))], dtype=object),
        },
    )


def last_tokens(rewards: Any, data: Any) -> list[float]:
    """The reward of each row, which stands at its last token and nowhere else."""
    assert ((rewards != 0).sum(1) <= 1).all()
    lengths = data.batch["attention_mask"][:, data.batch["prompts"].shape[1] :].sum(1)
    return [float(row[int(length) - 1]) for row, length in zip(rewards, lengths, strict=True)]


def plain(told: dict[str, Any]) -> dict[str, Any]:
    return {name: value for name, value in told.items() if name != "reason"}


@real
@pytest.mark.parametrize("manager", ["naive", "dapo", "gdpo", "rate_limited"])
@pytest.mark.parametrize("asynchronous", [False, True])
def test_reward_managers_of_the_reward_loop(
    reward_file: Path, config: Any, tokenizer: Any, manager: str, asynchronous: bool
) -> None:
    from verl.trainer.ppo.reward import get_custom_reward_fn, load_reward_manager

    if asynchronous:
        text = reward_file.read_text(encoding="utf-8")
        reward_file.write_text(text.replace("as_verl(reward)", "as_verl(reward, asynchronous=True)"), encoding="utf-8")
    settings = config(*overrides(), f"reward.reward_manager.name={manager}")
    assert inspect.iscoroutinefunction(get_custom_reward_fn(settings)) is asynchronous

    async def scored() -> list[Any]:
        loaded = load_reward_manager(settings, tokenizer)
        return [await loaded.run_single(batch(tokenizer, [text])) for text in PAID]

    for given, text in zip(asyncio.run(scored()), PAID, strict=True):
        assert given["reward_score"] == PAID[text]
        assert plain(given["reward_extra_info"]) == TOLD[text]


@real
@pytest.mark.parametrize(
    ("manager", "options"), [("naive", {}), ("dapo", {}), ("batch", {"batch": True}), ("prime", {"parts": False})]
)
def test_legacy_reward_managers(tokenizer: Any, manager: str, options: dict[str, bool]) -> None:
    from verl.workers.reward_manager import get_reward_manager_cls

    data = batch(tokenizer, list(PAID))
    judge = get_reward_manager_cls(manager)(tokenizer, num_examine=1, compute_score=as_verl(my_reward(), **options))
    given = judge(data, return_dict=True)
    assert last_tokens(given["reward_tensor"], data) == list(PAID.values())
    if manager == "prime":
        assert data.batch["acc"].tolist() == list(PAID.values())
        return
    extra = given["reward_extra_info"]
    assert [{name: values[i] for name, values in plain(extra).items()} for i in range(3)] == list(TOLD.values())


def my_reward() -> Any:
    return gate(verify_format, then=weighted(correct=(1.0, verify_math), format=(0.5, verify_format)))


@pytest.fixture
def ray() -> Iterator[Any]:
    import ray

    ray.init("local", num_cpus=2, include_dashboard=False, logging_level="error", object_store_memory=1 << 27)
    yield ray
    ray.shutdown()


@real
@pytest.mark.parametrize("manager", ["naive", "remote"])
def test_the_reward_loop_on_ray(reward_file: Path, config: Any, tokenizer: Any, ray: Any, manager: str) -> None:
    import numpy
    from verl.experimental.reward_loop import RewardLoopManager
    from verl.trainer.ppo.metric_utils import process_validation_metrics
    from verl.trainer.ppo.reward import extract_reward

    settings = config(*overrides(), "reward.num_workers=1", f"reward.reward_manager.name={manager}")
    data = batch(tokenizer, [RIGHT, WRONG, BARE, RIGHT])
    scored = RewardLoopManager(settings).compute_rm_score(data)
    rewards, extra = extract_reward(scored)
    assert last_tokens(rewards, data) == [1.5, 0.5, 0.0, 1.5]
    assert extra["then/correct"].tolist() == [1, 0, 0, 1] and extra["reason"].tolist()[2] == "missing_tag"

    metrics = process_validation_metrics(
        numpy.array(["aime"] * 4), ["same problem"] * 4, {name: values.tolist() for name, values in extra.items()}
    )["aime"]
    assert metrics["acc"]["mean@4"] == 0.5 and metrics["gate"]["mean@4"] == 0.75
    assert metrics["acc"]["maj@4/mean"] > 0.5, "verl must find the answers to vote with"


@real
def test_what_could_not_be_judged_ends_the_run_or_is_paid_as_told(tokenizer: Any, config: Any, caplog: Any) -> None:
    from verl.experimental.reward_loop.reward_manager import get_reward_manager_cls

    def run(manager: str, reward: Any) -> Any:
        async def scored() -> Any:
            judge = get_reward_manager_cls(manager)(config(), tokenizer, as_verl(reward))
            return await judge.run_single(batch(tokenizer, [RIGHT], gold=BAD_GOLD))

        return asyncio.run(scored())

    for manager in ("naive", "dapo", "gdpo"):
        with pytest.raises(NotJudged, match=r"problem 0 could not be judged \(gold_unreadable"):
            run(manager, verify_math)
    told = run("rate_limited", Judging(verify_math, unjudged=-1.0))
    assert told["reward_score"] == -1.0
    assert told["reward_extra_info"]["judged"] == 0 == told["reward_extra_info"]["acc"]
    # As the docstring says: this one pays 0 by itself, and says why in the log alone.
    assert run("rate_limited", verify_math)["reward_score"] == 0.0
    assert "gold_unreadable" in caplog.text


def call(**arguments: Any) -> Any:
    """As verl calls it: by keyword."""
    given = {"data_source": "aime", "solution_str": RIGHT, "ground_truth": "4", "extra_info": {"index": 3}, **arguments}
    return as_verl(given.pop("reward", my_reward()))(**given)


def test_the_same_names_whatever_was_reached() -> None:
    given = [call(solution_str=text) for text in PAID]
    assert [plain(each) for each in given] == list(TOLD.values())
    assert len({tuple(each) for each in given}) == 1
    assert [each["reason"] for each in given] == ["same_text", "different_number", "missing_tag"]


@pytest.mark.parametrize("gold", [4, 4.0, ["4"], "4"])
def test_golds_of_several_types(gold: object) -> None:
    assert call(ground_truth=gold)["acc"] == 1


def test_golds_and_rows_of_numpy() -> None:
    numpy = pytest.importorskip("numpy")
    for gold in (numpy.int64(4), numpy.array(["4"]), numpy.str_("4")):
        assert call(ground_truth=gold, data_source=numpy.str_("aime"), extra_info=None)["acc"] == 1


def test_what_later_versions_pass_is_ignored() -> None:
    assert call(reward_router_address="http://127.0.0.1:1", reward_model_tokenizer=None)["score"] == 1.5


def test_a_gold_that_is_tests_reaches_a_code_reward() -> None:
    def tests(problem: Problem, completion: Completion) -> Verdict:
        return Verdict(1.0, "correct", "all_tests_passed", extracted=str(problem.tests))

    for gold in ('{"inputs": ["1"], "outputs": ["1"]}', {"inputs": ["1"], "outputs": ["1"]}):
        assert call(reward=tests, ground_truth=gold)["pred"] == str(gold)


def test_a_reward_that_raises_is_no_zero() -> None:
    def raises(problem: Problem, completion: Completion) -> Verdict:
        raise KeyError("in the reward")

    with pytest.raises(NotJudged, match=r"problem 3 could not be judged .*KeyError: 'in the reward'"):
        call(reward=raises)
    with pytest.raises(NotJudged, match="gold_unreadable"):
        call(reward=verify_math, ground_truth=BAD_GOLD)


def test_the_form_with_plurals() -> None:
    scores = as_verl(my_reward(), batch=True)
    told = scores(
        data_sources=["aime"] * 3, solution_strs=list(PAID), ground_truths=["4"] * 3, extra_infos=[{}, None, {"id": 1}]
    )
    assert [plain(each) for each in told] == list(TOLD.values())
    with pytest.raises(ValueError, match="zip"):
        scores(data_sources=["aime"], solution_strs=list(PAID), ground_truths=["4"] * 3)


def test_by_position_and_as_a_number() -> None:
    assert as_verl(my_reward(), parts=False)("aime", RIGHT, "4", {"index": 3}) == 1.5


def test_the_coroutine_form_leaves_the_loop_free() -> None:
    score = pickle.loads(pickle.dumps(as_verl(my_reward(), asynchronous=True)))
    assert inspect.iscoroutinefunction(score)

    async def both() -> list[Any]:
        one = {"data_source": "aime", "ground_truth": "4", "extra_info": {}}
        return await asyncio.gather(*(score(solution_str=text, **one) for text in PAID))

    assert [plain(each) for each in asyncio.run(both())] == list(TOLD.values())


def test_the_file_is_what_the_setting_names(reward_file: Path) -> None:
    assert overrides() == shlex.split(PLUG.format(file=reward_file.name))
    names: dict[str, Any] = {}
    exec(reward_file.read_text(encoding="utf-8"), names)
    assert names[NAMED](data_source="aime", solution_str=RIGHT, ground_truth="4", extra_info={})["score"] == 1.5
