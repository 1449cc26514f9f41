"""Wrong bytes of a client at every stage: a clear error, and nobody else is disturbed."""
import random
import socket
import struct

import pytest

import rawclient as rc
from processes import wait_until
from router import configuration
from servers import APP_PASSWORD
from sessions import login, make_tenant, value

pytestmark = pytest.mark.asan


@pytest.fixture(scope='module')
def server(fleet):
    server = fleet('mariadb')
    make_tenant(server, 'acme', 'CREATE TABLE t (x INT)', 'INSERT INTO t VALUES (1)')
    return server


@pytest.fixture(scope='module')
def router(server, module_routers):
    return module_routers(
        configuration(
            {'acme': server},
            tls=True,
            clients={
                'handshake_timeout': '2s',
                'max_unauthenticated_bytes': '64KiB',
                'max_unauthenticated': 50,
                'max_connections': 200,
            },
        )
    )


@pytest.fixture
def bystander(router):
    """A session that works before and after whatever the test does."""
    connection = login(router)
    assert value(connection, 'SELECT 1') == 1
    yield connection
    assert value(connection, 'SELECT 2') == 2
    connection.close()
    assert router.process.running(), router.log()


def closed_or_error(raw: rc.RawConnection, timeout: float = 5) -> rc.ServerError | None:
    """The peer's last word: an ERR packet, or None when it just closed. Fails when the connection stays open."""
    raw.sock.settimeout(timeout)
    error = None
    try:
        while True:
            header = raw._receive(4)
            payload = raw._receive(int.from_bytes(header[:3], 'little'))
            if payload[:1] == b'\xff':
                error = rc.ServerError(payload)
    except (rc.Closed, ConnectionResetError):
        return error
    except TimeoutError:
        raise AssertionError(f'still open after {timeout} s (last error: {error})') from None


def frame(payload: bytes, sequence: int, length: int | None = None) -> bytes:
    return (len(payload) if length is None else length).to_bytes(3, 'little') + bytes([sequence]) + payload


def good_login(raw: rc.RawConnection, **changes) -> bytes:
    raw.capabilities = rc.BASE | rc.DEPRECATE_EOF | rc.CONNECT_WITH_DB
    return raw.login_packet('app', b'x' * 20, 'tenant_acme', 'mysql_native_password', {'a': 'b'}, **changes)


FIRST_PACKETS = {
    'empty packet': lambda raw: frame(b'', 1),
    'one byte': lambda raw: frame(b'\x8d', 1),
    'wrong sequence id': lambda raw: frame(good_login(raw), 7),
    'sequence id 0': lambda raw: frame(good_login(raw), 0),
    'length says 16 MiB': lambda raw: frame(good_login(raw), 1, 0xFFFFFF) + b'x' * 100000,
    'oversized': lambda raw: frame(b'\xff' * 200000, 1),
    'without PROTOCOL_41': lambda raw: frame(struct.pack('<HI', 1, 0xFFFF)[:5] + b'app\0', 1),
    'password length beyond the packet': lambda raw: frame(
        good_login(raw).replace(b'\x14' + b'x' * 20, b'\xfd\xff\xff\xff' + b'x' * 20), 1
    ),
    'attribute length beyond the packet': lambda raw: frame(
        good_login(raw).replace(b'\x04\x01a\x01b', b'\xfe' + b'\xff' * 8), 1
    ),
    'user without end': lambda raw: frame(struct.pack('<IIB', rc.BASE, 1 << 24, 45) + bytes(23) + b'user' * 200, 1),
    'HTTP': lambda raw: b'GET / HTTP/1.1\r\nHost: x\r\n\r\n',
    'TLS hello without SSLRequest': lambda raw: b'\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03' + bytes(500),
    'SSLRequest, then plain login': lambda raw: frame(struct.pack('<IIB', rc.BASE | rc.SSL, 1 << 24, 45) + bytes(23), 1)
    + frame(good_login(raw), 2),
    'random': lambda raw: random.Random(5).randbytes(5000),
}


