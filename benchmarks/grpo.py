"""One GRPO step of ours beside TRL's GRPOTrainer, and beside the matrix products that no trainer can do without.

    python benchmarks/grpo.py [--models A B] [--rounds N] [--steps N] [--trl-python PATH] [--profile]

A step is a rollout of 16 prompts x 8 completions x 64 tokens, rewards, log-probabilities, loss, backward pass,
clipping, AdamW: `rlvr.trainer.grpo.take_step` on our side, on TRL's all between `on_step_begin` and `on_step_end`.
Prompts have 16 tokens. Both start from the same weights, a Llama: A is d 128, 2 layers, vocabulary 27, B is d 256,
4 layers, vocabulary 4,096. No end token can be drawn, so that no rollout is shorter. The reward is a sum over a
completion modulo 7. float32, one thread, no gradient checkpointing (which TRL does by default: slower), loss grpo,
without KL and with it, to a frozen reference model beside the policy.

Every side has a process of its own, one after the other, `--rounds` times: the median of all steps but each process's
first is printed. seconds: processor time, so that a busy machine changes less. memory: the peak of the resident set in
the first step above what was resident before it.

  ours       the small transformer; micro-batches of 2,048 tokens
  ours HF    the same trainer around transformers' LlamaForCausalLM
  TRL        all 128 rows at once, TRL's fastest and the one that ratios are of
  TRL /8     8 micro-batches, which need less memory
  products   the same shapes as bare torch.mm and torch.bmm: forward, backward, prefill, and every step of decoding
             over a cache per layer. No norm, no softmax, no sampling, no optimizer, nothing computed twice.
  fastest    the same, those of layers and head by `rlvr.trainer.products` as ours has them: on AMD's processors oneDNN
"""

import argparse
import json
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from concurrent.futures import Future
from dataclasses import dataclass
from pathlib import Path
from statistics import median
from typing import Any

PROMPTS, GROUP, NEW, PROMPT = 16, 8, 64, 16
ROWS, LENGTH = PROMPTS * GROUP, PROMPT + NEW
MICRO_BATCHES = 8
KL = 0.04
TRL = ("torch==2.13.0", "trl==1.16.0")
ALPHABET = 0x4E00  # as many characters as a vocabulary needs
Result = dict[str, Any]


@dataclass(frozen=True)
class Shape:
    dim: int
    layers: int
    heads: int
    inner: int
    vocabulary: int


MODELS = {"A": Shape(128, 2, 4, 384, 27), "B": Shape(256, 4, 8, 768, 4096)}
ASKED = {"A": {"seconds": 0.6, "products": 1.6}, "B": {"seconds": 0.6, "memory": 0.4, "products": 1.6}}


# ---- what every side does


def resident(peak: bool) -> float:
    """MB of this process: now, or the most since `forget_peak`."""
    name = "VmHWM:" if peak else "VmRSS:"
    lines = Path("/proc/self/status").read_text().splitlines()
    return next(int(line.split()[1]) / 1024 for line in lines if line.startswith(name))


def forget_peak() -> None:
    Path("/proc/self/clear_refs").write_text("5")


class Meter:
    """Seconds of each step, and the memory of the first."""

    def __init__(self) -> None:
        self.seconds: list[float] = []
        self.memory = 0.0

    def begin(self) -> None:
        if not self.seconds:
            forget_peak()
            self._before = resident(peak=False)
        self._start = time.process_time()

    def end(self) -> None:
        self.seconds.append(time.process_time() - self._start)
        if len(self.seconds) == 1:
            self.memory = resident(peak=True) - self._before

    def result(self) -> Result:
        return {"seconds": self.seconds[1:], "memory": self.memory}


def prompts(vocabulary: int) -> Iterator[list[int]]:
    """Endless and always the same. Ids 0 and 1 pad and end."""
    state = 1
    while True:
        ids: list[int] = []
        for _ in range(PROMPT):
            state = state * 48271 % 2147483647
            ids.append(2 + state % (vocabulary - 2))
        yield ids


# ---- ours


def write_model(shape: Shape, folder: Path) -> None:
    import torch
    from rlvr.trainer.characters import Characters
    from rlvr.trainer.llama import ModelConfig
    from rlvr.trainer.model import TinyTransformer

    alphabet = "".join(chr(ALPHABET + index) for index in range(shape.vocabulary - 2))
    config = ModelConfig(shape.dim, shape.layers, shape.heads, shape.heads, shape.inner)
    TinyTransformer(config, Characters(alphabet), generator=torch.Generator().manual_seed(0)).save(folder)


