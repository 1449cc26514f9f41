"""KILL with the id that the client was given; Ctrl-C in the command line client."""
import os
import pty
import select
import signal
import struct
import subprocess
import time

import pytest

import rawclient as rc
from processes import wait_until
from router import configuration
from servers import APP_PASSWORD
from sessions import Beside, make_tenant

pytestmark = pytest.mark.asan


@pytest.fixture(scope='module')
def place(fleet, module_routers):
    server = fleet('mariadb')
    make_tenant(server, 'acme', 'CREATE TABLE t (x INT)', 'INSERT INTO t VALUES (1), (2), (3)')
    other = {'name': 'other', 'password': 'o', 'backend_user': 'app', 'backend_password': APP_PASSWORD}
    return server, module_routers(
        configuration({'acme': server}, users=[{'name': 'app', 'password': APP_PASSWORD}, other])
    )


def raw(router, user='app', password=APP_PASSWORD):
    return rc.connect(router, user, password, 'tenant_acme')


def sleeping(server, text) -> bool:
    return any(text in (row[3] or '') for row in server.threads())


def test_kill_query_by_the_given_id(place):
    server, router = place
    victim, killer = raw(router), raw(router)
    started = time.monotonic()
    running = Beside(victim.query, 'SELECT SLEEP(30) AS victim1 FROM t')
    wait_until(lambda: sleeping(server, 'victim1'), 5, 'the statement runs')
    killer.ok(f'KILL QUERY {victim.greeting.thread_id}')
    response = running.result(10)
    assert time.monotonic() - started < 10
    assert response.error is None or response.error.errno == 1317
    assert victim.value('SELECT 7') == '7', 'the session goes on'
    victim.quit()
    killer.quit()


@pytest.mark.parametrize('how', ['text', 'command'])
def test_kill_connection(place, how):
    server, router = place
    victim, killer = raw(router), raw(router)
    running = Beside(victim.query, f'SELECT SLEEP(30) AS victim_{how} FROM t')
    wait_until(lambda: sleeping(server, f'victim_{how}'), 5, 'the statement runs')
    if how == 'text':
        killer.ok(f'KILL {victim.greeting.thread_id}')
    else:
        assert (
            killer.command(rc.COM_PROCESS_KILL, struct.pack('<I', victim.greeting.thread_id), 'ok').first[:1] == b'\0'
        )
    try:
        response = running.result(10)
        assert response.error is None or response.error.errno in (1317, 1927, 2013, 1053, 9410)
    except (rc.Closed, OSError):
        pass
    victim.sock.settimeout(5)
    try:
        gone = victim.at_end() or victim.query('SELECT 1').error is not None
    except (rc.Closed, OSError):
        gone = True
    assert gone, 'the killed session still answers'
    wait_until(lambda: not sleeping(server, f'victim_{how}'), 5, 'the statement has ended on the server')
    assert killer.value('SELECT 1') == '1'
    victim.close()
    killer.quit()


def test_kill_idle_session(place):
    _, router = place
    victim, killer = raw(router), raw(router)
    victim.ok('SELECT 1')
    killer.ok(f'KILL CONNECTION {victim.greeting.thread_id}')
    victim.sock.settimeout(5)
    try:
        gone = victim.at_end() or victim.query('SELECT 1').error is not None
    except (rc.Closed, OSError):
        gone = True
    assert gone
    killer.quit()


def test_kill_query_of_an_idle_session_harms_nobody(place):
    """Its last backend connection may serve somebody else by now."""
    _, router = place
    idle, killer, others = raw(router), raw(router), [raw(router) for _ in range(4)]
    idle.ok('SELECT 1')
    for _ in range(20):
        running = [Beside(other.query, 'SELECT SLEEP(0.02) FROM t') for other in others]
        killer.ok(f'KILL QUERY {idle.greeting.thread_id}')
        for r in running:
            assert r.result(10).error is None
    assert idle.value('SELECT 5') == '5'
    for session in (idle, killer, *others):
        session.quit()


def test_kill_nobody_and_strangers(place):
    _, router = place
    session, stranger = raw(router), raw(router, 'other', 'o')
    error = session.query('KILL 4000000000').error
    assert error and (error.errno, error.sqlstate) == (1094, 'HY000')
    error = session.query(f'KILL {stranger.greeting.thread_id}').error
    assert error and error.errno in (1094, 1095)
    assert stranger.value('SELECT 1') == '1'
    assert session.query("KILL 'text'").error
    session.quit()
    stranger.quit()


@pytest.fixture(scope='module')
def two_tenants(fleet, module_routers):
    """A tenant on each of two servers, and one user for both."""
    servers = {'one': fleet('mariadb'), 'two': fleet('mariadb', 2)}
    for tenant, server in servers.items():
        make_tenant(server, tenant)
    return servers, module_routers(configuration(servers, workers=2))


