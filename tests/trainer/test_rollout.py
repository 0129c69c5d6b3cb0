"""Our sampler beside a loop that computes every sequence anew for every token."""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import replace
from math import exp, isnan

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from rlvr.trainer.characters import Characters
from rlvr.trainer.llama import ModelConfig
from rlvr.trainer.logprobs import token_logprobs
from rlvr.trainer.model import StaticCache, TinyTransformer
from rlvr.trainer.rollout import PolicySampler, Rollout, Sampling, draw
from scipy.stats import chisquare
from torch import Tensor

TOKENIZER = Characters("0123456789+= ")
PROMPTS = [[3, 4, 5], [2, 2, 9, 13, 4, 7, 7], [6], [5, 4, 3]]
SEEDS = [11, 22, 33, 44]
KINDS = {
    "sampled": Sampling(12),
    "sharp": Sampling(12, temperature=0.6),
    "nucleus": Sampling(12, temperature=1.3, top_p=0.7),
    "greedy": Sampling(12, temperature=0),
}


def made(seed: int = 0) -> TinyTransformer:
    """Ends about one row in eight at each step."""
    generator = torch.Generator().manual_seed(seed)
    config = ModelConfig(dim=32, heads=4, kv_heads=2, inner=48, tied=False)
    model = TinyTransformer(config, TOKENIZER, generator=generator)
    with torch.no_grad():
        for parameter in model.parameters():
            parameter.add_(torch.randn(parameter.shape, generator=generator) * 0.3)
    return model


MODEL = made()


def naive(model: TinyTransformer, group: int, sampling: Sampling) -> Iterator[tuple[list[int], list[float]]]:
    """One row after the other, no cache, one token at a time by plain Python from the same uniform numbers."""
    for prompt, seed in zip(PROMPTS, SEEDS, strict=True):
        generator = torch.Generator().manual_seed(seed)
        uniforms_NG = torch.rand(sampling.max_tokens, group, generator=generator, dtype=torch.float64)
        for row in range(group):
            ids: list[int] = []
            logps: list[float] = []
            for u in uniforms_NG[:, row].tolist():
                hidden_D = model.hidden(torch.tensor([prompt + ids]))[0, -1]
                token, logp = pick(model.head().weight_VD @ hidden_D, u, sampling)
                ids.append(token)
                logps.append(logp)
                if token in TOKENIZER.end_ids:
                    break
            yield ids, logps


def pick(logits_V: Tensor, u: float, sampling: Sampling) -> tuple[int, float]:
    if sampling.temperature == 0:
        return int(logits_V.argmax()), 0.0
    weights = (logits_V.double() / sampling.temperature).softmax(-1).tolist()
    if sampling.top_p < 1:
        reached, kept = 0.0, set[int]()
        for token in sorted(range(len(weights)), key=lambda token: -weights[token]):
            if reached < sampling.top_p:
                kept.add(token)
            reached += weights[token]
        weights = [weight if token in kept else 0.0 for token, weight in enumerate(weights)]
    total, reached = sum(weights), 0.0
    for token, weight in enumerate(weights):
        reached += weight
        if reached > u * total:
            return token, float(torch.tensor(weight / total).log())
    raise AssertionError("u < 1")


def assert_same(ours: Rollout, theirs: Sequence[tuple[list[int], list[float]]]) -> None:
    assert ours.completions == [ids for ids, _ in theirs]
    for mine, (_, logps) in zip(ours.logps, theirs, strict=True):
        assert mine == pytest.approx(logps, abs=1e-5)


@pytest.mark.parametrize("look_every", [1, 5])
@pytest.mark.parametrize("group", [1, 3])
@pytest.mark.parametrize("kind", KINDS)
@torch.no_grad()
def test_as_a_naive_loop(kind: str, group: int, look_every: int) -> None:
    ours = PolicySampler(MODEL, look_every=look_every)(PROMPTS, group, KINDS[kind], SEEDS)
    assert_same(ours, list(naive(MODEL, group, KINDS[kind])))
    assert ours.prompts == [prompt for prompt in PROMPTS for _ in range(group)]
    assert ours.finished == [ids[-1] == TOKENIZER.end_id for ids in ours.completions]
    if kind == "sampled" and group == 3:
        lengths = {len(ids) for ids in ours.completions}
        assert len(lengths) > 3, "rows end at different times"
        assert not all(ours.finished)


def test_rows_that_ended_are_dropped(monkeypatch: pytest.MonkeyPatch) -> None:
    rows: list[int] = []
    step = MODEL.step

    def counted(tokens_B: Tensor, cache: StaticCache) -> Tensor:
        rows.append(len(tokens_B))
        return step(tokens_B, cache)

    monkeypatch.setattr(MODEL, "step", counted)
    out = PolicySampler(MODEL)(PROMPTS, 8, Sampling(200), SEEDS)
    assert all(out.finished)
    assert len(rows) == max(map(len, out.completions)) - 1, "no step after the last end"
    alive = [sum(len(ids) > n + 1 for ids in out.completions) for n in range(len(rows))]
    assert all(kept * 0.75 < going_on <= kept for kept, going_on in zip(rows, alive, strict=True))
    assert rows[-1] < 8


