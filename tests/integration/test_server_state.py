"""What a server has by itself or keeps for a session: its defaults, its timeouts, locks, statements, columns."""
import contextlib

import pytest

import rawclient as rc
from processes import wait_until
from router import configuration
from servers import APP_PASSWORD, KINDS, available
from sessions import error_of, login, make_tenant, run, value


@pytest.fixture(scope='module', params=['mariadb', 'mysql'])
def server(request):
    reason = available(request.param)
    if reason:
        pytest.skip(reason)
    with KINDS[request.param](f'state-{request.param}') as server:
        make_tenant(server, 'acme', 'CREATE TABLE t (a INT)', 'INSERT INTO t VALUES (1)')
        make_tenant(server, 'globex', 'CREATE TABLE t (a INT)')
        yield server


def router_of(routers, server, **changes):
    return routers(configuration({'acme': server, 'globex': server}, **changes))


def raw(router, **options):
    return rc.connect(router, 'app@acme', APP_PASSWORD, 'tenant_acme', **options)


def pinned(router, reason: str) -> float:
    return router.metric('bulkhead_pinned_sessions', reason=reason)


def test_texts_are_read_as_the_server_does(server, routers):
    """With the server's own sql_mode, from the first statement on."""
    mode = server.execute('SELECT @@global.sql_mode')[0][0]
    server.execute("SET GLOBAL sql_mode = 'ANSI_QUOTES'")
    try:
        session = login(router_of(routers, server), database='tenant_acme')
        statement = 'SELECT a FROM "tenant_globex"."t"'
        number, message = error_of(run, session, statement)
        assert number == 9406, message
        assert value(session, 'SELECT a FROM "t"') == 1
    finally:
        server.execute(f"SET GLOBAL sql_mode = '{mode}'")


def test_backslash_at_the_end_of_a_character(server, routers):
    """In gbk the second byte of 0xBF5C is no backslash: what follows is read, and the lock pins."""
    router = router_of(routers, server)
    session = raw(router)
    for statement in (b'SET NAMES gbk', b"SELECT '\xbf\x5c', GET_LOCK('kept', 1)"):
        assert not session.query(statement).error
    other = raw(router)
    assert other.value("SELECT IS_FREE_LOCK('kept')") == '0'
    wait_until(lambda: pinned(router, 'lock') == 1, 5, 'pinned by the lock')


def test_connections_are_retired_before_the_server_closes_them(server, routers):
    """The server's wait_timeout, and a session's own."""
    kept = server.execute('SELECT @@global.wait_timeout')[0][0]
    router = router_of(routers, server, pools={'wait_timeout_margin': '1s'})
    session = login(router)
    run(session, 'SET SESSION wait_timeout = 3', 'SELECT 1')
    aborted = server.status('Aborted_clients')
    wait_until(lambda: not server.threads(), 2.9, 'the router closes what a session gave three seconds')
    server.execute('SET GLOBAL wait_timeout = 3')
    try:
        router = router_of(routers, server, pools={'wait_timeout_margin': '1s'})
        session = login(router)
        assert value(session, 'SELECT @@wait_timeout') == 3
        wait_until(lambda: not server.threads(), 2.9, 'the router closes its connection first')
        assert server.status('Aborted_clients') == aborted
        assert value(session, 'SELECT 1') == 1
    finally:
        server.execute(f'SET GLOBAL wait_timeout = {kept}')


def test_the_last_release_unpins(server, routers):
    router = router_of(routers, server)
    session = login(router)
    run(session, "SELECT GET_LOCK('a', 1)", "SELECT GET_LOCK('A', 1)", "SELECT GET_LOCK('b', 1)")
    run(session, "SELECT RELEASE_LOCK('a')", "DO RELEASE_LOCK('b')")
    wait_until(lambda: pinned(router, 'lock') == 1, 5, 'still pinned: a was taken twice')
    run(session, "SELECT RELEASE_LOCK('a') AS released")
    wait_until(lambda: pinned(router, 'lock') == 0, 5, 'unpinned')
    assert value(login(router), "SELECT IS_FREE_LOCK('a') + IS_FREE_LOCK('b')") == 2
    run(session, "SELECT GET_LOCK(CONCAT('c', 1), 1)", "SELECT RELEASE_LOCK('c1')")
    other = login(router)
    run(other, "SELECT GET_LOCK('d', 1)")
    wait_until(lambda: pinned(router, 'lock') == 2, 5, 'still pinned, beside another one that was pinned later')
    run(other, "SELECT RELEASE_LOCK('d')")
    run(session, 'SELECT RELEASE_ALL_LOCKS()')
    wait_until(lambda: pinned(router, 'lock') == 0, 5, 'unpinned by the release of all')


