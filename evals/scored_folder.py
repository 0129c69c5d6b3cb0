"""`--out DIR/`: one scored file for each input, each continued by itself."""

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

from .errors import UsageError
from .files import Source
from .output import ScoredFile

_PACKED = (".gz", ".zst")
_ROWS = (".jsonl", ".ndjson", ".json", ".parquet")


def scored_name(path: str) -> str:
    """The name of an input's scored file.

    >>> [scored_name(path) for path in ("a/x.jsonl.gz", "x.parquet", "a/x.part-1", "-")]
    ['x.jsonl', 'x.jsonl', 'x.part-1.jsonl', 'stdin.jsonl']
    """
    name = Path("stdin" if path == "-" else path)
    name = name.with_suffix("") if name.suffix in _PACKED else name
    name = name.with_suffix("") if name.suffix in _ROWS else name
    return f"{name.name}.jsonl"


class ScoredFolder:
    """The scored files of `sources`, in their order; `run` says what a continued run compares, for one of them.

    Raises UsageError when two inputs have one name, the folder cannot be made, or any of the files cannot be continued.
    """

    def __init__(
        self, folder: Path, sources: Sequence[Source], run: Callable[[Source], Mapping[str, Any]], *, with_text: bool
    ) -> None:
        self._with_text = with_text
        self._files: dict[Path, Source] = {}
        for source in sources:
            path = folder / scored_name(source.path)
            if path in self._files:
                raise UsageError(f"{self._files[path].name} and {source.name}: both would be scored into {path}")
            self._files[path] = source
        try:
            folder.mkdir(parents=True, exist_ok=True)
        except OSError as error:
            raise UsageError(f"{folder}: {error.strerror}") from None
        self._runs = [(path, run(source)) for path, source in self._files.items()]
        for place in range(len(sources)):  # all of them now: not in the middle of the run
            self.open(place).close()

    def open(self, place: int) -> ScoredFile:
        """The scored file of one source. They are opened one by one: there may be more than a process may open."""
        path, run = self._runs[place]
        return ScoredFile(path, run, with_text=self._with_text)
