"""Docker tests need an engine and the image. Without them they are skipped here, and fail in CI."""

import gc
import os
import warnings
from collections.abc import Iterator

import pytest
from rlvr.sandbox import DockerSandbox, SandboxUnavailable


def why_not(sandbox: DockerSandbox) -> str | None:
    """What is missing, None when nothing is."""
    try:
        sandbox.describe()
    except SandboxUnavailable as error:
        return str(error)
    return None


@pytest.fixture(scope="session")
def sandbox() -> Iterator[DockerSandbox]:
    """Two workers with the default limits."""
    with DockerSandbox(workers=2) as docker:
        missing = why_not(docker)
        if missing is not None:
            with warnings.catch_warnings():
                warnings.simplefilter("ignore")
                gc.collect()  # docker-py leaks the socket that did not connect
            if os.environ.get("CI") == "true":
                pytest.fail(f"Docker tests must run in CI: {missing}")
            pytest.skip(f"no Docker sandbox here: {missing}")
        yield docker
