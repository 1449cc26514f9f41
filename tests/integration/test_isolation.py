"""Nothing of one session is visible to another: two backend connections, fifty sessions, every kind of state."""
import random
import struct

import pytest

import rawclient as rc
from processes import wait_until
from router import configuration
from servers import APP_PASSWORD
from sessions import Beside, login, make_tenant, run, value

pytestmark = pytest.mark.asan
SESSIONS = 50
MODES = ['ANSI_QUOTES', 'NO_BACKSLASH_ESCAPES', 'STRICT_ALL_TABLES', '', 'PIPES_AS_CONCAT', 'NO_ZERO_DATE']
CHARSETS = ['latin1', 'utf8mb4', 'gbk', 'cp1251', 'utf8mb3']
LEVELS = ['READ-COMMITTED', 'REPEATABLE-READ', 'SERIALIZABLE', 'READ-UNCOMMITTED']

# name: (statements that set it for session i, the query that reads it, what session i must see)
KINDS = {
    'charset': (
        lambda i: [f'SET NAMES {CHARSETS[i % 5]}'],
        'SELECT @@character_set_client, @@character_set_connection, @@character_set_results',
        lambda i: (CHARSETS[i % 5],) * 3,
    ),
    'sql_mode': (
        lambda i: [f"SET SESSION sql_mode = '{MODES[i % 6]}'"],
        'SELECT @@sql_mode',
        lambda i: (MODES[i % 6],),
    ),
    'time_zone': (
        lambda i: [f"SET time_zone = '+{i % 12:02}:00'"],
        'SELECT @@time_zone, HOUR(FROM_UNIXTIME(0))',
        lambda i: (f'+{i % 12:02}:00', str(i % 12)),
    ),
    'variable': (
        lambda i: [f'SET SESSION group_concat_max_len = {1000 + i}, @@lock_wait_timeout = {2000 + i}'],
        'SELECT @@group_concat_max_len, @@lock_wait_timeout',
        lambda i: (str(1000 + i), str(2000 + i)),
    ),
    'select limit': (
        lambda i: [f'SET sql_select_limit = {1 + i % 7}'],
        'SELECT @@sql_select_limit',
        lambda i: (str(1 + i % 7),),
    ),
    'isolation level': (
        lambda i: [f'SET SESSION TRANSACTION ISOLATION LEVEL {LEVELS[i % 4].replace("-", " ")}'],
        'SELECT @@tx_isolation',  # elsewhere @@transaction_isolation
        lambda i: (LEVELS[i % 4],),
    ),
    'autocommit': (lambda i: [f'SET autocommit = {i % 2}'], 'SELECT @@autocommit', lambda i: (str(i % 2),)),
    'timestamp': (
        lambda i: [f'SET TIMESTAMP = {1000000000 + i}'],
        'SELECT UNIX_TIMESTAMP(), UNIX_TIMESTAMP(NOW())',
        lambda i: (str(1000000000 + i),) * 2,
    ),
    'database': (
        lambda i: [f'USE tenant_{"acme" if i % 2 else "globex"}'],
        'SELECT DATABASE()',
        lambda i: ('tenant_acme' if i % 2 else 'tenant_globex',),
    ),
    'insert id': (
        lambda i: [f'INSERT INTO numbers (id, who) VALUES (NULL, {i})'],
        'SELECT who FROM numbers WHERE id = LAST_INSERT_ID()',
        lambda i: (str(i),),
    ),
    'warnings': (
        lambda i: [f"SELECT CAST('{i}x' AS SIGNED)"],
        'SHOW WARNINGS',
        lambda i: ('Warning', '1292', f"Truncated incorrect INTEGER value: '{i}x'"),
    ),
    # Its OK packet has the explicit id, LAST_INSERT_ID() has not.
    'insert id before an explicit one': (
        lambda i: [
            f'INSERT INTO numbers (id, who) VALUES (NULL, {i})',
            f'INSERT INTO explicit (id, who) VALUES ({9000 + i}, {i})',
        ],
        'SELECT who FROM numbers WHERE id = LAST_INSERT_ID()',
        lambda i: (str(i),),
    ),
    'user variable': (
        lambda i: [f"SET @mine = {i}, @text = 'of {i}'"],
        'SELECT @mine, @text, @nobodys',
        lambda i: (str(i), f'of {i}', None),
    ),
    'last insert id': (
        lambda i: [f'SELECT LAST_INSERT_ID({7000 + i})'],
        'SELECT LAST_INSERT_ID()',
        lambda i: (str(7000 + i),),
    ),
}
# These read a value once: reading changes what the next reading gives.
ONCE = {'warnings'}


