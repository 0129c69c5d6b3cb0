"""The OpenAI engine against a server that does everything wrong: each sample comes once, or its error does."""

import asyncio
import logging
import random
from collections.abc import Awaitable, Callable
from typing import Any

import pytest
from rlvr.evals.engines.seeds import seed_of
from rlvr.evals.engines.types import EngineUnavailable, Generated, Prompt, Sampling

R1 = Sampling()


def run(tools: Any, server: Any, asked: Any, sampling: Sampling = R1, **options: Any) -> list[Generated]:
    async def main() -> list[Generated]:
        async with server.running():
            engine = tools.engine_at(server, **options)
            await engine.start()
            try:
                return await tools.draw(engine, asked, sampling)
            finally:
                await engine.aclose()

    return asyncio.run(main())


def unavailable(tools: Any, server: Any, path: str = "/v1", **options: Any) -> str:
    async def main() -> str:
        async with server.running():
            engine = tools.OpenAIEngine(
                options.pop("model", "tiny"), base_url=server.base + path, backoff_s=0.001, **options
            )
            with pytest.raises(EngineUnavailable) as failed:
                await engine.start()
            await engine.aclose()
            return str(failed.value)

    return asyncio.run(main())


def once(act: str) -> Callable[[int, dict[str, Any]], str]:
    """Every sample's first request fares so, and its second is answered."""
    seen: set[Any] = set()

    def behave(_: int, body: dict[str, Any]) -> str:
        first = body.get("seed") not in seen
        seen.add(body.get("seed"))
        return act if first else "good"

    return behave


def test_a_request_says_everything_that_decides_a_sample(tools: Any) -> None:
    server = tools.Server()
    drawn = run(tools, server, tools.prompts(2, 3), Sampling(seed=5))
    assert all(one.error is None and one.finish_reason == "stop" for one in drawn)
    for one in drawn:
        assert one.seed == seed_of(5, one.problem_id, one.sample)
        assert one.text == f"\u2028said with {one.seed}, choice 0 of 1"
        assert (one.n_tokens, one.prompt_tokens) == (3, 7)
    said = {"temperature": 0.6, "top_p": 0.95, "max_tokens": 32_768, "top_k": -1, "min_p": 0.0, "model": "tiny"}
    assert all(said.items() <= body.items() and "n" not in body for body in server.bodies)
    assert server.paths == ["/v1/chat/completions"] * 6


def test_plain_text_goes_to_completions_with_its_prefix(tools: Any) -> None:
    server = tools.Server()
    (one,) = run(tools, server, [(Prompt("p", text="User: 2+2? Assistant: ", prefix="<think>\n"), [4])])
    assert server.paths == ["/v1/completions"]
    assert server.bodies[0]["prompt"] == "User: 2+2? Assistant: <think>\n"
    assert one.sample == 4 and one.text.startswith("<think>\n\u2028said with")


def test_a_prefix_continues_the_assistants_message_where_the_server_can(tools: Any, caplog: Any) -> None:
    server = tools.Server()
    (one,) = run(tools, server, tools.prompts(1, 1, prefix="<think>\n"))
    body = server.bodies[0]
    assert body["messages"][-1] == {"role": "assistant", "content": "<think>\n"}
    assert body["continue_final_message"] is True and body["add_generation_prompt"] is False
    assert one.text.startswith("<think>\n\u2028said")
    server = tools.Server(lambda k, body: "without continue_final_message")
    drawn = run(tools, server, tools.prompts(1, 3, prefix="<think>\n"), concurrency=1)
    assert [one.error for one in drawn] == [None] * 3
    assert len(server.bodies) == 4  # learned once
    assert server.bodies[-1]["messages"][-1]["content"] == "<think>\n"
    assert "refuses continue_final_message" in caplog.text


def test_a_refused_seed_is_left_out_and_not_claimed(tools: Any) -> None:
    server = tools.Server(lambda k, body: "without seed")
    drawn = run(tools, server, tools.prompts(1, 4))
    assert [(one.error, one.seed) for one in drawn] == [(None, None)] * 4


