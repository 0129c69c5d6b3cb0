"""`rlvr eval` itself on AIME24, 30 problems x 4 samples, through all three engines: `make test-engines`."""

import json
import subprocess
import sys
from collections.abc import Iterator, Mapping
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import pytest

DATA = Path(__file__).parents[4] / "shared" / "data" / "benchmarks" / "aime24.jsonl"
RLVR = Path(sys.executable).with_name("rlvr")
BACKSTOP_S = 400
ENGINES = ("vllm", "openai", "transformers")
MAX_TOKENS = 64

pytestmark = [
    pytest.mark.vllm,
    pytest.mark.skipif(find_spec("vllm") is None, reason="vLLM has an environment of its own: make test-engines"),
    pytest.mark.skipif(not DATA.exists(), reason=f"AIME24 is not at {DATA}: the shared data is not here"),
]
Runs = Mapping[str, Path]
Row = dict[str, Any]


def rlvr(folder: Path, *words: object) -> "subprocess.CompletedProcess[str]":
    command = [str(RLVR), *map(str, words)]
    return subprocess.run(command, cwd=folder, capture_output=True, text=True, timeout=BACKSTOP_S, check=False)


@pytest.fixture(scope="module")
def runs(
    tiny_model: Path, server: str, vllm_options: tuple[str, ...], tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Runs]:
    """The folder of each engine's run, which exited with 0 and printed its numbers."""
    here = tmp_path_factory.mktemp("runs")
    how: dict[str, tuple[object, list[object], tuple[str, ...]]] = {
        "vllm": (tiny_model, [], vllm_options),
        "openai": ("tiny", ["--base-url", server], ()),
        "transformers": (tiny_model, [], ("device=cpu", "dtype=float32", "batch_size=30")),
    }
    for engine, (model, more, options) in how.items():
        chosen = [word for option in options for word in ("--engine-option", option)]
        run = rlvr(
            here, "eval", "aime24", "--data", DATA, "--n", 4, "--max-tokens", MAX_TOKENS, "--temperature", 1,
            "--model", model, "--backend", engine, *more, *chosen, "--out", engine,
        )  # fmt: skip
        assert run.returncode == 0, run.stderr[-3000:]
        assert run.stderr.startswith(f"aime24: 30 problems x 4 samples into {engine}\n")
        assert "Traceback" not in run.stderr
        assert "120 samples of 30 problems (4 each), judged by math" in run.stdout
        assert run.stdout.endswith(f"{engine}/report.html\n")
    yield {engine: here / engine for engine in ENGINES}


def rows(path: Path) -> list[Row]:
    return [json.loads(line) for line in path.read_bytes().splitlines()]


def table(path: Path) -> Row:
    return json.loads(path.read_text(encoding="utf-8"))


def shape(value: Any) -> Any:
    """The keys, all the way down; of what an engine names itself, only that it is there."""
    if not isinstance(value, dict):
        return None
    free = ("versions", "options", "engine_options", "engine_versions")
    return {key: None if key in free else shape(inner) for key, inner in value.items()}


@pytest.mark.parametrize("engine", ENGINES)
def test_a_run_is_whole(runs: Runs, engine: str) -> None:
    problems = [str(row["id"]) for row in rows(DATA)]
    asked = [(problem, sample) for problem in problems for sample in range(4)]
    samples, scored = rows(runs[engine] / "samples.jsonl"), rows(runs[engine] / "scored.jsonl")
    assert len(asked) == len(samples) == len(scored) == 120
    assert sorted((row["id"], row["sample"]) for row in samples) == sorted(asked)
    assert [(row["id"], row["sample"]) for row in scored] == asked
    for row in samples:
        assert row["finish_reason"] in ("stop", "length")
        assert 0 < row["n_tokens"] <= MAX_TOKENS
        assert row["n_tokens"] == MAX_TOKENS or row["finish_reason"] == "stop"
        assert row["prompt_tokens"] > 0 and isinstance(row["seed"], int) and isinstance(row["completion"], str)
    summary = table(runs[engine] / "summary.json")
    assert (summary["samples"], summary["not_judged"], summary["run"]["missing"]) == (120, 0, 0)
    assert summary["run"]["tokens"] == sum(row["n_tokens"] for row in samples)
    assert summary["run"]["engine"] == engine
    assert "aime24" in (runs[engine] / "report.html").read_text(encoding="utf-8")


def test_three_runs_of_one_shape(runs: Runs) -> None:
    files = {engine: {path.name for path in folder.iterdir()} for engine, folder in runs.items()}
    assert files["vllm"] - {"engine.log"} == files["openai"] == files["transformers"]
    assert "engine.log" in files["vllm"] and (runs["vllm"] / "engine.log").stat().st_size > 0
    for name in ("samples.jsonl", "scored.jsonl", "problems.jsonl", "sessions.jsonl"):
        keys = {engine: {tuple(row) for row in rows(folder / name)} for engine, folder in runs.items()}
        assert keys["vllm"] == keys["openai"] == keys["transformers"], name
    manifests = [shape(table(folder / "manifest.json")) for folder in runs.values()]
    assert manifests[0] == manifests[1] == manifests[2]
    summaries = [table(folder / "summary.json") for folder in runs.values()]
    keys = [(set(summary), set(summary["run"])) for summary in summaries]  # further down, keys are what came out
    assert keys[0] == keys[1] == keys[2]


def test_three_runs_of_one_question(runs: Runs) -> None:
    """The same problems, prompt, sampling, seeds, and the same tokens in front of every completion."""
    manifests = {engine: table(folder / "manifest.json") for engine, folder in runs.items()}
    first = manifests["vllm"]
    for manifest in manifests.values():
        assert manifest["task"] == first["task"] and manifest["task"]["hash"]
        assert manifest["prompt"] == first["prompt"] and manifest["prompt"]["hash"]
        assert manifest["sampling"] == first["sampling"]
        assert manifest["first_prompt"]["messages"] == first["first_prompt"]["messages"]
    assert first["first_prompt"]["rendered"] == manifests["transformers"]["first_prompt"]["rendered"]
    kept = ("id", "sample", "seed", "prompt_tokens")
    asked = [{tuple(row[key] for key in kept) for row in rows(folder / "samples.jsonl")} for folder in runs.values()]
    assert asked[0] == asked[1] == asked[2]
    gold = [[row["answer"] for row in rows(folder / "scored.jsonl")] for folder in runs.values()]
    assert gold[0] == gold[1] == gold[2]


@pytest.mark.parametrize("engine", ENGINES)
def test_a_report_is_written_again_to_the_same_scores(runs: Runs, engine: str) -> None:
    folder = runs[engine]
    before = (folder / "scored.jsonl").read_bytes(), table(folder / "summary.json")["score"]
    (folder / "report.html").unlink()
    again = rlvr(folder.parent, "report", engine)
    assert again.returncode == 0, again.stderr
    assert (folder / "report.html").exists()
    assert ((folder / "scored.jsonl").read_bytes(), table(folder / "summary.json")["score"]) == before


def test_a_complete_run_starts_no_engine(runs: Runs) -> None:
    """Given again, the command of the run is done at once: its vLLM writes nothing."""
    folder, log = runs["vllm"], runs["vllm"] / "engine.log"
    written = log.read_bytes()
    again = rlvr(folder.parent, *table(folder / "manifest.json")["command"][1:])
    assert again.returncode == 0, again.stderr
    assert "every sample is there already: nothing is asked of the model" in again.stderr
    assert log.read_bytes() == written
