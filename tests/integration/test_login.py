"""What comes before a session: the PROXY protocol of a load balancer in front, and the limits on clients and pools."""
import ipaddress
import socket
import struct
import time

import pymysql
import pytest

import rawclient as rc
from admin_place import USERS, wait_operators
from processes import free_port, wait_until
from router import configuration
from servers import APP_PASSWORD
from sessions import Beside, error_of, login, make_tenant, run, value

SIGNATURE = b'\r\n\r\n\0\r\nQUIT\n'


@pytest.fixture(scope='module')
def server(fleet):
    server = fleet('mariadb')
    make_tenant(server, 'acme', 'CREATE TABLE t (x INT)')
    return server


def place(routers, server, **changes):
    changes.setdefault('listen', {'admin': f'127.0.0.1:{free_port()}'})
    router = routers(configuration({'acme': server}, admin_users=USERS, **changes))
    return router, wait_operators(router)


# --- PROXY protocol -------------------------------------------------------------------------------------------------


def version2(command: int, family: int, addresses: bytes) -> bytes:
    return SIGNATURE + bytes([0x20 | command, family]) + struct.pack('>H', len(addresses)) + addresses


def address(text: str) -> bytes:
    return ipaddress.ip_address(text).packed


PORTS = struct.pack('>HH', 5, 6)
# name: (header, the client's address as the router then knows it)
HEADERS = {
    'v1 IPv4': (b'PROXY TCP4 203.0.113.9 127.0.0.1 5 6\r\n', '203.0.113.9'),
    'v1 IPv6': (b'PROXY TCP6 2001:db8::9 ::1 5 6\r\n', '2001:db8::9'),
    'v1 UNKNOWN': (b'PROXY UNKNOWN\r\n', '127.0.0.1'),
    'v1 UNKNOWN with the rest': (b'PROXY UNKNOWN ffff::1 ffff::2 5 6\r\n', '127.0.0.1'),
    'v2 IPv4': (version2(1, 0x11, address('203.0.113.7') + address('127.0.0.1') + PORTS), '203.0.113.7'),
    'v2 IPv6': (version2(1, 0x21, address('2001:db8::7') + address('::1') + PORTS), '2001:db8::7'),
    'v2 LOCAL': (version2(0, 0, b''), '127.0.0.1'),
    'v2 LOCAL with addresses': (version2(0, 0x11, address('203.0.113.7') + bytes(4) + PORTS), '127.0.0.1'),
    'v2 with TLVs': (
        version2(1, 0x11, address('203.0.113.8') + bytes(4) + PORTS + b'\x04\x00\x03abc' + b'\x02\x00\x01x'),
        '203.0.113.8',
    ),
}
GARBAGE = {
    'no header': b'\x20\0\0\1' + bytes(32),
    'HTTP': b'GET / HTTP/1.1\r\n\r\n',
    'v1 without addresses': b'PROXY TCP4\r\n',
    'v1 with a wrong address': b'PROXY TCP4 203.0.113.999 127.0.0.1 5 6\r\n',
    'v1 of the wrong family': b'PROXY TCP4 2001:db8::9 ::1 5 6\r\n',
    'v1 without end': b'PROXY TCP4 ' + b'1' * 200,
    'v2 of version 3': SIGNATURE + b'\x31\x11' + struct.pack('>H', 12) + bytes(12),
    'v2 too short for its addresses': version2(1, 0x11, bytes(5)),
    'v2 longer than any': SIGNATURE + b'\x21\x11' + struct.pack('>H', 65535) + bytes(8000),
    'v2 with an unknown command': version2(7, 0x11, bytes(12)),
}


@pytest.fixture(scope='module')
def behind(server, module_routers):
    """(router, its operator, the port at which a PROXY header comes first)"""
    port = free_port()
    listen = {'admin': f'127.0.0.1:{free_port()}'}
    config = configuration({'acme': server}, admin_users=USERS, listen=listen, clients={'handshake_timeout': '3s'})
    plain = config['listen']['mysql'][0]
    proxied = {'address': f'127.0.0.1:{port}', 'proxy_protocol': True, 'proxy_networks': ['127.0.0.1/32', '10.0.0.0/8']}
    config['listen']['mysql'].append({**plain, **proxied})
    router = module_routers(config)
    return router, wait_operators(router), port


def raw_connection(port: int, first: bytes, source: str = '127.0.0.1') -> rc.RawConnection:
    raw = rc.RawConnection.__new__(rc.RawConnection)
    sock = socket.create_connection(('127.0.0.1', port), 10, source_address=(source, 0))
    raw.__dict__.update(sock=sock, sequence=0, capabilities=0, compression=None, compressed_sequence=0)
    raw.__dict__.update(_plain=bytearray(), _net=bytearray(), greeting=None, auth_ok=b'', bytes_read=0)
    sock.sendall(first)
    return raw


