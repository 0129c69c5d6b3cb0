"""Reflection words, counted by hand."""

import pytest
from rlvr.trainer.reflection import REFLECTION_WORDS, count_reflections, reflection_metrics


@pytest.mark.parametrize(
    ("text", "word", "count"),
    [
        ("Wait, wait. WAIT! That's an aha moment.", "wait", 3),
        ("waiting, awaited, wait_for", "wait", 0),
        ('wait... wait—wait wait\'s "wait"', "wait", 5),
        ("a button, but a butter", "but", 1),
        ("recheck, check-sum, checks, check", "check", 2),
        ("$x$wait", "wait", 1),
        ("", "wait", 0),
        ("Let me\n  check", "let me check", 1),
        ("let me checkmate", "let me check", 0),
        ("C++ or c++", "C++", 2),
        ("STRASSE Straße", "straße", 2),
        ("等等，我等等看", "等等", 2),
        ("a\x00wait\ud800", "wait", 1),
    ],
)
def test_counts(text: str, word: str, count: int) -> None:
    assert count_reflections(text, (word,)) == {word: count}


def test_the_words_of_the_paper_are_found_each() -> None:
    text = "However, this is an error: a mistake, but wrong. Wait, retry; evaluate, check and verify."
    assert count_reflections(text) == dict.fromkeys(REFLECTION_WORDS, 1)
    assert len(REFLECTION_WORDS) == 10


def test_metrics() -> None:
    texts = ["Wait, wait.", "But no.", "42", "So 7."]
    found = reflection_metrics(texts)
    assert found.keys() == {"reflection", *(f"reflection/{word}" for word in REFLECTION_WORDS)}
    assert {name: value for name, value in found.items() if value} == {
        "reflection": 0.5, "reflection/wait": 0.5, "reflection/but": 0.25,
    }  # fmt: skip
    assert reflection_metrics([]) == reflection_metrics(texts, ()) == {}


@pytest.mark.parametrize("word", ["", " ", "…"])
def test_what_is_no_word_is_refused(word: str) -> None:
    with pytest.raises(ValueError, match="is no word to look for"):
        count_reflections("text", (word,))


def test_long_hostile_text_takes_linear_work() -> None:
    assert count_reflections("let " * 200_000 + " " * 1_000_000, ("let me", "wait")) == {"let me": 0, "wait": 0}
