"""`bulkhead admin`: options, passwords, forms of output, exit codes, the terminal, Ctrl-C."""
import json
import os
import signal
import stat
import subprocess

import pytest

import certificates
import paths
import rawclient as rc
from admin_place import ADMIN, VIEWER, Operator, admin_port, configuration, wait_operators, whole_log
from hang_fleet import shared_fleet, wait_all_up
from processes import free_port, wait_until
from servers import APP_PASSWORD
from terminal import Terminal

pytestmark = pytest.mark.slow

PASSWORD = 'BULKHEAD_ADMIN_PASSWORD'
DONE, FAILED, NO_CONNECTION, INTERRUPTED = 0, 1, 2, 130
PROMPT = 'bulkhead> '


@pytest.fixture(scope='module')
def router(binary, module_routers):
    router = module_routers(configuration(shared_fleet()))
    wait_all_up(router)
    wait_operators(router).close()
    return router


@pytest.fixture
def home(tmp_path):
    return {'HOME': str(tmp_path), 'PATH': os.environ['PATH']}


def argv(router, *options, config=True) -> list:
    where = ['--config', router.config_path] if config else ['--port', admin_port(router)]
    return [str(a) for a in (paths.BINARY, 'admin', *where, *options)]


def run(router, *options, text: str | None = None, env: dict | None = None, config=True):
    kept = {name: value for name, value in os.environ.items() if name != PASSWORD}
    return subprocess.run(
        argv(router, *options, config=config),
        input=text,
        stdin=None if text is not None else subprocess.DEVNULL,
        capture_output=True,
        text=True,
        timeout=60,
        env={**kept, **(env or {})},
        start_new_session=True,  # no terminal to ask for a password
    )


def lines_of(done) -> list[str]:
    assert done.returncode == DONE, done
    return done.stdout.splitlines()


# --- output


def test_tabs_are_for_scripts(router):
    done = run(router, '-e', "SELECT name, primary_backend, NULL AS n, 'a\tb' AS t FROM shards WHERE name = 's1'")
    assert lines_of(done) == ['name\tprimary_backend\tn\tt', 's1\tdb1\tNULL\ta\\tb']
    assert not done.stderr


def test_json(router):
    done = run(router, '--json', '-e', "SELECT name, epoch, NULL AS n, 'a\"b' AS t FROM shards LIMIT 1; HOLD TENANT t3")
    rows, said = [json.loads(line) for line in lines_of(done)]
    assert rows['rows'] == [{'name': 's1', 'epoch': 1, 'n': None, 't': 'a"b'}]
    assert said['message'] == 'tenant t3 is held by an operator until it is released'
    done = run(router, '--json', '-e', 'RELEASE TENANT t3', '-e', 'SELEC 1', '-e', 'SELECT 1')
    assert done.returncode == FAILED
    released, error = [json.loads(line) for line in done.stdout.splitlines()]
    assert released['message'] == 'tenant t3 is released'
    assert error['error']['code'] == 1064 and error['error']['sqlstate'] == '42000'
    assert 'SELECT' in error['error']['message']


def test_a_line_a_cell(router):
    statement = "SELECT name, state FROM backends WHERE name = 'db1'"
    for options in (['-e', statement + '\\G'], ['--vertical', '-e', statement]):
        row, name, state = lines_of(run(router, *options))
        assert '1' in row and name.strip() == 'name: db1' and state.strip() == 'state: up'


@pytest.mark.parametrize('columns', [80, 120])
def test_tables_fit_the_terminal(router, home, columns):
    """Everything that SHOW shows, on a terminal: no line is longer than it is wide."""
    shows = 'SHARDS BACKENDS REPLICAS TENANTS SESSIONS HOLDS UNKNOWN OPERATIONS EVENTS POOLS VARIABLES STATUS'.split()
    statements = [part for what in shows for part in ('-e', f'SHOW {what}')]
    with Terminal(argv(router, *statements, '-e', 'HELP', '-e', "SELECT 'the end' AS x"), columns, home) as terminal:
        out = terminal.read_until('the end')
        assert terminal.wait() == DONE
    longest = max(out.replace('\r', '').splitlines(), key=len)
    assert len(longest) <= columns, longest
    assert '| db1 ' in out and 'hold.max_wait' in out


