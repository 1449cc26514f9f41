"""Every authentication plugin on real servers: of clients with the router, and of the router with its backends."""
import base64
import hashlib

import pytest

import rawauth
import rawclient as rc
import router as router_module
from relay import Relay
from router import configuration
from servers import APP_PASSWORD
from sessions import make_tenant
from test_verifiers import NATIVE, PASSWORD, SHA2

KINDS = ['mariadb', pytest.param('mysql', marks=pytest.mark.slow)]
PLUGINS = ['mysql_native_password', 'caching_sha2_password', 'client_ed25519']


def public_key(password: str) -> str:
    """What MariaDB stores for an account with ed25519."""
    digest = hashlib.sha512(password.encode()).digest()
    scalar = int.from_bytes(digest[:32], 'little') & ((1 << 254) - 8) | 1 << 254
    key = rawauth._compress(rawauth._multiply(scalar, rawauth._base_point()))
    return base64.b64encode(key).decode().rstrip('=')


SERVICE = {'backend_user': 'app', 'backend_password': APP_PASSWORD}
USERS = [
    {'name': 'plain', 'password': PASSWORD, **SERVICE},
    {'name': 'native', 'verifier': NATIVE, **SERVICE},
    {'name': 'sha2', 'verifier': SHA2, **SERVICE},
    {'name': 'ed', 'verifier': public_key(PASSWORD), **SERVICE},
    # The password of each is learned at its first login: one for each test.
    *({'name': f'sha2_{plugin}_{tls}', 'verifier': SHA2, **SERVICE} for plugin in PLUGINS for tls in (False, True)),
]


class Witness(rc.RawConnection):
    """Keeps what it was sent during the login."""

    def __init__(self, target):
        super().__init__(target.host, target.port)
        self.seen: list[bytes] = []

    def read_packet(self) -> bytes:
        self.seen.append(super().read_packet())
        return self.seen[-1]

    def way(self) -> str:
        """How caching_sha2_password went: fast, full by RSA, full, or none (another plugin)."""
        packets = self.seen[1:]
        if b'\x01\x04' not in packets:
            return 'fast' if b'\x01\x03' in packets else 'none'
        return 'rsa' if any(p.startswith(b'\x01-----BEGIN') for p in packets) else 'full'


def log_in(target, user: str, plugin: str, tls=False, password=PASSWORD, **options) -> Witness:
    witness = Witness(target)
    try:
        witness.login(user, password, 'tenant_acme', plugin=plugin, tls=tls, **options)
    except BaseException:
        witness.close()
        raise
    return witness


@pytest.fixture(scope='module', params=KINDS)
def server(request, fleet):
    server = fleet(request.param)
    make_tenant(server, 'acme', 'CREATE TABLE t (x INT)')
    return server


@pytest.fixture(scope='module')
def router(server, module_routers):
    return module_routers(configuration({'acme': server}, users=USERS, tls=True))


# --- clients ----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize('tls', [False, True], ids=['plain', 'tls'])
@pytest.mark.parametrize('plugin', PLUGINS)
def test_password_known(router, plugin, tls):
    """The router knows the password: every plugin at its shortest, the wrong password is refused."""
    session = log_in(router, 'plain', plugin, tls)
    assert session.way() == ('fast' if plugin == 'caching_sha2_password' else 'none')
    assert session.value('SELECT CURRENT_USER()') == 'app@%'
    session.quit()
    with pytest.raises(rc.ServerError, match='Access denied') as refused:
        log_in(router, 'plain', plugin, tls, password='a tiger')
    assert refused.value.errno == 1045


@pytest.mark.parametrize('tls', [False, True], ids=['plain', 'tls'])
@pytest.mark.parametrize('plugin', PLUGINS)
def test_verifier_of_caching_sha2(router, plugin, tls):
    """Whatever the client offers, it is led to the verifier's plugin: whole at first, over TLS or by RSA, then fast."""
    user = f'sha2_{plugin}_{tls}'
    with pytest.raises(rc.ServerError) as refused:
        log_in(router, user, plugin, tls, password='a tiger')
    assert refused.value.errno == 1045
    first, second = (log_in(router, user, plugin, tls) for _ in range(2))
    assert (first.way(), second.way()) == ('full' if tls else 'rsa', 'fast')
    assert second.value('SELECT CURRENT_USER()') == 'app@%'
    with pytest.raises(rc.ServerError) as refused:  # not by what was learned either
        log_in(router, user, plugin, tls, password='a tiger')
    assert refused.value.errno == 1045
    first.quit()
    second.quit()


