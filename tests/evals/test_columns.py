"""Which column holds what: every name and shape that rows come in, and what is said of the others."""

import json
from collections.abc import Mapping
from itertools import combinations
from typing import Any

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st
from rlvr.evals.columns import ALIASES, RowReader, Sample
from rlvr.evals.errors import BadRow
from rlvr.evals.files import Row

BOXED = r"so \boxed{4}"


def read(
    *rows: Row, overrides: Mapping[str, str] | None = None, needs_answer: bool = True, name: str = "in.jsonl"
) -> list[Sample]:
    reader = RowReader(name, overrides or {}, needs_answer=needs_answer)
    return [sample for line, row in enumerate(rows, 1) for sample in reader.samples(row, line)]


def one(row: Row, **options: Any) -> Sample:
    [sample] = read(row, **options)
    return sample


def refusal(*rows: Row, **options: Any) -> str:
    """What is said of the last row; those before it are read."""
    assert len(read(*rows[:-1], **options)) >= len(rows) - 1
    with pytest.raises(BadRow) as caught:
        read(*rows, **options)
    message = str(caught.value)
    assert message.startswith(f"in.jsonl:{len(rows)}: ")
    assert message.isprintable()
    return message


# --- names

NAMES = {
    "completion": "completion completions response responses generation generations output outputs solution_str code "
    "samples text",
    "answer": "answer expected_answer ground_truth gold target label gts gt",
    "tests": "tests test_cases input_output",
    "id": "id problem_id unique_id idx task_id question_id",
    "prompt": "prompt problem question input",
}


def found(sample: Sample, role: str) -> object:
    problem = sample.problem
    values: dict[str, object] = {
        "completion": sample.completion.text,
        "answer": problem.answer,
        "tests": problem.tests,
        "id": problem.id,
        "prompt": problem.prompt,
    }
    return values[role]


def row_with(role: str, names: Mapping[str, str]) -> Row:
    """A row that has these columns for a role, and the usual ones for the others that it must have."""
    rest = {"completion": "c", "answer": "a", "id": "i"}
    return {**{name: value for name, value in rest.items() if name != role}, **names}


@pytest.mark.parametrize(("role", "name"), [(role, name) for role, names in NAMES.items() for name in names.split()])
def test_every_usual_name_is_found(role: str, name: str) -> None:
    assert found(one(row_with(role, {name: "this"})), role) == "this"


@pytest.mark.parametrize("role", NAMES)
def test_the_names_are_those_that_the_design_gives(role: str) -> None:
    assert " ".join(ALIASES[role]) == NAMES[role]


@pytest.mark.parametrize("role", NAMES)
def test_of_two_names_the_first_of_the_list_counts_wherever_it_stands(role: str) -> None:
    for first, second in combinations(NAMES[role].split(), 2):
        assert found(one(row_with(role, {second: "no", first: "this"})), role) == "this", (first, second)
        assert found(one(row_with(role, {first: "this", second: "no"})), role) == "this", (first, second)


def test_the_qwen_dumps() -> None:
    """`code` is what the model wrote unless there is a better name; `gt` is a mangled copy of `answer`."""
    row: Row = {"idx": 3, "question": "?", "gt": "mangled", "answer": "4", "code": [BOXED, "5"], "score": [True, False]}
    first, second = read(row)
    assert (first.problem.id, first.problem.prompt, first.problem.answer) == ("3", "?", "4")
    assert (first.completion.text, second.completion.text) == (BOXED, "5")
    assert one({"idx": 1, "code": "print(4)", "response": BOXED, "gt": "4"}).completion.text == BOXED


def test_the_nemo_dumps() -> None:
    sample = one({"generation": BOXED, "problem": "?", "expected_answer": 4, "predicted_answer": "4"})
    assert (sample.completion.text, sample.problem.prompt, sample.problem.answer) == (BOXED, "?", "4")


@pytest.mark.parametrize("gts", ["4", 4])
def test_rollouts_of_verl(gts: object) -> None:
    row: Row = {"input": "user\nWhat is 2+2?", "output": BOXED, "gts": gts, "score": 1.0, "step": 7, "reward": 1.0}
    sample = one(row)
    problem = sample.problem
    assert (problem.prompt, problem.answer, sample.completion.text) == ("user\nWhat is 2+2?", "4", BOXED)
    assert sample.own == row


