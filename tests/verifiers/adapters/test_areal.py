"""AReaL itself: `RLVRWorkflow` and `AsyncRewardWrapper` under its `WorkflowExecutor`, with an engine that replays."""

import logging
import pickle
import sys
from collections.abc import Iterator
from typing import Any

import pytest
from rlvr.verifiers import Completion, Problem, Verdict, verify_format, verify_math, weighted
from rlvr.verifiers.adapters import Judging, NotJudged, as_areal
from rlvr.verifiers.adapters.areal import NAMED, PLUG

from .readme import plugs

pytest.importorskip("areal", reason="areal is not installed (make test-adapters installs it)")

from areal.api import AsyncRewardWrapper, ModelResponse
from areal.api.cli_args import GenerationHyperparameters, InferenceEngineConfig
from areal.infra import WorkflowExecutor
from areal.workflow.rlvr import RLVRWorkflow
from tokenizers import Tokenizer, decoders, models, pre_tokenizers
from transformers import PreTrainedTokenizerFast

REWARD = weighted(correct=(1.0, verify_math), format=(0.1, verify_format))
RIGHT = "<think>2+2</think><answer>4</answer>"
SCRIPT = {"right": RIGHT, "boxed": r"\boxed{4}", "wrong": "A: 5", "silent": "", "unreadable": RIGHT}
GOLDS = {"right": "4", "boxed": 4, "wrong": "4", "silent": "4", "unreadable": ""}


def raises(problem: Problem, completion: Completion) -> Verdict:
    raise KeyError("a bug")


def told(problem: Problem, completion: Completion) -> Verdict:
    """Pays what it was asked for, where what it sees is what AReaL handed over."""
    assert problem.prompt == "right" and problem.answer == "4"
    assert completion == Completion(RIGHT, n_tokens=len(RIGHT) + 1, finished=True), completion
    return Verdict(0.25, "wrong", "different_text")


@pytest.fixture(scope="module")
def tokenizer() -> Any:
    """A token for each byte, and an end mark, which AReaL's workflow decodes into the text."""
    alphabet = sorted(pre_tokenizers.ByteLevel.alphabet())
    letters = Tokenizer(models.BPE(vocab={letter: i for i, letter in enumerate(alphabet)}, merges=[]))
    letters.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    letters.decoder = decoders.ByteLevel()
    fast = PreTrainedTokenizerFast(tokenizer_object=letters, eos_token="<|im_end|>", pad_token="<|endoftext|>")
    fast.chat_template = "{% for message in messages %}{{ message['content'] }}{% endfor %}"
    return fast


class Replay:
    """An inference engine that answers each prompt from the script."""

    def __init__(self, tokenizer: Any) -> None:
        self.tokenizer = tokenizer

    async def agenerate(self, req: Any) -> Any:
        tokens = [*self.tokenizer.encode(SCRIPT[self.tokenizer.decode(req.input_ids)]), self.tokenizer.eos_token_id]
        return ModelResponse(
            input_tokens=list(req.input_ids),
            output_tokens=tokens,
            output_logprobs=[-1.0] * len(tokens),
            output_versions=[0] * len(tokens),
            tokenizer=self.tokenizer,
        )

    def get_version(self) -> int:
        return 0


@pytest.fixture
def executor(tokenizer: Any) -> Iterator[Any]:
    config = InferenceEngineConfig(max_concurrent_rollouts=8, consumer_batch_size=4, max_head_offpolicyness=100)
    executor = WorkflowExecutor(config, Replay(tokenizer))
    executor.initialize(logger=logging.getLogger("areal test"), train_data_parallel_size=1)
    yield executor
    executor.destroy()
    AsyncRewardWrapper._atexit_shutdown_all()  # its pool of processes was forked with this test's modules


def train(executor: Any, tokenizer: Any, reward: Any, *prompts: str) -> dict[str, float | None]:
    """The reward in the trajectory of each prompt, None where AReaL rejected it."""
    scope: dict[str, Any] = {"RLVRWorkflow": RLVRWorkflow, "as_areal": as_areal, "tokenizer": tokenizer}
    scope |= {"reward": reward, "gconfig": GenerationHyperparameters(max_new_tokens=64)}
    exec(plugs("AReaL")[0], scope)
    return rewards(executor, scope["workflow"], *prompts)


def rewards(executor: Any, workflow: Any, *prompts: str) -> dict[str, float | None]:
    rows = [{"messages": [{"role": "user", "content": prompt}], "answer": GOLDS[prompt]} for prompt in prompts]
    tasks = [executor.submit(row, workflow) for row in rows]
    done = [executor.wait_for_task(task, timeout=120) for task in tasks]
    return {prompt: each and each["rewards"].item() for prompt, each in zip(prompts, done, strict=True)}


def test_rollouts_are_paid_and_what_was_not_judged_is_rejected(executor: Any, tokenizer: Any) -> None:
    paid = train(executor, tokenizer, REWARD, *GOLDS)
    assert paid.pop("unreadable") is None
    assert paid == pytest.approx({"right": 1.1, "boxed": 1.0, "wrong": 0.0, "silent": 0.0})


def test_what_was_not_judged_is_paid_what_was_said(executor: Any, tokenizer: Any) -> None:
    assert train(executor, tokenizer, Judging(REWARD, unjudged=-0.5), "unreadable") == {"unreadable": -0.5}


def test_a_reward_that_raises_is_no_reward_of_0(executor: Any, tokenizer: Any) -> None:
    assert train(executor, tokenizer, raises, "right") == {"right": None}


def test_the_verifier_sees_the_row_and_what_was_written(executor: Any, tokenizer: Any) -> None:
    assert train(executor, tokenizer, told, "right") == {"right": 0.25}


def test_workers_judge_inside_areals_processes(executor: Any, tokenizer: Any) -> None:
    assert train(executor, tokenizer, Judging(REWARD, workers=1), "boxed") == {"boxed": 1.0}


def test_an_import_path_names_it_too(executor: Any, tokenizer: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    module = type(sys)("rlvr_reward")
    setattr(module, NAMED, as_areal(REWARD))
    monkeypatch.setitem(sys.modules, "rlvr_reward", module)
    kwargs: dict[str, Any] = {}
    setting = plugs("AReaL")[1]
    assert setting == PLUG.format(module="rlvr_reward", file="rlvr_reward.py")
    exec(setting, {"workflow_kwargs": kwargs})
    workflow = RLVRWorkflow(gconfig=GenerationHyperparameters(max_new_tokens=64), tokenizer=tokenizer, **kwargs)
    assert rewards(executor, workflow, "boxed") == {"boxed": 1.0}


def test_it_pickles_and_takes_any_column() -> None:
    reward_fn = pickle.loads(pickle.dumps(as_areal(REWARD)))
    # A row may have a column of any name, also one that the function gives its own arguments.
    assert reward_fn("p", "A: 4", [1], [2], answer="4", judging="x", task_id=3) == 1.0
    with pytest.raises(NotJudged):
        pickle.loads(pickle.dumps(reward_fn))("p", "A: 4", [1], [2], messages=[])
