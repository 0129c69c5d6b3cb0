"""vLLM beside our own sampler, on the same tiny model: `make test-engines`. The last tests need no vLLM."""

import copy
import json
import os
import socket
import subprocess
import sys
import urllib.error
import urllib.request
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from importlib.util import find_spec
from pathlib import Path
from threading import Thread
from time import sleep
from typing import Any

import pytest
import torch

pytest.importorskip("transformers")
from rlvr.evals.errors import UsageError
from rlvr.trainer.hugging_face import HuggingFacePolicy
from rlvr.trainer.logprobs import token_logprobs
from rlvr.trainer.rollout import PolicySampler, Rollout, Sampler, Sampling
from rlvr.trainer.vllm_rollout import vllm_sampler

pytestmark = pytest.mark.filterwarnings("ignore::DeprecationWarning")  # of vLLM, at its import
vllm_here = [
    pytest.mark.vllm,
    pytest.mark.skipif(find_spec("vllm") is None, reason="vLLM has an environment of its own: make test-engines"),
]
ROOT = Path(__file__).parents[1]
SIZES = {"max_model_len": 256, "max_num_seqs": 16, "kv_cache_memory_bytes": 1 << 27, "enforce_eager": True}
PROMPTS = [list(range(10, 40)), [7, 100, 8, 100], [5]]
HOT = Sampling(max_tokens=40, temperature=0.7, top_p=0.95)
GREEDY = Sampling(max_tokens=16, temperature=0.0)


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("model")
    subprocess.run([sys.executable, ROOT / "evals" / "tiny_model.py", folder], check=True, capture_output=True)
    return folder


