"""Real clients, each with a script of its own: what it prints through the router is what it prints directly."""
import os
import shutil
import subprocess
from pathlib import Path

import pytest

import mysql_sid
import paths
from router import configuration
from servers import APP_PASSWORD
from sessions import make_tenant

pytestmark = pytest.mark.slow
HERE = Path(__file__).resolve().parent / 'clients'
DATABASE = 'tenant_acme'
KINDS = ['mariadb', 'mysql']


@pytest.fixture(scope='module')
def routed(fleet, module_routers):
    running = {}

    def get(kind: str):
        if kind not in running:
            running[kind] = module_routers(configuration({'acme': fleet(kind)}, tls=True))
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


def libmariadb_plugins() -> dict:
    return {}


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
    dumps = [
        subprocess.run(
            [str(a) for a in command_line(program, t, *options, DATABASE)],
            stdin=subprocess.DEVNULL,
            capture_output=True,
            check=True,
        ).stdout
        for t in (server, router)
    ]
    clean = [
        [line for line in d.split(b'\n') if not line.startswith((b'-- Host', b'-- MySQL dump', b'-- MariaDB dump'))]
        for d in dumps
    ]
    assert len(dumps[0]) > 4000000 and clean[0] == clean[1]
    checksum = server.execute('CHECKSUM TABLE d', db=DATABASE)
    make_tenant(server, 'acme')
    client = ['mariadb'] if kind == 'mariadb' else mysql_sid.command('usr/bin/mysql')
    run(command_line(client, router, '--binary-mode', DATABASE), dumps[1])
    assert server.execute('CHECKSUM TABLE d', db=DATABASE) == checksum
    assert server.execute('SELECT COUNT(*) FROM v', db=DATABASE)[0][0] == 200
    assert server.execute('SELECT f(1)', db=DATABASE)[0][0] == 2


@pytest.mark.parametrize('kind', ['mariadb', 'mysql'])
@pytest.mark.parametrize('prepared', ['auto', 'disable'])
def test_sysbench(fleet, routed, kind, prepared):
    sysbench = need('sysbench')
    server, router = fleet(kind), routed(kind)
    make_tenant(server, 'acme')
    argv = [
        sysbench,
        'oltp_read_write',
        '--db-driver=mysql',
        f'--mysql-host={router.host}',
        f'--mysql-port={router.port}',
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
    line = next(x for x in out.splitlines() if 'transactions:' in x)
    print(f'sysbench on {kind}, prepared statements {prepared}: {line.strip()}')
    run([*argv, 'cleanup'])
