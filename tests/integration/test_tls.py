"""TLS between the router and real servers, in each mode, with right and wrong certificates; and that of clients."""
import contextlib

import pymysql
import pytest

import certificates
import paths
import rawclient as rc
from processes import free_port
from relay import Relay
from router import configuration, tls_settings
from servers import APP_PASSWORD, KINDS
from sessions import error_of, login, make_tenant, run, value

SERVERS = ['mariadb', pytest.param('mysql', marks=pytest.mark.slow)]


@pytest.fixture(scope='module', params=SERVERS)
def server(request, fleet):
    server = fleet(request.param)
    make_tenant(server, 'acme', 'CREATE TABLE t (x INT)')
    return server


def with_tls(server, tls: dict, **changes) -> dict:
    return {**configuration({'acme': server}, **changes), 'tls': tls}


def own_ca() -> dict:
    """The authority that signed the servers' certificates, and one of them."""
    return {name: str(path) for name, path in certificates.make(paths.run_folder() / 'tls').items()}


def other_ca() -> dict:
    return {name: str(path) for name, path in certificates.make(paths.run_folder() / 'other-tls').items()}


# --- to backends ------------------------------------------------------------------------------------------------------

# name: (tls.backends, whether the connection is encrypted; None: there is none)
MODES = {
    'disabled': (lambda: {'mode': 'disabled'}, False),
    'preferred': (lambda: {'mode': 'preferred'}, True),
    'required': (lambda: {'mode': 'required'}, True),
    'required, whoever signed': (lambda: {'mode': 'required', 'ca': other_ca()['ca']}, True),
    'verify': (lambda: {'mode': 'verify', 'ca': own_ca()['ca']}, True),
    'verify, wrong CA': (lambda: {'mode': 'verify', 'ca': other_ca()['ca']}, None),
    "verify, the system's CAs": (lambda: {'mode': 'verify', 'ca': 'system'}, None),
}


def cipher(session) -> str:
    return run(session, "SHOW SESSION STATUS LIKE 'Ssl_cipher'")[0][1]


@pytest.mark.parametrize('kind', MODES)
def test_mode_to_backends(server, routers, kind):
    settings, encrypted = MODES[kind]
    router = routers(with_tls(server, {'backends': settings()}))
    with login(router) as session:
        if encrypted is None:
            refused(session, 'certificate')
        else:
            assert bool(cipher(session)) == encrypted


def refused(session, word: str) -> None:
    """9401, with the reason, as often as one tries; the session stays."""
    for _ in range(2):
        number, message = error_of(run, session, 'SELECT * FROM tenant_acme.t')
        assert number == 9401 and 'executed=no' in message and word in message.lower(), (number, message)
    session.ping(reconnect=False)


def test_verify_looks_at_the_name(server, routers):
    """The certificate is good for localhost and 127.0.0.1; under another address it is somebody else's."""
    with Relay(server, '127.0.0.3') as relay, Relay(server) as right:
        for host, fits in ((relay, False), (right, True)):
            config = with_tls(server, {'backends': {'mode': 'verify', 'ca': own_ca()['ca']}})
            config['topology']['backends'][0]['address'] = f'{host.host}:{host.port}'
            with login(routers(config)) as session:
                if fits:
                    assert cipher(session)
                else:
                    refused(session, 'certificate')


# (the mode of all, a backend's own, whose certificates are right, whether it is encrypted; None: refused)
OWN_MODES = [
    ('verify', 'disabled', other_ca, False),
    ('verify', 'required', other_ca, True),
    ('preferred', 'verify', own_ca, True),
    ('preferred', 'verify', other_ca, None),
    ('disabled', 'verify', other_ca, None),
    ('disabled', 'required', other_ca, True),
]


@pytest.mark.parametrize('general, own, authority, encrypted', OWN_MODES)
def test_a_backends_own_mode_goes_first(server, routers, general, own, authority, encrypted):
    config = with_tls(server, {'backends': {'mode': general, 'ca': authority()['ca']}})
    config['topology']['backends'][0]['tls'] = own
    with login(routers(config)) as session:
        if encrypted is None:
            refused(session, 'certificate')
        else:
            assert bool(cipher(session)) == encrypted


