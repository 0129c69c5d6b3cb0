"""Random models of a few thousand parameters, each of an architecture that a policy must treat in its own way."""

import copy
import importlib.util
from functools import cache
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor

pytest.importorskip("transformers")
import transformers
from rlvr.evals.errors import UsageError
from rlvr.trainer.hugging_face import HuggingFacePolicy, HuggingFaceTokenizer
from rlvr.trainer.logprobs import token_logprobs

VOCABULARY, END, PAD = 41, 1, 0
SHAPE = {
    "vocab_size": VOCABULARY,
    "hidden_size": 16,
    "intermediate_size": 24,
    "num_hidden_layers": 2,
    "num_attention_heads": 4,
    "num_key_value_heads": 2,
    "head_dim": 4,
    "max_position_embeddings": 64,
    "initializer_range": 0.5,  # so that the next token depends on what stands before it
    "bos_token_id": None,
    "eos_token_id": END,
    "pad_token_id": PAD,
}
SLIDING = ["sliding_attention", "full_attention"]
CONFIGS: dict[str, Any] = {
    "llama": (transformers.LlamaConfig, SHAPE),
    "qwen2": (transformers.Qwen2Config, {**SHAPE, "tie_word_embeddings": True}),  # with biases
    "qwen3": (transformers.Qwen3Config, SHAPE),
    "mistral": (transformers.MistralConfig, {**SHAPE, "sliding_window": 5}),  # every layer slides
    "gemma2": (  # softcap, and a window on one layer of two
        transformers.Gemma2Config,
        {**SHAPE, "final_logit_softcapping": 2.0, "sliding_window": 4, "layer_types": SLIDING},
    ),
    "cohere": (transformers.CohereConfig, {**SHAPE, "logit_scale": 0.25}),
    "granite": (transformers.GraniteConfig, {**SHAPE, "logits_scaling": 4.0}),
    "phi": (transformers.PhiConfig, SHAPE),  # a head with a bias
    "gpt2": (  # learned positions, dropout in training
        transformers.GPT2Config,
        {"vocab_size": VOCABULARY, "n_embd": 16, "n_layer": 2, "n_head": 4, "n_positions": 64, "initializer_range": 0.5}
        | {"bos_token_id": None, "eos_token_id": END},
    ),
}  # fmt: skip
ALL = pytest.mark.parametrize("name", CONFIGS)


@cache
def make_tokenizer() -> HuggingFaceTokenizer:
    path = Path(__file__).parents[1] / "evals" / "tiny_model.py"
    spec = importlib.util.spec_from_file_location("tiny_model", path)
    assert spec is not None and spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    inner = module.make_tokenizer()
    return HuggingFaceTokenizer(inner, frozenset({inner.eos_token_id}))


def make_policy(name: str, checkpointing: bool = False, **changes: Any) -> HuggingFacePolicy:
    torch.manual_seed(0)
    config, shape = CONFIGS[name]
    model = transformers.AutoModelForCausalLM.from_config(config(**shape, **changes))
    for parameter in model.parameters():
        if parameter.ndim == 1:  # biases start at 0 and norms at 1
            torch.nn.init.uniform_(parameter, 0.2, 1.2)
    return HuggingFacePolicy(model, make_tokenizer(), checkpointing=checkpointing)


def random_tokens(rows: int, length: int) -> Tensor:
    return torch.randint(2, VOCABULARY, (rows, length), generator=torch.Generator().manual_seed(1))


def own_logits(policy: HuggingFacePolicy, tokens_BT: Tensor) -> Tensor:
    """What the model says without anything of ours."""
    with torch.no_grad():
        return policy.model(input_ids=tokens_BT, use_cache=False).logits


@ALL
def test_hidden_states_and_head_are_the_models_own_logits(name: str) -> None:
    policy, tokens_BT = make_policy(name), random_tokens(3, 12)
    logps_BTV = own_logits(policy, tokens_BT).log_softmax(-1)
    everywhere_BT = torch.ones_like(tokens_BT, dtype=torch.bool)
    logps_BT, entropy_BT = token_logprobs(policy.hidden(tokens_BT), policy.head(), tokens_BT, everywhere_BT)
    torch.testing.assert_close(logps_BT, logps_BTV.gather(2, tokens_BT[..., None])[..., 0], atol=1e-5, rtol=0)
    torch.testing.assert_close(entropy_BT, -(logps_BTV.exp() * logps_BTV).sum(-1), atol=1e-5, rtol=0)
    policy.check_head()


def test_the_temperature_divides_the_logits() -> None:
    policy, tokens_BT = make_policy("gemma2"), random_tokens(2, 6)
    expected_BTV = (own_logits(policy, tokens_BT) / 0.7).log_softmax(-1)
    everywhere_BT = torch.ones_like(tokens_BT, dtype=torch.bool)
    logps_BT, _ = token_logprobs(policy.hidden(tokens_BT), policy.head(0.7), tokens_BT, everywhere_BT)
    torch.testing.assert_close(logps_BT, expected_BTV.gather(2, tokens_BT[..., None])[..., 0], atol=1e-5, rtol=0)


