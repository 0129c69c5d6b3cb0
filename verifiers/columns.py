"""The usual names of columns, and what their values hold."""

from collections.abc import Mapping, Sequence
from math import isfinite
from typing import TypeGuard, cast

ALIASES: Mapping[str, tuple[str, ...]] = {
    "completion": (
        "completion", "completions", "response", "responses", "generation", "generations", "output", "outputs",
        "solution_str", "code", "samples", "text",
    ),
    "answer": ("answer", "expected_answer", "ground_truth", "gold", "target", "label", "gts", "gt"),
    "tests": ("tests", "test_cases", "input_output"),
    "id": ("id", "problem_id", "unique_id", "idx", "task_id", "question_id"),
    "prompt": ("prompt", "problem", "question", "input"),
    "finished": ("finish_reason", "finish_reasons", "finished"),
    "tokens": ("n_tokens", "num_tokens", "completion_tokens", "num_generated_tokens"),
    "source": ("source", "data_source"),
    "weight": (),  # a reward model's score: used where an option names it
}  # fmt: skip


def has_tests(value: object) -> bool:
    """Whether a column of tests holds some: where a data set mixes kinds, rows of the other kinds have it empty."""
    if isinstance(value, str):
        return value.strip() not in ("", "null", "{}", "[]")
    if isinstance(value, Mapping):
        return any(each is not None for each in cast(Mapping[str, object], value).values())
    return value is not None and value != []


def is_number(value: object) -> TypeGuard[int | float]:
    """Whether it is a number, and finite; an integer may be larger than any float."""
    return isfinite(value) if isinstance(value, float) else isinstance(value, int) and not isinstance(value, bool)


def is_chat(values: Sequence[object]) -> bool:
    """Whether a list of a row is messages, not completions."""
    if not values or not isinstance(values[0], dict):  # most often texts
        return False
    return all(isinstance(v, dict) and "role" in cast(Mapping[str, object], v) for v in values)


def text_of_message(message: Mapping[str, object]) -> str | None:
    """The content of a message or a choice; a separate chain of thought is put back in front."""
    content = message.get("content", message.get("text"))
    if isinstance(content, list):
        pieces = [
            cast(Mapping[str, object], part).get("text")
            for part in cast(list[object], content)
            if isinstance(part, dict)
        ]
        content = "".join(piece for piece in pieces if isinstance(piece, str))
    thought = message.get("reasoning_content")
    if isinstance(thought, str) and thought:
        return f"<think>{thought}</think>{content if isinstance(content, str) else ''}"
    return content if isinstance(content, str) else None


def text_of_prompt(value: object) -> str | None:
    """A prompt, text or messages, as text; None for anything else."""
    if isinstance(value, list) and is_chat(cast(list[object], value)):
        messages = cast(list[Mapping[str, object]], value)
        return "\n\n".join(f"{message['role']}: {text_of_message(message) or ''}" for message in messages)
    return value if isinstance(value, str) else None
