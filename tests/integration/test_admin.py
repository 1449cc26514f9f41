"""Each admin statement end to end: its good form, its error, its help; tables, accounts, audit, limits."""
import socket
from dataclasses import dataclass, field

import pymysql
import pytest

import rawclient as rc
from admin_place import ADMIN, VIEWER, Operator, Target, admin_port, audit_lines, configuration, timed, wait_operators
from hang_fleet import shared_fleet, wait_all_up
from processes import wait_until
from sessions import Beside, error_of, login, run

pytestmark = pytest.mark.slow


@pytest.fixture(scope='module')
def router(binary, module_routers):
    fleet = shared_fleet()
    router = module_routers(configuration(fleet))
    wait_all_up(router)
    return router


@pytest.fixture
def operator(router):
    with wait_operators(router) as operator:
        yield operator


@dataclass
class Case:
    """good: what works after `before`; `holds`: a query and what it then gives; bad: what fails, how; after: undo."""

    good: str
    bad: str
    code: int
    says: str
    before: list[str] = field(default_factory=list)
    holds: tuple | None = None
    after: list[str] = field(default_factory=list)


def q(sql: str, value) -> tuple:
    return sql, value


CASES = {
    'SHOW': Case("SHOW SHARDS LIKE 's1'", 'SHOW BAKENDS', 1064, 'did you mean BACKENDS?'),
    'SELECT': Case(
        "SELECT name FROM backends WHERE state = 'up'", 'SELECT nome FROM backends', 1054, 'did you mean name?'
    ),
    'DESCRIBE': Case('DESCRIBE sessions', 'DESCRIBE session', 1146, 'did you mean sessions?'),
    'EXPLAIN ROUTE': Case("EXPLAIN ROUTE TENANT t1 FOR 'SELECT 1 FROM x'", 'EXPLAIN ROUTE SHARD s1', 1064, 'TENANT'),
    'HELP': Case('HELP DRAIN', 'HELP DRIAN', 1064, 'did you mean DRAIN BACKEND?'),
    'HOLD SHARD': Case(
        "HOLD SHARD s1 FOR '30s'",
        'HOLD SHARD s9',
        9421,
        "did you mean 's1'?",
        holds=q("SELECT state FROM shards WHERE name = 's1'", 'held'),
        after=['RELEASE SHARD s1'],
    ),
    'HOLD TENANT': Case(
        'HOLD TENANT t1',
        'HOLD TENANT nobody',
        9421,
        "no tenant 'nobody'",
        holds=q("SELECT DISTINCT state FROM holds WHERE tenant = 't1'", 'held'),
        after=['RELEASE TENANT t1'],
    ),
    'REJECT SHARD': Case(
        "REJECT SHARD s1 FOR '5m'",
        'REJECT SHARD',
        1064,
        'expected <shard>',
        holds=q("SELECT state FROM shards WHERE name = 's1'", 'rejected'),
        after=['RELEASE SHARD s1'],
    ),
    'REJECT TENANT': Case(
        'REJECT TENANT t1',
        'REJECT TENANT t1 t2',
        1064,
        'the end',
        holds=q("SELECT DISTINCT state FROM holds WHERE tenant = 't1'", 'rejected'),
        after=['RELEASE TENANT t1'],
    ),
    'RELEASE SHARD': Case(
        'RELEASE SHARD s1',
        'RELEASE SHARD s1',
        9420,
        'has no order of an operator',
        before=['HOLD SHARD s1'],
        holds=q("SELECT state FROM shards WHERE name = 's1'", 'serving'),
    ),
    'RELEASE TENANT': Case(
        'RELEASE TENANT t1',
        'RELEASE TENANT t1',
        9420,
        'is not held',
        before=['HOLD TENANT t1'],
        holds=q('SELECT count(*) FROM holds WHERE tenant IS NOT NULL', 0),
    ),
    'MARK BACKEND': Case(
        'MARK BACKEND db4 DOWN',
        'MARK BACKEND db4 DWON',
        1064,
        'did you mean DOWN?',
        holds=q("SELECT state || operator_order FROM backends WHERE name = 'db4'", 'downmarked down'),
        after=['MARK BACKEND db4 UP', 'MARK BACKEND db4 AUTO'],
    ),
    'DRAIN BACKEND': Case(
        "DRAIN BACKEND db4 TIMEOUT '20s'",
        'DRAIN BACKEND db4',
        9420,
        'is drained or disabled already',
        holds=q("SELECT operator_order FROM backends WHERE name = 'db4'", 'drained'),
        after=['ENABLE BACKEND db4'],
    ),
    'DISABLE BACKEND': Case(
        'DISABLE BACKEND db4',
        'DISABLE BACKEND db44',
        9421,
        "did you mean 'db4'?",
        holds=q("SELECT operator_order FROM backends WHERE name = 'db4'", 'disabled'),
        after=['ENABLE BACKEND db4'],
    ),
    'ENABLE BACKEND': Case(
        'ENABLE BACKEND db4',
        'ENABLE BACKEND db4',
        9420,
        'neither drained nor disabled',
        before=['DISABLE BACKEND db4'],
        holds=q("SELECT operator_order FROM backends WHERE name = 'db4'", None),
    ),
    'CREATE BACKEND': Case(
        "CREATE BACKEND db5 ADDRESS '127.0.0.1:1' TLS DISABLED",
        "CREATE BACKEND db5 ADDRESS '127.0.0.1:1'",
        9420,
        'db5',
        holds=q("SELECT address || tls FROM backends WHERE name = 'db5'", '127.0.0.1:1disabled'),
        after=['DROP BACKEND db5'],
    ),
    'ALTER BACKEND': Case(
        'ALTER BACKEND db4 MAX_CONNECTIONS 77',
        'ALTER BACKEND db4',
        1064,
        'expected ADDRESS',
        holds=q("SELECT max_connections FROM backends WHERE name = 'db4'", 77),
        after=['ALTER BACKEND db4 MAX_CONNECTIONS 0'],
    ),
    'DROP BACKEND': Case(
        'DROP BACKEND db5',
        'DROP BACKEND db1',
        9420,
        's1',
        before=["CREATE BACKEND db5 ADDRESS '127.0.0.1:1'"],
        holds=q("SELECT count(*) FROM backends WHERE name = 'db5'", 0),
    ),
    'CREATE SHARD': Case(
        "CREATE SHARD s5 PRIMARY db4 REPLICAS (db3) POLICY HOLD MAX_WAIT '30s'",
        'CREATE SHARD s6 PRIMARY db9',
        9421,
        'db9',
        holds=q("SELECT primary_backend || replicas || max_wait FROM shards WHERE name = 's5'", 'db4db330.0'),
        after=['DROP SHARD s5'],
    ),
    'ALTER SHARD': Case(
        'ALTER SHARD s5 PRIMARY db3 MAX_BYTES 1MiB',
        'ALTER SHARD s5 MAX_BYTES 1MB',
        1210,
        "'1MB' is no size",
        before=['CREATE SHARD s5 PRIMARY db4'],
        holds=q("SELECT primary_backend || max_bytes FROM shards WHERE name = 's5'", 'db31048576'),
        after=['DROP SHARD s5'],
    ),
    'DROP SHARD': Case(
        'DROP SHARD s5',
        'DROP SHARD s1',
        9420,
        's1',
        before=['CREATE SHARD s5 PRIMARY db4'],
        holds=q("SELECT count(*) FROM shards WHERE name = 's5'", 0),
    ),
    'CREATE TENANT': Case(
        'CREATE TENANT initech SHARD s4 POOLING SESSION',
        "CREATE TENANT 'a b' SHARD s4",
        1210,
        'white space',
        holds=q("SELECT shard || pooling FROM tenants WHERE name = 'initech'", 's4session'),
        after=['DROP TENANT initech'],
    ),
    'ALTER TENANT': Case(
        'ALTER TENANT initech POLICY REJECT',
        'ALTER TENANT nobody POLICY REJECT',
        9421,
        'nobody',
        before=['CREATE TENANT initech SHARD s4'],
        holds=q("SELECT policy FROM tenants WHERE name = 'initech'", 'reject'),
        after=['DROP TENANT initech'],
    ),
    'DROP TENANT': Case(
        'DROP TENANT initech',
        'DROP TENANT initech',
        9421,
        'initech',
        before=['CREATE TENANT initech SHARD s4'],
        holds=q("SELECT count(*) FROM tenants WHERE name = 'initech'", 0),
    ),
    'ASSIGN TENANT': Case(
        'ASSIGN TENANT initech TO SHARD s3',
        'ASSIGN TENANT initech TO SHARD s3',
        9420,
        'already',
        before=['CREATE TENANT initech SHARD s4'],
        holds=q("SELECT shard FROM tenants WHERE name = 'initech'", 's3'),
        after=['DROP TENANT initech'],
    ),
    'ASSIGN SLOTS': Case('ASSIGN SLOTS 0..1023 TO SHARD s1', 'ASSIGN SLOTS 0..5000 TO SHARD s1', 1210, 'no range'),
    'LIMIT TENANT': Case(
        'LIMIT TENANT t1 SESSIONS 50 RUNNING 10',
        'LIMIT TENANT t1 RUNNING fast',
        1210,
        "'fast' is no whole number",
        holds=q("SELECT max_sessions || '/' || max_running FROM tenants WHERE name = 't1'", '50/10'),
        after=['LIMIT TENANT t1 DEFAULT'],
    ),
    'SET': Case(
        "SET hold.max_wait = '7s'",
        "SET hold.max_wait = 'soon'",
        9422,
        'needs a duration',
        holds=q("SELECT value || source FROM variables WHERE variable_name = 'hold.max_wait'", '7sSET'),
        after=['SET hold.max_wait = DEFAULT'],
    ),
    'RELOAD CONFIG': Case('RELOAD CONFIG', 'RELOAD CONFIGURE', 1064, 'did you mean CONFIG?'),
    'DRILL HANG': Case(
        "DRILL HANG SHARD s4 FOR '1s'",
        "DRILL HANG SHARD s4 FOR '500ms'",
        9422,
        "between '1s' and '1h'",
    ),
    'CANCEL OPERATION': Case('', 'CANCEL OPERATION 99999', 9421, 'no operation 99999'),  # good: test_admin_operations
    'KILL': Case('', 'KILL 99999', 1094, 'KILL SESSION 99999'),  # good: test_admin_operations
    'SWITCHOVER': Case('', 'SWITCHOVER SHARD s1 TO db99 DRY RUN', 9421, 'db99'),  # good: the tests of changes
    'FAILOVER': Case('', 'FAILOVER SHARD s99 TO db2 DRY RUN', 9421, 's99'),
    'SHUTDOWN': Case('', 'SHUTDOWN NOW', 1064, 'the end'),  # good: below
}


