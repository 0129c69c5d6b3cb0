"""verify_format: what is well formed, what is said of the rest, and that partial credit cannot be gamed."""

import pickle
import re
from functools import partial

import pytest
from hypothesis import given
from hypothesis import strategies as st
from rlvr.verifiers import REASONS, Completion, Problem, verify_format

PROBLEM = Problem("1")

TAGS = [
    # text, reason, a part of the detail
    ("<think>2+2</think><answer>4</answer>", "well_formed", None),
    ("\n <think>\n2+2\n</think>\n\n<answer>\n4\n</answer>\u3000\n", "well_formed", None),
    ("<think>a < b, <b>so</b></think><answer>x<y</answer>", "well_formed", None),
    ("", "missing_tag", "no <think>"),
    ("4", "missing_tag", "no <think>"),
    ("<think>2+2</think>4", "missing_tag", "no <answer>"),
    ("2+2</think><answer>4</answer>", "missing_tag", "no <think>"),
    ("<think>2+2<answer>4</answer>", "missing_tag", "no </think>"),
    ("<THINK>2+2</THINK><ANSWER>4</ANSWER>", "missing_tag", "no <think>"),
    ("<think >2+2</think><answer>4</answer>", "missing_tag", "no <think>"),
    ("<think><think>2+2</think><answer>4</answer>", "repeated_tag", "<think> stands 2 times"),
    ("<think>I use <answer> tags</think><answer>4</answer>", "repeated_tag", "<answer> stands 2 times"),
    ("<think>a</think><answer>3</answer><answer>4</answer>", "repeated_tag", "<answer> stands 2 times"),
    ("<answer>4</answer><think>2+2</think>", "wrong_order", "<answer> stands before </think>"),
    ("</think>2+2<think><answer>4</answer>", "wrong_order", "</think> stands before <think>"),
    ("<think>2+2<answer>4</answer></think>", "wrong_order", "<answer> stands before </think>"),
    ("Sure! <think>2+2</think><answer>4</answer>", "text_outside", "'Sure!'"),
    ("<think>2+2</think>so<answer>4</answer>", "text_outside", "'so'"),
    ("<think>2+2</think><answer>4</answer><|im_end|>", "text_outside", "'<|im_end|>'"),
    ("<think>2+2</think><answer>4</answer>" + "x\n" * 50, "text_outside", repr("x\n" * 20)),
    ("<think>2+2</think><answer>4</answer>\0", "text_outside", r"'\x00'"),
    ("\ud800<think>2+2</think><answer>4</answer>", "text_outside", r"'\ud800'"),
    ("<think> \n</think><answer>4</answer>", "empty_section", "nothing in <think>"),
    ("<think>2+2</think><answer></answer>", "empty_section", "nothing in <answer>"),
]

CHAT = [
    ("<think>2+2</think>4", "well_formed", None),
    ("\n<think>2+2</think>\n\nThe answer is <answer>4</answer>.", "well_formed", None),
    ("4", "missing_tag", "no <think>"),
    ("<think>2+2", "missing_tag", "no </think>"),
    ("2+2</think>4", "missing_tag", "no <think>"),
    ("<think>2+2</think>4</think>5", "repeated_tag", "</think> stands 2 times"),
    ("</think>4<think>", "wrong_order", "</think> stands before <think>"),
    ("Hm. <think>2+2</think>4", "text_outside", "'Hm.'"),
    ("<think></think>4", "empty_section", "nothing in <think>"),
    ("<think>2+2</think> \n", "empty_section", "nothing after </think>"),
]

PREFILLED = [
    ("2+2</think><answer>4</answer>", "well_formed", None),
    ("\n2+2</think>\n<answer>4</answer>", "well_formed", None),
    ("<think>2+2</think><answer>4</answer>", "repeated_tag", "the prompt ended in it"),
    ("</think><answer>4</answer>", "empty_section", "nothing in <think>"),
    ("2+2<answer>4</answer>", "missing_tag", "no </think>"),
    ("", "missing_tag", "no </think>"),
]


