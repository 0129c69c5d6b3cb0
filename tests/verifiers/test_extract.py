"""find_answer: which text is the final answer, at each level; never an exception, never more than linear work."""

import pytest
from hypothesis import given
from hypothesis import strategies as st
from rlvr.verifiers import Completion, Problem, Verdict, score_many
from rlvr.verifiers.extract import END_OF_THOUGHT, LEVELS, find_answer, last_box, split_thought

# (text, what the box is): the same at every level, for a box is an answer at all of them
BOXES = [
    (r"\boxed{42}", "42"),
    (r"so it is $\boxed{42}$.", "42"),
    (r"\[ x = \boxed{42} \]", "42"),
    (r"\fbox{42}", "42"),
    # spaces
    (r"\boxed {42}", "42"),
    (r"\boxed    {42}", "42"),
    ("\\boxed\n{42}", "42"),
    (r"\boxed{ 42 }", "42"),
    ("\\boxed{\n42\n}", "42"),
    # nesting and escaped braces
    (r"\boxed{\frac{1}{2}}", r"\frac{1}{2}"),
    (r"\boxed{\frac{\sqrt{2}}{\sqrt{3}}} units", r"\frac{\sqrt{2}}{\sqrt{3}}"),
    (r"\boxed{\{1,2\}}", r"\{1,2\}"),
    (r"\boxed{\left\{ x \right.}", r"\left\{ x \right."),
    (r"\boxed{a\}b}", r"a\}b"),
    (r"\boxed{a\\}", r"a\\"),
    (r"\boxed{\begin{array}{c}1\\2\end{array}}", r"\begin{array}{c}1\\2\end{array}"),
    (r"\boxed{{5}}", "5"),
    (r"\boxed{ {5} }", "5"),
    (r"\boxed{{5},{6}}", "{5},{6}"),
    (r"\boxed{\text{Evelyn}}", r"\text{Evelyn}"),
    # a box in a box
    (r"\boxed{\boxed{42}}", "42"),
    (r"\boxed{\fbox{42}}", "42"),
    (r"\boxed{\boxed{\boxed{\frac{1}{2}}}}", r"\frac{1}{2}"),
    (r"\boxed{ \boxed {42} }", "42"),
    # braces that belong to nobody
    (r"{ \boxed{7}", "7"),
    (r"} \boxed{7}", "7"),
    (r"\boxed{7} } } {", "7"),
    (r"\frac{1}{ \boxed{7} and more {", "7"),
    # a box that never closes is no box
    (r"\boxed{3} then \boxed{5", "3"),
    (r"\boxed{3} then \boxed{\frac{1}{2}", "3"),
    (r"\boxed{3} then \boxed", "3"),
    (r"\boxed{ oops \boxed{5}", "5"),
    # TeX also boxes a single token without braces
    (r"\boxed 5", "5"),
    (r"so \boxed 5 it is", "5"),
    (r"\fbox 5.", "5"),
    # JSON escaped once too often
    (r"\\boxed{42}", "42"),
    # the last one wins
    (r"\boxed{1} is not it, \boxed{2} is", "2"),
    (r"\boxed{1}. Then \boxed{2}", "2"),
    (r"\fbox{1} but \boxed{2}", "2"),
    (r"\boxed{2} but \fbox{1}", "1"),
    # separated only by , ; and or \quad $: one list
    (r"\boxed{1}, \boxed{2}", "1, 2"),
    (r"\boxed{1},\boxed{2},\boxed{3}", "1, 2, 3"),
    (r"\boxed{1}; \boxed{2}", "1, 2"),
    (r"\boxed{1} and \boxed{2}", "1, 2"),
    (r"\boxed{1} or \boxed{2}", "1, 2"),
    (r"\boxed{1}, and \boxed{2}", "1, 2"),
    (r"$\boxed{1}$ and $\boxed{2}$", "1, 2"),
    (r"$\boxed{1}$, $\boxed{2}$ or $\boxed{3}$", "1, 2, 3"),
    (r"\boxed{1} \quad \boxed{2}", "1, 2"),
    (r"\boxed{1}\quad\text{or}\quad\boxed{2}", "1, 2"),
    (r"\boxed{(1,2)} and \fbox{(2,1)}", "(1,2), (2,1)"),
    (r"\boxed{0}? No: \boxed{1}, \boxed{2}", "1, 2"),
    (r"\boxed{1} android \boxed{2}", "2"),
    (r"\boxed{1} and \boxed{2}. So \boxed{3}", "3"),
    # the same answer twice is one answer
    (r"\boxed{42}, \boxed{42}", "42"),
    # an empty box
    (r"\boxed{}", ""),
    (r"\boxed{ }", ""),
    (r"\boxed{1}, no, \boxed{}", ""),
    # the tag
    ("<answer>42</answer>", "42"),
    ("<answer>\n42\n</answer>", "42"),
    ("<think>2</think> <answer>42</answer>", "42"),
    (r"<answer>\boxed{42}</answer>", "42"),
    (r"<answer>It is $\boxed{42}$.</answer>", "42"),
    (r"<answer>\boxed{1}, \boxed{2}</answer>", "1, 2"),
    ("<answer>41</answer> no: <answer>42</answer>", "42"),
    ("<answer></answer>", ""),
    # a closed tag outranks a box outside, one that never closes does not
    (r"<answer>42</answer> \boxed{43}", "42"),
    (r"\boxed{43} <answer>42</answer>", "42"),
    (r"<answer>\boxed{42}</answer> \boxed{43}", "42"),
    (r"\boxed{43} <answer>42", "43"),
    (r"<answer>42 \boxed{43}", "43"),
    (r"\boxed{43} </answer>", "43"),
    ("<answer>42</answer><answer>43", "42"),
    (r"</answer>42<answer> \boxed{43}", "43"),
]

