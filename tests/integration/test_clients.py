"""Real clients, each with a script of its own: what it prints through the router is what it prints directly."""
import os
import re
import shutil
import subprocess
from pathlib import Path

import pytest

import mysql_sid
import paths
from processes import wait_until
from router import configuration, set_every_user
from servers import APP_PASSWORD
from sessions import make_tenant
from terminal import Terminal

pytestmark = pytest.mark.slow
HERE = Path(__file__).resolve().parent / 'clients'
DATABASE = 'tenant_acme'
KINDS = ['mariadb', 'mysql']


@pytest.fixture(scope='module', params=['transaction', pytest.param('session', marks=pytest.mark.full)])
def routed(request, fleet, module_routers):
    """Server kind -> a router in front of that server, in one of the two pooling modes."""
    running = {}

    def get(kind: str):
        if kind not in running:
            config = configuration({'acme': fleet(kind)}, tls=True)
            running[kind] = module_routers(set_every_user(config, pooling=request.param))
        return running[kind]

    return get


def run(argv: list, stdin: str | bytes | None = None, env=None, cwd=None, timeout=240) -> str:
    data = stdin.encode() if isinstance(stdin, str) else stdin
    done = subprocess.run(
        [str(a) for a in argv],
        input=data or b'',
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        env={**os.environ, **(env or {})},
        cwd=cwd,
        timeout=timeout,
    )
    out = done.stdout.decode('utf-8', 'replace')
    assert done.returncode == 0, f'{argv[0]} ended with {done.returncode}:\n{out[-3000:]}'
    return out


def need(program: str, group='clients') -> str:
    found = shutil.which(program, path='/usr/bin:/usr/local/bin:' + os.environ['PATH'])
    if not found:
        pytest.skip(f'{program} is not installed (deploy/install-dependencies {group})')
    return found


def account(target) -> list[str]:
    return [target.host, str(target.port), 'app', APP_PASSWORD, DATABASE]


def compare(fleet, routed, kind, script) -> str:
    """script(target) -> output. Both outputs, with ports and the like left to the script, are the same."""
    server = fleet(kind)
    outputs = []
    for target in (server, routed(kind)):
        make_tenant(server, 'acme')
        outputs.append(script(target))
    direct, through = outputs
    assert through == direct, f'--- direct\n{direct[-1500:]}\n--- through the router\n{through[-1500:]}'
    return through


def ends_well(output: str):
    assert output.rstrip().endswith('ok'), output[-500:]


@pytest.mark.parametrize('kind', KINDS)
@pytest.mark.parametrize('module', ['pymysql', 'MySQLdb'])
def test_python(fleet, routed, kind, module):
    ends_well(
        compare(
            fleet, routed, kind, lambda t: run(['/usr/bin/python3', HERE / 'pymysql_script.py', module, *account(t)])
        )
    )


@pytest.mark.parametrize('kind', KINDS)
def test_php(fleet, routed, kind):
    php = need('php')
    ends_well(compare(fleet, routed, kind, lambda t: run([php, HERE / 'script.php', *account(t)])))


@pytest.mark.parametrize('kind', KINDS)
def test_perl(fleet, routed, kind):
    if not Path('/usr/lib/x86_64-linux-gnu/perl5').exists() and not shutil.which('perl'):
        pytest.skip('perl is not installed')
    ends_well(compare(fleet, routed, kind, lambda t: run(['/usr/bin/perl', HERE / 'script.pl', *account(t)])))


@pytest.mark.parametrize('kind', KINDS)
@pytest.mark.parametrize('script', ['mysql2', 'mariadb'])
def test_node(fleet, routed, kind, script):
    node = need('node')
    modules = paths.cache_folder() / 'node/node_modules'
    if not (modules / script).exists():
        pytest.skip(f'node has no {script} (deploy/install-dependencies clients)')
    ends_well(
        compare(
            fleet,
            routed,
            kind,
            lambda t: run([node, HERE / f'{script}.js', *account(t)], env={'NODE_PATH': str(modules)}),
        )
    )


@pytest.mark.parametrize('kind', [pytest.param('mariadb'), pytest.param('mysql', marks=pytest.mark.full)])
def test_java(fleet, routed, kind):
    need('javac')
    jar = Path('/usr/share/java/mariadb-java-client.jar')
    if not jar.exists():
        pytest.skip('libmariadb-java is not installed')
    classes = paths.run_folder() / 'java'
    run(['javac', '-d', classes, HERE / 'Client.java'])
    class_path = ':'.join(map(str, [classes, jar, *Path('/usr/share/java').glob('jna*.jar')]))
    ends_well(compare(fleet, routed, kind, lambda t: run(['java', '-cp', class_path, 'Client', *account(t)])))