@pytest.fixture(scope="module")
def url(model: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    command = [sys.executable, "-m", "vllm.entrypoints.openai.api_server", "--model", str(model), "--dtype", "float32"]
    command += ["--host", "127.0.0.1", "--port", str(port), "--logprobs-mode", "processed_logprobs"]
    command += ["--enforce-eager", "--no-enable-chunked-prefill"]
    for name in ("max_model_len", "max_num_seqs", "kv_cache_memory_bytes"):
        command += [f"--{name.replace('_', '-')}", str(SIZES[name])]
    log = tmp_path_factory.mktemp("server") / "log"
    with log.open("wb") as out:
        environment = {**os.environ, "VLLM_SERVER_DEV_MODE": "1"}
        process = subprocess.Popen(command, stdout=out, stderr=out, start_new_session=True, env=environment)
        try:
            for _ in range(800):
                assert process.poll() is None, log.read_text()[-3000:]
                try:
                    with urllib.request.urlopen(f"http://127.0.0.1:{port}/v1/models", timeout=5):
                        break
                except (urllib.error.URLError, ConnectionError, TimeoutError):
                    sleep(0.5)
            else:
                pytest.fail(log.read_text()[-3000:])
            yield f"http://127.0.0.1:{port}/v1"
        finally:
            process.terminate()
            try:
                process.wait(30)
            except subprocess.TimeoutExpired:
                os.killpg(process.pid, 9)
                process.wait()


@pytest.fixture(scope="module", params=[pytest.param(kind, marks=vllm_here) for kind in ("vllm", "server")])
def sampler(request: pytest.FixtureRequest, model: Path) -> Iterator[Sampler]:
    policy = HuggingFacePolicy.load(str(model))
    options = SIZES if request.param == "vllm" else {}
    made = vllm_sampler("vllm" if options else request.getfixturevalue("url"), policy, **options)
    yield made
    made.close()


@pytest.fixture
def policy(model: Path, sampler: Sampler) -> HuggingFacePolicy:
    """As the engine has it, whatever the test before did."""
    policy = HuggingFacePolicy.load(str(model))
    sampler.sync(policy)
    return policy


def changed(policy: HuggingFacePolicy, seed: int) -> HuggingFacePolicy:
    other = copy.deepcopy(policy)
    torch.manual_seed(seed)
    with torch.no_grad():
        for parameter in other.parameters():
            parameter.add_(torch.randn_like(parameter) * 0.05)
    return other


def own_logps(policy: HuggingFacePolicy, rollout: Rollout, temperature: float) -> list[list[float]]:
    """From the training pass, of every token that was drawn."""
    answers: list[list[float]] = []
    for prompt, completion in zip(rollout.prompts, rollout.completions, strict=True):
        tokens_1T = torch.tensor([prompt + completion])
        drawn_1T = torch.arange(1, tokens_1T.shape[1])[None] >= len(prompt)
        with torch.no_grad():
            hidden_1TD = policy.hidden(tokens_1T)[:, :-1]
            logps_1T, _ = token_logprobs(hidden_1TD, policy.head(temperature), tokens_1T[:, 1:], drawn_1T)
        answers.append(logps_1T[drawn_1T].tolist())
    return answers


def test_what_is_drawn(sampler: Sampler, policy: HuggingFacePolicy) -> None:
    sampling = Sampling(max_tokens=150, temperature=0.7)
    rollout = sampler(PROMPTS, 4, sampling, [11, 12, 13])
    assert rollout.prompts == [prompt for prompt in PROMPTS for _ in range(4)]
    assert len(set(map(tuple, rollout.completions))) == 12
    assert set(rollout.finished) == {True, False}
    for completion, finished in zip(rollout.completions, rollout.finished, strict=True):
        assert (completion[-1] in policy.tokenizer.end_ids) == finished
        assert finished or len(completion) == 150
        assert not policy.tokenizer.end_ids & set(completion[:-1])
    for ours, theirs in zip(own_logps(policy, rollout, 0.7), rollout.logps, strict=True):
        assert theirs == pytest.approx(ours, abs=1e-3)


def test_top_p_is_in_the_log_probabilities(sampler: Sampler, policy: HuggingFacePolicy) -> None:
    """They are of the distribution that was drawn from: what top-p leaves sums to 1 again."""
    rollout = sampler(PROMPTS, 4, Sampling(max_tokens=30, temperature=1.0, top_p=0.5), [1, 2, 3])
    whole = [logp for row in own_logps(policy, rollout, 1.0) for logp in row]
    nucleus = [logp for row in rollout.logps for logp in row]
    gains = torch.tensor(nucleus) - torch.tensor(whole)
    # Divided by the nucleus's mass, which is from 0.5 to 1.
    assert gains.min() > -1e-3 and gains.max() < 0.6932 and gains.mean() > 0.3


def test_the_same_seeds_give_the_same_group_in_any_batch(sampler: Sampler, policy: HuggingFacePolicy) -> None:
    whole = sampler(PROMPTS, 4, HOT, [11, 12, 13])
    alone = sampler(PROMPTS[1:2], 4, HOT, [12])
    other = sampler(PROMPTS[1:2], 4, HOT, [14])
    assert alone.completions == whole.completions[4:8]
    assert not set(map(tuple, other.completions)) & set(map(tuple, alone.completions))
    neighbours = sampler([PROMPTS[2], PROMPTS[2]], 4, HOT, [20, 21])
    assert len(set(map(tuple, neighbours.completions))) == 8


def test_after_a_sync_the_engine_has_the_new_weights(sampler: Sampler, policy: HuggingFacePolicy) -> None:
    """Twice, so that what the first left behind would show; the prompts' keys and values are not the old ones'."""
    seen = [sampler(PROMPTS, 2, GREEDY, [0, 0, 0]).completions]
    for seed in (1, 2):
        policy = changed(policy, seed)
        sampler.sync(policy)
        rollout = sampler(PROMPTS, 2, GREEDY, [0, 0, 0])
        assert rollout.completions == PolicySampler(policy)(PROMPTS, 2, GREEDY, [0, 0, 0]).completions
        assert all(rollout.completions != before for before in seen)
        assert rollout.logps == [[0.0] * len(completion) for completion in rollout.completions]
        seen.append(rollout.completions)
        hot = sampler(PROMPTS, 2, Sampling(max_tokens=20), [3, 4, 5])
        for ours, theirs in zip(own_logps(policy, hot, 1.0), hot.logps, strict=True):
            assert theirs == pytest.approx(ours, abs=1e-3)


def test_what_does_not_fit_is_refused(sampler: Sampler, policy: HuggingFacePolicy) -> None:
    with pytest.raises(UsageError, match=r"280 tokens, .* max_model_len is 256"):
        sampler(PROMPTS, 1, Sampling(max_tokens=250), [0, 0, 0])


RANKS = """
import sys
import torch, torch.distributed as dist
from rlvr.trainer.characters import Characters
from rlvr.trainer.llama import ModelConfig
from rlvr.trainer.model import TinyTransformer
from rlvr.trainer.rollout import PolicySampler, Sampling
from rlvr.trainer.vllm_rollout import vllm_sampler

if __name__ == "__main__":
    dist.init_process_group("gloo")
    shape = ModelConfig(dim=128, layers=2, heads=4, kv_heads=4, inner=256)
    policy = TinyTransformer(shape, Characters("0123456789+= "), generator=torch.Generator().manual_seed(0))
    sampler = vllm_sampler("vllm", policy, **eval(sys.argv[1]))
    with torch.no_grad():
        for parameter in policy.parameters():
            parameter.mul_(2)
    sampler.sync(policy)
    prompt, greedy = [[5, 6, 7 + dist.get_rank()]], Sampling(16, temperature=0.0)
    same = sampler(prompt, 2, greedy, [0]).completions == PolicySampler(policy)(prompt, 2, greedy, [0]).completions
    sampler.close()
    print(f"rank {dist.get_rank()}: {same}", flush=True)
    dist.destroy_process_group()
"""


@pytest.mark.vllm
@pytest.mark.skipif(find_spec("vllm") is None, reason="vLLM has an environment of its own: make test-engines")
def test_two_ranks_have_an_engine_each(tmp_path: Path) -> None:
    """With the transformer that is made here, which vLLM reads as a Llama."""
    script = tmp_path / "ranks.py"
    script.write_text(RANKS)
    command = [sys.executable, "-m", "torch.distributed.run", "--standalone", "--nproc-per-node", "2"]
    done = subprocess.run([*command, script, repr(SIZES)], capture_output=True, text=True, timeout=400, check=False)
    assert done.returncode == 0, done.stderr[-3000:]
    assert {line for line in done.stdout.splitlines() if line.startswith("rank")} == {"rank 0: True", "rank 1: True"}


@pytest.mark.vllm
@pytest.mark.skipif(find_spec("vllm") is None, reason="vLLM has an environment of its own: make test-engines")
def test_a_start_that_fails_says_why(model: Path) -> None:
    policy = HuggingFacePolicy.load(str(model))
    with pytest.raises(UsageError, match=r"vLLM cannot start: .*max_model_len"):
        vllm_sampler("vllm", policy, max_model_len=1_000_000)
    with pytest.raises(UsageError, match="has no option max_model_length: did you mean"):
        vllm_sampler("vllm", policy, max_model_length=100)


# without vLLM


class Answers(BaseHTTPRequestHandler):
    """A server that knows some addresses."""

    known: dict[str, Any]

    def do_GET(self) -> None:
        found = self.known.get(self.path.partition("?")[0])
        body = json.dumps({"detail": "Not Found"} if found is None else found).encode()
        self.send_response(404 if found is None else 200)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, format: str, *arguments: object) -> None:
        pass