def test_several_statements_until_one_fails(router):
    done = run(router, '-e', 'SELECT 1 AS a; SELECT 2 AS b; DRAIN BACKEND nowhere; SELECT 3 AS c')
    assert done.returncode == FAILED
    assert done.stdout == 'a\n1\nb\n2\n'
    assert done.stderr.startswith("ERROR 9421 (HY000): there is no backend 'nowhere'"), done.stderr


def test_statements_from_standard_input(router):
    text = "SELECT 'one;\n two' AS a; -- comment ; here\nSHOW SHARDS\n  LIKE 's1';\nSELECT 5 AS last"
    out = run(router, text=text).stdout
    assert out.startswith('a\none;\\n two\nname\tstate') and out.endswith('last\n5\n')
    assert run(router, text='SELECT nothing FROM nowhere;\nSELECT 1;').returncode == FAILED


def test_warnings_are_shown(router):
    """A file with two errors: the first is the error, each is a warning."""
    good = router.config_path.read_text()
    router.config_path.write_text(good + 'nonsense: 1\nmore: 2\n')
    try:
        done = run(router, '-e', 'RELOAD CONFIG', env={PASSWORD: ADMIN[1]}, config=False)
    finally:
        router.config_path.write_text(good)
    assert done.returncode == FAILED and not done.stdout
    assert 'ERROR 9422 (HY000): nothing is changed' in done.stderr
    assert "'nonsense'" in done.stderr and "'more'" in done.stderr


# --- where, who, which password


def test_help_teaches():
    done = subprocess.run([paths.BINARY, 'admin', '--help'], capture_output=True, text=True, check=True)
    for wanted in ('SHOW BACKENDS', PASSWORD, 'Exit codes', 'Ctrl-C', '--json', '/etc/bulkhead/bulkhead.yaml'):
        assert wanted in done.stdout, wanted


def test_passwords(router, tmp_path):
    file = tmp_path / 'password'
    file.write_text(f'{VIEWER[1]}\n')
    who = ['-u', VIEWER[0], '-e', 'SELECT CURRENT_USER() AS u']
    for options in (
        dict(config=True),
        dict(config=False, env={PASSWORD: VIEWER[1]}),
    ):
        assert lines_of(run(router, *who, **options))[1].startswith(VIEWER[0])
    assert lines_of(run(router, *who, '--password-file', file, config=False))[1].startswith(VIEWER[0])
    done = run(router, *who, config=False, env={PASSWORD: 'sesame-wrong'})
    assert done.returncode == NO_CONNECTION and 'ERROR 1045 (28000)' in done.stderr
    assert f"admin listener at 127.0.0.1:{admin_port(router)} as '{VIEWER[0]}'" in done.stderr
    done = run(router, *who, config=False)
    assert done.returncode == NO_CONNECTION and '--password-file' in done.stderr
    done = run(router, *who, '--password-file', tmp_path / 'none', config=False)
    assert done.returncode == NO_CONNECTION and "can't be read" in done.stderr
    assert 'sesame' not in whole_log(router)


def test_the_first_user_who_may_change_something(router):
    assert lines_of(run(router, '-e', 'SELECT CURRENT_USER() AS u'))[1].startswith(ADMIN[0])


def test_a_typed_password_is_not_shown(router, home):
    with Terminal(argv(router, '-u', ADMIN[0], '-e', 'SELECT 6*7 AS x', config=False), 100, home) as terminal:
        terminal.read_until('assword')
        wait_until(lambda: not echoes(terminal), 10, 'the terminal does not echo')
        terminal.type(ADMIN[1] + '\n')
        out = terminal.read_until('42')
        assert ADMIN[1] not in out
        assert terminal.wait() == DONE


