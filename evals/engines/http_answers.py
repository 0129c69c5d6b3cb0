"""Statuses, waiting times and lines of an HTTP answer."""

from collections.abc import AsyncIterator
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime

import httpx2

from .openai_wire import Broken, error_message

_MAY_PASS = frozenset({408, 409, 425, 429})


class Unwell(Broken):
    """A status or a connection that may be better next time; `retry_after_s` is what the server asked to wait."""

    def __init__(self, message: str, retry_after_s: float | None = None) -> None:
        super().__init__(message)
        self.retry_after_s = retry_after_s


class Refused(Exception):
    """A status that another try would bring again. `names` are fields that it names and a request can do without."""

    def __init__(self, status: int, message: str, names: frozenset[str] = frozenset()) -> None:
        super().__init__(message)
        self.status = status
        self.names = names


async def checked(response: httpx2.Response) -> None:
    """Raises Unwell for 408, 409, 425, 429 and 5xx, Refused for whatever else is not a success."""
    if response.is_success:
        return
    await response.aread()
    message = f"HTTP {response.status_code}: {error_message(response.text) or response.reason_phrase}"
    if response.status_code in _MAY_PASS or response.status_code >= 500:
        raise Unwell(message, _stated_wait_s(response.headers.get("retry-after")))
    raise Refused(response.status_code, message)


def retry_after_s(broken: Broken) -> float | None:
    """What the server asked to wait, in seconds; None where it asked for nothing."""
    return broken.retry_after_s if isinstance(broken, Unwell) else None


def _stated_wait_s(header: str | None) -> float | None:
    """RFC 9110, section 10.2.3: seconds, or a date."""
    if not header:
        return None
    try:
        return max(0.0, float(header))
    except ValueError:
        pass
    try:
        return max(0.0, (parsedate_to_datetime(header) - datetime.now(UTC)).total_seconds())
    except (ValueError, TypeError):  # neither: the server asked for nothing that can be read
        return None


async def data_lines(response: httpx2.Response) -> AsyncIterator[str]:
    """The JSON texts of an answer: each `data:` of an event stream up to `[DONE]`, or the whole body of any other.

    Raises Broken for a stream that stops before its `[DONE]`. Lines end at a line feed only: `aiter_lines` also cuts at
    U+2028, which stands unescaped inside JSON.
    """
    if "text/event-stream" not in response.headers.get("content-type", ""):
        yield (await response.aread()).decode("utf-8", "replace")
        return
    rest, ended = b"", False
    async for some in response.aiter_bytes():
        *lines, rest = (rest + some).split(b"\n")
        for line in lines:
            if not line.startswith(b"data:"):
                continue
            payload = line.removeprefix(b"data:").strip().decode("utf-8", "replace")
            if payload == "[DONE]":
                ended = True  # and on to the body's end, so that the connection can serve again
            elif not ended:
                yield payload
    if not ended:
        raise Broken("the stream was cut before its end")