def test_every_statement_has_a_case(operator):
    listed = {row[0].split(' [')[0].split(' {')[0].split(' <')[0] for row in operator('HELP contents')}
    names = {name for name in CASES if any(line.startswith(name) for line in listed)}
    assert {line for line in listed if not any(line.startswith(name) for name in CASES)} == set()
    assert names == set(CASES)


@pytest.mark.parametrize('name', sorted(CASES))
def test_statement(operator, name):
    case = CASES[name]
    for statement in case.before:
        operator.said(statement)
    try:
        if case.good:
            operator(case.good)
        if case.holds:
            query, wanted = case.holds
            assert operator.value(query) == wanted
        code, message = operator.error(case.bad)
        assert code == case.code and case.says in message, (code, message)
    finally:
        for statement in case.after:
            operator.error(statement)
    # Its help has the syntax and an example.
    help_row = operator.one(f'HELP {name}')
    assert help_row['name'] == name
    assert 'Syntax:' in help_row['description'] and help_row['example'].strip().startswith(name.split()[0])
    wait_until(
        lambda: not operator('SELECT name, state FROM shards WHERE state <> "serving"'), 15, 'everything is as it was'
    )


def test_tables_and_shows_agree(operator):
    for (table,) in operator('SHOW TABLES'):
        shown = operator.rows(f'SHOW {table} LIKE "%"')
        everything = operator.rows(f'SELECT * FROM {table}')
        if everything and table not in ('events', 'operations', 'status', 'backends', 'sessions', 'unknown'):
            assert len(shown) == len(everything)
            assert set(shown[0]) <= set(everything[0])


