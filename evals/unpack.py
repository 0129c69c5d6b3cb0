"""Decompression of gzip and zstandard streams that notices when they are cut, after giving what was whole.

`GzipFile` and zstandard's reader each pass over some truncations in silence, which would lose samples without a word.
"""

import io
import zlib
from collections.abc import Callable
from typing import TYPE_CHECKING, Any, BinaryIO

if TYPE_CHECKING:
    from _typeshed import WriteableBuffer

_GZIP = b"\x1f\x8b"
_ZSTD = b"\x28\xb5\x2f\xfd"
_PIECE = 1 << 10  # compressed bytes at a time: zstandard's output has no limit, and a bomb makes 20 MB of these
_MOST = 1 << 20
_TRAILER = 8


class Broken(Exception):
    """The compressed data ends in the middle or makes no sense."""


def opened(raw: BinaryIO, *, seekable: bool) -> BinaryIO:
    """The bytes of a stream, unpacked where its first bytes say that it is compressed."""
    head = raw.read(4)
    if seekable:
        raw.seek(0)
        stream = raw
    else:
        stream = io.BufferedReader(_Rejoined(head, raw), 1 << 18)
    if head.startswith(_GZIP):
        return io.BufferedReader(_Unpacked(stream, _gzip), 1 << 18)
    skippable = head[1:] == b"\x2a\x4d\x18" and 0x50 <= head[0] <= 0x5F  # pzstd puts such frames first
    if head == _ZSTD or skippable:
        return io.BufferedReader(_Unpacked(stream, _zstd), 1 << 18)
    return stream


class _Rejoined(io.RawIOBase):
    """The first bytes of a stream that cannot go back, and then the rest as it comes."""

    def __init__(self, head: bytes, rest: BinaryIO) -> None:
        self._head = head
        self._rest = rest

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: "WriteableBuffer", /) -> int:
        view = memoryview(buffer)
        data = self._head or _some(self._rest, len(view))
        data, self._head = data[: len(view)], data[len(view) :]
        view[: len(data)] = data
        return len(data)


class _Unpacked(io.RawIOBase):
    """Members or frames one after another. Raises Broken at the place where they break, not before."""

    def __init__(self, packed: BinaryIO, new_member: Callable[[], Any]) -> None:
        self._packed = packed
        self._new_member = new_member
        self._member: Any = None
        self._input = b""
        self._output = memoryview(b"")

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: "WriteableBuffer", /) -> int:
        view = memoryview(buffer)
        while not self._output:
            if not self._input:
                self._input = _some(self._packed, _PIECE)
            if not self._input:
                if self._member is not None:
                    raise Broken("it ends in the middle")
                return 0
            self._unpack()
        count = min(len(view), len(self._output))
        view[:count] = self._output[:count]
        self._output = self._output[count:]
        return count

    def _unpack(self) -> None:
        if self._member is None:
            self._input = self._input.lstrip(b"\0") if self._new_member is _gzip else self._input  # padding
            if not self._input:
                return
            self._member = self._new_member()
        # A wrong checksum in the last bytes must not cost what stands before them: those are handed over apart.
        cut = len(self._input) - _TRAILER if len(self._input) > _TRAILER else len(self._input)
        data, rest = self._input[:cut], self._input[cut:]
        try:
            self._output = memoryview(self._member.decompress(data, *self._limit()))
        except Exception as error:  # noqa: BLE001 - zlib.error or ZstdError, which need not be imported for this
            raise Broken(str(error)) from None
        if self._member.eof:
            self._input, self._member = self._member.unused_data + rest, None
        else:
            self._input = self._member.unconsumed_tail + rest

    def _limit(self) -> tuple[int, ...]:
        return (_MOST,) if self._new_member is _gzip else ()


def _some(stream: BinaryIO, size: int) -> bytes:
    """What has arrived, at least one byte unless the stream is at its end."""
    read: Callable[[int], bytes] = getattr(stream, "read1", stream.read)
    return read(size)


def _gzip() -> Any:
    return zlib.decompressobj(31)


def _zstd() -> Any:
    import zstandard

    return zstandard.ZstdDecompressor().decompressobj()
