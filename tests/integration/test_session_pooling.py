"""Session pooling: what a direct connection shows of its client and of its server shows here as well."""
import pytest

import rawclient as rc
from processes import wait_until
from router import configuration, set_every_user
from servers import APP_PASSWORD
from sessions import make_tenant

DATABASE = 'tenant_acme'
ATTRIBUTES = """SELECT attr_value FROM performance_schema.session_connect_attrs
    WHERE attr_name = 'who' AND processlist_id = CONNECTION_ID()"""


@pytest.fixture(params=['mariadb', pytest.param('mysql', marks=pytest.mark.full)])
def server(fleet, request):
    server = fleet(request.param)
    make_tenant(server, 'acme')
    return server


@pytest.fixture
def router(server, routers):
    return routers(set_every_user(configuration({'acme': server}, workers=1), pooling='session'))


def connect(router, **options) -> rc.RawConnection:
    return rc.connect(router, 'app', APP_PASSWORD, DATABASE, **options)


def leave(server, connection):
    connection.quit()
    wait_until(lambda: all(row[1] == 'Sleep' for row in server.threads()), 10, 'the connection is given back')


def test_attributes_are_the_clients_own(server, router):
    for who in ('one', 'one', 'two', 'three'):
        connection = connect(router, attributes={'who': who})
        assert connection.value(ATTRIBUTES) == who
        leave(server, connection)
    first, second = connect(router, attributes={'who': 'first'}), connect(router, attributes={'who': 'second'})
    assert [c.value(ATTRIBUTES) for c in (first, second, first)] == ['first', 'second', 'first']
    second.change_user('app', APP_PASSWORD, DATABASE, attributes={'who': 'changed'})
    assert second.value(ATTRIBUTES) == 'changed'
    assert first.value(ATTRIBUTES) == 'first'
    first.quit()
    second.quit()


def test_a_session_begins_with_the_global_variables_of_now(server, router):
    try:
        for margin in (3, 5, 7):
            server.execute(f'SET GLOBAL div_precision_increment = {margin}')
            connection = connect(router)
            assert connection.value('SELECT @@div_precision_increment') == str(margin)
            leave(server, connection)
    finally:
        server.execute('SET GLOBAL div_precision_increment = 4')


def test_compression_is_as_the_client_has_it(server, router):
    compressions = ['zlib', None, 'zlib', *(['zstd', None] if server.kind == 'mysql' else [])]
    for compression in compressions:
        connection = connect(router, compress=compression)
        shown = dict(connection.rows("SHOW SESSION STATUS LIKE 'Compression%'"))
        assert shown['Compression'] == ('ON' if compression else 'OFF'), (compression, shown)
        assert shown.get('Compression_algorithm', compression or '') == (compression or ''), (compression, shown)
        assert len(connection.value("SELECT REPEAT('ab', 100000)")) == 200000
        leave(server, connection)


def test_what_the_server_closes_is_closed(server, router):
    other = connect(router)
    other.ok('SELECT 1')
    connection = connect(router)
    connection.ok('SET wait_timeout = 1')
    connection.sock.settimeout(10)
    last_word = b''.join(iter(lambda: connection.sock.recv(4096), b''))
    # MySQL says why (4031) before it closes.
    assert last_word[4:7] == (b'\xff\xbf\x0f' if server.kind == 'mysql' else b''), last_word
    assert other.value('SELECT 2') == '2'
    other.quit()