def test_what_was_picked_is_kept_for_the_user() -> None:
    reader = RowReader("in.jsonl", {"answer": "gt"}, needs_answer=True)
    assert reader.picks is None
    list(reader.samples({"response": "x", "gt": "4", "answer": "5", "question": "?", "idx": 1}, 1))
    assert reader.picks is not None
    picked = {role: column for role, column in reader.picks.items() if column is not None}
    assert picked == {"completion": "response", "answer": "gt", "id": "idx", "prompt": "question"}


# --- overrides


@pytest.mark.parametrize("role", NAMES)
def test_an_override_outranks_every_usual_name(role: str) -> None:
    names = dict.fromkeys(NAMES[role].split(), "no")
    assert found(one({**row_with(role, names), "mine": "this"}, overrides={role: "mine"}), role) == "this"


@pytest.mark.parametrize("role", NAMES)
def test_an_override_that_is_not_there_is_refused(role: str) -> None:
    message = refusal({"completion": "c", "answer": "a", "id": "i", "prompt": "p"}, overrides={role: "mine"})
    assert "no column 'mine'; columns here: 'completion', 'answer', 'id', 'prompt'" in message
    assert f"--{role}-field" in message


def test_a_column_that_an_option_gives_to_one_role_is_not_picked_for_another() -> None:
    """With `answer` as the model's text, taking the same column as the gold would call every completion right."""
    row: Row = {"question": "?", "answer": r"\boxed{5}", "gold": "4"}
    sample = one(row, overrides={"completion": "answer"})
    assert (sample.completion.text, sample.problem.answer) == (r"\boxed{5}", "4")
    message = refusal({"question": "?", "answer": r"\boxed{5}"}, overrides={"completion": "answer"})
    assert "--answer-field" in message
    sample = one({"text": BOXED, "output": "4"}, overrides={"answer": "output"})
    assert (sample.completion.text, sample.problem.answer) == (BOXED, "4")
    swapped = one({"id": "4", "idx": 7, "completion": BOXED}, overrides={"answer": "id"})
    assert (swapped.problem.id, swapped.problem.answer) == ("7", "4")


def test_any_column_may_be_the_id() -> None:
    """Two seeds of one benchmark whose rows have ids of their own: the prompt tells which belong together."""
    rows: list[Row] = [{"id": i, "problem": "?", "completion": "x", "answer": "4"} for i in range(2)]
    assert {sample.problem.id for sample in read(*rows, overrides={"id": "problem"})} == {"?"}


def test_the_first_row_decides_the_columns() -> None:
    rows: list[Row] = [{"text": "first", "answer": "4"}, {"text": "second", "completion": "no", "answer": "4"}]
    assert [sample.completion.text for sample in read(*rows)] == ["first", "second"]
    message = refusal({"completion": "x", "answer": "4"}, {"text": "x", "answer": "4"})
    assert "no column 'completion'; columns here: 'text', 'answer'" in message
    assert "--completion-field" in message


def test_a_row_that_is_refused_decides_nothing() -> None:
    reader = RowReader("in.jsonl", {}, needs_answer=True)
    with pytest.raises(BadRow):
        list(reader.samples({"completion": 7, "answer": "4"}, 1))
    assert (reader.picks, reader.shape) == (None, None)
    [sample] = reader.samples({"text": [BOXED], "gold": "4"}, 2)
    assert sample.completion.text == BOXED


# --- shapes of a completion

