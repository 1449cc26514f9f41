"""Where the tenant comes from, in which precedence, and who is refused what."""
import struct

import pytest

import rawclient as rc
from router import configuration
from servers import APP_PASSWORD
from sessions import error_of, login, make_tenant, run, value

pytestmark = pytest.mark.asan
WHERE = 'SELECT @@port'
SERVER_OF = {'acme': 1, 'globex': 2, 'initech': 1, 'umbrella': 2}


@pytest.fixture(scope='module')
def town(fleet):
    """{tenant: server}, every tenant with a table that says whose it is."""
    servers = {tenant: fleet('mariadb', number) for tenant, number in SERVER_OF.items()}
    for tenant, server in servers.items():
        make_tenant(server, tenant, 'CREATE TABLE who (name VARCHAR(20))', f"INSERT INTO who VALUES ('{tenant}')")
    return servers


@pytest.fixture(scope='module')
def router(town, module_routers):
    users = [
        {'name': 'app', 'password': APP_PASSWORD},
        {
            'name': 'narrow',
            'password': 'n',
            'tenants': ['acme', 'initech'],
            'backend_user': 'app', 'backend_password': APP_PASSWORD,
        },
    ]
    return module_routers(configuration(town, users=users))


def raw(router, user='app', db=None, tenant=None, password=APP_PASSWORD):
    return rc.connect(router, user, password, db, attributes={'tenant': tenant} if tenant else {'program': 'test'})


def port_of(session: rc.RawConnection, comment='') -> int:
    return int(session.value(f'{comment}{WHERE}'))


def test_each_source(router, town):
    for tenant, server in town.items():
        with raw(router, user=f'app@{tenant}') as by_user:
            assert port_of(by_user) == server.port
        with raw(router, db=f'tenant_{tenant}') as by_database:
            assert port_of(by_database) == server.port
            assert by_database.value('SELECT name FROM who') == tenant
        with raw(router, tenant=tenant) as by_attribute:
            assert port_of(by_attribute) == server.port
        with raw(router) as by_variable:
            by_variable.ok(f"SET @tenant = '{tenant}'")
            assert port_of(by_variable) == server.port
        with raw(router) as by_comment:
            assert port_of(by_comment, f'/* tenant={tenant} */ ') == server.port


LEVELS = ['database', 'user', 'attribute', 'variable', 'comment']


@pytest.mark.parametrize('lower', range(4))
def test_precedence(router, town, lower):
    """Each source beats all those below it."""
    for upper in range(lower + 1, 5):
        chosen = {LEVELS[lower]: 'acme', LEVELS[upper]: 'globex'}
        try:
            with raw(
                router,
                user='app' + (f'@{chosen["user"]}' if 'user' in chosen else ''),
                db=f'tenant_{chosen["database"]}' if 'database' in chosen else None,
                tenant=chosen.get('attribute'),
            ) as session:
                if 'variable' in chosen:
                    session.ok(f"SET @tenant = '{chosen['variable']}'")
                comment = f'/* tenant={chosen["comment"]} */ ' if 'comment' in chosen else ''
                assert port_of(session, comment) == town['globex'].port, f'{LEVELS[upper]} over {LEVELS[lower]}'
        except rc.ServerError as error:
            # The session's database is another tenant's schema then: the upper source counts, and login or statement is
            # refused.
            assert error.errno in (9406, 1049) and LEVELS[lower] == 'database', error


def test_comment_counts_for_its_statement_only(router, town):
    with raw(router, user='app@acme') as session:
        for _ in range(3):
            assert port_of(session, '/* tenant=globex */ ') == town['globex'].port
            assert port_of(session) == town['acme'].port


def test_bound_parameter(router, town):
    with raw(router) as session:
        response, statement = session.prepare('SET @tenant = ?')
        assert not response.error
        for tenant in ('globex', 'acme'):
            done = session.execute(statement, [rc.Parameter(253, rc.lenenc(tenant.encode()))])
            assert not done.error, done.error
            assert port_of(session) == town[tenant].port


@pytest.mark.parametrize(
    'statement',
    [
        "SET @tenant = CONCAT('ac', 'me')",
        'SET @tenant = (SELECT 1)',
        "SELECT @tenant := CONCAT('a', 'b')",
        "SET @tenant = @other",
        "SELECT 'acme' INTO @tenant",
    ],
)
def test_tenant_must_be_a_literal(router, statement):
    with raw(router, user='app@acme') as session:
        assert session.query(statement).error.errno == 9406
        assert session.value('SELECT 1') == '1'


