"""A tokenizer whose tokens are characters, and tags such as `<think>` where they are asked for."""

import json
import re
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from tokenizers import AddedToken, Regex, Tokenizer, decoders, models, pre_tokenizers

from ..evals.errors import UsageError

PAD, END = "<pad>", "<end>"
_FILE = "characters.json"


class Characters:
    """Ids: 0 pads, 1 ends, then the tags, then the alphabet. Text is cut into the longest tag that starts where it
    stands, else one character.

    Raises ValueError for a repeated character, or a tag that is a single character, repeated or reserved.

    >>> characters = Characters("0123456789+=", tags=("<think>",))
    >>> characters.encode("<think>1+1=2")
    [2, 4, 13, 4, 14, 5]
    >>> characters.decode([2, 4, 13, 4, 14, 5, 1, 0])
    '<think>1+1=2'
    """

    pad_id = 0
    end_id = 1
    end_ids = frozenset({1})

    def __init__(self, alphabet: str, tags: Sequence[str] = ()) -> None:
        self.alphabet, self.tags = alphabet, tuple(tags)
        self.tokens = (PAD, END, *self.tags, *alphabet)
        self.size = len(self.tokens)
        self._ids = {token: index for index, token in enumerate(self.tokens)}
        if len(self._ids) != self.size or any(len(tag) < 2 for tag in self.tags):
            raise ValueError("an alphabet of different characters and different tags of two and more is needed")
        longest_first = sorted(self.tags, key=len, reverse=True)
        self._piece = re.compile("|".join([*map(re.escape, longest_first), "."]), re.DOTALL)

    def encode(self, text: str) -> list[int]:
        """Raises UsageError that names a character outside the alphabet."""
        try:
            return [self._ids[piece] for piece in self._piece.findall(text)]
        except KeyError as error:
            known = json.dumps(self.alphabet, ensure_ascii=False)
            raise UsageError(f"the model's alphabet {known} lacks the character {error.args[0]!r}") from None

    def render(self, messages: Sequence[Mapping[str, str]]) -> str:
        """The messages' texts, simply joined, as the chat template does that `save` writes."""
        return "".join(message["content"] for message in messages)

    def decode(self, ids: Sequence[int]) -> str:
        """Without padding and end."""
        return "".join(self.tokens[index] for index in ids if index > self.end_id)

    def save(self, folder: Path) -> None:
        """`characters.json` for `load`; `tokenizer.json` and its config for transformers, vLLM and `rlvr eval`."""
        _write(folder / _FILE, {"alphabet": self.alphabet, "tags": self.tags})
        self._fast().save(str(folder / "tokenizer.json"))
        config = {"tokenizer_class": "TokenizersBackend", "pad_token": PAD, "eos_token": END}
        # A prompt is a text, not a chat: what a user's message says is what the model reads.
        template = "{% for message in messages %}{{ message['content'] }}{% endfor %}"
        plain = {"clean_up_tokenization_spaces": False, "chat_template": template}
        _write(folder / "tokenizer_config.json", config | plain)

    @classmethod
    def load(cls, folder: Path) -> "Characters":
        """What `save` wrote. Raises UsageError where there is none."""
        try:
            table: dict[str, Any] = json.loads((folder / _FILE).read_text(encoding="utf-8"))
            return cls(table["alphabet"], table["tags"])
        except (OSError, ValueError, KeyError, TypeError) as error:
            raise UsageError(f"{folder / _FILE}: not a tokenizer that rlvr saved: {error}") from None

    def _fast(self) -> Tokenizer:
        fast: Any = Tokenizer(models.WordLevel(self._ids))
        fast.pre_tokenizer = pre_tokenizers.Split(Regex(r"[\s\S]"), "isolated")
        fast.decoder = decoders.Fuse()
        fast.add_special_tokens([AddedToken(token, normalized=False) for token in (PAD, END)])
        fast.add_tokens([AddedToken(tag, normalized=False) for tag in self.tags])
        return fast


def _write(path: Path, table: dict[str, Any]) -> None:
    path.write_text(json.dumps(table, ensure_ascii=False, indent=2) + "\n", encoding="utf-8")