@pytest.fixture(scope='module', params=['mariadb', pytest.param('mysql', marks=pytest.mark.full)])
def two(request, fleet, module_routers):
    """A server, and a router that may open two connections to it."""
    server = fleet(request.param)
    for tenant in ('acme', 'globex'):
        make_tenant(
            server,
            tenant,
            'CREATE TABLE numbers (id INT AUTO_INCREMENT PRIMARY KEY, who INT)',
            'CREATE TABLE many (id INT PRIMARY KEY, touched INT DEFAULT 0)',
            'INSERT INTO many (id) VALUES (1), (2), (3), (4), (5), (6), (7), (8), (9)',
            'CREATE TABLE explicit (id INT AUTO_INCREMENT PRIMARY KEY, who INT)',
            'CREATE TABLE plain (x INT)',
            'CREATE TABLE counter (n INT)',
            'INSERT INTO counter VALUES (0)',
        )
    router = module_routers(configuration({'acme': server, 'globex': server}, pools={'max_connections': 2}, workers=1))
    return server, router


def open_session(router, number: int) -> rc.RawConnection:
    tenant = 'acme' if number % 2 else 'globex'
    return rc.connect(router, 'app', APP_PASSWORD, f'tenant_{tenant}')


@pytest.mark.parametrize('kind', KINDS)
def test_interleaved(two, kind):
    server, router = two
    setters, query, expected = KINDS[kind]
    if server.kind == 'mysql':
        query = query.replace('@@tx_', '@@transaction_')
    sessions = [open_session(router, i) for i in range(SESSIONS)]
    order = random.Random(kind)
    try:
        for i in order.sample(range(SESSIONS), SESSIONS):
            for statement in setters(i):
                sessions[i].ok(statement)
        for _ in range(1 if kind in ONCE else 3):
            for i in order.sample(range(SESSIONS), SESSIONS):
                rows = sessions[i].rows(query)
                assert rows and rows[0] == expected(i), f'session {i} saw {rows}, set {expected(i)}'
                if kind == 'autocommit':
                    sessions[i].ok('COMMIT')  # with autocommit off even this SELECT may hold a transaction open
        fresh = open_session(router, 1)
        seen = fresh.rows(query)
        fresh.quit()
    finally:
        for session in sessions:
            session.quit()
    with rc.connect(server, 'app', APP_PASSWORD, 'tenant_acme') as direct:
        if kind not in ('timestamp', 'database'):
            assert seen == direct.rows(query), f'a new session saw {seen}'
    wait_until(lambda: len(server.threads()) <= 2, 5, 'at most two backend connections')


def count_up(session) -> str:
    """Loses a step where another session comes between the two statements."""
    n = int(session.value('SELECT n FROM counter'))
    session.ok(f'UPDATE counter SET n = {n + 1}')
    return str(n + 1)