def test_a_long_text_is_prepared_again(server, routers):
    router = router_of(routers, server)
    session = raw(router)
    # Beyond what is routed by, and with its end far behind that.
    text = f"SELECT '{'x' * 300_000}' AS long_one, a FROM t WHERE a = ? /* {'y' * 100_000} */"
    _, statement = session.prepare(text)
    parameter = [rc.Parameter(8, (1).to_bytes(8, 'little'))]
    assert not session.execute(statement, parameter).error
    for row in server.threads():
        server.execute(f'KILL {row[0]}')
    wait_until(lambda: not server.threads(), 5, 'its connection is gone')
    again = session.execute(statement, parameter)
    assert not again.error
    assert any(b'x' * 1000 in packet for _, packet in again.packets)
    # What would have to be kept beyond all measure is refused as a server refuses a packet too large.
    with contextlib.suppress(BrokenPipeError, ConnectionResetError):  # refused before all of it was written
        session.send_bytes(b'\xff\xff\xff\0\x16SELECT \'' + b'x' * (1 << 20))
    session.sequence = 1
    assert rc.ServerError(session.read_packet()).errno == 1153
    assert raw(router).value('SELECT 1') == '1'


def test_new_columns_are_told(server, routers):
    """MariaDB's metadata cache: what a server has told on one connection, a client of another may not know."""
    if server.kind != 'mariadb':
        pytest.skip('a capability of MariaDB')
    router = router_of(routers, server, workers=1)
    server.execute('CREATE OR REPLACE TABLE tenant_acme.c (a INT)', 'INSERT INTO tenant_acme.c VALUES (7)')
    capabilities = rc.BASE | rc.DEPRECATE_EOF | rc.MARIADB_CACHE_METADATA
    sessions = [raw(router, capabilities=capabilities) for _ in range(3)]
    assert all(s.capabilities & rc.MARIADB_CACHE_METADATA for s in sessions)
    prepared = [s.prepare('SELECT * FROM c')[1] for s in sessions]

    def told(index: int) -> bool:
        """Whether the answer describes its columns."""
        answer = sessions[index].execute(prepared[index])
        assert not answer.error, answer.error
        return answer.first[-1] == 1

    assert [told(i) for i in range(3)] == [False] * 3
    server.execute('ALTER TABLE tenant_acme.c ADD b VARCHAR(10) DEFAULT "new" FIRST')
    assert [told(i) for i in range(3)] == [True] * 3
    assert [told(i) for i in range(3)] == [False] * 3
    # The same where the connection is a new one, on which the server has told nobody.
    server.execute('ALTER TABLE tenant_acme.c ADD d INT DEFAULT 5 FIRST')
    for row in server.threads():
        server.execute(f'KILL {row[0]}')
    wait_until(lambda: not server.threads(), 5, 'all connections are gone')
    assert [told(i) for i in range(3)] == [True] * 3
    assert [told(i) for i in range(3)] == [False] * 3


@pytest.mark.parametrize('ending', ['quit', 'reset'])
def test_records_of_statements_are_nobody_elses(server, routers, ending):
    """Profiles and traces outlast COM_RESET_CONNECTION, with the texts in them."""
    router = router_of(routers, server, workers=1)
    first = raw(router)
    first.ok('SET profiling = 1')
    first.query("SELECT 'mine alone'")
    if server.kind == 'mysql':
        first.ok("SET optimizer_trace = 'enabled=on'")
        first.query("SELECT 'mine alone' FROM t")
    if ending == 'quit':
        first.quit()
    else:
        assert first.command(rc.COM_RESET_CONNECTION, reply='ok').first[:1] == b'\0'
    for _ in range(3):
        with raw(router) as session:
            session.ok('SET profiling = 1')
            assert not any(b'mine alone' in packet for _, packet in session.query('SHOW PROFILES').packets)
            if server.kind == 'mysql':
                trace = session.query('SELECT * FROM information_schema.optimizer_trace')
                assert not any(b'mine alone' in packet for _, packet in trace.packets)


def test_several_statements_in_one_text(server, routers):
    router = router_of(routers, server)
    session = raw(router, capabilities=rc.BASE | rc.DEPRECATE_EOF | rc.MULTI_STATEMENTS | rc.MULTI_RESULTS)
    assert not session.query("BEGIN; SET sql_mode = 'ANSI_QUOTES'; SELECT GET_LOCK('multi', 1)").error
    # Its later texts are read with that mode, and all of it is its own.
    assert session.query('SELECT a FROM "tenant_globex"."t"').error.errno == 9406
    other = raw(router)
    assert other.value("SELECT IS_FREE_LOCK('multi')") == '0'
    assert 'ANSI_QUOTES' not in other.value('SELECT @@sql_mode')
    for statement, code in (
        ("SELECT 1; SET @tenant = 'globex'", 9406),
        ("SET @x = 1; SET @tenant = 'globex'", 9406),
        ('SELECT 1; USE tenant_globex', 9406),
        ('USE tenant_globex; SELECT 1', 9406),
        (f'SELECT 1; KILL {other.greeting.thread_id}', 1235),
        ('KILL 5; SELECT 1', 1235),
    ):
        assert session.query(statement).error.errno == code, statement
    # USE among others is executed, and so is what follows it.
    answer = session.query('USE tenant_acme; SELECT 11; SELECT 22')
    assert not answer.error
    assert any(b'22' in packet for _, packet in answer.packets)
    assert session.query('KILL (SELECT 5)').error.errno == 1235
    assert session.prepare('KILL 5')[0].error.errno == 1235
