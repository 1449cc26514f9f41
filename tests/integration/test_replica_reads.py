"""Policy `replica`: while a primary is down, plain reads go to a replica that is not too far behind; the rest waits."""
import os
import signal

import pytest

import rawclient as rc
from hang_fleet import CONTROL, PROBE, QUICK, prepare, wait_all_up
from processes import wait_until
from replication import Pair
from router import configuration
from servers import APP_PASSWORD, available
from sessions import Beside

pytestmark = pytest.mark.slow


@pytest.fixture(scope='module', params=['mariadb', pytest.param('mysql', marks=pytest.mark.full)])
def pair(request):
    reason = available(request.param)
    if reason:
        pytest.skip(reason)
    with Pair(request.param, 'reads') as pair:
        prepare(pair.primary, 't1')
        pair.catch_up()
        # Seen by whoever reads there, and by nobody who reads from the primary.
        pair.replica.execute('SET sql_log_bin = 0', 'INSERT INTO tenant_t1.ledger VALUES (77, 0)')
        yield pair


@pytest.fixture
def start(pair, routers):
    """start(hold) gives a router that serves; the primary is thawed in the end."""

    def start(**hold):
        config = configuration(
            {'t1': pair.primary}, probe=dict(PROBE), control=dict(CONTROL), health=dict(QUICK), hold=hold
        )
        config['topology']['backends'].append({'name': 'db2', 'address': f'127.0.0.1:{pair.replica.port}'})
        config['topology']['shards'][0]['replicas'] = ['db2']
        router = routers(config)
        return router, wait_all_up(router, 2)

    yield start
    os.kill(pair.primary.process.pid, signal.SIGCONT)


def session(router) -> rc.RawConnection:
    return rc.connect(router, 'app', APP_PASSWORD, 'tenant_t1')


def freeze(pair, log) -> None:
    os.kill(pair.primary.process.pid, signal.SIGSTOP)
    wait_until(lambda: log.state('db1') == 'down', 15, 'the verdict')


MARKED = 'SELECT COUNT(*) FROM ledger WHERE id = 77'


def test_plain_reads_go_there_and_the_rest_waits(pair, start):
    router, log = start(policy='replica')
    reader, writer, careful, locker = (session(router) for _ in range(4))
    assert reader.value(MARKED) == '0', 'the primary serves'
    _, prepared = reader.prepare(MARKED)
    assert careful.query('BEGIN').error is None
    freeze(pair, log)
    assert reader.value(MARKED) == '1'
    answer = reader.execute(prepared, [])
    assert answer.error is None
    waiting = [
        Beside(writer.query, 'INSERT INTO ledger VALUES (1, 0)'),
        Beside(careful.query, MARKED),
        Beside(locker.query, MARKED + ' FOR UPDATE'),
    ]
    wait_until(lambda: router.metric('bulkhead_held_statements', shard='s1') == 3, 5, 'they are held')
    assert reader.value(MARKED) == '1', 'again, beside those that wait'
    assert pair.replica.threads(), "on a connection of the application's account"
    os.kill(pair.primary.process.pid, signal.SIGCONT)
    assert [w.result(15).error for w in waiting] == [None] * 3
    wait_until(lambda: reader.value(MARKED) == '0', 10, 'the primary serves again')


def test_not_where_the_policy_is_another(pair, start):
    router, log = start(policy='hold')
    reader = session(router)
    freeze(pair, log)
    held = Beside(reader.value, MARKED)
    wait_until(lambda: router.metric('bulkhead_held_statements', shard='s1') == 1, 5, 'it is held')
    os.kill(pair.primary.process.pid, signal.SIGCONT)
    assert held.result(15) == '0'


def test_not_to_a_replica_that_is_behind(pair, start):
    """It has stopped applying: what the primary did since is not there."""
    router, log = start(policy='replica', replica_lag='1s')
    reader = session(router)
    stop = pair.words('STOP SLAVE SQL_THREAD', 'STOP REPLICA SQL_THREAD')
    go = pair.words('START SLAVE', 'START REPLICA')
    pair.replica.execute(stop)
    try:
        number = 'SELECT n FROM bulkhead.canary ORDER BY at DESC LIMIT 1'
        seen = pair.replica.execute(number)[0][0]
        wait_until(lambda: pair.primary.execute(number)[0][0] > seen + 4, 10, 'some canaries that it has not applied')
        freeze(pair, log)
        held = Beside(reader.value, MARKED)
        wait_until(lambda: router.metric('bulkhead_held_statements', shard='s1') == 1, 5, 'it is held')
        assert not held.done()
        pair.replica.execute(go)
        assert held.result(8) == '1', 'it has caught up with what it had received'
    finally:
        os.kill(pair.primary.process.pid, signal.SIGCONT)
        pair.replica.execute(go)


def test_a_replica_that_refuses_sends_them_back(pair, start):
    """It has just crashed: nothing was sent, so the read waits for the primary instead of being refused."""
    router, log = start(policy='replica')
    reader = session(router)
    assert reader.value(MARKED) == '0'
    freeze(pair, log)
    pair.replica.stop(signal.SIGKILL)
    try:
        held = Beside(reader.value, MARKED)
        wait_until(lambda: router.metric('bulkhead_held_statements', shard='s1') == 1, 5, 'it is held')
        assert not held.done()
        os.kill(pair.primary.process.pid, signal.SIGCONT)
        assert held.result(15) == '0'
    finally:
        os.kill(pair.primary.process.pid, signal.SIGCONT)
        pair.replica.start()
