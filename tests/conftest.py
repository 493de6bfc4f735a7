"""What every test may ask for."""

import logging
from collections.abc import Iterator
from pathlib import Path

import pytest

from mintmark.testing import FakeAuthority, FrozenClock
from tests import services

pytest_plugins = ["tests.log_scan", "mintmark.testing.plugin"]

SHARED = Path(__file__).parent.parent.parent / "shared"


@pytest.fixture(autouse=True)
def logging_as_it_was() -> Iterator[None]:
    """A framework that sets up logging for itself would blind the scan for the rest of the run."""
    root, ours = logging.getLogger(), logging.getLogger("mintmark")
    handlers, levels = root.handlers[:], (root.level, ours.level)
    yield
    # pytest's own handlers come and go around a test; only what this test left behind is undone.
    for handler in [one for one in root.handlers if one not in handlers]:
        root.removeHandler(handler)
    for handler in [one for one in handlers if one not in root.handlers]:
        root.addHandler(handler)
    root.setLevel(levels[0])
    ours.setLevel(levels[1])


@pytest.fixture
def clock() -> FrozenClock:
    return FrozenClock()


@pytest.fixture
def authority() -> Iterator[FakeAuthority]:
    """A token server that does as it is told."""
    with FakeAuthority().serve() as serving:
        yield serving


@pytest.fixture(scope="session")
def chromium() -> str:
    return services.chromium_path()


@pytest.fixture(scope="session")
def postgresql_url() -> Iterator[str]:
    with services.postgresql() as url:
        yield url


@pytest.fixture(scope="session")
def redis_url(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    with services.redis(tmp_path_factory.mktemp("redis")) as url:
        yield url


@pytest.fixture(scope="session")
def vectors() -> Path:
    """Other people's test vectors, which the project does not carry."""
    folder = SHARED / "vectors"
    if not folder.is_dir():
        pytest.skip("the vectors are not beside the project (../shared/vectors)")
    return folder
