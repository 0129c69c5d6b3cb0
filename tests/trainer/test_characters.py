"""The character tokenizer beside the file it writes for transformers."""

from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from rlvr.evals.errors import UsageError
from rlvr.trainer.characters import END, PAD, Characters
from tokenizers import Tokenizer
from transformers import AutoTokenizer

ALPHABET = "0123456789+= \n<>/thinké"
TAGS = ("<think>", "</think>", "<think>\n")
CHARACTERS = Characters(ALPHABET, TAGS)
texts = st.lists(st.sampled_from([*ALPHABET, *TAGS])).map("".join)


@given(texts)
def test_text_survives(text: str) -> None:
    ids = CHARACTERS.encode(text)
    assert CHARACTERS.decode(ids) == text
    assert CHARACTERS.decode([0, *ids, 1, 0]) == text
    assert not CHARACTERS.end_ids & set(ids)
    assert CHARACTERS.pad_id not in ids


def test_ids_by_hand() -> None:
    assert (CHARACTERS.pad_id, CHARACTERS.end_id, CHARACTERS.size) == (0, 1, 2 + len(TAGS) + len(ALPHABET))
    assert CHARACTERS.encode("<think>\n") == [4], "the longest tag"
    assert CHARACTERS.encode("<think>0") == [2, 5]
    assert CHARACTERS.encode("<thin") == [CHARACTERS.tokens.index(one) for one in "<thin"]
    assert CHARACTERS.encode("") == []


def test_an_unknown_character_is_named() -> None:
    with pytest.raises(UsageError, match=r'alphabet "01\\n" lacks the character \'é\''):
        Characters("01\n").encode("0é1")


@pytest.mark.parametrize(
    ("alphabet", "tags"),
    [("aa", ()), ("ab", ("a",)), ("ab", ("",)), ("ab", ("xy", "xy")), ("ab", (PAD,)), ("a", (END,))],
)
def test_what_cannot_be_told_apart_is_refused(alphabet: str, tags: tuple[str, ...]) -> None:
    with pytest.raises(ValueError, match="different"):
        Characters(alphabet, tags)


def test_saved_and_loaded(tmp_path: Path) -> None:
    CHARACTERS.save(tmp_path)
    assert Characters.load(tmp_path).tokens == CHARACTERS.tokens


@pytest.mark.parametrize("text", [None, "{", "[]", "{}", '{"alphabet": "aa", "tags": []}'])
def test_a_folder_without_one_is_refused(tmp_path: Path, text: str | None) -> None:
    if text is not None:
        (tmp_path / "characters.json").write_text(text)
    with pytest.raises(UsageError, match=r"characters\.json: not a tokenizer that rlvr saved"):
        Characters.load(tmp_path)


def test_the_file_for_transformers_cuts_alike(tmp_path: Path) -> None:
    CHARACTERS.save(tmp_path)
    theirs = Tokenizer.from_file(str(tmp_path / "tokenizer.json"))

    @given(texts)
    def same(text: str) -> None:
        ids = theirs.encode(text, add_special_tokens=False).ids
        assert ids == CHARACTERS.encode(text)
        assert theirs.decode([*ids, 1, 0]) == text

    same()


def test_transformers_opens_it(tmp_path: Path) -> None:
    CHARACTERS.save(tmp_path)
    theirs = AutoTokenizer.from_pretrained(tmp_path)
    assert (theirs.pad_token_id, theirs.eos_token_id, len(theirs)) == (0, 1, CHARACTERS.size)
    assert theirs.encode("<think>1+1= \n") == CHARACTERS.encode("<think>1+1= \n")
    assert theirs.decode(CHARACTERS.encode("1 + 1 =")) == "1 + 1 ="
    messages = [{"role": "user", "content": "1+1="}]
    assert theirs.apply_chat_template(messages, tokenize=False, add_generation_prompt=True) == "1+1="
