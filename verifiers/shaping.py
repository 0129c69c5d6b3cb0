"""Penalties for length and repetition: amounts in [0, 1], 0 is best, which `weighted` takes with a negative weight.

As a gate or a part of `all_of` they go by status; their scores run the other way round than those of other verifiers.
"""

import re

from .language import UNSPACED
from .types import Completion, Problem, Verdict, not_judged

# A loop that never writes a space is cut into words of 20 characters, or it would be one word and no repetition.
_WORD = re.compile(rf"[{UNSPACED}]|[^\s{UNSPACED}]{{1,20}}")
_MOST_CHARACTERS = 1_000_000


def length_penalty(problem: Problem, completion: Completion, /, *, max_tokens: int, cache_tokens: int) -> Verdict:
    """DAPO's soft overlong punishment as an amount: 0 up to `max_tokens - cache_tokens`, rising to 1 at `max_tokens`.

    `max_tokens` is the limit of generation (L_max in the paper, 16,384 + 4,096 tokens there) and `cache_tokens` the
    width of the slope before it (L_cache, 4,096); 0 makes it a step. The length is `completion.n_tokens`; where nobody
    counted, the score is None (`no_token_count`). `status` is `correct` at 0, else `wrong`.

    Raises ValueError unless 0 <= cache_tokens <= max_tokens.
    Source: DAPO, arXiv:2503.14476, equation 13 (there negative: give it the weight -1) and section 4.1.

    >>> from functools import partial
    >>> from rlvr.verifiers import Completion, Problem, length_penalty, verify_math, weighted
    >>> overlong = partial(length_penalty, max_tokens=16384 + 4096, cache_tokens=4096)
    >>> reward = weighted(correct=(1.0, verify_math), length=(-1.0, overlong))
    >>> reward(Problem("1", answer="4"), Completion("The answer is 4", n_tokens=17408)).score
    0.75
    """
    if not 0 <= cache_tokens <= max_tokens:
        raise ValueError(f"0 <= cache_tokens <= max_tokens, not cache_tokens={cache_tokens}, max_tokens={max_tokens}")
    if completion.n_tokens is None:
        return not_judged("no_token_count", "length_penalty reads Completion.n_tokens")
    free = max_tokens - cache_tokens
    amount = min(max(completion.n_tokens - free, 0) / max(cache_tokens, 1), 1.0)
    detail = f"{completion.n_tokens} tokens, {free} without penalty, {max_tokens} at most"
    if amount == 0:
        return Verdict(0.0, "correct", "within_length", detail=detail)
    return Verdict(amount, "wrong", "over_length", detail=detail)


def repetition_penalty(problem: Problem, completion: Completion, /, *, n: int = 40, at_most: float = 0.0) -> Verdict:
    """The share of n-grams that stood before, as an amount: 1 - distinct / total; 0 for fewer than n words.

    Words are set apart by white space and compared in lower case; in scripts written without spaces (Chinese, Japanese,
    Thai, Lao, Khmer, Burmese, Tibetan) every character is a word, and a longer run than 20 characters is cut into
    words of 20. Only the last million characters are read, where a loop stands.

    `status` is `correct` while the amount is `at_most` that much, else `wrong`; the score is the amount either way.
    With n = 40 (the source's) ordinary reasoning scores 0 or little and a loop nears 1. A small n (3 in open-r1) also
    counts the phrases that any text repeats; set `at_most` before using that as a gate.

    Raises ValueError unless n >= 1 and 0 <= at_most <= 1.
    Source: Yeo et al. 2025, "Demystifying Long Chain-of-Thought Reasoning in LLMs", arXiv:2502.03373, appendix C.2; the
    share is `get_repetition_penalty` in its code.

    >>> from rlvr.verifiers import Completion, Problem, repetition_penalty
    >>> repetition_penalty(Problem("1"), Completion("no wait no wait no wait"), n=2).score
    0.6
    """
    if n < 1 or not 0 <= at_most <= 1:
        raise ValueError(f"n >= 1 and 0 <= at_most <= 1, not n={n}, at_most={at_most}")
    words = _WORD.findall(completion.text[-_MOST_CHARACTERS:].lower())
    total = len(words) - n + 1
    repeated = total - _distinct_ngrams(words, n) if total > 0 else 0
    amount = repeated / max(total, 1)
    detail = f"{repeated} of {max(total, 0)} {n}-grams stood before"
    if amount <= at_most:
        return Verdict(amount, "correct", "not_repetitive", detail=detail)
    return Verdict(amount, "wrong", "repetitive", detail=detail)


def _distinct_ngrams(words: list[str], n: int) -> int:
    """How many different n-grams there are, in len(words) * log2(n) steps.

    An n-gram is known by its first and its last k-gram, n/2 <= k < n: numbering pairs of numbers doubles the length.
    """
    known: dict[str, int] = {}
    numbers = [known.setdefault(word, len(known)) for word in words]
    length = 1
    while length < n:
        step = min(length, n - length)
        pairs: dict[tuple[int, int], int] = {}
        numbers = [pairs.setdefault(pair, len(pairs)) for pair in zip(numbers, numbers[step:], strict=False)]
        length += step
    return len(set(numbers))