class CheapJudge:
    """In place of the pool of workers: what is measured is the trainer."""

    def submit(self, pairs: list[Any]) -> Future[list[Any]]:
        from rlvr.verifiers.types import Verdict

        done: Future[list[Any]] = Future()
        sums = [sum(map(ord, completion.text)) for _, completion in pairs]
        done.set_result([Verdict(total % 7 / 6, "wrong", "different") for total in sums])
        return done


def ours(shape: Shape, folder: Path, steps: int, kl: float, hugging_face: bool, profile: bool) -> Result:
    import torch
    from rlvr.trainer import grpo
    from rlvr.trainer.config import Config
    from rlvr.trainer.data import Data, Question
    from rlvr.trainer.distributed import Ranks
    from rlvr.trainer.heap import keep_freed_memory
    from rlvr.trainer.hugging_face import HuggingFacePolicy
    from rlvr.trainer.loading import NoLog, Scorer
    from rlvr.trainer.model import TinyTransformer
    from rlvr.trainer.rollout import PolicySampler
    from rlvr.verifiers.types import Problem

    def load() -> Any:
        policy: Any = HuggingFacePolicy.load(str(folder)) if hugging_face else TinyTransformer.load(folder)
        policy.tokenizer.end_ids = frozenset({shape.vocabulary})
        return policy

    keep_freed_memory()
    config = Config(
        model=str(folder), prompts=PROMPTS, group=GROUP, max_tokens=NEW, steps=10**6, eval_every=0, learning_rate=1e-6,
        micro_batch_tokens=ROWS * LENGTH // MICRO_BATCHES, keep_completions_every=0, reflection_words=(),
        refresh_reference=0, rollout_prompts=PROMPTS, loss={"kl_coef": kl},
    )  # fmt: skip
    policy = load()
    scorer = Scorer(policy, config.temperature, config.logprob_chunk)
    reference = Scorer(load(), config.temperature, config.logprob_chunk).requires_grad_(False) if kl else None
    ids = prompts(shape.vocabulary)
    questions = [Question(Problem(str(number)), "", "", next(ids)) for number in range(PROMPTS * (steps + 1))]
    run = grpo.Run(
        config, Ranks(0, 1, torch.device("cpu")), policy, scorer, reference,
        torch.optim.AdamW(scorer.parameters(), lr=1e-6, fused=True), Data(tuple(questions), ()),
        CheapJudge(), PolicySampler(policy), NoLog(),  # type: ignore[arg-type]
    )  # fmt: skip
    meter = Meter()
    for _ in range(steps + 1):
        run.step += 1
        meter.begin()
        grpo.take_step(run)
        meter.end()
    if profile:
        show_profile(lambda: grpo.take_step(run))
    return meter.result()


def show_profile(step: Callable[[], None]) -> None:
    from torch.profiler import ProfilerActivity
    from torch.profiler import profile as profiler

    with profiler(activities=[ProfilerActivity.CPU]) as found:
        step()
    print(found.key_averages().table(sort_by="self_cpu_time_total", row_limit=30), file=sys.stderr)


# ---- TRL


def theirs(shape: Shape, folder: Path, steps: int, kl: float, micro_batches: int, profile: bool) -> Result:
    from datasets import Dataset
    from tokenizers import Tokenizer
    from tokenizers.models import WordLevel
    from tokenizers.pre_tokenizers import WhitespaceSplit
    from transformers import AutoModelForCausalLM, PreTrainedTokenizerFast, TrainerCallback
    from trl import GRPOConfig, GRPOTrainer

    meter = Meter()

    class Steps(TrainerCallback):
        def on_step_begin(self, *arguments: Any, **options: Any) -> None:
            meter.begin()

        def on_step_end(self, *arguments: Any, **options: Any) -> None:
            meter.end()

    # The end token is one more than the model has: it is never drawn.
    words = {f"w{index}": index for index in range(shape.vocabulary)} | {"<end>": shape.vocabulary}
    inner = Tokenizer(WordLevel(words, unk_token="w0"))
    inner.pre_tokenizer = WhitespaceSplit()
    tokenizer = PreTrainedTokenizerFast(tokenizer_object=inner, pad_token="w0", eos_token="<end>")
    model = AutoModelForCausalLM.from_pretrained(folder)
    model.generation_config.eos_token_id = model.config.eos_token_id = shape.vocabulary
    arguments = GRPOConfig(
        output_dir=tempfile.mkdtemp(), use_cpu=True, bf16=False, gradient_checkpointing=False, report_to="none",
        logging_steps=10**6, save_strategy="no", disable_tqdm=True, max_steps=steps + 1, learning_rate=1e-6,
        num_generations=GROUP, per_device_train_batch_size=ROWS // micro_batches,
        gradient_accumulation_steps=micro_batches, max_completion_length=NEW, beta=kl, loss_type="grpo",
        adam_beta2=0.99,
    )  # fmt: skip
    ids = prompts(shape.vocabulary)
    texts = [" ".join(f"w{token}" for token in next(ids)) for _ in range(PROMPTS * (steps + 1))]
    lengths: set[int] = set()

    def reward(completion_ids: list[list[int]], **_: Any) -> list[float]:
        lengths.update(map(len, completion_ids))
        return [sum(row) % 7 / 6 for row in completion_ids]

    trainer = GRPOTrainer(
        model=model, args=arguments, processing_class=tokenizer, reward_funcs=reward,
        train_dataset=Dataset.from_dict({"prompt": texts}), callbacks=[Steps()],
    )  # fmt: skip
    if profile:
        show_profile(trainer.train)
    else:
        trainer.train()
    assert lengths == {NEW}, lengths
    return meter.result()


