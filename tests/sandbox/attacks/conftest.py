"""The sandbox under attack, and the image of the throw-away containers."""

from collections.abc import Iterator

import pytest
from rlvr.sandbox import DockerSandbox, Limits
from rlvr.sandbox.images import default_tag

from ..conftest import require

LIMITS = Limits(
    cpu_s=1.0,
    wall_factor=3.0,
    memory_mb=128,
    processes=16,
    file_mb=8,
    output_kb=256,
    disk_mb=16,
    inodes=512,
    open_files=64,
)


@pytest.fixture(scope="session")
def box_image() -> str:
    with DockerSandbox(workers=1) as docker:
        require(docker)
    return default_tag()


@pytest.fixture(scope="module")
def sandbox(box_image: str) -> Iterator[DockerSandbox]:
    """One worker: what an attack leaves, the next program would find."""
    with DockerSandbox(workers=1, limits=LIMITS) as sandbox:
        yield sandbox
