"""Our reward is loaded and called as slime does it, by a stand-in built from its published source.

slime 0.4.0 (THUDM/slime) has no package that can be installed. What is here of it: `Sample` (`slime/utils/types.py`,
lines 9-60, commit 0d234f3), `load_function` (`slime/utils/misc.py`, commit 582d0e8), `async_rm`, `batched_async_rm` and
`remote_rm` (`slime/rollout/rm_hub/__init__.py`, commit 0b420f1), who calls them (`generate_and_rm` and
`generate_and_rm_group` in `slime/rollout/sglang_rollout.py`, commit 0044b40), and what becomes of a group's rewards
(`_post_process_rewards` and `_convert_samples_to_train_data` in `slime/ray/rollout.py`, commit a51f071).
"""

import argparse
import asyncio
import importlib
import os
import shlex
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass, field
from enum import Enum
from pathlib import Path
from statistics import fmean
from typing import Any

import pytest
from rlvr.verifiers import Completion, Problem, Verdict, verify_math
from rlvr.verifiers.adapters import Judging, NotJudged, as_slime
from rlvr.verifiers.adapters.slime import NAMED, PLUG

from .readme import plugs

WRITE, PLUG_IN, GROUP, SERVE, REMOTE = plugs("slime")
MY_REWARDS = """\
from rlvr.verifiers import gate, verify_format, verify_math, weighted
reward = gate(verify_format, then=weighted(correct=(1.0, verify_math), format=(0.5, verify_format)))
"""
END = "<|im_end|>"  # slime decodes with special tokens
RIGHT, WRONG, BARE = "<think>a</think><answer>4</answer>", "<think>a</think><answer>5</answer>", "It is 4."
PAID = {RIGHT: 1.5, WRONG + END: 0.5, BARE: 0.0, RIGHT + END: 1.5, "": 0.0, "\x00\ud800": 0.0}


class Status(Enum):
    PENDING = "pending"
    COMPLETED = "completed"
    TRUNCATED = "truncated"
    ABORTED = "aborted"
    FAILED = "failed"


@dataclass
class Sample:
    group_index: int | None = None
    index: int | None = None
    prompt: str | list[dict[str, str]] = ""
    response: str = ""
    response_length: int = 0
    label: Any = None
    reward: Any = None
    loss_mask: list[int] | None = None
    remove_sample: bool = False
    status: Status = Status.COMPLETED
    metadata: Any = field(default_factory=dict[str, Any])
    custom_rm_path: str | None = None


def sample(response: str, label: Any = "4", **fields: Any) -> Sample:
    given = {"index": 3, "prompt": "2+2?", "response_length": len(response), **fields}
    return Sample(response=response, label=label, **given)


def arguments(line: str = "", **others: Any) -> argparse.Namespace:
    """slime's options as it reads them from its command line."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--custom-rm-path")
    parser.add_argument("--group-rm", action="store_true")
    parser.add_argument("--rm-type")
    parser.add_argument("--rm-url")
    parser.add_argument("--reward-key")
    return parser.parse_args(shlex.split(line), argparse.Namespace(**others))


def load_function(path: str) -> Any:
    module, _, name = path.rpartition(".")
    return getattr(importlib.import_module(module), name)


async def async_rm(args: argparse.Namespace, sample: Sample) -> Any:
    if args.custom_rm_path is not None:
        return await load_function(sample.custom_rm_path or args.custom_rm_path)(args, sample)
    assert args.rm_type == "remote_rm"
    return await remote_rm(args, sample)


async def batched_async_rm(args: argparse.Namespace, samples: list[Sample]) -> list[Any]:
    if args.custom_rm_path is not None:
        return await load_function(args.custom_rm_path)(args, samples)
    return await asyncio.gather(*(async_rm(args, each) for each in samples))


async def remote_rm(args: argparse.Namespace, sample: Sample) -> Any:
    """Without its ten attempts."""
    import aiohttp

    payload = {"prompt": sample.prompt, "response": sample.response, "label": sample.label}
    async with (
        aiohttp.ClientSession(timeout=aiohttp.ClientTimeout(total=120)) as session,
        session.post(args.rm_url, json=payload) as response,
    ):
        response.raise_for_status()
        return await response.json()


def rollout(args: argparse.Namespace, group: list[Sample]) -> list[Sample]:
    """What slime's rollout does with a group that was generated."""

    async def rewarded() -> None:
        if args.group_rm:
            for each, reward in zip(group, await batched_async_rm(args, group), strict=False):
                each.reward = reward
        else:
            for each, reward in zip(group, await asyncio.gather(*(async_rm(args, s) for s in group)), strict=True):
                each.reward = reward

    asyncio.run(rewarded())
    return group


