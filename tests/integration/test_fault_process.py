"""A server's process stops, dies, comes back: what its tenants are told is true, and the others notice nothing."""
import signal
import time

import pytest

import rawclient as rc
from hang_fleet import Fleet, Incident, prepare, shared_fleet, wait_all_up
from processes import wait_until
from servers import APP_PASSWORD, MariaDb
from sessions import Beside

pytestmark = pytest.mark.slow
BOTH = pytest.mark.parametrize('kind', ['mariadb', 'mysql'])
IN_FULL = pytest.mark.parametrize('kind', ['mariadb', pytest.param('mysql', marks=pytest.mark.full)])


def session(router, tenant: str) -> rc.RawConnection:
    return rc.connect(router, 'app', APP_PASSWORD, f'tenant_{tenant}')


@BOTH
def test_frozen(kind, routers):
    """SIGSTOP: connections that are open, and new ones."""
    fleet = shared_fleet(kind)
    router = routers(fleet.configuration())
    with Incident(fleet, router, victim=1) as incident:
        stopped = fleet.freeze(1)
        hold, verdict = incident.wait_state('suspect'), incident.wait_state('down')
        print(f'{kind}: held after {hold.at - stopped:.2f} s, verdict after {verdict.at - stopped:.2f} s')
        started = time.monotonic()
        late = session(router, 't1')
        assert time.monotonic() - started < 1, 'a login waited for the server'
        held = Beside(late.query, 'SELECT COUNT(*) FROM ledger')
        incident.log.wait('given up', incident.mark, 10)
        assert not held.done(), 'a held statement ended before the server was back'
        fleet.thaw(1)
        incident.wait_served()
        answer = held.result(10)
        assert answer.error is None, answer.error
        late.quit()
    labels = incident.labels()
    assert labels.get('unknown'), f'writes were in flight: {labels}'
    assert hold.at - stopped < 1.5 and verdict.at - stopped < 4


@IN_FULL
def test_pause_of_five_seconds(kind, routers):
    """A live migration: nothing in flight is given up, every statement succeeds."""
    fleet = shared_fleet(kind)
    router = routers(fleet.configuration(health={'in_flight_grace': '10s'}))
    with Incident(fleet, router, victim=2) as incident:
        fleet.freeze(2)
        incident.wait_state('down')
        time.sleep(3)  # two are over
        fleet.thaw(2)
        incident.wait_served()
    assert set(incident.labels()) == {'done'}, incident.labels()
    longest = max(unit.ended - unit.started for unit in incident.result.of('t2'))
    assert longest > 4, 'nobody waited: nothing was in flight or held'


@IN_FULL
def test_killed_and_restarted(kind, routers):
    """kill -9 under load with a transaction of some size: crash recovery takes a while."""
    fleet = shared_fleet(kind)
    router = routers(fleet.configuration())
    big = fleet[3].connect(database='tenant_t3', autocommit=False)
    with big.cursor() as cursor:
        cursor.execute('CREATE TABLE IF NOT EXISTS big (x LONGBLOB) ENGINE=InnoDB')
        for _ in range(20):
            cursor.execute("INSERT INTO big VALUES (REPEAT('x', 2000000))")
    with Incident(fleet, router, victim=3) as incident:
        fleet[3].stop(signal.SIGKILL)
        incident.wait_state('down')
        time.sleep(1)  # as long as the machine takes to notice
        fleet[3].start()
        incident.wait_served()
    big.close()
    fleet[3].execute('DROP TABLE tenant_t3.big')
    assert set(incident.labels()) <= {'done', 'unknown', 'rolled back', 'not executed'}, incident.labels()


@IN_FULL
def test_refused_before_it_is_suspect(kind, routers):
    """A crash, and at once a statement that would need a new connection: refused, not sent, so it is held."""
    fleet = shared_fleet(kind)
    router = routers(fleet.configuration())
    log = wait_all_up(router)
    warm, cold, prompt = session(router, 't3'), session(router, 't3'), session(router, 't4')
    assert warm.query('SELECT COUNT(*) FROM ledger').error is None
    assert prompt.query('SELECT COUNT(*) FROM ledger').error is None
    mark = log.mark()
    fleet[3].stop(signal.SIGKILL)
    waiting = [Beside(s.query, 'SELECT COUNT(*) FROM ledger') for s in (warm, cold)]
    early = log.state('db3') == 'up'
    change = log.wait_state('db3', 'suspect', mark)
    print(f'asked before it was suspect: {early}; {change.reasons}')
    wait_until(
        lambda: sum(not w.done() for w in waiting) == router.metric('bulkhead_held_statements', shard='s3'),
        5,
        'both are held',
    )
    assert not any(w.done() for w in waiting), [w.result().error for w in waiting if w.done()]
    assert prompt.query('SELECT COUNT(*) FROM ledger').error is None
    fleet[3].start()
    for answer in (w.result(20) for w in waiting):
        assert answer.error is None, answer.error
    for client in (warm, cold, prompt):
        client.quit()


@IN_FULL
def test_flapping(kind, routers):
    """Freezes and wakes every few seconds: no lie, and the router doesn't follow every beat."""
    fleet = shared_fleet(kind)
    router = routers(fleet.configuration())
    with Incident(fleet, router, victim=4) as incident:
        for _ in range(4):
            fleet.freeze(4)
            time.sleep(1.6)  # the fault: longer than a suspicion takes, shorter than a verdict
            fleet.thaw(4)
            time.sleep(0.8)  # the fault: awake
        incident.wait_served()
    changes = incident.log.changes('db4', incident.mark)
    opened = sum(c.new == 'up' for c in changes)
    print(f'{len(changes)} changes of state, {opened} times up; {incident.labels()}')
    assert any(c.new == 'suspect' for c in changes)
    assert opened <= 4, [f'{c.old} -> {c.new}' for c in changes]