def test_show_fits_a_terminal(operator):
    """In columns of a terminal of 120, with any client; FULL and SELECT have what was cut."""
    operator.said("HOLD SHARD s2 FOR '60s'")
    try:
        for table in (
            'SHARDS BACKENDS REPLICAS TENANTS SESSIONS HOLDS UNKNOWN OPERATIONS EVENTS POOLS VARIABLES'.split()
        ):
            found = operator.rows(f'SHOW {table}')
            width = 1
            for column in found[0] if found else []:
                cells = ['NULL' if row[column] is None else str(row[column]) for row in found]
                width += 3 + max(map(len, [column, *cells]))
            assert width <= 120, (table, width)
        whole = operator.value("SELECT why FROM shards WHERE name = 's2'")
        assert operator.one("SHOW FULL SHARDS LIKE 's2'")['why'] == whole
        assert len(whole) <= 40 or operator.one("SHOW SHARDS LIKE 's2'")['why'] == whole[:39] + '…'
        assert operator.one("SHOW SHARDS WHERE why = '" + whole.replace("'", "''") + "'")['name'] == 's2'
    finally:
        operator.said('RELEASE SHARD s2')


def test_read_only_users_only_look(router):
    with Operator(router, VIEWER) as viewer:
        assert viewer('SHOW SHARDS') and viewer('EXPLAIN ROUTE TENANT t1') and viewer('HELP')
        for name, case in CASES.items():
            statement = case.good or case.bad
            if name in ('SHOW', 'SELECT', 'DESCRIBE', 'EXPLAIN ROUTE', 'HELP', 'KILL', 'SHUTDOWN'):
                continue
            code, message = viewer.error(statement)
            assert code == 1227 and "'viewer' is read_only" in message, (statement, code, message)
        assert viewer.error('KILL SESSION 1')[0] == 1227
        # A client's own Ctrl-C is a KILL, of a connection of his own.
        with Operator(router, VIEWER) as second, Operator(router) as admin:
            assert second.error(f'KILL QUERY {viewer.id}')[0] == 0
            assert second.error(f'KILL {admin.id}')[0] == 1095


