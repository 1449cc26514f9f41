"""A server that sends nonsense, in its greeting, its login or in the middle of a result; and wrong bytes among LOCAL
INFILE data. The session gets a clear error with the right code, the other tenants notice nothing."""
import contextlib
import socket
import struct
import threading
import time

import pytest

import rawclient as rc
from processes import wait_until
from router import configuration
from servers import APP_PASSWORD
from sessions import login, make_tenant, value

pytestmark = pytest.mark.asan


def frame(payload: bytes, sequence: int, length: int | None = None) -> bytes:
    return (len(payload) if length is None else length).to_bytes(3, 'little') + bytes([sequence]) + payload


def greeting(version=b'8.0.36-fake', protocol=10, capabilities=0xFFFF & ~(32 | 2048), upper=0x01EF) -> bytes:
    body = bytes([protocol]) + version + b'\0' + struct.pack('<I', 7) + b'a' * 8 + b'\0'
    body += struct.pack('<HBHHB', capabilities, 45, 2, upper, 21) + bytes(10) + b'b' * 12 + b'\0'
    return body + b'mysql_native_password\0'


OK = b'\0\0\0' + struct.pack('<HH', 2, 0)
COLUMN = b''.join(rc.lenenc(x) for x in (b'def', b'', b'', b'', b'x', b'')) + b'\x0c' + struct.pack(
    '<HIBHBxx', 45, 80, 253, 0, 0
)
END = b'\xfe\0\0' + struct.pack('<HH', 2, 0)  # an OK packet in the place of an EOF
HEAD = frame(b'\x01', 1) + frame(COLUMN, 2)
ROW = rc.lenenc(b'one')


class FakeServer:
    """Answers logins and every command but those with the word `nonsense`, which get `answer`; what the router asks
    for itself (SET, SELECT @@...) gets an OK or one row of the value 1."""

    host, kind = '127.0.0.1', 'mysql'

    def __init__(self, greet: bytes | None = None, login: bytes | None = None, answer: bytes = b'', ends=False):
        self.greet, self.login, self.answer, self.ends = greet or frame(greeting(), 0), login, answer, ends
        self.sessions, self.statements = 0, []
        self._listener = socket.create_server(('127.0.0.1', 0))
        self.port = self._listener.getsockname()[1]
        threading.Thread(target=self._serve, daemon=True).start()

    def execute(self, *_):
        return [('8.0.36-fake',)]  # its version, for the configuration

    def stop(self):
        self._listener.close()

    def _serve(self):
        while True:
            try:
                peer, _ = self._listener.accept()
            except OSError:
                return
            self.sessions += 1
            threading.Thread(target=self._talk, args=(peer,), daemon=True).start()

    def _talk(self, peer):
        with contextlib.suppress(OSError, rc.Closed), peer:
            raw = rc.RawConnection.__new__(rc.RawConnection)
            raw.sock, raw.sequence, raw.compression, raw._net, raw.bytes_read = peer, 1, None, bytearray(), 0
            peer.sendall(self.greet)
            raw.read_packet()
            peer.sendall(self.login or frame(OK, 2))
            while True:
                raw.sequence = 0
                command = raw.read_packet()
                if command[:1] == b'\x01':
                    return
                if b'nonsense' in command:
                    self.statements.append(command)
                    peer.sendall(self.answer)
                    if self.ends:
                        return
                elif command[:1] == b'\x03' and b'SELECT' in command.upper():
                    peer.sendall(HEAD + frame(rc.lenenc(b'1'), 3) + frame(END, 4))
                else:
                    peer.sendall(frame(OK, 1))


@pytest.fixture(scope='module')
def server(fleet):
    server = fleet('mariadb')
    make_tenant(server, 'acme', 'CREATE TABLE t (x INT)')
    return server


GREETINGS = {
    'cut': frame(greeting()[:30], 0),
    'protocol 9': frame(greeting(protocol=9), 0),
    'no end of the version': frame(b'\x0a' + b'8' * 60, 0),
    'no nonce': frame(greeting()[:20], 0),
    'wrong sequence id': frame(greeting(), 5),
    'empty': frame(b'', 0),
    'length of 16 MiB': frame(greeting(), 0, 0xFFFFFF),
    'without PROTOCOL_41': frame(greeting(capabilities=0x8001), 0),
    'HTTP': b'HTTP/1.1 400 Bad Request\r\nConnection: close\r\n\r\n' + b'x' * 500,
    'noise': bytes(range(256)) * 4,
}


