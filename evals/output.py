"""The scored file: appended as verdicts come, valid whenever the run stops, continued by running again.

Beside `scored.jsonl` stands `scored.jsonl.run.json`: what was scored with what. A run with other inputs, verifier or
options is refused with the difference shown.
"""

import fcntl
import json
import os
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any, BinaryIO, cast

from ..verifiers.rows import verdict_row
from ..verifiers.types import Status, Verdict
from .columns import Sample
from .errors import UsageError
from .files import Row, dump_line

WRITTEN = ("id", "sample", "score", "status", "reason", "extracted", "parts")
_OURS = frozenset({*WRITTEN, "detail"})


class ScoredFile:
    """Appends rows to `path`; what an earlier run wrote is read back first.

    Raises UsageError when the file belongs to another run, to another program, or to a run in progress.
    """

    def __init__(self, path: Path, run: Mapping[str, Any], *, with_text: bool) -> None:
        self.path = path
        self._with_text = with_text
        self._manifest = _manifest_of(path)
        if path.suffix in (".gz", ".zst", ".parquet"):
            raise UsageError(f"{path}: --out writes plain JSON lines, so that a stopped run can continue")
        if path.is_dir():
            raise UsageError(f"{path}: Is a directory")
        try:
            self._file: BinaryIO = os.fdopen(os.open(path, os.O_RDWR | os.O_CREAT, 0o666), "r+b")
        except OSError as error:
            raise UsageError(f"{path}: {error.strerror or 'is no file that a run could continue'}") from None
        try:
            self._lock()
            self._check(dict(run))
        except UsageError:
            self._file.close()
            raise

    def earlier(self) -> Iterator[tuple[Row, Verdict]]:
        """What an earlier run wrote, row by row; a last line that was cut is dropped. Then appending may begin."""
        end = 0
        with self.path.open("rb") as file:
            for number, line in enumerate(file, 1):
                if not line.endswith(b"\n"):
                    break
                try:
                    row = cast(Row, json.loads(line))
                    verdict = read_verdict(row)
                except (ValueError, KeyError, TypeError, RecursionError) as error:
                    message = f"{self.path}:{number}: not a row that rlvr wrote ({error}); choose another --out"
                    raise UsageError(message) from None
                end += len(line)
                yield row, verdict
        self._file.seek(end)
        self._file.truncate()

    def write(self, sample: Sample, index: int, verdict: Verdict) -> None:
        """Append one row; it is handed to the system at once, for the next sample may hang."""
        self._file.write(dump_line(out_row(sample, index, verdict, with_text=self._with_text)))
        self._file.flush()

    def close(self) -> None:
        """Write what is left."""
        self._file.close()

    def _lock(self) -> None:
        try:
            fcntl.flock(self._file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError:
            raise UsageError(f"{self.path}: another run is writing to it") from None

    def _check(self, run: Row) -> None:
        run = json.loads(json.dumps(run))
        if not self._file.read(1):  # nothing was written yet: whatever was tried before, this run may begin
            scratch = self._manifest.with_name(self._manifest.name + ".new")
            try:
                scratch.write_text(json.dumps(run, indent=1) + "\n", encoding="utf-8")
                scratch.replace(self._manifest)
            except OSError as error:
                raise UsageError(f"{self._manifest}: {error.strerror}") from None
        elif self._manifest.exists():
            before = _read_manifest(self.path, f"remove it and {self.path} to start again")
            changed = [key for key in sorted(before.keys() | run.keys()) if before.get(key) != run.get(key)]
            if changed:
                lines = "".join(f"\n  {key}: {before.get(key)!r} then, {run.get(key)!r} now" for key in changed)
                raise UsageError(
                    f"{self.path}: holds another run, which this one cannot continue:{lines}\n"
                    f"Choose another --out, or remove {self.path} and {self._manifest.name} to start again."
                )
        else:
            raise UsageError(f"{self.path}: exists and is not a run of ours; choose another --out or remove it")


def fields_of(path: Path) -> dict[str, str]:
    """The columns of a scored file that its run was told to read, by role; none where nobody knows.

    Raises UsageError when what is known of the run is broken.
    """
    if not _manifest_of(path).is_file():
        return {}
    fields: object = _read_manifest(path, "remove it, and name the columns by options").get("fields")
    told = cast(dict[str, str], fields) if isinstance(fields, dict) else {}
    return {role: column for role, column in told.items() if column not in _OURS}  # those are called otherwise here


def _manifest_of(path: Path) -> Path:
    return path.parent / (path.name + ".run.json")


def _read_manifest(path: Path, remedy: str) -> Row:
    manifest = _manifest_of(path)
    try:
        before: object = json.loads(manifest.read_text(encoding="utf-8"))
    except (ValueError, RecursionError):
        before = None
    if not isinstance(before, dict):
        raise UsageError(f"{manifest}: is broken; {remedy}")
    return cast(Row, before)


def out_row(sample: Sample, index: int, verdict: Verdict, *, with_text: bool) -> Row:
    """The input's own columns, then id, sample and the verdict. A column of the input with one of these names is kept
    as `input_…`, unless an earlier run of ours wrote it."""
    row: Row = {}
    if with_text:
        ours = all(name in sample.own for name in WRITTEN)
        for name, value in sample.own.items():
            if name not in _OURS:
                row[name] = value
            elif not ours and (name != "id" or str(value) != sample.problem.id):
                kept = f"input_{name}"
                while kept in sample.own:
                    kept = f"input_{kept}"
                row[kept] = value
    return {**row, "id": sample.problem.id, "sample": index, **verdict_row(verdict)}


def read_verdict(row: Row) -> Verdict:
    """The verdict in a row that `verdict_row` wrote. Raises KeyError, TypeError or ValueError on anything else."""
    parts = {name: read_verdict(part) for name, part in cast(dict[str, Row], row["parts"]).items()}
    status = cast(Status, row["status"])
    return Verdict(row["score"], status, row["reason"], row["extracted"], parts, row.get("detail"))
