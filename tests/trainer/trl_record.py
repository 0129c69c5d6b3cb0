"""Run TRL's own GRPO and RLOO trainers over hand-made rollouts and write what they compute: `make test-trl`.

Runs where TRL is installed, an environment of its own: `python tests/trainer/trl_record.py OUT.pt`. Only generation and
the reward functions are replaced; padding, masks, advantages, old and reference log-probabilities, the correction of
the sampler, the loss and the backward pass are TRL's code. `test_trl.py` compares ours with the file.
"""

import itertools
import sys
import tempfile
from pathlib import Path
from typing import Any

import torch
import trl
from datasets import Dataset
from tokenizers import Tokenizer
from tokenizers.models import WordLevel
from transformers import PreTrainedTokenizerFast, Qwen2Config, Qwen2ForCausalLM
from trl import GRPOConfig, GRPOTrainer, RLOOConfig, RLOOTrainer
from trl.trainer.utils import add_fused_lm_head, split_tensor_dict

VOCABULARY, PAD, END = 17, 0, 1
PROMPTS, GROUP, MAX_TOKENS = 2, 4, 7
GRPO_LOSSES = ("grpo", "bnpo", "dr_grpo", "dapo", "cispo", "sapo")
CORRECTIONS = (None, "token_truncate", "token_mask", "sequence_truncate", "sequence_mask")

torch.set_num_threads(1)


def tiny_model(seed: int) -> Qwen2ForCausalLM:
    torch.manual_seed(seed)
    shape = {"hidden_size": 8, "intermediate_size": 16, "num_attention_heads": 2, "num_key_value_heads": 1}
    config = Qwen2Config(vocab_size=VOCABULARY, num_hidden_layers=1, tie_word_embeddings=False, **shape)
    model = Qwen2ForCausalLM(config)
    for parameter in model.parameters():
        parameter.data.add_(torch.randn_like(parameter) * 0.25)
    return model


def tokenizer() -> PreTrainedTokenizerFast:
    words = {"<pad>": PAD, "<end>": END, **{f"w{i}": i for i in range(2, VOCABULARY)}}
    model = Tokenizer(WordLevel(words, unk_token="w2"))
    return PreTrainedTokenizerFast(tokenizer_object=model, pad_token="<pad>", eos_token="<end>", unk_token="w2")


def rollout(seed: int) -> dict[str, Any]:
    """Ragged prompts and completions, some without an end, one without a reward and one token without a probability."""
    generator = torch.Generator().manual_seed(seed)

    def ids(n: int) -> list[int]:
        return torch.randint(2, VOCABULARY, (n,), generator=generator).tolist()

    prompts = [prompt for n in (3, 2) for prompt in [ids(n)] * GROUP]
    lengths = torch.randint(1, MAX_TOKENS + 1, (PROMPTS * GROUP,), generator=generator).tolist()
    lengths[seed % 8] = MAX_TOKENS
    completions = [ids(n) if n == MAX_TOKENS else [*ids(n - 1), END] for n in lengths]
    sampled = [(torch.rand(n, generator=generator) * 2 - 3.8).tolist() for n in lengths]
    sampled[(seed + 3) % 8][0] = None
    rewards = torch.rand(PROMPTS * GROUP, generator=generator).round(decimals=1)
    rewards[(seed + 5) % 8] = torch.nan
    return {"prompts": prompts, "completions": completions, "sampled": sampled, "rewards": rewards}


def make_trainer(kind: type, config: type) -> Any:
    arguments = config(
        output_dir=tempfile.mkdtemp(),
        use_cpu=True,
        bf16=False,
        report_to=[],
        num_generations=GROUP,
        per_device_train_batch_size=PROMPTS * GROUP,
        max_completion_length=MAX_TOKENS,
        num_iterations=2,
        beta=0.0,
    )
    trainer = kind(
        model=tiny_model(0),
        args=arguments,
        processing_class=tokenizer(),
        reward_funcs=lambda completions, **_: [0.0] * len(completions),
        train_dataset=Dataset.from_dict({"prompt": ["w3"] * PROMPTS}),
    )
    trainer.model.train()
    trainer.ref_model = tiny_model(2)
    add_fused_lm_head(trainer.ref_model, temperature=trainer.temperature)
    return trainer


def configure(trainer: Any, case: dict[str, Any]) -> None:
    """What a trainer reads of its arguments after it was made, set anew."""
    for name, value in case.items():
        setattr(trainer.args, name, value)
        if hasattr(trainer, name):
            setattr(trainer, name, value)
    steps = case["gradient_accumulation_steps"]
    trainer.args.steps_per_generation = trainer.current_gradient_accumulation_steps = steps
    trainer.epsilon_low, trainer.epsilon_high = case["epsilon"], case["epsilon_high"]


def record(trainer: Any, case: dict[str, Any], seed: int) -> dict[str, Any]:
    configure(trainer, case)
    made = rollout(seed)
    grpo = isinstance(trainer, GRPOTrainer)
    texts = ["" for _ in made["completions"]]
    trainer._generate = lambda _: (
        (made["prompts"], made["completions"], None, texts, made["sampled"], {}, None, None)
        if grpo
        else (made["prompts"], made["completions"], texts)
    )
    trainer._calculate_rewards = lambda *_: made["rewards"][:, None].clone()
    trainer.model.load_state_dict(tiny_model(0).state_dict())
    inputs = trainer._generate_and_score_completions([{"prompt": "w3"} for _ in texts])
    torch.manual_seed(seed)
    for parameter in trainer.model.parameters():
        parameter.data.add_(torch.randn_like(parameter) * 0.1)
    trainer.model.zero_grad()
    steps = case["gradient_accumulation_steps"]
    # RLOO leaves the division by the number of micro-batches to transformers' training step.
    parts = [micro_batch(trainer, part, 1 if grpo else steps) for part in split_tensor_dict(inputs, steps)]
    head = trainer.model.lm_head.weight
    return {
        "case": case,
        "trainer": "grpo" if grpo else "rloo",
        "rewards": made["rewards"].view(PROMPTS, GROUP),
        "advantages": inputs["advantages"].view(PROMPTS, GROUP),
        "weight": head.detach().clone(),
        "weight_gradient": head.grad.clone(),
        "parts": parts,
    }