def test_logins(router):
    for user in [('admin', 'wrong'), ('admin', ''), ('nobody', 'x'), ('app', ADMIN[1])]:
        code, message = error_of(Operator, router, user)
        assert code == 1045 and 'Access denied' in message
    code, _ = error_of(lambda: Operator(router, database='mysql'))
    assert code == 1049
    for schema in ('bulkhead', 'information_schema'):
        Operator(router, database=schema).close()
    # Clients are no operators, and operators are no clients.
    with pytest.raises(pymysql.err.OperationalError):
        login(router, 't1', *ADMIN)


def test_change_user(router):
    connection = rc.connect(Target(router), *ADMIN)
    connection.change_user(*VIEWER)
    assert connection.value('SELECT user()').startswith('viewer@')
    assert connection.query('HOLD SHARD s1').error.errno == 1227
    with pytest.raises(rc.ServerError) as refused:
        connection.change_user('admin', 'wrong')
    assert refused.value.errno == 1045
    connection.close()


@pytest.mark.parametrize('eof', [0, rc.DEPRECATE_EOF], ids=['old', 'deprecate_eof'])
def test_both_protocols(router, eof):
    connection = rc.connect(Target(router), *ADMIN, capabilities=rc.BASE | eof)
    assert connection.rows("SELECT name FROM shards ORDER BY name") == [('s1',), ('s2',), ('s3',), ('s4',)]
    response, statement = connection.prepare('SELECT name, held FROM shards WHERE name = ?')
    assert response.error is None
    found = connection.execute(statement, [rc.Parameter(253, b'\x02s2')])
    assert found.error is None and any(b's2' in packet for _, packet in found.packets)
    assert connection.command(rc.COM_PING, reply='ok').first[:1] == b'\0'
    assert connection.command(rc.COM_STATISTICS, reply='string').first.startswith(b'Uptime: ')
    assert connection.command(rc.COM_FIELD_LIST, b'shards\0', 'fields').packets
    connection.quit()


def test_several_statements_in_one_text(router):
    with Operator(router, client_flag=pymysql.constants.CLIENT.MULTI_STATEMENTS) as operator:
        with operator.connection.cursor() as cursor:
            cursor.execute("SET NAMES utf8mb4; SELECT 1; SHOW SHARDS LIKE 's1'")
            seen = [cursor.fetchall()]
            while cursor.nextset():
                seen.append(cursor.fetchall())
    assert [len(rows) for rows in seen] == [0, 1, 1]
    with Operator(router) as operator:
        assert operator.error('SELECT 1; SELECT 2')[0] in (0, 1064)


def test_a_slow_query_keeps_nobody_else_waiting(router):
    slow = (
        'WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < 1000000000) '
        'SELECT count(*) FROM n'
    )
    operators = [Operator(router) for _ in range(6)]
    try:
        running = [Beside(operator.error, slow) for operator in operators]
        with Operator(router, VIEWER) as other:
            _, seconds = timed(lambda: [other('SELECT name FROM shards') for _ in range(5)])
        assert seconds < 5, 'another operator waited for slow queries'
        for one in running:
            code, message = one.result(60)
            assert code == 3024, (code, message)
    finally:
        for operator in operators:
            operator.close()


