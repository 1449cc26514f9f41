"""Another process takes over (SIGUSR2): no client notices, the old one follows the new one until its last session has
left, and what goes wrong leaves everything as it was."""
import os
import signal
import time

import pymysql
import pytest

from change_fleet import TENANT, ChangeFleet
from processes import free_port, wait_until
from servers import APP_PASSWORD
from service_manager import NotifySocket
from sessions import Beside, error_of, login, run, value
from upgrading import Cyclers, UpgradingSwitching, alive

pytestmark = pytest.mark.slow

HANDOVERS = 5

# A program that is asked to take over: {} is what it does once it has all sockets.
SCRIPT = '''#!/usr/bin/python3
import array, json, os, socket, struct, sys, time
pair = socket.socket(fileno=int(os.environ['BULKHEAD_HANDOVER_FD']))
def send(message):
    text = json.dumps(message).encode()
    pair.sendall(struct.pack('>I', len(text)) + text)
def receive():
    head, *_ = pair.recvmsg(4, 4096)
    return json.loads(pair.recv(struct.unpack('>I', head)[0]))
hello = receive()
{}
'''


@pytest.fixture(scope='module')
def mariadb(binary):
    with ChangeFleet('mariadb', 'upgrade', 2) as fleet:
        yield fleet


def test_nobody_notices_several_in_a_row(mariadb):
    with UpgradingSwitching(mariadb) as s:
        load = s.load(6)
        cyclers = Cyclers(s.router, TENANT).start()
        pauses = []
        for _ in range(HANDOVERS):
            begun = time.monotonic()
            s.router.upgrade()
            pauses.append(time.monotonic() - begun)
            seen = cyclers.connects
            wait_until(lambda: cyclers.connects > seen + 50, 60, 'clients come and go')
        s.served()
        result = load.finish()
        cyclers.stop()
        print(f'{HANDOVERS} hand-overs, each within {max(pauses) * 1000:.0f} ms: {cyclers.words()}')
        assert not cyclers.failures, '\n'.join(cyclers.failures[:20]) + s.router.log()
        s.judge(result, s.primary)
        s.router.wait_ended(*s.router.pids[:-1])
        assert alive(s.router.pid)


def test_what_is_changed_meanwhile_is_followed(mariadb):
    with UpgradingSwitching(mariadb) as s:
        load = s.load(6)
        old = s.router.pid
        s.router.upgrade()
        s.wait_up()
        cyclers = Cyclers(s.router, TENANT).start(3)
        s.served()
        to = s.other
        reply = s.switch(to)
        assert reply.ok, reply.message + s.router.whole_log()[-5000:]
        s.served()
        back = s.switch(s.primary)
        assert back.ok, back.message
        s.served()
        assert alive(old)
        result = load.finish()
        cyclers.stop()
        assert not cyclers.failures, '\n'.join(cyclers.failures[:20]) + s.router.log()
        s.judge(result, s.primary)
        s.router.wait_ended(old)


def test_orders_and_kill_reach_the_old_sessions(mariadb):
    with UpgradingSwitching(mariadb) as s:
        session, victim = login(s.router, TENANT), login(s.router, TENANT)
        assert value(session, 'SELECT 1') == 1
        s.router.upgrade()
        s.wait_up()
        young = login(s.router, TENANT)
        for slice_name in ('SHARD s1', f'TENANT {TENANT}'):
            assert s.router.ask(f'HOLD {slice_name}').ok
            held = Beside(value, session, 'SELECT 2')
            assert not held.done(0.5)
            assert s.router.ask(f'RELEASE {slice_name}').ok
            assert held.done(10)
        sleeper = Beside(error_of, run, victim, 'SELECT SLEEP(60)')
        assert not sleeper.done(0.5)
        run(young, f'KILL QUERY {victim.thread_id()}')
        assert sleeper.done(10)
        assert value(victim, 'SELECT 3') == 3
        assert s.router.ask(f'KILL SESSION {victim.thread_id()}').ok
        assert error_of(run, victim, 'SELECT 4')[0] in (2006, 2013)
        assert not s.router.ask('KILL SESSION 1073741824').ok
        assert len({session.thread_id() >> 27, young.thread_id() >> 27}) == 2
        for one in (session, young):
            one.close()
        s.router.wait_ended(s.router.pids[0])


def test_one_that_does_not_start_changes_nothing(mariadb):
    with UpgradingSwitching(mariadb, changes={'upgrade': {'start_timeout': '2s'}}) as s:
        load = s.load(4)
        router = s.router
        good = router.config_path.read_text()
        router.config_path.write_text('listen: 12')
        assert 'the configuration has errors' in router.upgrade_fails()
        router.config_path.write_text(good)
        router.install_script('#!/bin/sh\nexit 7\n')
        assert 'exit code 7' in router.upgrade_fails()
        router.install_script('#!/bin/sh\nexec sleep 60\n')
        assert 'within 2000 ms' in router.upgrade_fails()
        router.program.unlink()
        assert 'no program to start' in router.upgrade_fails()
        # This one is given the store, and then comes to nothing.
        router.install_script(SCRIPT.format("send({'ready': True}); receive(); sys.exit(3)"))
        assert 'exit code 3' in router.upgrade_fails()
        script = "send({'ready': True}); receive(); send({'failed': 'no luck'}); time.sleep(9)"
        router.install_script(SCRIPT.format(script))
        assert 'no luck' in router.upgrade_fails()
        assert router.ask('HOLD SHARD s1').ok
        assert router.ask('RELEASE SHARD s1').ok
        assert any('no new process takes over' in event for event in router.events())
        router.install()
        router.upgrade()
        s.wait_up()
        s.served()
        s.judge(load.finish(), s.primary)


