"""What several tests of `rlvr score` share: running the command, and writing its inputs."""

import json
import os
import subprocess
import sys
from collections.abc import Callable, Iterable, Mapping
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, settings

# How long an example takes depends on the machine: no verdict hangs on it.
settings.register_profile("untimed", deadline=None, suppress_health_check=[HealthCheck.too_slow])
settings.load_profile("untimed")

# Whatever hangs is a failure; no test measures time.
BACKSTOP_S = 180

_BESIDE = Path(sys.executable).with_name("rlvr")
COMMAND = (
    [str(_BESIDE)]
    if _BESIDE.exists()
    else [sys.executable, "-c", "import sys; from rlvr.evals.cli import main; sys.exit(main())"]
)
# What would put colours or another width into a pipe belongs to the developer's terminal, not to the tests.
_TERMINAL = ("FORCE_COLOR", "NO_COLOR", "CLICOLOR_FORCE", "TTY_COMPATIBLE", "TTY_INTERACTIVE", "COLUMNS", "LINES")


@pytest.fixture
def environment() -> dict[str, str]:
    """The environment of a process under test. No .pyc files: a test may change a module twice within one second."""
    kept = {name: value for name, value in os.environ.items() if name not in _TERMINAL}
    return {**kept, "PYTHONDONTWRITEBYTECODE": "1", "PYTHONIOENCODING": "utf-8", "TERM": "xterm-256color"}


@pytest.fixture
def start(tmp_path: Path, environment: dict[str, str]) -> Iterable[Callable[..., "subprocess.Popen[bytes]"]]:
    """Start `rlvr …` in the test's folder, standard error and output as pipes; what is left running is killed."""
    started: list[subprocess.Popen[bytes]] = []

    def begin(*arguments: object, **options: Any) -> "subprocess.Popen[bytes]":
        options = {"stdin": subprocess.DEVNULL, "stdout": subprocess.PIPE, "stderr": subprocess.PIPE, **options}
        process = subprocess.Popen([*COMMAND, *map(str, arguments)], cwd=tmp_path, env=environment, **options)
        started.append(process)
        return process

    yield begin
    for process in started:
        if process.poll() is None:
            process.kill()
        process.wait()
        for pipe in (process.stdin, process.stdout, process.stderr):  # not to their ends: a worker may still hold them
            if pipe is not None:
                pipe.close()


@pytest.fixture
def rlvr(
    start: Callable[..., "subprocess.Popen[bytes]"],
) -> Callable[..., "subprocess.CompletedProcess[str]"]:
    """Run `rlvr …` to its end in the test's folder: exit code, output and errors as text."""

    def run(*arguments: object, stdin: bytes | None = None) -> "subprocess.CompletedProcess[str]":
        given = subprocess.DEVNULL if stdin is None else subprocess.PIPE
        process = start(*arguments, stdin=given)
        output, errors = process.communicate(stdin, timeout=BACKSTOP_S)
        return subprocess.CompletedProcess(process.args, process.returncode, output.decode(), errors.decode())

    return run


@pytest.fixture
def write_rows(tmp_path: Path) -> Callable[..., Path]:
    """Write rows (or ready bytes) to a file of the test's folder."""

    def write(rows: Iterable[Mapping[str, Any]] | bytes, name: str = "in.jsonl") -> Path:
        path = tmp_path / name
        path.write_bytes(rows if isinstance(rows, bytes) else b"".join(json.dumps(r).encode() + b"\n" for r in rows))
        return path

    return write