@pytest.mark.parametrize('kind', FIRST_PACKETS)
def test_bad_first_packet(router, bystander, kind):
    raw = rc.RawConnection(port=router.port)
    raw.read_greeting()
    try:
        raw.sock.sendall(FIRST_PACKETS[kind](raw))
    except (BrokenPipeError, ConnectionResetError):
        pass
    error = closed_or_error(raw)
    assert error is None or error.errno in (1043, 1045, 1047, 1153, 1156, 1158, 1251, 1835, 2027), error
    raw.close()


def test_login_cut_at_every_byte(router, bystander):
    """Each prefix of a login, then the end of the connection."""
    probe = rc.RawConnection(port=router.port)
    probe.read_greeting()
    whole = frame(good_login(probe), 1)
    probe.close()
    for cut in range(len(whole)):
        with socket.create_connection(('127.0.0.1', router.port), 5) as s:
            s.recv(4096)
            s.sendall(whole[:cut])
            s.shutdown(socket.SHUT_WR)
            s.settimeout(5)
            while s.recv(4096):
                pass


def test_login_shortened_at_every_byte(router, bystander):
    """Each prefix of a login as a packet of its own."""
    probe = rc.RawConnection(port=router.port)
    probe.read_greeting()
    whole = good_login(probe)
    probe.close()
    for cut in range(len(whole)):
        raw = rc.RawConnection(port=router.port)
        raw.read_greeting()
        raw.sock.sendall(frame(whole[:cut], 1))
        raw.sock.shutdown(socket.SHUT_WR)
        closed_or_error(raw)
        raw.close()


def test_half_a_handshake_then_silence(router, bystander):
    silent = [rc.RawConnection(port=router.port) for _ in range(3)]
    silent[1].read_greeting()
    silent[1].sock.sendall(b'\x20\x00\x00\x01abc')
    silent[2].read_greeting()
    silent[2].sock.sendall(frame(struct.pack('<IIB', rc.BASE | rc.SSL, 1 << 24, 45) + bytes(23), 1))
    for raw in silent:
        closed_or_error(raw, 6)  # handshake_timeout is 2 s
        raw.close()


def test_too_many_unauthenticated(router, bystander):
    """They can't keep those out who log in: they are themselves refused beyond the limit, and time out."""
    crowd = [socket.create_connection(('127.0.0.1', router.port), 5) for _ in range(80)]

    def works() -> bool:
        try:
            rc.connect(router, 'app', APP_PASSWORD, 'tenant_acme').quit()
            return True
        except rc.ServerError as error:
            assert error.errno == 1040, error
            return False

    try:
        wait_until(works, 10, 'a login works again')
    finally:
        for s in crowd:
            s.close()


def logged_in(router) -> rc.RawConnection:
    return rc.connect(router, 'app', APP_PASSWORD, 'tenant_acme')


COMMANDS = {
    'empty command': frame(b'', 0),
    'wrong sequence id': frame(b'\x03SELECT 1', 9),
    'unknown command': frame(b'\xaa', 0),
    'INIT_DB without a name': frame(b'\x02', 0),
    'prepare of nothing': frame(b'\x16', 0),
    'execute, empty': frame(b'\x17', 0),
    'execute, 3 bytes': frame(b'\x17\x01\0\0', 0),
    'execute, cut': frame(b'\x17' + struct.pack('<IBI', 1, 0, 1)[:7], 0),
    'fetch, empty': frame(b'\x1c', 0),
    'reset, empty': frame(b'\x1a', 0),
    'set option, empty': frame(b'\x1b', 0),
    'change user, empty': frame(b'\x11', 0),
    'change user, no end': frame(b'\x11' + b'a' * 300, 0),
    'process kill, empty': frame(b'\x0c', 0),
    'field list, empty': frame(b'\x04', 0),
    'long data, empty': frame(b'\x18', 0) + frame(b'\x0e', 0),
    'close, empty': frame(b'\x19', 0) + frame(b'\x0e', 0),
    'bulk, empty': frame(b'\xfa', 0),
    'long data of nothing': frame(b'\x18' + struct.pack('<IH', 99, 0) + b'x', 0) + frame(b'\x0e', 0),
    'binlog dump': frame(b'\x12' + struct.pack('<IHI', 4, 0, 1), 0),
    'register slave': frame(b'\x15' + bytes(20), 0),
}