# name: (statements that set it for session i, what reads it, what session i must see, statements that give it up)
IN_TURNS = {
    'temporary table': (
        lambda i: ['CREATE TEMPORARY TABLE mine (x INT)', f'INSERT INTO mine VALUES ({i})'],
        lambda session, i: session.rows('SELECT x FROM mine'),
        lambda i: [(str(i),)],
        ['DROP TEMPORARY TABLE mine'],
    ),
    'user variable by a query': (
        lambda i: [f'SELECT @mine := {i}', f"SELECT 'of {i}' INTO @text"],
        lambda session, i: session.rows('SELECT @mine, @text'),
        lambda i: [(str(i), f'of {i}')],
        None,
    ),
    'one-shot transaction': (
        lambda i: ['SET TRANSACTION READ ONLY', 'BEGIN'] if i % 2 else ['BEGIN'],
        lambda session, i: bool(session.query('INSERT INTO plain VALUES (1)').error),
        lambda i: bool(i % 2),
        ['ROLLBACK', 'INSERT INTO plain VALUES (1)', 'DELETE FROM plain LIMIT 1'],
    ),
    'lock': (
        lambda i: ["SELECT GET_LOCK('turn', 30)"],
        lambda session, i: bool(count_up(session)),
        lambda i: True,
        ["SELECT RELEASE_LOCK('turn')"],
    ),
    'table lock': (
        lambda i: ['LOCK TABLES counter WRITE'],
        lambda session, i: bool(count_up(session)),
        lambda i: True,
        ['UNLOCK TABLES'],
    ),
}


@pytest.mark.parametrize('kind', IN_TURNS)
def test_pinned_state_in_turns(two, kind):
    """Fifty sessions at once want what pins one of the two connections: each gets it in its turn, whole and alone."""
    server, router = two
    setters, read, expected, ending = IN_TURNS[kind]
    server.execute('UPDATE tenant_acme.counter SET n = 0', 'TRUNCATE tenant_acme.plain')
    sessions = [open_session(router, 1) for _ in range(SESSIONS)]

    def turn(i: int) -> None:
        session = sessions[i]
        for statement in setters(i):
            session.ok(statement)
        seen = read(session, i)
        assert seen == expected(i), f'session {i} saw {seen}'
        if ending is None:
            assert session.command(rc.COM_RESET_CONNECTION, reply='ok').first[:1] == b'\0'
        for statement in ending or ():
            session.ok(statement)

    for beside in [Beside(turn, i) for i in range(SESSIONS)]:
        beside.result(60)
    if kind.endswith('lock'):
        assert server.execute('SELECT n FROM tenant_acme.counter') == [(SESSIONS,)]
    assert len(server.threads()) <= 2
    for session in sessions:
        session.quit()


@pytest.mark.parametrize('reads', ['ROW_COUNT()', 'FOUND_ROWS()'])
def test_counts_are_the_sessions_own(two, reads):
    """They can't be fetched and given back, so the connection stays until they are read or outdated."""
    _, router = two
    sessions, other = [open_session(router, i) for i in range(6)], open_session(router, 1)
    try:
        for i, session in enumerate(sessions):
            session.ok(
                f'UPDATE many SET touched = touched + 1 WHERE id <= {1 + i}'
                if reads == 'ROW_COUNT()'
                else f'SELECT SQL_CALC_FOUND_ROWS id FROM many WHERE id <= {1 + i} LIMIT 1'
            )
            for n in range(3):
                other.ok(f'SELECT id FROM many WHERE id <= {n}')
            assert session.value(f'SELECT {reads}') == str(1 + i)
            session.ok('SELECT 1')
    finally:
        for session in (*sessions, other):
            session.quit()


def test_prepared_statements_belong_to_their_session(two):
    _, router = two
    sessions = [open_session(router, i) for i in range(SESSIONS)]
    order = random.Random(1)
    try:
        ids = [session.prepare(f'SELECT {i} * 10 + ?')[1] for i, session in enumerate(sessions)]
        for _ in range(3):
            for i in order.sample(range(SESSIONS), SESSIONS):
                got = sessions[i].execute(ids[i], [rc.Parameter(3, struct.pack('<i', 7))]).packets
                number = struct.unpack_from('<q', got[2][1], 2)[0]
                assert number == i * 10 + 7
        for i in order.sample(range(SESSIONS), SESSIONS):
            sessions[i].close_statement(ids[i])
            assert sessions[i].execute(ids[i], [rc.Parameter(3, struct.pack('<i', 7))]).error.errno == 1243
    finally:
        for session in sessions:
            session.quit()


