"""The transformers engine on a tiny model: seeds, distributions, ends, prefixes, memory that runs out."""

import asyncio
import math
from pathlib import Path
from typing import Any

import pytest
from rlvr.evals.engines.seeds import seed_of
from rlvr.evals.engines.types import EngineInfo, EngineUnavailable, Generated, Prompt, Sampling

torch = pytest.importorskip("torch")
transformers = pytest.importorskip("transformers")

from rlvr.evals.engines.decoding import pick  # noqa: E402
from rlvr.evals.engines.transformers import TransformersEngine  # noqa: E402

torch.set_num_threads(1)  # the tests share the machine, and its threads would wait for each other
HOT = Sampling(temperature=1.0, top_p=0.95, max_tokens=60, logprobs=True)


def run(tools: Any, model: Path, asked: Any, sampling: Sampling = HOT, **options: Any) -> list[Generated]:
    async def main() -> list[Generated]:
        engine = TransformersEngine(str(model), device="cpu", **options)
        await engine.start()
        drawn = await tools.draw(engine, asked, sampling)
        await engine.aclose()
        return drawn

    return sorted(asyncio.run(main()), key=lambda one: (one.problem_id, one.sample))


def asked(tools: Any, problems: int = 4, samples: int = 6, prefix: str = "") -> Any:
    """Prompts of different lengths, so that a batch needs padding."""
    return [
        (Prompt(f"p{i}", messages=({"role": "user", "content": "What is 2 + 2? " * (1 + i)},), prefix=prefix), numbers)
        for i, (_, numbers) in enumerate(tools.prompts(problems, samples))
    ]


def test_the_same_seed_gives_the_same_sample_in_any_batch(tools: Any, tiny_model: Path) -> None:
    """In float64: in float32 the rounding of a batch's products, 1e-5, tips one token in a few thousand over."""
    alone = run(tools, tiny_model, asked(tools), batch_size=1, dtype="float64")
    assert len({one.text for one in alone}) == len(alone)
    for size in (2, 7, 24):
        together = run(tools, tiny_model, asked(tools), batch_size=size, dtype="float64")
        assert [one.text for one in together] == [one.text for one in alone]
        for one, other in zip(together, alone, strict=True):
            assert one.logprobs == pytest.approx(other.logprobs, abs=1e-6)
    some = [(prompt, [5, 2]) for prompt, _ in asked(tools)]
    by_key = {(one.problem_id, one.sample): one.text for one in alone}
    drawn = run(tools, tiny_model, some, dtype="float64")
    assert all(one.text == by_key[one.problem_id, one.sample] for one in drawn)
    assert all(one.seed == seed_of(0, one.problem_id, one.sample) for one in alone)


def test_another_seed_gives_another_sample(tools: Any, tiny_model: Path) -> None:
    other = Sampling(temperature=1.0, top_p=0.95, max_tokens=60, seed=1)
    texts = {one.text for sampling in (HOT, other) for one in run(tools, tiny_model, asked(tools), sampling)}
    assert len(texts) == 2 * 24


def test_greedy_is_what_generate_gives(tools: Any, tiny_model: Path) -> None:
    model = transformers.AutoModelForCausalLM.from_pretrained(tiny_model, dtype="float32")
    tokenizer = transformers.AutoTokenizer.from_pretrained(tiny_model)
    greedy = run(tools, tiny_model, asked(tools, samples=2), Sampling(temperature=0, max_tokens=40), dtype="float32")
    for prompt, _ in asked(tools):
        text = tokenizer.apply_chat_template(list(prompt.messages), tokenize=False, add_generation_prompt=True)
        ids = tokenizer(text, return_tensors="pt", add_special_tokens=False)
        out = model.generate(**ids, do_sample=False, max_new_tokens=40, repetition_penalty=1.0)
        new = tokenizer.decode(out[0, ids["input_ids"].shape[1] :], skip_special_tokens=True)
        assert [one.text for one in greedy if one.problem_id == prompt.problem_id] == [new, new]


def test_logprobs_are_the_models_own(tools: Any, tiny_model: Path) -> None:
    model = transformers.AutoModelForCausalLM.from_pretrained(tiny_model, dtype="float32")
    tokenizer = transformers.AutoTokenizer.from_pretrained(tiny_model)
    (greedy,) = run(tools, tiny_model, asked(tools, 1, 1), Sampling(temperature=0, max_tokens=20, logprobs=True))
    text = tokenizer.apply_chat_template(list(asked(tools)[0][0].messages), tokenize=False, add_generation_prompt=True)
    ids = tokenizer(text, return_tensors="pt", add_special_tokens=False)["input_ids"]
    expected = []
    with torch.inference_mode():
        for _ in range(20):
            logprob, token = model(ids).logits[0, -1].log_softmax(-1).max(-1)
            expected.append(float(logprob))
            ids = torch.cat([ids, token[None, None]], dim=-1)
    assert greedy.logprobs == pytest.approx(expected, abs=1e-3)


