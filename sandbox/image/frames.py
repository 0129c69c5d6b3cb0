"""Frames between the caller, the runner and its processes: a length, a job number, a kind, and a body.

A body is a JSON head (its length first) and raw bytes behind it.
"""

from __future__ import annotations

import json
import socket
import struct
from typing import Any, Iterator, Tuple  # noqa: UP035 - Python 3.8

HEAD = struct.Struct(">IIc")  # bytes in the body, job, kind
LENGTH = struct.Struct(">I")
MAX_BODY = 256 << 20

# From the caller: O takes a program, J starts a job, M is a message to it, E ends it, X drops every job.
# From the runner: H hello, R the result of O or J, M a message of a job, X nothing is left.
Frame = Tuple[int, bytes, bytes]  # noqa: UP006 - Python 3.8: a type alias is evaluated


def pack(job: int, kind: bytes, head: dict[str, Any] | None = None, raw: bytes = b"") -> bytes:
    """One frame. Without a head the body is `raw` alone."""
    body = raw if head is None else join(head, raw)
    return HEAD.pack(len(body), job, kind) + body


def join(head: dict[str, Any], raw: bytes = b"") -> bytes:
    """A JSON head and raw bytes as one body."""
    text = json.dumps(head).encode()
    return LENGTH.pack(len(text)) + text + raw


def split(body: bytes) -> tuple[dict[str, Any], bytes]:
    """What `join` joined."""
    end = LENGTH.size + LENGTH.unpack_from(body)[0]
    return json.loads(body[LENGTH.size : end]), body[end:]


class Inbox:
    """Bytes as they come in, frames as they are whole."""

    def __init__(self) -> None:
        self._data = bytearray()

    def feed(self, data: bytes) -> None:
        self._data += data

    def frames(self) -> Iterator[Frame]:
        """Raises ValueError for a frame longer than any of ours."""
        data = self._data
        start = 0
        while len(data) - start >= HEAD.size:
            length, job, kind = HEAD.unpack_from(data, start)
            if length > MAX_BODY:
                raise ValueError("not a frame")
            end = start + HEAD.size + length
            if len(data) < end:
                break
            yield job, kind, bytes(data[start + HEAD.size : end])
            start = end
        del data[:start]


class Messages:
    """The child's side of its channel to the runner: bodies with a length before them, each way."""

    def __init__(self, fd: int) -> None:
        self._socket = socket.socket(fileno=fd)

    def read(self) -> bytes:
        """The next message. Raises EOFError when the runner is gone."""
        return self._exactly(LENGTH.unpack(self._exactly(LENGTH.size))[0])

    def write(self, body: bytes) -> None:
        self._socket.sendall(LENGTH.pack(len(body)) + body)

    def close(self) -> None:
        self._socket.close()

    def release(self) -> None:
        """Leave the descriptor open, for whoever reads or writes it next."""
        self._socket.detach()

    def _exactly(self, length: int) -> bytes:
        data = bytearray()
        while len(data) < length:
            more = self._socket.recv(min(length - len(data), 1 << 20))
            if not more:
                raise EOFError
            data += more
        return bytes(data)
