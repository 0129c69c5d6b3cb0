"""The routes of `rlvr serve`. `create_app` is for servers of one's own: any ASGI server runs what it returns."""

from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from importlib.metadata import version
from typing import Any, cast

from fastapi import FastAPI
from fastapi.openapi.utils import get_openapi
from fastapi_offline import FastAPIOffline
from pydantic import BaseModel
from pydantic.json_schema import models_json_schema
from starlette.requests import ClientDisconnect, Request
from starlette.responses import JSONResponse, Response

from ..rows import verdict_row
from ..types import Completion, Problem, Verdict, Verifier
from . import models
from .limits import DOCS_FILES, Bodies, Token
from .metrics import CONTENT_TYPE, Measured
from .models import BadRequest, read, read_json
from .protocols import NotPayable, openrlhf_pairs, openrlhf_reply, slime_pair, slime_reply
from .service import Refused, Service, Settings, json_response

ROUTES = {
    "/score": "POST  one completion, or many, judged",
    "/explain": "POST  why one math answer is right or wrong",
    "/get_reward": "POST  OpenRLHF's remote reward",
    "/remote_rm": "POST  slime's remote reward",
    "/health": "GET   whether requests are welcome",
    "/metrics": "GET   counters for Prometheus",
    "/docs": "GET   all of this with examples",
}
_ABOUT = """
Verifiable rewards: whether what a model wrote is right, decided by rule. This service holds one reward.

A `score` of null means *not judged*: our side failed (the gold answer cannot be read, the sandbox is down, the service
had no time). It is never 0 for that. What the completion itself causes, an endless loop say, scores 0.

Every request that is accepted is answered before its deadline. When the queue is full the answer is 429 with
`Retry-After`; send the same request again then. Errors are `{"detail": "one line"}`.
"""
_REFUSALS: dict[int | str, dict[str, Any]] = {
    401: {"model": models.Refusal, "description": "The token is missing or wrong."},
    413: {"model": models.Refusal, "description": "The body is too large, or holds more items than may wait."},
    422: {"model": models.Refusal, "description": "The body is not what the route takes; `detail` says where."},
    429: {"model": models.Refusal, "description": "The queue is full. `Retry-After` says when to try again."},
    503: {"model": models.Refusal, "description": "The service is stopping, or an item has no score to send."},
}
_BODIES = (models.Item, models.Items, models.ExplainRequest, models.OpenRlhfRequest, models.SlimeRequest)


def create_app(verifier: Verifier, settings: Settings | None = None) -> FastAPI:
    """An application that serves one verifier; its workers live from the server's start to its end.

    Raises ValueError for settings out of range, UnusableVerifier for a verifier that cannot be sent to a process.
    `app.state.service` is its `Service`.
    """
    service = Service(verifier, settings or Settings())

    @asynccontextmanager
    async def lifespan(app: FastAPI) -> AsyncGenerator[None]:
        service.pool.start()
        try:
            yield
        finally:
            service.pool.close()

    app = FastAPIOffline(  # its page of documentation needs no network
        title=f"rlvr: {service.settings.reward}",
        description=_ABOUT,
        version=version("rlvr"),
        lifespan=lifespan,
        redoc_url=None,
        static_url=DOCS_FILES,
    )
    app.state.service = service
    _add_own_api(app, service)
    _add_protocols(app, service)
    _add_state(app, service)
    _add_errors(app)
    limits = service.settings
    app.add_middleware(
        Bodies, most=limits.max_body_bytes, hold=limits.max_held_bytes, retry_after=service.retry_after_s
    )
    app.add_middleware(Token, token=limits.token)
    app.add_middleware(Measured, metrics=service.metrics, routes=frozenset(ROUTES) | {"/openapi.json"})
    app.openapi = lambda: _openapi(app, limits.token is not None)
    return app


def _add_own_api(app: FastAPI, service: Service) -> None:
    @app.post(
        "/score",
        tags=["our API"],
        summary="Judge one completion, or many",
        openapi_extra=_body({"anyOf": [_ref(models.Item), _ref(models.Items)]}),
        responses={200: {"model": models.Result | models.Results}, **_REFUSALS},
        response_model=None,
    )
    async def score(request: Request) -> Response:
        """One item gives one result; `{"items": […]}` gives `{"results": […]}`, one for each, in order.

        An item of the wrong shape refuses the whole request with 422, which names it (`items[3].completion: …`). An
        item that the reward cannot judge gets a result of its own, with score null.
        """
        data = read_json(await request.body())
        if many := isinstance(data, dict) and "items" in data:
            service.fits(_length(cast(object, data), "items"))
            asked = read(models.Items, cast(object, data))
            pairs = [_pair(item, index, f"items[{index}].") for index, item in enumerate(asked.items)]
            deadline_s = asked.deadline_s
        else:
            pairs = [_pair(read(models.Item, cast(object, data)), 0, "")]
            deadline_s = None
        verdicts = await service.verdicts(request, pairs, deadline_s)
        if verdicts is None:
            return _gone()
        rows = [{"id": p.id, **verdict_row(v)} for (p, _), v in zip(pairs, verdicts, strict=True)]
        return json_response({"results": rows} if many else rows[0])

    @app.post(
        "/explain",
        tags=["our API"],
        summary="Why one math answer is right or wrong",
        openapi_extra=_body(_ref(models.ExplainRequest)),
        responses={200: {"model": models.Explanation}, **_REFUSALS},
        response_model=None,
    )
    async def explain(request: Request) -> Response:
        """What was found in the text, how both sides were read, and which rung of the ladder decided.

        It is `verify_math` that is explained, whatever reward is served.
        """
        asked = read(models.ExplainRequest, read_json(await request.body()))
        answer = await service.explanation(request, asked.gold, asked.text, asked.extract)
        if answer is None:
            return _gone()
        if isinstance(answer, Verdict):
            raise Refused(503, f"there is no explanation ({answer.reason}): {answer.detail}")
        return json_response(answer)