NO_BOX = [
    "",
    " ",
    r"\boxed",
    r"\fbox",
    r"\boxed{5",
    r"\boxed{\frac{1}{2}",
    r"\boxed{5\}",
    r"\boxed5",
    "boxed{5}",
    r"\text{boxed}{5}",
    "<answer>5",
    "5</answer>",
    "</answer>5<answer>",
    "the answer is 5",
    "#### 5",
    "$5$",
]

# (text, answer): no box and no tag, so only from level "answer" on
STATED = [
    ("A: 26", "26"),
    ("A:26", "26"),
    ("A: 26\n", "26"),
    ("5 and 21 eggs make 26.\nA: 26", "26"),
    ("#### 26", "26"),
    ("#### 1,234", "1,234"),
    ("####26", "26"),
    ("48/2 = <<48/2=24>>24\n#### 72", "72"),
    ("Answer: 42", "42"),
    ("Answer: 42.", "42"),
    ("ANSWER: B", "B"),
    ("**Answer:** $x$", "x"),
    ("**Answer**: 42", "42"),
    ("Answer: **42**", "42"),
    ("Final Answer: The final answer is $(-6,10)$. I hope it is correct.", "(-6,10)"),
    (r"Final Answer: The final answer is $\frac{1}{2}$. I hope it is correct.", r"\frac{1}{2}"),
    ("The answer is 3.5.", "3.5"),
    ("The answer is 3.5. Let me check it.", "3.5"),
    ("answer is 189.", "189"),
    ("So the answer is: 12", "12"),
    ("the answer is\n$$x=5$$", "x=5"),
    ("The answer is\n\\[\n5\n\\]", "5"),
    (r"The answer is \(5\).", "5"),
    ("Therefore, the final answer is **42**.", "42"),
    ("The correct answer is C.", "C"),
    ("The answer is 1/2.", "1/2"),
    ("The answer is -5", "-5"),
    ("The answer is 10%.", "10%"),
    ("The answer is 1,234.56", "1,234.56"),
    ("The answer is x = 5", "x = 5"),
    ("The answer is five", "five"),
    ("The answers are 3 and 4.", "3 and 4"),
    ("The answer was 7", "7"),
    ("The answer should be 7.", "7"),
    ("The answer is 5 because five more were never counted.", "5"),
    ("Answer $5$", "5"),
    ("答案是 5。", "5"),
    ("答案：5", "5"),
    # the last one that says something
    ("The answer is 3. Wait, the answer is 4.", "4"),
    ("#### 5\n#### 6", "6"),
    ("The answer is 4.\nThe answer is", "4"),
    ("A: 4\nA: \n", "4"),
]

PROSE = [
    "",
    "no answer here",
    "I do not know.",
    "An unanswerable question",
    "answering: nothing of the kind",
    "Let me answer this question step by step",
    "Q: what is 5? I do not know.",
    "We know BA: 5 and so on",
    "<answer> 5",
    r"\boxed{5",
    "####",
    "The answer is",
    "Answer:",
    "A:",
]

