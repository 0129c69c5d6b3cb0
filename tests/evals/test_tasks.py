"""Tasks are data: every benchmark, from every place that problems can come from."""

import base64
import json
import pickle
import re
import sys
import types
import zlib
from collections.abc import Callable
from pathlib import Path
from typing import Any

import datasets
import pytest
from rlvr.evals.errors import UsageError
from rlvr.evals.problems import Problems, digest_of, load_problems
from rlvr.evals.tasks import SHAPES, Task, benchmarks, choose_task
from rlvr.verifiers import Completion, Problem, verify_math

DATA = Path(__file__).parents[3] / "shared" / "data" / "benchmarks"
Write = Callable[..., Path]

with_data = pytest.mark.skipif(not DATA.exists(), reason=f"no benchmark files at {DATA}")


def load(name: str, **options: Any) -> Problems:
    return load_problems(choose_task(name), **options)


# --- the table


def test_every_benchmark_is_pinned_to_a_full_commit() -> None:
    assert set(benchmarks()) == {
        "aime24", "aime25", "amc23", "math500", "gsm8k", "humaneval", "mbpp", "gpqa_diamond", "livecodebench",
    }  # fmt: skip
    for task in benchmarks().values():
        assert task.revision is not None
        assert re.fullmatch(r"[0-9a-f]{40}", task.revision)
        assert task.benchmark
        assert task.shape in SHAPES
        assert (task.verifier == "code") == (task.shape in ("function", "assertions", "program"))
    assert (benchmarks()["aime24"].n, benchmarks()["math500"].n) == (64, 4)


# --- local copies


@with_data
@pytest.mark.parametrize(
    ("name", "count", "first"),
    [
        ("aime24", 30, ("aime24-0", "73")),
        ("aime25", 30, ("aime25-0", "70")),
        ("amc23", 40, ("0", "27")),
        ("math500", 500, ("test/precalculus/807.json", "\\left( 3, \\frac{\\pi}{2} \\right)")),
        ("gsm8k", 1319, ("0", "18")),
        ("humaneval", 164, ("HumanEval/0", None)),
        ("mbpp", 500, ("11", None)),
    ],
)
def test_every_local_copy(name: str, count: int, first: tuple[str, str | None]) -> None:
    problems = load(name, data=DATA / f"{name}.jsonl")
    assert (len(problems.asked), problems.total, benchmarks()[name].size) == (count, count, count)
    assert (problems.asked[0].id, problems.asked[0].answer) == first
    assert len({problem.id for problem in problems.asked}) == count
    assert all(problem.prompt for problem in problems.asked)
    assert problems.revision is None
    assert problems.source == f"{name}.jsonl"
    if choose_task(name).verifier == "code":
        assert all(problem.tests for problem in problems.asked)


@with_data
def test_the_files_that_are_there_are_all_tested() -> None:
    tested = {*benchmarks(), "math_test5000"}
    assert {path.stem for path in DATA.glob("*.jsonl")} <= tested


@with_data
def test_another_file_of_the_same_shape() -> None:
    problems = load("math500", data=DATA / "math_test5000.jsonl")
    assert problems.total == 5000


@with_data
@pytest.mark.parametrize("name", ["aime24", "aime25", "amc23"])
def test_golds_of_competitions_are_right_in_a_box(name: str) -> None:
    for problem in load(name, data=DATA / f"{name}.jsonl").asked:
        assert verify_math(problem, Completion(f"\\boxed{{{problem.answer}}}")).score == 1


@with_data
def test_tests_of_code_have_the_shapes_that_the_verifier_reads() -> None:
    human = load("humaneval", data=DATA / "humaneval.jsonl").asked[0]
    assert set(human.tests) == {"entry_point", "test", "prompt"}
    assert human.tests["entry_point"] == "has_close_elements"
    assert human.tests["prompt"].startswith("from typing import List")  # as it stands in the file
    basic = load("mbpp", data=DATA / "mbpp.jsonl").asked[0]
    assert basic.tests["test_list"][0] == 'assert remove_Occ("hello","l") == "heo"'
    assert 'assert remove_Occ("hello","l") == "heo"' in (basic.prompt or "")


# --- what a row holds


def test_columns_are_found_by_their_aliases(write_rows: Write) -> None:
    path = write_rows([{"ID": "I-1", "Problem": "Q", "Answer": 7}])
    problems = load("aime24", data=path)
    assert (problems.asked[0].prompt, problems.asked[0].answer) == ("Q", "7")


def test_the_answer_after_a_mark(write_rows: Write) -> None:
    bare = load("gsm8k", data=write_rows([{"id": "0", "question": "Q", "answer": "18"}]))
    worked = load("gsm8k", data=write_rows([{"id": "0", "question": "Q", "answer": "9 * 2 = 18\n#### 18"}]))
    assert worked.asked[0].answer == "18"
    assert worked.digest == bare.digest