def test_certificate_for_backends(server, routers):
    """An account that wants a certificate: with the router's own one it is served, without it is not."""
    server.execute(
        'DROP USER IF EXISTS strict',
        "CREATE USER strict IDENTIFIED BY 'x' REQUIRE X509",
        'GRANT SELECT ON *.* TO strict',
    )
    users = [{'name': 'strict', 'password': 'x'}]
    own = {key: own_ca()[key] for key in ('cert', 'key')}
    router = routers(with_tls(server, {'backends': own}, users=users))
    with login(router, user='strict', password='x') as session:
        assert value(session, 'SELECT CURRENT_USER()') == 'strict@%'
    router = routers(configuration({'acme': server}, users))
    with login(router, user='strict', password='x') as session:
        refused(session, 'strict')


@pytest.mark.parametrize('kind', SERVERS)
@pytest.mark.parametrize('mode', ['preferred', 'required'])
def test_a_server_without_tls(routers, own_server, kind, mode):
    server = own_server(kind)
    with login(routers(with_tls(server, {'backends': {'mode': mode}}))) as session:
        if mode == 'preferred':
            assert not cipher(session)
        else:
            refused(session, 'tls')


@pytest.fixture(scope='module')
def own_server():
    """Servers that offer no TLS."""
    with contextlib.ExitStack() as stack:
        made: dict = {}

        def start(kind):
            if kind not in made:
                off = ['--skip-ssl'] if kind == 'mariadb' else ['--tls-version=']
                made[kind] = stack.enter_context(KINDS[kind](f'{kind}-plain', off))
                make_tenant(made[kind], 'acme', 'CREATE TABLE t (x INT)')
            return made[kind]

        yield start


# --- of clients -------------------------------------------------------------------------------------------------------


@pytest.fixture(scope='module')
def places(fleet, module_routers):
    """One router with a listener for each mode; clients' own certificates are checked."""
    server = fleet('mariadb')
    make_tenant(server, 'acme', 'CREATE TABLE t (x INT)')
    config = with_tls(server, {'clients': {**tls_settings(), 'ca': own_ca()['ca']}})
    plain = config['listen']['mysql'][0]
    modes = {'preferred': plain}
    for mode in ('disabled', 'required'):
        host, port = plain['address'].split(':')
        modes[mode] = {**plain, 'address': f'{host}:{free_port()}', 'tls': mode}
        config['listen']['mysql'].append(modes[mode])
    module_routers(config)
    return {mode: Place(int(listener['address'].split(':')[1])) for mode, listener in modes.items()}


class Place:
    host = '127.0.0.1'

    def __init__(self, port):
        self.port = port


def encrypted(place, **ssl) -> bool:
    with login(place, **({'ssl': ssl} if ssl else {'ssl_disabled': True})) as session:
        assert value(session, 'SELECT 1') == 1
        return bool(session.ssl)


def test_clients_tls_required(places):
    """Without TLS: 3159 before the password is looked at, whoever it is."""
    for user, password in (('app', APP_PASSWORD), ('app', 'wrong'), ('nobody', 'x')):
        with pytest.raises(rc.ServerError) as refused:
            rc.connect(places['required'], user, password, 'tenant_acme')
        assert (refused.value.errno, refused.value.sqlstate) == (3159, 'HY000'), refused.value
    assert encrypted(places['required'], ca=own_ca()['ca'])
    with pytest.raises(rc.ServerError) as refused:
        rc.connect(places['required'], 'app', 'wrong', 'tenant_acme', tls=True)
    assert refused.value.errno == 1045


def test_clients_tls_preferred_and_disabled(places):
    assert encrypted(places['preferred'], ca=own_ca()['ca'])
    assert not encrypted(places['preferred'])
    assert not encrypted(places['disabled'])
    raw = rc.RawConnection(port=places['disabled'].port)
    assert not raw.read_greeting().capabilities & rc.SSL
    raw.close()
    raw = rc.RawConnection(port=places['preferred'].port)
    assert raw.read_greeting().capabilities & rc.SSL
    raw.close()


def test_clients_check_the_routers_certificate(places):
    assert encrypted(places['preferred'], ca=own_ca()['ca'], check_hostname=True)
    with pytest.raises(pymysql.err.OperationalError, match='certificate verify failed'):
        login(places['preferred'], ssl={'ca': other_ca()['ca']})


def test_certificates_of_clients(places):
    """One of the right authority is taken, none is too, one of another authority ends the login."""
    own, other = own_ca(), other_ca()
    for mode in ('preferred', 'required'):
        assert encrypted(places[mode], ca=own['ca'], cert=own['cert'], key=own['key'])
        assert encrypted(places[mode], ca=own['ca'])
        with pytest.raises(pymysql.err.MySQLError) as refused:
            login(places[mode], ssl={'ca': own['ca'], 'cert': other['cert'], 'key': other['key']})
        assert refused.value.args[0] in (2003, 2006, 2013), refused.value
