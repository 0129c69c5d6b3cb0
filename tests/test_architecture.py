"""The layout is a promise: who may import whom, and that no file imports our packages by their bare names."""

import ast
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
PACKAGES = ("verifiers", "evals", "sandbox", "trainer")
ALLOWED = {
    "sandbox": set(),
    "verifiers": {"sandbox"},
    "evals": {"verifiers", "sandbox"},
    "trainer": {"verifiers", "evals"},
}
FOLDERS = (*PACKAGES, "tests", "benchmarks")
HEAVY = {
    "torch": {"trainer", "evals/engines", "verifiers/adapters"},  # some trainers take tensors
    "sympy": {"verifiers"},
    "vllm": {"evals/engines", "trainer"},
    "httpx2": {"evals/engines"},
    "transformers": {"evals/engines", "trainer"},
    "fastapi": {"verifiers/server"},
    "uvicorn": {"evals/serve_command.py"},
    "ray": {"verifiers/on_ray.py", "verifiers/adapters"},
}


def python_files(*folders: str) -> list[Path]:
    return sorted(path for folder in folders for path in (ROOT / folder).rglob("*.py"))


def imports(path: Path) -> Iterator[tuple[int, str]]:
    """(level, dotted name) of every import statement; level 0 is absolute."""
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            yield from ((0, alias.name) for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            if node.module is None:
                yield from ((node.level, alias.name) for alias in node.names)
            else:
                yield node.level, node.module


def imported_package(path: Path, level: int, name: str) -> str | None:
    """Which of our packages an import in a product file reaches, None for anybody else's."""
    if level == 0:
        first, _, rest = name.partition(".")
        return rest.partition(".")[0] if first == "rlvr" else None
    folder = path.relative_to(ROOT).parent.parts
    parts = [*folder[: len(folder) - level + 1], *name.split(".")]
    return parts[0]


def test_there_are_files_to_look_at() -> None:
    assert len(python_files(*PACKAGES)) > 20
    assert imported_package(ROOT / "evals" / "score.py", 2, "verifiers.types") == "verifiers"
    assert imported_package(ROOT / "verifiers" / "math" / "verify.py", 2, "types") == "verifiers"
    assert imported_package(ROOT / "trainer" / "grpo.py", 0, "rlvr.evals.metrics") == "evals"


@pytest.mark.parametrize("path", python_files(*PACKAGES), ids=lambda path: str(path.relative_to(ROOT)))
def test_arrows(path: Path) -> None:
    package = path.relative_to(ROOT).parts[0]
    reached = {imported_package(path, level, name) for level, name in imports(path)} & set(PACKAGES)
    assert reached <= ALLOWED[package] | {package}, f"{package} may import {ALLOWED[package] or 'nothing of ours'}"


@pytest.mark.parametrize("path", python_files(*PACKAGES), ids=lambda path: str(path.relative_to(ROOT)))
def test_the_product_imports_itself_relatively(path: Path) -> None:
    assert not [name for level, name in imports(path) if level == 0 and name.split(".")[0] == "rlvr"]


@pytest.mark.parametrize("path", python_files(*FOLDERS), ids=lambda path: str(path.relative_to(ROOT)))
def test_no_bare_imports(path: Path) -> None:
    bare = [name for level, name in imports(path) if level == 0 and name.split(".")[0] in PACKAGES]
    assert not bare, f"import rlvr.{bare[0]}: the bare name belongs to other packages"


@pytest.mark.parametrize("module", sorted(HEAVY))
def test_heavy_libraries_stay_in_their_package(module: str) -> None:
    users = {
        path.relative_to(ROOT)
        for path in python_files(*PACKAGES)
        if any(level == 0 and name.split(".")[0] == module for level, name in imports(path))
    }
    assert not [path for path in users if not any(path.is_relative_to(folder) for folder in HEAVY[module])]


@pytest.mark.parametrize("path", python_files(*PACKAGES), ids=lambda path: str(path.relative_to(ROOT)))
def test_files_are_read_in_one_sitting(path: Path) -> None:
    assert len(path.read_text(encoding="utf-8").splitlines()) < 400


@pytest.mark.parametrize("package", PACKAGES)
def test_a_bare_import_says_what_to_write(package: str) -> None:
    done = subprocess.run(
        [sys.executable, "-c", f"import {package}"], cwd=ROOT, capture_output=True, text=True, check=False
    )
    assert done.returncode == 1
    assert done.stderr.strip().splitlines()[-1].startswith(f"ImportError: import rlvr.{package}, not {package}")


@pytest.mark.parametrize("package", PACKAGES)
def test_packages_are_typed(package: str) -> None:
    assert (ROOT / package / "py.typed").exists()


@pytest.mark.parametrize(
    "statement", ["import rlvr.verifiers", "import rlvr.evals.cli", "import rlvr.evals.engines.choose"]
)
def test_nothing_heavy_is_imported_until_needed(statement: str) -> None:
    heavy = (
        "sympy math_verify latex2sympy2_extended torch numpy pandas rich lingua cloudpickle zstandard pyarrow asyncio "
        "transformers vllm httpx2 huggingface_hub ray fastapi uvicorn pydantic starlette"
    )
    code = f"{statement}; import sys; print([m for m in {heavy.split()!r} if m in sys.modules])"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"