MESSAGE = {"role": "assistant", "content": BOXED}
USER = {"role": "user", "content": "?"}
PART = {"type": "text", "text": "4"}
SHAPES: list[tuple[str, object, list[str], list[bool | None]]] = [
    ("text", BOXED, [BOXED], [None]),
    ("empty text", "", [""], [None]),
    ("list", ["a", "b"], ["a", "b"], [None, None]),
    ("list of one", ["a"], ["a"], [None]),
    ("chat", [MESSAGE], [BOXED], [None]),
    ("chat with the question", [USER, MESSAGE], [BOXED], [None]),
    ("chat of several turns", [USER, {"role": "assistant", "content": "a"}, USER, MESSAGE], [BOXED], [None]),
    ("chat that the user ends", [USER, MESSAGE, USER], [BOXED], [None]),
    ("chat with a system and a tool", [{"role": "system", "content": "s"}, MESSAGE, {"role": "tool", "content": "t"}],
     [BOXED], [None]),
    ("one message", MESSAGE, [BOXED], [None]),
    ("list of chats", [[MESSAGE], [USER, {"role": "assistant", "content": "b"}]], [BOXED, "b"], [None, None]),
    ("content parts", [{"role": "assistant", "content": [{"type": "text", "text": "so "}, PART]}], ["so 4"], [None]),
    ("content parts with a picture",
     [{"role": "assistant", "content": [{"type": "image_url", "image_url": {"url": "u"}}, PART]}], ["4"], [None]),
    ("no content parts", [{"role": "assistant", "content": []}], [""], [None]),
    ("a separate chain of thought", [{"role": "assistant", "content": "4", "reasoning_content": "2+2"}],
     ["<think>2+2</think>4"], [None]),
    ("a chain of thought alone", [{"role": "assistant", "content": None, "reasoning_content": "2+2"}],
     ["<think>2+2</think>"], [None]),
    ("an empty chain of thought", [{"role": "assistant", "content": "4", "reasoning_content": ""}], ["4"], [None]),
    ("no chain of thought", [{"role": "assistant", "content": "4", "reasoning_content": None}], ["4"], [None]),
    ("OpenAI choices",
     [{"index": 0, "message": MESSAGE, "finish_reason": "stop"},
      {"index": 1, "message": {"content": "b"}, "finish_reason": "length"}],
     [BOXED, "b"], [True, False]),
    ("an OpenAI choice", {"message": MESSAGE, "finish_reason": "length"}, [BOXED], [False]),
    ("an OpenAI choice that thinks", {"message": {**MESSAGE, "reasoning_content": "2+2"}, "finish_reason": "stop"},
     [f"<think>2+2</think>{BOXED}"], [True]),
    ("vLLM outputs",
     [{"index": 0, "text": "a", "token_ids": [1], "finish_reason": "length"},
      {"index": 1, "text": "b", "finish_reason": "stop"}],
     ["a", "b"], [False, True]),
    ("a vLLM output", {"text": "a", "finish_reason": None}, ["a"], [None]),
    ("a choice of parquet, where all fields are there",
     {"message": {**MESSAGE, "reasoning_content": None}, "text": None, "finish_reason": None}, [BOXED], [None]),
]  # fmt: skip


@pytest.mark.parametrize(("value", "texts", "finished"), [c[1:] for c in SHAPES], ids=[c[0] for c in SHAPES])
def test_shapes(value: object, texts: list[str], finished: list[bool | None]) -> None:
    samples = read({"completion": value, "answer": "4"})
    assert [sample.completion.text for sample in samples] == texts
    assert [sample.completion.finished for sample in samples] == finished
    assert len({sample.problem.id for sample in samples}) == 1


NO_COMPLETIONS: list[tuple[str, object, str]] = [
    ("null", None, "column 'completion': is null; a completion is text or a list of messages"),
    ("a number", 4, "column 'completion': is a number"),
    ("true", True, "column 'completion': is true or false"),
    ("an empty list", [], "column 'completion': an empty list holds no completion"),
    ("an object", {"answer": "4"}, "column 'completion': is an object"),
    ("an empty object", {}, "column 'completion': is an object"),
    ("a list with a null", ["a", None], "column 'completion[1]': is null"),
    ("a list with a number", [4], "column 'completion[0]': is a number"),
    ("a list of lists of text", ["a", ["b"]], "column 'completion[1]': is a list"),
    ("a list with an empty list", ["a", []], "column 'completion[1]': is a list"),
    ("a chat without an assistant", [USER], "column 'completion': no message of the assistant"),
    ("a list of chats, one without", [[MESSAGE], [USER]], "column 'completion[1]': no message of the assistant"),
    ("a message without content", [{"role": "assistant"}], "last assistant message"),
    ("a message that only calls a tool", [{"role": "assistant", "content": None, "tool_calls": [{}]}], "is an object"),
    ("a choice without text", [{"finish_reason": "stop"}], "column 'completion[0]': is an object"),
    ("a choice whose message is text", [{"message": "hello"}], "column 'completion[0]': is an object"),
]


