"""Libraries that write to the terminal: into a file with it, or one sentence in its place."""

import logging
import os
import sys
from collections.abc import Generator
from contextlib import contextmanager
from pathlib import Path


@contextmanager
def output_to(path: Path) -> Generator[None]:
    """Standard output and error of this process, and of those it starts meanwhile till they end, go to a file.

    By descriptor, because vLLM's processes and libraries in C write there themselves.
    """
    sys.stdout.flush()
    sys.stderr.flush()
    kept = [os.dup(1), os.dup(2)]
    with path.open("ab") as log:
        os.dup2(log.fileno(), 1)
        os.dup2(log.fileno(), 2)
    try:
        yield
    finally:
        sys.stdout.flush()
        sys.stderr.flush()
        for descriptor, copy in enumerate(kept, start=1):
            os.dup2(copy, descriptor)
            os.close(copy)


@contextmanager
def patient_hub() -> Generator[None]:
    """One sentence for the two lines that the hub's client writes at each of its tries. Import huggingface_hub before.

    The client tries six times within half a minute; what comes of it is its exception's to tell.
    """
    said = False

    def once(record: logging.LogRecord) -> bool:
        nonlocal said
        text = record.getMessage()
        if "Retrying in" not in text and "thrown while requesting" not in text:
            return True
        if said:
            return False
        said = True
        record.msg, record.args = "the Hugging Face hub does not answer; trying for half a minute …", None
        return True

    handlers = list(logging.getLogger("huggingface_hub").handlers)
    for handler in handlers:
        handler.addFilter(once)
    try:
        yield
    finally:
        for handler in handlers:
            handler.removeFilter(once)