def test_choices_stand_in_an_order_of_their_own(write_rows: Write) -> None:
    path = write_rows(
        [
            {
                "Record ID": f"r{i}",
                "Question": f"Which of {i}?",
                "Correct Answer": "right",
                **{f"Incorrect Answer {k}": f"wrong {k}" for k in (1, 2, 3)},
            }
            for i in range(40)
        ]
    )
    problems = load("gpqa_diamond", data=path).asked
    assert {problem.answer for problem in problems} == set("ABCD")
    for problem in problems:
        assert f"{problem.answer}) right" in (problem.prompt or "").splitlines()
        assert [line[:2] for line in (problem.prompt or "").splitlines()[2:]] == ["A)", "B)", "C)", "D)"]
    assert load("gpqa_diamond", data=path).digest == digest_of(problems)


def contest(**changes: Any) -> dict[str, Any]:
    private = json.dumps([{"input": "3\n", "output": "9\n", "testtype": "stdin"}])
    packed = base64.b64encode(zlib.compress(pickle.dumps(private))).decode()
    return {
        "question_id": "abc1", "question_content": "Square it.", "contest_date": "2024-09-14T00:00:00",
        "starter_code": "", "metadata": "{}", "private_test_cases": packed,
        "public_test_cases": json.dumps([{"input": "2\n", "output": "4\n", "testtype": "stdin"}]),
        **changes,
    }  # fmt: skip


def test_contest_problems_with_packed_tests(write_rows: Write) -> None:
    rows = [
        contest(),
        contest(question_id="abc2", starter_code="class Solution:", metadata='{"func_name": "square"}'),
        contest(question_id="early", contest_date="2024-07-31T00:00:00"),
        contest(question_id="late", contest_date="2025-02-01T00:00:00"),
    ]
    stdin, method = load("livecodebench", data=write_rows(rows)).asked
    assert stdin.tests == {"inputs": ["2\n", "3\n"], "outputs": ["4\n", "9\n"]}
    assert "standard input" in (stdin.prompt or "")
    assert method.tests["fn_name"] == "square"
    assert "class Solution:" in (method.prompt or "")


class _Evil:
    def __reduce__(self) -> Any:
        return print, ("run",)


def test_packed_tests_run_nothing(write_rows: Write, capsys: pytest.CaptureFixture[str]) -> None:
    packed = base64.b64encode(zlib.compress(pickle.dumps(_Evil()))).decode()
    with pytest.raises(UsageError, match=r"print has no place in test cases"):
        load("livecodebench", data=write_rows([contest(private_test_cases=packed)]))
    assert capsys.readouterr().out == ""


def test_the_hash_is_of_every_problem_and_of_all_of_it() -> None:
    one = [Problem("1", "Q", "4"), Problem("2", "R", None, {"inputs": ["1"]})]
    others = [
        [Problem("0", "Q", "4"), one[1]],
        [Problem("1", "q", "4"), one[1]],
        [Problem("1", "Q", "5"), one[1]],
        [one[0], Problem("2", "R", None, {"inputs": ["2"]})],
        one[:1],
        one[::-1],
    ]
    assert len({digest_of(problems) for problems in (one, *others)}) == 7
    assert digest_of([Problem("1", tests={"a": 1, "b": 2})]) == digest_of([Problem("1", tests={"b": 2, "a": 1})])


def test_a_limit_takes_the_first_and_keeps_the_hash_of_all(write_rows: Write) -> None:
    path = write_rows([{"id": i, "problem": "Q", "answer": i} for i in range(5)])
    problems = load("aime24", data=path, limit=2)
    assert [problem.id for problem in problems.asked] == ["0", "1"]
    assert problems.total == 5
    assert problems.digest == load("aime24", data=path).digest


@pytest.mark.parametrize(
    ("name", "rows", "said"),
    [
        ("aime24", [{"id": 1, "problem": "Q", "answer": None}], "no gold answer"),
        ("aime24", [{"id": 1, "problem": "Q"}], "no column for the answer"),
        ("aime24", [{"id": 1, "text": "Q", "answer": "4"}], "no column for the question"),
        ("aime24", [{"id": 1, "problem": "Q", "answer": "4"}] * 2, "problem id '1' stood in an earlier row"),
        ("aime24", [], "holds no problem"),
        ("mbpp", [{"task_id": 3, "text": "Q", "test_list": ["assert f()"]}], "task_id is from 11 to 511"),
        ("mbpp", [{"text": "Q", "test_list": ["assert f()"]}], "no column 'task_id'"),
        ("mbpp", [{"task_id": 11, "text": "Q"}], "no test_list"),
        ("humaneval", [{"task_id": "a", "prompt": "Q"}], "no text in column 'entry_point'"),
        ("gpqa_diamond", [{"Question": "Q"}], "no text in column 'Correct Answer'"),
    ],
)
def test_problems_that_lack_something(name: str, rows: list[Any], said: str, write_rows: Write) -> None:
    with pytest.raises(UsageError, match=re.escape(said)):
        load(name, data=write_rows(rows))


