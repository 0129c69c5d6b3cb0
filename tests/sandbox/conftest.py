"""Docker tests need an engine and the image. Without them they are skipped here, and fail in CI."""

import gc
import os
import warnings
from collections.abc import Iterator

import pytest
from rlvr.sandbox import DockerSandbox, SandboxUnavailable


def require(sandbox: DockerSandbox) -> None:
    """Skip, or in CI fail, where there is no engine or no image."""
    try:
        sandbox.describe()
    except SandboxUnavailable as error:
        missing = str(error)
    else:
        return
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        gc.collect()  # docker-py leaks the socket that did not connect
    if os.environ.get("CI") == "true":
        pytest.fail(f"Docker tests must run in CI: {missing}")
    pytest.skip(f"no Docker sandbox here: {missing}")


@pytest.fixture(scope="session")
def sandbox() -> Iterator[DockerSandbox]:
    """Two workers with the default limits."""
    with DockerSandbox(workers=2) as docker:
        require(docker)
        yield docker
