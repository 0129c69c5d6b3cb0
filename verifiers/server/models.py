"""What goes into the service and what comes out; the page at /docs is made of this file.

Requests are read with `read`, which gives one line for the first thing that is wrong, by the name of the item.
"""

from typing import Any, Literal, TypeVar

from pydantic import BaseModel, ConfigDict, Field, StrictFloat, StrictInt, ValidationError
from pydantic_core import from_json

from ..adapters.rows import completion_of
from ..columns import text_of_prompt
from ..types import Completion, Problem

_ANSWER = "<think>Two and two are four.</think> The answer is \\boxed{4}."
_ROW: dict[str, Any] = {
    "score": 1.0, "status": "correct", "reason": "same_text", "extracted": "4", "parts": {},
}  # fmt: skip


class Strict(BaseModel):
    """A field that nobody knows is refused: a misspelt one would be passed over in silence."""

    model_config = ConfigDict(extra="forbid", allow_inf_nan=False)


class Loose(BaseModel):
    """Another project's protocol, which may grow fields."""

    model_config = ConfigDict(extra="ignore")


class Message(Loose):
    """A chat message, as OpenAI's API has them."""

    role: str
    content: str | list[dict[str, Any]] | None = None
    reasoning_content: str | None = None


class Item(Strict):
    """One completion, and what decides whether it is right."""

    model_config = ConfigDict(
        extra="forbid",
        allow_inf_nan=False,
        json_schema_extra={"example": {"id": "sum", "prompt": "2+2?", "answer": "4", "completion": _ANSWER}},
    )

    completion: str | list[Message] = Field(
        description="What the model wrote: text, or chat messages, of which the last one of the assistant counts."
    )
    answer: str | StrictInt | StrictFloat | None = Field(
        default=None, description="The gold answer: text or a number. Rewards for mathematics need it."
    )
    tests: Any = Field(
        default=None, description="Tests for a program, as `verify_code` reads them: an object or its text."
    )
    prompt: str | list[Message] | None = Field(default=None, description="What was asked.")
    id: str | StrictInt | None = Field(
        default=None, description="Comes back with the result. Default: the place in the list."
    )
    source: str | None = Field(
        default=None, description="Where the problem comes from; `by_source` rewards route by it."
    )
    n_tokens: int | None = Field(default=None, ge=0, description="The length in tokens; length rewards need it.")
    finished: bool | None = Field(default=None, description="False when it was cut at the length limit.")

    def pair(self, index: int) -> tuple[Problem, Completion]:
        """What a verifier is given. Raises ValueError for messages without one of the assistant."""
        problem = Problem(
            id=str(index) if self.id is None else str(self.id),
            prompt=text_of_prompt(_plain(self.prompt)),
            answer=None if self.answer is None else str(self.answer),
            tests=self.tests,
            source=self.source,
        )
        try:
            return problem, completion_of(_plain(self.completion), n_tokens=self.n_tokens, finished=self.finished)
        except ValueError as error:
            raise ValueError(f"completion: {error}") from None


class Items(Strict):
    """Many completions at once. All are accepted or none is; each gets a result, in order."""

    items: list[Item]
    deadline_s: float | None = Field(
        default=None, gt=0, description="Seconds for the whole request; at most the service's own `--deadline`."
    )


class Result(BaseModel):
    """A verdict."""

    model_config = ConfigDict(json_schema_extra={"example": {"id": "sum", **_ROW}})

    id: str
    score: float | None = Field(description="null: not judged, because of our side. It is never 0 for that.")
    status: Literal["correct", "wrong", "unextracted", "truncated", "timeout", "error"]
    reason: str = Field(
        description="A short code. `deadline`: it took too long, twice. `overloaded`: the service had no time for it "
        "before the request's deadline. `malformed_problem`: it lacks what the reward needs; `detail` says what."
    )
    extracted: str | None = Field(description="The answer that was found.")
    parts: dict[str, Any] = Field(
        description="The verdicts of the parts of a composition, by name; each looks like this."
    )
    detail: str | None = Field(default=None, description="One line for a person; only where there is one.")


class Results(BaseModel):
    """A verdict for each item, in order."""

    results: list[Result]