MODELS = {"data": [{"id": "m", "max_model_len": 100}]}
RAW = {"vllm_config": {"model_config": {"logprobs_mode": "raw_logprobs"}}}


@pytest.mark.parametrize(
    ("known", "words"),
    [
        ({}, r"/v1/models answers HTTP 404, Not Found$"),
        ({"/v1/models": {"data": [{"id": "m"}]}}, "is no vLLM server"),
        ({"/v1/models": MODELS}, "start it with VLLM_SERVER_DEV_MODE=1"),
        ({"/v1/models": MODELS, "/server_info": RAW}, "start it with --logprobs-mode processed_logprobs"),
    ],
)
def test_a_server_that_will_not_do(known: dict[str, Any], words: str, model: Path) -> None:
    handler = type("Handler", (Answers,), {"known": known})
    with ThreadingHTTPServer(("127.0.0.1", 0), handler) as server:
        Thread(target=server.serve_forever, daemon=True).start()
        with pytest.raises(UsageError, match=words):
            vllm_sampler(f"http://127.0.0.1:{server.server_port}", HuggingFacePolicy.load(str(model)))
        server.shutdown()


def test_no_server(model: Path) -> None:
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        address = f"http://127.0.0.1:{free.getsockname()[1]}"
    with pytest.raises(UsageError, match="no vLLM server answers at http://127"):
        vllm_sampler(address, HuggingFacePolicy.load(str(model)))


def test_no_vllm(model: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "vllm", None)
    with pytest.raises(UsageError, match=r"pip install 'rlvr\[vllm\]'"):
        vllm_sampler("vllm", HuggingFacePolicy.load(str(model)))


def test_a_sampler_that_nobody_knows(model: Path) -> None:
    with pytest.raises(UsageError, match="own, vllm, or the http:// address"):
        vllm_sampler("sglang", HuggingFacePolicy.load(str(model)))