@pytest.mark.parametrize(("value", "said"), [c[1:] for c in NO_COMPLETIONS], ids=[c[0] for c in NO_COMPLETIONS])
@pytest.mark.parametrize("needs_answer", [True, False])
def test_what_is_no_completion_is_refused(value: object, said: str, needs_answer: bool) -> None:
    assert said in refusal({"completion": value, "answer": "4"}, needs_answer=needs_answer)


SHAPE_VALUES = {"text": "a", "a list of completions": ["a", "b"], "a chat message list": [MESSAGE]}


@pytest.mark.parametrize("first", SHAPE_VALUES)
@pytest.mark.parametrize("second", SHAPE_VALUES)
def test_rows_of_one_file_have_one_shape(first: str, second: str) -> None:
    rows: list[Row] = [{"completion": SHAPE_VALUES[shape], "answer": "4"} for shape in (first, second)]
    if first == second:
        assert len(read(*rows)) == 2 * len(read(rows[0]))
    else:
        assert f"column 'completion': holds {second}, the rows before {first}" in refusal(*rows)


def test_lists_may_have_different_lengths() -> None:
    rows: list[Row] = [{"completions": ["a"] * n, "answer": "4"} for n in (1, 3, 2)]
    assert len(read(*rows)) == 6


def test_no_completion_column_at_all() -> None:
    message = refusal({"answer": "4", "solution": "x"})
    assert "no column for the completion (usual: completion, completions, response" in message
    assert "columns here: 'answer', 'solution'" in message
    assert "--completion-field" in message
    assert "columns here: none" in refusal({})


def test_many_columns_do_not_fill_the_screen() -> None:
    assert len(refusal({f"column_{i}": i for i in range(10_000)})) < 1000


# --- one row with several samples

LIST_ROW: Row = {
    "id": "p",
    "prompt": "?",
    "answer": "4",
    "completions": ["a", "b", "c"],
    "score": [1.0, 0.0, 0.5],
    "finish_reasons": ["stop", "length", None],
    "n_tokens": [10, 20, 30],
    "source": ["s0", "s1", "s2"],
    "tests": ["t0", "t1", "t2"],
    "tags": ["x", "y"],
    "level": 5,
    "history": [USER, MESSAGE, USER],
}


def test_columns_with_one_value_per_completion_are_split() -> None:
    samples = read(LIST_ROW)
    shared = {name: LIST_ROW[name] for name in ("id", "prompt", "answer", "tests", "tags", "level", "history")}
    for i, sample in enumerate(samples):
        split = {name: LIST_ROW[name][i] for name in ("completions", "score", "finish_reasons", "n_tokens", "source")}
        assert sample.own == {**shared, **split}
        assert sample.completion.text == "abc"[i]
        assert sample.completion.n_tokens == [10, 20, 30][i]
        assert sample.completion.finished == [True, False, None][i]
        assert sample.problem.source == f"s{i}"
        assert sample.problem.tests == ["t0", "t1", "t2"]  # the tests of the problem, not of a sample
        assert sample.number is None
        assert list(sample.own) == list(LIST_ROW)  # the columns keep their order


def test_the_row_that_was_given_is_not_changed() -> None:
    row = json.loads(json.dumps(LIST_ROW))
    read(row)
    assert row == LIST_ROW


def test_lists_of_a_row_with_one_completion_are_left_alone() -> None:
    row: Row = {"completion": "a", "answer": "4", "tags": ["x"], "score": [1.0]}
    assert one(row).own == row


def test_a_choice_outranks_the_rows_column_for_how_it_ended() -> None:
    row: Row = {
        "outputs": [{"text": "a", "finish_reason": "length"}, {"text": "b"}],
        "answer": "4",
        "finish_reason": "stop",
    }
    assert [sample.completion.finished for sample in read(row)] == [False, True]


