"""What operators do while clients work: hold, drain, move, limit, kill, drill; and while every server hangs."""
import socket
import time

import pymysql
import pytest

import ledger
import paths
import rawclient as rc
from admin_place import ADMIN, Operator, Target, configuration, timed, wait_operators
from hang_fleet import Incident, Load, shared_fleet, wait_all_up
from processes import wait_until
from servers import APP_PASSWORD
from sessions import Beside, error_of, login, make_tenant, run

pytestmark = pytest.mark.slow


@pytest.fixture
def place(routers):
    """start(**configuration) gives (fleet, router, operator); everything is thawed in the end."""
    fleet = shared_fleet()
    fleet.clear()
    fleet.forget_routers()
    opened = []

    def start(**changes):
        shards = changes.pop('shard_options', {})
        config = configuration(fleet, **changes)
        for shard in config['topology']['shards']:
            shard.update(shards.get(shard['name'], {}))
        router = routers(config)
        wait_all_up(router)
        operator = wait_operators(router)
        opened.append(operator)
        return fleet, router, operator

    yield start
    for operator in opened:
        operator.close()
    fleet.thaw_all()


def session(router, tenant: str = 't1', **options) -> rc.RawConnection:
    return rc.connect(router, 'app', APP_PASSWORD, f'tenant_{tenant}', **options)


def in_transaction(router, tenant: str) -> rc.RawConnection:
    client = session(router, tenant)
    client.ok('BEGIN')
    client.ok('INSERT INTO ledger VALUES (1, 1)')
    return client


def running(operator, kind: str) -> dict | None:
    found = operator.rows(f"SELECT * FROM operations WHERE kind = '{kind}' AND state = 'running'")
    return found[0] if found else None


def state_of(operator, shard: str) -> str:
    return operator.value(f"SELECT state FROM shards WHERE name = '{shard}'")


# --- drain


def test_drain_waits_for_a_transaction(place):
    fleet, router, operator = place()
    client, other = in_transaction(router, 't4'), session(router, 't4')
    with Operator(router) as second:
        drain = Beside(second.said, "DRAIN BACKEND db4 TIMEOUT '60s'")
        wait_until(
            lambda: (running(operator, 'drain') or {}).get('step')
            == 'backend db4: waiting for 0 running statements and 1 open transactions',
            10,
            'the operation says what it waits for',
        )
        held = Beside(other.query, 'INSERT INTO ledger VALUES (2, 2)')
        wait_until(lambda: operator.value("SELECT held FROM shards WHERE name = 's4'") == 1, 10, 'new work is held')
        client.ok('INSERT INTO ledger VALUES (1, 2)')  # the open transaction goes on
        assert not drain.done() and not held.done()
        client.ok('COMMIT')
        assert 'backend db4 is drained: nothing runs there' in drain.result(15)
    assert state_of(operator, 's4') == 'held'
    assert fleet[4].execute('SELECT COUNT(*) FROM ledger', db='tenant_t4')[0][0] == 2, 'nothing runs there'
    operator.said('ENABLE BACKEND db4')
    assert held.result(15).error is None
    assert fleet[4].execute('SELECT COUNT(*) FROM ledger', db='tenant_t4')[0][0] == 3
    for one in (client, other):
        one.quit()


def test_drain_gives_up_at_its_timeout(place):
    _, router, operator = place()
    client = in_transaction(router, 't4')
    code, message = operator.error("DRAIN BACKEND db4 TIMEOUT '1s'")
    assert code == 9420
    assert str(client.greeting.thread_id) in message and 'everything is as it was before' in message
    assert state_of(operator, 's4') == 'serving'
    client.ok('COMMIT')
    client.quit()