def host_of(operator, connection: rc.RawConnection) -> str:
    return operator.value(f'SELECT address FROM sessions WHERE id = {connection.greeting.thread_id}')


@pytest.mark.parametrize('kind', HEADERS)
@pytest.mark.parametrize('pieces', [False, True], ids=['at once', 'byte by byte'])
def test_proxy_header(behind, kind, pieces):
    """The address that it gives is the client's: in SHOW SESSIONS and where a login is refused."""
    _, operator, port = behind
    header, host = HEADERS[kind]
    raw = raw_connection(port, b'' if pieces else header)
    if pieces:
        raw.sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        for at in range(len(header)):
            raw.sock.sendall(header[at : at + 1])
    raw.login('app', APP_PASSWORD, 'tenant_acme')
    assert host_of(operator, raw) == host
    assert raw.value('SELECT 1') == '1'
    raw.quit()
    if not pieces:
        refused = raw_connection(port, header)
        with pytest.raises(rc.ServerError, match=f"'app'@'{host}'"):
            refused.login('app', 'wrong', 'tenant_acme')
        refused.close()


@pytest.mark.parametrize('kind', GARBAGE)
def test_no_proxy_header(behind, kind):
    """The connection ends without a word: whoever is allowed to send a header and sends something else gets nothing."""
    router, _, port = behind
    raw = raw_connection(port, GARBAGE[kind])
    raw.sock.settimeout(5)
    assert raw.at_end()
    raw.close()
    assert value(login(router), 'SELECT 1') == 1


def test_silence_instead_of_a_proxy_header(behind):
    raw = raw_connection(behind[2], b'')
    raw.sock.settimeout(8)
    started = time.monotonic()
    assert raw.at_end() and time.monotonic() - started > 2  # handshake_timeout is 3 s
    raw.close()


def is_told_that_it_is_no_login(raw, sent: bytes):
    """Read as a packet, a header of the PROXY protocol is far too long."""
    raw.read_greeting()
    raw.sequence = sent[3] + 1
    packet = raw.read_packet()
    assert packet[:3] == b'\xff' + (1153).to_bytes(2, 'little'), packet
    assert raw.at_end()


def test_a_proxy_header_from_elsewhere(behind):
    """From outside of proxy_networks it is not believed; such a client logs in as without one."""
    _, operator, port = behind
    raw = raw_connection(port, b'', '127.0.0.2').login('app', APP_PASSWORD, 'tenant_acme')
    assert host_of(operator, raw) == '127.0.0.2'
    raw.quit()
    liar = raw_connection(port, HEADERS['v1 IPv4'][0], '127.0.0.2')
    liar.sock.settimeout(5)
    is_told_that_it_is_no_login(liar, HEADERS['v1 IPv4'][0])
    assert operator.value("SELECT COUNT(*) FROM sessions WHERE address LIKE '203.0.113.9%'") == 0
    liar.close()


def test_a_proxy_header_at_a_plain_listener(behind):
    router, operator, _ = behind
    liar = raw_connection(router.port, HEADERS['v2 IPv4'][0])
    liar.sock.settimeout(5)
    is_told_that_it_is_no_login(liar, HEADERS['v2 IPv4'][0])
    assert operator.value("SELECT COUNT(*) FROM sessions WHERE address LIKE '203.0.113.7%'") == 0
    liar.close()


# --- limits on clients ------------------------------------------------------------------------------------------------


def test_max_connections(server, routers):
    router, _ = place(routers, server, clients={'max_connections': 3})
    sessions = [login(router) for _ in range(3)]
    with pytest.raises(rc.ServerError) as refused:
        rc.connect(router, 'app', APP_PASSWORD, 'tenant_acme')
    assert (refused.value.errno, refused.value.message) == (1040, 'Too many connections')
    assert all(value(session, 'SELECT 1') == 1 for session in sessions)
    assert router.metric('bulkhead_logins_failed_total') >= 1
    sessions.pop().close()
    sessions.append(wait_until(lambda: login_or_none(router), 5, 'the free place is taken'))
    for session in sessions:
        session.close()


def login_or_none(router):
    try:
        return login(router)
    except pymysql.err.OperationalError as error:
        assert error.args[0] == 1040, error
        return None


