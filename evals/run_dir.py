"""A run's folder: what was asked of which model, and every sample as it arrived. It may be killed at any moment.

manifest.json   what the run is; a run that differs is refused with the difference
problems.jsonl  what was asked, with gold answers and tests, so that the folder can be scored anywhere
samples.jsonl   one row per completion, appended and flushed as it arrives
errors.jsonl    samples that could not be had; they are asked for again when the run is continued
scored.jsonl    one row per verdict: as they come while the run goes on, by problem and sample once it is over
sessions.jsonl  when it ran: a row at the start and one at the end of each time
engine.log      what vLLM wrote, where the run was its own engine's
summary.json, report.html
"""

import fcntl
import json
import os
import time
from collections.abc import Iterable, Iterator, Mapping
from contextlib import suppress
from pathlib import Path
from typing import Any, BinaryIO, Self, cast

from ..verifiers.types import Completion, Problem, Verdict
from .engines.types import UNKNOWN, Generated
from .errors import UsageError
from .files import Row, dump_line
from .output import read_verdict, verdict_row

MANIFEST, PROBLEMS, SAMPLES, ERRORS = "manifest.json", "problems.jsonl", "samples.jsonl", "errors.jsonl"
SCORED, SESSIONS, SUMMARY, REPORT = "scored.jsonl", "sessions.jsonl", "summary.json", "report.html"
ENGINE_LOG = "engine.log"

UNCOMPARED = ("rlvr_git", "folder_git", "command", "started")
"""Of the manifest: what tells where a run came from and does not change what it is."""
FREE_OPTIONS = frozenset(
    {"base_url", "concurrency", "retries", "backoff_s", "silence_s", "api_key_env", "log_file"}
    # What somebody lowers whose run ended out of memory.
    | {"batch_size", "gpu_memory_utilization", "kv_cache_memory_bytes", "max_num_seqs", "max_num_batched_tokens"}
    | {"data_parallel_size"}
)
"""Engine options that may change when a run is continued: where a server is, how hard an engine works and with how much
memory, not what it is asked."""

Key = tuple[str, int]
_LOCK = ".lock"


def is_run(path: str | os.PathLike[str]) -> bool:
    """Whether `path` is the folder of a run."""
    return (Path(path) / MANIFEST).is_file()


def read_manifest(path: Path) -> Row:
    """The manifest of a run. Raises UsageError where there is none."""
    try:
        found: object = json.loads((path / MANIFEST).read_text(encoding="utf-8"))
    except OSError as error:
        raise UsageError(f"{path}: is no run of ours: {MANIFEST}: {error.strerror}") from None
    except ValueError:
        found = None
    if not isinstance(found, dict):
        raise UsageError(f"{path / MANIFEST}: is broken; remove {path} to start again")
    return cast(Row, found)


def difference(before: Mapping[str, Any], now: Mapping[str, Any]) -> list[str]:
    """What differs between two manifests as far as both tell, one line each: `sampling.temperature: 0.6 then, 1.0 now`.

    >>> difference({"sampling": {"seed": 0}, "started": 1}, {"sampling": {"seed": 1}, "started": 2})
    ['sampling.seed: 0 then, 1 now']
    """
    lines: list[str] = []
    for key in sorted(before.keys() & now.keys() - set(UNCOMPARED)):
        _compare(key, before[key], now[key], lines)
    return lines


def _compare(name: str, before: Any, now: Any, lines: list[str]) -> None:
    if isinstance(before, dict) and isinstance(now, dict):
        old, new = cast(Row, before), cast(Row, now)
        free: frozenset[str] = FREE_OPTIONS if name == "engine.options" else frozenset()
        for key in sorted((old.keys() | new.keys()) - free):
            _compare(f"{name}.{key}", old.get(key), new.get(key), lines)
    elif name.startswith("engine.versions.") and UNKNOWN in (before, now):
        return  # a server that did not answer when it was asked for its version
    elif before != now:
        lines.append(f"{name}: {_shown(before)} then, {_shown(now)} now")


def _shown(value: Any) -> str:
    text = repr(value)
    return text if len(text) <= 120 else f"{text[:60]}…{text[-50:]}"


