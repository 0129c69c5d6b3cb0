"""Rows out of files: every container, every way a line can be broken, and that nothing is lost in silence."""

import gzip
import io
import json
import os
import random
import subprocess
import sys
import threading
import zlib
from collections.abc import Callable, Iterable
from contextlib import suppress
from pathlib import Path
from types import SimpleNamespace
from typing import Any
from unittest.mock import patch

import pyarrow
import pytest
import zstandard
from hypothesis import example, given, settings
from hypothesis import strategies as st
from pyarrow import parquet
from rlvr.evals import files
from rlvr.evals.errors import BadRow, UsageError
from rlvr.evals.files import Line, Row, Source, dump_line, json_type

ROWS: list[Row] = [{"id": i, "text": f"täxt {i} 一", "deep": {"list": [1, 2.5, None, True]}} for i in range(300)]
LINES = b"".join(json.dumps(row).encode() + b"\n" for row in ROWS)


def members(*parts: bytes) -> bytes:
    return b"".join(gzip.compress(part) for part in parts)


def frames(*parts: bytes) -> bytes:
    return b"".join(zstandard.ZstdCompressor().compress(part) for part in parts)


def streamed_frame(part: bytes) -> bytes:
    """A frame whose header does not tell the size, as `zstd` writes when it reads a pipe."""
    compressor = zstandard.ZstdCompressor(write_content_size=False).compressobj()
    return compressor.compress(part) + compressor.flush()


def skippable_frame(size: int = 9) -> bytes:
    return b"\x50\x2a\x4d\x18" + size.to_bytes(4, "little") + b"x" * size


def halves(data: bytes) -> tuple[bytes, bytes]:
    """Cut in the middle of a line."""
    return data[: len(data) // 2 - 3], data[len(data) // 2 - 3 :]


class Trickle(io.RawIOBase):
    """A pipe whose writer is slow: no more than `step` bytes come at once."""

    def __init__(self, data: bytes, step: int = 1 << 16) -> None:
        self._left, self._step = memoryview(data), step

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: Any) -> int:
        chunk = self._left[: min(self._step, len(buffer))]
        buffer[: len(chunk)] = chunk
        self._left = self._left[len(chunk) :]
        return len(chunk)


def from_stdin(data: bytes, step: int = 1 << 16) -> list[Line]:
    standard_input = SimpleNamespace(buffer=io.BufferedReader(Trickle(data, step)))
    with patch.object(sys, "stdin", standard_input):
        return list(Source("-").lines())


def rows_of(lines: Iterable[Line]) -> list[Row]:
    rows: list[Row] = []
    for line in lines:
        assert isinstance(line.row, dict), str(line.row)
        rows.append(line.row)
    return rows


def only_error(lines: Iterable[Line]) -> str:
    """The message of the one bad row; every other row is a good one."""
    [bad] = [line.row for line in lines if isinstance(line.row, BadRow)]
    return str(bad)


@pytest.fixture
def read(tmp_path: Path) -> Callable[..., list[Line]]:
    def read(data: bytes, name: str = "in.jsonl") -> list[Line]:
        path = tmp_path / name
        path.write_bytes(data)
        return list(Source(str(path)).lines())

    return read


Read = Callable[..., list[Line]]

# --- containers