@pytest.mark.parametrize('plugin', PLUGINS)
@pytest.mark.parametrize('user', ['native', 'ed'])
@pytest.mark.parametrize('tls', [False, True], ids=['plain', 'tls'])
def test_other_verifiers(router, user, plugin, tls):
    """Led to their own plugin, but for a client of caching_sha2_password in TLS, which may send the password."""
    session = log_in(router, user, plugin, tls)
    own = b'mysql_native_password' if user == 'native' else b'client_ed25519'
    by_password = plugin == 'caching_sha2_password' and tls
    assert session.way() == ('full' if by_password else 'none')
    switched = any(p.startswith(b'\xfe' + own) for p in session.seen)
    assert switched or by_password or own == plugin.encode() == b'mysql_native_password'
    assert session.value('SELECT CURRENT_USER()') == 'app@%'
    session.quit()
    with pytest.raises(rc.ServerError) as refused:
        log_in(router, user, plugin, tls, password='a tiger')
    assert refused.value.errno == 1045


@pytest.mark.parametrize('tls', [False, True], ids=['plain', 'tls'])
@pytest.mark.parametrize('plugin', PLUGINS)
@pytest.mark.parametrize('user', ['plain', 'native', 'sha2', 'ed'])
def test_change_user(router, user, plugin, tls):
    session = rc.connect(router, 'plain', PASSWORD, 'tenant_acme', tls=tls)
    session.ok("SET @x = 'of the first'")
    session.change_user(user, PASSWORD, 'tenant_acme', plugin=plugin)
    assert session.rows('SELECT @x, DATABASE(), USER()')[0][:2] == (None, 'tenant_acme')
    with pytest.raises(rc.ServerError) as refused:
        session.change_user(user, 'a tiger', 'tenant_acme', plugin=plugin)
    assert refused.value.errno == 1045
    session.close()


# --- backends ---------------------------------------------------------------------------------------------------------

ACCOUNTS = {
    'mariadb': {
        'mysql_native_password': f"IDENTIFIED BY '{PASSWORD}'",
        'ed25519': f"IDENTIFIED VIA ed25519 USING PASSWORD('{PASSWORD}')",
    },
    'mysql': {'caching_sha2_password': f"IDENTIFIED WITH caching_sha2_password BY '{PASSWORD}'"},
}


def backend_place(server, routers, plugin, tls, address=None):
    """(a relay in front of the server, how to log in through it); the account is new, so nothing of it is cached."""
    server.execute(
        'DROP USER IF EXISTS lion', f'CREATE USER lion {ACCOUNTS[server.kind][plugin]}', 'GRANT ALL ON *.* TO lion'
    )
    relay = Relay(server)
    config = configuration({'acme': server}, users=[{'name': 'lion', 'password': PASSWORD}])
    config['topology']['backends'][0] |= {'address': address or f'{relay.host}:{relay.port}', 'tls': tls}
    router = routers(config)
    return relay, lambda: rc.connect(router, 'lion', PASSWORD, 'tenant_acme')


def pinned_cipher(session) -> tuple:
    """On a connection that it keeps, so that the next one needs another."""
    session.ok('BEGIN')
    session.ok('INSERT INTO t VALUES (1)')
    return session.rows("SHOW SESSION STATUS LIKE 'Ssl_cipher'")[0][1]