class RunDir:
    """The folder of one run, locked for this process until `close` (or its end, however it comes).

    Raises UsageError when another process writes to it, or when it holds something else than a run.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        self.manifest: Row | None = None
        self._files: dict[str, BinaryIO] = {}
        self._made = not path.exists()
        try:
            self._lock = _locked(path)
        except OSError as error:
            raise UsageError(f"{path}: {error.strerror}") from None
        self._open = True
        try:
            self._look()
        except UsageError:
            self.close()
            raise
        # An engine may fork workers that outlive a kill -9 of this process: they must not keep the lock.
        os.register_at_fork(after_in_child=self._leave_lock)

    def _leave_lock(self) -> None:
        if self._open:
            os.close(self._lock)
            self._open = False

    def _look(self) -> None:
        if is_run(self.path):
            self.manifest = read_manifest(self.path)
            return
        names = {entry.name for entry in self.path.iterdir() if not entry.name.startswith(".")}
        if strange := sorted(names - {PROBLEMS, ENGINE_LOG}):  # which are written before the manifest
            raise UsageError(f"{self.path}: holds {strange[0]} and is no run of ours; --out picks another folder")

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *error: object) -> None:
        self.close()

    def close(self) -> None:
        """Give the lock back. Safe to call twice."""
        for file in self._files.values():
            file.close()
        self._files.clear()
        if self._open and self._made and [entry.name for entry in self.path.iterdir()] == [_LOCK]:
            (self.path / _LOCK).unlink()  # nothing came of it: the engine could not start
            with suppress(OSError):  # somebody else begins in it just now
                self.path.rmdir()
        self._leave_lock()

    # --- what the run is

    def check(self, manifest: Mapping[str, Any]) -> None:
        """Raises UsageError with the difference where `manifest`, or the part of it that is known yet, does not fit."""
        if self.manifest is None:
            return
        if lines := difference(self.manifest, json.loads(json.dumps(manifest))):
            raise UsageError(
                f"{self.path}: holds another run, which this one cannot continue:"
                + "".join(f"\n  {line}" for line in lines)
                + f"\nChoose another --out, or remove {self.path} to start again."
            )

    def begin(self, manifest: Mapping[str, Any], problems: Iterable[Problem]) -> None:
        """Make the folder this run's, or check that it is."""
        self.check(manifest)
        if self.manifest is None:
            rows = (dump_line(_problem_row(problem)) for problem in problems)
            self.write_whole(PROBLEMS, rows)
            self._write_manifest(manifest)
            self.manifest = json.loads(json.dumps(manifest))

    def rename_verifier(self, identity: Mapping[str, Any]) -> None:
        """Make another verifier the run's; the verdicts of the one before are no longer its."""
        assert self.manifest is not None
        self.manifest["task"]["verifier"] = dict(identity)
        self.write_whole(SCORED, [])
        self._write_manifest(self.manifest)

    def _write_manifest(self, manifest: Mapping[str, Any]) -> None:
        self.write_whole(MANIFEST, [json.dumps(manifest, indent=1, ensure_ascii=False).encode() + b"\n"])

    def problems(self) -> list[Problem]:
        """What was asked, in order."""
        return [_problem(row) for row, _ in self._rows(PROBLEMS)]

    # --- samples and verdicts

    def samples(self) -> Iterator[tuple[Row, int]]:
        """Every whole row of samples.jsonl with its place in the file; a row that was cut is dropped from the file."""
        return self._rows(SAMPLES)

    def add_sample(self, generated: Generated) -> int:
        """Append one completion; returns its place in the file."""
        file = self._appending(SAMPLES)
        place = file.tell()
        self._append(file, _sample_row(generated))
        return place

    def sample_at(self, place: int) -> Row:
        """The row of samples.jsonl that begins there."""
        with (self.path / SAMPLES).open("rb") as file:
            file.seek(place)
            return json.loads(file.readline())

    def add_error(self, generated: Generated) -> None:
        """Keep why a sample could not be had."""
        self._append(self._appending(ERRORS), _error_row(generated))

    def add_verdict(self, key: Key, verdict: Verdict) -> None:
        """Append one verdict."""
        self._append(self._appending(SCORED), {"id": key[0], "sample": key[1], **verdict_row(verdict)})

    def verdicts(self) -> dict[Key, Verdict]:
        """The verdicts that are there."""
        return {(row["id"], row["sample"]): read_verdict(row) for row, _ in self._rows(SCORED)}

    def errors(self) -> list[Row]:
        """Every failure that was kept, also of samples that were had later."""
        return [row for row, _ in self._rows(ERRORS)]

    # --- time

    def start_session(self) -> None:
        """Note that sampling starts; a session that was killed ended when it last wrote."""
        rows = [row for row, _ in self._rows(SESSIONS)]
        if rows and "started" in rows[-1]:
            last = max(
                (self.path / name).stat().st_mtime for name in (SAMPLES, SESSIONS) if (self.path / name).exists()
            )
            self._append(self._appending(SESSIONS), {"ended": last})
        self._append(self._appending(SESSIONS), {"started": time.time()})

    def end_session(self) -> None:
        """Note that sampling ended."""
        self._append(self._appending(SESSIONS), {"ended": time.time()})

    def seconds(self) -> float:
        """How long sampling took, all sessions together."""
        signs = {"started": -1, "ended": 1}
        total = sum(signs[name] * value for row, _ in self._rows(SESSIONS) for name, value in row.items())
        return max(float(total), 0.0)

    # --- files

    def write_whole(self, name: str, pieces: Iterable[bytes]) -> None:
        """Replace a file of the run, whole or not at all."""
        scratch = self.path / f".{name}.new"
        with scratch.open("wb") as file:
            file.writelines(pieces)
            file.flush()
            os.fsync(file.fileno())
        if open_file := self._files.pop(name, None):
            open_file.close()
        scratch.replace(self.path / name)

    def _append(self, file: BinaryIO, row: Row) -> None:
        file.write(dump_line(row))
        file.flush()

    def _appending(self, name: str) -> BinaryIO:
        file = self._files.get(name)
        if file is None:
            file = self._files[name] = (self.path / name).open("ab")
        return file

    def _rows(self, name: str) -> Iterator[tuple[Row, int]]:
        """Whole rows with their places. A last row that was cut is removed, so that appending begins on a new line."""
        path = self.path / name
        if not path.exists():
            return
        place = 0
        with path.open("rb") as file:
            for number, line in enumerate(file, 1):
                if not line.endswith(b"\n"):
                    break
                try:
                    row: object = json.loads(line)
                except (ValueError, RecursionError) as error:
                    raise UsageError(f"{path}:{number}: not a row that rlvr wrote ({error})") from None
                if not isinstance(row, dict):
                    raise UsageError(f"{path}:{number}: not a row that rlvr wrote")
                yield cast(Row, row), place
                place += len(line)
        if place < path.stat().st_size and name not in self._files:
            os.truncate(path, place)