@pytest.mark.parametrize('how', ['kill query', 'kill', 'leaves', 'cancel operation', 'com_process_kill'])
def test_drain_is_put_back(place, how):
    """Whoever asked for it presses Ctrl-C, is killed, or leaves; or somebody cancels the operation."""
    _, router, operator = place()
    client, other = in_transaction(router, 't4'), session(router, 't4')
    asking = rc.connect(Target(router), *ADMIN)
    drain = Beside(asking.query, "DRAIN BACKEND db4 TIMEOUT '60s'")
    operation = wait_until(lambda: running(operator, 'drain'), 10, 'it waits')
    held = Beside(other.query, 'SELECT COUNT(*) FROM ledger')
    wait_until(lambda: operator.value("SELECT held FROM shards WHERE name = 's4'") == 1, 10, 'new work is held')
    if how == 'kill query':
        operator.said(f'KILL QUERY {asking.greeting.thread_id}')
    elif how == 'kill':
        operator.said(f'KILL {asking.greeting.thread_id}')
    elif how == 'leaves':
        asking.sock.shutdown(socket.SHUT_RDWR)
    elif how == 'cancel operation':
        operator.said(f"CANCEL OPERATION {operation['id']}")
    else:
        killer = rc.connect(Target(router), *ADMIN)
        killer.command(rc.COM_PROCESS_KILL, asking.greeting.thread_id.to_bytes(4, 'little'), 'ok')
        killer.quit()
    assert held.result(15).error is None, 'what was held goes on'
    assert state_of(operator, 's4') == 'serving'
    assert operator.value("SELECT operator_order FROM backends WHERE name = 'db4'") is None
    ended = operator.one(f"SELECT state, detail FROM operations WHERE id = {operation['id']}")
    assert ended['state'] == 'cancelled' and 'everything is as it was before' in ended['detail']
    if how in ('kill query', 'cancel operation'):
        response = drain.result(10)
        assert response.error.errno == 9420 and 'everything is as it was before' in response.error.message
        assert asking.value('SELECT 7') == '7', 'the connection stays'
    asking.close()
    client.ok('COMMIT')
    for one in (client, other):
        one.quit()


# --- hold, reject, release


@pytest.mark.parametrize('what', ['SHARD s1', 'TENANT t1'])
def test_hold_and_release(place, what):
    _, router, operator = place()
    client, neighbour = session(router, 't1'), session(router, 't2')
    operator.said(f'HOLD {what}')
    held = Beside(client.query, 'INSERT INTO ledger VALUES (1, 1)')
    column = 'shard' if what.startswith('SHARD') else 'tenant'
    wait_until(
        lambda: operator.value(f"SELECT sum(held) FROM holds WHERE {column} = '{what.split()[1]}'") == 1, 10, 'it waits'
    )
    assert neighbour.value('SELECT COUNT(*) FROM ledger') == '0', 'nobody else notices'
    answer = operator("EXPLAIN ROUTE TENANT t1 FOR 'INSERT INTO ledger VALUES (1, 1)'")[-1]
    assert answer[1] == 'held, up to 10s', answer
    operator.said(f'RELEASE {what}')
    assert held.result(10).error is None
    operator.said(f'REJECT {what}')
    error = client.query('SELECT COUNT(*) FROM ledger').error
    assert error.errno == 9401 and 'executed=no' in error.message
    assert operator('EXPLAIN ROUTE TENANT t1')[-1][1] == 'refused: 9401'
    operator.said(f'RELEASE {what}')
    assert client.value('SELECT COUNT(*) FROM ledger') == '1'
    # For a while only.
    operator.said(f"HOLD {what} FOR '1s'")
    _, seconds = timed(lambda: client.ok('SELECT COUNT(*) FROM ledger'))
    assert 0.3 < seconds < 8
    for one in (client, neighbour):
        one.quit()