@torch.no_grad()
def test_log_probabilities_are_those_of_training() -> None:
    sampling = Sampling(12, temperature=0.8)
    out = PolicySampler(MODEL)(PROMPTS, 4, sampling, SEEDS)
    longest = max(len(prompt) + len(ids) for prompt, ids in zip(out.prompts, out.completions, strict=True))
    for prompt, ids, logps in zip(out.prompts, out.completions, out.logps, strict=True):
        tokens_1T = torch.tensor([prompt + ids + [0] * (longest - len(prompt) - len(ids))])
        positions = torch.arange(longest - 1)
        mask_1T = ((positions >= len(prompt) - 1) & (positions < len(prompt) + len(ids) - 1))[None]
        hidden_1TD = MODEL.hidden(tokens_1T[:, :-1])
        trained_1T, _ = token_logprobs(hidden_1TD, MODEL.head(0.8), tokens_1T[:, 1:], mask_1T)
        assert trained_1T[mask_1T].tolist() == pytest.approx(logps, abs=1e-5)


@settings(max_examples=30, deadline=None)
@given(
    order=st.permutations(range(4)),
    size=st.integers(1, 4),
    group=st.integers(1, 4),
    limit=st.integers(1, 15),
    kind=st.sampled_from(sorted(KINDS)),
)
def test_a_group_is_the_same_in_any_batch(order: list[int], size: int, group: int, limit: int, kind: str) -> None:
    """Whoever stands beside it, and up to a higher limit."""
    sampler, sampling = PolicySampler(MODEL), replace(KINDS[kind], max_tokens=limit)
    alone = {n: sampler([PROMPTS[n]], group, sampling, [SEEDS[n]]).completions for n in order[:size]}
    chosen = order[:size]
    together = sampler([PROMPTS[n] for n in chosen], group, sampling, [SEEDS[n] for n in chosen])
    assert together.completions == [ids for n in chosen for ids in alone[n]]
    longer = sampler([PROMPTS[n] for n in chosen], group, replace(sampling, max_tokens=15), [SEEDS[n] for n in chosen])
    assert [ids[:limit] for ids in longer.completions] == together.completions
    assert all(1 <= len(ids) <= limit for ids in together.completions)
    assert not any(isnan(logp) or logp > 1e-6 for logps in together.logps for logp in logps)
    assert all(len(ids) == len(logps) for ids, logps in zip(together.completions, together.logps, strict=True))


def test_completions_of_a_group_differ_and_seeds_matter() -> None:
    sampler = PolicySampler(MODEL)
    one, two = (sampler([PROMPTS[3]], 12, Sampling(12), [seed]).completions for seed in (1, 2))
    assert one != two
    assert len({tuple(ids) for ids in one}) > 3


def test_what_is_sampled_follows_the_weights() -> None:
    sampler, other = PolicySampler(MODEL), made(1)
    before = sampler(PROMPTS, 2, Sampling(12), SEEDS)
    sampler.sync(other)
    after = sampler(PROMPTS, 2, Sampling(12), SEEDS)
    assert before.completions != after.completions
    assert after == PolicySampler(other)(PROMPTS, 2, Sampling(12), SEEDS)
    sampler.close()


@pytest.mark.parametrize("wrong", [(0, 1, 1), (1, -1, 1), (1, 1, 0), (1, 1, 2)])
def test_what_cannot_be_meant_is_refused(wrong: tuple[int, float, float]) -> None:
    with pytest.raises(ValueError, match="needed"):
        Sampling(*wrong)


def test_an_empty_prompt_and_a_missing_seed_are_refused() -> None:
    for prompts, seeds in (([[2], []], [1, 2]), ([[2]], [])):
        with pytest.raises(ValueError, match="empty prompt"):
            PolicySampler(MODEL)(prompts, 2, Sampling(3), seeds)


# ---- one token


def drawn(logits_V: Tensor, uniforms_N: Tensor, sampling: Sampling) -> tuple[Tensor, Tensor]:
    return draw(logits_V.expand(len(uniforms_N), -1).clone(), uniforms_N, sampling)