@pytest.mark.parametrize('tls', ['disabled', 'required'])
def test_log_on_to_backends(server, routers, tls):
    for plugin in ACCOUNTS[server.kind]:
        relay, start = backend_place(server, routers, plugin, tls)
        with relay, start() as session:
            assert session.value('SELECT CURRENT_USER()') == 'lion@%'
            assert bool(pinned_cipher(session)) == (tls == 'required')
            answers = bytes(relay.answers)
            if tls == 'disabled' and plugin == 'ed25519':
                assert b'\xfeclient_ed25519\0' in answers
            if plugin == 'caching_sha2_password':
                # The first one with the whole password, by RSA where there is no TLS; the next one fast.
                assert (b'BEGIN PUBLIC KEY' in answers) == (tls == 'disabled')
                relay.answers.clear()
                with start() as second:
                    assert bool(pinned_cipher(second)) == (tls == 'required')
                    assert b'BEGIN PUBLIC KEY' not in relay.answers
                    assert tls == 'required' or b'\x02\0\0\x02\x01\x03' in relay.answers


@pytest.mark.parametrize('tls', ['disabled', 'required'])
def test_wrong_password_at_a_backend(server, routers, tls):
    """9401, with what the server said, and the session stays."""
    for plugin in ACCOUNTS[server.kind]:
        relay, start = backend_place(server, routers, plugin, tls)
        with relay, start() as session:
            server.execute(f"ALTER USER lion {ACCOUNTS[server.kind][plugin].replace(PASSWORD, 'a tiger')}")
            error = session.query('SELECT x FROM t').error
            assert error and error.errno == 9401 and 'executed=no' in error.message, error
            server.execute(f'ALTER USER lion {ACCOUNTS[server.kind][plugin]}')
            assert session.value('SELECT CURRENT_USER()') == 'lion@%'


@pytest.mark.parametrize('mode', ['preferred', 'disabled'])
def test_backend_on_a_unix_socket(server, routers, mode):
    """No TLS is needed there: the password may go over it in clear. The server sees a client of its own machine."""
    plugin = next(iter(ACCOUNTS[server.kind]))
    _, start = backend_place(server, routers, plugin, mode, f'unix:{server.socket}')
    with start() as session:
        assert session.value('SELECT CURRENT_USER()') == 'lion@%'
        assert not pinned_cipher(session)
        hosts = server.execute("SELECT host FROM information_schema.processlist WHERE user = 'lion'")
        assert hosts == [('localhost',)]
        session.ok('ROLLBACK')
        for thread in server.threads('lion'):
            server.execute(f'KILL {thread[0]}')
        assert session.value('SELECT COUNT(*) FROM t') == '0'  # on a new connection
        assert len(session.value("SELECT REPEAT('x', 3000000)")) == 3000000


# --- what can't work --------------------------------------------------------------------------------------------------


def checked(user: dict, family: str = 'auto'):
    config = {
        'listen': {'mysql': ['127.0.0.1:3999']},
        'state_dir': '/var/tmp',
        'users': [{'name': 'app', **user}],
        'topology': {
            'backends': [{'name': 'db1', 'address': '127.0.0.1:3307', 'family': family}],
            'shards': [{'name': 's1', 'primary': 'db1'}],
            'tenants': [{'name': 'acme', 'shard': 's1'}],
        },
    }
    done = router_module.check(config)
    return done.returncode, done.stdout + done.stderr


def test_check_refuses_impossible_pairs(binary):
    ed25519 = public_key(PASSWORD)
    code, said = checked({'verifier': ed25519})
    assert code == 1 and 'users[0]' in said and 'backend_user' in said, said
    assert checked({'verifier': ed25519, **SERVICE})[0] == 0
    code, said = checked({'verifier': SHA2})
    assert code == 0 and 'warning: users[0]' in said and 'full' in said, said
    assert 'users[0].verifier' not in checked({'verifier': SHA2, **SERVICE})[1]
    code, said = checked({'verifier': NATIVE}, 'mysql')
    assert code == 0 and 'warning: users[0]' in said, said
    assert 'users[0].verifier' not in checked({'verifier': NATIVE}, 'mariadb')[1]
    code, said = checked({'verifier': '*1234'})
    assert code == 1 and 'users[0].verifier' in said, said
    code, said = checked({'verifier': NATIVE, 'password': 'x'})
    assert code == 1 and 'users[0]' in said, said