def test_orders_survive_a_restart(place, routers):
    _, router, operator = place()
    operator.said('HOLD SHARD s1')
    operator.said('DISABLE BACKEND db2')
    operator.said("SET hold.max_wait = '3s'")
    operator.close()
    assert router.stop() == 0
    router.start()
    with wait_operators(router) as operator:
        wait_until(lambda: state_of(operator, 's1') == 'held', 10, 'the hold is there again')
        assert operator.value("SELECT operator_order FROM backends WHERE name = 'db2'") == 'disabled'
        assert operator("SHOW VARIABLES LIKE 'hold.max_wait'") == [('hold.max_wait', '3s', 'SET')]
        operator.said('SET hold.max_wait = DEFAULT')
        assert operator("SHOW VARIABLES LIKE 'hold.max_wait'") == [('hold.max_wait', '10s', 'default')]


# --- assign


def test_assign_a_tenant_under_load(place):
    """Its data is on both servers already (empty); afterwards every unit is where it belongs, and once."""
    fleet, router, operator = place()
    fleet[2].execute(
        'DROP DATABASE IF EXISTS tenant_t1', 'CREATE DATABASE tenant_t1', 'USE tenant_t1', *ledger.TABLES
    )
    mix = {'auto': 40, 'transaction': 30, 'prepared': 20, 'multi': 10}
    load = Load(router, {'t1': 8, 't2': 2, 't3': 2}, seed=4, mix=mix)
    try:
        wait_until(lambda: len(ledger.rows_of(fleet[1], 't1')) > 50, 20, 'the clients work')
        before = time.time()
        said = operator.said("ASSIGN TENANT t1 TO SHARD s2 TIMEOUT '30s'")
        after = time.time()
        assert said.startswith('tenant t1 is on shard s2')
        wait_until(lambda: len(ledger.rows_of(fleet[2], 't1')) > 50, 20, 'the clients work there')
        result = load.finish()
    except BaseException:
        load.kill()
        raise
    old, new = ledger.rows_of(fleet[1], 't1'), ledger.rows_of(fleet[2], 't1')
    units = result.of('t1')
    for unit in units:
        there = {place for place, rows in (('old', old), ('new', new)) if unit.id in rows}
        assert len(there) <= 1, f'{unit} is on both shards'
        if unit.ended < before:
            assert there <= {'old'}, unit
        if unit.started > after:
            assert there <= {'new'}, unit
    comparison = ledger.compare(units, {**old, **new})
    assert not comparison.lies, comparison.lies[:10]
    assert not result.problems, result.problems[:10]
    # Several statements in one text bind a session to its connection: what such a session held is lost, and said.
    wrong = [u for u in result.told if u.label != 'done' and u.code not in (9404, 9411)]
    assert not wrong, wrong[:10]
    assert not result.errors_of('t2', 't3')


def test_assign_waits_for_what_waits_for_a_connection(place):
    """It has passed the tenant's gate and would be sent to where the tenant was."""
    fleet, router, operator = place(workers=1, pools={'max_connections': 1})
    fleet[2].execute(
        'DROP DATABASE IF EXISTS tenant_t1', 'CREATE DATABASE tenant_t1', 'USE tenant_t1', *ledger.TABLES
    )
    operator.said('CREATE TENANT beside SHARD s1')
    make_tenant(fleet[1], 'beside', *ledger.TABLES)
    only, client = in_transaction(router, 'beside'), session(router)  # who has the only connection, and who waits
    waiting = Beside(client.query, 'INSERT INTO ledger VALUES (1, 1)')
    wait_until(lambda: operator("SELECT 1 FROM sessions WHERE tenant = 't1' AND state = 'waiting'"), 10, 'it waits')
    code, message = operator.error("ASSIGN TENANT t1 TO SHARD s2 TIMEOUT '1s'")
    assert code == 9420 and f'1 statements, 0 transactions (sessions {client.greeting.thread_id})' in message
    with Operator(router) as second:
        assign = Beside(second.said, "ASSIGN TENANT t1 TO SHARD s2 TIMEOUT '30s'")
        wait_until(lambda: running(operator, 'assign'), 10, 'it waits as well')
        only.ok('COMMIT')
        assert waiting.result(10).error is None
        assert assign.result(10) == 'tenant t1 is on shard s2'
    assert client.ok('INSERT INTO ledger VALUES (2, 2)').error is None
    assert fleet[1].execute('SELECT id FROM ledger', db='tenant_t1') == [(1,)]
    assert fleet[2].execute('SELECT id FROM ledger', db='tenant_t1') == [(2,)]
    for one in (only, client):
        one.quit()