@pytest.mark.parametrize(
    ("options", "text", "reason", "detail"),
    [
        *(({}, *case) for case in TAGS),
        *(({"style": "chat"}, *case) for case in CHAT),
        *(({"prefilled": True}, *case) for case in PREFILLED),
    ],
)
def test_reason_and_detail(options, text, reason, detail):
    verdict = verify_format(PROBLEM, Completion(text), **options)
    assert verdict.reason == reason
    assert reason in REASONS
    assert (verdict.score, verdict.status) == ((1.0, "correct") if reason == "well_formed" else (0.0, "wrong"))
    if detail:
        assert verdict.detail is not None
        assert detail in verdict.detail
        assert "\n" not in verdict.detail


@pytest.mark.parametrize(
    ("options", "text", "extracted"),
    [
        ({}, "<think>2+2</think><answer>\n4 \n</answer>", "4"),
        ({}, "<think>2+2</think>4", None),
        ({"style": "chat"}, "<think>2+2</think>\n It is 4.\n", "It is 4."),
        ({"prefilled": True}, "2+2</think><answer>4</answer>", "4"),
        ({"style": "chat", "prefilled": True}, "2+2</think>4", "4"),
        ({"tags": ("scratch-pad", "final_1")}, "<scratch-pad>a</scratch-pad><final_1>4</final_1>", "4"),
    ],
)
def test_extracted_is_the_answer_section(options, text, extracted):
    assert verify_format(PROBLEM, Completion(text), **options).extracted == extracted


@pytest.mark.parametrize(
    ("options", "text", "finished", "status", "reason"),
    [
        ({}, "<think>2+", False, "truncated", "cut_off"),
        ({}, "<think>2+2</think><answer>4", False, "truncated", "cut_off"),
        ({}, "", False, "truncated", "cut_off"),
        ({}, "<think>2+2</think><answer>4", True, "wrong", "missing_tag"),
        ({}, "<think>2+2</think><answer>4", None, "wrong", "missing_tag"),
        ({}, "<think>2+2</think><answer>4</answer>", False, "correct", "well_formed"),
        ({}, "<think>2+2</think><answer>4</answer> and", False, "wrong", "text_outside"),
        ({}, "<think>2+2<answer>4</answer> and", False, "wrong", "missing_tag"),
        ({"style": "chat"}, "<think>2+", False, "truncated", "cut_off"),
        ({"style": "chat"}, "<think>2+2</think>\n", False, "truncated", "cut_off"),
        ({"style": "chat"}, "<think>2+2</think>The", False, "correct", "well_formed"),
        ({"prefilled": True}, "2+", False, "truncated", "cut_off"),
    ],
)
def test_a_cut_completion_is_truncated_only_while_its_last_section_is_open(options, text, finished, status, reason):
    verdict = verify_format(PROBLEM, Completion(text, finished=finished), **options)
    assert (verdict.status, verdict.reason) == (status, reason)
    assert verdict.score == (1.0 if status == "correct" else 0.0)


@pytest.mark.parametrize(
    ("options", "text", "score"),
    [
        ({}, "", 0.0),
        ({}, "4", 0.0),
        ({}, "<think>2+2", 1 / 8),
        ({}, "<think>2+2</think>4", 2 / 8),
        ({}, "<think>2+2</think><answer>4", 3 / 8),
        ({}, "<answer>4</answer><think>2+2</think>", 4 / 8),
        ({}, "<think></think><answer></answer>", 6 / 8),
        ({}, "x<think>2+2</think><answer>4</answer>", 7 / 8),
        ({}, "<think>2+2</think><answer>4</answer>", 1.0),
        ({}, "<think>2+2</think><answer>3</answer><answer>4</answer>", 2 / 8),
        ({}, "<think>" * 9 + "</think>" * 9 + "<answer>" * 9 + "</answer>" * 9, 0.0),
        ({"style": "chat"}, "<think>2+2", 1 / 6),
        ({"style": "chat"}, "<think>2+2</think>", 5 / 6),
        ({"prefilled": True}, "", 0.0),
        ({"prefilled": True}, "2+2</think>", 1 / 7),
        ({"prefilled": True}, "<think>2+2</think><answer>4</answer>", 3 / 7),
        ({"prefilled": True}, "2+2</think><answer>4</answer>", 1.0),
    ],
)
def test_partial_credit(options, text, score):
    partial_score = verify_format(PROBLEM, Completion(text), partial_credit=True, **options)
    assert partial_score.score == pytest.approx(score)
    plain = verify_format(PROBLEM, Completion(text), **options)
    assert (partial_score.status, partial_score.reason) == (plain.status, plain.reason)