def test_kill_query_ends_a_query(router):
    slow = 'WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < 1000000000) SELECT count(*) FROM n'
    with Operator(router) as victim, Operator(router) as killer:
        running = Beside(victim.error, slow)
        # One that comes before the query has begun ends nothing; left alone it ends with another error.
        while not running.done(0.05):
            killer.said(f'KILL QUERY {victim.id}')
        assert running.result()[0] == 1317
        assert victim.value('SELECT 5') == 5
        killer.said(f'KILL {victim.id}')
        wait_until(lambda: victim.error('SELECT 1')[0] in (2006, 2013), 10, 'the connection is closed')


def test_audit(router):
    with Operator(router) as operator:
        operator("SELECT 'mark of the audit' AS x")
        operator.error('DRAIN BACKEND mark_of_the_audit')
        operator.error("CREATE USER mark IDENTIFIED BY 'tell-nobody'")
        operator.error("SET probe.password = 'tell-nobody'")
        number = str(operator.id)
    lines = [line for line in audit_lines(router) if line['connection'] == number]
    assert [line['statement'].split(' ')[0] for line in lines if line['statement'] != 'SET AUTOCOMMIT = 1'] == [
        'SELECT',
        'DRAIN',
        'CREATE',
        'SET',
    ]
    assert all(line['user'] == 'admin' and line['address'] == '127.0.0.1' for line in lines)
    assert any('mark of the audit' in line['statement'] and line['outcome'] == '1 row' for line in lines)
    assert any('mark_of_the_audit' in line['statement'] and line['outcome'].startswith('error 9421') for line in lines)
    log = (router.folder / 'log').read_text()
    assert 'tell-nobody' not in log and ADMIN[1] not in log and VIEWER[1] not in log


def test_whoever_does_nothing_makes_room(routers):
    router = routers(
        configuration(shared_fleet(), admin={'max_connections': 5, 'max_unauthenticated': 3, 'idle_timeout': '2s'})
    )
    wait_operators(router).close()
    # Connections that never log in: the oldest gives way, so that an operator gets in.
    strangers = [socket.create_connection(('127.0.0.1', admin_port(router))) for _ in range(12)]
    with Operator(router) as operator:
        assert operator.value('SELECT 1') == 1
    for stranger in strangers:
        stranger.close()
    operators = [Operator(router) for _ in range(5)]
    code, message = error_of(Operator, router)
    assert code == 1040 and 'admin.max_connections' in message
    # Idle ones are closed after admin.idle_timeout.
    wait_until(lambda: all(o.error('SELECT 1')[0] in (2006, 2013) for o in operators), 20, 'idle ones are closed', 3)
    with Operator(router) as operator:
        assert operator.value('SELECT 1') == 1


def test_shutdown(routers):
    router = routers(configuration(shared_fleet()))
    with wait_operators(router) as operator:
        assert 'shutting down' in operator.said('SHUTDOWN')
    assert router.process.popen.wait(20) == 0


def test_a_mysql_client_without_a_word_about_schemas(operator):
    """What graphical clients ask before they show anything."""
    assert operator('SHOW DATABASES') == [('bulkhead',), ('information_schema',)]
    assert ('shards', 'BASE TABLE') in operator('SHOW FULL TABLES FROM bulkhead')
    assert operator("SELECT @@version_comment, @@lower_case_table_names")[0][0] == 'Bulkhead admin'
    columns = operator("SELECT column_name FROM information_schema.columns WHERE table_name = 'shards'")
    assert ('primary_backend',) in columns
    assert operator('SHOW FULL COLUMNS FROM shards') and operator("SHOW TABLE STATUS LIKE 'shards'")
    assert operator('SHOW PROCESSLIST') is not None
    session = login(operator_router(operator), 't1')
    run(session, 'USE tenant_t1', 'SELECT COUNT(*) FROM ledger')
    assert any(row['tenant'] == 't1' for row in operator.rows('SELECT * FROM sessions'))
    session.close()


def operator_router(operator):
    return operator.router


@pytest.fixture(autouse=True)
def _know_the_router(router, operator):
    operator.router = router
