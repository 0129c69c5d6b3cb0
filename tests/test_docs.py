"""Documentation is checked: doctests run, and what README shows is what happens."""

import doctest
import importlib
import re
import shlex
import subprocess
import sys
from pathlib import Path

import pytest
from rlvr.evals.cli import main
from rlvr.verifiers import REASONS

ROOT = Path(__file__).parents[1]
README = (ROOT / "README.md").read_text(encoding="utf-8")
MODULES = sorted(
    "rlvr." + ".".join(path.relative_to(ROOT).with_suffix("").parts).removesuffix(".__init__")
    for package in ("verifiers", "evals", "sandbox", "trainer")
    for path in (ROOT / package).rglob("*.py")
    if path.name not in ("make_demo.py", "vllm.py")  # vLLM has an environment of its own
)


@pytest.mark.parametrize("name", MODULES)
def test_doctests(name: str) -> None:
    result = doctest.testmod(importlib.import_module(name), optionflags=doctest.ELLIPSIS)
    assert result.failed == 0


def test_there_are_doctests() -> None:
    finder = doctest.DocTestFinder()
    found = sum(bool(test.examples) for name in MODULES for test in finder.find(importlib.import_module(name)))
    assert found >= 20


def blocks(language: str) -> list[str]:
    return re.findall(rf"```{language}\n(.*?)```", README, re.DOTALL)


def test_the_readme_shows_the_real_output_of_the_demo(
    capsys: pytest.CaptureFixture[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    assert main(["demo"]) == 0
    printed = capsys.readouterr().out
    assert (tmp_path / "demo-report.html").stat().st_size > 10_000
    shown = next(block for block in blocks("text") if "pass@8" in block)

    def without_time(text: str) -> list[str]:
        lines = [re.sub(r"in [\d.]+ s", "in … s", line).strip() for line in text.splitlines()]
        return [" ".join(line.split()) for line in lines if line]

    assert without_time(shown) == without_time(printed)


@pytest.mark.parametrize("block", blocks("python"), ids=range(len(blocks("python"))))
def test_python_in_the_readme_runs(block: str) -> None:
    subprocess.run([sys.executable, "-W", "error", "-c", block], check=True, timeout=300)


PARSE = """
import importlib
from rlvr.evals import cli
from rlvr.sandbox import command
def parse(words):
    options = cli._parser().parse_args(cli._with_dashes(words))
    if words[0] == "sandbox":
        command._parser().parse_args(options.arguments)
    modules = {"train": "trainer.command", "sft": "trainer.sft", "select": "trainer.select"}
    modules |= {name: f"evals.{name}_command" for name in ("adapter", "audit", "rewards", "serve")}
    if words[0] in modules:
        importlib.import_module(f"rlvr.{modules[words[0]]}").parser().parse_args(options.arguments)
parse"""


def test_commands_in_the_readme_parse() -> None:
    """Every `rlvr …` line of the README is one that the parser takes."""
    lines = [line.split("#")[0].strip() for block in blocks("(?:sh|bash|console)") for line in block.splitlines()]
    commands = [
        line[line.index("rlvr ") :] for line in lines if "rlvr " in line and not line.startswith(("pip", "git"))
    ]
    assert len(commands) >= 5
    for command in commands:
        words = [word for word in shlex.split(command)[1:] if word != "|"]
        words = words[: words.index(">")] if ">" in words else words
        done = subprocess.run(
            [sys.executable, "-c", f"{PARSE}({words!r})"],
            capture_output=True, text=True, check=False,
        )  # fmt: skip
        assert done.returncode == 0, f"{command}: {done.stderr}"


def test_files_named_in_the_readme_exist() -> None:
    for target in re.findall(r"\]\((?!http)([^)#]+)\)", README):
        assert (ROOT / target).exists(), target


def test_every_reason_that_we_give_is_explained() -> None:
    given = set()
    for path in (ROOT / "verifiers").rglob("*.py"):
        text = path.read_text(encoding="utf-8")
        given |= set(re.findall(r'(?:correct|wrong|not_judged|Outcome)\((?:True, |False, |None, )?"(\w+)"', text))
        given |= set(re.findall(r'Verdict\([\w. ]+, "\w+", "(\w+)"', text))
    assert len(given) > 15
    assert given <= set(REASONS)


def test_the_changelog_has_this_version() -> None:
    version = re.search(r'^version = "(.+)"', (ROOT / "pyproject.toml").read_text(encoding="utf-8"), re.MULTILINE)
    assert version and f"## {version[1]}" in (ROOT / "CHANGELOG.md").read_text(encoding="utf-8")


def test_the_page_about_grpo_names_what_is_there() -> None:
    page = (ROOT / "trainer" / "GRPO.md").read_text(encoding="utf-8")
    names = re.findall(r"`(\w+)\.(\w+(?:\.\w+)*)`", page)
    names = [(module, name) for module, name in names if (ROOT / "trainer" / f"{module}.py").is_file() and name != "py"]
    assert len(names) > 15
    for module, name in names:
        found: object = importlib.import_module(f"rlvr.trainer.{module}")
        for part in name.split("."):
            found = getattr(found, part)
