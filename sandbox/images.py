"""The image: a base of anybody's with the runner copied in. Its tag is a hash of the runner's files."""

import io
import json
import tarfile
from collections.abc import Iterator
from functools import cache
from hashlib import blake2b
from pathlib import Path
from typing import Any

from .types import SandboxUnavailable

HERE = Path(__file__).parent
DEFAULT_BASE = "python:3.12-slim"
LABEL = "rlvr.sandbox.runner"
_RUNNER = ("plain.py", *(f"image/{path.name}" for path in sorted((HERE / "image").glob("*.py"))))


@cache
def runner_hash() -> str:
    """Which runner this is: an image with another one does not fit."""
    digest = blake2b(digest_size=6)
    for name in (*_RUNNER, "image/Dockerfile"):
        digest.update(f"{name}\0".encode() + (HERE / name).read_bytes() + b"\0")
    return digest.hexdigest()


def default_tag() -> str:
    """The image that this version of rlvr builds and looks for."""
    return f"rlvr-sandbox:{runner_hash()}"


def seccomp_profile() -> str:
    """The system calls that a program may make, as JSON."""
    return json.dumps(json.loads((HERE / "image" / "seccomp.json").read_text(encoding="utf-8")))


def build_image(client: Any, base: str = DEFAULT_BASE, tag: str | None = None) -> Iterator[str]:
    """Build the image on the engine of `client` (a docker.DockerClient); yields the engine's words.

    Raises SandboxUnavailable when it cannot be built: the base cannot be had, or has no python3 >= 3.8.
    """
    said = ""
    last = ""
    for event in client.api.build(
        fileobj=io.BytesIO(_context()),
        custom_context=True,
        tag=tag or default_tag(),
        buildargs={"BASE": base},
        labels={LABEL: runner_hash()},
        rm=True,
        forcerm=True,
        decode=True,
    ):
        if "error" in event:
            raise SandboxUnavailable(f"the image cannot be built from {base}: {_reason(event['error'], last)}")
        said = event.get("stream", "").strip()
        last = said or last
        if said:
            yield said


def _reason(error: str, last: str) -> str:
    if "python3" in error and ("not found" in error or "no such file" in error):
        return "it has no python3 (>= 3.8) in its PATH"
    return f"{last}: {error}" if "needs python3" in last else error.strip()


def _context() -> bytes:
    """The build context: the Dockerfile, and the runner under the names that it has here."""
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w") as tar:
        _add(tar, "Dockerfile", (HERE / "image" / "Dockerfile").read_bytes())
        for folder in ("rlvr", "rlvr/sandbox"):
            _add(tar, f"{folder}/__init__.py", b"")
        for name in _RUNNER:
            _add(tar, f"rlvr/sandbox/{name}", (HERE / name).read_bytes())
    return buffer.getvalue()


def _add(tar: tarfile.TarFile, name: str, data: bytes) -> None:
    info = tarfile.TarInfo(name)
    info.size, info.mode = len(data), 0o644
    tar.addfile(info, io.BytesIO(data))
