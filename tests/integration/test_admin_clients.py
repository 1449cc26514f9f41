"""The admin listener with real clients: command lines of both families, drivers, what graphical clients ask."""
import os
import subprocess
from pathlib import Path

import pytest

import mysql_sid
import paths
from admin_place import ADMIN, Operator, admin_port, configuration, wait_operators
from hang_fleet import shared_fleet, wait_all_up
from test_clients import need, run
from terminal import Terminal

pytestmark = pytest.mark.slow
HERE = Path(__file__).resolve().parent / 'clients'


@pytest.fixture(scope='module')
def router(binary, module_routers):
    from router import tls_settings

    config = configuration(shared_fleet(), tls={'clients': tls_settings()})
    config['listen']['admin'] = {'address': config['listen']['admin'], 'tls': 'preferred'}
    router = module_routers(config)
    wait_all_up(router)
    wait_operators(router).close()
    return router


def mysql9() -> list:
    reason = mysql_sid.unavailable()
    if reason or os.environ.get('BULKHEAD_NO_MYSQL'):
        pytest.skip(reason or 'BULKHEAD_NO_MYSQL is set')
    return mysql_sid.command('usr/bin/mysql')


def command_line(program: list, router, *options) -> list:
    return [
        *program,
        '--no-defaults',
        '-h127.0.0.1',
        f'-P{admin_port(router)}',
        f'-u{ADMIN[0]}',
        f'-p{ADMIN[1]}',
        '--protocol=tcp',
        *options,
    ]


BATCH = """
SHOW SHARDS LIKE 's1';
SELECT name, state FROM backends WHERE name = 'db1';
HOLD TENANT t1;
RELEASE TENANT t1;
SHOW BAKENDS;
SHOW WARNINGS;
USE information_schema;
USE bulkhead;
SHOW TABLES;
DESCRIBE holds;
help DRAIN;
SELECT 'after the error' AS x;
"""


def check_batch(out: str) -> None:
    for wanted in (
        's1',
        'db1',
        'tenant t1 is held by an operator',
        'tenant t1 is released',
        'ERROR 1064 (42000)',
        'did you mean BACKENDS?',
        'after the error',
        'primary_backend',
        'DRAIN BACKEND <backend>',
    ):
        assert wanted in out, (wanted, out)


@pytest.mark.parametrize('options', [[], ['--ssl']], ids=['plain', 'tls'])
def test_mariadb_command_line(router, options):
    check_batch(run(command_line(['mariadb'], router, '--force', '-vv', *options), BATCH))


@pytest.mark.parametrize('options', [['--ssl-mode=DISABLED', '--get-server-public-key'], ['--ssl-mode=REQUIRED']])
def test_mysql_9_command_line(router, options):
    check_batch(run(command_line(mysql9(), router, '--force', '-vv', *options), BATCH))


def test_mysqladmin(router):
    tools = [['mariadb-admin']]
    if not mysql_sid.unavailable():
        tools.append(mysql_sid.command('usr/bin/mysqladmin'))
    for tool in tools:
        assert 'alive' in run(command_line(tool, router, 'ping'))
        assert 'Uptime: ' in run(command_line(tool, router, 'status'))
        run(command_line(tool, router, 'processlist'))
        assert 'hold.max_wait' in run(command_line(tool, router, 'variables'))


def use_terminal(argv: list, prompt: str) -> None:
    """Start-up with the list of tables and columns for completion (no -A), a statement, a DRAIN with Ctrl-C."""
    with Terminal(argv) as terminal:
        terminal.read_until(prompt, 40)
        terminal.type('SHOW SHARDS;\n')
        assert 'primary_backend' in terminal.read_until(prompt)
        terminal.type("SELECT name FROM backends WHERE name = 'db1'\\G\n")
        assert 'name: db1' in terminal.read_until(prompt)
        terminal.type('\\q\n')
        assert terminal.wait() == 0


def test_mariadb_on_a_terminal(router):
    use_terminal(command_line(['mariadb'], router, 'bulkhead'), ']> ')


def test_mysql_9_on_a_terminal(router):
    use_terminal(command_line(mysql9(), router, 'bulkhead'), 'mysql> ')


def test_mysqlclient(router):
    script = f'''
import MySQLdb
who = dict(user="{ADMIN[0]}", password="{ADMIN[1]}", db="bulkhead")
c = MySQLdb.connect(host="127.0.0.1", port={admin_port(router)}, client_flag=65536, **who)
cursor = c.cursor()
cursor.execute("SELECT name FROM shards WHERE name = %s", ("s1",))
print(cursor.fetchall())
cursor.execute("HOLD TENANT t1")
cursor.execute("RELEASE TENANT t1")
try:
    cursor.execute("SELECT * FROM nowhere")
except MySQLdb.Error as error:
    print(error.args[0])
c.commit()
cursor.execute("SELECT 1; SELECT 2")
print(cursor.fetchall(), cursor.nextset(), cursor.fetchall())
print("ok")
'''
    out = run(['/usr/bin/python3', '-c', script])
    assert "(('s1',),)" in out and '1146' in out and out.strip().endswith('ok'), out


