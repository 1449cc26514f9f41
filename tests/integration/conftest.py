"""Fixtures: servers shared by the whole run, routers per module or test."""
import signal
import sys
from pathlib import Path

import pytest

sys.path.insert(0, str(Path(__file__).resolve().parent))

import os  # noqa: E402

import debian_root  # noqa: E402
import paths  # noqa: E402
import router as router_module  # noqa: E402
import servers  # noqa: E402


def pytest_configure(config):
    def interrupt(_number, _frame):
        raise KeyboardInterrupt

    for number in (signal.SIGTERM, signal.SIGHUP):
        signal.signal(number, interrupt)


def pytest_sessionstart(session):
    stand_in = os.environ.get('BULKHEAD_STAND_IN')
    print(f'router under test: {stand_in or paths.BINARY}')


class Fleet:
    """Servers by kind and number, started when first asked for and shared by all tests of the run."""

    def __init__(self):
        self._servers: dict[tuple[str, int], servers.Server] = {}

    def __call__(self, kind: str = 'mariadb', number: int = 1) -> servers.Server:
        reason = servers.available(kind)
        if reason:
            pytest.skip(reason)
        key = (kind, number)
        if key not in self._servers:
            self._servers[key] = servers.KINDS[kind](f'{kind}{number}').start()
        return self._servers[key]

    def stop(self):
        for server in self._servers.values():
            server.stop()


@pytest.fixture(scope='session')
def fleet():
    fleet = Fleet()
    yield fleet
    fleet.stop()


@pytest.fixture(scope='session')
def binary():
    """The router program; tests that need it fail, not skip, when it was not built."""
    if not os.environ.get('BULKHEAD_STAND_IN'):
        assert paths.BINARY.exists(), f'{paths.BINARY} is not built'
    return paths.BINARY


class Routers:
    """Routers of one test or module; all are stopped, and their clean end is checked, when it is over."""

    def __init__(self):
        self._running: list[router_module.Router] = []

    def __call__(self, config: dict, **options) -> router_module.Router:
        router = router_module.make_router(config, **options)
        self._running.append(router)
        return router.start()

    def stop(self):
        problems = []
        for router in self._running:
            try:
                if router.process is None and router.exit_code is not None:
                    continue
                code = router.stop()
                assert code == 0, f'{router.name} ended with {code}:\n{router.log()}'
                router.check_log()
            except AssertionError as error:
                problems.append(str(error))
        assert not problems, '\n'.join(problems)


@pytest.fixture
def routers(binary):
    started = Routers()
    yield started
    started.stop()


@pytest.fixture(scope='module')
def module_routers(binary):
    started = Routers()
    yield started
    started.stop()


@pytest.fixture(scope='session')
def package(binary):
    """The Debian package of the router under test."""
    reason = debian_root.unavailable()
    if not reason and not (paths.BINARY.parent / 'CPackConfig.cmake').exists():
        reason = f'packages: {paths.BINARY} is not in a build folder'
    if reason:
        pytest.skip(reason)
    return debian_root.package()