# ---- the matrix products alone


def products(shape: Shape, steps: int, kl: float, fastest: bool) -> Result:
    import torch
    from rlvr.trainer.products import times_transposed

    def by_torch(a: Any, b: Any) -> Any:
        return torch.mm(a, b.T)

    multiply = times_transposed if fastest else by_torch

    def matrices(*sizes: tuple[int, ...]) -> list[Any]:
        return [torch.randn(size) for size in sizes]

    def linear(rows: int, width: int, out: int, *, backward: bool) -> Callable[[], None]:
        x, weight, gradient = matrices((rows, width), (out, width), (rows, out))

        def run() -> None:
            multiply(x, weight)
            if backward:
                multiply(gradient, weight.T)
                multiply(gradient.T, x.T)

        return run

    def attention(rows: int, positions: int, *, backward: bool) -> Callable[[], None]:
        queries, keys, values, gradient = matrices(*[(rows * shape.heads, positions, shape.dim // shape.heads)] * 4)
        (weights,) = matrices((rows * shape.heads, positions, positions))

        def run() -> None:
            torch.bmm(queries, keys.transpose(1, 2))
            torch.bmm(weights, values)
            if backward:
                torch.bmm(weights.transpose(1, 2), gradient)
                torch.bmm(gradient, values.transpose(1, 2))
                torch.bmm(weights, keys)
                torch.bmm(weights.transpose(1, 2), queries)

        return run

    def network(rows: int, positions: int, out: int, *, backward: bool) -> list[Callable[[], None]]:
        n, d = rows * positions, shape.dim
        block = [
            linear(n, d, 3 * d, backward=backward),
            attention(rows, positions, backward=backward),
            linear(n, d, d, backward=backward),
            linear(n, d, 2 * shape.inner, backward=backward),
            linear(n, shape.inner, d, backward=backward),
        ]
        return block * shape.layers + [linear(out, d, shape.vocabulary, backward=backward)]

    def decoding() -> Callable[[], None]:
        heads, size = ROWS * shape.heads, shape.dim // shape.heads
        caches = [matrices((heads, LENGTH, size), (heads, LENGTH, size)) for _ in range(shape.layers)]
        widths = [
            (shape.dim, 3 * shape.dim),
            (shape.dim, shape.dim),
            (shape.dim, 2 * shape.inner),
            (shape.inner, shape.dim),
        ]
        blocks = [[linear(ROWS, *width, backward=False) for width in widths] for _ in caches]
        head = linear(ROWS, shape.dim, shape.vocabulary, backward=False)
        query, weights = matrices((heads, 1, size), (heads, 1, LENGTH))

        def run() -> None:
            for filled in range(PROMPT + 1, LENGTH):
                for block, (keys, values) in zip(blocks, caches, strict=True):
                    for one in block:
                        one()
                    torch.bmm(query, keys[:, :filled].transpose(1, 2))
                    torch.bmm(weights[..., :filled], values[:, :filled])
                head()

        return run

    rows, new = ROWS // MICRO_BATCHES, ROWS // MICRO_BATCHES * NEW
    training = network(rows, LENGTH, new, backward=True) * MICRO_BATCHES
    reference = network(rows, LENGTH, new, backward=False) * MICRO_BATCHES if kl else []
    parts = [*network(PROMPTS, PROMPT, PROMPTS, backward=False), decoding(), *reference, *training]
    meter = Meter()
    for _ in range(steps + 1):
        meter.begin()
        for part in parts:
            part()
        meter.end()
    return meter.result()


# ---- one process for each side


def one_side(side: str, model: str, folder: Path, steps: int, kl: float, profile: bool) -> Result:
    import torch

    torch.set_num_threads(1)
    torch.manual_seed(0)
    shape = MODELS[model]
    if side.startswith("TRL"):
        return theirs(shape, folder, steps, kl, MICRO_BATCHES if side == "TRL /8" else 1, profile)
    if side in ("products", "fastest"):
        return products(shape, steps, kl, side == "fastest")
    return ours(shape, folder, steps, kl, side == "ours HF", profile)


def measure(python: str, arguments: list[str]) -> Result:
    environment = os.environ | dict.fromkeys(("OMP_NUM_THREADS", "MKL_NUM_THREADS", "HF_HUB_OFFLINE"), "1")
    command = [python, __file__, *arguments]
    done = subprocess.run(command, env=environment, stdout=subprocess.PIPE, text=True, check=True)
    return json.loads(done.stdout.splitlines()[-1])


def trl_python() -> str:
    """An environment of its own beside ours, as `make test-trl` makes it."""
    folder = Path(f"{sys.prefix}-trl")
    python = folder / "bin" / "python"
    if not python.exists():
        subprocess.run([sys.executable, "-m", "venv", folder], check=True)
        for requirement in TRL:
            subprocess.run([python, "-m", "pip", "install", "--quiet", requirement], check=True)
    return str(python)


def compare(model: str, options: argparse.Namespace, kl: float) -> None:
    sides = ("ours", "ours HF", "TRL", "TRL /8", "products", "fastest")
    found: dict[str, list[Result]] = {side: [] for side in sides}
    with tempfile.TemporaryDirectory() as folder:
        write_model(MODELS[model], Path(folder))
        common = ["--folder", folder, "--models", model, "--steps", str(options.steps), "--kl", str(kl)]
        common += ["--profile"] if options.profile else []
        for _ in range(options.rounds):
            for side, results in found.items():
                python = options.trl_python if side.startswith("TRL") else sys.executable
                results.append(measure(python, ["--side", side, *common]))
    seconds = {side: median(s for result in results for s in result["seconds"]) for side, results in found.items()}
    memory = {side: median(result["memory"] for result in results) for side, results in found.items()}
    print(f"\nmodel {model}, {MODELS[model]}, " + (f"KL {kl} to a reference" if kl else "no KL"))
    print(f"{'':10} {'seconds':>8} {'of TRL':>7} {'of products':>12} {'memory MB':>10} {'of TRL':>7} {'of TRL /8':>10}")
    for side in sides:
        of_trl, of_products = seconds[side] / seconds["TRL"], seconds[side] / seconds["products"]
        line = f"{side:10} {seconds[side]:8.3f} {of_trl:7.2f} {of_products:12.2f}"
        if side not in ("products", "fastest"):
            line += f" {memory[side]:10.0f} {memory[side] / memory['TRL']:7.2f} {memory[side] / memory['TRL /8']:10.2f}"
        print(line)
    got = {
        "seconds": seconds["ours"] / seconds["TRL"],
        "memory": memory["ours"] / memory["TRL"],
        "products": seconds["ours"] / seconds["products"],
    }
    for name, most in ASKED[model].items():
        print(f"  {name}: {got[name]:.2f}, asked at most {most}: {'yes' if got[name] <= most else 'NO'}", flush=True)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--models", nargs="+", choices=MODELS, default=list(MODELS))
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--steps", type=int, default=3, help="measured in each process, after a first one")
    parser.add_argument("--kl", type=float, nargs="+", default=[0.0, KL])
    parser.add_argument("--trl-python", help="of an environment with TRL; default: made beside ours")
    parser.add_argument("--profile", action="store_true", help="print where the time of a further step goes")
    parser.add_argument("--side", help=argparse.SUPPRESS)
    parser.add_argument("--folder", type=Path, help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.side:
        result = one_side(
            options.side, options.models[0], options.folder, options.steps, options.kl[0], options.profile
        )
        print(json.dumps(result))
        return
    options.trl_python = options.trl_python or trl_python()
    for model in options.models:
        for kl in options.kl:
            compare(model, options, kl)


if __name__ == "__main__":
    main()