CONTAINERS = {
    "plain": LINES,
    "no line end at the end": LINES.removesuffix(b"\n"),
    "byte order mark": b"\xef\xbb\xbf" + LINES,
    "CRLF": LINES.replace(b"\n", b"\r\n"),
    "CRLF, no line end at the end": LINES.replace(b"\n", b"\r\n").removesuffix(b"\r\n"),
    "blank lines": b"\n \t\r\n" + LINES.replace(b"\n", b"\n\n  \n") + b"\n\n",
    "white space around rows": LINES.replace(b"\n", b"  \n  "),
    "gzip": members(LINES),
    "gzip, two members": members(*halves(LINES)),
    "gzip, an empty member between": members(halves(LINES)[0], b"", halves(LINES)[1]),
    "gzip, a member per line": members(*LINES.splitlines(keepends=True)),
    "gzip, zeros after it": members(LINES) + b"\0" * 512,
    "gzip of CRLF with a byte order mark": members(b"\xef\xbb\xbf" + LINES.replace(b"\n", b"\r\n")),
    "zstd": frames(LINES),
    "zstd, two frames": frames(*halves(LINES)),
    "zstd, an empty frame first": frames(b"", LINES),
    "zstd, a frame per line": frames(*LINES.splitlines(keepends=True)),
    "zstd from a pipe": streamed_frame(LINES),
    "zstd from two pipes": streamed_frame(halves(LINES)[0]) + streamed_frame(halves(LINES)[1]),
    "zstd, with a seek table": frames(LINES) + skippable_frame(),
    "zstd of pzstd": skippable_frame(4) + frames(halves(LINES)[0]) + skippable_frame(4) + frames(halves(LINES)[1]),
}


@pytest.mark.parametrize("data", CONTAINERS.values(), ids=CONTAINERS)
def test_every_container_gives_the_same_rows(data: bytes, read: Read) -> None:
    assert rows_of(read(data)) == ROWS


@pytest.mark.parametrize("data", CONTAINERS.values(), ids=CONTAINERS)
def test_standard_input_may_hold_any_of_them(data: bytes) -> None:
    assert rows_of(from_stdin(data)) == ROWS


@pytest.mark.parametrize("step", [1, 2, 3, 5])
@pytest.mark.parametrize("kind", ["plain", "gzip", "zstd", "byte order mark"])
def test_a_slow_writer_changes_nothing(kind: str, step: int) -> None:
    """A pipe may give its first byte alone: too little to tell the compression by."""
    assert rows_of(from_stdin(CONTAINERS[kind], step)) == ROWS


def test_the_name_of_a_file_says_nothing(read: Read) -> None:
    assert rows_of(read(LINES, "rows.gz")) == rows_of(read(members(LINES), "rows.txt")) == ROWS


def test_the_tools_of_the_system_agree(tmp_path: Path) -> None:
    plain = tmp_path / "rows"
    plain.write_bytes(LINES)
    for tool in (["gzip", "-k"], ["gzip", "-9kf"]):
        subprocess.run([*tool, str(plain)], check=True)
        assert rows_of(Source(f"{plain}.gz").lines()) == ROWS


def test_lines_are_numbered_as_an_editor_does(read: Read) -> None:
    lines = read(b'\n{"a":1}\n\r\n  \n{"a":2}\nx\n{"a":3}')
    assert [line.number for line in lines] == [2, 5, 6, 7]


def test_a_line_separator_of_unicode_ends_no_line(read: Read) -> None:
    row = {"text": "a\u2028b\u2029c\x85d\x0be\x0cf"}
    [line] = read(
        json.dumps(row, ensure_ascii=False).replace("\x0b", "\\u000b").replace("\x0c", "\\f").encode() + b"\n"
    )
    assert line.row == row


@pytest.mark.parametrize("data", [b"", b"\n", b"\n\n \r\n", gzip.compress(b""), frames(b""), frames(b"\n")])
def test_an_empty_file_has_no_rows(data: bytes, read: Read) -> None:
    assert read(data) == []
    assert from_stdin(data) == []


@pytest.mark.parametrize("kind", ["plain", "gzip", "zstd", "CRLF"])
def test_the_bytes_read_grow_up_to_the_size_of_the_file(kind: str, tmp_path: Path) -> None:
    path = tmp_path / "in"
    path.write_bytes(CONTAINERS[kind])
    source = Source(str(path))
    offsets = [line.offset for line in source.lines()]
    assert offsets == sorted(offsets)
    assert offsets[0] > 0
    assert offsets[-1] == source.bytes_total == len(CONTAINERS[kind])


JSON_VALUES = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(), inner, max_size=3),
    max_leaves=8,
)
ANY_ROWS = st.lists(st.dictionaries(st.text(), JSON_VALUES, max_size=3), max_size=5)


