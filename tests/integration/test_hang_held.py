"""What becomes of statements that are held: their order, their limits, who leaves, and what survives a freeze."""
import socket
import time

import pytest

import rawclient as rc
from hang_fleet import Fleet, log_of, shared_fleet, wait_all_up
from processes import wait_until
from servers import APP_PASSWORD
from sessions import Beside

pytestmark = pytest.mark.slow


def session(router, tenant: str = 't1', **options) -> rc.RawConnection:
    return rc.connect(router, 'app', APP_PASSWORD, f'tenant_{tenant}', **options)


def code_of(response) -> int:
    return response.error.errno if response.error else 0


@pytest.fixture
def place(routers):
    """start(**configuration) gives (fleet, router, log); everything is thawed in the end."""
    fleet = shared_fleet()
    fleet.clear()

    def start(**changes):
        tenants = changes.pop('tenant_options', {})
        config = fleet.configuration(**changes)
        for tenant in config['topology']['tenants']:
            tenant.update(tenants.get(tenant['name'], {}))
        router = routers(config)
        return fleet, router, wait_all_up(router)

    yield start
    fleet.thaw_all()


def freeze_until_down(fleet: Fleet, log, number: int = 1) -> int:
    mark = log.mark()
    fleet.freeze(number)
    log.wait_state(f'db{number}', 'down', mark)
    return mark



def send(connection: rc.RawConnection, *statements: str) -> None:
    """Several commands at once, as a pipelining client does; their answers are read later."""
    for statement in statements:
        connection.sequence = 0
        connection.write_packet(bytes([rc.COM_QUERY]) + statement.encode())


def receive(connection: rc.RawConnection) -> rc.Response:
    connection.sequence = 1
    return connection.read_response()


def test_order_in_a_session(place):
    """What a client sent one behind the other comes to the server in this order, and is answered in it."""
    fleet, router, log = place()
    clients = [session(router) for _ in range(4)]
    freeze_until_down(fleet, log)
    fleet[2].execute('SELECT 1')
    for number, client in enumerate(clients):
        send(client, *(f'INSERT INTO ledger VALUES ({number}, {part})' for part in range(10)))
    for client in clients:
        client.sock.settimeout(0.3)
        assert not client.at_end()
        client.sock.settimeout(30)
    fleet.thaw(1)
    for client in clients:
        for _ in range(10):
            assert code_of(receive(client)) == 0
    fleet[1].execute('ALTER TABLE tenant_t1.ledger ADD COLUMN IF NOT EXISTS place INT AUTO_INCREMENT UNIQUE')
    try:
        for number in range(4):
            rows = fleet[1].execute(f'SELECT part FROM tenant_t1.ledger WHERE id = {number} ORDER BY place')
            assert [part for (part,) in rows] == list(range(10))
    finally:
        fleet[1].execute('ALTER TABLE tenant_t1.ledger DROP COLUMN place')
    for client in clients:
        client.quit()


@pytest.mark.parametrize('how', ['KILL QUERY', 'KILL', 'COM_PROCESS_KILL'])
def test_kill_reaches_a_held_statement(place, how):
    fleet, router, log = place()
    victim, killer = session(router), session(router)
    freeze_until_down(fleet, log)
    running = Beside(victim.query, 'INSERT INTO ledger VALUES (1, 0)')
    assert not running.done(0.3)
    started = time.monotonic()
    number = victim.greeting.thread_id
    if how == 'COM_PROCESS_KILL':
        answer = killer.command(rc.COM_PROCESS_KILL, number.to_bytes(4, 'little'), 'ok')
    else:
        answer = killer.query(f'{how} {number}')
    assert code_of(answer) == 0, answer.error
    if how == 'KILL QUERY':
        assert code_of(running.result(5)) == 1317
    else:
        try:
            assert code_of(running.result(5)) == 1317
        except (rc.Closed, ConnectionError):
            pass
    assert time.monotonic() - started < 2, 'the KILL waited for the server'
    fleet.thaw(1)
    log.wait_up('db1')
    if how == 'KILL QUERY':
        assert code_of(victim.query('INSERT INTO ledger VALUES (2, 0)')) == 0
    later = session(router)
    assert later.value('SELECT COUNT(*) FROM ledger WHERE id = 1') == '0', 'it ran although it was killed'
    for connection in (victim, killer, later):
        connection.close()