@pytest.mark.parametrize('kind', COMMANDS)
def test_bad_command(router, bystander, kind):
    """An ERR packet or the end of the connection; never silence, never a reply to something else."""
    raw = logged_in(router)
    raw.sock.sendall(COMMANDS[kind])
    raw.sock.settimeout(5)
    try:
        header = raw._receive(4)
        payload = raw._receive(int.from_bytes(header[:3], 'little'))
        # Servers take the missing parts of these for zeros; the other ones behind are pings.
        lenient = kind.startswith(('long data', 'close', 'set option', 'change user'))
        assert lenient or payload[:1] == b'\xff', payload
    except (rc.Closed, ConnectionResetError):
        pass
    raw.close()


def test_prepared_execute_cut_at_every_byte(router, server, bystander):
    """A body that is too short gets an error (the server's or the router's), and the session goes on."""
    raw = logged_in(router)
    _, statement = raw.prepare('SELECT ?, ?')
    body = raw.execute_body(statement, [rc.Parameter(253, rc.lenenc(b'abcdef')), rc.Parameter(8, bytes(8))])
    for cut in range(len(body)):
        try:
            response = raw.command(rc.COM_STMT_EXECUTE, body[:cut])
            assert response.packets
        except (rc.Closed, ConnectionResetError):
            raw = logged_in(router)
            _, statement = raw.prepare('SELECT ?, ?')
            body = struct.pack('<I', statement) + body[4:]
    assert raw.command(rc.COM_PING, reply='ok').first[:1] == b'\0'
    raw.close()


def test_client_gone_in_mid_statement(router, server, bystander):
    """Half a statement, half a result, half a LOAD DATA: the backend connections come back or go, nothing leaks."""
    for _ in range(5):
        raw = logged_in(router)
        raw.sock.sendall(frame(b'\x03SELECT ', 0, 1000))
        raw.close()
        raw = logged_in(router)
        raw.sock.sendall(frame(b"\x03SELECT REPEAT('x', 60000000)", 0))
        raw.sock.recv(1000)
        raw.close()
        raw = logged_in(router)
        raw.sock.sendall(frame(b"\x03LOAD DATA LOCAL INFILE 'x' INTO TABLE t", 0))
        raw.sock.recv(1000)
        raw.sock.sendall(frame(b'1\n', 2))
        raw.close()
        raw = logged_in(router)
        raw.sock.sendall(frame(b'\x03SELECT SLEEP(60) AS forsaken FROM t', 0))
        raw.close()
    wait_until(
        lambda: not any('forsaken' in (row[3] or '') for row in server.threads()), 10, 'their statements have ended'
    )
    assert server.execute('SELECT COUNT(*) FROM tenant_acme.t')[0][0] == 1


def test_wrong_compressed_frames(router, bystander):
    for bad in (
        b'\x05\x00\x00\x00\x10\x00\x00hello',
        b'\xff\xff\xff\x00\xff\xff\xff' + bytes(100000),
        b'\x03\x00\x00\x05\x00\x00\x00abc',
    ):
        raw = rc.connect(router, 'app', APP_PASSWORD, 'tenant_acme', compress='zlib')
        raw.sock.sendall(bad)
        try:
            raw.sock.shutdown(socket.SHUT_WR)
        except OSError:
            pass  # closed already: what was to be shown
        raw.sock.settimeout(5)
        while True:
            try:
                if not raw.sock.recv(65536):
                    break
            except ConnectionResetError:
                break
        raw.close()


def test_random_bytes_in_every_phase(router, bystander):
    generator = random.Random(20240229)
    for _ in range(60):
        raw = rc.RawConnection(port=router.port) if generator.random() < 0.5 else logged_in(router)
        try:
            for _ in range(generator.randrange(1, 5)):
                payload = generator.randbytes(generator.randrange(0, 400))
                raw.sock.sendall(
                    frame(payload, generator.choice([0, 1, 2, 250]), generator.choice([None, None, 5, 70000]))
                )
            raw.sock.shutdown(socket.SHUT_WR)
        except OSError:
            pass
        raw.close()
