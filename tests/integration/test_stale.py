"""Idle pooled connections that the server has closed must not become a client's error."""
import contextlib
import random
import signal
import threading
import time

import pymysql
import pytest

import servers
from processes import wait_until
from router import configuration
from sessions import Beside, error_of, login, make_tenant, run, value

pytestmark = pytest.mark.slow
NO_SUCH_THREAD = 1094


@pytest.fixture(scope='module', params=['mariadb', pytest.param('mysql', marks=pytest.mark.full)])
def server(request):
    """MySQL says 4031, unasked, before it closes what idled for too long."""
    reason = servers.available(request.param)
    if reason:
        pytest.skip(reason)
    with servers.KINDS[request.param]('stale') as server:
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


class Recorded:
    """Sixteen clients that write and read; of each statement that failed: when it began and ended, number, code."""

    def __init__(self, router):
        self.told: dict[tuple[int, int], int] = {}  # of writes: 0 or the code
        self.failed: list[tuple[float, float, int, str]] = []
        self._stop, self._router = threading.Event(), router
        self._clients = [Beside(self._work, number) for number in range(16)]

    def _work(self, number: int) -> None:
        connection, generator = login(self._router, database='tenant_acme'), random.Random(number)
        for done in range(1_000_000):
            if self._stop.is_set():
                break
            began = time.monotonic()
            write = generator.random() < 0.5
            statement = f'INSERT INTO log VALUES ({100 + number}, {done})' if write else 'SELECT x FROM t'
            code, message = error_of(run, connection, statement)
            if write:
                self.told[100 + number, done] = code
            if code:
                self.failed.append((began, time.monotonic(), code, message))
                connection.ping(reconnect=False)  # it stays
            time.sleep(generator.random() * 0.1)  # the idleness that is tested
        connection.close()

    def finish(self, server) -> int:
        """The number of writes; none was lost or doubled, or done though said not to be."""
        self._stop.set()
        for client in self._clients:
            client.result(60)
        rows = server.execute('SELECT who, n FROM tenant_acme.log WHERE who >= 100')
        found = set(rows)
        assert len(found) == len(rows), 'written twice'
        for write, code in self.told.items():
            assert code == 9410 or (write in found) == (code == 0), f'{write}: told {code}, there: {write in found}'
        return len(self.told)


@pytest.mark.parametrize('way', ['SIGTERM', 'SIGKILL'])
def test_restart_under_load(server, routers, way):
    """What was sent may get the server's last word or be unknown; what is sent while it is away waits for it."""
    server.execute('TRUNCATE tenant_acme.log')
    # Its way back is looked at by probes: they need an account.
    probe = {'user': 'admin', 'password': servers.ADMIN_PASSWORD}
    hold = {'max_wait': '60s', 'outage_limit': '120s'}
    router = routers(configuration({'acme': server}, probe=probe, hold=hold))
    load, away = Recorded(router), []
    for _ in range(2):
        wait_until(lambda n=len(load.told): len(load.told) > n + 100, 60, 'statements flow')
        began = time.monotonic()
        server.stop(getattr(signal, way))
        away.append((began, time.monotonic()))
        server.start()
    wait_until(lambda n=len(load.told): len(load.told) > n + 100, 60, 'statements flow again')
    writes = load.finish(server)
    print(f'{writes} writes, {len(load.failed)} statements failed: {sorted({f[2] for f in load.failed})}')
    for start, end, code, message in load.failed:
        under_way = any(start <= gone and end >= began for began, gone in away)
        assert under_way, f'{code} for a statement that came when the server was away: {message}'
        assert code in (9410, 1053, 1317, 1927, 3169), (code, message)
    assert len(load.failed) <= 16 * len(away)


def test_kill_from_the_console_under_load(server, routers):
    """Nobody waits for calm: whatever fails was under way on the connection in the moment of a KILL."""
    server.execute('TRUNCATE tenant_acme.log')
    router = routers(configuration({'acme': server}))
    load, kills = Recorded(router), []
    stop_at = time.monotonic() + 5
    while time.monotonic() < stop_at:
        idle = [row[0] for row in server.threads() if row[1] == 'Sleep']
        for thread in idle[:2]:
            began = time.monotonic()
            code, message = error_of(server.execute, f'KILL {thread}')
            assert code in (0, NO_SUCH_THREAD), message
            wait_until(lambda gone=thread: gone not in {row[0] for row in server.threads()}, 10, 'it is gone')
            kills.append((began, time.monotonic()))
        time.sleep(0.1)  # the pace of the faults
    writes = load.finish(server)
    print(f'{len(kills)} killed, {writes} writes, {len(load.failed)} statements failed')
    assert len(kills) > 5 and writes > 100
    for start, end, code, message in load.failed:
        assert code in (9410, 1317, 1927, 3169), (code, message)
        assert any(start <= gone and end >= began for began, gone in kills), f'{code} without a KILL: {message}'
    assert len(load.failed) <= len(kills)