class ExplainRequest(Strict):
    """A gold answer for mathematics, and a completion or a bare answer."""

    model_config = ConfigDict(
        extra="forbid", json_schema_extra={"example": {"gold": "(2,\\infty)", "text": "so we get \\boxed{x > 2}."}}
    )

    gold: str = Field(description="The gold answer.")
    text: str = Field(description="What the model wrote, or only its answer.")
    extract: Literal["box", "answer", "any"] = Field(
        default="answer",
        description="Where an answer is looked for: box or tag; also a stated answer; also the last formula or number.",
    )


class Side(BaseModel):
    """How one side was read."""

    text: str
    normalised: str
    kind: str
    read_as: str | None
    unreadable: str | None
    tree: list[str]


class Explanation(BaseModel):
    """Why the verdict is what it is, as `rlvr explain --json` has it."""

    score: float | None
    status: str
    reason: str
    sentence: str = Field(description="The reason, for a person.")
    rung: str = Field(description="The rung of the ladder that decided.")
    detail: str | None
    given: dict[str, str]
    gold: Side | None
    answer: Side | None


class OpenRlhfRequest(Loose):
    """What OpenRLHF's remote reward client sends: three lists of one length."""

    model_config = ConfigDict(
        extra="ignore",
        json_schema_extra={
            "example": {"query": ["2+2?\nThe answer is \\boxed{4}.</s>"], "prompts": ["2+2?\n"], "labels": ["4"]}
        },
    )

    query: list[str] = Field(description="The prompt and the response in one, special tokens included.")
    prompts: list[str] = Field(description="The prompt of each query; what follows it is judged.")
    labels: list[Any] = Field(description="The gold answers, or tests for programs.")


class OpenRlhfReply(BaseModel):
    """What OpenRLHF takes: lists as long as `query`."""

    model_config = ConfigDict(
        json_schema_extra={
            "example": {"rewards": [1.0], "scores": [1.0], "extra_logs": {"acc": [1.0], "judged": [1.0]}}
        }
    )

    rewards: list[float] = Field(description="The scores; the policy is trained on them.")
    scores: list[float] = Field(description="1 where the answer is correct, else 0: dynamic filtering goes by it.")
    extra_logs: dict[str, list[float]] = Field(
        description="`acc`, `judged`, and each part of a composition; the same names in every reply."
    )


class SlimeRequest(Loose):
    """What slime's `remote_rm` sends for one sample."""

    model_config = ConfigDict(
        extra="ignore",
        json_schema_extra={"example": {"prompt": "2+2?", "response": "The answer is \\boxed{4}.", "label": "4"}},
    )

    prompt: str | list[Message] | None = None
    response: str = Field(description="What the model wrote.")
    label: Any = Field(default=None, description="The gold answer, or tests for a program.")


class Health(BaseModel):
    """Whether requests are welcome."""

    status: Literal["ready", "starting", "draining"]
    reward: str = Field(description="The name of the reward.")
    version: str


class Refusal(BaseModel):
    """Why a request was refused, in one line."""

    detail: str


Model = TypeVar("Model", bound=BaseModel)


class BadRequest(ValueError):
    """The body is not what the route takes; the message says where, in one line."""


def read_json(body: bytes) -> Any:
    """The body as JSON. Raises BadRequest: also for NaN, for text that is no Unicode, for nesting past all reason."""
    try:
        return from_json(body, allow_inf_nan=False)
    except ValueError as error:
        raise BadRequest(f"the body is not JSON: {error}") from None


def read(model: type[Model], value: object) -> Model:
    """A value as a model. Raises BadRequest, which names the first field that is wrong."""
    try:
        return model.model_validate(value)
    except ValidationError as error:
        first = error.errors(include_url=False, include_context=False, include_input=False)[0]
        place = "".join(f"[{part}]" if isinstance(part, int) else f".{part}" for part in first["loc"]).lstrip(".")
        raise BadRequest(f"{place or 'the body'}: {first['msg'][0].lower()}{first['msg'][1:]}") from None


def _plain(value: object) -> Any:
    """Messages as the dictionaries that they were."""
    return [message.model_dump() for message in value] if isinstance(value, list) else value  # pyright: ignore