# (text, answer): neither marked nor stated, so only at level "any"
ANYWHERE = [
    ("17", "17"),
    ("so x = 5", "5"),
    ("5 + 6 = 11", "11"),
    ("first $x$, then $y$", "y"),
    (r"which is \(\frac{1}{2}\)", r"\frac{1}{2}"),
    (r"which is \[ \frac{1}{2} \]", r"\frac{1}{2}"),
    ("$$x^2$$ it is", "x^2"),
    ("$x$ is 7", "7"),
    ("7 is $x$", "x"),
    ("He has 1,234 eggs left.", "1,234"),
    ("It is -3.5.", "-3.5"),
    ("It costs 5%.", "5%"),
    ("half of it, 1/2.", "1/2"),
    (r"\boxed{5", "5"),
]


@pytest.mark.parametrize(("text", "expected"), BOXES)
@pytest.mark.parametrize("level", LEVELS)
def test_boxes_and_tags(text, level, expected):
    assert find_answer(text, level) == expected


@pytest.mark.parametrize("text", NO_BOX)
def test_no_box(text):
    assert find_answer(text, "box") is None


@pytest.mark.parametrize(("text", "expected"), STATED)
def test_stated_answers(text, expected):
    assert find_answer(text, "box") is None
    assert find_answer(text, "answer") == expected
    assert find_answer(text, "any") == expected


@pytest.mark.parametrize("text", PROSE)
def test_prose_is_no_answer(text):
    assert find_answer(text, "answer") is None


@pytest.mark.parametrize("text", ["", "no answer here", "I do not know.", r"\boxed", "####", "$", "$$", r"\("])
def test_nothing_at_all(text):
    assert find_answer(text, "any") is None


@pytest.mark.parametrize(("text", "expected"), ANYWHERE)
def test_any_takes_the_last_formula_or_number(text, expected):
    assert find_answer(text, "box") is None
    assert find_answer(text, "answer") is None
    assert find_answer(text, "any") == expected


def test_answer_is_the_default():
    assert find_answer("A: 26") == "26"
    assert find_answer("It is 26.") is None


@pytest.mark.parametrize("level", ["", "boxes", "ANY", None])
def test_unknown_level(level):
    with pytest.raises(ValueError, match="box, answer, any"):
        find_answer(r"\boxed{5}", level)


def test_the_last_of_ten_thousand_boxes():
    boxes = "\n".join(f"Attempt {i}: \\boxed{{{i}}} is wrong" for i in range(10_000))
    assert find_answer(boxes, "box") == "9999"
    assert find_answer(boxes + r" \boxed{unclosed", "box") == "9999"
    assert find_answer(boxes.replace("boxed", "fbox"), "box") == "9999"


def test_boxes_that_stand_far_apart_are_no_list():
    assert find_answer(r"\boxed{1}" + " " * 10_000 + r"so \boxed{2}", "box") == "2"
    assert find_answer(r"\boxed{1} but " + "x" * 10_000 + r"\boxed{2}", "box") == "2"


def test_a_box_that_opens_long_before_it_closes():
    content = "x" * 1_000_000
    assert find_answer(rf"\boxed{{{content}}} and nothing else", "box") == content
    assert find_answer(rf"\boxed{{{content}}} but \boxed{{5}}", "box") == "5"


# Thought and answer


def test_which_marks_there_are():
    """A mark that goes missing changes rewards silently."""
    assert {"</think>", "<|end_of_thought|>", "</thinking>", "[/THINK]", "◁/think▷"} <= set(END_OF_THOUGHT)
    assert len(set(END_OF_THOUGHT)) == len(END_OF_THOUGHT)


@pytest.mark.parametrize("level", LEVELS)
@pytest.mark.parametrize("mark", END_OF_THOUGHT)
def test_end_of_thought(mark, level):
    # what stands after outranks what stands before, whatever its kind
    assert find_answer(rf"\boxed{{1}} {mark} \boxed{{2}}", level) == "2"
    assert find_answer(rf"<answer>1</answer> {mark} \boxed{{2}}", level) == "2"
    assert find_answer(rf"\boxed{{1}} {mark} <answer>2</answer>", level) == "2"
    # nothing after: what stands inside
    assert find_answer(rf"\boxed{{1}} {mark} ", level) == "1"
    assert find_answer(rf"\boxed{{1}} {mark} So we are done.", level) == "1"
    assert find_answer(rf"\boxed{{1}} {mark} So \boxed{{2", "box") == "1"
    assert find_answer(rf"<answer>1</answer>{mark}", level) == "1"
    # the last mark counts
    assert find_answer(rf"\boxed{{1}} {mark} \boxed{{2}} {mark} \boxed{{3}}", level) == "3"
    assert find_answer(rf"\boxed{{1}} {mark} \boxed{{2}} {mark}", level) == "2"
    # no list across it
    assert find_answer(rf"\boxed{{1}}{mark}, \boxed{{2}}", level) == "2"
    assert find_answer(rf"{mark}\boxed{{2}}", level) == "2"


