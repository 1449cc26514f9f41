"""Wrong bytes at every stage, bad configurations: a clear error, and nobody else is disturbed."""
import copy
import os
import random
import socket
import struct
import subprocess

import pytest

import paths
import rawclient as rc
import router as router_module
from processes import free_port, wait_until
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


# --- configurations -----------------------------------------------------------------------------------------------

GOOD = {
    'listen': {'mysql': ['127.0.0.1:3999']},
    'state_dir': '/var/tmp',
    'users': [{'name': 'app', 'password': 'x'}],
    'tenancy': {'username_pattern': '{user}@{tenant}', 'unassigned': 'reject'},
    'topology': {
        'backends': [{'name': 'db1', 'address': '127.0.0.1:3307'}],
        'shards': [{'name': 's1', 'primary': 'db1'}],
        'tenants': [{'name': 'acme', 'shard': 's1'}],
    },
}


def broken(change) -> dict:
    config = copy.deepcopy(GOOD)
    change(config)
    return config


def put(config, path, value):
    *parents, last = path
    for key in parents:
        config = config[key]
    config[last] = value


# name: (configuration or text, a word that the error must hold)
BAD = {
    'no such key': (broken(lambda c: put(c, ['lisen'], 1)), 'lisen'),
    'no such nested key': (broken(lambda c: put(c, ['topology', 'shards', 0, 'primry'], 'db1')), 'primry'),
    'not YAML': ('listen: [unclosed', '1'),
    'a list at the top': ('- a\n- b\n', '1'),
    'empty': ('', ''),
    'tab indentation': ('listen:\n\tmysql: x\n', '2'),
    'no listener': (broken(lambda c: c.pop('listen')), 'listen'),
    'port too large': (broken(lambda c: put(c, ['listen', 'mysql'], ['127.0.0.1:70000'])), 'mysql'),
    'port missing': (broken(lambda c: put(c, ['topology', 'backends', 0, 'address'], '127.0.0.1:')), 'address'),
    'shard without backend': (broken(lambda c: put(c, ['topology', 'shards', 0, 'primary'], 'db9')), 'db9'),
    'tenant without shard': (broken(lambda c: put(c, ['topology', 'tenants', 0, 'shard'], 's9')), 's9'),
    'backend twice': (
        broken(lambda c: c['topology']['backends'].append({'name': 'db1', 'address': '127.0.0.1:3308'})),
        'db1',
    ),
    'tenant twice': (broken(lambda c: c['topology']['tenants'].append({'name': 'acme', 'shard': 's1'})), 'acme'),
    'shard twice': (broken(lambda c: c['topology']['shards'].append({'name': 's1', 'primary': 'db1'})), 's1'),
    'user twice': (broken(lambda c: c['users'].append({'name': 'app', 'password': 'y'})), 'app'),
    'user without password': (broken(lambda c: c['users'].append({'name': 'bob'})), 'users[1]'),
    'two kinds of password': (broken(lambda c: put(c, ['users', 0, 'password_env'], 'HOME')), 'users[0]'),
    'password file missing': (
        broken(lambda c: put(c, ['users'], [{'name': 'a', 'password_file': '/nonexistent/file'}])),
        'password_file',
    ),
    'password variable missing': (
        broken(lambda c: put(c, ['users'], [{'name': 'a', 'password_env': 'NO_SUCH_VARIABLE_HERE'}])),
        'NO_SUCH_VARIABLE_HERE',
    ),
    'unknown pooling': (broken(lambda c: put(c, ['users', 0, 'pooling'], 'statement')), 'pooling'),
    'duration without unit': (broken(lambda c: put(c, ['hold'], {'max_wait': 10})), 'max_wait'),
    'size nonsense': (broken(lambda c: put(c, ['hold'], {'max_bytes': '64 apples'})), 'max_bytes'),
    'negative': (broken(lambda c: put(c, ['workers'], -1)), 'workers'),
    'pattern without tenant': (broken(lambda c: put(c, ['tenancy', 'username_pattern'], '{user}')), 'username_pattern'),
    'unassigned to nowhere': (broken(lambda c: put(c, ['tenancy', 'unassigned'], {'shard': 's9'})), 's9'),
    'unknown policy': (broken(lambda c: put(c, ['hold'], {'policy': 'pray'})), 'policy'),
    'certificate missing': (
        broken(lambda c: put(c, ['tls'], {'clients': {'cert': '/nonexistent.pem', 'key': '/nonexistent.key'}})),
        'cert',
    ),
    'key twice': ('listen: {mysql: ["127.0.0.1:3999"]}\nlisten: {mysql: ["127.0.0.1:3998"]}\n', '2'),
}


