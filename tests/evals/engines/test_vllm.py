"""A real vLLM on the tiny model, offline and as a server, beside transformers: `make test-engines`."""

import json
import subprocess
import sys
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import pytest

pytestmark = [
    pytest.mark.vllm,
    pytest.mark.skipif(find_spec("vllm") is None, reason="vLLM has an environment of its own: make test-engines"),
]
SCRIPT = Path(__file__).with_name("draw_samples.py")
HOT = {"temperature": 1.0, "top_p": 0.95, "max_tokens": 200, "logprobs": True}
GREEDY = {"temperature": 0.0, "max_tokens": 30, "logprobs": True}
BACKSTOP_S = 400

Options = tuple[str, ...]


def draw(engine: str, model: str | Path, sampling: Any, *options: str) -> tuple[Any, dict[tuple[str, int], Any]]:
    """(what the engine is, every sample by problem and number)"""
    command = [sys.executable, SCRIPT, engine, model, json.dumps(sampling), *options]
    done = subprocess.run(command, capture_output=True, text=True, timeout=BACKSTOP_S, check=False)
    assert done.returncode == 0, done.stderr[-3000:]
    info, *rows = [json.loads(line) for line in done.stdout.splitlines() if line.startswith("{")]
    assert len(rows) == 12
    drawn = {(row["problem_id"], row["sample"]): row for row in rows}
    assert len(drawn) == 12
    return info, drawn


@pytest.fixture(scope="module")
def offline(tiny_model: Path, vllm_options: Options) -> Any:
    return draw("vllm", tiny_model, HOT, *vllm_options)


def check_shape(rows: dict[tuple[str, int], Any]) -> None:
    for row in rows.values():
        assert row["error"] is None and row["finish_reason"] in ("stop", "length")
        assert row["text"].startswith("<think>\n") == (row["problem_id"] == "short")
        assert len(row["logprobs"]) == row["n_tokens"] <= 200
        assert (row["n_tokens"] == 200) if row["finish_reason"] == "length" else True
        assert row["prompt_tokens"] > 0 and isinstance(row["seed"], int)
    assert len({row["text"] for row in rows.values()}) == 12


def test_offline(offline: Any) -> None:
    info, rows = offline
    check_shape(rows)
    assert {row["finish_reason"] for row in rows.values()} == {"stop", "length"}
    assert info["name"] == "vllm" and info["versions"]["vllm"]
    assert info["options"]["max_model_len"] == 2048 and info["options"]["enable_prefix_caching"] is True


def test_offline_samples_come_as_they_finish(offline: Any) -> None:
    lengths = [row["n_tokens"] for row in offline[1].values()]
    assert min(lengths) < max(lengths) and lengths[0] < max(lengths) and lengths[-1] > min(lengths)


def test_offline_draws_the_same_again_in_another_order_of_work(
    offline: Any, tiny_model: Path, vllm_options: Options
) -> None:
    """Two at once instead of twelve: the seeds are each sample's own."""
    few = [option for option in vllm_options if "max_num_seqs" not in option]
    _, again = draw("vllm", tiny_model, HOT, *few, "max_num_seqs=2")
    same = [key for key, row in offline[1].items() if again[key]["text"] == row["text"]]
    assert len(same) >= 10  # float32: rounding may tip a token over


def test_the_server_draws_what_the_offline_engine_draws(offline: Any, server: str) -> None:
    info, rows = draw("openai", "tiny", HOT, f"base_url={server}")
    check_shape(rows)
    assert info["versions"]["vllm"] == offline[0]["versions"]["vllm"]
    assert info["options"]["max_model_len"] == 2048
    assert {key: (row["prompt_tokens"], row["seed"]) for key, row in rows.items()} == {
        key: (row["prompt_tokens"], row["seed"]) for key, row in offline[1].items()
    }
    same = [key for key, row in offline[1].items() if rows[key]["text"] == row["text"]]
    assert len(same) >= 10


def test_the_server_in_batches_of_n(server: str) -> None:
    _, rows = draw("openai", "tiny", HOT, f"base_url={server}", "batch_n=true")
    assert len({row["text"] for row in rows.values()}) == 12
    for row in rows.values():
        assert row["error"] is None and row["seed"] is None and len(row["logprobs"]) == row["n_tokens"]


def test_three_engines_agree_where_nothing_is_drawn(tiny_model: Path, server: str, vllm_options: Options) -> None:
    """Greedy, so that one model says one thing: template, prefix, ends, penalties and counts are the same."""
    offline = draw("vllm", tiny_model, GREEDY, *vllm_options)[1]
    served = draw("openai", "tiny", GREEDY, f"base_url={server}")[1]
    here = draw("transformers", tiny_model, GREEDY, "device=cpu", "dtype=float32")[1]
    for key, row in here.items():
        for other in (offline[key], served[key]):
            # Of a character that the limit cut in two, vLLM keeps nothing and transformers its mark.
            assert other["text"] == row["text"].rstrip("\ufffd") or other["text"] == row["text"], key
            for column in ("finish_reason", "n_tokens", "prompt_tokens", "seed"):
                assert other[column] == row[column], (key, column)
            assert other["logprobs"] == pytest.approx(row["logprobs"], abs=1e-2)
        assert set(row) == set(offline[key]) == set(served[key])


@pytest.mark.parametrize(
    ("model", "options", "words"),
    [
        ("./nowhere", (), "there is no folder ./nowhere"),
        ("TINY", ("max_model_len=1000000",), "vLLM cannot start: "),
        ("TINY", ("dtype=float32", "kv_cache_memory_bytes=1000"), "lower max_model_len"),
    ],
)
def test_a_start_that_fails_says_why(tiny_model: Path, model: str, options: Any, words: str) -> None:
    named = tiny_model if model == "TINY" else model
    command = [sys.executable, SCRIPT, "vllm", named, json.dumps(HOT), *options]
    done = subprocess.run(command, capture_output=True, text=True, timeout=BACKSTOP_S, check=False)
    assert done.returncode == 1
    (said,) = [line for line in done.stderr.splitlines() if line.startswith("unavailable: ")]
    assert words in said
