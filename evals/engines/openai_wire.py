"""What goes over the wire to an OpenAI-compatible server, and what comes back. No input or output happens here."""

import json
import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, cast

from .types import FinishReason, Prompt, Sampling

# vLLM fills these in from the model's generation_config.json and llama.cpp from its own defaults (top_k 40, min_p 0.05)
# unless a request says otherwise: the protocol has a temperature and a top-p, and nothing else.
NEUTRAL: Mapping[str, Any] = {"top_k": -1, "min_p": 0.0, "repetition_penalty": 1.0}
# What some servers refuse by name and a request can do without, and what that costs: it is logged once.
OPTIONAL: Mapping[str, str] = {
    **{name: f"the server's own {name} applies" for name in NEUTRAL},
    "seed": "samples cannot be drawn again one by one",
    "stream_options": "token counts may be missing",
    "return_token_ids": "token counts of batched samples are missing",
    "continue_final_message": "the prefix is sent as an assistant's message, which this server may or may not continue",
    "add_generation_prompt": "the prefix is sent as an assistant's message, which this server may or may not continue",
}
_FINISHED: Mapping[str, FinishReason] = {
    **dict.fromkeys(("stop", "eos", "eos_token", "end_turn", "stop_sequence"), "stop"),
    **dict.fromkeys(("length", "max_tokens"), "length"),
}


class Broken(Exception):
    """The answer is not one, but the next try may bring it."""


class Unusable(Exception):
    """The answer is one that another try would repeat."""


def request_body(
    model: str, prompt: Prompt, sampling: Sampling, *, n: int, seed: int | None, dropped: frozenset[str]
) -> tuple[str, dict[str, Any]]:
    """(path below the base URL, body without the names in `dropped`): chat for messages, completions for plain text."""
    body: dict[str, Any] = {
        "model": model,
        "temperature": sampling.temperature,
        "top_p": sampling.top_p,
        "max_tokens": sampling.max_tokens,
        **NEUTRAL,
        "stream": True,
        "stream_options": {"include_usage": True},
    }
    if n > 1:
        body |= {"n": n, "return_token_ids": True}
    if seed is not None:
        body["seed"] = seed
    if prompt.messages:
        path = "chat/completions"
        body |= _chat(prompt)
        if sampling.logprobs:
            body["logprobs"] = True
    else:
        path = "completions"
        body["prompt"] = prompt.text + prompt.prefix
        if sampling.logprobs:
            body["logprobs"] = 1
    if "max_tokens" in dropped:  # OpenAI's own newer models
        body["max_completion_tokens"] = body["max_tokens"]
    return path, {name: value for name, value in body.items() if name not in dropped}


def _chat(prompt: Prompt) -> dict[str, Any]:
    messages = [dict(message) for message in prompt.messages]
    if not prompt.prefix:
        return {"messages": messages}
    return {
        "messages": [*messages, {"role": "assistant", "content": prompt.prefix}],
        "continue_final_message": True,
        "add_generation_prompt": False,
    }


def refused_names(message: str, body: Mapping[str, Any]) -> frozenset[str]:
    """Which fields of the body a refusal names that the request can do without."""
    words = set(re.findall(r"\w+", message))
    names = {name for name in OPTIONAL if name in words and name in body}
    if {"max_tokens", "max_completion_tokens"} <= words and "max_completion_tokens" not in body:
        names.add("max_tokens")
    return frozenset(names)


def error_message(text: str) -> str:
    """What a server says in the body of a refusal, in one line of at most 300 characters."""
    try:
        said: Any = json.loads(text)
    except ValueError:
        said = text
    for _ in range(3):  # {"error": {"message": …}}, {"message": …}, {"detail": [{"loc": …, "msg": …}]}
        if isinstance(said, dict):
            table = cast(dict[str, Any], said)
            said = next((table[name] for name in ("error", "message", "detail", "msg") if name in table), text)
        elif isinstance(said, list):
            said = "; ".join(map(_detail, cast(list[Any], said)))
    line = " ".join(str(said).split())
    return line if len(line) <= 300 else line[:299] + "…"