# --- the hub and data-set folders, offline

ROWS = [{"id": "a", "problem": "1 + 1?", "answer": "2"}, {"id": "b", "problem": "2 + 2?", "answer": "4"}]


@pytest.mark.parametrize("form", ["saved set", "saved splits", "parquet folder", "jsonl folder", "parquet", "csv"])
def test_data_set_folders(form: str, tmp_path: Path, write_rows: Write) -> None:
    path = tmp_path / "set"
    rows = datasets.Dataset.from_list(ROWS)
    if form == "saved set":
        rows.save_to_disk(str(path))
    elif form == "saved splits":
        other = datasets.Dataset.from_list(ROWS[:1])
        datasets.DatasetDict({"test": other, "train": rows}).save_to_disk(str(path))
    elif form == "csv":
        path = tmp_path / "rows.csv"
        rows.to_csv(str(path))
    else:
        path.mkdir()
        file = path / ("train.jsonl" if form == "jsonl folder" else "train.parquet")
        rows.to_json(str(file)) if form == "jsonl folder" else rows.to_parquet(str(file))
        path = file if form == "parquet" else path
    problems = load("aime24", data=path)  # whose split is train
    assert [(p.id, p.prompt, p.answer) for p in problems.asked] == [tuple(row.values()) for row in ROWS]
    assert problems.digest == load("aime24", data=write_rows(ROWS)).digest


def test_a_folder_without_the_split(tmp_path: Path) -> None:
    rows = datasets.Dataset.from_list(ROWS)
    datasets.DatasetDict({"dev": rows, "extra": rows}).save_to_disk(str(tmp_path / "set"))
    with pytest.raises(UsageError, match="has no split 'train'; it has dev, extra"):
        load("aime24", data=tmp_path / "set")


def test_a_folder_of_something_else(tmp_path: Path) -> None:
    (tmp_path / "set").mkdir()
    with pytest.raises(UsageError, match="cannot be loaded"):
        load("aime24", data=tmp_path / "set")


@pytest.fixture
def hub(monkeypatch: pytest.MonkeyPatch) -> list[tuple[Any, ...]]:
    """The hub's side of `datasets`, which says what it was asked; ROWS is all that it has."""
    asked: list[tuple[Any, ...]] = []

    def load_dataset(*names: Any, **options: Any) -> Any:
        asked.append((*names, options))
        return datasets.Dataset.from_list(ROWS)

    monkeypatch.setattr(datasets, "load_dataset", load_dataset)
    return asked


def test_the_hub_is_asked_for_the_pinned_commit(hub: list[tuple[Any, ...]]) -> None:
    problems = load("gsm8k")
    pinned = benchmarks()["gsm8k"].revision
    assert hub == [("openai/gsm8k", "main", {"split": "test", "revision": pinned})]
    assert (problems.source, problems.revision) == ("hub:openai/gsm8k", pinned)


def test_data_files_of_the_hub_are_pinned_too(hub: list[tuple[Any, ...]]) -> None:
    with pytest.raises(UsageError, match="no column 'contest_date'"):
        load("livecodebench")
    name, options = hub[0]
    assert name == "json"
    assert options["data_files"][5].startswith("hf://datasets/livecodebench/code_generation_lite@0fe84c39")
    assert options["data_files"][5].endswith("/test6.jsonl")


def test_a_task_without_a_pin_records_what_it_got(hub: list[tuple[Any, ...]], monkeypatch: pytest.MonkeyPatch) -> None:
    class Api:
        def dataset_info(self, name: str, revision: str | None) -> Any:
            return types.SimpleNamespace(sha="f" * 40) if (name, revision) == ("me/mine", None) else None

    monkeypatch.setattr("huggingface_hub.HfApi", Api)
    problems = load_problems(Task(name="mine", hub="me/mine"))
    assert problems.revision == "f" * 40
    assert hub[0][2]["revision"] == "f" * 40


def test_a_task_without_a_pin_and_without_a_network(monkeypatch: pytest.MonkeyPatch) -> None:
    class Refused(Exception):  # httpx's is neither an OSError nor a ValueError
        pass

    class Api:
        def dataset_info(self, name: str, revision: str | None) -> Any:
            raise Refused("Name or service not known")

    monkeypatch.setattr("huggingface_hub.HfApi", Api)
    with pytest.raises(UsageError, match=r"the hub's me/mine cannot be loaded \(Name or service not known\): is there"):
        load_problems(Task(name="mine", hub="me/mine"))