def test_a_client_that_leaves_frees_its_place(place):
    fleet, router, log = place(hold={'max_statements': 3})
    stayer, leavers, codes = session(router), [], []
    freeze_until_down(fleet, log)
    for number in range(4):
        leavers.append(session(router))
        running = Beside(_ask, leavers[-1], f'INSERT INTO ledger VALUES ({number}, 0)', codes)
        running.done(0.5)
    assert codes == [9402], 'three are held, the fourth is refused at once'
    for leaver in leavers:
        leaver.sock.shutdown(socket.SHUT_RDWR)
    held = Beside(_until_held, stayer)
    assert not held.done(1), 'no place was freed'
    fleet.thaw(1)
    assert held.result(15) == 0
    log.wait_up('db1')
    assert stayer.rows('SELECT id FROM ledger') == [('9',)], 'a statement of a client that had left was run'
    stayer.quit()


def _ask(connection, statement: str, codes: list[int]) -> None:
    try:
        codes.append(code_of(connection.query(statement)))
    except (rc.Closed, OSError):
        pass  # it left


def _until_held(connection) -> int:
    """The cancelling of those that left may take a moment."""
    while (code := code_of(connection.query('INSERT INTO ledger VALUES (9, 0)'))) == 9402:
        time.sleep(0.05)  # the pace of a client that tries again
    return code


def test_tenant_with_reject(place):
    """Its override: 9401 at once, while the shard's default holds."""
    fleet, router, log = place(tenant_options={'t1': {'hold': 'reject'}})
    here = session(router)
    freeze_until_down(fleet, log)
    started = time.monotonic()
    for _ in range(5):
        response = here.query('INSERT INTO ledger VALUES (1, 0)')
        assert code_of(response) == 9401, response.error
        assert 'executed=no' in response.error.message and 'tenant t1' in response.error.message
    assert time.monotonic() - started < 1
    fleet.thaw(1)
    log.wait_up('db1')
    wait_until(lambda: code_of(here.query('INSERT INTO ledger VALUES (2, 0)')) == 0, 5, 'it is served again')
    here.quit()


def test_limits(place):
    """max_statements: 9402 at once; max_wait: 9403; outage_limit: 9401 at once. The connection stays each time."""
    fleet, router, log = place(hold={'max_statements': 4, 'max_wait': '2s', 'outage_limit': '7s'})
    many = [session(router) for _ in range(8)]
    mark = freeze_until_down(fleet, log)
    started = time.monotonic()
    running = [Beside(c.query, f'INSERT INTO ledger VALUES ({n}, 0)') for n, c in enumerate(many)]
    wait_until(lambda: sum(r.done() for r in running) >= 4, 1, 'four are refused at once')
    at_once = [r for r in running if r.done()]
    assert len(at_once) == 4 and {code_of(r.result()) for r in at_once} == {9402}
    codes = [code_of(r.result(10)) for r in running]
    waited = time.monotonic() - started
    assert sorted(codes) == [9402] * 4 + [9403] * 4 and 1.5 < waited < 4, (codes, waited)
    down = log.wait_state('db1', 'down', mark)
    wait_until(lambda: time.time() - down.at > 7.1, 10, 'the outage is older than its limit')
    started = time.monotonic()
    response = many[0].query('INSERT INTO ledger VALUES (1, 0)')
    assert code_of(response) == 9401 and time.monotonic() - started < 0.5, response.error
    assert 'executed=no' in response.error.message and 'retry_after_ms=' in response.error.message
    fleet.thaw(1)
    log.wait_up('db1')
    for number, connection in enumerate(many):
        wait_until(lambda c=connection: code_of(c.query('SELECT 1 FROM ledger')) == 0, 5, 'the session goes on')
        connection.quit()
    assert fleet[1].execute('SELECT COUNT(*) FROM tenant_t1.ledger') == [(0,)]


def test_a_long_statement_is_not_held(place):
    fleet, router, log = place()
    here = session(router)
    freeze_until_down(fleet, log)
    started = time.monotonic()
    response = here.query(f"INSERT INTO ledger SELECT 1, LENGTH('{'x' * 300_000}')")
    assert code_of(response) == 9402, response.error
    assert time.monotonic() - started < 1
    fleet.thaw(1)
    log.wait_up('db1')
    assert code_of(here.query('SELECT 1 FROM ledger')) == 0
    here.quit()


def test_begin_without_more_survives(place):
    """BEGIN was answered, nothing was sent after it: the transaction begins anew behind the freeze."""
    fleet, router, log = place()
    here = session(router)
    assert code_of(here.query('BEGIN')) == 0
    mark = freeze_until_down(fleet, log)
    running = Beside(here.query, 'INSERT INTO ledger VALUES (1, 0)')
    time.sleep(4)  # beyond in_flight_grace, when connections would be given up
    fleet.thaw(1)
    assert code_of(running.result(15)) == 0, log.story(mark)
    assert fleet[1].execute('SELECT COUNT(*) FROM tenant_t1.ledger') == [(0,)], 'it is no transaction'
    assert code_of(here.query('COMMIT')) == 0
    assert fleet[1].execute('SELECT COUNT(*) FROM tenant_t1.ledger') == [(1,)]
    here.quit()