def test_no_change_inside_a_transaction(router, town):
    with raw(router) as session:
        session.ok("SET @tenant = 'acme'")
        session.ok('BEGIN')
        session.ok("INSERT INTO tenant_acme.who VALUES ('x')")
        for statement in (
            "SET @tenant = 'globex'",
            '/* tenant=globex */ SELECT 1 FROM tenant_globex.who',
            'USE tenant_globex',
        ):
            error = session.query(statement).error
            assert error and (error.errno, error.sqlstate) == (9406, 'HY000'), f'{statement}: {error}'
        assert session.value('SELECT COUNT(*) FROM tenant_acme.who') == '2'
        session.ok('ROLLBACK')
        session.ok("SET @tenant = 'globex'")
        assert port_of(session) == town['globex'].port


@pytest.mark.parametrize(
    'statement',
    [
        'SELECT * FROM tenant_initech.who',
        'USE tenant_initech',
        'INSERT INTO `tenant_initech`.who VALUES (1)',
        'DROP DATABASE tenant_initech',
        'SELECT 1 FROM tenant_acme.who JOIN tenant_initech.who',
        'SHOW TABLES FROM tenant_initech',
        'CALL tenant_initech.p()',
        'SELECT tenant_initech.f(1)',
    ],
)
def test_another_tenants_schema(router, statement):
    """Also when it lies on the same server."""
    with raw(router, user='app@acme') as session:
        error = session.query(statement).error
        assert error and (error.errno, error.sqlstate) == (9406, 'HY000'), f'{error}'
        assert session.value('SELECT name FROM tenant_acme.who') == 'acme'


def test_another_tenants_schema_in_init_db_and_prepare(router):
    with raw(router, user='app@acme') as session:
        assert session.command(rc.COM_INIT_DB, b'tenant_initech', 'ok').error.errno == 9406
        assert session.prepare('SELECT * FROM tenant_initech.who')[0].error.errno == 9406
        assert session.value('SELECT 1') == '1'


@pytest.mark.parametrize(
    'statement',
    [
        'SELECT 1',
        'SET NAMES utf8mb4',
        'SELECT @@version_comment LIMIT 1',
        'SET autocommit = 1',
        'SELECT @@session.autocommit',
        "SET sql_mode = 'ANSI_QUOTES'",
        'SET @x = 1',
    ],
)
def test_before_a_tenant_is_known(router, statement):
    with raw(router) as session:
        response = session.query(statement)
        assert not response.error, response.error
        session.ok("SET @tenant = 'globex'")
        assert session.value('SELECT name FROM tenant_globex.who') == 'globex'


def test_state_set_before_the_tenant_reaches_it(router):
    with raw(router) as session:
        session.ok("SET NAMES latin1, sql_mode = 'ANSI_QUOTES', time_zone = '+04:00'")
        session.ok("SET @tenant = 'globex'")
        assert session.rows('SELECT @@character_set_client, @@sql_mode, @@time_zone') == [
            ('latin1', 'ANSI_QUOTES', '+04:00')
        ]


def test_no_tenant(router):
    with raw(router) as session:
        for statement in ('SELECT * FROM who', 'INSERT INTO who VALUES (1)', 'SHOW TABLES'):
            error = session.query(statement).error
            assert error and (error.errno, error.sqlstate) == (1049, '42000'), f'{statement}: {error}'
        assert session.command(rc.COM_PING, reply='ok').first[:1] == b'\0'
        assert session.prepare('SELECT * FROM who')[0].error.errno == 1049


def test_unknown_tenant(router):
    def first_statement(**options):
        with raw(router, **options) as session:
            return session.ok('SELECT * FROM who')

    for options in ({'user': 'app@nobody'}, {'db': 'tenant_nobody'}, {'tenant': 'nobody'}):
        with pytest.raises(rc.ServerError) as caught:
            first_statement(**options)
        assert (caught.value.errno, caught.value.sqlstate) == (1049, '42000'), options
    with raw(router) as session:
        for statement in ("/* tenant=nobody */ SELECT 1 FROM who", "SET @tenant = 'nobody'"):
            error = session.query(statement).error
            assert error is None or error.errno == 1049
        assert session.query('SELECT * FROM who').error.errno == 1049


def test_restricted_user(router, town):
    with raw(router, 'narrow@initech', password='n') as session:
        assert port_of(session) == town['initech'].port
        for statement in ('/* tenant=globex */ SELECT 1 FROM who', "SET @tenant = 'globex'"):
            error = session.query(statement).error
            assert error and (error.errno, error.sqlstate) == (1044, '42000'), f'{statement}: {error}'
    with pytest.raises(rc.ServerError) as caught:
        with raw(router, 'narrow@globex', password='n') as session:
            session.ok('SELECT * FROM who')
    assert (caught.value.errno, caught.value.sqlstate) == (1044, '42000')


