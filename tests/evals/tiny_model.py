"""Write a tiny causal language model with a real fast tokenizer and a chat template to a folder: no network, one seed.

    python tests/evals/tiny_model.py FOLDER

Qwen2-shaped, under 500,000 parameters, untrained: what it writes is noise, and of any length.
"""

import argparse
from pathlib import Path

import torch
from tokenizers import Tokenizer, decoders, models, pre_tokenizers, trainers
from transformers import PreTrainedTokenizerFast, Qwen2Config, Qwen2ForCausalLM

VOCABULARY = 512
CONTEXT = 4096
END, START, PAD = "<|im_end|>", "<|im_start|>", "<|endoftext|>"
CHAT_TEMPLATE = (
    "{% for message in messages %}"
    "{{ '<|im_start|>' + message['role'] + '\n' + message['content'] + '<|im_end|>' + '\n' }}"
    "{% endfor %}"
    "{% if add_generation_prompt %}{{ '<|im_start|>assistant\n' }}{% endif %}"
)
# What the tokenizer learns its merges from.
_TEXT = [
    "Please reason step by step, and put your final answer within \\boxed{}.",
    "<think>\nLet x be the number of apples. Then 2x + 3 = 11, so x = 4.\n</think>\nThe answer is \\boxed{4}.",
    "Find the remainder when 2^{100} is divided by 1000. A conversation between User and Assistant.",
]


def make_tokenizer() -> PreTrainedTokenizerFast:
    tokenizer = Tokenizer(models.BPE())
    tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    tokenizer.decoder = decoders.ByteLevel()
    trainer = trainers.BpeTrainer(
        vocab_size=VOCABULARY,
        special_tokens=[PAD, START, END],
        initial_alphabet=pre_tokenizers.ByteLevel.alphabet(),
        show_progress=False,
    )
    tokenizer.train_from_iterator(_TEXT, trainer)
    fast = PreTrainedTokenizerFast(tokenizer_object=tokenizer, eos_token=END, pad_token=PAD, model_max_length=CONTEXT)
    fast.chat_template = CHAT_TEMPLATE
    return fast


def make_model(vocabulary: int, end_id: int) -> Qwen2ForCausalLM:
    torch.manual_seed(0)
    config = Qwen2Config(
        vocab_size=vocabulary,
        hidden_size=128,
        intermediate_size=256,
        num_hidden_layers=2,
        num_attention_heads=4,  # of 32: vLLM's kernels for CPUs know no smaller ones
        num_key_value_heads=2,
        max_position_embeddings=CONTEXT,
        tie_word_embeddings=False,
        eos_token_id=end_id,
        bos_token_id=None,
        initializer_range=0.1,  # so that the next token depends on what stands before it
    )
    return Qwen2ForCausalLM(config)


def make(folder: Path) -> Path:
    """The folder, ready for `from_pretrained` and for vLLM."""
    tokenizer = make_tokenizer()
    tokenizer.save_pretrained(folder)
    end_id = tokenizer.convert_tokens_to_ids(END)
    model = make_model(len(tokenizer), end_id)
    model.generation_config.eos_token_id = end_id
    model.generation_config.repetition_penalty = 1.5  # as Qwen's checkpoints: an engine that heeds it is found out
    model.save_pretrained(folder)
    return folder


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("folder", type=Path)
    print(make(parser.parse_args().folder))
