"""A server that answers, but not as it should: locked for writes, read_only, full, on a disk that hangs."""
import threading
import time

import pymysql
import pytest

import fault_places
import rawclient as rc
from fault_places import FreezableDisk, MariaDbOnDisk
from hang_fleet import Fleet, Incident, shared_fleet, wait_all_up
from processes import wait_until
from servers import APP_PASSWORD
from sessions import Beside

pytestmark = pytest.mark.slow
IN_FULL = pytest.mark.parametrize('kind', ['mariadb', pytest.param('mysql', marks=pytest.mark.full)])
WRITES = {'auto': 60, 'transaction': 20, 'prepared': 20}
QUICK_PROBES = {'commit_interval': '1s', 'login_interval': '1s'}


def session(router, tenant: str) -> rc.RawConnection:
    return rc.connect(router, 'app', APP_PASSWORD, f'tenant_{tenant}')


class Reads:
    """Somebody who reads again and again, and remembers what failed and the longest wait."""

    def __init__(self, router, tenant: str):
        self.failed: list[str] = []
        self.longest, self.count = 0.0, 0
        self._stop = threading.Event()
        self._connection = session(router, tenant)
        self._running = Beside(self._run)

    def _run(self) -> None:
        while not self._stop.is_set():
            started = time.monotonic()
            error = self._connection.query('SELECT COUNT(*) FROM ledger').error
            if error:
                self.failed.append(str(error))
            self.longest = max(self.longest, time.monotonic() - started)
            self.count += 1
            self._stop.wait(0.02)  # a reader's pace, not a flood

    def finish(self) -> 'Reads':
        self._stop.set()
        self._running.result(30)
        self._connection.quit()
        return self


@IN_FULL
def test_flush_tables_with_read_lock(kind, routers):
    """Writes hang, reads work: reads go on, writes are held, those sent wait, and all are done in the end."""
    fleet = shared_fleet(kind)
    router = routers(fleet.configuration(health=QUICK_PROBES))
    with Incident(fleet, router, victim=1, mix=WRITES) as incident:
        reads = Reads(router, 't1')
        lock = fleet[1].connect()
        try:
            with lock.cursor() as cursor:
                cursor.execute('FLUSH TABLES WITH READ LOCK')
            incident.wait_state('write_stalled', 12)
            before = reads.count
            wait_until(lambda: reads.count > before + 20, 5, 'reads go on')
            late = session(router, 't1')
            held = Beside(late.query, 'INSERT INTO ledger VALUES (1, 9)')
            assert not held.done(1.0), 'a write was not held'
        finally:
            lock.close()
        incident.wait_served()
        assert held.result(10).error is None
        reads.finish()
        late.quit()
    assert not reads.failed, reads.failed[:5]
    assert set(incident.labels()) == {'done'}, incident.labels()
    assert not any(c.new == 'down' for c in incident.log.changes('db1', incident.mark))


@IN_FULL
def test_read_only(kind, routers):
    """Somebody sets read_only: reads go on, writes are held as soon as it is seen, done when it is off again."""
    fleet = shared_fleet(kind)
    router = routers(fleet.configuration())
    with Incident(fleet, router, victim=2, mix=WRITES) as incident:
        reads = Reads(router, 't2')
        try:
            fleet[2].execute('SET GLOBAL read_only = 1')
            incident.wait_state('read_only', 5)  # the first refused write asks for a commit probe
            late = session(router, 't2')
            held = Beside(late.query, 'INSERT INTO ledger VALUES (1, 9)')
            assert not held.done(1.0), 'a write was not held'
        finally:
            fleet[2].execute('SET GLOBAL read_only = 0')
        incident.wait_served()
        assert held.result(10).error is None
        reads.finish()
        late.quit()
    assert not reads.failed, reads.failed[:5]
    codes = {unit.code for unit in incident.result.of('t2')}
    assert codes <= {0, 1290, 1836}, codes  # the server's own words until it is seen