def test_bad_password_and_unknown_user(router):
    for user, password in (('app@acme', 'wrong'), ('nobody@acme', 'x'), ('app@acme', ''), ('', ''), ('app', 'wrong')):
        with pytest.raises(rc.ServerError) as caught:
            raw(router, user, password=password)
        assert (caught.value.errno, caught.value.sqlstate) == (1045, '28000'), user


def test_physical_database(town, fleet, routers):
    """Every application says `app`; each tenant's rows lie in a schema of its own."""
    server = fleet('mariadb', 1)
    for tenant in ('red', 'blue'):
        server.execute(
            f'DROP DATABASE IF EXISTS t_{tenant}',
            f'CREATE DATABASE t_{tenant}',
            f'CREATE TABLE t_{tenant}.who (name VARCHAR(20))',
            f"INSERT INTO t_{tenant}.who VALUES ('{tenant}')",
        )
    router = routers(
        configuration(
            {'red': server, 'blue': server},
            tenancy={'username_pattern': '{user}@{tenant}', 'physical_database': 't_{tenant}', 'unassigned': 'reject'},
        )
    )
    for tenant in ('red', 'blue'):
        with raw(router, user=f'app@{tenant}', db='app') as session:
            assert session.value('SELECT name FROM who') == tenant
        with raw(router, user=f'app@{tenant}') as session:
            session.ok('USE app')
            assert session.value('SELECT name FROM who') == tenant
        with raw(router, user=f'app@{tenant}') as session:
            assert not session.command(rc.COM_INIT_DB, b'app', 'ok').error
            assert session.value('SELECT name FROM who') == tenant
    with raw(router, db='app') as session:
        session.ok("SET @tenant = 'red'")
        assert session.value('SELECT name FROM who') == 'red'
        session.ok("SET @tenant = 'blue'")
        assert session.value('SELECT name FROM who') == 'blue'


def test_unassigned_tenants(town, routers):
    """To a shard by name, or by slots over all shards; the same tenant always to the same one."""
    names = {tenant: town[tenant] for tenant in ('acme', 'globex')}
    to_shard = routers(configuration(names, tenancy={'unassigned': {'shard': 's2'}}))
    with raw(to_shard, user='app@stranger') as session:
        assert port_of(session) == town['globex'].port
    by_slots = routers(configuration(names, tenancy={'unassigned': 'slots'}))
    ports = {}
    for number in range(40):
        with raw(by_slots, user=f'app@stranger{number}') as session:
            ports[number] = port_of(session)
        with raw(by_slots, user=f'app@stranger{number}') as session:
            assert port_of(session) == ports[number]
    assert set(ports.values()) == {town['acme'].port, town['globex'].port}


def test_change_user_changes_the_tenant(router, town):
    with raw(router, user='app@acme') as session:
        assert port_of(session) == town['acme'].port
        session.change_user('app@globex', APP_PASSWORD)
        assert port_of(session) == town['globex'].port
        assert session.value('SELECT name FROM tenant_globex.who') == 'globex'


def test_pymysql_with_tenant_in_user_name(router):
    connection = login(router, 'globex', database='tenant_globex')
    assert value(connection, 'SELECT name FROM who') == 'globex'
    assert error_of(run, connection, 'SELECT * FROM tenant_umbrella.who')[0] == 9406
    connection.close()


def test_multi_statement_with_two_tenants(router):
    """A text with several statements goes to one tenant; a second one inside is refused as a whole."""
    with raw(router, user='app@acme') as session:
        response = session.query("INSERT INTO tenant_acme.who VALUES ('half'); SELECT * FROM tenant_globex.who")
        assert response.error and response.error.errno == 9406
        assert session.value("SELECT COUNT(*) FROM tenant_acme.who WHERE name = 'half'") == '0'


def test_prepared_statement_knows_its_tenant(router, town):
    with raw(router, user='app') as session:
        session.ok("SET @tenant = 'acme'")
        _, statement = session.prepare(WHERE)
        ports = []
        for tenant in ('acme', 'globex', 'acme'):
            session.ok(f"SET @tenant = '{tenant}'")
            response = session.execute(statement)
            assert not response.error
            ports.append(struct.unpack_from('<Q', response.packets[2][1] + bytes(8), 2)[0] & 0xFFFF)
        assert ports == [town[t].port for t in ('acme', 'globex', 'acme')]