def test_one_that_is_killed(mariadb):
    """The old one while it drains: its sessions are lost, and nothing else. The new one: the old one ends in order."""
    with UpgradingSwitching(mariadb, changes={'shutdown_timeout': '1s'}) as s:
        session = login(s.router, TENANT)
        s.router.upgrade()
        s.wait_up()
        os.kill(s.router.pids[0], signal.SIGKILL)
        assert error_of(run, session, 'SELECT 1')[0] in (2006, 2013)
        s.router.wait_log('the process that this one took over from has ended')
        assert s.switch().ok
        assert s.switch(s.primary).ok
        s.wait_up()
        session = login(s.router, TENANT)
        assert value(session, 'SELECT 1') == 1
        second = s.router.pid
        s.router.upgrade()
        os.kill(s.router.pid, signal.SIGKILL)
        s.router.wait_ended(second)
        s.router.process.popen.wait(5)
        s.router.start()


def test_one_that_does_not_answer(mariadb):
    with UpgradingSwitching(mariadb) as s:
        session = login(s.router, TENANT)
        assert value(session, 'SELECT 1') == 1
        s.router.upgrade()
        s.wait_up()
        old = s.router.pids[0]
        os.kill(old, signal.SIGSTOP)
        reply = s.switch()  # it begins while nothing is suspected
        assert not reply.ok and str(old) in reply.message, reply
        wait_until(lambda: not s.router.ask('HOLD SHARD s1').ok, 20, 'operators are told at once')
        for statement in ('HOLD SHARD s1', f'SWITCHOVER SHARD s1 TO db{s.other} TIMEOUT \'5s\''):
            reply = s.router.ask(statement)
            assert not reply.ok and reply.code == 9420, reply
            assert str(old) in reply.message and 'does not answer' in reply.message
        os.kill(old, signal.SIGCONT)
        wait_until(lambda: s.router.ask('RELEASE SHARD s1').ok, 20, 'it answers again')
        s.wait_up()
        assert value(session, 'SELECT 2') == 2
        assert s.switch().ok
        assert value(session, 'SELECT @@server_id') == s.other
        assert s.switch(s.primary).ok
        session.close()
        s.router.wait_ended(old)


def test_the_service_manager_follows(mariadb):
    manager = NotifySocket(f'/tmp/bulkhead-upgrade-{os.getpid()}')
    try:
        env = {'NOTIFY_SOCKET': manager.path, 'WATCHDOG_USEC': '2000000'}
        with UpgradingSwitching(mariadb, env=env) as s:
            session = login(s.router, TENANT)
            old = s.router.pid
            new = s.router.upgrade()
            manager.wait('MAINPID', str(new))
            wait_until(lambda: manager.count('READY', '1', sender=new) >= 2, 20, 'the new one is ready')
            assert manager.count('MAINPID', sender=old) == 1
            before = manager.count('WATCHDOG', sender=new)
            wait_until(lambda: manager.count('WATCHDOG', sender=new) > before + 2, 20, 'the new one is alive')
            quiet = manager.count('WATCHDOG', sender=old)
            wait_until(lambda: manager.count('WATCHDOG', sender=new) > before + 6, 20, 'the new one is alive')
            assert manager.count('WATCHDOG', sender=old) == quiet
            assert s.router.metric('bulkhead_predecessor_sessions') == 1
            session.close()
            s.router.wait_ended(old)
            assert s.router.metric('bulkhead_predecessor_sessions') == 0
            assert manager.count('STOPPING') == 0
        assert manager.count('STOPPING', sender=new) == 1
    finally:
        os.unlink(manager.path)


def test_other_listeners_and_workers_than_before(mariadb):
    """A Unix socket keeps its file; more and fewer workers than sockets; a listener more."""
    path = f'/tmp/bulkhead-upgrade-{os.getpid()}.sock'
    with UpgradingSwitching(mariadb) as s:
        router = s.router
        first = router.config['listen']['mysql'][0]
        settings = {'address': first} if isinstance(first, str) else first
        second = free_port()
        cyclers = Cyclers(router, TENANT).start(4)
        for workers, addresses in ((1, [f'unix:{path}']), (3, [f'unix:{path}', f'127.0.0.1:{second}']), (2, [])):
            router.config['workers'] = workers
            router.config['listen']['mysql'] = [first] + [{**settings, 'address': one} for one in addresses]
            router.write_config()
            router.upgrade()
            seen = cyclers.connects
            wait_until(lambda: cyclers.connects > seen + 100, 60, 'clients come and go')
            for address in addresses:
                where = {'unix_socket': path} if address.startswith('unix:') else {'host': '127.0.0.1', 'port': second}
                client = pymysql.connect(user=f'app@{TENANT}', password=APP_PASSWORD, connect_timeout=20, **where)
                assert value(client, 'SELECT 1') == 1
                client.close()
        cyclers.stop()
        assert not cyclers.failures, '\n'.join(cyclers.failures[:20]) + router.log()
        router.wait_ended(*router.pids[:-1])
        assert not os.path.exists(path), 'nobody listens there any more'