@pytest.mark.parametrize(
    ("error", "said"),
    [
        (
            datasets.exceptions.DatasetNotFoundError("Dataset 'Idavidrein/gpqa' is a gated dataset on the Hub."),
            "task gpqa_diamond: the hub's Idavidrein/gpqa is gated: accept its terms at "
            "https://huggingface.co/datasets/Idavidrein/gpqa, then log in (`hf auth login`, or the variable HF_TOKEN)",
        ),
        (
            ConnectionError("Couldn't reach\n'Idavidrein/gpqa' on the Hub (LocalEntryNotFoundError)"),
            "task gpqa_diamond: the hub cannot be reached and Idavidrein/gpqa is not in the cache here; --data FILE "
            "reads a local copy",
        ),
        (
            ConnectionError("Couldn't reach\n'Idavidrein/gpqa' on the Hub (HfHubHTTPError)"),
            "task gpqa_diamond: the hub's Idavidrein/gpqa cannot be loaded (Couldn't reach 'Idavidrein/gpqa' on the "
            "Hub (HfHubHTTPError)): is there a network, does "
            "https://huggingface.co/datasets/Idavidrein/gpqa exist? --data FILE reads a local copy",
        ),
    ],
)
def test_a_hub_that_does_not_give_it(error: Exception, said: str, monkeypatch: pytest.MonkeyPatch) -> None:
    def load_dataset(*names: Any, **options: Any) -> Any:
        raise error

    monkeypatch.setattr(datasets, "load_dataset", load_dataset)
    with pytest.raises(UsageError) as caught:
        load("gpqa_diamond")
    assert str(caught.value) == said


def test_without_the_package(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "datasets", None)
    with pytest.raises(UsageError, match=r"pip install 'rlvr\[eval\]'; --data FILE reads"):
        load("aime24")


# --- tasks of one's own


def test_a_toml_task(tmp_path: Path, write_rows: Write) -> None:
    write_rows([{"q": "1 + 1?", "gold": "2", "key": "x"}], "mine.jsonl")
    toml = 'data = "mine.jsonl"\nid = "key"\nproblem = "q"\nanswer = "gold"\nn = 8\noptions = ["extract=box"]\n'
    (tmp_path / "mine.toml").write_text(toml, encoding="utf-8")
    task = choose_task(str(tmp_path / "mine.toml"))
    assert (task.name, task.n, task.options, task.benchmark) == ("mine", 8, ("extract=box",), False)
    problem = load_problems(task).asked[0]
    assert (problem.id, problem.prompt, problem.answer) == ("x", "1 + 1?", "2")


@pytest.mark.parametrize(
    ("toml", "said"),
    [
        ("n = 1", "no problems: give hub"),
        ('data = "x"\nn = "4"', "n = '4': is not of the right kind"),
        ('data = "x"\nn = 0', "n is 0"),
        ('data = "x"\nshape = "essay"', "shape 'essay' is none of"),
        ('data = "x"\nanwser = "gold"', "no task has 'anwser'; did you mean 'answer'?"),
        ('data = "x"\nprompt = "Hello"', "prompt has no {problem} in it"),
        ('data = "x"\nbetween = ["a", 1]', "between holds a column"),
        ("data = ", "is not TOML"),
    ],
)
def test_a_toml_task_with_a_mistake(toml: str, said: str, tmp_path: Path) -> None:
    (tmp_path / "mine.toml").write_text(toml, encoding="utf-8")
    with pytest.raises(UsageError, match=re.escape(said)):
        choose_task(str(tmp_path / "mine.toml"))


def test_a_python_task(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "my_tasks_for_test.py").write_text(
        "from rlvr.evals.tasks import Task\n"
        "def rows():\n"
        "    yield {'id': 1, 'problem': '1 + 1?', 'answer': 2}\n"
        "sums = Task(name='sums', rows=rows)\n"
        "def made():\n"
        "    return Task(name='made', rows=rows, n=3)\n"
        "other = 4\n",
        encoding="utf-8",
    )
    monkeypatch.chdir(tmp_path)
    monkeypatch.syspath_prepend(tmp_path)
    assert load("my_tasks_for_test:sums").asked[0].answer == "2"
    assert choose_task("my_tasks_for_test:made").n == 3
    for name, said in [
        ("my_tasks_for_test:other", "is int, not an rlvr.evals.tasks.Task"),
        ("my_tasks_for_test:none", "cannot be imported"),
        ("no_such_module:task", "cannot be imported"),
    ]:
        with pytest.raises(UsageError, match=said):
            choose_task(name)


@pytest.mark.parametrize(
    ("name", "said"), [("aime42", "Did you mean aime2"), ("no.toml", "No such file"), ("zzz", "`rlvr tasks`")]
)
def test_a_task_that_there_is_not(name: str, said: str) -> None:
    with pytest.raises(UsageError, match=said):
        choose_task(name)