def test_all_four_at_once(routers):
    """Perhaps it is this machine: held at once, the verdict only after all_down_after."""
    fleet = shared_fleet()
    router = routers(fleet.configuration(health={'all_down_after': '6s'}))
    with Incident(fleet, router, victim=None, clients=3) as incident:
        stopped = [fleet.freeze(n) for n in range(1, 5)][0]
        holds = [incident.log.wait_state(f'db{n}', 'suspect', incident.mark) for n in range(1, 5)]
        verdicts = [incident.log.wait_state(f'db{n}', 'down', incident.mark, 15) for n in range(1, 5)]
        fleet.thaw_all()
        for n in range(1, 5):
            incident.log.wait_up(f'db{n}')
    assert max(h.at for h in holds) - stopped < 2
    waited = [v.at - stopped for v in verdicts]
    assert min(waited) >= 5.5, f'verdicts after {waited}'


def test_router_restarted_during_the_hang(routers):
    """It knows nothing of the server at its start, so it holds; released when the server wakes."""
    fleet = shared_fleet()
    fleet.clear()
    router = routers(fleet.configuration())
    log = wait_all_up(router)
    fleet.freeze(1)
    log.wait_state('db1', 'down')
    mark = log.mark()
    router.process.stop(signal.SIGKILL)
    started = time.monotonic()
    router.start()
    other = session(router, 't2')
    assert other.query('INSERT INTO ledger VALUES (1, 0)').error is None
    assert time.monotonic() - started < 5, 'a tenant of another server waited'
    here = session(router, 't1')
    held = Beside(here.query, 'INSERT INTO ledger VALUES (1, 0)')
    log.wait('shard s1 is unknown', mark)
    assert not held.done(1.5), 'it was not held'
    assert other.query('SELECT 1').error is None
    fleet.thaw(1)
    answer = held.result(10)
    assert answer.error is None, answer.error
    assert here.value('SELECT COUNT(*) FROM ledger') == '1'
    for connection in (here, other):
        connection.quit()


def test_comes_back_as_another_server(routers):
    """Another data folder on the same port: fenced, and not one statement reaches it."""
    with Fleet(count=2, name='identity') as fleet:
        router = routers(fleet.configuration(hold={'max_wait': '1s'}))
        log = wait_all_up(router, 2)
        here, other = session(router, 't1'), session(router, 't2')
        assert here.query('INSERT INTO ledger VALUES (1, 0)').error is None
        port = fleet[1].port
        mark = log.mark()
        fleet[1].stop()
        log.wait_state('db1', 'down', mark)
        with MariaDb('impostor') as impostor:
            # It starts on a port of its own to be made ready, and then takes the other's place.
            prepare(impostor, 't1')
            impostor.stop()
            impostor.port = port
            impostor.start()
            fenced = log.wait_state('db1', 'fenced', mark, 15)
            assert 'another server' in fenced.reasons, fenced.reasons
            for _ in range(2):
                error = here.query('INSERT INTO ledger VALUES (2, 0)').error
                assert error and error.errno in (9401, 9403), error
            assert other.query('INSERT INTO ledger VALUES (2, 0)').error is None
            assert impostor.execute('SELECT COUNT(*) FROM tenant_t1.ledger') == [(0,)]
        for connection in (here, other):
            connection.close()


def test_in_flight_insert_is_settled_first(routers):
    """INSERTs given up during the freeze: each row is there or never, before the first released statement runs."""
    fleet = shared_fleet()
    router = routers(fleet.configuration())
    log = wait_all_up(router)
    outcomes = []
    for _ in range(2):
        fleet.clear()
        log.wait_up('db1')
        mark = log.mark()
        writers, reader = [session(router, 't1') for _ in range(6)], session(router, 't1')
        # All at once, so that each has a connection of its own.
        for warm in [Beside(writer.query, 'SELECT SLEEP(0.2) FROM (SELECT 1) AS one') for writer in writers]:
            assert warm.result(10).error is None
        fleet.freeze(1)
        flying = [Beside(writer.query, f'INSERT INTO ledger VALUES ({n}, 0)') for n, writer in enumerate(writers)]
        log.wait_state('db1', 'down', mark)
        released = Beside(reader.value, "SELECT CONCAT('-', IFNULL(GROUP_CONCAT(id), '')) FROM ledger")
        log.wait('given up', mark, 10)
        fleet.thaw(1)
        seen = {int(n) for n in released.result(15)[1:].split(',') if n}
        codes = [code.errno if code else 0 for code in (f.result(10).error for f in flying)]
        time.sleep(0.5)  # a statement that still came would come now
        later = {n for (n,) in fleet[1].execute('SELECT id FROM tenant_t1.ledger')}
        unknown = {n for n, code in enumerate(codes) if code == 9410}
        assert unknown and set(codes) <= {0, 9410}, codes
        assert later & unknown == seen & unknown, f'first {seen}, later {later}, unknown {unknown}'
        assert later - unknown == {n for n, code in enumerate(codes) if code == 0}
        outcomes.append((len(unknown), len(later & unknown)))
        for connection in (*writers, reader):
            connection.quit()
    print(f'INSERTs in flight, and rows of them: {outcomes}')
