"""Docker tests need an engine and the image. Without them they are skipped here, and fail in CI."""

import os
from collections.abc import Iterator

import pytest
from rlvr.sandbox import DockerSandbox, SandboxUnavailable


def skip_or_fail(why: str) -> None:
    if os.environ.get("CI") == "true":
        pytest.fail(f"Docker tests must run in CI: {why}")
    pytest.skip(f"no Docker sandbox here: {why}")


@pytest.fixture(scope="session")
def sandbox() -> Iterator[DockerSandbox]:
    """Two workers with the default limits."""
    with DockerSandbox(workers=2) as docker:
        try:
            docker.describe()
        except SandboxUnavailable as error:
            skip_or_fail(str(error))
        yield docker