# --- how a completion ended, and how long it is


@pytest.mark.parametrize(
    ("value", "finished"),
    [("stop", True), ("eos", True), ("eos_token", True), ("stop_sequence", True), ("tool_calls", True),
     ("length", False), ("max_tokens", False), ("max_length", False), ("abort", False),
     ("LENGTH", False), ("MAX_TOKENS", False), ("STOP", True),
     (True, True), (False, False), (None, None), ("", None), (7, None), (["stop"], None), ({}, None)],
)  # fmt: skip
@pytest.mark.parametrize("column", ["finish_reason", "finish_reasons", "finished"])
def test_how_it_ended(column: str, value: object, finished: bool | None) -> None:
    assert one({"completion": "a", "answer": "4", column: value}).completion.finished is finished


def test_nobody_knows_how_it_ended() -> None:
    assert one({"completion": "a", "answer": "4"}).completion.finished is None


@pytest.mark.parametrize(("value", "tokens"), [(12, 12), (0, 0), (True, None), (1.5, None), ("12", None), (None, None)])
@pytest.mark.parametrize("column", ["n_tokens", "num_tokens", "completion_tokens", "num_generated_tokens"])
def test_the_number_of_tokens(column: str, value: object, tokens: int | None) -> None:
    assert one({"completion": "a", "answer": "4", column: value}).completion.n_tokens == tokens


@pytest.mark.parametrize(("value", "source"), [("aime", "aime"), (3, None), (None, None), (["a"], None)])
@pytest.mark.parametrize("column", ["source", "data_source"])
def test_the_source_of_a_problem(column: str, value: object, source: str | None) -> None:
    assert one({"completion": "a", "answer": "4", column: value}).problem.source == source


# --- prompts


@pytest.mark.parametrize(
    ("prompt", "text"),
    [
        ("?", "?"),
        ("", ""),
        ([USER], "user: ?"),
        ([{"role": "system", "content": "s"}, USER], "system: s\n\nuser: ?"),
        ([{"role": "user", "content": [{"type": "text", "text": "a"}, {"type": "text", "text": "b"}]}], "user: ab"),
        ([{"role": "user", "content": None}], "user: "),
        (None, None),
        (5, None),
        (["?"], None),
        ({"role": "user"}, None),
    ],
)
def test_prompts(prompt: object, text: str | None) -> None:
    assert one({"prompt": prompt, "completion": "a", "answer": "4"}).problem.prompt == text


def test_a_chat_that_is_prompt_and_completion_at_once() -> None:
    """TRL's conversational rows."""
    sample = one({"prompt": [USER], "completion": [MESSAGE], "answer": "4"})
    assert (sample.problem.prompt, sample.completion.text) == ("user: ?", BOXED)


# --- gold answers


@pytest.mark.parametrize(
    ("value", "answer"),
    [("4", "4"), ("", ""), (" 4 ", " 4 "), (4, "4"), (-4, "-4"), (0, "0"), (4.0, "4.0"), (0.1, "0.1"), (1e22, "1e+22"),
     (1e-7, "1e-07"), (10**400, "1" + "0" * 400), (2**53 + 1, "9007199254740993")],
)  # fmt: skip
def test_a_gold_is_text_or_a_number(value: object, answer: str) -> None:
    assert one({"completion": "a", "answer": value}).problem.answer == answer


@pytest.mark.parametrize(
    ("value", "said"),
    [
        (None, "column 'gold': no gold answer (null)"),
        (True, "column 'gold': is true or false; a gold answer is text or a number"),
        (["4"], "column 'gold': is a list; a gold answer is text or a number"),
        ([], "column 'gold': is a list"),
        ({"value": "4"}, "column 'gold': is an object; a gold answer is text or a number"),
    ],
)
def test_a_gold_of_another_type_is_refused(value: object, said: str) -> None:
    assert said in refusal({"completion": "a", "gold": value})