@ALL
def test_padding_on_the_right_changes_nothing(name: str) -> None:
    policy, tokens_BT = make_policy(name), random_tokens(2, 12)
    padded_BT = tokens_BT.clone()
    padded_BT[0, 7:] = PAD
    torch.testing.assert_close(
        policy.hidden(padded_BT)[0, :7], policy.hidden(tokens_BT[:1, :7])[0], atol=1e-5, rtol=1e-5
    )


@pytest.mark.parametrize("fixed", [False, True], ids=["written", "static"])
@pytest.mark.parametrize("padding", [(0, 3, 5), (0, 0, 0)], ids=["padded", "full"])
@ALL
def test_a_cached_step_is_what_computing_all_again_gives(
    name: str, padding: tuple[int, ...], fixed: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Through repeat and keep, over the end of the sliding window. Static is what a GPU gets."""
    monkeypatch.setattr(HuggingFacePolicy, "fixed_shapes", lambda self: fixed)
    policy, tokens_PT = make_policy(name), random_tokens(3, 6)
    for row, start in enumerate(padding):
        tokens_PT[row, :start] = PAD
    logits_BV, cache = policy.prefill(tokens_PT, torch.tensor(padding), capacity=16)
    rows = [tokens_PT[row, start:] for row, start in enumerate(padding)]

    def check() -> None:
        expected_BV = torch.stack([own_logits(policy, row[None])[0, -1] for row in rows])
        torch.testing.assert_close(logits_BV, expected_BV, atol=2e-5, rtol=1e-4)

    def step() -> None:
        nonlocal logits_BV
        drawn_B = torch.randint(2, VOCABULARY, (len(rows),))
        logits_BV = policy.step(drawn_B, cache)
        rows[:] = [torch.cat([row, token[None]]) for row, token in zip(rows, drawn_B, strict=True)]
        check()

    check()
    cache.repeat(2)
    rows = [row for row in rows for _ in range(2)]
    for _ in range(4):
        step()
    cache.keep(torch.tensor([4, 1, 2]))
    rows = [rows[4], rows[1], rows[2]]
    for _ in range(6):  # up to the capacity
        step()


def test_sampling_keeps_no_gradient_and_training_does() -> None:
    policy, tokens_BT = make_policy("llama"), random_tokens(2, 5)
    assert not policy.prefill(tokens_BT, torch.zeros(2, dtype=torch.long), 8)[0].requires_grad
    assert policy.hidden(tokens_BT).requires_grad


def test_no_dropout_not_even_in_training() -> None:
    """Else the policy that is trained would be another than the one that was sampled."""
    policy, tokens_BT = make_policy("gpt2", resid_pdrop=0.5, embd_pdrop=0.5, attn_pdrop=0.5), random_tokens(2, 5)
    policy.train()
    assert torch.equal(policy.hidden(tokens_BT), policy.hidden(tokens_BT))


@pytest.mark.parametrize("name", ["llama", "gpt2"])
def test_checkpointing_gives_the_same_gradients_and_keeps_less(name: str) -> None:
    tokens_BT = random_tokens(2, 9)
    gradients: list[list[Tensor]] = []
    kept: list[int] = []
    for checkpointing in (False, True):
        policy = make_policy(name, checkpointing=checkpointing)
        saved: list[int] = []

        def pack(tensor: Tensor, saved: list[int] = saved) -> Tensor:
            saved.append(tensor.numel())
            return tensor

        with torch.autograd.graph.saved_tensors_hooks(pack, lambda tensor: tensor):
            loss = policy.hidden(tokens_BT).square().sum()
        loss.backward()
        kept.append(sum(saved))
        gradients.append([p.grad for p in policy.parameters() if p.grad is not None])
    assert len(gradients[0]) > 10
    for plain, checkpointed in zip(*gradients, strict=True):
        torch.testing.assert_close(plain, checkpointed)
    assert kept[1] < kept[0] / 2


def test_a_deep_copy_with_checkpointing_is_its_own() -> None:
    """The reference model is one."""
    policy, tokens_BT = make_policy("llama", checkpointing=True), random_tokens(2, 5)
    reference = copy.deepcopy(policy)
    before_BTD = reference.hidden(tokens_BT).detach()
    with torch.no_grad():
        for parameter in policy.parameters():
            parameter.add_(0.1)
    assert torch.equal(reference.hidden(tokens_BT), before_BTD)
    assert not torch.allclose(policy.hidden(tokens_BT), before_BTD)


@pytest.mark.parametrize("name", ["qwen2", "gemma2", "gpt2"])
def test_what_is_saved_loads_again(name: str, tmp_path: Path) -> None:
    made, tokens_BT = make_policy(name), random_tokens(2, 7)
    made.save(tmp_path / "made")
    # transformers gives a model with the name of Qwen 2 the tokenizer of Qwen 2, whatever was saved
    policy = HuggingFacePolicy.load(str(tmp_path / "made"))
    policy.save(tmp_path / "again")
    loaded = HuggingFacePolicy.load(str(tmp_path / "again"))
    assert torch.equal(loaded.hidden(tokens_BT), made.hidden(tokens_BT))
    assert all(torch.equal(a, b) for a, b in zip(loaded.parameters(), made.parameters(), strict=True))
    text = "<think>\nTwo, and 2 more: é\n</think> \\boxed{4}"
    ids = policy.tokenizer.encode(text)
    assert loaded.tokenizer.encode(text) == ids and loaded.tokenizer.decode(ids) == text
    assert loaded.tokenizer.end_ids == policy.tokenizer.end_ids


def test_options_of_loading(tmp_path: Path) -> None:
    make_policy("llama").save(tmp_path)
    policy = HuggingFacePolicy.load(str(tmp_path), dtype="bfloat16", attention="eager", checkpointing=True)
    assert {parameter.dtype for parameter in policy.parameters()} == {torch.bfloat16}
    assert policy.model.config._attn_implementation == "eager"
    tokens_BT = random_tokens(2, 5)
    policy.hidden(tokens_BT).float().sum().backward()
    logits_BV, _ = policy.prefill(tokens_BT, torch.tensor([0, 2]), 8)
    torch.testing.assert_close(logits_BV[1], own_logits(policy, tokens_BT[1:, 2:])[0, -1], atol=0.1, rtol=0.05)


def test_the_tokenizer(tmp_path: Path) -> None:
    policy = make_policy("llama")
    policy.model.generation_config.eos_token_id = [7, 9]
    policy.save(tmp_path)
    tokenizer = HuggingFacePolicy.load(str(tmp_path)).tokenizer
    assert tokenizer.end_ids == {7, 9, tokenizer.inner.eos_token_id}
    assert tokenizer.pad_id == tokenizer.inner.pad_token_id
    ids = tokenizer.encode("4<|im_end|>")
    assert ids[-1] == tokenizer.inner.eos_token_id  # what the text names, and nothing that it does not
    assert tokenizer.decode([tokenizer.pad_id, *ids, 7, tokenizer.pad_id]) == "4"


def test_conversations() -> None:
    tokenizer = make_tokenizer()
    text = tokenizer.render([{"role": "user", "content": "2 + 2?"}])
    assert text == "<|im_start|>user\n2 + 2?<|im_end|>\n<|im_start|>assistant\n"
    plain = copy.deepcopy(tokenizer)
    plain.inner.chat_template = None
    with pytest.raises(UsageError, match="no chat template"):
        plain.render([])


def test_a_checkpoint_whose_generation_config_contradicts_itself_can_be_saved(tmp_path: Path) -> None:
    """As several on the hub do: transformers refuses to write such a one, up to 5.19 at once, then if it changed."""
    make_policy("llama").save(tmp_path)
    transformers.GenerationConfig(eos_token_id=END, do_sample=True, temperature=0.6).save_pretrained(tmp_path)
    written = tmp_path / "generation_config.json"
    written.write_text(written.read_text().replace('"do_sample": true', '"do_sample": false'))
    policy = HuggingFacePolicy.load(str(tmp_path))
    policy.model.generation_config.max_length = 40
    policy.save(tmp_path / "again")
    assert HuggingFacePolicy.load(str(tmp_path / "again")).tokenizer.end_ids == policy.tokenizer.end_ids


def test_a_head_that_is_more_than_scale_and_softcap_is_refused() -> None:
    policy = make_policy("cohere")
    policy.model.config.logit_scale = 0.5  # the model read its own when it was made
    with pytest.raises(UsageError, match="CohereForCausalLM computes its logits in a way"):
        policy.check_head()


def test_what_is_not_there_is_said(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match=r"there is no folder \./nowhere"):
        HuggingFacePolicy.load("./nowhere")
    (tmp_path / "config.json").write_text('{"model_type": "llama"}')
    with pytest.raises(UsageError, match="transformers cannot load"):
        HuggingFacePolicy.load(str(tmp_path))


@pytest.mark.parametrize("name", ["llama", "gpt2"])
def test_more_tokens_than_the_model_takes(name: str) -> None:
    policy = make_policy(name)
    with pytest.raises(UsageError, match="65 tokens, prompt and completion together: this model takes 64"):
        policy.hidden(random_tokens(1, 65))
    with pytest.raises(UsageError, match="65 tokens"):
        policy.prefill(random_tokens(1, 5), torch.zeros(1, dtype=torch.long), capacity=65)


def test_a_state_that_is_not_keys_and_values_is_refused() -> None:
    torch.manual_seed(0)
    config = transformers.Qwen3NextConfig(
        **SHAPE, layer_types=["linear_attention", "full_attention"], num_experts=0, linear_num_value_heads=2
    )
    policy = HuggingFacePolicy(transformers.AutoModelForCausalLM.from_config(config), make_tokenizer())
    with pytest.raises(UsageError, match="LinearAttentionLayer: sample with vLLM"):
        policy.prefill(random_tokens(1, 5), torch.zeros(1, dtype=torch.long), capacity=8)