def _detail(part: Any) -> str:
    """One of FastAPI's complaints, without the body that it repeats under `input`."""
    if not isinstance(part, dict):
        return str(part)
    table = cast(dict[str, Any], part)
    return f"{table.get('loc')}: {table.get('msg')}"


@dataclass(slots=True)
class Choice:
    """One completion as it grows."""

    content: str = ""
    reasoning: str = ""
    finish: str | None = None
    logprobs: list[float] = field(default_factory=list[float])
    token_ids: int = 0

    def add(self, piece: Mapping[str, Any]) -> None:
        """Take in a choice of a chunk (`delta`), of a whole chat answer (`message`) or of a completion (`text`)."""
        said: Any = piece.get("delta") or piece.get("message") or {"content": piece.get("text")}
        self.content += said.get("content") or ""
        self.reasoning += said.get("reasoning_content") or said.get("reasoning") or ""
        logprobs: Any = piece.get("logprobs") or {}
        self.logprobs += [token["logprob"] for token in logprobs.get("content") or ()]
        self.logprobs += [value for value in logprobs.get("token_logprobs") or () if value is not None]
        self.token_ids += len(piece.get("token_ids") or ())
        self.finish = piece.get("finish_reason") or self.finish

    def finish_reason(self) -> FinishReason:
        """Raises Unusable for anything but an end or the limit (a content filter, a tool call), Broken for an abort."""
        if self.finish in ("abort", "error"):
            raise Broken(f"the server ended the completion with finish_reason {self.finish!r}")
        if self.finish is None or self.finish not in _FINISHED:
            raise Unusable(f"the server ended the completion with finish_reason {self.finish!r}")
        return _FINISHED[self.finish]

    def text(self, prefix: str) -> str:
        """The completion with its prefix in front, and what a reasoning parser took out put back between its tags.

        The closing tag comes back only before an answer: a completion that was cut while it thought never wrote one.
        """
        if not self.reasoning:
            echoed = bool(prefix) and self.content.startswith(prefix)
            return self.content if echoed else prefix + self.content
        opened = prefix if prefix.lstrip().startswith("<think>") else f"{prefix}<think>"
        return f"{opened}{self.reasoning}" + (f"</think>{self.content}" if self.content else "")


@dataclass(slots=True)
class Answer:
    """What one request has brought so far."""

    n: int
    choices: dict[int, Choice] = field(default_factory=dict[int, Choice])
    completion_tokens: int | None = None
    prompt_tokens: int | None = None

    def take(self, payload: str) -> Iterator[tuple[int, Choice]]:
        """Take in one JSON text, a chunk or a whole answer; yields (index, choice) of what it finishes.

        What comes for a choice that has finished already, or for one that was not asked for, is passed over.
        Raises Broken for what is not an answer.
        """
        try:
            said = json.loads(payload)
            if said.get("error"):
                raise Broken(f"the server broke off: {error_message(payload)}")
            if usage := said.get("usage"):
                self.completion_tokens = usage.get("completion_tokens")
                self.prompt_tokens = usage.get("prompt_tokens")
            for piece in said.get("choices") or ():
                index = piece.get("index") or 0
                if not 0 <= index < self.n:
                    continue
                choice = self.choices.setdefault(index, Choice())
                if choice.finish is None:
                    choice.add(piece)
                    if choice.finish is not None:
                        yield index, choice
        except (ValueError, KeyError, TypeError, AttributeError) as malformed:
            raise Broken(f"the server sent malformed JSON: {error_message(payload)}") from malformed

    def tokens(self, choice: Choice) -> int | None:
        """New tokens of one choice; None where the server counted only all of them together."""
        if self.n == 1 and self.completion_tokens is not None:
            return self.completion_tokens
        return choice.token_ids or len(choice.logprobs) or None


def served_models(payload: str) -> Sequence[Mapping[str, Any]]:
    """The models of `GET /models`, each with its `id`. Raises Broken for what is no such list."""
    try:
        models = json.loads(payload)["data"]
        return [model for model in models if isinstance(model["id"], str)]
    except (ValueError, KeyError, TypeError) as malformed:
        raise Broken(f"/models answered {error_message(payload)}") from malformed