def test_a_cut_completion_keeps_its_partial_credit():
    verdict = verify_format(PROBLEM, Completion("<think>2+2", finished=False), partial_credit=True)
    assert (verdict.score, verdict.status) == (1 / 8, "truncated")


@pytest.mark.parametrize(
    "options",
    [
        {"style": "xml"},
        {"tags": ("think", "think")},
        {"tags": ("think", "")},
        {"tags": ("<think>", "answer")},
        {"tags": ("think", "final answer")},
        {"tags": ("think",)},
    ],
)
def test_wrong_options_are_refused(options):
    with pytest.raises(ValueError, match=r"style is one of|two different names"):
        verify_format(PROBLEM, Completion("4"), **options)


def test_it_pickles_with_its_options():
    verifier = pickle.loads(pickle.dumps(partial(verify_format, style="chat", prefilled=True)))
    assert verifier(PROBLEM, Completion("2+2</think>4")).status == "correct"


PIECES = ["<think>", "</think>", "<answer>", "</answer>", "<", "think>", "a", " ", "\n", "\x1f", "\u2003"]
soup = st.lists(st.sampled_from(PIECES), max_size=12).map("".join)
options = st.fixed_dictionaries(
    {"style": st.sampled_from(["tags", "chat"]), "prefilled": st.booleans(), "partial_credit": st.booleans()}
)
R1_ZERO = re.compile(r"\s*<think>(.*?)</think>\s*<answer>(.*?)</answer>\s*", re.DOTALL)


@given(soup)
def test_it_agrees_with_a_regular_expression(text):
    match = R1_ZERO.fullmatch(text)
    expected = (
        match is not None
        and all(text.count(tag) == 1 for tag in PIECES[:4])
        and all(section.strip() for section in match.groups())
    )
    assert (verify_format(PROBLEM, Completion(text)).status == "correct") == expected


@given(st.one_of(st.text(), soup), options, st.sampled_from([True, False, None]))
def test_any_text_gets_a_score_and_1_only_when_correct(text, options, finished):
    verdict = verify_format(PROBLEM, Completion(text, finished=finished), **options)
    assert verdict.score is not None
    assert 0 <= verdict.score <= 1
    assert (verdict.score == 1) == (verdict.status == "correct")
    assert (verdict.extracted is not None) == (verdict.status == "correct")


@given(soup, st.sampled_from(PIECES[:4]), st.integers(0, 40))
def test_a_tag_that_stands_already_never_earns(text, tag, position):
    credit = partial(verify_format, PROBLEM, partial_credit=True)
    if tag in text:
        position %= len(text) + 1
        inserted = text[:position] + tag + text[position:]
        if all(inserted.count(mark) >= text.count(mark) for mark in PIECES[:4]):
            assert credit(Completion(inserted)).score <= credit(Completion(text)).score


@pytest.mark.parametrize(
    "text",
    [
        "<think>" * 1_400_000,
        "<" * 10_000_000,
        "<think>" + " " * 10_000_000,
        "<think>" + "</think" * 1_400_000,
        "\0" * 10_000_000,
        "\ud800" * 5_000_000,
    ],
    ids=["tags", "brackets", "spaces", "unclosed", "nul", "surrogates"],
)
def test_ten_megabytes(text):
    for style in ("tags", "chat"):
        assert verify_format(PROBLEM, Completion(text), style=style, partial_credit=True).status == "wrong"
