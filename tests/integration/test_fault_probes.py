"""Probes themselves do no harm: a server that counts connection errors of a host never blocks the router."""
import time

import pytest

import fault_places
from fault_places import MariaDbInNamespace, Namespace
import rawclient as rc
from hang_fleet import Fleet, shared_fleet, wait_all_up
from processes import wait_until
from servers import APP_PASSWORD
from sessions import Beside

pytestmark = pytest.mark.slow
HOUR = 600  # logins of an hour: one every 4 to 8 s
STRICT = ['--skip-name-resolve=0', '--max-connect-errors=10', '--host-cache-size=128']


def test_an_hour_of_logins(routers):
    """Over an address that is no loopback, with a freeze in between, whose hung logins are kept and not broken off."""
    reason = fault_places.unavailable()
    if reason:
        pytest.skip(reason)
    with Namespace(3) as place, Fleet(count=1, special=[MariaDbInNamespace('strict', place, STRICT)]) as fleet:
        router = routers(fleet.configuration(health={'login_interval': '20ms'}))
        log = wait_all_up(router, 1)
        before = fleet[1].status('Connections')
        mark = log.mark()
        for _ in range(2):
            fleet.freeze(1)
            log.wait_state('db1', 'down', mark)
            time.sleep(2)  # more logins come and hang
            fleet.thaw(1)
            log.wait_up('db1')
            mark = log.mark()
        wait_until(lambda: fleet[1].status('Connections') - before > HOUR, 60, 'an hour of logins', 0.5)
        errors = fleet[1].execute(
            f"SELECT SUM(sum_connect_errors), SUM(count_handshake_errors) FROM performance_schema.host_cache "
            f"WHERE ip = '{place.outer}'"
        )[0]
        print(f'{fleet[1].status("Connections") - before} connections, connect errors {errors[0]}')
        assert errors[0] is not None, 'the server counts nothing of this host: the test proves nothing'
        assert errors[0] < 10
        assert log.state('db1') == 'up'
        assert not any('1129' in line.text for line in log.lines())


def test_without_a_probe_account(routers):
    """Only the applications' own statements and logins tell: silence and a login that hangs are two signals."""
    fleet = shared_fleet()
    fleet.clear()
    config = fleet.configuration(pools={'handshake_timeout': '1s'})
    del config['probe'], config['control']
    router = routers(config)
    log = wait_all_up(router)
    assert 'no probe account' in router.log()
    mark = log.mark()

    def session(tenant):
        return rc.connect(router, 'app', APP_PASSWORD, f'tenant_{tenant}')

    flying, queued, other = session('t1'), session('t1'), session('t2')
    assert flying.query('INSERT INTO ledger VALUES (1, 0)').error is None
    fleet.freeze(1)
    try:
        first = Beside(flying.query, 'INSERT INTO ledger VALUES (2, 0)')
        second = Beside(queued.query, 'INSERT INTO ledger VALUES (3, 0)')
        log.wait_state('db1', 'suspect', mark, 15)
        held = Beside(session('t1').query, 'INSERT INTO ledger VALUES (4, 0)')
        wait_until(lambda: router.metric('bulkhead_held_statements', shard='s1') >= 1, 5, 'new work is held')
        assert other.query('INSERT INTO ledger VALUES (5, 0)').error is None
    finally:
        fleet.thaw_all()
    codes = [b.result(30).error.errno if b.result(30).error else 0 for b in (first, second, held)]
    rows = {row[0] for row in fleet[1].execute('SELECT id FROM tenant_t1.ledger')}
    assert set(codes) <= {0, 9401, 9403}, codes
    assert rows == {1} | {n for n, code in zip((2, 3, 4), codes) if code == 0}
    log.wait_up('db1', 30)