@IN_FULL
@pytest.mark.parametrize('kept, code', [('CREATE TEMPORARY TABLE scratch (a INT)', 9411), ('BEGIN', 1213)])
def test_the_server_ends_the_connection_of_who_is_held(kind, kept, code, routers):
    """What the session had there is gone: the held statement must not run without it."""
    fleet = shared_fleet(kind)
    router = routers(fleet.configuration(health=QUICK_PROBES))
    log = wait_all_up(router)
    log.wait('backend db2: all its tables are transactional')
    fleet.clear()
    late = session(router, 't2')
    for statement in (kept, 'INSERT INTO ledger VALUES (7, 0)'):
        assert late.query(statement).error is None
    (pinned,) = (row[0] for row in fleet[2].threads())
    try:
        fleet[2].execute('SET GLOBAL read_only = 1')
        wait_until(lambda: log.state('db2') == 'read_only', 12, 'it is seen')
        held = Beside(late.query, 'INSERT INTO ledger VALUES (7, 1)')
        wait_until(lambda: router.metric('bulkhead_held_statements', shard='s2'), 5, 'it is held')
        fleet[2].execute(f'KILL {pinned}')
        assert held.result(5).error.errno == code
    finally:
        fleet[2].execute('SET GLOBAL read_only = 0')
    wait_until(lambda: log.state('db2') == 'up', 12, 'it serves again')
    rows = fleet[2].execute('SELECT part FROM tenant_t2.ledger WHERE id = 7')
    assert [row[0] for row in rows] == ([0] if code == 9411 else [])


@IN_FULL
def test_max_connections_used_up(kind, routers):
    """1040 for whoever comes new: shed, not down. Who is connected goes on."""
    fleet = shared_fleet(kind)
    router = routers(fleet.configuration(health=QUICK_PROBES))
    server, hogs = fleet[3], []
    with Incident(fleet, router, victim=3) as incident:
        try:
            limit = server.status('Threads_connected') + 12
            server.execute(f'SET GLOBAL max_connections = {limit}')
            while True:
                try:
                    hogs.append(server.connect('suite', 'suite'))
                except pymysql.err.OperationalError as error:
                    assert error.args[0] == 1040, error
                    break
            incident.wait_state('saturated', 12)
            # More sessions than there are connections: each gets an answer, and soon.
            more = [session(router, 't3') for _ in range(20)]
            running = [Beside(m.query, 'SELECT SLEEP(0.3) FROM (SELECT 1) AS one') for m in more]
            answers = [r.result(12) for r in running]
            errors = {a.error.errno for a in answers if a.error}
            assert errors <= {9401}, errors
            assert any(a.error is None for a in answers), 'nobody was served'
        finally:
            for hog in hogs:
                hog.close()
            # `suite` may everything, so one place above the limit was its own.
            wait_until(lambda: _raise_limit(server), 10, 'max_connections is back')
        incident.wait_served()
        for connection in more:
            connection.quit()
    assert set(incident.labels()) <= {'done', 'not executed'}, incident.labels()
    states = [c.new for c in incident.log.changes('db3', incident.mark)]
    assert 'down' not in states, states


def _raise_limit(server) -> bool:
    try:
        server.execute('SET GLOBAL max_connections = 500')
        return True
    except pymysql.err.OperationalError:
        return False


def test_frozen_disk(routers):
    """Commits hang in the kernel, reads of cached pages go on: reads are served, writes held, nothing is lost."""
    reason = fault_places.unavailable()
    if reason:
        pytest.skip(reason)
    with FreezableDisk() as disk, Fleet(count=2, special=[MariaDbOnDisk('disk', disk)], name='disk') as fleet:
        router = routers(fleet.configuration(health=QUICK_PROBES))
        wait_all_up(router, 2)
        try:
            with Incident(fleet, router, victim=1, mix=WRITES) as incident:
                reads = Reads(router, 't1')
                disk.freeze()
                incident.wait_state('write_stalled', 15)
                before = reads.count
                wait_until(lambda: reads.count > before + 20, 5, 'reads go on')
                late = session(router, 't1')
                held = Beside(late.query, 'INSERT INTO ledger VALUES (1, 9)')
                assert not held.done(1.0), 'a write was not held'
                disk.thaw()
                incident.wait_served()
                assert held.result(10).error is None
                reads.finish()
                late.quit()
            assert not reads.failed, reads.failed[:5]
            assert set(incident.labels()) == {'done'}, incident.labels()
        finally:
            disk.thaw()