def test_idle_transaction_survives_a_short_freeze(place):
    fleet, router, log = place(health={'in_flight_grace': '10s'})
    here = session(router)
    assert code_of(here.query('BEGIN')) == 0
    assert code_of(here.query('INSERT INTO ledger VALUES (1, 0)')) == 0
    freeze_until_down(fleet, log)
    running = Beside(here.query, 'INSERT INTO ledger VALUES (2, 0)')
    assert not running.done(1.0)
    fleet.thaw(1)
    assert code_of(running.result(10)) == 0
    assert code_of(here.query('COMMIT')) == 0
    assert fleet[1].execute('SELECT COUNT(*) FROM tenant_t1.ledger') == [(2,)]
    here.quit()


def test_transaction_in_flight_is_rolled_back(place):
    """All tables are transactional and no COMMIT was sent: rolled back for certain, and the session goes on."""
    fleet, router, log = place()
    log.wait('backend db1: all its tables are transactional')  # read beside the statements, soon after the start
    here = session(router)
    assert code_of(here.query('BEGIN')) == 0
    assert code_of(here.query('INSERT INTO ledger VALUES (1, 0)')) == 0
    mark = log.mark()
    fleet.freeze(1)
    running = Beside(here.query, 'INSERT INTO ledger VALUES (2, 0)')
    log.wait('given up', mark, 12)
    error = running.result(5).error
    assert (error.errno, error.sqlstate) == (1213, '40001'), error
    fleet.thaw(1)
    log.wait_up('db1')
    assert here.value('SELECT COUNT(*) FROM ledger') == '0'
    here.quit()


def test_idle_transaction_that_wrote_elsewhere(place):
    """A table without transactions was written: nobody may say that it was rolled back for certain."""
    fleet, router, log = place()
    log.wait('backend db1: all its tables are transactional')
    here = session(router)
    # Through the router, which forgets what it knew. Behind its back it would be seen within five minutes.
    assert code_of(here.query('CREATE OR REPLACE TABLE plain (x INT) ENGINE=MyISAM')) == 0
    assert code_of(here.query('BEGIN')) == 0
    assert code_of(here.query('INSERT INTO plain VALUES (1)')) == 0
    fleet.freeze(1)
    running = Beside(here.query, 'INSERT INTO plain VALUES (2)')
    log.wait('given up', 0, 12)
    code = code_of(running.result(5))
    fleet.thaw(1)
    log.wait_up('db1')
    rows = fleet[1].execute('SELECT x FROM tenant_t1.plain')
    fleet[1].execute('DROP TABLE tenant_t1.plain')
    assert code == 9410 or not rows, f'told {code}, and there is {rows}'
    here.close()


def test_logins_while_a_slice_hangs(place):
    """Every tenant's login is answered, that of the hung slice too."""
    fleet, router, log = place()
    freeze_until_down(fleet, log)
    times = []
    for _ in range(20):
        for number in range(1, 5):
            started = time.monotonic()
            session(router, f't{number}').quit()
            times.append(time.monotonic() - started)
    fleet.thaw(1)
    log.wait_up('db1')
    median = sorted(times)[len(times) // 2]
    print(f'{len(times)} logins, median {median * 1000:.1f} ms, worst {max(times) * 1000:.0f} ms')
    assert sorted(times)[int(len(times) * 0.95)] < 0.5


def test_detection_hold_gives_nothing_up(place):
    """`detection: hold`: new work is held, what is in flight waits for as long as it takes."""
    fleet, router, log = place(health={'detection': 'hold', 'in_flight_grace': '2s'})
    flying, held = session(router), session(router)
    assert code_of(flying.query('SELECT 1 FROM ledger')) == 0
    mark = log.mark()
    fleet.freeze(1)
    first = Beside(flying.query, 'INSERT INTO ledger VALUES (1, 0)')
    log.wait_state('db1', 'down', mark)
    second = Beside(held.query, 'INSERT INTO ledger VALUES (2, 0)')
    time.sleep(3)  # beyond the grace, when it would be given up
    assert not first.done() and not second.done()
    fleet.thaw(1)
    assert code_of(first.result(10)) == 0 and code_of(second.result(10)) == 0
    assert not any('given up' in line.text for line in log_of(router).lines())
    for connection in (flying, held):
        connection.quit()