@pytest.mark.parametrize(
    "act",
    [
        "refuse",
        "stall",
        "cut",
        "malformed",
        "html",
        "error-in-stream",
        "none",
        "abort",
        "429",
        "429-after",
        "500",
        "503",
        "408",
    ],
)
def test_what_may_pass_is_tried_again(tools: Any, act: str) -> None:
    server = tools.Server(once(act))
    drawn = run(tools, server, tools.prompts(2, 2))
    assert [one.error for one in drawn] == [None] * 4
    assert len(server.bodies) == 8


@pytest.mark.parametrize(
    ("act", "words"),
    [("refuse", "disconnected"), ("stall", "silent"), ("cut", "cut"), ("malformed", "malformed"), ("500", "HTTP 500")],
)
def test_what_never_comes_is_an_error_for_each_sample(tools: Any, act: str, words: str) -> None:
    server = tools.Server(lambda k, body: act if body["seed"] % 2 else "good")
    drawn = run(tools, server, tools.prompts(2, 4), retries=2)
    assert {one.seed % 2 for one in drawn if one.seed is not None} == {0, 1}
    for one in drawn:
        assert (one.error is not None and words in one.error and not one.text) if one.seed % 2 else one.error is None


@pytest.mark.parametrize("act", ["400", "401", "404", "413", "content_filter", "tool_calls"])
def test_what_would_come_again_is_not_tried_again(tools: Any, act: str) -> None:
    server = tools.Server(lambda k, body: act)
    drawn = run(tools, server, tools.prompts(1, 3))
    assert all(one.error and act in one.error for one in drawn)
    assert len(server.bodies) == 3


def test_a_server_that_is_gone_is_not_waited_for_by_every_sample(tools: Any) -> None:
    server = tools.Server(lambda k, body: "refuse")
    drawn = run(tools, server, tools.prompts(1, 50), concurrency=1, retries=4)
    assert all(one.error for one in drawn)
    assert len(server.bodies) == 3 * 5 + 47


def test_retry_after_is_waited_for_and_the_rest_backs_off(tools: Any, monkeypatch: Any) -> None:
    slept: list[float] = []
    sleep = asyncio.sleep

    async def record(seconds: float) -> None:
        slept.append(seconds)
        await sleep(0)

    acts = ["429-after", "429", "429", "429"]
    server = tools.Server(lambda k, body: acts[k] if k < len(acts) else "good")
    monkeypatch.setattr("rlvr.evals.engines.openai.asyncio.sleep", record)
    monkeypatch.setattr("rlvr.evals.engines.openai.random.uniform", lambda low, high: high)
    run(tools, server, tools.prompts(1, 1), backoff_s=1.0)
    assert [wait for wait in slept if wait > 0.01] == [1.01, 2.0, 4.0, 8.0]


def test_finish_reasons_and_whole_answers(tools: Any) -> None:
    server = tools.Server(lambda k, body: ["length", "stop", "whole", "cut-after-end"][k])
    drawn = run(tools, server, tools.prompts(1, 4), concurrency=1)
    assert [one.finish_reason for one in drawn] == ["length", "stop", "length", "stop"]
    assert [one.n_tokens for one in drawn] == [3, 3, 3, None]  # a usage that never came is not made up


