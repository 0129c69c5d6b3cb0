"""What lies around the engines: choosing one, its options, its seeds, where a model lies, many jobs at once."""

import asyncio
import logging
import sys
from pathlib import Path
from typing import Any

import pytest
from rlvr.evals.engines.checkpoint import find_model
from rlvr.evals.engines.choose import make_engine, parse_options
from rlvr.evals.engines.drawing import drawn
from rlvr.evals.engines.quiet import patient_hub
from rlvr.evals.engines.seeds import seed_of
from rlvr.evals.engines.types import EngineUnavailable, Generated
from rlvr.evals.errors import UsageError


def test_an_engine_is_made_with_its_options() -> None:
    engine = make_engine("openai", "tiny", {"base_url": "http://127.0.0.1:1/v1", "concurrency": 3})
    assert type(engine).__name__ == "OpenAIEngine"


@pytest.mark.parametrize(
    ("name", "options", "words"),
    [
        ("sglang", {}, "no engine 'sglang': choose from vllm, openai, transformers"),
        ("openai", {"base_ulr": "x"}, "no option base_ulr .did you mean base_url."),
        ("openai", {"tensor_parallel_size": 2}, "no option tensor_parallel_size: it has base_url"),
    ],
)
def test_a_wrong_name_is_the_users_to_mend(name: str, options: Any, words: str) -> None:
    with pytest.raises(UsageError, match=words):
        make_engine(name, "tiny", options)


def test_a_missing_library_is_named_with_the_extra_that_brings_it(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delitem(sys.modules, "rlvr.evals.engines.openai", raising=False)
    monkeypatch.setitem(sys.modules, "httpx2", None)
    with pytest.raises(EngineUnavailable, match=r"needs httpx2, which is not installed: pip install 'rlvr\[openai\]'"):
        make_engine("openai", "tiny")


def test_a_library_that_does_not_load_says_why(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    (tmp_path / "vllm.py").write_text("raise ImportError('libcuda.so.1: cannot open shared object file')")
    monkeypatch.syspath_prepend(tmp_path)
    for name in [name for name in sys.modules if name.partition(".")[0] == "vllm" or name.endswith("engines.vllm")]:
        monkeypatch.delitem(sys.modules, name)
    with pytest.raises(EngineUnavailable, match=r"vllm engine's library does not load: libcuda.so.1"):
        make_engine("vllm", "tiny")


def test_the_hubs_tries_are_told_once_and_the_rest_is_let_through() -> None:
    logger, told = logging.getLogger("huggingface_hub"), list[str]()
    handler = logging.Handler()
    handler.emit = lambda record: told.append(record.getMessage())
    logger.addHandler(handler)
    try:
        with patient_hub():
            for number in range(1, 6):
                logger.warning("'%s' thrown while requesting HEAD https://hub/x", "no name")
                logger.warning("Retrying in 1s [Retry %d/5].", number)
            logger.warning("Rate limited. Waiting 300s before retry [Retry 1/5].")
        logger.warning("Retrying in 8s [Retry 5/5].")
    finally:
        logger.removeHandler(handler)
    assert told == [
        "the Hugging Face hub does not answer; trying for half a minute …",
        "Rate limited. Waiting 300s before retry [Retry 1/5].",
        "Retrying in 8s [Retry 5/5].",
    ]


def test_options_are_json_or_text() -> None:
    typed = ["a=1", "b=0.5", "c=true", "d=False", "e=None", "f=float32", 'g={"x": [1]}', "h-i=a=b", "j="]
    assert parse_options(typed) == {
        **{"a": 1, "b": 0.5, "c": True, "d": False, "e": None, "f": "float32", "g": {"x": [1]}, "h_i": "a=b", "j": ""}
    }
    for wrong in (["x"], ["=1"], ["a=1", "a=2"]):
        with pytest.raises(UsageError):
            parse_options(wrong)


def test_seeds_are_stable_different_and_fit_31_bits() -> None:
    assert [seed_of(0, "aime24-1", sample) for sample in (0, 1)] == [2020046487, 1234456118]
    seeds = [seed_of(run, f"p{problem}", sample) for run in (0, 1) for problem in range(50) for sample in range(64)]
    assert len(set(seeds)) > len(seeds) - 3
    assert 0 <= min(seeds) < 2**24 and 2**31 - 2**24 < max(seeds) < 2**31
    assert seed_of(1, "1", 11) != seed_of(11, "1", 1) and seed_of(0, "\udc80", 0) >= 0


def test_what_comes_first_is_given_first_and_never_too_much_at_once() -> None:
    running = most = 0

    async def draw(job: int, give: Any) -> None:
        nonlocal running, most
        running += 1
        most = max(most, running)
        await asyncio.sleep(0.01 * job)
        running -= 1
        give(Generated("p", job))

    async def main() -> list[int]:
        return [one.sample async for one in drawn([9, 1, 3, 2], draw, at_once=2)]

    assert asyncio.run(main()) == [1, 3, 2, 9]
    assert most == 2


def test_what_a_job_raises_is_raised_after_what_came_before_it() -> None:
    async def draw(job: int, give: Any) -> None:
        if job == 2:
            raise EngineUnavailable("it died")
        give(Generated("p", job))
        await asyncio.sleep(0)

    async def main() -> list[int]:
        got: list[int] = []
        with pytest.raises(EngineUnavailable, match="it died"):
            async for one in drawn(range(9), draw, at_once=1):
                got.append(one.sample)  # noqa: PERF401 - what came before the failure is the point
        return got

    assert asyncio.run(main()) == [0, 1]


def test_nothing_asked_gives_nothing() -> None:
    async def draw(job: int, give: Any) -> None:
        raise AssertionError("nothing was asked")

    async def main() -> list[Generated]:
        return [one async for one in drawn([], draw, at_once=8)]

    assert asyncio.run(main()) == []


def test_a_folder_has_no_commit(tmp_path: Path) -> None:
    (tmp_path / "config.json").write_text("{}")
    assert find_model(str(tmp_path), None) == (str(tmp_path), None)


def test_what_the_hub_says_is_said_in_a_sentence(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    hub = pytest.importorskip("huggingface_hub")
    client = pytest.importorskip("httpx2")
    errors = pytest.importorskip("huggingface_hub.errors")
    response = client.Response(403, request=client.Request("GET", "http://x"))
    refused: dict[Exception, str] = {
        errors.GatedRepoError("gated", response=response): "is gated: accept its terms at https://huggingface.co/o/m",
        errors.RepositoryNotFoundError("404", response=response): "neither a folder here nor a model on the hub",
        errors.RevisionNotFoundError("404", response=response): "o/m has no revision v9",
        errors.LocalEntryNotFoundError("offline"): "cannot be reached and o/m at revision v9 is not in the cache",
        errors.OfflineModeIsEnabled("offline"): "cannot be reached",
        errors.HfHubHTTPError("500 it broke\nmore", response=response): "the hub refused o/m: 500 it broke",
    }
    for error, words in refused.items():

        def fail(*_: Any, error: Exception = error, **__: Any) -> None:
            raise error

        monkeypatch.setattr(hub, "hf_hub_download", fail)
        with pytest.raises(EngineUnavailable, match=words.replace("(", r"\(")):
            find_model("o/m", "v9")
    cached = tmp_path / "snapshots" / "abc123" / "config.json"
    monkeypatch.setattr(hub, "hf_hub_download", lambda *_, **__: str(cached))
    assert find_model("o/m", None) == ("o/m", "abc123")