def micro_batch(trainer: Any, inputs: dict[str, Any], divisor: int) -> dict[str, Any]:
    seen: dict[str, Any] = {}

    def keep_hidden(_module: Any, _args: Any, output: Any) -> None:
        output.last_hidden_state.retain_grad()
        seen["hidden"] = output.last_hidden_state

    original = trainer._get_per_token_logps_and_entropies

    def keep_logps(*args: Any, **kwargs: Any) -> Any:
        seen["logps"], seen["entropies"], extra = original(*args, **kwargs)
        seen["logps"].retain_grad()
        return seen["logps"], seen["entropies"], extra

    hook = trainer.model.model.register_forward_hook(keep_hidden)
    trainer._get_per_token_logps_and_entropies = keep_logps
    loss = trainer.compute_loss(trainer.model, inputs) / divisor
    loss.backward()
    hook.remove()
    trainer._get_per_token_logps_and_entropies = original
    length = inputs["completion_ids"].size(1)
    tensors = {
        "loss": loss,
        "logps": seen["logps"],
        "entropies": seen["entropies"],
        "logps_gradient": seen["logps"].grad,
        "hidden": seen["hidden"][:, -length - 1 : -1],
        "hidden_gradient": seen["hidden"].grad[:, -length - 1 : -1],
        **{name: value for name, value in inputs.items() if isinstance(value, torch.Tensor)},
    }
    return {name: value.detach().clone() for name, value in tensors.items()}


PLAIN: dict[str, Any] = {
    "loss_type": "grpo",
    "importance_sampling_level": "token",
    "beta": 0.0,
    "use_bias_correction_kl": True,
    "epsilon": 0.2,
    "epsilon_high": 0.28,
    "delta": None,
    "mask_truncated_completions": False,
    "top_entropy_quantile": 1.0,
    "use_vllm": False,
    "vllm_importance_sampling_correction": True,
    "vllm_importance_sampling_mode": "sequence_mask",
    "vllm_importance_sampling_clip_max": 3.0,
    "vllm_importance_sampling_clip_min": None,
    "off_policy_mask_threshold": None,
    "scale_rewards": "group",
    "num_iterations": 2,
    "gradient_accumulation_steps": 1,
}


def grpo_cases() -> list[dict[str, Any]]:
    product = itertools.product(
        GRPO_LOSSES, ("token", "sequence"), ((0.0, True), (0.1, True), (0.1, False)), CORRECTIONS, (False, True), (1, 2)
    )
    cases = [
        PLAIN
        | {"loss_type": loss, "importance_sampling_level": level, "beta": beta, "use_bias_correction_kl": corrected}
        | {"use_vllm": mode is not None, "vllm_importance_sampling_mode": mode or "sequence_mask"}
        | {"mask_truncated_completions": truncated, "gradient_accumulation_steps": steps}
        | {"epsilon_high": 1.1 if loss == "cispo" else 0.28}
        for loss, level, (beta, corrected), mode, truncated, steps in product
    ]
    more: list[dict[str, Any]] = [
        {"top_entropy_quantile": 0.5, "beta": 0.1},
        {"top_entropy_quantile": 0.2},
        {"off_policy_mask_threshold": 0.05},
        {"off_policy_mask_threshold": 0.3, "use_vllm": True},
        {"num_iterations": 1, "beta": 0.1},
        {"num_iterations": 1, "use_vllm": True, "vllm_importance_sampling_mode": "token_truncate"},
        {"use_vllm": True, "vllm_importance_sampling_mode": "token_mask", "vllm_importance_sampling_clip_min": 0.5},
        {"use_vllm": True, "vllm_importance_sampling_mode": "token_truncate", "vllm_importance_sampling_clip_min": 0.5},
        {"scale_rewards": "batch"},
        {"scale_rewards": "none"},
        {"delta": 1.4, "beta": 0.1},
    ]
    for loss, level, change, steps in itertools.product(GRPO_LOSSES, ("token", "sequence"), more, (1, 2)):
        high = 1.1 if loss == "cispo" else 0.28
        where = {"loss_type": loss, "importance_sampling_level": level, "epsilon_high": high}
        cases.append(PLAIN | where | {"gradient_accumulation_steps": steps} | change)
    return cases


def rloo_cases() -> list[dict[str, Any]]:
    plain = {"beta": 0.0, "epsilon": 0.2, "epsilon_high": 0.28}
    return [
        plain
        | {"mask_truncated_completions": truncated, "normalize_advantages": normal, "gradient_accumulation_steps": n}
        for truncated, normal, n in itertools.product((False, True), (False, True), (1, 2))
    ]


def main(out: Path) -> None:
    records: list[dict[str, Any]] = []
    for kind, config, cases in ((GRPOTrainer, GRPOConfig, grpo_cases()), (RLOOTrainer, RLOOConfig, rloo_cases())):
        trainer = make_trainer(kind, config)
        records += [record(trainer, case, seed) for seed, case in enumerate(cases)]
    out.parent.mkdir(parents=True, exist_ok=True)
    torch.save({"trl": trl.__version__, "records": records}, out)
    print(f"{len(records)} combinations by TRL {trl.__version__} written to {out}")


if __name__ == "__main__":
    main(Path(sys.argv[1]))