@pytest.mark.parametrize("sampling", [Sampling(1), Sampling(1, temperature=0.5), Sampling(1, top_p=0.75)])
def test_the_distribution_is_the_right_one(sampling: Sampling) -> None:
    logits_V = torch.tensor([0.5, -1.0, 2.0, -torch.inf, 1.0, 0.0])
    n = 40_000
    uniforms_N = torch.rand(n, generator=torch.Generator().manual_seed(0), dtype=torch.float64)
    tokens_N, logps_N = drawn(logits_V, uniforms_N, sampling)
    expected = [0.0] * len(logits_V)
    for token in range(len(logits_V)):
        found = logps_N[tokens_N == token]
        expected[token] = exp(float(found[0])) if len(found) else 0.0
        assert len(found.unique()) <= 1
    weights_V = (logits_V / sampling.temperature).softmax(-1)
    if sampling.top_p < 1:
        weights_V[[0, 1, 5]] = 0  # 2.0 and 1.0 have 0.56 and 0.21 of it: together more than 0.75
    assert expected == pytest.approx((weights_V / weights_V.sum()).tolist(), abs=1e-6)
    counts = tokens_N.bincount(minlength=len(logits_V)).tolist()
    pairs = [(count, share * n) for count, share in zip(counts, expected, strict=True) if share]
    assert all(count == 0 for count, share in zip(counts, expected, strict=True) if not share)
    total = sum(share for _, share in pairs)
    assert chisquare([count for count, _ in pairs], [share * n / total for _, share in pairs]).pvalue > 1e-3


@given(
    logits=st.lists(st.one_of(st.floats(-200, 200), st.just(-torch.inf)), min_size=1, max_size=40),
    u=st.one_of(st.floats(0, 1, exclude_max=True), st.just(0.0), st.just(1 - 2**-53)),
    temperature=st.sampled_from([0.1, 1.0, 3.0]),
    top_p=st.sampled_from([1e-9, 0.5, 1.0]),
)
def test_a_token_of_probability_0_is_never_drawn(
    logits: list[float], u: float, temperature: float, top_p: float
) -> None:
    logits_V = torch.tensor([*logits, 0.0, -torch.inf])  # the last of them is where rounding would end up
    tokens_N, logps_N = drawn(logits_V, torch.tensor([u], dtype=torch.float64), Sampling(1, temperature, top_p))
    assert float((logits_V / temperature).softmax(-1)[tokens_N]) > 0
    assert float(logps_N) > -torch.inf
    if top_p == 1e-9:
        assert int(tokens_N) == int((logits_V / temperature).softmax(-1).argmax())
        assert float(logps_N) == pytest.approx(0, abs=1e-6)


def test_ends_of_the_unit_interval() -> None:
    logits_V = torch.tensor([-torch.inf, 0.0, 0.0, -torch.inf])
    tokens_N, _ = drawn(logits_V, torch.tensor([0.0, 0.4999, 0.5, 1 - 2**-53], dtype=torch.float64), Sampling(1))
    assert tokens_N.tolist() == [1, 1, 2, 2]


def test_equal_tokens_at_the_edge_of_the_nucleus() -> None:
    """Three share the edge: the first of them is enough."""
    tokens_N, logps_N = drawn(torch.zeros(4), torch.linspace(0, 0.99, 50).double(), Sampling(1, top_p=0.5))
    assert set(tokens_N.tolist()) == {0, 1}
    torch.testing.assert_close(logps_N.exp(), torch.full((50,), 0.5))


def test_greedy_takes_the_likeliest() -> None:
    tokens_N, logps_N = drawn(torch.tensor([0.0, 3.0, 1.0]), torch.tensor([0.99]), Sampling(1, temperature=0))
    assert (tokens_N.tolist(), logps_N.tolist()) == ([1], [0.0])


# ---- a recorded step


class FixedModel(TinyTransformer):
    """Its steps do nothing while they are recorded: what a CUDA graph does, without a GPU."""

    recording: "FakeGraph | None" = None

    def fixed_shapes(self) -> bool:
        return True

    def step(self, tokens_B: Tensor, cache: StaticCache) -> Tensor:
        if self.recording is None:
            return super().step(tokens_B, cache)
        logits_BV = torch.empty(len(tokens_B), TOKENIZER.size)
        self.recording.play = lambda: logits_BV.copy_(TinyTransformer.step(self, tokens_B, cache))
        return logits_BV


class FakeGraph:
    records = 0

    def replay(self) -> None:
        self.play()


def test_a_recorded_step_is_taken_once(monkeypatch: pytest.MonkeyPatch) -> None:
    generator = torch.Generator().manual_seed(0)
    model = FixedModel(MODEL.config, TOKENIZER, generator=generator)
    model.load_state_dict(MODEL.state_dict())

    @contextmanager
    def record(graph: FakeGraph) -> Iterator[None]:
        FakeGraph.records += 1
        model.recording = graph
        yield
        model.recording = None

    monkeypatch.setattr(torch.cuda, "CUDAGraph", FakeGraph)
    monkeypatch.setattr(torch.cuda, "graph", record)
    recorded = PolicySampler(model)(PROMPTS, 3, KINDS["sampled"], SEEDS)
    assert recorded == PolicySampler(MODEL)(PROMPTS, 3, KINDS["sampled"], SEEDS)
    assert FakeGraph.records > 1, "rows were dropped, and the step recorded anew"