@given(
    ANY_ROWS,
    st.lists(st.sampled_from([b"", b"\r\n", b"\n\n", b" \t\n"]), min_size=5, max_size=5),
    st.sampled_from([b"", b"\xef\xbb\xbf"]),
    st.sampled_from([bytes, members, frames, streamed_frame]),
    st.booleans(),
)
def test_any_rows_in_any_layout_come_back(
    rows: list[Row], gaps: list[bytes], mark: bytes, pack: Callable[[bytes], bytes], cut: bool
) -> None:
    data = (mark if rows else b"") + b"".join(dump_line(row) + gap for row, gap in zip(rows, gaps, strict=False))
    assert rows_of(from_stdin(pack(data.rstrip() if cut else data))) == rows


# --- compression that is broken or cut

PACKED = {"gzip": members(LINES), "zstd": frames(LINES), "zstd from a pipe": streamed_frame(LINES)}


def whole_rows(kind: str, cut: bytes) -> list[Row]:
    """The rows whose line stands whole in what is left."""
    unpacker: Any = zlib.decompressobj(31) if kind == "gzip" else zstandard.ZstdDecompressor().decompressobj()
    return ROWS[: unpacker.decompress(cut).count(b"\n")]


def read_until_it_breaks(path: Path) -> list[Row]:
    """The rows before the complaint."""
    got: list[Row] = []

    def read() -> None:
        for line in Source(str(path)).lines():
            assert isinstance(line.row, dict), f"half a line was taken for a row: {line.row}"
            got.append(line.row)

    with pytest.raises(UsageError, match=rf"{path.name}:\d+: the compressed file is broken or cut") as caught:
        read()
    assert str(caught.value).isprintable()
    return got


@pytest.mark.parametrize("kind", PACKED)
@pytest.mark.parametrize("kept", [0.02, 0.1, 0.3, 0.5, 0.7, 0.9, 0.98, 0.999])
def test_a_cut_file_gives_its_whole_rows_and_is_then_said_to_be_cut(kind: str, kept: float, tmp_path: Path) -> None:
    path = tmp_path / "cut"
    cut = PACKED[kind][: int(len(PACKED[kind]) * kept)]
    path.write_bytes(cut)
    assert read_until_it_breaks(path) == whole_rows(kind, cut)


@pytest.mark.parametrize("kind", ["gzip", "zstd"])
def test_a_file_that_is_cut_where_a_line_ends_is_still_cut(kind: str, tmp_path: Path) -> None:
    """Nothing in the text tells: all rows are whole. Silence here would lose half of somebody's samples."""
    blocks = LINES.splitlines(keepends=True)
    if kind == "gzip":
        out = io.BytesIO()
        with gzip.GzipFile(fileobj=out, mode="wb") as packer:
            packer.write(b"".join(blocks[:100]))
            packer.flush()
            end = out.tell()
            packer.write(b"".join(blocks[100:]))
        data = out.getvalue()[:end]
    else:
        packer = zstandard.ZstdCompressor().compressobj()
        data = packer.compress(b"".join(blocks[:100])) + packer.flush(zstandard.COMPRESSOBJ_FLUSH_BLOCK)
    path = tmp_path / "cut"
    path.write_bytes(data)
    assert read_until_it_breaks(path) == ROWS[:100]


@pytest.mark.parametrize("kind", ["gzip", "zstd"])
def test_a_second_part_that_is_cut_is_not_passed_over(kind: str, tmp_path: Path) -> None:
    pack = members if kind == "gzip" else frames
    path = tmp_path / "cut"
    path.write_bytes(pack(LINES) + pack(LINES)[:12])
    assert read_until_it_breaks(path) == ROWS


@pytest.mark.parametrize(
    "data",
    [
        members(LINES) + b"and more",
        members(LINES)[:-8] + b"\0\0\0\0" + members(LINES)[-4:],
        frames(LINES) + b"and more",
    ],
    ids=["text after gzip", "wrong checksum in gzip", "text after zstd"],
)
def test_what_is_wrong_at_the_end_is_said_after_the_rows(data: bytes, tmp_path: Path) -> None:
    path = tmp_path / "wrong"
    path.write_bytes(data)
    assert read_until_it_breaks(path) == ROWS