def _add_protocols(app: FastAPI, service: Service) -> None:
    @app.post(
        "/get_reward",
        tags=["trainers"],
        summary="OpenRLHF's remote reward",
        openapi_extra=_body(_ref(models.OpenRlhfRequest)),
        responses={200: {"model": models.OpenRlhfReply}, **_REFUSALS},
        response_model=None,
    )
    async def get_reward(request: Request) -> Response:
        """For `--remote_rm_url http://HOST:8700/get_reward` (`--reward.remote_url` in later versions).

        A label is the gold answer, or a JSON object with tests. An item that could not be judged fails the request with
        503, for the protocol has no null, unless the service was started with `--unjudged`.
        """
        data = read_json(await request.body())
        service.fits(_length(data, "query"))
        pairs = openrlhf_pairs(read(models.OpenRlhfRequest, data))
        verdicts = await service.verdicts(request, pairs)
        if verdicts is None:
            return _gone()
        reply = openrlhf_reply(verdicts, service.parts, service.settings.unjudged)
        service.paid(verdicts)
        return json_response(reply)

    @app.post(
        "/remote_rm",
        tags=["trainers"],
        summary="slime's remote reward",
        openapi_extra=_body(_ref(models.SlimeRequest)),
        responses={200: {"model": float | models.Result}, **_REFUSALS},
        response_model=None,
    )
    async def remote_rm(request: Request, reply: str = "number") -> Response:
        """For `--rm-type remote_rm --rm-url http://HOST:8700/remote_rm`: the reward as a number.

        With `…/remote_rm?reply=row --reward-key score` slime keeps the whole row, parts and reason included. What could
        not be judged fails with 503, as above.
        """
        if reply not in ("number", "row"):
            raise BadRequest(f"reply: is {reply!r}, not number or row")
        pair = slime_pair(read(models.SlimeRequest, read_json(await request.body())))
        verdicts = await service.verdicts(request, [pair])
        if verdicts is None:
            return _gone()
        answer = slime_reply(verdicts[0], service.settings.unjudged, as_row=reply == "row")
        service.paid(verdicts)
        return json_response(answer)


def _add_state(app: FastAPI, service: Service) -> None:
    @app.get(
        "/health",
        tags=["operation"],
        summary="Whether requests are welcome",
        responses={200: {"model": models.Health}, 503: {"model": models.Health, "description": "Not now."}},
        response_model=None,
    )
    async def health() -> Response:
        """200 when some worker can judge, 503 while the service starts or stops. It needs no token."""
        state = "draining" if service.draining else "ready" if service.pool.ready else "starting"
        about = {"status": state, "reward": service.settings.reward, "version": app.version}
        return json_response(about, 200 if state == "ready" else 503)

    @app.get("/metrics", tags=["operation"], summary="Counters for Prometheus", response_class=Response)
    async def metrics() -> Response:
        """Requests by route and code, items by status and reason, the queue, latencies, restarts, refusals."""
        return Response(service.metrics.text(), media_type=CONTENT_TYPE)


def _add_errors(app: FastAPI) -> None:
    @app.exception_handler(BadRequest)
    async def bad_request(request: Request, error: BadRequest) -> Response:
        return JSONResponse({"detail": str(error)}, 422)

    @app.exception_handler(ClientDisconnect)
    async def gone(request: Request, error: ClientDisconnect) -> Response:
        return _gone()

    @app.exception_handler(NotPayable)
    async def not_payable(request: Request, error: NotPayable) -> Response:
        return JSONResponse({"detail": str(error)}, 503)

    @app.exception_handler(Refused)
    async def refused(request: Request, error: Refused) -> Response:
        headers = None if error.retry_after_s is None else {"Retry-After": str(error.retry_after_s)}
        return JSONResponse({"detail": error.detail}, error.code, headers)


def _pair(item: models.Item, index: int, place: str) -> tuple[Problem, Completion]:
    try:
        return item.pair(index)
    except ValueError as error:
        raise BadRequest(f"{place}{error}") from None


def _length(data: object, name: str) -> int:
    """Of a list in a body that nobody has looked at yet; 0 for anything else."""
    found = cast(dict[str, object], data).get(name) if isinstance(data, dict) else None
    return len(cast(list[object], found)) if isinstance(found, list) else 0


def _gone() -> Response:
    """For a client that is not there any more; it is counted under this code and never sent."""
    return Response(status_code=499)


def _ref(model: type[BaseModel]) -> dict[str, str]:
    return {"$ref": f"#/components/schemas/{model.__name__}"}


def _body(schema: dict[str, Any]) -> dict[str, Any]:
    return {"requestBody": {"required": True, "content": {"application/json": {"schema": schema}}}}


def _openapi(app: FastAPI, token: bool) -> dict[str, Any]:
    """FastAPI's, with the bodies that the routes read by themselves, and the token where there is one."""
    if app.openapi_schema is None:
        schema = get_openapi(title=app.title, version=app.version, description=app.description, routes=app.routes)
        components = schema.setdefault("components", {})
        bodies = models_json_schema(
            [(model, "validation") for model in _BODIES], ref_template="#/components/schemas/{model}"
        )[1]
        components.setdefault("schemas", {}).update(bodies["$defs"])
        if token:
            components["securitySchemes"] = {"token": {"type": "http", "scheme": "bearer"}}
            schema["security"] = [{"token": []}]
        app.openapi_schema = schema
    return app.openapi_schema
