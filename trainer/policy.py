"""What the trainer and the sampler need of a model: few functions over token ids, whoever wrote the model.

Axes: P prompts, B rows, T positions, D hidden size, V vocabulary.
"""

from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, Protocol

from torch import Tensor, nn

from .logprobs import Head


class Tokenizer(Protocol):
    """Text to token ids and back."""

    @property
    def end_ids(self) -> frozenset[int]:
        """A completion ends with one of them."""
        ...

    @property
    def end_id(self) -> int:
        """The one of them that ends what the model is fine-tuned to write."""
        ...

    @property
    def pad_id(self) -> int: ...

    def encode(self, text: str) -> list[int]:
        """Of a prompt that is rendered already: nothing is added."""
        ...

    def render(self, messages: Sequence[Mapping[str, str]]) -> str:
        """A conversation as the text that the model goes on from. Raises UsageError without a chat template."""
        ...

    def decode(self, ids: Sequence[int]) -> str:
        """Without end and padding tokens."""
        ...

    def save(self, folder: Path) -> None: ...


class Cache(Protocol):
    """Keys and values of the tokens so far, in memory that was taken once; every row at the same position."""

    def repeat(self, times: int) -> None:
        """P rows become P · times, the copies of a row side by side: a group reads its prompt once."""
        ...

    def keep(self, rows_K: Tensor) -> None:
        """Only these rows, in this order."""
        ...


class Policy(Protocol):
    """An `nn.Module` that is trained and sampled from.

    Training rows are padded on the right: under causal attention nothing that counts sees the padding, so there is no
    mask. Prompts are padded on the left for sampling, so that every row writes the same position of the cache.
    """

    @property
    def tokenizer(self) -> Tokenizer: ...

    def hidden(self, tokens_BT: Tensor, positions_BT: Tensor | None = None) -> Tensor:
        """(B, T, D): the last hidden states, positions 0 to T - 1.

        Or at `positions_BT`, where a row holds several examples: each begins at position 0 and sees only itself.
        """
        ...

    def head(self, temperature: float = 1.0) -> Head:
        """How hidden states become logits."""
        ...

    def prefill(self, tokens_PT: Tensor, start_P: Tensor, capacity: int) -> tuple[Tensor, Cache]:
        """(P, V) logits after the last position, and a cache for `capacity` positions. `start_P`: padding per row."""
        ...

    def step(self, tokens_B: Tensor, cache: Any) -> Tensor:
        """(B, V) logits after one more token of each row. `cache` is one that this policy made."""
        ...

    def save(self, folder: Path) -> None:
        """Weights, config and tokenizer, as `load_policy` reads them."""
        ...

    # of nn.Module
    def parameters(self, recurse: bool = True) -> Iterator[nn.Parameter]: ...
    def train(self, mode: bool = True) -> nn.Module: ...
    def eval(self) -> nn.Module: ...
