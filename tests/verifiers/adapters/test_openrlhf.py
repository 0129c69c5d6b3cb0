"""OpenRLHF's own rollout code calls our reward, as a Python file and over HTTP, and makes training samples of it.

OpenRLHF's package is installed without what it needs CUDA for (`make test-adapters`); vLLM is played by a script.
Elsewhere the tests with it are skipped, and a stand-in calls as it does.
"""

import asyncio
import os
import pickle
import shlex
import subprocess
import sys
from collections.abc import Iterator
from importlib.util import find_spec
from pathlib import Path
from types import ModuleType, SimpleNamespace
from typing import Any
from unittest.mock import MagicMock

import pytest
from rlvr.verifiers import Completion, Problem, Verdict, gate, verify_format, verify_math, weighted
from rlvr.verifiers.adapters import Judging, NotJudged, as_openrlhf
from rlvr.verifiers.adapters.openrlhf import NAMED, PLUG

from .readme import plugs

torch = pytest.importorskip("torch", reason="OpenRLHF's rewards are tensors")
real = pytest.mark.skipif(
    find_spec("openrlhf") is None, reason="OpenRLHF is not installed (make test-adapters installs it)"
)
# What torch, Ray and OpenRLHF warn of is theirs.
pytestmark = pytest.mark.filterwarnings("default")

ROOT = Path(__file__).parents[3]
MY_REWARDS = """\
from rlvr.verifiers import gate, verify_format, verify_math, weighted
reward = gate(verify_format, then=weighted(correct=(1.0, verify_math), format=(0.5, verify_format)))
"""
PROMPT = "<|im_start|>user\nWhat is 2+2? An example: <answer>4</answer>.<|im_end|>\n<|im_start|>assistant\n"
END = "<|im_end|>"
RIGHT, WRONG, BARE = "<think>a</think><answer>4</answer>", "<think>a</think><answer>5</answer>", "It is 4."
PAID = {RIGHT: 1.5, WRONG: 0.5, BARE: 0.0, RIGHT + END: 1.5, "": 0.0, "\x00\x1b[0m": 0.0}
PARTS = {
    RIGHT: {"acc": 1, "judged": 1, "gate": 1, "then/correct": 1, "then/format": 1},
    WRONG: {"acc": 0, "judged": 1, "gate": 1, "then/correct": 0, "then/format": 1},
    BARE: {"acc": 0, "judged": 1, "gate": 0, "then/correct": 0, "then/format": 0},
}


def my_reward() -> Any:
    return gate(verify_format, then=weighted(correct=(1.0, verify_math), format=(0.5, verify_format)))


# ---- with OpenRLHF


class Engine:
    """vLLM's side of a rollout: it writes what it was told to."""

    def __init__(self, tokenizer: Any, text: str) -> None:
        self.ids = tokenizer(text)["input_ids"]

    async def generate(self, prompt_token_ids: list[int], sampling_params: Any, multi_modal_data: Any = None) -> Any:
        return SimpleNamespace(outputs=[SimpleNamespace(token_ids=self.ids, finish_reason="stop", logprobs=None)])


@pytest.fixture(scope="module")
def tokenizer(tmp_path_factory: pytest.TempPathFactory) -> Any:
    from transformers import AutoTokenizer

    folder = tmp_path_factory.mktemp("tiny")
    script = ROOT / "tests" / "evals" / "tiny_model.py"
    subprocess.run([sys.executable, script, folder], check=True, capture_output=True)
    return AutoTokenizer.from_pretrained(folder)


@pytest.fixture
def samples(monkeypatch: pytest.MonkeyPatch) -> ModuleType:
    """The module that makes training samples; of vLLM it needs the name."""
    monkeypatch.setitem(sys.modules, "vllm", MagicMock())
    monkeypatch.setitem(sys.modules, "openrlhf.trainer.ray.vllm_engine", MagicMock())
    from openrlhf.trainer.ppo_utils import samples_generator

    return samples_generator


