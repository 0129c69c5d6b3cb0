"""`rlvr score --verifier code`: options, columns and the life of the sandbox, with a sandbox that repeats its input."""

import json
import signal
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
import rlvr.sandbox.docker
from rlvr.evals.cli import main
from rlvr.evals.code import OPTIONS
from rlvr.sandbox.types import Limits, Program, RunResult, SandboxUnavailable

TESTS = {"inputs": ["1"], "outputs": ["1"]}
ECHO = "```python\nprint(input())\n```"
BAD = "```python\nprint(0)\n```"


class Session:
    compiled = RunResult("ok")

    def __init__(self, program: Program) -> None:
        self.program = program

    def run(self, stdins: Any) -> Any:
        for stdin in stdins:
            yield RunResult("ok", stdout=stdin if "input()" in self.program.source else b"0")


class EchoSandbox:
    made: "list[EchoSandbox]" = []  # noqa: RUF012 - emptied by the fixture
    fault: Exception | None = None

    def __init__(self, **options: Any) -> None:
        self.options = options
        self.closed = 0
        self.languages: list[str] = []
        EchoSandbox.made.append(self)

    @contextmanager
    def open(self, program: Program, limits: Limits | None = None) -> Any:
        if self.fault is not None:
            raise self.fault
        self.languages.append(program.language)
        yield Session(program)

    def close(self) -> None:
        self.closed += 1


@pytest.fixture(autouse=True)
def sandboxes(monkeypatch: pytest.MonkeyPatch) -> Iterator[list[EchoSandbox]]:
    monkeypatch.setattr(rlvr.sandbox.docker, "DockerSandbox", EchoSandbox)
    monkeypatch.setattr(EchoSandbox, "made", [])
    monkeypatch.setattr(EchoSandbox, "fault", None)
    before = signal.getsignal(signal.SIGTERM)
    yield EchoSandbox.made
    signal.signal(signal.SIGTERM, before)  # `main` sets its own


@pytest.fixture
def score(tmp_path: Path, capsys: pytest.CaptureFixture[str]):
    """score(rows, *arguments): (exit code, summary or None, standard error)."""

    def run(rows: list[dict[str, Any]], *arguments: str) -> tuple[int, Any, str]:
        path = tmp_path / "in.jsonl"
        path.write_text("".join(json.dumps(row) + "\n" for row in rows), encoding="utf-8")
        code = main(["score", str(path), "--verifier", "code", "--json", *arguments])
        printed = capsys.readouterr()
        return code, json.loads(printed.out) if printed.out else None, printed.err

    return run


def options(**values: object) -> list[str]:
    return [word for name, value in values.items() for word in ("--option", f"{name}={value}")]


def test_rows_are_scored_in_order(score, sandboxes, tmp_path: Path) -> None:
    rows = [{"id": n // 4, "completion": ECHO if n % 2 else BAD, "tests": TESTS} for n in range(40)]
    code, summary, _ = score(rows, "--out", str(tmp_path / "out.jsonl"), "--workers", "3")
    assert code == 0
    assert (summary["problems"], summary["samples"]) == (10, 40)
    assert summary["status"]["correct"] == summary["status"]["wrong"] == 20
    written = [json.loads(line) for line in (tmp_path / "out.jsonl").read_text(encoding="utf-8").splitlines()]
    assert [row["score"] for row in written] == [0.0, 1.0] * 20
    assert written[1]["extracted"] == "print(input())\n"
    (sandbox,) = sandboxes
    assert sandbox.options == {"workers": 3, "limits": Limits()}
    assert sandbox.closed == 1


def test_options_reach_the_sandbox_its_limits_and_the_verifier(score, sandboxes) -> None:
    given = options(
        cpu_s=2.5, memory_mb=64, image="mine", runtime="runsc", fresh="true", hosts='["ssh://a"]', language="cpp"
    )
    code, summary, _ = score([{"completion": "```cpp\ninput()\n```", "tests": TESTS}], *given)
    assert code == 0
    assert summary["status"]["correct"] == 1
    (sandbox,) = sandboxes
    assert sandbox.options.pop("workers") >= 1
    assert sandbox.options == {
        "limits": Limits(cpu_s=2.5, memory_mb=64), "image": "mine", "runtime": "runsc", "fresh": True, "hosts": ["ssh://a"]
    }  # fmt: skip
    assert set(sandbox.languages) == {"cpp"}


def test_one_host_needs_no_list(score, sandboxes) -> None:
    score([{"completion": ECHO, "tests": TESTS}], *options(hosts="tcp://a:2376"))
    assert sandboxes[0].options["hosts"] == ["tcp://a:2376"]


@pytest.mark.parametrize(
    ("given", "said"),
    [
        ({"cpu": 1}, f"--option cpu: code has no such option; it has {', '.join(OPTIONS)}"),
        ({"cpu_s": "fast"}, "--option cpu_s=fast: is not a number above 0"),
        ({"cpu_s": 0}, "--option cpu_s=0: is not a number above 0"),
        ({"memory_mb": 0.5}, "--option memory_mb=0.5: is not a whole number above 0"),
        ({"memory_mb": "true"}, "--option memory_mb=True: is not a whole number above 0"),
        ({"mode": "some"}, "mode is one of all, fraction"),
        ({"language": "cobol"}, "language is one of python"),
    ],
)
def test_wrong_options_are_the_users_to_mend(score, sandboxes, given: dict[str, object], said: str) -> None:
    code, summary, errors = score([{"completion": ECHO, "tests": TESTS}], *options(**given))
    assert (code, summary) == (2, None)
    assert said in errors
    assert all(sandbox.closed for sandbox in sandboxes)


def test_without_an_engine_no_row_is_read(score, sandboxes, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(EchoSandbox, "fault", SandboxUnavailable("no engine answers: install Docker"))
    code, summary, errors = score([{"completion": ECHO, "tests": TESTS}])
    assert (code, summary) == (2, None)
    assert errors == "rlvr score: verifier code: no engine answers: install Docker\n"
    assert sandboxes[0].closed == 1


@pytest.mark.parametrize(
    ("row", "said"),
    [
        ({"completion": ECHO}, "no column for the tests (usual: tests, test_cases, input_output)"),
        ({"completion": ECHO, "tests": None}, "column 'tests': no tests (null)"),
    ],
)
def test_a_row_without_tests_is_refused(score, sandboxes, row: dict[str, Any], said: str) -> None:
    code, _, errors = score([row])
    assert code == 2
    assert said in errors
    assert sandboxes[0].closed == 1


def test_malformed_tests_are_counted_not_dropped(score) -> None:
    code, summary, _ = score([{"completion": ECHO, "tests": TESTS}, {"completion": ECHO, "tests": {"inputs": ["1"]}}])
    assert code == 0
    assert (summary["status"]["correct"], summary["status"]["error"]) == (1, 1)


def test_tests_tell_problems_apart(score) -> None:
    rows = [{"completion": ECHO, "tests": {"inputs": [str(n // 2)], "outputs": [str(n // 2)]}} for n in range(6)]
    assert score(rows)[1]["problems"] == 3
    code, _, errors = score([{"id": 1, **row} for row in rows])
    assert code == 2
    assert "stood for another problem" in errors


def test_cons_at_k_votes_on_programs_by_their_text(score) -> None:
    votes = [ECHO, ECHO, BAD, "```python\nprint( 0 )\n```"]  # two wrong programs that differ are two candidates
    summary = score([{"completion": votes, "tests": TESTS}])[1]
    assert summary["cons@k"]["4"]["mean"] == 1.0
