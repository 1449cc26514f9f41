"""Wrong bytes of a client at every stage: a clear error, and nobody else is disturbed."""
import random
import socket
import struct
import zlib

import pytest

import rawclient as rc
from processes import wait_until
from router import configuration
from servers import APP_PASSWORD
from sessions import login, make_tenant, value
from test_verifiers import SHA2

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
            users=[
                {'name': 'app', 'password': APP_PASSWORD},
                {'name': 'verified', 'verifier': SHA2, 'backend_user': 'app', 'backend_password': APP_PASSWORD},
            ],
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


# The one answer to each kind. What is no packet at all, or too long to be a login's, is told apart by the others.
FIRST_ANSWERS = {
    'empty packet': 1043,
    'one byte': 1043,
    'wrong sequence id': 1156,
    'sequence id 0': 1156,
    'without PROTOCOL_41': 1251,
    'password length beyond the packet': 1043,
    'attribute length beyond the packet': 1043,
    'user without end': 1043,
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
    if kind in FIRST_ANSWERS:
        assert error and error.errno == FIRST_ANSWERS[kind], error
        assert error.sqlstate == ('' if kind == 'without PROTOCOL_41' else '08P01'), error
    else:
        assert error is None or error.errno in (1043, 1153, 1156), error
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
        # Cut where a field that may be left out begins, it is a whole login: another plugin's, or a wrong password's.
        raw.sequence = 2
        answer = raw.read_packet()
        if answer[:1] == b'\xfe':
            assert cut >= whole.index(b'mysql_native')
        else:
            assert rc.ServerError(answer).errno in (1043, 1045)
            assert cut > whole.index(b'x' * 20) or rc.ServerError(answer).errno == 1043
        assert closed_or_error(raw) is None
        raw.close()


def begun_login(router, plugin: str, answer: bytes, user: str) -> rc.RawConnection:
    raw = rc.RawConnection(port=router.port)
    raw.read_greeting()
    raw.capabilities = rc.BASE | rc.DEPRECATE_EOF | rc.CONNECT_WITH_DB
    raw.write_packet(raw.login_packet(user, answer, 'tenant_acme', plugin, {}))
    return raw


# name: (sequence id, payload, code, what the message says)
SWITCH_REPLIES = {
    'nothing': (3, b'', 1045, 'using password: NO'),
    'too short': (3, b'abc', 1045, 'using password: YES'),
    'wrong': (3, b'x' * 20, 1045, 'using password: YES'),
    'too long': (3, b'x' * 300, 1045, 'using password: YES'),
    'wrong sequence id': (9, b'x' * 20, 1156, 'out of order'),
}


@pytest.mark.parametrize('user', ['app', 'verified', 'nobody'])
@pytest.mark.parametrize('kind', SWITCH_REPLIES)
def test_bad_auth_switch_reply(router, bystander, kind, user):
    """The same answer whether there is such a user or not."""
    sequence, payload, errno, text = SWITCH_REPLIES[kind]
    raw = begun_login(router, 'some_plugin', b'x' * 20, user)
    asked = raw.read_packet()
    sha2 = asked.startswith(b'\xfecaching_sha2')
    assert sha2 or asked.startswith(b'\xfemysql_native_password\0'), asked
    # Of a user who does not exist it is what it would be of one or the other.
    assert user == 'nobody' or sha2 == (user == 'verified')
    if sha2 and kind == 'wrong':
        payload = b'x' * 7  # 32 bytes would be answered by a request for the password itself: below
    raw.sock.sendall(frame(payload, sequence))
    error = closed_or_error(raw)
    assert error and error.errno == errno and text in error.message, error
    raw.close()


# What a client sends when it is asked for the password itself, on a connection without TLS; None: a wrong sequence id.
FULL_ANSWERS = {
    'nothing': ([b''], 1045),
    'the password in clear': ([b'a lion, asleep\0'], 1045),
    'ciphertext of nothing': ([b'\x99' * 256], 1045),
    'key, then too short': ([b'\x02', b'abc'], 1045),
    'key, then noise': ([b'\x02', b'\x99' * 256], 1045),
    'key, then nothing': ([b'\x02', b''], 1045),
    'key twice': ([b'\x02', b'\x02'], 1045),
    'wrong sequence id': ([None], 1156),
    'key, then wrong sequence id': ([b'\x02', None], 1156),
}


@pytest.mark.parametrize('kind', FULL_ANSWERS)
def test_bad_full_authentication(router, bystander, kind):
    packets, errno = FULL_ANSWERS[kind]
    raw = begun_login(router, 'caching_sha2_password', b'x' * 32, 'verified')
    asked = raw.read_packet()
    if asked.startswith(b'\xfe'):  # a greeting of mysql_native_password: its nonce is not this plugin's
        raw.write_packet(b'x' * 32)
        asked = raw.read_packet()
    assert asked == b'\x01\x04'
    for packet in packets[:-1]:
        raw.write_packet(packet)
        assert raw.read_packet().startswith(b'\x01-----BEGIN PUBLIC KEY')
    raw.sock.sendall(frame(b'abc', 77) if packets[-1] is None else frame(packets[-1], raw.sequence))
    error = closed_or_error(raw)
    assert error and error.errno == errno, error
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


PONG, CLOSED = 0, None
# name: (bytes, the error's code, whether the session goes on)
COMMANDS = {
    'empty command': (frame(b'', 0), 1835, False),
    'wrong sequence id': (frame(b'\x03SELECT 1', 9), 1156, False),
    'unknown command': (frame(b'\xaa', 0), 1047, True),
    'INIT_DB without a name': (frame(b'\x02', 0), 1046, True),
    'prepare of nothing': (frame(b'\x16', 0), 1065, True),
    'execute, empty': (frame(b'\x17', 0), 1835, False),
    'execute, 3 bytes': (frame(b'\x17\x01\0\0', 0), 1835, False),
    'execute, cut': (frame(b'\x17' + struct.pack('<IBI', 1, 0, 1)[:7], 0), 1243, True),
    'fetch, empty': (frame(b'\x1c', 0), 1835, False),
    'reset, empty': (frame(b'\x1a', 0), 1835, False),
    'set option, empty': (frame(b'\x1b', 0), 1047, True),
    'change user, empty': (frame(b'\x11', 0), 1835, True),
    'change user, no end': (frame(b'\x11' + b'a' * 300, 0), 1835, True),
    'process kill, empty': (frame(b'\x0c', 0), 1835, True),
    'field list, empty': (frame(b'\x04', 0), 1103, True),
    'long data, empty': (frame(b'\x18', 0) + frame(b'\x0e', 0), PONG, True),
    'close, empty': (frame(b'\x19', 0) + frame(b'\x0e', 0), PONG, True),
    'bulk, empty': (frame(b'\xfa', 0), 1835, False),
    'long data of nothing': (frame(b'\x18' + struct.pack('<IH', 99, 0) + b'x', 0) + frame(b'\x0e', 0), PONG, True),
    'binlog dump': (frame(b'\x12' + struct.pack('<IHI', 4, 0, 1), 0), 1047, True),
    'register slave': (frame(b'\x15' + bytes(20), 0), 1047, True),
    'long ping': (frame(b'\x0e' + b'x' * 200, 0), PONG, True),
    'long name': (frame(b'\x02' + b'x' * 100000, 0), 1102, True),
    'oversized change of user': (frame(b'\x11' + b'x' * 100000, 0), 1153, True),
    'second frame out of order': (frame(b'\x03' + b' ' * 0xFFFFFE, 0) + frame(b'x', 9), 1156, False),
}


@pytest.mark.parametrize('kind', COMMANDS)
def test_bad_command(router, bystander, kind):
    """An ERR packet, and where the end of the command can't be known the end of the connection; never silence."""
    data, answer, goes_on = COMMANDS[kind]
    raw = logged_in(router)
    raw.sock.sendall(data)
    raw.sock.settimeout(5)
    if answer is not CLOSED:
        header = raw._receive(4)
        payload = raw._receive(int.from_bytes(header[:3], 'little'))
        assert payload[:1] == (b'\0' if answer == PONG else b'\xff'), payload
        assert answer == PONG or rc.ServerError(payload).errno == answer, rc.ServerError(payload)
    if goes_on:
        assert raw.value("SELECT 'still here'") == 'still here'
    else:
        assert closed_or_error(raw) is None
    raw.close()


def test_prepared_execute_cut_at_every_byte(router, server, bystander):
    """A body that is too short gets an error (the server's or the router's), and the session goes on."""
    raw = logged_in(router)
    _, statement = raw.prepare('SELECT ?, ?')
    body = raw.execute_body(statement, [rc.Parameter(253, rc.lenenc(b'abcdef')), rc.Parameter(8, bytes(8))])
    for cut in range(len(body)):
        try:
            response = raw.command(rc.COM_STMT_EXECUTE, body[:cut])
            assert response.error and response.error.errno in (1210, 1835), (cut, response.packets)
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


def compressed(plain: bytes, size: int) -> bytes:
    body = zlib.compress(plain)
    return frame(b'', 0, len(body)) + size.to_bytes(3, 'little') + body


# name: (bytes, the error's code)
BAD_COMPRESSED = {
    'no zlib stream': (b'\x05\x00\x00\x00\x10\x00\x00hello', 1157),
    'lengths of 16 MiB': (b'\xff\xff\xff\x00\xff\xff\xff' + bytes(100000), 1157),
    'unpacks to less': (compressed(frame(b'\x03SELECT', 0, 1000) + b' ' * 89, 128), 1157),
    'unpacks to more': (compressed(frame(b'\x03SELECT', 0, 1000) + b' ' * 89, 64), 1157),
    'ends in the middle': (compressed(random.Random(1).randbytes(90), 90)[:-9] + bytes(9), 1157),
    'wrong sequence id': (frame(b'', 9, 13) + bytes(3) + frame(b'\x03SELECT 1', 0), 1156),
    'second packet out of order': (
        frame(b'', 0, 6) + bytes(3) + frame(b'\x03S', 0, 9) + frame(b'', 2, 7) + bytes(3) + b'ELECT 1',
        1156,
    ),
}


@pytest.mark.parametrize('kind', BAD_COMPRESSED)
def test_wrong_compressed_frames(router, bystander, kind):
    """Where they end can't be known: the client is told, and the connection ends."""
    data, errno = BAD_COMPRESSED[kind]
    raw = rc.connect(router, 'app', APP_PASSWORD, 'tenant_acme', compress='zlib')
    raw.sock.sendall(data)
    raw.sock.settimeout(5)
    assert rc.ServerError(raw.read_packet()).errno == errno
    assert raw.at_end()
    raw.close()


# name: the sequence ids of the file's packets; None: the right one
LOCAL_DATA = {'the first': [7], 'the first again': [0], 'the second': [None, 9], 'the empty one': [None, None, 200]}


@pytest.mark.parametrize('kind', LOCAL_DATA)
def test_local_infile_out_of_order(router, server, bystander, kind):
    """The router says so, and nothing of the file stays."""
    raw = logged_in(router)
    raw.sock.sendall(frame(b"\x03LOAD DATA LOCAL INFILE 'x' INTO TABLE t", 0))
    raw.sock.settimeout(5)
    raw.sequence = 1
    assert raw.read_packet() == b'\xfbx'
    ids = LOCAL_DATA[kind]
    for at, wrong in enumerate(ids):
        data = b'' if kind == 'the empty one' and wrong is not None else b'77\n'
        raw.sock.sendall(frame(data, 2 + at if wrong is None else wrong))
    error = closed_or_error(raw)
    assert error and error.errno == 1156, error
    raw.close()
    wait_until(lambda: not any('INFILE' in (row[3] or '') for row in server.threads()), 10, 'the server has ended it')
    assert server.execute('SELECT COUNT(*) FROM tenant_acme.t WHERE x = 77')[0][0] == 0


def test_bad_command_within_good_compression(router, bystander):
    """What is inside gets the answers of a session without compression."""
    raw = rc.connect(router, 'app', APP_PASSWORD, 'tenant_acme', compress='zlib')
    assert rc.ServerError(raw.command(0xAA, b'x' * 100, 'ok').first).errno == 1047
    raw.sequence = raw.compressed_sequence = 0
    raw.write_packet(b'')
    assert rc.ServerError(raw.read_packet()).errno == 1835
    assert raw.at_end()
    raw.close()


def expected_answers(before_login: bool, sequence: int, payload: bytes) -> set:
    """The codes that a packet of random bytes may get. None: it may be no error at all."""
    if before_login:
        if sequence != 1:
            return {1156}
        old = len(payload) > 1 and not payload[1] & 2  # CLIENT_PROTOCOL_41
        # Long ones may by chance be a login, whose plugin is then to be another.
        return {1251} if old else {1043} if len(payload) <= 32 else {1043, 1045, 1251, None}
    if sequence != 0:
        return {1156}
    if not payload:
        return {1835}
    known = {*range(1, 15), 17, 18, *range(21, 33), 250}
    return {1047} if payload[0] not in known else {None}


def test_random_packets(router, bystander):
    """One packet of random bytes before or after the login, each answered by the error that it deserves."""
    generator, seen = random.Random(20240229), set()
    for _ in range(120):
        before = generator.random() < 0.5
        raw = rc.RawConnection(port=router.port) if before else logged_in(router)
        if before:
            raw.read_greeting()
        payload, sequence = generator.randbytes(generator.randrange(0, 400)), generator.choice([0, 1, 1, 2, 250])
        expected = expected_answers(before, sequence, payload)
        raw.sock.sendall(frame(payload, sequence))
        raw.sock.shutdown(socket.SHUT_WR)
        error = closed_or_error(raw)
        raw.close()
        if None not in expected:
            assert error and error.errno in expected, (before, sequence, payload[:40], error)
            seen.add((before, error.errno))
    assert seen >= {(True, 1156), (True, 1043), (True, 1251), (False, 1156), (False, 1047)}, seen


def test_random_packets_cut_short(router, bystander):
    """A length that says more than comes before the end: no answer, there was no question."""
    generator = random.Random(4)
    for _ in range(30):
        raw = logged_in(router)
        raw.sock.sendall(frame(b'\x03' + generator.randbytes(300), 0, generator.choice([302, 5000, 70000])))
        raw.sock.shutdown(socket.SHUT_WR)
        assert closed_or_error(raw) is None
        raw.close()
