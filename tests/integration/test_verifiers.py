"""Users of whom only what a server stores is configured: they reach backends once they have logged in."""
import hashlib

import pymysql
import pymysql._auth
import pytest

import sessions
from router import configuration

PASSWORD = 'a lion, asleep'
NATIVE = '*' + hashlib.sha1(hashlib.sha1(PASSWORD.encode()).digest()).hexdigest().upper()
# What MySQL 9.7 stored for this password: $A$005$, a salt of 20 bytes, 43 characters of SHA-crypt.
SHA2 = (
    '0x2441243030412457552B2B2A071D3D14265B493242106923701B42595352666E685451523151785A456C424B3371775A'
    '7A7644356462686B614D614371656E704B54534B2F42'
)


@pytest.fixture(params=['mariadb', 'mysql'])
def server(request, fleet):
    server = fleet(request.param)
    sessions.make_tenant(server, 'acme')
    server.execute(
        'DROP USER IF EXISTS lion',
        f"CREATE USER lion IDENTIFIED BY '{PASSWORD}'",
        'GRANT SELECT ON *.* TO lion',
    )
    return server


def make(routers, server, verifier):
    # MySQL's greeting: its clients start with caching_sha2_password, whatever the backend is.
    config = configuration({'acme': server}, users=[{'name': 'lion', 'verifier': verifier}], family='mysql', tls=True)
    config['listen']['mysql'][0]['version'] = '9.7.0-bulkhead'
    return routers(config)


def who(router, **options) -> str:
    connection = sessions.login(router, user='lion', password=options.pop('password', PASSWORD), **options)
    try:
        return sessions.value(connection, 'SELECT CURRENT_USER()')
    finally:
        connection.close()


def test_sha2_verifier(routers, server, monkeypatch):
    router = make(routers, server, SHA2)
    assert sessions.error_of(lambda: who(router, password='a tiger', ssl={'ca': None}))[0] == 1045
    assert who(router, ssl={'ca': None}) == 'lion@%'

    # From now on the scramble alone is enough: neither TLS nor a public key is needed.
    def must_not(*_):
        raise AssertionError('full authentication')

    monkeypatch.setattr(pymysql._auth, 'sha2_rsa_encrypt', must_not)
    assert who(router, ssl_disabled=True) == 'lion@%'
    monkeypatch.undo()
    assert sessions.error_of(lambda: who(router, password='a tiger', ssl={'ca': None}))[0] == 1045


def test_sha2_verifier_by_public_key(routers, server):
    assert who(make(routers, server, SHA2), ssl_disabled=True) == 'lion@%'


def test_one_users_wrong_account_is_nobody_elses_trouble(routers, server):
    """A login that a backend refuses says nothing about the backend."""
    sound = {'name': 'sound', 'password': 's', 'backend_user': 'lion', 'backend_password': PASSWORD}
    wrong = {'name': 'wrong', 'password': 'w', 'backend_user': 'lion', 'backend_password': 'a tiger'}
    router = routers(configuration({'acme': server}, users=[sound, wrong]))
    for _ in range(3):
        stranger = sessions.login(router, user='wrong', password='w')
        assert sessions.error_of(sessions.value, stranger, 'SELECT 1')[0] == 9401
        connection = sessions.login(router, user='sound', password='s')
        assert sessions.value(connection, 'SELECT CURRENT_USER()') == 'lion@%'
        connection.close()
        for row in server.threads('lion'):
            server.execute(f'KILL {row[0]}')


def test_native_verifier(routers, server):
    router = make(routers, server, NATIVE)
    if server.kind == 'mariadb':
        # A scramble of mysql_native_password serves backends that speak it.
        assert who(router, ssl_disabled=True) == 'lion@%'
    else:
        number, message = sessions.error_of(lambda: who(router, ssl_disabled=True))
        assert number == 9401, message
        assert 'executed=no' in message
    # Over TLS the password itself is asked for. It serves every backend, also for later sessions that show less.
    assert who(router, ssl={'ca': None}) == 'lion@%'
    assert who(router, ssl_disabled=True) == 'lion@%'
    assert sessions.error_of(lambda: who(router, password='a tiger', ssl_disabled=True))[0] == 1045