LOGINS = {
    'wrong sequence id': frame(OK, 9),
    'cut OK': frame(OK[:2], 2),
    'cut ERR': frame(b'\xff\x15', 2),
    'switch without end': frame(b'\xfemysql_native', 2),
    'switch to a plugin nobody knows': frame(b'\xfeno_such_plugin\0' + b'n' * 20 + b'\0', 2),
    'switch with a short nonce': frame(b'\xfemysql_native_password\0abc\0', 2),
    'more data out of turn': frame(b'\x01\x03', 2),
    'a row': frame(b'\x05hello', 2),
    'empty': frame(b'', 2),
    'noise': bytes(range(255, -1, -1)) * 4,
}


# name: (answer, what the client may have got of it before the error: packets)
ANSWERS = {
    'empty packet': (frame(b'', 1), 0),
    'cut OK': (frame(OK[:3], 1), 0),
    'no columns in a result': (frame(b'\xfc\0\0', 1), 0),
    'column count cut': (frame(b'\xfc\x01', 1), 0),
    'wrong sequence id of an OK': (frame(OK, 2), 0),
    'an OK before its statement': (frame(OK, 0), 0),
    'wrong sequence id of a column': (frame(b'\x01', 1) + frame(COLUMN, 9), 1),
    'wrong sequence id of a row': (HEAD + frame(ROW, 3) + frame(ROW, 9), 3),
    'wrong sequence id of the end': (HEAD + frame(ROW, 3) + frame(END, 1), 3),
    'cut end': (HEAD + frame(ROW, 3) + frame(b'\xfe', 4), 3),
}


BROKEN_OFF = {'row': HEAD + frame(ROW, 3)[:6], 'column': HEAD[:-3]}
TOO_MUCH = frame(OK, 1) + HEAD + frame(rc.lenenc(b'stolen'), 3) + frame(END, 4)


def all_fakes() -> dict[str, FakeServer]:
    """By tenant: a server for each kind of nonsense."""
    fakes = {f'greeting {kind}': FakeServer(greet=data) for kind, data in GREETINGS.items()}
    fakes |= {f'login {kind}': FakeServer(login=data) for kind, data in LOGINS.items()}
    fakes |= {f'answer {kind}': FakeServer(answer=data) for kind, (data, _) in ANSWERS.items()}
    fakes |= {f'broken off {kind}': FakeServer(answer=data, ends=True) for kind, data in BROKEN_OFF.items()}
    fakes['goodbye'] = FakeServer(answer=frame(b'\xff' + struct.pack('<H', 4031) + b'#HY000idle', 0), ends=True)
    fakes['too much'] = FakeServer(answer=TOO_MUCH)
    return {name.replace(' ', '-'): fake for name, fake in fakes.items()}


@pytest.fixture(scope='module')
def place(server, module_routers):
    """(router, fakes): a router for the tenant acme on a real server, and one tenant on each fake."""
    fakes = all_fakes()
    yield module_routers(
        configuration({'acme': server, **fakes}, pools={'connect_timeout': '1s', 'handshake_timeout': '1s'})
    ), fakes
    for fake in fakes.values():
        fake.stop()


@pytest.fixture
def bystander(place):
    """A session of acme that works before and after whatever the test does, and at once."""
    connection = login(place[0])
    assert value(connection, 'SELECT 1') == 1
    yield
    started = time.monotonic()
    assert value(connection, 'SELECT 2') == 2
    assert time.monotonic() - started < 2
    connection.close()


def session(router, tenant: str) -> rc.RawConnection:
    return rc.connect(router, 'app', APP_PASSWORD, f'tenant_{tenant.replace(" ", "-")}', timeout=8)


@pytest.mark.parametrize('kind', [f'greeting {kind}' for kind in GREETINGS] + [f'login {kind}' for kind in LOGINS])
def test_bad_login_of_a_server(place, bystander, kind):
    """9401: not executed, within the handshake's time limit; the session stays."""
    client = session(place[0], kind)
    for _ in range(2):
        error = client.query('SELECT x FROM t').error
        assert error and error.errno == 9401 and 'executed=no' in error.message, error
    assert client.command(rc.COM_PING, reply='ok').first[:1] == b'\0'
    client.quit()


