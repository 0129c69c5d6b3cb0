"""Rows out of files: JSON lines (plain, gzip, zstandard, standard input) and parquet, one at a time."""

import importlib
import io
import json
import os
import sys
from collections.abc import Iterator
from hashlib import blake2b
from pathlib import Path
from stat import S_ISREG
from typing import Any, BinaryIO, NamedTuple, cast

from .errors import BadRow, UsageError
from .unpack import Broken, opened

MAX_LINE = 256 << 20
"""Bytes; a longer line is not a row but a file without line ends."""
MAX_DEPTH = 200
"""Brackets inside brackets. Python's own limit depends on the caller, and a row must be the same row for everybody."""
_EDGE = 4 << 20
_SKIP = 1 << 20
_TOO_DEEP = f"nested too deeply: more than {MAX_DEPTH} brackets in brackets"

Row = dict[str, Any]


class Line(NamedTuple):
    """One row, or what is wrong with it, and how many bytes of the file were read to get it."""

    number: int
    row: Row | BadRow
    offset: int


class Source:
    """One input: a path, or `-` for standard input. `name` is what messages call it.

    Raises UsageError when it cannot be opened.
    """

    def __init__(self, path: str) -> None:
        self.path = path
        self.name = "standard input" if path == "-" else path
        self.bytes_total = None if path == "-" else _size(path)

    def fingerprint(self) -> dict[str, Any]:
        """What a continued run compares: name, size, a hash of the first and last 4 MiB. Standard input has none."""
        if self.bytes_total is None:
            return {"name": Path(self.path).name}
        with Path(self.path).open("rb") as file:
            digest = blake2b(file.read(_EDGE), digest_size=16)
            file.seek(max(self.bytes_total - _EDGE, 0))
            digest.update(file.read(_EDGE))
        return {"name": Path(self.path).name, "bytes": self.bytes_total, "blake2b": digest.hexdigest()}

    def lines(self) -> Iterator[Line]:
        """Every row in order. Blank lines are passed over. A row that cannot be read is given as its BadRow.

        Raises UsageError when the file itself is broken (cut compression, wrong format).
        """
        if self.path == "-":
            if sys.stdin is None:  # pyright: ignore[reportUnnecessaryComparison] - so it is where it was closed
                raise UsageError("standard input is closed")
            yield from self._rows(cast(io.BufferedReader, sys.stdin.buffer))
        else:
            with Path(self.path).open("rb") as file:
                yield from self._rows(file)

    def _rows(self, raw: io.BufferedReader) -> Iterator[Line]:
        on_disk = self.bytes_total is not None
        if on_disk and raw.peek(4)[:4] == b"PAR1":
            yield from self._parquet_rows()
            return
        tell = raw.tell if on_disk else int
        number = 0
        stream: BinaryIO | None = None
        while True:
            try:
                stream = stream or opened(raw, seekable=on_disk)
                line = stream.readline(MAX_LINE + 1)
                if len(line) > MAX_LINE:
                    _skip_to_line_end(stream)
            except (Broken, OSError) as error:
                raise UsageError(f"{self.name}:{number + 1}: the compressed file is broken or cut: {error}") from None
            if number == 0 and line.startswith(b"PAR1"):
                raise UsageError(f"{self.name}: parquet cannot be read from a pipe; give the file's name")
            if not line:
                return
            number += 1
            if len(line) > MAX_LINE:
                bad = self._bad(number, f"a line of more than {MAX_LINE >> 20} MiB is no row")
                yield Line(number, bad, tell())
            elif not line.isspace():
                yield Line(number, self._parse(line, number), tell())

    def _bad(self, number: int, message: str, column: int | None = None) -> BadRow:
        return BadRow(self.name, number, message, column=column)

    def _parse(self, line: bytes, number: int) -> Row | BadRow:
        if number == 1:
            if line[:2] in (b"\xff\xfe", b"\xfe\xff"):
                return self._bad(1, "is UTF-16; JSON lines are UTF-8 (iconv -f UTF-16 -t UTF-8)", 1)
            line = line.removeprefix(b"\xef\xbb\xbf")
        try:
            text = line.decode().rstrip("\r\n")
        except UnicodeDecodeError as error:
            return self._bad(number, f"not UTF-8: byte 0x{line[error.start]:02x}", error.start + 1)
        try:
            row = _loads(text)
        except RecursionError:
            return self._bad(number, _TOO_DEEP)
        except json.JSONDecodeError as error:
            hint = "; a NUL byte or another control character must be escaped" if "control" in error.msg else ""
            return self._bad(number, f"not JSON: {error.msg}{hint}{_layout_hint(text, number)}", error.colno)
        if not isinstance(row, dict):
            return self._bad(number, f"a row is a JSON object, not {json_type(row)}{_layout_hint(text, number)}", 1)
        if text.count("[") + text.count("{") > MAX_DEPTH and _is_deeper(cast(Row, row), MAX_DEPTH):
            return self._bad(number, _TOO_DEEP)
        return cast(Row, row)

    def _parquet_rows(self) -> Iterator[Line]:
        try:
            arrow: Any = importlib.import_module("pyarrow")
            parquet: Any = importlib.import_module("pyarrow.parquet")
        except ImportError:
            raise UsageError(f"{self.name}: parquet needs pyarrow: pip install 'rlvr[parquet]'") from None
        broken: tuple[type[Exception], ...] = (arrow.ArrowException, OSError)
        try:
            file = parquet.ParquetFile(self.path)
            total = max(file.metadata.num_rows, 1)
            number = 0
            for batch in file.iter_batches(batch_size=64):
                for row in batch.to_pylist():
                    number += 1
                    yield Line(number, row, (self.bytes_total or 0) * number // total)
        except broken as error:
            raise UsageError(f"{self.name}: not a readable parquet file: {error}") from None


def json_type(value: object) -> str:
    """The name that JSON has for a value's type, with its article."""
    names: dict[type, str] = {
        dict: "an object", list: "a list", str: "text", bool: "true or false", type(None): "null"
    }  # fmt: skip
    return names.get(type(value), "a number")


def dump_line(row: object) -> bytes:
    """One line of JSON. Text that is not valid Unicode (a lone surrogate) is written with escapes."""
    try:
        return json.dumps(row, ensure_ascii=False, separators=(",", ":"), default=str).encode() + b"\n"
    except UnicodeEncodeError:
        return json.dumps(row, separators=(",", ":"), default=str).encode() + b"\n"


def _loads(text: str) -> object:
    try:
        return json.loads(text)
    except json.JSONDecodeError:
        raise
    except ValueError:  # an integer of more digits than int() takes; keep its digits
        return json.loads(text, parse_int=lambda digits: int(digits) if len(digits) < 4000 else digits)


def _is_deeper(row: object, limit: int) -> bool:
    """Whether lists and objects stand more than `limit` deep in one another."""
    level: list[object] = [row]
    for _ in range(limit + 1):
        nested = [cast(Row | list[object], each) for each in level if isinstance(each, list | dict)]
        if not nested:
            return False
        level = [value for each in nested for value in (each.values() if isinstance(each, dict) else each)]
    return True


def _layout_hint(text: str, number: int) -> str:
    if number == 1 and text.lstrip().startswith("["):
        return "; this looks like one JSON array, make it lines with: jq -c '.[]'"
    if number == 1 and text.strip() == "{":
        return "; this looks like indented JSON, make it lines with: jq -c ."
    return ""


def _skip_to_line_end(stream: BinaryIO) -> None:
    while chunk := stream.readline(_SKIP):
        if chunk.endswith(b"\n"):
            return


def _size(path: str) -> int | None:
    """Bytes of a file that can be read, None for a pipe. Raises UsageError for anything else."""
    try:
        status = Path(path).stat()
    except OSError as error:
        raise UsageError(f"{path}: {error.strerror}") from None
    if Path(path).is_dir():
        raise UsageError(f"{path}: is a directory; name the files in it, e.g. {path}/*.jsonl")
    if not os.access(path, os.R_OK):
        raise UsageError(f"{path}: permission denied")
    return status.st_size if S_ISREG(status.st_mode) else None