def _locked(path: Path) -> int:
    """The folder's lock, the folder made where there is none. Raises UsageError while another process has it."""
    while True:
        path.mkdir(parents=True, exist_ok=True)
        lock = os.open(path / _LOCK, os.O_RDWR | os.O_CREAT, 0o666)
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError:
            os.close(lock)
            raise UsageError(f"{path}: another process is writing to this run") from None
        try:
            if os.path.sameopenfile(lock, again := os.open(path / _LOCK, os.O_RDWR)):
                os.close(again)
                return lock
            os.close(again)
        except FileNotFoundError:  # its last owner took the folder away after we had opened it
            pass
        os.close(lock)


def completion_of(row: Row) -> Completion:
    """What a verifier is given of a row of samples.jsonl."""
    reason = row.get("finish_reason")
    return Completion(row["completion"], row.get("n_tokens"), None if reason is None else reason != "length")


def _sample_row(generated: Generated) -> Row:
    row: Row = {
        "id": generated.problem_id,
        "sample": generated.sample,
        "completion": generated.text,
        "finish_reason": generated.finish_reason,
        "n_tokens": generated.n_tokens,
        "prompt_tokens": generated.prompt_tokens,
        "seed": generated.seed,
    }
    return row if generated.logprobs is None else {**row, "logprobs": list(generated.logprobs)}


def _error_row(generated: Generated) -> Row:
    return {
        "id": generated.problem_id, "sample": generated.sample, "error": generated.error, "at": round(time.time(), 3),
    }  # fmt: skip


def _problem_row(problem: Problem) -> Row:
    row = {"id": problem.id, "prompt": problem.prompt, "answer": problem.answer, "tests": problem.tests}
    return {name: value for name, value in row.items() if value is not None}


def _problem(row: Row) -> Problem:
    return Problem(row["id"], row.get("prompt"), row.get("answer"), row.get("tests"))