@pytest.mark.parametrize('kind', BAD)
def test_bad_configuration(binary, kind):
    config, word = BAD[kind]
    done = router_module.check(config)
    said = done.stdout + done.stderr
    assert done.returncode == 1, f'exit code {done.returncode}: {said}'
    assert word in said and ':' in said, said
    assert 'terminate' not in said and 'yaml-cpp' not in said, said


def test_good_configuration(binary):
    done = router_module.check(GOOD)
    assert done.returncode == 0, done.stdout + done.stderr


def test_user_for_an_unknown_tenant_is_a_warning(binary):
    """The tenant may come later; a slip of the pen should still be seen."""
    done = router_module.check(broken(lambda c: put(c, ['users', 0, 'tenants'], ['acmee'])))
    assert done.returncode == 0 and 'acmee' in done.stdout + done.stderr


def test_error_names_the_line(binary):
    text = 'listen:\n  mysql: ["127.0.0.1:3999"]\nusers:\n  - name: app\n    password: x\n    poolin: session\n'
    done = router_module.check(text)
    assert ':6:' in done.stdout + done.stderr, done.stdout + done.stderr


def test_no_secret_in_errors(binary):
    done = router_module.check(
        broken(lambda c: put(c, ['users', 0], {'name': 'app', 'password': 'TopSecret77', 'poolin': 1}))
    )
    assert done.returncode == 1 and 'TopSecret77' not in done.stdout + done.stderr


def test_serve_refuses_a_bad_configuration(binary):
    path = paths.run_folder() / 'bad.yaml'
    path.write_text('lisen: 1\n')
    done = subprocess.run(
        [str(paths.BINARY), 'serve', '--config', str(path)],
        capture_output=True,
        text=True,
        timeout=10,
        stdin=subprocess.DEVNULL,
    )
    assert done.returncode not in (0, 101) and 'lisen' in done.stdout + done.stderr


def test_serve_refuses_a_taken_port(binary, server):
    with socket.socket() as taken:
        taken.bind(('127.0.0.1', 0))
        taken.listen()
        config = configuration({'acme': server})
        config['listen']['mysql'][0]['address'] = f'127.0.0.1:{taken.getsockname()[1]}'
        config['state_dir'] = str(paths.run_folder())
        path = paths.run_folder() / 'taken.yaml'
        path.write_text(router_module.yaml.safe_dump(config))
        done = subprocess.run(
            [str(paths.BINARY), 'serve', '--config', str(path)],
            capture_output=True,
            text=True,
            timeout=10,
            stdin=subprocess.DEVNULL,
        )
        assert done.returncode != 0 and str(taken.getsockname()[1]) in done.stdout + done.stderr


def test_command_line(binary):
    def said(*argv):
        done = subprocess.run(
            [str(paths.BINARY), *argv], capture_output=True, text=True, timeout=10, stdin=subprocess.DEVNULL
        )
        return done.returncode, done.stdout + done.stderr

    assert said('--version')[0] == 0 and 'bulkhead' in said('--version')[1]
    assert said('--help')[0] == 0 and 'serve' in said('--help')[1]
    assert said('serve')[0] != 0
    assert said('nonsense')[0] != 0
    assert said('check', '/nonexistent/file.yaml')[0] != 0
    assert free_port() and os.path.exists(paths.BINARY)