def trained(args: argparse.Namespace, group: list[Sample]) -> list[tuple[float, list[int]]]:
    """The centred reward and the loss mask of each sample (GRPO without the division by the deviation)."""
    rewards = [each.reward if not args.reward_key else each.reward[args.reward_key] for each in group]
    masks = [[0 if each.remove_sample else 1] * each.response_length for each in group]
    return [(reward - fmean(rewards), mask) for reward, mask in zip(rewards, masks, strict=True)]


@pytest.fixture
def environment(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[dict[str, str]]:
    """A folder with a user's rewards, which is the current one and can be imported from."""
    (tmp_path / "my_rewards.py").write_text(MY_REWARDS, encoding="utf-8")
    monkeypatch.chdir(tmp_path)
    monkeypatch.syspath_prepend(tmp_path)
    yield {**os.environ, "PATH": f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}"}
    for name in ("my_rewards", "rlvr_reward"):
        sys.modules.pop(name, None)


@pytest.fixture
def reward_file(environment: dict[str, str], tmp_path: Path) -> Path:
    subprocess.run(WRITE, shell=True, check=True, env=environment)
    return tmp_path / "rlvr_reward.py"


@pytest.mark.parametrize("line", [PLUG_IN, f"{PLUG_IN} {GROUP}"], ids=["alone", "group"])
def test_a_group_is_rewarded(reward_file: Path, line: str) -> None:
    group = rollout(arguments(line), [sample(text) for text in PAID])
    assert [each.reward for each in group] == list(PAID.values())
    assert not any(each.remove_sample for each in group)
    assert group[0].metadata["rlvr"] == {
        "score": 1.5, "acc": 1, "judged": 1, "gate": 1, "then/correct": 1, "then/format": 1, "reason": "same_text",
    }  # fmt: skip
    assert group[2].metadata["rlvr"]["then/correct"] == 0 and group[2].metadata["rlvr"]["reason"] == "missing_tag"


def test_several_samples_of_one_generation(reward_file: Path) -> None:
    """slime calls the batched form also without --group-rm, for a custom generation that fans out."""
    args = arguments(PLUG_IN)
    assert asyncio.run(batched_async_rm(args, [sample(RIGHT), sample(BARE)])) == [1.5, 0.0]
    assert asyncio.run(batched_async_rm(args, [])) == []


def test_a_reward_with_its_parts(reward_file: Path) -> None:
    args = arguments(f"{PLUG_IN} {GROUP} --reward-key score")
    group = rollout(args, [sample(RIGHT), sample(BARE)])
    assert [each.reward["then/format"] for each in group] == [1, 0]
    assert [centred for centred, _ in trained(args, group)] == [0.75, -0.75]


def some(problem: Problem, completion: Completion) -> Verdict:
    """What a sandbox that comes and goes would say."""
    if completion.text == "down":
        return Verdict(None, "error", "sandbox_unavailable")
    return Verdict(float(completion.text), "correct", "same_text")


def plugged(monkeypatch: pytest.MonkeyPatch, reward: Any, line: str = "") -> argparse.Namespace:
    """The options with a reward of our own, loaded by its path."""
    monkeypatch.setattr(sys.modules[__name__], "reward_func", as_slime(reward), raising=False)
    return arguments(line, custom_rm_path=f"{__name__}.reward_func")


def test_what_was_not_judged_moves_nobody_in_its_group(monkeypatch: pytest.MonkeyPatch) -> None:
    args = plugged(monkeypatch, some, GROUP)
    group = rollout(args, [sample(text) for text in ("1", "down", "0", "0.5", "down")])
    assert [each.remove_sample for each in group] == [False, True, False, False, True]
    told = trained(args, group)
    assert [centred for centred, _ in told] == [0.5, 0, -0.5, 0, 0]
    assert told[1][1] == [0] * 4 and told[0][1] == [1]
    assert group[1].metadata["rlvr"] == {"score": 0.5, "acc": 0, "judged": 0, "reason": "sandbox_unavailable"}


def test_a_group_of_which_nothing_is_known_is_left_out(monkeypatch: pytest.MonkeyPatch) -> None:
    args = plugged(monkeypatch, verify_math, GROUP)
    group = rollout(args, [sample(RIGHT, label=""), sample(BARE, label="")])
    assert all(each.remove_sample and each.reward == 0 for each in group)
    assert group[0].metadata["rlvr"]["reason"] == "gold_unreadable"


@pytest.mark.parametrize("several", [False, True], ids=["alone", "fanned-out"])
def test_alone_it_is_paid_as_told_and_left_out_or_ends_the_rollout(
    monkeypatch: pytest.MonkeyPatch, several: bool
) -> None:
    def run(reward: Any) -> Sample:
        args, lost = plugged(monkeypatch, reward), sample("down")
        paid = asyncio.run(batched_async_rm(args, [lost]) if several else async_rm(args, lost))
        lost.reward = paid[0] if several else paid
        return lost

    with pytest.raises(NotJudged, match=r"problem 3 could not be judged \(sandbox_unavailable"):
        run(some)
    lost = run(Judging(some, unjudged=-1.0))
    assert (lost.reward, lost.remove_sample) == (-1.0, True)


def test_a_reward_that_raises_is_no_zero(monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(NotJudged, match=r"could not convert string to float"):
        rollout(plugged(monkeypatch, some), [sample("what?")])


def test_what_a_verifier_is_told(monkeypatch: pytest.MonkeyPatch) -> None:
    seen: list[tuple[Problem, Completion]] = []

    def keeps(problem: Problem, completion: Completion) -> Verdict:
        seen.append((problem, completion))
        return Verdict(0.0, "wrong", "different_text")

    chat = [{"role": "user", "content": "2+2?"}]
    args = plugged(monkeypatch, keeps)
    for given in (
        sample("a" + END, metadata={"id": "q1", "data_source": "aime"}, prompt=chat),
        sample("b", label=4, status=Status.TRUNCATED, metadata=None),
        sample("c", label='{"inputs": []}', status=Status.FAILED, remove_sample=True),
    ):
        assert asyncio.run(async_rm(args, given)) == 0
        assert given.remove_sample is (given.status is Status.FAILED)
    (first, one), (second, two), (third, three) = seen
    assert first == Problem("q1", prompt="user: 2+2?", answer="4", source="aime")
    assert second.answer == "4" and third.tests == '{"inputs": []}'
    assert one == Completion("a", 11, True) and two == Completion("b", 1, False) and three == Completion("c", 1, None)


def test_a_gold_of_numpy(monkeypatch: pytest.MonkeyPatch) -> None:
    numpy = pytest.importorskip("numpy")
    given = sample(RIGHT, label=numpy.int64(4), metadata={"id": numpy.int64(7)})
    assert asyncio.run(async_rm(plugged(monkeypatch, verify_math), given)) == 1.0


def test_the_file_is_what_the_setting_names(reward_file: Path) -> None:
    assert PLUG.format(file=reward_file.name, module=reward_file.stem) == PLUG_IN
    assert asyncio.run(getattr(importlib.import_module("rlvr_reward"), NAMED)(arguments(), sample(RIGHT))) == 1.5


@pytest.fixture
def options(environment: dict[str, str]) -> Iterator[str]:
    """README's options for the remote reward, with the address of the service that it starts, here on a free port."""
    pytest.importorskip("aiohttp", reason="slime's client is aiohttp's (make test-adapters installs it)")
    command = shlex.split(SERVE.replace("--port 8700", "--port 0"))
    service = subprocess.Popen(command, env=environment, stdout=subprocess.PIPE, text=True)
    assert service.stdout is not None
    try:
        yield REMOTE.replace("http://127.0.0.1:8700", service.stdout.readline().strip())
    finally:
        service.terminate()
        service.communicate()
    assert service.returncode == 0


def test_the_remote_reward(options: str) -> None:
    texts = {text: paid for text, paid in PAID.items() if text.isprintable()}
    assert [each.reward for each in rollout(arguments(options), [sample(t) for t in texts])] == list(texts.values())
    args = arguments(f"{options}?reply=row --reward-key score")
    group = rollout(args, [sample(RIGHT), sample(BARE)])
    assert [centred for centred, _ in trained(args, group)] == [0.75, -0.75]
    assert group[0].reward["parts"]["gate"]["score"] == 1


def test_the_remote_reward_of_what_cannot_be_judged_fails(options: str) -> None:
    import aiohttp

    with pytest.raises(aiohttp.ClientResponseError, match="503"):
        rollout(arguments(options), [sample(RIGHT, label="")])