def echoes(terminal) -> bool:
    import termios

    return bool(termios.tcgetattr(terminal.fd)[3] & termios.ECHO)


def test_nobody_there(router, tmp_path):
    done = run(router, '--host', '127.0.0.1', '--port', free_port(), '-e', 'SELECT 1')
    assert done.returncode == NO_CONNECTION and 'ERROR 20' in done.stderr
    done = run(router, '--config', tmp_path / 'no.yaml', '-e', 'SELECT 1', config=False)
    assert done.returncode == NO_CONNECTION and 'no.yaml' in done.stderr
    done = run(router, '--nonsense')
    assert done.returncode not in (DONE, FAILED, NO_CONNECTION) and 'nonsense' in done.stderr


def test_unix_socket_and_tls(routers):
    made = certificates.make(paths.run_folder() / 'tls')
    socket = paths.run_folder() / 'admin.sock'
    for listen, options in (
        ({'address': f'unix:{socket}', 'tls': 'disabled'}, []),
        ({'address': f'127.0.0.1:{free_port()}', 'tls': 'required'}, ['--tls', 'verify', '--ca', made['ca']]),
    ):
        router = routers(configuration(shared_fleet(), listen={'admin': listen}, tls=True))

        def answers(router=router, options=options):
            done = run(router, *options, '-e', "SELECT 'there' AS x")
            return done.returncode == DONE and done.stdout == 'x\nthere\n'

        wait_until(answers, 20, 'it answers')
        if not options:
            refused = run(router, '--tls', 'required', '-e', 'SELECT 1')
            assert refused.returncode == NO_CONNECTION and 'TLS is required' in refused.stderr
        else:
            assert lines_of(run(router, '-e', 'SELECT 1 AS x')) == ['x', '1'], 'TLS is preferred'
            refused = run(router, '--tls', 'disabled', '-e', 'SELECT 1')
            assert refused.returncode == NO_CONNECTION and refused.stderr
            other = certificates.make(paths.run_folder() / 'tls-strange')
            refused = run(router, '--tls', 'verify', '--ca', other['ca'], '-e', 'SELECT 1')
            assert refused.returncode == NO_CONNECTION and 'ERROR 20' in refused.stderr
        router.stop()


# --- statements that wait


def open_transaction(router, tenant: str):
    client = rc.connect(router, 'app', APP_PASSWORD, f'tenant_{tenant}')
    client.ok('BEGIN')
    client.ok('INSERT INTO ledger VALUES (1, 1)')
    return client


def draining(router) -> bool:
    with Operator(router) as operator:
        return bool(operator("SELECT 1 FROM operations WHERE kind = 'drain' AND state = 'running'"))


def shard_state(router, shard: str) -> str:
    with Operator(router) as operator:
        return operator.value(f"SELECT state FROM shards WHERE name = '{shard}'")