@pytest.fixture
def environment(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> dict[str, str]:
    """A folder with a user's rewards, which is the current one; a process there finds the command."""
    (tmp_path / "my_rewards.py").write_text(MY_REWARDS, encoding="utf-8")
    monkeypatch.chdir(tmp_path)
    monkeypatch.syspath_prepend(tmp_path)
    return {**os.environ, "PATH": f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}"}


@pytest.fixture
def reward_file(environment: dict[str, str]) -> str:
    """The file that README's first line writes, by the name that its second gives OpenRLHF."""
    subprocess.run(plugs("OpenRLHF")[0], shell=True, check=True, env=environment)
    return setting(1)


@pytest.fixture
def address(environment: dict[str, str]) -> Iterator[str]:
    """What README's last line gives OpenRLHF: the service that the line before starts, here on a free port."""
    command = plugs("OpenRLHF")[2].replace("--port 8700", "--port 0")
    service = subprocess.Popen(shlex.split(command), env=environment, stdout=subprocess.PIPE, text=True)
    assert service.stdout is not None
    try:
        yield setting(3).replace("http://127.0.0.1:8700", service.stdout.readline().strip())
    finally:
        service.terminate()
        service.communicate()
    assert service.returncode == 0


def setting(number: int) -> str:
    """What a line of README sets OpenRLHF's option to."""
    option, value = shlex.split(plugs("OpenRLHF")[number])
    assert option == "--reward.remote_url"
    return value


def rollout(remote: str, tokenizer: Any, text: str, label: str = "4", max_length: int = 400) -> dict[str, Any]:
    from openrlhf.utils.agent import SingleTurnAgentExecutor

    executor = SingleTurnAgentExecutor(remote)
    parameters = SimpleNamespace(max_tokens=100, logprobs=None)
    return asyncio.run(executor.execute(PROMPT, label, parameters, max_length, tokenizer, Engine(tokenizer, text)))


def trained(samples: ModuleType, response: dict[str, Any]) -> Any:
    return samples.SamplesGenerator.__new__(samples.SamplesGenerator)._process_response_into_experience(response)


@real
def test_the_option_is_openrlhfs() -> None:
    spec = find_spec("openrlhf")
    assert spec is not None and spec.origin is not None
    text = (Path(spec.origin).parent / "cli" / "train_ppo_ray.py").read_text(encoding="utf-8")
    assert 'add_argument("--reward.remote_url"' in text


@real
@pytest.mark.parametrize("how", ["file", "http"])
def test_a_rollout_becomes_a_training_sample(
    request: pytest.FixtureRequest, samples: ModuleType, tokenizer: Any, how: str
) -> None:
    from openrlhf.trainer.ppo_utils.experience import Experience

    remote = request.getfixturevalue("reward_file" if how == "file" else "address")
    made = [trained(samples, rollout(remote, tokenizer, text)) for text in PAID]
    for (text, paid), sample in zip(PAID.items(), made, strict=True):
        logged = {name: value.item() for name, value in sample.info.items()}
        assert sample.rewards.item() == paid == logged["reward"]
        assert sample.scores.item() == float(text.startswith(RIGHT)) == logged["score"]
        for name, value in PARTS.get(text, {}).items():
            assert logged[name] == value
    together = Experience.concat_experiences(made, pad_token_id=0)
    assert together.rewards.flatten().tolist() == list(PAID.values())
    assert together.info["then/format"].flatten().tolist() == [1, 1, 0, 1, 0, 0]


@real
@pytest.mark.parametrize("how", ["reward_file", "address"])
def test_a_prompt_that_was_cut(request: pytest.FixtureRequest, tokenizer: Any, how: str) -> None:
    length = len(tokenizer(PROMPT)["input_ids"])
    remote = request.getfixturevalue(how)
    given = rollout(remote, tokenizer, RIGHT, max_length=100 + length - 5)
    assert len(given["observation_tokens"]) < length + len(tokenizer(RIGHT)["input_ids"])
    assert float(torch.as_tensor(given["reward"])) == 1.5


@real
def test_what_could_not_be_judged_has_no_reward(
    environment: dict[str, str], samples: ModuleType, tokenizer: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    from openrlhf.utils import agent

    logged: list[str] = []
    monkeypatch.setattr(agent.logger, "info", logged.append)
    for given, reward in (("verify_math", None), ("Judging(verify_math, unjudged=-1.0)", -1.0)):
        Path("rlvr_reward.py").write_text(
            "from rlvr.verifiers import verify_math\n"
            "from rlvr.verifiers.adapters import Judging, as_openrlhf\n"
            f"reward_func = as_openrlhf({given})\n",
            encoding="utf-8",
        )
        sample = trained(samples, rollout("rlvr_reward.py", tokenizer, RIGHT, label=""))
        assert (sample.rewards if reward is None else sample.rewards.item()) == reward
    assert sample.info["judged"].item() == 0
    assert sum("Failed to fetch reward" in line and "gold_unreadable" in line for line in logged) == 1


# ---- as OpenRLHF calls: by position, lists of one


def ask(text: str, label: object = "4", reward: Any = None, query: str | None = None) -> dict[str, Any]:
    function = as_openrlhf(reward or my_reward())
    return function([PROMPT + text if query is None else query], [PROMPT], [label])


@pytest.mark.parametrize("text", PAID)
def test_tensors_with_a_value_for_each_query(text: str) -> None:
    given = ask(text)
    assert set(given) == {"rewards", "scores", "extra_logs"}
    assert given["rewards"].shape == given["scores"].shape == (1,)
    assert given["rewards"].dtype == torch.float32
    assert given["rewards"].tolist() == [PAID[text]]
    for name, value in PARTS.get(text, {}).items():
        assert given["extra_logs"][name].tolist() == [value]


def test_several_queries() -> None:
    texts = [RIGHT, WRONG, BARE]
    given = as_openrlhf(my_reward())([PROMPT + text for text in texts], [PROMPT] * 3, ["4"] * 3, images=[None] * 3)
    assert given["rewards"].tolist() == [1.5, 0.5, 0.0]
    assert given["extra_logs"]["then/format"].tolist() == [1, 1, 0]
    with pytest.raises(ValueError, match="zip"):
        as_openrlhf(my_reward())([PROMPT], [PROMPT], [])


def test_the_prompts_own_text_is_not_paid_for() -> None:
    assert ask("I do not know.", reward=verify_math)["rewards"].tolist() == [0.0]
    with pytest.raises(ValueError, match="does not begin with its prompt"):
        ask("", query="Something else. <answer>4</answer>")


def test_golds_of_several_types() -> None:
    numpy = pytest.importorskip("numpy")
    for gold in (4, "4", ["4"], numpy.int64(4), numpy.array(["4"]), torch.tensor(4)):
        assert ask(RIGHT, label=gold)["scores"].tolist() == [1.0]


def test_what_could_not_be_judged_is_raised() -> None:
    def raises(problem: Problem, completion: Completion) -> Verdict:
        raise KeyError("in the reward")

    with pytest.raises(NotJudged, match="in the reward"):
        ask(RIGHT, reward=raises)
    with pytest.raises(NotJudged, match="gold_unreadable"):
        ask(RIGHT, label="", reward=verify_math)
    paid = ask(RIGHT, label="", reward=Judging(verify_math, unjudged=0.25))
    assert (paid["rewards"].tolist(), paid["extra_logs"]["judged"].tolist()) == ([0.25], [0.0])


def test_it_goes_to_another_process() -> None:
    function = pickle.loads(pickle.dumps(as_openrlhf(verify_math)))
    assert function([PROMPT + RIGHT], [PROMPT], ["4"])["rewards"].tolist() == [1.0]


def test_the_file_is_what_the_setting_names(reward_file: str) -> None:
    assert plugs("OpenRLHF")[1] == PLUG.format(file=reward_file)
    names: dict[str, Any] = {}
    exec(Path(reward_file).read_text(encoding="utf-8"), names)
    assert names[NAMED]([PROMPT + RIGHT], [PROMPT], ["4"])["rewards"].tolist() == [1.5]
