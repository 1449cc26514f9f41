"""Limits of clients that the configuration sets: of a user's sessions, of a statement's length, of prepared statements
on a server; and what is told to those whose first bytes are no login."""
import struct

import pytest

import rawclient as rc
from processes import wait_until
from router import configuration
from servers import APP_PASSWORD
from sessions import make_tenant

MIB = 1 << 20
LONGLONG = 8
FEW = {'name': 'few', 'password': 'f', 'max_connections': 2, 'backend_user': 'app', 'backend_password': APP_PASSWORD}
APP = {'name': 'app', 'password': APP_PASSWORD}


@pytest.fixture(scope='module')
def server(fleet):
    server = fleet('mariadb')
    make_tenant(server, 'acme', 'CREATE TABLE long_ones (x LONGBLOB)')
    return server


def frame(payload: bytes, sequence: int, length: int | None = None) -> bytes:
    return (len(payload) if length is None else length).to_bytes(3, 'little') + bytes([sequence]) + payload


def few(router) -> rc.RawConnection:
    return rc.connect(router, 'few', 'f', 'tenant_acme')


def refused(connect, *arguments) -> tuple[int, str]:
    with pytest.raises(rc.ServerError) as caught:
        connect(*arguments)
    return caught.value.errno, caught.value.message


def test_a_user_has_no_more_sessions_than_he_may(server, routers):
    router = routers(configuration({'acme': server}, users=[APP, FEW], workers=2))
    first, second = few(router), few(router)
    errno, message = refused(few, router)
    assert errno == 1203 and 'users[].max_connections: 2' in message, (errno, message)
    other = rc.connect(router, 'app', APP_PASSWORD, 'tenant_acme')
    assert other.value('SELECT 1') == '1', 'nobody else is counted with him'
    # A change of user takes a place and gives another back; to the same user it needs none.
    first.change_user('few', 'f', 'tenant_acme')
    first.change_user('app', APP_PASSWORD, 'tenant_acme')
    third = few(router)
    assert refused(few, router)[0] == 1203
    second.quit()

    def comes_in() -> bool:
        try:
            few(router).quit()
        except rc.ServerError:
            return False
        return True

    wait_until(comes_in, 5, 'the place is free')
    for session in (first, third, other):
        session.quit()


def test_a_statement_longer_than_it_may_be(server, routers):
    router = routers(configuration({'acme': server}, clients={'max_allowed_packet': '20MiB'}))
    server.execute('SET GLOBAL max_allowed_packet = 67108864')
    session = rc.connect(router, 'app', APP_PASSWORD, 'tenant_acme')
    before, after = "INSERT INTO long_ones VALUES ('", "')"
    fits = 20 * MIB - 1 - len(before) - len(after)
    session.ok(before + 'x' * fits + after)
    # One byte too many shows in the second frame, when the first is on its way already.
    try:
        error = session.query(before + 'y' * (fits + 1) + after).error
        assert error.errno == 1153 and error.sqlstate == '08P01', error
        assert session.at_end()
    except OSError:
        pass  # closed while the client was still sending
    rows = server.execute('SELECT LEFT(x, 1), LENGTH(x) FROM tenant_acme.long_ones')
    assert list(rows) == [(b'x', fits)], 'what was too long was not executed'

    small = routers(configuration({'acme': server}, clients={'max_allowed_packet': '1MiB'}))
    session = rc.connect(small, 'app', APP_PASSWORD, 'tenant_acme')
    assert session.query('SELECT 1 /*' + 'z' * MIB + '*/').error.errno == 1153
    assert session.value('SELECT 1 /*' + 'z' * (MIB - 100) + '*/') == '1'
    session.quit()


def test_prepared_statements_of_a_connection_are_bounded(server, routers):
    pools = {'max_connections': 1, 'max_prepared_statements': 4}
    router = routers(configuration({'acme': server}, workers=1, pools=pools))
    session = rc.connect(router, 'app', APP_PASSWORD, 'tenant_acme')
    before = int(server.execute("SHOW GLOBAL STATUS LIKE 'Prepared_stmt_count'")[0][1])
    statements = [session.prepare(f'SELECT {n} + ?')[1] for n in range(20)]
    for n, statement in enumerate(statements):
        response = session.execute(statement, [rc.Parameter(LONGLONG, struct.pack('<q', 1))])
        assert response.error is None
        now = int(server.execute("SHOW GLOBAL STATUS LIKE 'Prepared_stmt_count'")[0][1])
        assert now - before <= 4, (n, now, before)
    session.quit()


NO_LOGINS = {
    'oversized': (lambda: frame(b'\xff' * 200000, 1), 1153),
    'length says 16 MiB': (lambda: frame(b'x' * 100, 1, 0xFFFFFF), 1153),
    'wrong sequence id': (lambda: frame(b'x' * 100, 7), 1156),
    'HTTP': (lambda: b'GET / HTTP/1.1\r\nHost: x\r\n\r\n', 1153),
}


@pytest.mark.parametrize('kind', NO_LOGINS)
def test_what_can_be_no_login_is_answered(server, routers, kind):
    router = routers(configuration({'acme': server}))
    make, errno = NO_LOGINS[kind]
    raw = rc.RawConnection(port=router.port)
    raw.read_greeting()
    sent = make()
    raw.sock.sendall(sent)
    raw.sequence = (sent[3] + 1) & 0xFF
    packet = raw.read_packet()
    assert packet[:1] == b'\xff' and int.from_bytes(packet[1:3], 'little') == errno, packet
    assert raw.at_end()
    raw.close()