@pytest.mark.parametrize("kind", ["gzip", "zstd"])
def test_flipped_bits_are_no_rows(kind: str, tmp_path: Path) -> None:
    packed = bytearray(
        members(LINES) if kind == "gzip" else zstandard.ZstdCompressor(write_checksum=True).compress(LINES)
    )
    packed[len(packed) // 2] ^= 0xFF
    path = tmp_path / "flipped"
    path.write_bytes(packed)
    with pytest.raises(UsageError, match="broken or cut"):
        list(Source(str(path)).lines())


ALIKE = st.sampled_from(
    [b"", b"\x1f\x8b", b"\x1f\x8b\x08\x00", b"\x28\xb5\x2f\xfd", b"\xef\xbb\xbf", b"{", b'{"a":', b"["]
)


@settings(max_examples=400)
@given(ALIKE, st.binary(max_size=200), st.sampled_from([bytes, members, frames]))
@example(b"\x1f\x8b", b"", bytes)
@example(b"\x28\xb5\x2f\xfd", b"", bytes)
@example(b"\x1f\x8b\x08\x04\0\0\0\0\0\0", b"\xff", bytes)
def test_no_bytes_at_all_get_past_the_error_message(head: bytes, rest: bytes, pack: Callable[[bytes], bytes]) -> None:
    try:
        lines = from_stdin(pack(head + rest))
    except UsageError as error:
        assert str(error).startswith("standard input:")
    else:
        assert all(isinstance(line.row, dict | BadRow) for line in lines)


@settings(max_examples=300)
@given(st.sampled_from(sorted(PACKED)), st.integers(0, 10**6), st.binary(min_size=1, max_size=4))
def test_no_damage_to_a_compressed_file_gets_past_it(kind: str, place: int, damage: bytes) -> None:
    data = bytearray(PACKED[kind])
    place %= len(data)
    data[place : place + len(damage)] = damage
    try:
        lines = from_stdin(bytes(data))
    except UsageError as error:
        assert str(error).startswith("standard input:")
    else:
        assert all(isinstance(line.row, dict | BadRow) for line in lines)


# --- lines that are no rows

BAD_LINES: list[tuple[str, bytes, str, str]] = [
    # what, the line, where (":column" or nothing), what the message must say
    ("text", b"hello", ":1", "not JSON"),
    ("cut", b'{"a": 1', ":8", "not JSON"),
    ("cut in a text", b'{"a": "x', ":7", "not JSON: Unterminated string"),
    ("cut after a comma", b'{"a": 1,', ":9", "not JSON"),
    ("cut after a colon", b'{"a":', ":6", "not JSON"),
    ("comma too many", b'{"a": 1,}', ":8" if sys.version_info >= (3, 13) else ":9", "not JSON"),
    ("single quotes", b"{'a': 1}", ":2", "not JSON"),
    ("two rows on one line", b'{"a": 1} {"a": 2}', ":10", "not JSON: Extra data"),
    ("bare word", b'{"a": none}', ":7", "not JSON"),
    ("a list", b"[1, 2]", ":1", "a row is a JSON object, not a list"),
    ("a text", b'"x"', ":1", "a row is a JSON object, not text"),
    ("a number", b"12", ":1", "a row is a JSON object, not a number"),
    ("true", b"true", ":1", "a row is a JSON object, not true or false"),
    ("null", b"null", ":1", "a row is a JSON object, not null"),
    ("NaN", b"NaN", ":1", "a row is a JSON object, not a number"),
    ("NUL in a text", b'{"a": "x\0y"}', ":9", "NUL byte"),
    ("NUL before", b'\0{"a": 1}', ":1", "not JSON"),
    ("NULs alone", b"\0" * 64, ":1", "not JSON"),
    ("a tab in a text", b'{"a": "x\ty"}', ":9", "control character must be escaped"),
    ("an escape code in a text", b'{"a": "\x1b[31m"}', ":8", "control character must be escaped"),
    ("a bad escape", b'{"a": "\\boxed\\x"}', ":14", "not JSON: Invalid \\escape"),
    ("Latin-1", b'{"a": "caf\xe9"}', ":11", "not UTF-8: byte 0xe9"),
    ("Latin-1 after two bytes of UTF-8", '{"ä": "'.encode() + b'\xe9"}', ":9", "not UTF-8: byte 0xe9"),
    ("half a character at the end", b'{"a": "\xe4\xb8', ":8", "not UTF-8: byte 0xe4"),
    ("a surrogate as UTF-8", b'{"a": "\xed\xa0\x80"}', ":8", "not UTF-8: byte 0xed"),
    ("deep lists", b'{"a":' + b"[" * 100_000 + b"]" * 100_000 + b"}", "", "nested too deeply"),
    ("deep objects", b'{"a":' * 100_000 + b"1" + b"}" * 100_000, "", "nested too deeply"),
    ("deep and cut", b"[" * 100_000, "", "nested too deeply"),
]


@pytest.mark.parametrize("end", [b"\n", b"\r\n"], ids=["LF", "CRLF"])
@pytest.mark.parametrize(("bad", "column", "said"), [c[1:] for c in BAD_LINES], ids=[c[0] for c in BAD_LINES])
def test_a_bad_line_is_named_with_line_and_column(bad: bytes, column: str, said: str, end: bytes, read: Read) -> None:
    lines = read(b'{"a": 0}' + end + bad + end + b'{"a": 2}' + end)
    assert [line.number for line in lines] == [1, 2, 3]
    assert [line.row for line in lines if isinstance(line.row, dict)] == [{"a": 0}, {"a": 2}]
    message = only_error(lines)
    assert f"in.jsonl:2{column}: " in message
    assert said in message
    assert message.isprintable()
    assert len(message) < 500


@pytest.mark.parametrize(("bad", "column", "said"), [c[1:] for c in BAD_LINES], ids=[c[0] for c in BAD_LINES])
def test_a_bad_last_line_without_a_line_end(bad: bytes, column: str, said: str, read: Read) -> None:
    message = only_error(read(b'{"a": 0}\n' + bad))
    assert f"in.jsonl:2{column}: " in message
    assert said in message


@pytest.mark.parametrize("encoding", ["utf-16", "utf-16-le", "utf-16-be", "utf-32"])
def test_utf_16_is_told_by_its_mark(encoding: str, read: Read) -> None:
    mark = {"utf-16-le": b"\xff\xfe", "utf-16-be": b"\xfe\xff"}.get(encoding, b"")
    first = read(mark + '{"a": 1}\n{"a": 2}\n'.encode(encoding))[0]
    assert isinstance(first.row, BadRow)
    assert "in.jsonl:1:1: is UTF-16" in str(first.row)
    assert "iconv" in str(first.row)


def test_utf_16_without_a_mark_is_no_row(read: Read) -> None:
    assert all(isinstance(line.row, BadRow) for line in read('{"a": 1}\n{"a": 2}\n'.encode("utf-16-le")))


@pytest.mark.parametrize(
    "array", [b'[{"a": 1}, {"a": 2}]', b'[\n{"a": 1},\n{"a": 2}\n]', b'[\r\n  {"a": 1}\r\n]', b"  ["]
)
def test_a_json_array_gets_advice(array: bytes, read: Read) -> None:
    first = read(array)[0].row
    assert isinstance(first, BadRow)
    assert "in.jsonl:1" in str(first)
    assert "this looks like one JSON array, make it lines with: jq -c '.[]'" in str(first)


@pytest.mark.parametrize("text", [b'{\n  "a": 1\n}\n', b'{\r\n  "a": 1\r\n}', b'\xef\xbb\xbf{\n"a": 1}'])
def test_indented_json_gets_advice(text: bytes, read: Read) -> None:
    first = read(text)[0].row
    assert isinstance(first, BadRow)
    assert "in.jsonl:1" in str(first)
    assert "this looks like indented JSON, make it lines with: jq -c ." in str(first)


def test_a_byte_order_mark_in_the_middle_is_no_row(read: Read) -> None:
    message = only_error(read(b'{"a": 1}\n\xef\xbb\xbf{"a": 2}\n'))  # two files put together
    assert "in.jsonl:2:1: " in message


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("9" * 5000, "9" * 5000),
        ("-" + "9" * 5000, "-" + "9" * 5000),
        ("9" * 1_000_000, "9" * 1_000_000),
        ("9" * 3000, int("9" * 3000)),
        ("0", 0),
        ("-7", -7),
        ("1e400", float("inf")),
        ("-Infinity", float("-inf")),
        ("1.5", 1.5),
    ],
    ids=["5000 digits", "-5000 digits", "10^6 digits", "3000 digits", "0", "-7", "1e400", "-Infinity", "1.5"],
)
def test_numbers(text: str, value: object, read: Read) -> None:
    """Python's int() stops at 4,300 digits: the digits of a longer integer are kept as text."""
    [line] = read(b'{"n": %b, "m": 12}\n' % text.encode())
    assert line.row == {"n": value, "m": 12}