def test_ends_counts_and_prefix(tools: Any, tiny_model: Path) -> None:
    drawn = run(
        tools, tiny_model, asked(tools, samples=12, prefix="<think>\n"), Sampling(temperature=1.0, max_tokens=150)
    )
    reasons = [one.finish_reason for one in drawn]
    assert {"stop", "length"} == set(reasons)
    for one in drawn:
        assert one.text.startswith("<think>\n") and "<|im_end|>" not in one.text
        assert one.n_tokens == 150 if one.finish_reason == "length" else 1 <= (one.n_tokens or 0) <= 150
        assert one.logprobs is None and one.prompt_tokens


def test_the_models_limit_cuts_and_a_prompt_beyond_it_is_an_error(tools: Any, tiny_model: Path) -> None:
    lengths = {one.problem_id: one.prompt_tokens or 0 for one in run(tools, tiny_model, asked(tools, samples=1))}
    limit = lengths["p2"]
    drawn = run(
        tools, tiny_model, asked(tools, samples=2), Sampling(temperature=0, max_tokens=500), max_model_len=limit
    )
    for one in drawn:
        room = limit - lengths[one.problem_id]
        if room < 1:
            assert one.error and f"the model takes {limit}" in one.error
        else:
            assert one.error is None and (one.n_tokens or 0) <= room
    assert {one.error is None for one in drawn} == {True, False}


def test_plain_text_is_read_as_it_stands(tools: Any, tiny_model: Path) -> None:
    tokenizer = transformers.AutoTokenizer.from_pretrained(tiny_model)
    text = "User: what is 2+2? Assistant: "
    (one,) = run(tools, tiny_model, [(Prompt("p", text=text, prefix="<think>\n"), [0])])
    assert one.prompt_tokens == len(tokenizer(text + "<think>\n")["input_ids"])


def test_samples_come_as_they_finish_and_closing_stops(tools: Any, tiny_model: Path) -> None:
    async def main() -> None:
        engine = TransformersEngine(str(tiny_model), device="cpu")
        await engine.start()
        samples = engine.sample(asked(tools), Sampling(temperature=1.0, max_tokens=4000))
        first = await anext(samples)
        assert (first.n_tokens or 0) < 200  # long before the batch's longest
        await samples.aclose()  # type: ignore[attr-defined]
        await engine.aclose()

    asyncio.run(main())


def test_a_batch_that_does_not_fit_is_halved(tools: Any, tiny_model: Path, monkeypatch: Any, caplog: Any) -> None:
    whole = run(tools, tiny_model, asked(tools), dtype="float64")
    forward = transformers.Qwen2ForCausalLM.forward

    def cramped(self: Any, input_ids: Any, **more: Any) -> Any:
        if input_ids.shape[0] > 3:
            raise torch.OutOfMemoryError("CUDA out of memory")
        return forward(self, input_ids, **more)

    monkeypatch.setattr(transformers.Qwen2ForCausalLM, "forward", cramped)
    halved = run(tools, tiny_model, asked(tools), batch_size=24, dtype="float64")
    assert [one.text for one in halved] == [one.text for one in whole]
    assert "out of memory with 24 samples at once" in caplog.text

    def full(self: Any, input_ids: Any, **more: Any) -> Any:
        raise torch.OutOfMemoryError("CUDA out of memory")

    monkeypatch.setattr(transformers.Qwen2ForCausalLM, "forward", full)
    assert all(one.error and "lower max_tokens" in one.error for one in run(tools, tiny_model, asked(tools)))


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ({"model": "./nowhere"}, "there is no folder ./nowhere"),
        ({"model": "EMPTY"}, "folder without config.json"),
        ({"device": "cuda"}, "torch sees no GPU"),
        ({"device": "tpu9"}, "no device tpu9"),
        ({"dtype": "float99"}, "no dtype float99"),
    ],
)
def test_a_start_that_fails_says_why(tiny_model: Path, tmp_path: Path, options: Any, words: str) -> None:
    if options.get("device") == "cuda" and torch.cuda.is_available():
        pytest.skip("there is a GPU")
    name = options.get("model", str(tiny_model))
    engine = TransformersEngine(
        str(tmp_path) if name == "EMPTY" else name, **{key: v for key, v in options.items() if key != "model"}
    )
    with pytest.raises(EngineUnavailable, match=words):
        asyncio.run(engine.start())