@pytest.mark.parametrize("mark", END_OF_THOUGHT)
def test_a_stated_answer_after_the_thought_outranks_a_box_inside(mark):
    text = rf"perhaps \boxed{{1}} {mark} The answer is 2."
    assert find_answer(text, "answer") == "2"
    assert find_answer(text, "box") == "1"
    assert find_answer(rf"The answer is 1. {mark} We are done", "answer") == "1"


def test_marks_may_be_mixed():
    text = r"\boxed{1} </think> \boxed{2} <|end_of_thought|> \boxed{3} </thinking>"
    assert find_answer(text, "box") == "3"
    assert find_answer(text + r" \boxed{4}", "box") == "4"


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("no mark", ("", "no mark")),
        ("<think>2+2</think>4", ("<think>2+2", "4")),
        ("a</think>b</think>c", ("a</think>b", "c")),
        ("a</think>b[/THINK]c", ("a</think>b", "c")),
        ("a[/THINK]b</think>c", ("a[/THINK]b", "c")),
        ("</think>", ("", "")),
        ("a </thin k> b", ("", "a </thin k> b")),
    ],
)
def test_split_thought(text, expected):
    assert split_thought(text) == expected


# Properties

FRAGMENTS = [
    r"\boxed{", r"\fbox{", r"\boxed ", r"\boxed", "{", "}", "\\", r"\{", r"\}", "$", "$$", r"\(", r"\)", r"\[", r"\]",
    "<answer>", "</answer>", "####", "A:", "\nA: ", "Answer:", "the answer is ", "**", "答案：", ", ", " and ",
    r"\quad", r"\text{or}", "\0", "\ud800", "\udfff", "\n   ", "1", "1,234", ".", "{" * 50, "}" * 50, "$" * 50,
    " " * 30, "\\" * 51, r"\boxed{" * 70, "\n  " * 30, "<answer>" * 20, *END_OF_THOUGHT,
]  # fmt: skip
HOSTILE = st.lists(
    st.one_of(
        st.text(st.characters(exclude_categories=()), max_size=8),  # lone surrogates too
        st.sampled_from(FRAGMENTS),
    ),
    max_size=40,
).map("".join)


@given(HOSTILE, st.sampled_from(LEVELS))
def test_never_raises(text, level):
    found = find_answer(text, level)
    assert found is None or isinstance(found, str)


@given(HOSTILE)
def test_a_higher_level_finds_at_least_as_much(text):
    if split_thought(text) == ("", text):
        box, answer, anything = (find_answer(text, level) for level in LEVELS)
        assert box is None or answer == box
        assert answer is None or anything == answer


@given(HOSTILE)
def test_a_last_box_always_wins(text):
    text = text.replace("answer>", "")
    assert find_answer(rf"{text} so \boxed{{42}} it is", "box") == "42"


@given(HOSTILE)
def test_a_last_tag_always_wins(text):
    text = text.replace("<answer>", "")
    assert find_answer(f"{text} <answer>42</answer>", "box") == "42"


_PLAIN = st.text(st.characters(exclude_characters="\\{}", exclude_categories=()), max_size=5)
_PIECE = _PLAIN | st.sampled_from([r"\{", r"\}", r"\\", r"\frac", r"\left\{", r"\text ", r"\,", r"\%"])
BALANCED = st.recursive(
    st.lists(_PIECE, max_size=4).map("".join),
    lambda inner: st.lists(_PIECE | inner.map("{{{}}}".format), max_size=4).map("".join),
    max_leaves=10,
).map("a{}z".format)  # not all in braces, nothing to strip


@given(BALANCED, _PLAIN, _PLAIN, st.sampled_from([r"\boxed{%s}", r"\fbox{%s}", r"\boxed  {%s}", r"\boxed{ %s }"]))
def test_box_round_trip(content, before, after, box):
    assert last_box(f"{before} {box.replace('%s', content)} {after}") == content


@given(BALANCED)
def test_box_in_box_round_trip(content):
    assert last_box(rf"\boxed{{\boxed{{{content}}}}}") == content


