"""`rlvr adapter` and `rlvr rewards`: the files that trainers ask for, and the list of rewards."""

import importlib.util
import json
from pathlib import Path
from types import ModuleType

import pytest
from rlvr.evals.adapter_command import TRAINERS
from rlvr.evals.cli import main
from rlvr.verifiers.rewards import RECIPES

MINE = """
from rlvr.verifiers import verify_format, verify_math, weighted
reward = weighted(correct=(1.0, verify_math), format=(0.1, verify_format))
class group:
    inner = reward
"""


@pytest.fixture(autouse=True)
def _folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.syspath_prepend(str(tmp_path))
    (tmp_path / "my_own_rewards.py").write_text(MINE, encoding="utf-8")


def loaded(path: str) -> ModuleType:
    """As trainers load it: by its path."""
    spec = importlib.util.spec_from_file_location("loaded_by_path", path)
    assert spec and spec.loader
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@pytest.mark.parametrize("trainer", TRAINERS)
@pytest.mark.parametrize("name", ["my_own_rewards:reward", "my_own_rewards:group.inner", "math", "language", "r1"])
def test_the_file_can_be_loaded_and_names_what_the_trainer_looks_for(
    trainer: str, name: str, capsys: pytest.CaptureFixture[str]
) -> None:
    module = importlib.import_module(f"rlvr.verifiers.adapters.{trainer.replace('-', '_')}")
    assert main(["adapter", trainer, "--reward", name]) == 0
    text = capsys.readouterr().out
    Path("rlvr_reward.py").write_text(text, encoding="utf-8")
    assert f"\n{module.NAMED} = as_" in text
    try:
        assert callable(getattr(loaded("rlvr_reward.py"), module.NAMED))
    except ModuleNotFoundError as error:  # the trainer's own package: its test has it
        assert error.name in ("nemo_rl", "open_instruct", "skyrl_gym")
    assert text.startswith(f"# {trainer}: ") and "{" not in text
    assert len([line for line in text.splitlines() if line and not line.startswith("#")]) <= 4 + ("." in name)


def test_how_it_is_run_goes_into_the_file(capsys: pytest.CaptureFixture[str]) -> None:
    options = ["--workers", "4", "--timeout", "10", "--unjudged", "0", "--out", "mine.py"]
    assert main(["adapter", "verl", "--reward", "my_own_rewards:reward", *options]) == 0
    said = capsys.readouterr().out
    assert said.startswith("wrote mine.py\nverl: ") and "mine.py" in said.splitlines()[1]
    text = Path("mine.py").read_text(encoding="utf-8")
    assert "as_verl(Judging(reward, workers=4, timeout_s=10.0, unjudged=0.0))" in text
    assert callable(loaded("mine.py").compute_score)


@pytest.mark.parametrize("name", ["nothing", "no_such_module:reward", "my_own_rewards:absent"])
def test_a_reward_that_is_not_there_is_said_now(name: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["adapter", "verl", "--reward", name]) == 2
    told = capsys.readouterr()
    assert told.out == ""
    assert len(told.err.splitlines()) == 1 and name.split(":")[0] in told.err


def test_only_its_own_files_are_written_again(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "adapted").mkdir()
    source = tmp_path / "adapted" / "rewards.py"
    source.write_text("def reward(problem, completion): ...\n")
    assert main(["adapter", "verl", "--reward", "adapted.rewards:reward", "--out", "adapted/rewards.py"]) == 2
    assert source.read_text() == "def reward(problem, completion): ...\n"
    for trainer in ("verl", "slime"):
        assert main(["adapter", trainer, "--reward", "adapted.rewards:reward", "--out", "file.py"]) == 0
    assert (tmp_path / "file.py").read_text().startswith("# slime: ")


@pytest.mark.parametrize("out", ["my_own_rewards.py", "my-reward.py"])
def test_a_file_that_would_break_is_not_written(out: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["adapter", "verl", "--reward", "my_own_rewards:reward", "--out", out]) == 2
    assert out in capsys.readouterr().err
    assert Path("my_own_rewards.py").read_text(encoding="utf-8") == MINE and not Path("my-reward.py").exists()


def test_a_folder_that_is_not_there_is_said(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["adapter", "verl", "--reward", "math", "--out", "nowhere/x.py"]) == 2
    assert "nowhere/x.py" in capsys.readouterr().err


def test_the_rewards_are_listed_with_what_they_pay_for(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["rewards"]) == 0
    told = capsys.readouterr().out
    assert main(["rewards", "--json"]) == 0
    rows = json.loads(capsys.readouterr().out)
    assert list(rows) == [recipe.name for recipe in RECIPES]
    for recipe in RECIPES:
        assert set(rows[recipe.name]["pays"]) == {name for name, _, _ in recipe.reward.parts}  # type: ignore[attr-defined]
        assert recipe.name in told and recipe.source in told
        assert all(what in told for what in recipe.pays.values())


def test_a_ready_made_reward_scores_a_file(capsys: pytest.CaptureFixture[str]) -> None:
    row = {"id": "1", "completion": "<think>a</think><answer>4</answer>", "answer": "4"}
    Path("one.jsonl").write_text(json.dumps(row) + "\n", encoding="utf-8")
    assert main(["score", "one.jsonl", "--verifier", "r1_zero_math", "--json", "--quiet"]) == 0
    assert json.loads(capsys.readouterr().out)["pass@k"]["1"]["mean"] == 1.0
    assert main(["score", "one.jsonl", "--verifier", "r1_zero_math", "--option", "x=1", "--quiet"]) == 2
    assert "no such option" in capsys.readouterr().err


def test_a_ready_made_reward_without_its_sandbox_says_so_before_a_row_is_read(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    from rlvr.verifiers import rewards

    monkeypatch.setattr(rewards, "_sandboxes", {})
    monkeypatch.setenv("DOCKER_HOST", "unix:///nowhere/docker.sock")
    Path("one.jsonl").write_text("no row\n", encoding="utf-8")
    assert main(["score", "one.jsonl", "--verifier", "r1_zero_code", "--quiet"]) == 2
    assert capsys.readouterr().err.startswith("rlvr score: verifier r1_zero_code: no Docker engine")