def test_messages_need_a_chat_template(tools: Any, tiny_model: Path) -> None:
    async def main() -> EngineInfo:
        engine = TransformersEngine(str(tiny_model), device="cpu")
        info = await engine.start()
        assert engine.render(asked(tools, prefix="<think>\n")[0][0]).endswith("<|im_start|>assistant\n<think>\n")
        engine._tokenizer.chat_template = None
        with pytest.raises(EngineUnavailable, match="no chat template"):
            engine.render(asked(tools)[0][0])
        return info

    info = asyncio.run(main())
    assert info.options["dtype"] == "float32" and info.options["max_model_len"] == 4096


def exact(logits: list[float], temperature: float, top_p: float) -> list[float]:
    """The distribution in plain Python: softmax, then the smallest set of likeliest tokens that holds top_p."""
    weights = [math.exp(value / temperature) for value in logits]
    shares = [weight / sum(weights) for weight in weights]
    kept: set[int] = set()
    for token in sorted(range(len(shares)), key=lambda token: -shares[token]):
        if math.fsum(shares[other] for other in kept) >= top_p:
            break
        kept.add(token)
    total = math.fsum(shares[token] for token in kept)
    return [shares[token] / total if token in kept else 0.0 for token in range(len(shares))]


@pytest.mark.parametrize(("temperature", "top_p"), [(1.0, 1.0), (0.6, 0.95), (0.6, 0.5), (1.5, 0.9), (0.3, 0.01)])
def test_tokens_are_drawn_from_the_exact_distribution(temperature: float, top_p: float) -> None:
    """Every quantile is asked for once, so the frequencies are the probabilities up to one part in n."""
    n, logits = 20_000, [2.0, -1.0, 0.5, 1.9, 0.0, -3.0, 1.0, 2.1]
    uniform = (torch.arange(n, dtype=torch.float64) + 0.5) / n
    drawn = pick(torch.tensor([logits]).expand(n, -1), uniform, temperature, top_p)
    frequencies = (torch.bincount(drawn, minlength=len(logits)) / n).tolist()
    assert frequencies == pytest.approx(exact(logits, temperature, top_p), abs=1e-4)


def test_the_extremes_draw_a_token_that_has_probability() -> None:
    logits = torch.tensor([[-1e9, 3.0, 1.0, -1e9]]).expand(2, -1)
    edges = torch.tensor([0.0, 1 - 2.0**-40], dtype=torch.float64)
    assert pick(logits, edges, 1.0, 1.0).tolist() == [1, 2]
    assert pick(logits, edges, 1.0, 0.5).tolist() == [1, 1]
    assert pick(logits, edges, 0.0, 1.0).tolist() == [1, 1]


def test_first_tokens_of_many_seeds_follow_the_model(tools: Any, tiny_model: Path) -> None:
    """Chi-square of 4,000 samples' first tokens against softmax, tokens that are expected five times or more."""
    stats = pytest.importorskip("scipy.stats")
    n = 4000
    model = transformers.AutoModelForCausalLM.from_pretrained(tiny_model, dtype="float32")
    tokenizer = transformers.AutoTokenizer.from_pretrained(tiny_model)
    ids = tokenizer("2+2=", return_tensors="pt")["input_ids"]
    shares = exact(model(ids).logits[0, -1].tolist(), 0.6, 0.95)
    drawn = run(tools, tiny_model, [(Prompt("p", text="2+2="), range(n))], Sampling(max_tokens=1), batch_size=1000)
    counts: dict[str, int] = {}
    for one in drawn:
        counts[one.text] = counts.get(one.text, 0) + 1
    expected: dict[str, float] = {}
    for token, share in enumerate(shares):
        text = tokenizer.decode([token], skip_special_tokens=True)
        expected[text] = expected.get(text, 0.0) + share * n
    assert set(counts) <= {text for text, count in expected.items() if count > 0}
    common = [text for text, count in expected.items() if count >= 5]
    observed = [counts.get(text, 0) for text in common]
    hoped = [expected[text] for text in common]
    rest = n - sum(hoped)
    assert len(common) > 10
    result = (
        stats.chisquare([*observed, n - sum(observed)], [*hoped, rest])
        if rest > 5
        else stats.chisquare(observed, [value * sum(observed) / sum(hoped) for value in hoped])
    )
    assert result.pvalue > 1e-4
