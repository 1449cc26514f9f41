"""Idle pooled connections that the server has closed must not become a client's error."""
import contextlib
import random
import threading
import time

import pymysql
import pytest

from processes import wait_until
from router import configuration
from servers import MariaDb
from sessions import Beside, login, make_tenant, run, value

pytestmark = pytest.mark.slow
NO_SUCH_THREAD = 1094


@pytest.fixture(scope='module')
def server():
    with MariaDb('stale') as server:
        make_tenant(
            server, 'acme', 'CREATE TABLE t (x INT)', 'INSERT INTO t VALUES (1)', 'CREATE TABLE log (who INT, n INT)'
        )
        yield server


class Pause:
    """Statements pass while nobody asks for calm; calm begins when the last of them has its answer."""

    def __init__(self):
        self._change, self._running, self._calm = threading.Condition(), 0, False

    @contextlib.contextmanager
    def statement(self):
        with self._change:
            self._change.wait_for(lambda: not self._calm)
            self._running += 1
        try:
            yield
        finally:
            with self._change:
                self._running -= 1
                self._change.notify_all()

    @contextlib.contextmanager
    def calm(self):
        with self._change:
            self._calm = True
            self._change.wait_for(lambda: not self._running)
        try:
            yield
        finally:
            with self._change:
                self._calm = False
                self._change.notify_all()


def load(router, stop_at: float, pause: float, moment: Pause | None = None) -> list[Beside]:
    moment = moment or Pause()

    def work(number: int) -> int:
        connection, done, generator = login(router, database='tenant_acme'), 0, random.Random(number)
        while time.monotonic() < stop_at:
            with moment.statement():
                if generator.random() < 0.5:
                    assert value(connection, 'SELECT x FROM t') == 1
                else:
                    run(connection, f'INSERT INTO log VALUES ({number}, {done})')
            done += 1
            time.sleep(generator.random() * pause)  # the idleness that is tested
        connection.close()
        return done

    return [Beside(work, number) for number in range(16)]


def test_wait_timeout(server, routers):
    """The server closes what idles for two seconds; the clients pause around that long."""
    server.execute('SET GLOBAL wait_timeout = 2')
    try:
        router = routers(configuration({'acme': server}, pools={'wait_timeout_margin': '500ms'}))
        counts = [beside.result(40) for beside in load(router, time.monotonic() + 9, pause=4)]
        assert sum(counts) > 30
        burst = load(router, time.monotonic() + 1, pause=0)
        assert sum(b.result(20) for b in burst) > 100
        wait_until(lambda: not server.threads(), 20, 'everything pooled has expired, at the server or here')
        assert sum(b.result(20) for b in load(router, time.monotonic() + 1, pause=0)) > 100
    finally:
        server.execute('SET GLOBAL wait_timeout = 28800')


def test_kill_of_idle_connections(server, routers):
    router = routers(configuration({'acme': server}))
    stop_at, moment = time.monotonic() + 6, Pause()
    running, killed = load(router, stop_at, pause=0.3, moment=moment), 0
    while time.monotonic() < stop_at - 0.5:
        # A statement sent while the KILL is on its way would truly be unknown: none is until they are gone. The
        # next ones come in the moment in which the router may not have seen the end of its connections yet.
        with moment.calm():
            victims = [row[0] for row in server.threads() if row[1] == 'Sleep']
            for thread in victims:
                try:
                    server.execute(f'KILL {thread}')
                    killed += 1
                except pymysql.err.OperationalError as error:
                    assert error.args[0] == NO_SUCH_THREAD  # it has gone by itself
            wait_until(lambda: not {row[0] for row in server.threads()} & set(victims), 5, 'they are gone')
        time.sleep(0.05)  # the pace of the faults
    total = sum(b.result(30) for b in running)
    print(f'{killed} idle connections killed, {total} statements without an error')
    assert killed > 3 and total > 200


def test_kill_all_idle_then_a_burst(server, routers):
    """Whatever the pool still holds is dead: every statement of the burst goes to a new connection."""
    router = routers(configuration({'acme': server}))
    connections = [login(router, database='tenant_acme') for _ in range(20)]
    for round_ in range(5):
        running = [Beside(value, c, 'SELECT SLEEP(0.1)') for c in connections]
        assert all(r.result(20) == 0 for r in running)
        wait_until(lambda: all(row[1] == 'Sleep' for row in server.threads()), 5, 'all idle')
        for row in server.threads():
            server.execute(f'KILL {row[0]}')
        wait_until(lambda: not server.threads(), 5, 'all gone at the server')
        for connection in connections:
            assert value(connection, 'SELECT x FROM t') == 1, f'round {round_}'
    for connection in connections:
        connection.close()


def test_restart_between_statements(server, routers):
    router = routers(configuration({'acme': server}))
    connections = [login(router, database='tenant_acme') for _ in range(10)]
    for _ in range(2):
        for r in [Beside(value, c, 'SELECT x FROM t') for c in connections]:
            assert r.result(20) == 1
        server.restart()
        for connection in connections:
            run(connection, 'INSERT INTO log VALUES (-1, -1)')
            assert value(connection, 'SELECT x FROM t') == 1
    assert server.execute('SELECT COUNT(*) FROM tenant_acme.log WHERE who = -1')[0][0] == 20
    for connection in connections:
        connection.close()