@pytest.mark.parametrize('kind', ANSWERS)
@pytest.mark.parametrize('writes', [False, True], ids=['read', 'write'])
def test_bad_answer(place, bystander, kind, writes):
    """Sent, and no answer that means anything: its outcome is unknown. Part of a result that only read: it is
    interrupted. Once, in the right place; the connection to the server is not used again, and nothing is sent twice."""
    router, fakes = place
    fake, passed = fakes[f'answer {kind}'.replace(' ', '-')], ANSWERS[kind][1]
    client = session(router, f'answer {kind}')
    assert client.rows('SELECT x FROM t') == [('1',)]
    sent, connections = len(fake.statements), fake.sessions
    response = client.query('INSERT INTO t VALUES (nonsense)' if writes else 'SELECT nonsense FROM t')
    assert response.error and response.error.errno == (1317 if passed and not writes else 9410), response.error
    assert len(response.packets) == passed + 1
    assert client.rows('SELECT x FROM t') == [('1',)]
    assert len(fake.statements) == sent + 1, 'sent twice'
    assert fake.sessions == connections + 1, 'the connection was used again'
    client.quit()


@pytest.mark.parametrize('kind', BROKEN_OFF)
def test_gone_in_the_middle_of_a_packet(place, bystander, kind):
    """Half of a packet was forwarded: no ERR fits any more, and the connection ends."""
    client = session(place[0], f'broken off {kind}')
    with pytest.raises(rc.Closed):
        client.query('SELECT nonsense FROM t')
    client.close()


def test_goodbye_instead_of_an_answer(place, bystander):
    """The server had given the connection up before it read the statement: nothing was executed, and what it said is
    the answer, numbered as one. The next statement gets another connection."""
    client = session(place[0], 'goodbye')
    response = client.query('INSERT INTO t VALUES (nonsense)')
    assert response.error and (response.error.errno, response.error.message) == (4031, 'idle'), response.error
    assert client.rows('SELECT x FROM t') == [('1',)]
    client.quit()


def test_more_than_the_answer(place, bystander):
    """What comes behind an answer is nobody's: the connection is closed, the next statement gets its own answer."""
    client = session(place[0], 'too much')
    assert client.query('INSERT INTO t VALUES (nonsense)').error is None
    assert client.rows('SELECT x FROM t') == [('1',)]
    client.quit()


@pytest.mark.parametrize('kind', ['mariadb', pytest.param('mysql', marks=pytest.mark.slow)])
def test_wrong_bytes_among_local_data(fleet, routers, kind):
    """The router says what servers keep to themselves; what else comes is theirs to judge. Nothing goes on running."""
    server = fleet(kind)
    make_tenant(server, 'acme', 'CREATE TABLE t (x INT)')
    router = routers(configuration({'acme': server}))
    bystander = login(router)
    for data, own in (
        (frame(b'1\n', 7), 1156),
        (frame(b'1\n', 2) + frame(b'', 9), 1156),
        (frame(b'1\n', 2) + b'\x05\0', None),
    ):
        answers = []
        for target in (server, router):
            raw = rc.connect(target, 'app', APP_PASSWORD, 'tenant_acme', timeout=1)
            raw.sock.sendall(frame(b"\x03LOAD DATA LOCAL INFILE 'x' INTO TABLE t", 0))
            raw.sequence = 1
            assert raw.read_packet() == b'\xfbx'
            raw.sock.sendall(data)
            try:
                header = raw._receive(4)
                packet = raw._receive(int.from_bytes(header[:3], 'little'))
                answers.append(rc.ServerError(packet).errno if packet[:1] == b'\xff' else packet)
            except (rc.Closed, TimeoutError) as end:
                answers.append(type(end))
            raw.close()
        assert answers[1] == (own or answers[0]), (data, answers)
    wait_until(
        lambda: not any('LOAD' in (row[3] or '') for row in server.threads()), 10, 'their statements have ended'
    )
    assert value(bystander, 'SELECT 2') == 2
    bystander.close()