@given(BALANCED, BALANCED)
def test_two_boxes_are_a_list_of_their_contents(first, second):
    expected = first if first == second else f"{first}, {second}"
    assert last_box(rf"$\boxed{{{first}}}$ and $\boxed{{{second}}}$") == expected


@given(BALANCED.filter(lambda text: "answer>" not in text and "boxed" not in text))
def test_tag_round_trip(content):
    assert find_answer(f"so <answer> {content} </answer>", "box") == content


# Hostile shapes, at a size where anything worse than linear takes hours and linear takes seconds

MB = 1_000_000
SHAPES = {
    "braces open": "{" * 5 * MB,
    "braces close": "}" * 5 * MB,
    "boxes open": r"\boxed{" * (5 * MB // 7),
    "fboxes open, then a box": r"\fbox{" * (MB // 6) + r"\boxed{1}",
    "a box, then boxes that never close": r"\boxed{1} " + r"\boxed{" * (5 * MB // 7),
    "a list of boxes": r"\boxed{1}, " * (2 * MB // 11),
    "empty boxes": r"\boxed{}" * (2 * MB // 8),
    "boxes in boxes": r"\boxed{" * 100_000 + "1" + "}" * 100_000,
    "braces in a box": r"\boxed{" + "{" * (MB // 2) + "1" + "}" * (MB // 2) + "}",
    "boxes without braces": r"\boxed " * (5 * MB // 7),
    "box and spaces": (r"\boxed" + " " * 30) * (5 * MB // 36),
    "dollars": "$" * MB,
    "dollars apart": "$ " * (MB // 2),
    "dollars escaped": r"\$" * 100_000,
    "formulas that never close": r"\(" * 100_000,
    "displays that never close": r"\[" * 100_000,
    "backslashes": "\\" * 5 * MB,
    "lines and spaces": ("\n" + " " * 8) * (5 * MB // 9),
    "spaces": " " * 5 * MB,
    "lines": "\n" * 5 * MB,
    "tags open": "<answer>" * (5 * MB // 8),
    "tags close": "</answer>" * (5 * MB // 9),
    "tags": "<answer>1</answer>" * (5 * MB // 18),
    "less than": "<" * 5 * MB,
    "thoughts": "</think>" * (5 * MB // 8),
    "answer is": "answer is " * (2 * MB // 10),
    "answer:": "answer: " * (2 * MB // 8),
    "answer and stars": ("answer" + "*" * 9) * (2 * MB // 15),
    "stated formulas that never close": ("answer: a b c d " + r"\(" * 192) * (MB // 400),
    "stars": "\n" + "*" * 5 * MB,
    "hashes": "#" * 5 * MB,
    "A:": "\nA:" * (2 * MB // 3),
    "digits": "1" * 5 * MB,
    "thousands": "1," * 2 * MB,
    "points": "1." * 2 * MB,
    "fractions": "1/" * 2 * MB,
    "minus": "-" * 5 * MB,
    "NUL": "\0" * 5 * MB,
    "lone surrogates": "\ud800" * 5 * MB,
    "beyond ASCII": "é" * 5 * MB,
}


def test_work_is_linear_in_the_text():
    """Each shape at all levels under a hard limit: seconds of work when it is linear, many minutes when quadratic."""

    def at_every_level(problem, completion):
        for level in LEVELS:
            find_answer(completion.text, level)
        return Verdict(1.0, "correct", "same_text")

    pairs = ((Problem(name), Completion(text)) for name, text in SHAPES.items())
    verdicts = score_many(at_every_level, pairs, workers=2, timeout_s=100)
    assert {name: v.status for name, v in zip(SHAPES, verdicts, strict=True) if v.status != "correct"} == {}


HOSTILE = {
    "a box that opens for ever": "\\boxed{" * 150_000,
    "braces in a box that never closes": "\\boxed{" + "{" * 1_000_000,
    "escaped braces in a box that never closes": "\\boxed{1" + "\\}" * 500_000,
    "boxes without braces or content": "\\fbox" * 200_000,
    "the beginnings of marks": "</" * 500_000 + "<|" * 500_000 + "[/THINK" * 100_000,
    "statements of nothing": "####.\n" * 150_000,
}


@pytest.mark.parametrize("text", HOSTILE.values(), ids=HOSTILE)
def test_a_megabyte_of_nothing_holds_no_answer(text: str) -> None:
    assert find_answer(text) is None


def test_a_closed_box_before_one_that_never_closes_counts() -> None:
    assert find_answer(r"\boxed{5} " + "x" * 3000 + r" \boxed{\frac{6}{7") == "5"
