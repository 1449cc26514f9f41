"""Idle pooled connections that the server has closed must not become a client's error."""
import random
import time

import pytest

from processes import wait_until
from router import configuration
from servers import MariaDb
from sessions import Beside, login, make_tenant, run, value

pytestmark = pytest.mark.slow


@pytest.fixture(scope='module')
def server():
    with MariaDb('stale') as server:
        make_tenant(
            server, 'acme', 'CREATE TABLE t (x INT)', 'INSERT INTO t VALUES (1)', 'CREATE TABLE log (who INT, n INT)'
        )
        yield server


def load(router, stop_at: float, pause: float) -> list[Beside]:
    def work(number: int) -> int:
        connection, done, generator = login(router, database='tenant_acme'), 0, random.Random(number)
        while time.monotonic() < stop_at:
            if generator.random() < 0.5:
                assert value(connection, 'SELECT x FROM t') == 1
            else:
                run(connection, f'INSERT INTO log VALUES ({number}, {done})')
            done += 1
            time.sleep(generator.random() * pause)
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
        time.sleep(3.5)  # everything pooled has expired by now, at the server or here
        assert sum(b.result(20) for b in load(router, time.monotonic() + 1, pause=0)) > 100
    finally:
        server.execute('SET GLOBAL wait_timeout = 28800')


def test_kill_of_idle_connections(server, routers):
    router = routers(configuration({'acme': server}))
    stop_at = time.monotonic() + 6
    running, killed = load(router, stop_at, pause=0.3), 0
    while time.monotonic() < stop_at - 0.5:
        # Only those that have idled for a while: a statement sent while the KILL is on its way would truly be unknown.
        for row in server.execute(
            "SELECT id FROM information_schema.processlist WHERE user = 'app' AND command = 'Sleep' AND time_ms > 60"
        ):
            try:
                server.execute(f'KILL {row[0]}')
                killed += 1
            except Exception:  # noqa: B902 (it has gone by itself)
                pass
        time.sleep(0.05)
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