def test_assign_holds_what_its_shard_lets_go_meanwhile(place):
    """It waited for the shard before its tenant was held, and would run where the tenant was."""
    fleet, router, operator = place()
    fleet[2].execute(
        'DROP DATABASE IF EXISTS tenant_t1', 'CREATE DATABASE tenant_t1', 'USE tenant_t1', *ledger.TABLES
    )
    open_one, client = in_transaction(router, 't1'), session(router)
    operator.said('HOLD SHARD s1')
    waiting = Beside(client.query, 'INSERT INTO ledger VALUES (2, 2)')
    wait_until(lambda: operator("SELECT 1 FROM holds WHERE shard = 's1' AND held = 1"), 10, 'it waits at the shard')
    with Operator(router) as second:
        assign = Beside(second.said, "ASSIGN TENANT t1 TO SHARD s2 TIMEOUT '30s'")
        wait_until(lambda: running(operator, 'assign'), 10, 'the transaction is waited for')
        operator.said('RELEASE SHARD s1')
        wait_until(lambda: operator("SELECT 1 FROM holds WHERE tenant = 't1' AND held = 1"), 10, 'at the tenant')
        open_one.ok('COMMIT')
        assert assign.result(10) == 'tenant t1 is on shard s2'
    assert waiting.result(10).error is None
    assert fleet[1].execute('SELECT id FROM ledger', db='tenant_t1') == [(1,)]
    assert fleet[2].execute('SELECT id FROM ledger', db='tenant_t1') == [(2,)]
    for one in (open_one, client):
        one.quit()


# --- drill


def test_drill(place):
    _, router, operator = place(shard_options={'s2': {'production': True}})
    load = Load(router, {'t1': 6, 't3': 3}, seed=5)
    try:
        operator_rows = operator.rows("DRILL HANG SHARD s1 FOR '3s'")
        result = load.finish()
    except BaseException:
        load.kill()
        raise
    states = [row['state'] for row in operator_rows]
    assert states[0].startswith('suspect') and any(s.startswith('down') for s in states) and states[-1] == 'ended'
    assert max(int(row['held']) for row in operator_rows) > 0
    assert int(operator_rows[-1]['released']) > 0 and int(operator_rows[-1]['refused']) == 0
    assert any('drill on shard s1' in warning for warning in operator.warnings())
    assert 'kept as incident 1' in operator.rows("SELECT text FROM events WHERE text LIKE 'drill on%'")[-1]['text']
    assert not result.errors_of('t1', 't3'), 'a drill shorter than hold.max_wait costs nobody an error'
    code, message = operator.error("DRILL HANG SHARD s2 FOR '2s'")
    assert code == 9420 and 'FORCE' in message
    assert operator.rows("DRILL HANG SHARD s2 FOR '1s' FORCE")


# --- limits