def tenants(router, *names):
    return [rc.connect(router, 'app', APP_PASSWORD, name and f'tenant_{name}') for name in names]


def test_another_tenants_session_is_out_of_reach(two_tenants):
    servers, router = two_tenants
    victim, killer = tenants(router, 'one', 'two')
    running = Beside(victim.query, 'SELECT SLEEP(3) AS of_one')
    wait_until(lambda: sleeping(servers['one'], 'of_one'), 5, 'the statement runs')
    own = next(row[0] for row in servers['one'].threads() if 'of_one' in (row[3] or ''))
    for number in (victim.greeting.thread_id, own):
        error = killer.query(f'KILL QUERY {number}').error
        assert error and error.errno == 1094, (number, error)
    assert running.result(10).error is None
    for session in (victim, killer):
        session.quit()


@pytest.mark.parametrize('by', ['the id that the client was given', "the backend's id", 'a session without a tenant'])
def test_ones_own_tenants_session_is_not(two_tenants, by):
    servers, router = two_tenants
    victim, killer = tenants(router, 'one', None if 'without' in by else 'one')
    running = Beside(victim.query, 'SELECT SLEEP(30) AS own_one')
    wait_until(lambda: sleeping(servers['one'], 'own_one'), 5, 'the statement runs')
    number = victim.greeting.thread_id
    if 'backend' in by:
        number = next(row[0] for row in servers['one'].threads() if 'own_one' in (row[3] or ''))
    killer.ok(f'KILL QUERY {number}')
    response = running.result(10)
    # SLEEP tells of an interruption by its value, where nothing else does.
    assert response.error is None or response.error.errno == 1317
    assert victim.value('SELECT 7') == '7'
    for session in (victim, killer):
        session.quit()


def test_connection_ids_are_the_clients_own(place):
    _, router = place
    sessions = [raw(router) for _ in range(20)]
    ids = [s.greeting.thread_id for s in sessions]
    assert len(set(ids)) == 20
    for session in sessions:
        assert session.value('SELECT CONNECTION_ID()') == str(session.greeting.thread_id)
    for session in sessions:
        session.quit()


def test_kill_under_load_hits_only_its_victim(place):
    server, router = place
    killer, bystanders = raw(router), [raw(router) for _ in range(6)]
    stop = time.monotonic() + 3

    def work(session):
        count = 0
        while time.monotonic() < stop:
            assert session.rows('SELECT COUNT(*) FROM t') == [('3',)]
            count += 1
        return count

    running = [Beside(work, session) for session in bystanders]
    kills = 0
    while time.monotonic() < stop - 0.5:
        victim = raw(router)
        victim_run = Beside(victim.query, 'SELECT SLEEP(20) AS loaded FROM t')
        wait_until(lambda: sleeping(server, 'loaded'), 5, 'the victim runs')
        killer.ok(f'KILL QUERY {victim.greeting.thread_id}')
        victim_run.result(10)
        victim.quit()
        kills += 1
    assert sum(r.result() for r in running) > 50 and kills > 3
    for session in (killer, *bystanders):
        session.quit()


def read_until(fd: int, text: bytes, timeout: float = 15) -> bytes:
    seen, deadline = b'', time.monotonic() + timeout
    while text not in seen:
        ready, _, _ = select.select([fd], [], [], max(0, deadline - time.monotonic()))
        assert ready, f'{text!r} not seen in {seen!r}'
        seen += os.read(fd, 65536)
    return seen


def test_ctrl_c_in_the_command_line_client(place):
    server, router = place
    parent, child = pty.openpty()
    client = subprocess.Popen(
        [
            'mariadb',
            '--no-defaults',
            '-h127.0.0.1',
            f'-P{router.port}',
            '-uapp',
            f'-p{APP_PASSWORD}',
            '--protocol=tcp',
            'tenant_acme',
        ],
        stdin=child,
        stdout=child,
        stderr=child,
        start_new_session=True,
        env={**os.environ, 'TERM': 'dumb'},
    )
    os.close(child)
    try:
        read_until(parent, b']> ')
        os.write(parent, b'SELECT SLEEP(60) AS ctrl_c FROM t;\n')
        wait_until(lambda: sleeping(server, 'ctrl_c'), 10, 'the statement runs')
        client.send_signal(signal.SIGINT)
        wait_until(lambda: not sleeping(server, 'ctrl_c'), 10, 'the statement was killed on the server')
        read_until(parent, b']> ')
        os.write(parent, b"SELECT CONCAT('still', ' here');\n")
        read_until(parent, b'still here')
    finally:
        client.kill()
        client.wait()
        os.close(parent)