@pytest.mark.parametrize("act", ["good", "fewer", "one", "no-n", "duplicate", "cut", "none", "whole"])
def test_batches_of_n(tools: Any, act: str) -> None:
    server = tools.Server(lambda k, body: act if body.get("n") else "good")
    drawn = run(tools, server, tools.prompts(2, 5), batch_n=True, concurrency=1, retries=2)
    broken = [one for one in drawn if one.error]
    if act == "cut":  # four choices stand; the fifth is asked for alone
        assert not broken and [body.get("n") for body in server.bodies] == [5, None, 5, None]
    elif act in ("good", "duplicate", "whole"):
        assert not broken and [body.get("n") for body in server.bodies] == [5, 5]
        assert all(one.seed is None and "of 5" in one.text for one in drawn)
        assert sorted(one.text for one in drawn if one.problem_id == "p0") == [
            f"\u2028said with None, choice {i} of 5" for i in range(5)
        ]
    else:  # learned at the first, so the second problem is not asked so
        assert not broken and [body.get("n") for body in server.bodies].count(5) == 1
        single = [one for one in drawn if one.seed is not None]
        assert len(single) == 10 - {"fewer": 3, "one": 1}.get(act, 0)
        assert all(one.text.startswith(f"\u2028said with {one.seed}") for one in single)


def test_a_server_that_fails_at_random(tools: Any) -> None:
    rng = random.Random(7)
    acts = ["refuse", "stall", "cut", "429", "429-after", "500", "malformed", "html", "fewer", "one", "duplicate"]
    acts += ["no-n", "none", "abort", "error-in-stream", "content_filter"]
    for batch_n in (False, True):
        server = tools.Server(lambda k, body: rng.choice(acts) if rng.random() < 0.5 else "good")
        drawn = run(tools, server, tools.prompts(12, 8), batch_n=batch_n, retries=6, silence_s=0.8)
        came = [one for one in drawn if one.error is None]
        assert len(came) > 60
        for one in came:
            assert one.finish_reason == "stop" and one.text.startswith(f"\u2028said with {one.seed}, choice ")


def test_no_more_requests_at_once_than_allowed(tools: Any) -> None:
    for batch_n in (False, True):
        server = tools.Server(lambda k, body: "no-n")
        server.delay_s = 0.02
        run(tools, server, tools.prompts(6, 6), concurrency=5, batch_n=batch_n)
        assert 1 < server.most_active <= 5


def test_cancelling_hangs_up(tools: Any) -> None:
    async def main() -> None:
        server = tools.Server(lambda k, body: "good" if k < 2 else "stall")
        async with server.running():
            engine = tools.engine_at(server, concurrency=4, silence_s=60)
            await engine.start()
            samples = engine.sample(tools.prompts(2, 8), R1)
            got = [await anext(samples), await anext(samples)]
            assert len(set(tools.keys(got))) == 2
            while server.active < 4:
                await asyncio.sleep(0.01)
            await samples.aclose()
            while server.active:
                await asyncio.sleep(0.01)
            assert len(server.bodies) == 6
            await engine.aclose()

    asyncio.run(asyncio.wait_for(main(), 60))


def test_a_reasoning_parsers_work_is_undone(tools: Any, monkeypatch: Any) -> None:
    async def answer(writer: Any, chat: bool, body: Any, indices: Any, **_: Any) -> None:
        message = {"reasoning_content": "so 4", "content": "\n\n4" if body["max_tokens"] > 9 else None}
        choice = {"index": 0, "message": message, "finish_reason": "stop"}
        await tools.send(writer, 200, {"choices": [choice], "usage": {"completion_tokens": 9, "prompt_tokens": 1}})

    monkeypatch.setattr(tools, "stream", answer)

    def text(prefix: str, max_tokens: int) -> str:
        asked = tools.prompts(1, 1, prefix=prefix)
        return run(tools, tools.Server(), asked, Sampling(max_tokens=max_tokens))[0].text

    assert text("", 100) == "<think>so 4</think>\n\n4"
    assert text("<think>\n", 100) == "<think>\nso 4</think>\n\n4"
    assert text("", 9) == "<think>so 4"  # it never closed its thought