DIRT = {
    'user variable': ["SET @secret = 'mine'"],
    'user variable by select': ["SELECT @secret := 'mine'"],
    'user variable by INTO': ["SELECT 'mine' INTO @secret"],
    'temporary table': ['CREATE TEMPORARY TABLE plain (secret INT)'],
    'lock': ["SELECT GET_LOCK('house', 1)"],
    'table lock': ['LOCK TABLES plain WRITE'],
    'transaction': ['BEGIN', 'INSERT INTO plain VALUES (666)'],
    'autocommit': ['SET autocommit = 0', 'INSERT INTO plain VALUES (666)'],
    'one-shot isolation': ['SET TRANSACTION READ ONLY'],
    'prepared by text': ["PREPARE secret FROM 'SELECT 1'"],
    'handler': ['HANDLER plain OPEN AS secret'],
    'xa': ["XA START 'secret'"],
    'variables': [
        "SET sql_mode = 'ANSI_QUOTES', time_zone = '+03:00', SESSION wait_timeout = 77, net_read_timeout = 78"
    ],
    'odd SET': ["SET @@session.sort_buffer_size = 65536, @secret = 'mine', LOCAL max_error_count = 3"],
    'insert_id': ['SET insert_id = 123456'],
    'timestamp': ['SET TIMESTAMP = 5'],
    'set in a procedure': [
        'DROP PROCEDURE IF EXISTS dirty',
        'CREATE PROCEDURE dirty() SET SESSION max_error_count = 5',
        'CALL dirty()',
    ],
    'rand seed': ['SET rand_seed1 = 1, rand_seed2 = 1'],
    'role': ['SET ROLE NONE'],
    'last_insert_id': ['SET last_insert_id = 4711'],
    'charset': ['SET CHARACTER SET koi8r'],
    'profiling': ['SET profiling = 1'],
    'statement error': ['SELECT * FROM nowhere'],
    'version comment': ["/*!50000 SET @secret = 'mine' */"],
    'multi': ["SELECT 1; SET @secret = 'mine'; SELECT 2"],
    'debug state': ['FLUSH TABLES WITH READ LOCK'],
}
VOLATILE = {
    'timestamp',
    'pseudo_thread_id',
    'error_count',
    'warning_count',
    'rand_seed1',
    'rand_seed2',
    'last_gtid',
    'gtid_seq_no',
    'proxy_user',
    'statement_id',
}


@pytest.mark.parametrize('kind', DIRT)
@pytest.mark.parametrize('ending', ['quit', 'reset', 'vanish'])
def test_nothing_is_left_for_the_next(two, kind, ending):
    """One session leaves its dirt; later ones on the same connections find a clean server."""
    server, router = two
    server.execute('TRUNCATE tenant_acme.plain')
    dirty = open_session(router, 1)
    for statement in DIRT[kind]:
        dirty.query(statement)
    if ending == 'quit':
        dirty.quit()
    elif ending == 'vanish':
        dirty.close()
    else:
        assert dirty.command(rc.COM_RESET_CONNECTION, reply='ok').first[:1] == b'\0'
    with rc.connect(server, 'app', APP_PASSWORD, 'tenant_acme') as direct:
        usual = dict(direct.rows('SHOW SESSION VARIABLES'))
    try:
        for _ in range(3):
            # One after the other: asking for locks pins, and there are two connections.
            with open_session(router, 1) as session:
                assert session.rows('SELECT @secret, LAST_INSERT_ID()') == [(None, '0')]
                assert not session.status_of(session.ok('DO 1').last) & rc.STATUS_IN_TRANS
                assert session.rows('SELECT COUNT(*) FROM plain') == [('0',)]
                session.ok('INSERT INTO plain VALUES (1)')
                session.ok('DELETE FROM plain')
                assert session.rows("SELECT IS_USED_LOCK('house')") == [(None,)]
                found = dict(session.rows('SHOW SESSION VARIABLES'))
                odd = {k: (v, usual.get(k)) for k, v in found.items() if usual.get(k) != v and k not in VOLATILE}
                assert not odd, f'variables differ (routed, direct): {odd}'
                assert session.query('EXECUTE secret').error.errno == 1243
        # two at once: both backend connections were looked at
        pair = [open_session(router, 1) for _ in range(2)]
        running = [Beside(session.rows, 'SELECT SLEEP(0.05), @secret') for session in pair]
        assert all(r.result()[0][1] is None for r in running)
        for session in pair:
            session.quit()
    finally:
        if ending == 'reset':
            dirty.quit()