BATCH = """
CREATE TABLE cli (id INT AUTO_INCREMENT PRIMARY KEY, b BLOB, s VARCHAR(50));
INSERT INTO cli (b, s) VALUES (0x00FF, 'ä'), (NULL, 'b');
SELECT id, HEX(b), s FROM cli;
SHOW WARNINGS;
SELECT 1/0;
DELIMITER //
CREATE PROCEDURE cli_p() BEGIN SELECT 'one'; SELECT 'two'; END//
DELIMITER ;
CALL cli_p();
USE tenant_acme;
SHOW TABLES;
STATUS_IS_NOT_SQL;
SELECT 'after the error';
BEGIN; INSERT INTO cli (s) VALUES ('rolled back'); ROLLBACK;
SELECT COUNT(*) FROM cli;
SELECT * FROM cli\\G
"""


def command_line(program: list, target, *options) -> list:
    return [
        *program,
        '--no-defaults',
        '-h',
        target.host,
        '-P',
        target.port,
        '-uapp',
        f'-p{APP_PASSWORD}',
        '--protocol=tcp',
        *options,
    ]


@pytest.mark.parametrize('kind', KINDS)
@pytest.mark.parametrize('options', [[], ['--compress'], ['--ssl']], ids=['plain', 'compressed', 'tls'])
def test_mariadb_command_line(fleet, routed, kind, options):
    out = compare(
        fleet,
        routed,
        kind,
        lambda t: run(
            command_line(['mariadb'], t, '--force', '-vv', '--show-warnings', *options, DATABASE), BATCH
        ).replace(str(t.port), 'PORT'),
    )
    assert 'after the error' in out


@pytest.mark.parametrize(
    'options',
    [[], ['--compression-algorithms=zstd'], ['--ssl-mode=DISABLED', '--get-server-public-key']],
    ids=['plain', 'zstd', 'no tls'],
)
def test_mysql_9_command_line(fleet, routed, options):
    """MySQL's own client sends `SELECT $$` at its start and counts on the error."""
    server = fleet('mysql')
    out = compare(
        fleet,
        routed,
        server.kind,
        lambda t: run(
            command_line(
                mysql_sid.command('usr/bin/mysql'), t, '--force', '-vv', '--show-warnings', *options, DATABASE
            ),
            BATCH,
        ),
    )
    assert 'after the error' in out


def test_ctrl_c_in_mysql_9(fleet, routed):
    """It opens a second connection and sends KILL QUERY with the id that it was given; the session goes on."""
    server, router = fleet('mysql'), routed('mysql')
    make_tenant(server, 'acme', 'CREATE TABLE t (x INT)', 'INSERT INTO t VALUES (1)')

    def sleeping() -> bool:
        return any('ctrl_c' in (row[3] or '') for row in server.threads())

    with Terminal(command_line(mysql_sid.command('usr/bin/mysql'), router, DATABASE)) as terminal:
        terminal.read_until('mysql> ', 60)
        terminal.type('SELECT SLEEP(60) AS ctrl_c FROM t;\n')
        wait_until(sleeping, 20, 'the statement runs')
        terminal.interrupt()
        wait_until(lambda: not sleeping(), 20, 'the statement was killed on the server')
        terminal.read_until('mysql> ', 20)
        terminal.type("SELECT CONCAT('still', ' here');\n")
        terminal.read_until('still here', 20)