def test_logprobs_of_chat_and_completions(tools: Any, monkeypatch: Any) -> None:
    async def answer(writer: Any, chat: bool, body: Any, indices: Any, **_: Any) -> None:
        assert body["logprobs"] is True if chat else body["logprobs"] == 1
        logprobs = {"content": [{"logprob": -0.5}, {"logprob": -1.5}]} if chat else {"token_logprobs": [-0.5, -1.5]}
        choice = {"index": 0, "message": {"content": "x"}, "finish_reason": "stop", "logprobs": logprobs}
        await tools.send(writer, 200, {"choices": [choice]})

    monkeypatch.setattr(tools, "stream", answer)
    asked = [*tools.prompts(1, 1), (Prompt("q", text="2+2="), [0])]
    for one in run(tools, tools.Server(), asked, Sampling(logprobs=True)):
        assert (one.logprobs, one.n_tokens) == ((-0.5, -1.5), 2)


def test_greeting(tools: Any, monkeypatch: Any) -> None:
    async def info(**options: Any) -> Any:
        server = tools.Server()
        async with server.running():
            engine = tools.engine_at(server, **options)
            try:
                return await engine.start(), server
            finally:
                await engine.aclose()

    monkeypatch.setenv("OPENAI_API_KEY", "secret-key")
    given, server = asyncio.run(info())
    assert given.versions["vllm"] == "1.2.3" and given.options["batch_n"] is False
    assert "authorization: bearer secret-key" in server.headers[0].lower()
    assert "secret-key" not in repr(given)


@pytest.mark.parametrize(
    ("seen", "path", "options", "words"),
    [
        ({}, "", {}, "lacks its /v1: --base-url"),
        ({}, "/v2", {}, "is this the base URL"),
        ({}, "/v1", {"model": "huge"}, "does not serve huge; it serves tiny"),
        ({"models_status": 401}, "/v1", {"api_key_env": "NO_SUCH_KEY"}, "wants a key, and NO_SUCH_KEY is not set"),
        ({"models_status": 401}, "/v1", {"api_key_env": "PATH"}, "wants a key, and PATH is refused"),
        ({"models_status": 503}, "/v1", {}, "HTTP 503"),
    ],
)
def test_a_start_that_fails_says_why(tools: Any, seen: Any, path: str, options: Any, words: str) -> None:
    assert words in unavailable(tools, tools.Server(**seen), path, **options)


def test_no_server_and_no_url(tools: Any) -> None:
    async def start(url: str) -> None:
        engine = tools.OpenAIEngine("tiny", base_url=url, backoff_s=0.001)
        try:
            await engine.start()
        finally:
            await engine.aclose()

    for url, words in [("http://127.0.0.1:9/v1", "no OpenAI-compatible server at"), ("localhost:8000", "is no URL")]:
        with pytest.raises(EngineUnavailable, match=words):
            asyncio.run(start(url))


def test_a_password_in_the_url_is_not_shown(tools: Any) -> None:
    engine = tools.OpenAIEngine("tiny", base_url="http://me:hush@127.0.0.1:9/v1", backoff_s=0.001)

    async def start() -> None:
        try:
            await engine.start()
        finally:
            await engine.aclose()

    with pytest.raises(EngineUnavailable) as failed:
        asyncio.run(start())
    assert "hush" not in str(failed.value) and "127.0.0.1:9" in str(failed.value)


def test_max_tokens_is_renamed_only_for_a_server_that_asks_for_it(tools: Any, caplog: Any) -> None:
    caplog.set_level(logging.WARNING)
    answers: dict[str, Callable[[Any, dict[str, Any]], Awaitable[None]]] = {}

    async def refuse(writer: Any, body: dict[str, Any]) -> None:
        words = "'max_tokens' is not supported, use 'max_completion_tokens'"
        await tools.send(writer, 400, {"error": {"message": words}})

    answers["refuse"] = refuse
    server = tools.Server()
    post = server.post

    async def picky(path: str, body: dict[str, Any], reader: Any, writer: Any) -> None:
        if "max_tokens" in body:
            await answers["refuse"](writer, body)
        else:
            await post(path, body, reader, writer)

    server.post = picky
    (one,) = run(tools, server, tools.prompts(1, 1), Sampling(max_tokens=77))
    assert one.error is None and server.bodies[0]["max_completion_tokens"] == 77