def test_limits(place):
    _, router, operator = place()
    first, second = session(router), session(router)
    operator.said('LIMIT TENANT t1 RUNNING 1')
    sleeping = Beside(first.query, 'SELECT SLEEP(3) FROM (SELECT 1) x, ledger LIMIT 0')
    sleeping.result(10)
    first.ok('INSERT INTO ledger VALUES (1, 1)')
    sleeping = Beside(first.query, 'SELECT SLEEP(3) FROM ledger')
    wait_until(lambda: operator.value("SELECT running FROM tenants WHERE name = 't1'") == 1, 10, 'it runs')
    error = second.query('SELECT COUNT(*) FROM ledger').error
    assert error.errno == 9405 and 'executed=no' in error.message and 'retry_after_ms=' in error.message
    assert operator.value("SELECT refused FROM tenants WHERE name = 't1'") >= 1
    operator.said('LIMIT TENANT t1 DEFAULT')
    assert second.value('SELECT COUNT(*) FROM ledger') == '1'
    assert sleeping.result(10).error is None
    operator.said('LIMIT TENANT t3 SESSIONS 1')
    only = login(router, 't3')
    code, _ = error_of(login, router, 't3')
    assert code == 1203
    only.close()
    for one in (first, second):
        one.quit()


# --- kill


def test_kill_session(place):
    fleet, router, operator = place()
    client = session(router)
    client.ok('INSERT INTO ledger VALUES (1, 1)')
    sleeping = Beside(client.query, 'SELECT SLEEP(30) FROM ledger')
    row = wait_until(
        lambda: next(iter(operator.rows("SELECT * FROM sessions WHERE state = 'running' AND tenant = 't1'")), None),
        10,
        'it is listed',
    )
    assert row['id'] == client.greeting.thread_id and row['statement'] == 'SELECT SLEEP(?) FROM ledger'
    assert row['backend'] == 'db1' and row['shard'] == 's1' and row['running'] > 0
    operator.said(f"KILL QUERY SESSION {row['id']}")
    response = sleeping.result(10)
    assert response.error is None or response.error.errno == 1317
    assert client.value('SELECT 7') == '7'
    operator.said(f"KILL SESSION {row['id']}")
    client.sock.settimeout(10)
    assert client.at_end()
    assert operator.error(f"KILL SESSION {row['id']}")[0] == 9421
    client.close()


# --- everything hangs


def test_operators_are_answered_while_every_server_hangs(place):
    fleet, router, operator = place()
    clients = [session(router, f't{n}') for n in range(1, 5)]
    for number in range(1, 5):
        fleet.freeze(number)
    waiting = [Beside(client.query, 'INSERT INTO ledger VALUES (7, 7)') for client in clients]
    wait_until(
        lambda: operator.value("SELECT count(*) FROM backends WHERE state IN ('suspect', 'down')") == 4, 20, 'seen'
    )
    slowest = 0.0
    for statement in (
        'SHOW BACKENDS',
        'SHOW SHARDS',
        'SHOW SESSIONS',
        'SHOW POOLS',
        'SHOW STATUS',
        'SELECT * FROM tenants',
        "EXPLAIN ROUTE TENANT t1 FOR 'SELECT 1 FROM x'",
        'HOLD TENANT t2',
        'RELEASE TENANT t2',
        "CREATE BACKEND db9 ADDRESS '127.0.0.1:1'",
        'DROP BACKEND db9',
    ):
        _, seconds = timed(lambda: operator(statement))  # noqa: B023 (called at once)
        slowest = max(slowest, seconds)
    assert slowest < 3, f'the slowest took {slowest:.1f} s'
    _, seconds = timed(lambda: Operator(router).close())
    assert seconds < 3
    fleet.thaw_all()
    for one in waiting:
        one.result(40)


def test_show_unknown_has_a_digest(place):
    fleet, router, operator = place()
    client = session(router)
    client.ok('INSERT INTO ledger VALUES (1, 1)')
    wait_until(lambda: running_backend(operator), 10, 'its connection is known')
    fleet[1].execute('LOCK TABLES tenant_t1.ledger READ')  # ends with the administrator's connection
    lock = fleet[1].connect()
    with lock.cursor() as cursor:
        cursor.execute('LOCK TABLES tenant_t1.ledger READ')
    doing = Beside(client.query, "INSERT INTO ledger VALUES (4711, 1) /* it's */")
    wait_until(lambda: any('4711' in (row[3] or '') for row in fleet[1].threads()), 10, 'it runs on the server')
    fleet.freeze(1)
    response = doing.result(30)
    assert response.error.errno == 9410
    row = operator.one('SELECT * FROM unknown')
    assert row['tenant'] == 't1' and row['shard'] == 's1' and row['backend'] == 'db1'
    assert row['digest'] == 'INSERT INTO ledger VALUES (?, ?)' and row['session'] == client.greeting.thread_id
    assert '4711' not in str(operator('SHOW UNKNOWN'))
    fleet.thaw(1)
    lock.close()
    client.close()