@pytest.mark.parametrize('kind', KINDS)
def test_dump_and_restore(fleet, routed, kind):
    """A schema with routines, a trigger, a view, an event, blobs: dumped and restored through the router, the same."""
    server, router = fleet(kind), routed(kind)
    make_tenant(server, 'acme')
    with server.connect('app', APP_PASSWORD, database=DATABASE).cursor() as cursor:
        for statement in (
            'CREATE TABLE d (id INT PRIMARY KEY, b LONGBLOB, g POINT, j JSON, e ENUM("x", "y"), u VARCHAR(90))',
            'CREATE TABLE log (id INT)',
            'CREATE VIEW v AS SELECT id, u FROM d',
            'CREATE TRIGGER tr AFTER INSERT ON d FOR EACH ROW INSERT INTO log VALUES (NEW.id)',
            'CREATE PROCEDURE p(OUT n INT) SELECT COUNT(*) INTO n FROM d',
            'CREATE FUNCTION f(a INT) RETURNS INT DETERMINISTIC NO SQL RETURN a + 1',
            'CREATE EVENT ev ON SCHEDULE EVERY 1 YEAR DO DELETE FROM log',
        ):
            cursor.execute(statement)
        for i in range(200):
            cursor.execute(
                "INSERT INTO d VALUES (%s, %s, POINT(%s, 1), '[1]', 'y', %s)",
                (i, os.urandom(5000 if i else 3000000), i, f"it's \\ {i} 🚢"),
            )
    program = ['mariadb-dump'] if kind == 'mariadb' else mysql_sid.command('usr/bin/mysqldump')
    options = ['--routines', '--triggers', '--events', '--single-transaction', '--skip-dump-date', '--no-tablespaces']
    if kind == 'mysql':
        options.append('--set-gtid-purged=OFF')

    def dump(target) -> bytes:
        argv = [str(a) for a in command_line(program, target, *options, DATABASE)]
        return subprocess.run(argv, stdin=subprocess.DEVNULL, capture_output=True, check=True).stdout

    def clean(text: bytes) -> list[bytes]:
        heads = (b'-- Host', b'-- MySQL dump', b'-- MariaDB dump')
        return [line for line in text.split(b'\n') if not line.startswith(heads)]

    direct, routed_dump = dump(server), dump(router)
    assert len(direct) > 4000000 and clean(direct) == clean(routed_dump)
    checksum = server.execute('CHECKSUM TABLE d', db=DATABASE)
    make_tenant(server, 'acme')
    client = ['mariadb'] if kind == 'mariadb' else mysql_sid.command('usr/bin/mysql')
    run(command_line(client, router, '--binary-mode', DATABASE), routed_dump)
    assert server.execute('CHECKSUM TABLE d', db=DATABASE) == checksum
    assert server.execute('SELECT COUNT(*) FROM v', db=DATABASE)[0][0] == 200
    assert server.execute('SELECT f(1)', db=DATABASE)[0][0] == 2
    assert clean(dump(router)) == clean(direct), 'another dump of what was restored'
    # And they do what they did: the procedure, the trigger, the event.
    assert server.execute('CALL p(@n)', 'SELECT @n', db=DATABASE)[0][0] == 200
    logged = server.execute('SELECT COUNT(*) FROM log', db=DATABASE)[0][0]
    assert logged == 200, 'the trigger was there while the rows were restored, or the log was not restored'
    server.execute("INSERT INTO d (id, e) VALUES (1000, 'x')", db=DATABASE)
    assert server.execute('SELECT MAX(id), COUNT(*) FROM log', db=DATABASE) == [(1000, 201)]
    events = f"SELECT event_name, event_definition FROM information_schema.events WHERE event_schema = '{DATABASE}'"
    assert server.execute(events) == [('ev', 'DELETE FROM log')]


@pytest.mark.parametrize('kind', ['mariadb', 'mysql'])
@pytest.mark.parametrize('prepared', ['auto', 'disable'])
def test_sysbench(fleet, routed, kind, prepared):
    """The same work directly and through the router: as many statements of each kind in a transaction."""
    sysbench = need('sysbench')
    server, router = fleet(kind), routed(kind)
    shares = [sysbench_shares(sysbench, server, target, prepared) for target in (server, router)]
    assert shares[0] == shares[1] == (14, 4, 2), shares


def sysbench_shares(sysbench: str, server, target, prepared: str) -> tuple[int, ...]:
    """Reads, writes and others per transaction; their figures are printed."""
    make_tenant(server, 'acme')
    argv = [
        sysbench,
        'oltp_read_write',
        '--db-driver=mysql',
        f'--mysql-host={target.host}',
        f'--mysql-port={target.port}',
        '--mysql-user=app',
        f'--mysql-password={APP_PASSWORD}',
        f'--mysql-db={DATABASE}',
        '--tables=2',
        '--table-size=2000',
        '--threads=8',
        '--time=4',
        f'--db-ps-mode={prepared}',
        '--mysql-ssl=off',
    ]
    run([*argv, 'prepare'])
    out = run([*argv, 'run'])
    # "ignored errors" are the server's own deadlocks, run again by sysbench.
    assert 'reconnects:                          0' in out and 'FATAL' not in out, out
    counts = {name: int(number) for name, number in re.findall(r'^ +(\w[\w ]*): +(\d+)', out, re.M)}
    print(f'sysbench, {prepared}, port {target.port}: {counts["transactions"]} transactions')
    rows = server.execute('SELECT COUNT(*) FROM sbtest1', db=DATABASE)[0][0]
    assert counts['transactions'] > 10 and rows == 2000, 'each transaction deletes a row and writes it again'
    run([*argv, 'cleanup'])
    # Transactions that met a deadlock have sent part of theirs.
    return tuple(round(counts[name] / counts['transactions']) for name in ('read', 'write', 'other'))