def test_node(router):
    node = need('node')
    modules = paths.cache_folder() / 'node/node_modules'
    if not (modules / 'mysql2').exists():
        pytest.skip('node has no mysql2 (deploy/install-dependencies clients)')
    out = run(
        [node, HERE / 'admin_mysql2.js', '127.0.0.1', admin_port(router), *ADMIN], env={'NODE_PATH': str(modules)}
    )
    lines = out.splitlines()
    assert lines[0] == 'shards s1,s2,s3,s4'
    assert '{"name":"s1","epoch":1,"max_wait":null}' in lines[1]
    assert 'limited 2' in lines and '[{"a":1,"b":"it\'s","c":1.5}]' in lines
    assert any(line.startswith('held 0 tenant t1 is held') for line in lines), out
    assert [line for line in lines if line.startswith('error')] == [
        'error 1146 42S02', 'error 1146 42S02', 'error 1064 42000', 'error 1064 42000', 'error 9421 HY000',
        'error 9421 HY000',
    ]  # fmt: skip
    assert 'pool 1560' in lines and lines[-1] == 'ok'


def test_java(router):
    need('javac')
    jar = Path('/usr/share/java/mariadb-java-client.jar')
    if not jar.exists():
        pytest.skip('libmariadb-java is not installed')
    classes = paths.run_folder() / 'java'
    run(['javac', '-d', classes, HERE / 'Admin.java'])
    class_path = ':'.join(map(str, [classes, jar, *Path('/usr/share/java').glob('jna*.jar')]))
    out = run(['java', '-cp', class_path, 'Admin', '127.0.0.1', admin_port(router), *ADMIN])
    assert 'catalogs bulkhead,information_schema' in out
    assert 'tables backends,events,holds' in out
    assert 'columns shard,tenant,kind,held' in out
    assert 'prepared s2 1 null' in out
    assert out.count('error 1146') == 2 and out.rstrip().endswith('ok'), out


def test_sqlalchemy_like_start(router):
    """What ORMs ask when they connect."""
    with Operator(router) as operator:
        for sql in (
            'SELECT VERSION()',
            'SELECT @@transaction_isolation',
            'SELECT DATABASE()',
            'SELECT @@sql_mode',
            'SELECT @@lower_case_table_names',
            "SHOW VARIABLES LIKE 'sql_mode'",
            'SET NAMES utf8mb4 COLLATE utf8mb4_general_ci',
            "SET SESSION sql_mode = 'ANSI'",
            'START TRANSACTION',
            'ROLLBACK',
        ):
            operator(sql)


def test_progress_in_the_mariadb_client(router):
    """It asks for progress reports; a DRAIN that waits shows what for."""
    fleet = shared_fleet()
    holder = fleet_session(router)
    try:
        with Terminal(command_line(['mariadb'], router, '-A')) as terminal:
            terminal.read_until(']> ', 30)
            terminal.type("DRAIN BACKEND db1 TIMEOUT '30s';\n")
            shown = terminal.read_until('open transactions')
            assert 'Stage: 1 of 1' in shown and 'backend db1: waiting for 0 running statements' in shown
            terminal.interrupt()
            assert 'everything is as it was before' in terminal.read_until(']> ')
            terminal.type('SELECT operator_order FROM backends WHERE name = "db1";\n')
            assert 'NULL' in terminal.read_until(']> ')
    finally:
        holder.close()
    assert fleet[1].execute('SELECT 1')


def fleet_session(router):
    """A client of t1 with an open transaction."""
    from sessions import login
    from sessions import run as statements

    session = login(router, 't1', autocommit=False)
    statements(session, 'USE tenant_t1', 'BEGIN', 'INSERT INTO ledger VALUES (1, 1)')
    return session


def test_ctrl_c_in_the_mysql_9_client(router):
    holder = fleet_session(router)
    try:
        with Terminal(command_line(mysql9(), router, '-A')) as terminal, Operator(router) as operator:
            terminal.read_until('mysql> ', 30)
            terminal.type("DRAIN BACKEND db1 TIMEOUT '60s';\n")
            from processes import wait_until

            wait_until(
                lambda: operator("SELECT 1 FROM operations WHERE kind = 'drain' AND state = 'running'"), 20, 'it waits'
            )
            terminal.interrupt()
            assert 'everything is as it was before' in terminal.read_until('mysql> ')
            assert operator.value("SELECT operator_order FROM backends WHERE name = 'db1'") is None
    finally:
        holder.close()


def test_a_dump_is_refused_and_harms_nobody(router):
    done = subprocess.run(
        [str(a) for a in command_line(['mariadb-dump'], router, 'bulkhead')],
        capture_output=True,
        timeout=60,
        stdin=subprocess.DEVNULL,
    )
    assert done.returncode != 0
    with Operator(router) as operator:
        assert operator.value('SELECT 1') == 1