def test_nan_is_read(read: Read) -> None:
    [line] = read(b'{"n": NaN, "m": 1}\n')
    assert isinstance(line.row, dict)
    assert repr(line.row["n"]) == "nan"


def test_of_two_columns_with_one_name_the_last_counts(read: Read) -> None:
    assert rows_of(read(b'{"a": 1, "a": 2}\n')) == [{"a": 2}]


# --- long lines


@pytest.mark.parametrize("pack", [bytes, members, frames], ids=["plain", "gzip", "zstd"])
def test_a_line_that_is_too_long_costs_itself_alone(
    pack: Callable[[bytes], bytes], read: Read, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(files, "MAX_LINE", 1 << 20)
    monkeypatch.setattr(files, "_SKIP", 1000)
    long = b'{"a": "' + b"x" * (3 << 20) + b'"}\n'
    lines = read(pack(b'{"a": 1}\n' + long + b'{"a": 2}\n' + long.removesuffix(b"\n")))
    assert [line.number for line in lines] == [1, 2, 3, 4]
    assert [line.row for line in lines if isinstance(line.row, dict)] == [{"a": 1}, {"a": 2}]
    for line in (lines[1], lines[3]):
        assert isinstance(line.row, BadRow)
        assert f"in.jsonl:{line.number}: a line of more than 1 MiB" in str(line.row)


@pytest.mark.parametrize("kind", ["gzip", "zstd"])
def test_a_file_that_is_cut_inside_a_line_that_is_too_long(
    kind: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(files, "MAX_LINE", 1 << 16)
    monkeypatch.setattr(files, "_SKIP", 1000)
    data = b'{"a": 1}\n{"a": "' + random.Random(1).randbytes(1 << 19).hex().encode() + b'"}\n'
    packed = (members if kind == "gzip" else frames)(data)
    path = tmp_path / "cut"
    path.write_bytes(packed[: len(packed) // 2])
    got: list[Line] = []
    with pytest.raises(UsageError, match=r"cut:2: the compressed file is broken or cut"):
        got.extend(Source(str(path)).lines())
    path.write_bytes(packed)
    assert [type(line.row) for line in Source(str(path)).lines()] == [dict, BadRow]


def test_the_longest_line_that_is_allowed(read: Read, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(files, "MAX_LINE", 1000)
    row = {"a": "x" * (1000 - len('{"a":""}\n'))}
    line = dump_line(row)
    assert len(line) == 1000
    assert rows_of(read(line * 2)) == [row, row]
    longer = dump_line({"a": row["a"] + "xx"})
    assert [type(got.row) for got in read(line + longer + line)] == [dict, BadRow, dict]


def test_a_line_of_50_mb_is_a_row(read: Read) -> None:
    text = "so it goes " * (50_000_000 // 11)
    lines = read(b'{"a": 1}\n' + dump_line({"a": text}) + b'{"a": 2}\n')
    assert rows_of(lines) == [{"a": 1}, {"a": text}, {"a": 2}]


# --- what cannot be opened


def test_what_is_no_file(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match=r"missing\.jsonl: No such file or directory"):
        Source(str(tmp_path / "missing.jsonl"))
    with pytest.raises(UsageError, match=r"is a directory; name the files in it"):
        Source(str(tmp_path))


@pytest.mark.skipif(os.geteuid() == 0, reason="root may read everything")
def test_a_file_that_may_not_be_read(tmp_path: Path) -> None:
    path = tmp_path / "secret"
    path.write_bytes(LINES)
    path.chmod(0)
    with pytest.raises(UsageError, match="permission denied"):
        Source(str(path))


def test_a_named_pipe_is_read_like_standard_input(tmp_path: Path) -> None:
    """`rlvr score <(zcat rows.gz)`: a path that cannot be asked for its position."""
    path = tmp_path / "pipe"
    os.mkfifo(path)

    def write() -> None:
        with suppress(BrokenPipeError):
            path.write_bytes(LINES)

    writer = threading.Thread(target=write, daemon=True)
    writer.start()
    assert rows_of(Source(str(path)).lines()) == ROWS
    writer.join()


# --- fingerprints


def fingerprint(path: Path) -> dict[str, Any]:
    return Source(str(path)).fingerprint()


def test_a_fingerprint_tells_files_apart(tmp_path: Path) -> None:
    path = tmp_path / "rows"
    path.write_bytes(LINES)
    first = fingerprint(path)
    assert first == fingerprint(path) == json.loads(json.dumps(first))
    for other in (LINES + b"\n", LINES.replace(b'"id": 0', b'"id": 9'), LINES.replace(b'"id": 299', b'"id": 298'), b""):
        path.write_bytes(other)
        assert fingerprint(path) != first
    path.write_bytes(LINES)
    os.utime(path, (0, 0))
    assert fingerprint(path) == first  # a copy of the file is the same input
    moved = tmp_path / "elsewhere"
    moved.mkdir()
    assert fingerprint(path.rename(moved / "rows")) == first


def test_standard_input_has_no_fingerprint() -> None:
    assert Source("-").fingerprint() == {"name": "-"}


# --- parquet


@pytest.fixture
def table(tmp_path: Path) -> Callable[..., Path]:
    def write(rows: list[Row], **options: Any) -> Path:
        path = tmp_path / "rows.parquet"
        parquet.write_table(pyarrow.Table.from_pylist(rows), path, **options)
        return path

    return write


@pytest.mark.parametrize("row_group_size", [1, 7, 64, 1000])
@pytest.mark.parametrize("compression", ["snappy", "gzip", "zstd", "none"])
def test_parquet(table: Callable[..., Path], compression: str, row_group_size: int) -> None:
    path = table(ROWS_WITH_CHATS, compression=compression, row_group_size=row_group_size)
    source = Source(str(path))
    lines = list(source.lines())
    assert rows_of(lines) == ROWS_WITH_CHATS
    assert [line.number for line in lines] == list(range(1, len(ROWS_WITH_CHATS) + 1))
    assert lines[-1].offset == source.bytes_total
    assert [line.offset for line in lines] == sorted(line.offset for line in lines)


ROWS_WITH_CHATS: list[Row] = [
    {"id": i, "completion": [{"role": "assistant", "content": f"{i} 一"}], "gold": None if i % 3 else "4", "n": i / 2}
    for i in range(150)
]


def test_parquet_without_rows(tmp_path: Path) -> None:
    path = tmp_path / "rows.parquet"
    parquet.write_table(pyarrow.table({"a": pyarrow.array([], pyarrow.string())}), path)
    assert list(Source(str(path)).lines()) == []


@pytest.mark.parametrize("kept", [4, 12, 0.5, 0.9, -1])
def test_a_cut_parquet_file(table: Callable[..., Path], kept: float) -> None:
    path = table(ROWS)
    data = path.read_bytes()
    path.write_bytes(data[: int(kept if abs(kept) >= 1 else kept * len(data))])
    with pytest.raises(UsageError, match=r"rows\.parquet: not a readable parquet file") as caught:
        list(Source(str(path)).lines())
    assert "\n" not in str(caught.value)


def test_parquet_on_standard_input_is_refused_in_so_many_words(table: Callable[..., Path]) -> None:
    with pytest.raises(UsageError, match="parquet") as caught:
        from_stdin(table(ROWS).read_bytes())
    assert str(caught.value).startswith("standard input")
    assert "No such file" not in str(caught.value)


def test_parquet_without_pyarrow_says_what_to_install(
    table: Callable[..., Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    path = table(ROWS)
    monkeypatch.setitem(sys.modules, "pyarrow", None)
    with pytest.raises(UsageError, match=r"parquet needs pyarrow: pip install 'rlvr\[parquet\]'"):
        list(Source(str(path)).lines())


# --- rows written


@given(st.dictionaries(st.text(), JSON_VALUES, max_size=4))
def test_a_row_that_was_written_reads_back(row: Row) -> None:
    line = dump_line(row)
    assert line.endswith(b"\n")
    assert line.count(b"\n") == 1
    assert json.loads(line) == row


ODD_TEXT = st.text(st.characters(exclude_categories=()) | st.characters(categories=["Cs"]))


@given(st.dictionaries(ODD_TEXT, ODD_TEXT, max_size=4))
@example({"a": "\ud800", "b": "一"})
@example({"\udfff": "x"})
def test_half_a_surrogate_pair_is_kept(row: Row) -> None:
    """Models are cut in the middle of a character, and JSON can say so."""
    line = dump_line(row)
    line.decode()  # valid UTF-8, whatever the text
    assert json.loads(line) == row
    assert dump_line(json.loads(line)) == line
    assert rows_of(from_stdin(line)) == [row]


@pytest.mark.parametrize("value", [float("nan"), float("inf"), -0.0, 1e-320, 10**4000, "\0\x1b\u2028", [], {}, None])
def test_odd_values_are_written_so_that_they_read_back(value: object) -> None:
    assert repr(rows_of(from_stdin(dump_line({"a": value})))) == repr([{"a": value}])


def test_text_is_written_as_it_is_and_without_spaces() -> None:
    assert dump_line({"a": "一 é", "b": [1, 2]}) == '{"a":"一 é","b":[1,2]}\n'.encode()


def test_what_json_has_no_type_for_is_written_as_text(table: Callable[..., Path]) -> None:
    row = rows_of(Source(str(table([{"when": pyarrow.scalar(0, pyarrow.timestamp("s")).as_py()}]))).lines())[0]
    assert json.loads(dump_line(row)) == {"when": "1970-01-01 00:00:00"}


def test_a_row_that_can_be_read_can_be_written() -> None:
    """Else a row near the limit of nesting would end the run when its verdict is written."""

    def read_row(depth: int) -> Row | BadRow:
        return from_stdin(b'{"id": 1, "a":' + b"[" * depth + b"]" * depth + b', "x": 2}')[0].row

    low, high = 1, 1 << 20  # a depth that is read, one that is not
    while high - low > 1:
        middle = (low + high) // 2
        low, high = (middle, high) if isinstance(read_row(middle), dict) else (low, middle)
    assert low > 100
    row = read_row(low)
    assert dump_line(row) == b'{"id":1,"a":' + b"[" * low + b"]" * low + b',"x":2}\n'


@pytest.mark.parametrize(
    ("value", "name"),
    [({}, "an object"), ([], "a list"), ("", "text"), (True, "true or false"), (None, "null"), (1, "a number"),
     (1.5, "a number"), (float("nan"), "a number")],
)  # fmt: skip
def test_types_have_the_names_that_json_gives_them(value: object, name: str) -> None:
    assert json_type(value) == name