def test_a_drain_shows_what_it_waits_for(router):
    client = open_transaction(router, 't4')
    process = subprocess.Popen(
        argv(router, '-e', "DRAIN BACKEND db4 TIMEOUT '60s'", '-e', 'ENABLE BACKEND db4'),
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    assert process.stderr.readline() == 'backend db4: waiting for 0 running statements and 1 open transactions\n'
    client.ok('COMMIT')
    client.quit()
    out, _ = process.communicate(timeout=30)
    assert process.returncode == DONE
    assert out.splitlines()[0].startswith('backend db4 is drained')


@pytest.mark.parametrize('by', ['signal', 'terminal'])
def test_ctrl_c_cancels_and_puts_back(router, home, by):
    client = open_transaction(router, 't4')
    with Terminal(argv(router, '-e', "DRAIN BACKEND db4 TIMEOUT '60s'", '-e', 'SELECT 1'), 100, home) as terminal:
        terminal.read_until('waiting for')
        if by == 'signal':
            terminal.send_signal(signal.SIGINT)
        else:
            terminal.interrupt()
        out = terminal.read_until('everything is as it was before')
        assert 'Ctrl-C: asking the router' in out and 'ERROR 9420 (HY000): backend db4: drain was cancelled' in out
        assert terminal.wait() == INTERRUPTED
        assert b'| 1 |' not in terminal.seen, 'the rest is not run'
    assert not draining(router) and shard_state(router, 's4') == 'serving'
    client.ok('COMMIT')
    client.quit()


def test_whoever_leaves_cancels_too(router):
    client = open_transaction(router, 't4')
    process = subprocess.Popen(argv(router, '-e', "DRAIN BACKEND db4 TIMEOUT '60s'"), stderr=subprocess.DEVNULL)
    wait_until(lambda: draining(router), 20, 'it waits')
    process.kill()
    process.wait()
    wait_until(lambda: not draining(router) and shard_state(router, 's4') == 'serving', 20, 'all is put back')
    client.ok('COMMIT')
    client.quit()


# --- on a terminal


def test_typing(router, home):
    history = os.path.join(home['HOME'], '.bulkhead_history')
    with Terminal(argv(router), 100, home) as terminal:
        assert 'SHOW BACKENDS; is a good start' in terminal.read_until(PROMPT)
        terminal.type("SELECT name, state FROM backends\n")
        terminal.read_until('-> ')
        terminal.type("WHERE name = 'db1';\n")
        assert '| db1  | up    |' in terminal.read_until('1 row (')
        terminal.read_until(PROMPT)
        terminal.type('SELECT 1,')
        terminal.read_until('1,')
        terminal.interrupt()  # gives the line up, and no more
        terminal.read_until(PROMPT)
        terminal.type('SELEC 1;\n')
        assert 'ERROR 1064 (42000)' in terminal.read_until(PROMPT)
        terminal.type('SHOW SHARDS\\G\n')
        assert 'primary_backend: db1' in terminal.read_until(PROMPT)
        terminal.type("CREATE USER x PASSWORD 'sesame';\n")
        terminal.read_until(PROMPT)
        terminal.type('help\n')
        assert 'DRAIN BACKEND' in terminal.read_until(PROMPT)
        terminal.type('SHO\tTENA\tS;\n')  # completed
        assert '| t1 ' in terminal.read_until('rows (')
        terminal.read_until(PROMPT)
        terminal.type('\x1b[A')  # what was before
        terminal.read_until('SHOW TENANTS;')
        terminal.type('\n')
        terminal.read_until(PROMPT)
        terminal.type('\\q\n')
        assert terminal.wait() == DONE
    kept = open(history).read()
    assert stat.S_IMODE(os.stat(history).st_mode) == 0o600
    assert 'SHOW' in kept and 'sesame' not in kept and ADMIN[1] not in kept
    with Terminal(argv(router), 100, home) as terminal:
        terminal.read_until(PROMPT)
        terminal.type('\x1b[A')
        terminal.read_until('SHOW TENANTS;')
        terminal.type('\x15')  # Ctrl-U: an empty line
        terminal.type('\x04')
        assert terminal.wait() == DONE


def test_typing_goes_on_after_a_cancelled_statement_and_a_lost_connection(router, home):
    client = open_transaction(router, 't4')
    with Terminal(argv(router), 100, home) as terminal:
        terminal.read_until(PROMPT)
        terminal.type("DRAIN BACKEND db4 TIMEOUT '60s';\n")
        terminal.read_until('waiting for')
        terminal.interrupt()
        terminal.read_until('ERROR 9420')
        terminal.read_until(PROMPT)
        terminal.type('SELECT CONNECTION_ID() AS id\\G\n')
        number = terminal.read_until(PROMPT).split('id:')[1].split()[0]
        with Operator(router) as operator:
            operator.said(f'KILL {number}')
        terminal.type('SELECT 1 AS x;\n')
        assert 'the connection is lost' in terminal.read_until(PROMPT)
        terminal.type("SELECT 'again' AS x;\n")
        terminal.read_until('| again |')
        terminal.read_until(PROMPT)
        terminal.type('\x04')
        assert terminal.wait() == DONE
    client.ok('COMMIT')
    client.quit()