@pytest.mark.parametrize("value", [float("nan"), float("inf"), float("-inf")])
def test_a_gold_that_is_no_number_is_refused(value: float) -> None:
    """pandas writes a missing value as NaN: as text it would be an answer that nobody can give."""
    assert "column 'gold': " in refusal({"completion": "a", "gold": value})


def test_no_gold_column() -> None:
    message = refusal({"completion": "a", "question": "?"})
    assert "no column for the answer (usual: answer, expected_answer, ground_truth" in message
    assert "columns here: 'completion', 'question'" in message
    assert "--answer-field" in message
    assert "no column 'answer'" in refusal({"completion": "a", "answer": "4"}, {"completion": "a"})


@pytest.mark.parametrize("row", [{}, {"gold": None}])
def test_who_needs_no_gold_gets_none(row: Row) -> None:
    assert one({"completion": "a", **row}, needs_answer=False).problem.answer is None


def test_who_needs_no_gold_still_gets_it() -> None:
    assert one({"completion": "a", "gold": 4}, needs_answer=False).problem.answer == "4"


# --- which samples belong together


@pytest.mark.parametrize(("value", "id"), [("p", "p"), ("", ""), (7, "7"), (0, "0"), (-1, "-1"), (10**30, str(10**30))])
def test_an_id_is_text_or_a_whole_number(value: object, id: str) -> None:
    assert one({"id": value, "completion": "a", "answer": "4"}).problem.id == id


@pytest.mark.parametrize(
    ("value", "kind"),
    [(None, "null"), (True, "true or false"), (1.0, "a number"), (["p"], "a list"), ({}, "an object")],
)
def test_an_id_of_another_type_is_refused(value: object, kind: str) -> None:
    message = refusal({"idx": value, "completion": "a", "answer": "4"})
    assert f"column 'idx': is {kind}; a problem id is text or a whole number" in message


def test_an_id_that_is_missing_later_is_refused() -> None:
    message = refusal({"idx": 1, "completion": "a", "answer": "4"}, {"completion": "a", "answer": "4"})
    assert "column 'idx': is missing" in message


def test_without_an_id_prompt_and_gold_tell_problems_apart() -> None:
    def id_of(**row: object) -> str:
        return one({"completion": "a", "answer": "4", **row}).problem.id

    assert id_of(prompt="p") == id_of(prompt="p", completion="b", score=3)
    ids = [id_of(prompt="p"), id_of(prompt="q"), id_of(prompt="p", answer="5"), id_of(prompt=[USER]), id_of(),
           id_of(prompt="p\0" + "4", answer=""), id_of(prompt="None"), id_of(prompt="\ud800")]  # fmt: skip
    assert len(set(ids)) == len(ids)


def test_a_number_and_its_text_are_the_same_gold_for_one_problem() -> None:
    """One seed's file was written with numbers, the other's with text."""
    assert len({one({"completion": "a", "prompt": "p", "answer": gold}).problem.id for gold in (4, "4")}) == 1


@pytest.mark.parametrize(("value", "index"), [(3, 3), (0, 0), (True, None), ("3", None), (None, None), (1.0, None)])
def test_a_row_may_number_its_sample(value: object, index: int | None) -> None:
    got = one({"completion": "a", "answer": "4", "sample": value}).number
    assert got == index
    assert not isinstance(got, bool)


def test_a_list_numbers_its_own_samples() -> None:
    assert [sample.number for sample in read({"completion": ["a", "b"], "answer": "4", "sample": 3})] == [None, None]


# --- columns with odd names


def test_a_column_without_a_name_means_nothing() -> None:
    """pandas writes its index so. It is no prompt, no test and no number of tokens."""
    sample = one({"": 17, "completion": "a", "answer": "4"})
    assert sample.completion.n_tokens is None
    assert sample.problem.tests is None
    first, second = (one({"": text, "completion": "a", "answer": "4"}) for text in ("row 1", "row 2"))
    assert first.problem.prompt is None
    assert first.problem.id == second.problem.id
    assert one({"": False, "completion": "a", "answer": "4"}).completion.finished is None