def running_backend(operator):
    return operator('SELECT 1 FROM pools WHERE backend = "db1" AND connections > 0')


def test_topology_changes_reach_every_worker(place):
    """A new shard on a running server, a tenant of its own, moved and dropped, without a restart."""
    fleet, router, operator = place()
    fleet[3].execute(
        'DROP DATABASE IF EXISTS tenant_new', 'CREATE DATABASE tenant_new', 'USE tenant_new', *ledger.TABLES
    )
    server = fleet[3]
    code, message = operator.error(f"CREATE BACKEND db5 ADDRESS '{server.host}:{server.port}'")
    assert code == 9420 and "already that of backend 'db3'" in message
    assert operator.error('DROP SHARD s3')[0] == 9420
    operator.said('DROP TENANT t3')
    operator.said('ASSIGN SLOTS 0..4095 TO SHARD s1')
    operator.said('DROP SHARD s3')
    operator.said('DROP BACKEND db3')
    operator.said(f"CREATE BACKEND db5 ADDRESS '{server.host}:{server.port}'")
    operator.said('CREATE SHARD s5 PRIMARY db5')
    operator.said('CREATE TENANT new SHARD s5')
    wait_until(lambda: operator.value("SELECT state FROM backends WHERE name = 'db5'") == 'up', 20, 'it is up')
    clients = [login(router, 'new') for _ in range(6)]
    for client in clients:
        run(client, 'USE tenant_new', 'INSERT INTO ledger VALUES (1, 1)')
    assert server.execute('SELECT COUNT(*) FROM ledger', db='tenant_new')[0][0] == 6
    operator.said("ALTER SHARD s5 MAX_WAIT '7s'")
    assert operator.value("SELECT max_wait FROM shards WHERE name = 's5'") == 7
    for client in clients:
        run(client, 'INSERT INTO ledger VALUES (2, 2)')
    operator.said('DROP TENANT new')
    for client in clients:
        with pytest.raises(pymysql.err.MySQLError):
            run(client, 'INSERT INTO ledger VALUES (3, 3)')
        client.close()
    operator.said('DROP SHARD s5')
    operator.said('DROP BACKEND db5')
    assert server.execute('SELECT COUNT(*) FROM ledger', db='tenant_new')[0][0] == 12


def test_admin_changes_under_load_cost_nobody_an_error(place):
    fleet, router, operator = place()
    with Incident(fleet, router, victim=None, clients=2) as incident:
        deadline = time.monotonic() + 5
        count = 0
        while time.monotonic() < deadline:
            operator.said(f"CREATE BACKEND x{count} ADDRESS '127.0.0.1:1'")
            operator.said(f'CREATE TENANT new{count} SHARD s1')
            operator.said(f'LIMIT TENANT new{count} RATE 5')
            operator.said(f'ASSIGN SLOTS {count} TO SHARD s2')
            operator('SELECT * FROM sessions')
            operator.said(f'DROP BACKEND x{count}')
            count += 1
    assert count > 5
    assert not incident.result.errors_of('t1', 't2', 't3', 't4')


def test_kills_between_admin_changes(binary):
    """A short run; the whole one: tests/integration/admin_kills --kills 200."""
    report = paths.program('admin_kills').run(6, seed=3)
    print('\n'.join(report.lines()))
    assert report.clean, report.lines()
    assert report.kills == 6 and report.changes > 60
