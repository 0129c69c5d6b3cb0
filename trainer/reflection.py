"""Reflection words in what a policy writes: the sign by which DeepSeek-R1-Zero's learning to think again was seen."""

import re
from collections.abc import Iterable, Sequence
from functools import cache

from ..verifiers.language import UNSPACED

REFLECTION_WORDS = ("wait", "mistake", "however", "but", "retry", "error", "verify", "wrong", "evaluate", "check")
"""Those that DeepSeek counted: "DeepSeek-R1 incentivizes reasoning in LLMs through reinforcement learning", Nature 645
(2025), doi:10.1038/s41586-025-09422-z, extended data figure 1."""


def count_reflections(text: str, words: Sequence[str] = REFLECTION_WORDS) -> dict[str, int]:
    """How often each word, or phrase, stands in a completion: whole words in upper or lower case, any space in phrases.

    Raises ValueError for a word without letters or digits.

    >>> count_reflections("Wait, wait. Butter! Let me\\ncheck.", ("wait", "but", "let me check"))
    {'wait': 2, 'but': 0, 'let me check': 1}
    """
    folded = text.casefold()
    return {word: sum(1 for _ in pattern.finditer(folded)) for word, pattern in _patterns(tuple(words)).items()}


def reflection_metrics(texts: Iterable[str], words: Sequence[str] = REFLECTION_WORDS) -> dict[str, float]:
    """`reflection`: the share of completions with at least one of the words; `reflection/WORD`: how often each stands
    in a completion, on average. Nothing for no completions.

    Raises ValueError for a word without letters or digits.
    """
    counts = [count_reflections(text, words) for text in texts]
    if not counts or not words:
        return {}
    share = sum(any(count.values()) for count in counts) / len(counts)
    each = {f"reflection/{word}": sum(count[word] for count in counts) / len(counts) for word in words}
    return {"reflection": share, **each}


@cache
def _patterns(words: tuple[str, ...]) -> dict[str, re.Pattern[str]]:
    return {word: re.compile(_pattern(word)) for word in words}


def _pattern(word: str) -> str:
    if not any(character.isalnum() for character in word):
        raise ValueError(f"{word!r} is no word to look for")
    phrase = r"\s++".join(map(re.escape, word.casefold().split()))
    if re.search(f"[{UNSPACED}]", word):  # written without spaces: words have no edges to look for
        return phrase
    return rf"(?<!\w){phrase}(?!\w)"