def test_max_unauthenticated(server, routers):
    """So many may be on their way in, not one more; who is in does not count."""
    router, _ = place(routers, server, clients={'max_unauthenticated': 5, 'handshake_timeout': '30s'}, workers=1)
    inside = [login(router) for _ in range(8)]
    waiting = []
    for _ in range(5):
        waiting.append(rc.RawConnection(port=router.port))
        waiting[-1].read_greeting()
    for _ in range(3):
        one_more = rc.RawConnection(port=router.port)
        with pytest.raises(rc.ServerError) as refused:
            one_more.read_greeting()
        assert refused.value.errno == 1040 and refused.value.sqlstate == ''
        assert one_more.at_end()
        one_more.close()
    assert all(value(session, 'SELECT 1') == 1 for session in inside)
    waiting.pop().close()
    inside.append(wait_until(lambda: login_or_none(router), 5, 'the free place is taken'))
    for session in (*inside, *waiting):
        session.close()


def test_max_unauthenticated_bytes(server, routers):
    """A login that is as long as it may be, and one that is longer."""
    router, _ = place(routers, server, clients={'max_unauthenticated_bytes': '4KiB'})
    rc.connect(router, 'app', APP_PASSWORD, 'tenant_acme', attributes={'a': 'x' * 3500}).quit()
    with pytest.raises((rc.ServerError, rc.Closed)) as refused:
        rc.connect(router, 'app', APP_PASSWORD, 'tenant_acme', attributes={'a': 'x' * 4500})
    assert refused.type is rc.Closed or refused.value.errno == 1153


def test_idle_timeout_of_clients(server, routers):
    """Who sends nothing is closed; who sends something, or waits for an answer, is not."""
    router, _ = place(routers, server, clients={'idle_timeout': '1s'})
    idle, busy, waiting = (login(router) for _ in range(3))
    answer = Beside(value, waiting, 'SELECT SLEEP(3)')
    stop = time.monotonic() + 3
    while time.monotonic() < stop:
        assert value(busy, 'SELECT 1') == 1
        time.sleep(0.2)  # a client's own pace
    assert answer.result(5) == 0
    assert error_of(run, idle, 'SELECT 1')[0] in (2006, 2013)
    busy.close()
    waiting.close()


# --- limits of pools --------------------------------------------------------------------------------------------------


@pytest.fixture
def own_threads(server):
    """The ids of the server's connections that came with this test's router."""
    before = {row[0] for row in server.threads()}
    return lambda: {row[0] for row in server.threads()} - before


def test_idle_timeout_of_the_pool(server, routers, own_threads):
    router, _ = place(routers, server, pools={'idle_timeout': '1s'})
    with login(router, database='tenant_acme') as session:
        run(session, 'SELECT * FROM t')
        first = own_threads()
        assert len(first) == 1
        for _ in range(10):  # in use it stays
            time.sleep(0.25)  # less than the limit
            run(session, 'SELECT * FROM t')
            assert own_threads() == first
        wait_until(lambda: not own_threads(), 5, 'the idle connection is closed')
        run(session, 'SELECT * FROM t')
        assert own_threads() and not own_threads() & first


def test_max_age_of_the_pool(server, routers, own_threads):
    """However busy it is, a connection goes at its age, and not in the middle of a transaction."""
    router, _ = place(routers, server, pools={'max_age': '2s', 'idle_timeout': 0})
    with login(router, database='tenant_acme') as session:
        seen, stop = set(), time.monotonic() + 5
        while time.monotonic() < stop:
            run(session, 'SELECT * FROM t')
            seen |= own_threads()
            time.sleep(0.05)  # a client's own pace
        assert 2 <= len(seen) <= 5, seen
        run(session, 'BEGIN', 'INSERT INTO t VALUES (1)')
        pinned = own_threads()
        time.sleep(3)  # above the age
        run(session, 'SELECT * FROM t')
        assert own_threads() & pinned, 'taken away in a transaction'
        run(session, 'ROLLBACK')
        wait_until(lambda: not own_threads() & pinned, 5, 'it went after the transaction')


def test_acquire_timeout(server, routers):
    """The only connection is taken: who waits too long hears that nothing was executed, and may try again."""
    router, _ = place(routers, server, pools={'max_connections': 1, 'acquire_timeout': '700ms'})
    owner, other = login(router, database='tenant_acme'), login(router, database='tenant_acme')
    run(owner, 'BEGIN', 'INSERT INTO t VALUES (7)')
    started = time.monotonic()
    number, message = error_of(run, other, 'INSERT INTO t VALUES (8)')
    took = time.monotonic() - started
    assert number == 9401 and 'executed=no' in message, (number, message)
    assert 0.6 < took < 3, took
    run(owner, 'ROLLBACK')
    run(other, 'INSERT INTO t VALUES (9)')
    assert value(other, 'SELECT GROUP_CONCAT(x) FROM t') == '9'
    owner.close()
    other.close()