@pytest.mark.parametrize("name", ["a b", "ключ", "\x1b[31m", "a\nb", "'", "\ud800"])
def test_odd_names_are_shown_so_that_they_do_no_harm(name: str) -> None:
    message = refusal({name: 1})
    assert "\x1b" not in message
    assert repr(name) in message
    assert one({name: BOXED, "answer": "4"}, overrides={"completion": name}).completion.text == BOXED


# --- anything at all

SCALARS = st.none() | st.booleans() | st.integers(-5, 5) | st.floats() | st.sampled_from(["", "4", BOXED, "assistant"])
KEYS = st.sampled_from(["role", "content", "message", "text", "finish_reason", "reasoning_content", "x"])
VALUES = st.recursive(
    SCALARS, lambda inner: st.lists(inner, max_size=3) | st.dictionaries(KEYS, inner, max_size=4), max_leaves=10
)
COLUMNS = sorted({name for names in ALIASES.values() for name in names} | {"", "sample", "score", "x"})
CHATS = st.lists(st.dictionaries(st.just("role") | KEYS, VALUES, min_size=1, max_size=3), max_size=3)


@settings(max_examples=300)
@given(
    st.lists(st.dictionaries(st.sampled_from(COLUMNS), VALUES | CHATS, max_size=6), min_size=1, max_size=3),
    st.fixed_dictionaries({}, optional={role: st.sampled_from(COLUMNS) for role in NAMES}),
    st.booleans(),
)
@example([{"completion": {"message": {"content": [None, 3, "x", {"text": 7}]}}, "answer": "4"}], {}, True)
@example([{"completion": [{"role": None, "content": ""}], "answer": "4"}], {}, True)
def test_no_row_gets_past_the_checks(rows: list[Row], overrides: dict[str, str], needs_answer: bool) -> None:
    """A row is refused in one printable line, or all its samples are what a verifier may be given."""
    reader = RowReader("in.jsonl", overrides, needs_answer=needs_answer)
    for line, row in enumerate(rows, 1):
        before = repr(row)
        try:
            samples = list(reader.samples(row, line))
        except BadRow as refused:
            assert str(refused).startswith(f"in.jsonl:{line}: ")
            assert str(refused).isprintable()
            continue
        finally:
            assert repr(row) == before
        assert samples
        for sample in samples:
            assert isinstance(sample.completion.text, str)
            assert sample.completion.finished in (True, False, None)
            assert isinstance(sample.problem.id, str)
            assert isinstance(sample.problem.answer, str) or (not needs_answer and sample.problem.answer is None)
            assert isinstance(sample.problem.prompt, str | None)
            assert sample.own.keys() == row.keys()
            assert (sample.name, sample.line) == ("in.jsonl", line)


# --- weights


def test_a_weight_is_read_only_where_a_column_is_named() -> None:
    row: Row = {"id": "p", "answer": "4", "completion": ["a", "b", "c"], "rm": [0.5, [-2], 3]}
    assert [sample.weight for sample in read(row)] == [None] * 3
    assert [sample.weight for sample in read(row, overrides={"weight": "rm"})] == [0.5, -2.0, 3.0]
    assert one(row | {"completion": "a", "rm": 7}, overrides={"weight": "rm"}).weight == 7.0


@pytest.mark.parametrize(
    ("value", "kind"),
    [("0.5", "text"), (None, "null"), (True, "true or false"), ([1, 2], "a list"), (["1"], "text"), ({}, "an object"),
     (float("nan"), "a number"), (float("inf"), "a number"), (-(10**400), "a number")],
)  # fmt: skip
def test_what_is_no_weight_is_refused(value: object, kind: str) -> None:
    row: Row = {"id": "p", "answer": "4", "completion": "a", "rm": value}
    said = refusal(row, overrides={"weight": "rm"})
    assert f"column 'rm': is {kind}; a weight is a finite number for each completion" in said


def test_a_list_of_weights_is_as_long_as_the_completions() -> None:
    row: Row = {"id": "p", "answer": "4", "completion": ["a", "b", "c"], "rm": [0.5, 1.0]}
    assert "column 'rm': is a list" in refusal(row, overrides={"weight": "rm"})
    assert "no column 'missing'" in refusal(row, overrides={"weight": "missing"})