PINS = {
    'transaction': (['BEGIN', 'INSERT INTO plain VALUES (5)'], ['ROLLBACK']),
    'autocommit off': (['SET autocommit = 0', 'INSERT INTO plain VALUES (5)'], ['ROLLBACK', 'SET autocommit = 1']),
    'temporary table': (['CREATE TEMPORARY TABLE tmp (x INT)'], ['DROP TEMPORARY TABLE tmp']),
    'lock': (["SELECT GET_LOCK(CONCAT('pin', CONNECTION_ID()), 1)"], ['SELECT RELEASE_ALL_LOCKS()']),
    'table lock': (['LOCK TABLES plain READ'], ['UNLOCK TABLES']),
}


@pytest.mark.parametrize('ending', ['statement', 'reset', 'quit'])
@pytest.mark.parametrize('kind', PINS)
def test_pins_and_unpins(two, kind, ending):
    """Both connections pinned: a third session waits; one unpinned: it goes on."""
    _, router = two
    pin, unpin = PINS[kind]
    first, second, third = (open_session(router, 1) for _ in range(3))
    try:
        for session in (first, second):
            for statement in pin:
                session.ok(statement)
        waiting = Beside(third.rows, 'SELECT 1')
        assert not waiting.done(0.3), f'a third session got a connection while two were pinned by {kind}'
        if ending == 'statement':
            for statement in unpin:
                first.ok(statement)
        elif ending == 'reset':
            assert first.command(rc.COM_RESET_CONNECTION, reply='ok').first[:1] == b'\0'
        else:
            first.quit()
        assert waiting.result(5) == [('1',)]
    finally:
        for session in (first, second, third):
            session.quit()


def test_temporary_table_stays_with_its_session(two):
    _, router = two
    owner, other = (login(router, database='tenant_acme') for _ in range(2))
    run(owner, 'CREATE TEMPORARY TABLE mine (x INT)', 'INSERT INTO mine VALUES (42)')
    for _ in range(20):
        assert value(other, 'SELECT 1') == 1
        assert value(owner, 'SELECT x FROM mine') == 42
    with pytest.raises(Exception, match='mine'):
        run(other, 'SELECT x FROM mine')
    owner.close()
    other.close()


def test_one_shot_transaction_is_for_the_next_one_only(two):
    _, router = two
    one, other = (login(router, database='tenant_acme') for _ in range(2))
    run(one, 'SET TRANSACTION READ ONLY')
    run(other, 'INSERT INTO plain VALUES (1)', 'DELETE FROM plain')
    run(one, 'BEGIN')
    with pytest.raises(Exception, match='READ ONLY'):
        run(one, 'INSERT INTO plain VALUES (1)')
    run(one, 'ROLLBACK', 'INSERT INTO plain VALUES (1)', 'DELETE FROM plain')
    one.close()
    other.close()


def test_lock_is_held_against_others_and_released(two):
    server, router = two
    owner, other = login(router), login(router)
    assert value(owner, "SELECT GET_LOCK('shared', 0)") == 1
    assert value(other, "SELECT GET_LOCK('shared', 0)") == 0
    assert value(owner, "SELECT RELEASE_LOCK('shared')") == 1
    assert value(other, "SELECT GET_LOCK('shared', 0)") == 1
    other.close()
    wait_until(
        lambda: server.execute("SELECT IS_FREE_LOCK('shared')") == [(1,)], 5, 'the lock of a session that left is free'
    )
    owner.close()
