"""Alerts that fire from a real router and a real Prometheus, by what they are for, and end when that is over.

The rules are the shipped ones with shorter times (prometheus.hurry). BackendDown, ShardHolding, HoldQueueNearlyFull,
StatementsRefused and UnknownOutcomes: test_prometheus.py.
"""
import os
import re
import shutil
import signal
import subprocess
import time
from datetime import datetime, timezone

import certificates
import hang_fleet
import paths
import prometheus
import pytest
from admin_place import Operator, configuration
from change_fleet import TENANT, ChangeFleet
from hang_fleet import Load
from processes import free_port, wait_until
from prometheus import Prometheus
from sessions import login, run
from switching import Switching, wait_step

pytestmark = pytest.mark.slow
# Where the routers of this file are scraped, one after the other.
FAULTS, CHANGES = (f'127.0.0.1:{free_port()}' for _ in range(2))


@pytest.fixture(scope='module')
def prom():
    reason = prometheus.unavailable()
    if reason:
        pytest.skip(reason)
    with Prometheus([FAULTS, CHANGES], hurried=True) as started:
        yield started


def expiry_of(certificate) -> float:
    told = subprocess.run(
        ['openssl', 'x509', '-noout', '-enddate', '-in', str(certificate)], check=True, capture_output=True, text=True
    )
    end = datetime.strptime(told.stdout.strip().split('=')[1], '%b %d %H:%M:%S %Y GMT')
    return end.replace(tzinfo=timezone.utc).timestamp()


class SmallDisk:
    """A tmpfs of a megabyte. Unmounted on every exit path."""

    def __init__(self):
        self.folder = paths.run_folder() / 'small-disk'

    def __enter__(self) -> 'SmallDisk':
        self.folder.mkdir()
        mount = ['mount', '-t', 'tmpfs', '-o', 'size=1m,mode=0777', 'tmpfs', str(self.folder)]
        self.missing = subprocess.run(mount, capture_output=True, text=True).stderr.strip()  # why it is not there
        return self

    def fill(self) -> None:
        with open(self.folder / 'filler', 'wb', 0) as filler:
            for size in (4096, 1):
                try:
                    while True:
                        filler.write(b'x' * size)
                except OSError:
                    pass

    def free(self) -> None:
        (self.folder / 'filler').unlink(missing_ok=True)

    def __exit__(self, *_):
        subprocess.run(['umount', '-l', str(self.folder)], capture_output=True)
        shutil.rmtree(self.folder, ignore_errors=True)


@pytest.fixture(scope='module')
def disk():
    with SmallDisk() as made:
        yield made


@pytest.fixture(scope='module')
def tls():
    """The paths of a certificate that ends in a day."""
    return certificates.make(paths.run_folder() / 'tls-short', days=1)


@pytest.fixture(scope='module')
def router(binary, module_routers, prom, tls, disk):
    """In front of four servers, without a probe account, with a certificate that ends soon."""
    settings = {'mode': 'preferred', 'cert': str(tls['cert']), 'key': str(tls['key'])}
    fleet = hang_fleet.shared_fleet()
    config = configuration(
        fleet,
        health={'flap_window': '1s', 'canaries': 1, 'down_after': '9s'},
        listen={'http': FAULTS},
        state_dir=str(disk.folder),
    )
    config['tls'] = {'clients': settings}
    del config['probe']
    started = module_routers(config)
    # Without an account to probe with, the servers are known by clients' work alone.
    wait_until(lambda: prom.value(f'bulkhead_build_info{{instance="{FAULTS}"}}') == 1, 30, 'it is scraped')
    return started


def reload(router) -> None:
    router.write_config()
    with Operator(router) as operator:
        operator.said('RELOAD CONFIG')


def test_certificate_expires(router, prom, tls):
    fired = prom.wait_firing('CertificateExpires', instance=FAULTS, role='clients')
    assert fired['labels']['severity'] == 'warning'
    summary = fired['annotations']['summary']
    assert re.match(r'The clients certificate of \S+ ends in (1d|2\dh)', summary), summary
    first = expiry_of(tls['cert'])
    assert router.metric('bulkhead_certificate_expiry_timestamp_seconds', role='clients') == first
    assert first - time.time() <= 86400
    for path in tls.values():
        path.unlink()
    certificates.make(tls['cert'].parent)
    reload(router)
    second = expiry_of(tls['cert'])
    assert second > first + 20 * 86400
    assert router.metric('bulkhead_certificate_expiry_timestamp_seconds', role='clients') == second
    prom.wait_ended('CertificateExpires', instance=FAULTS)


def test_canary_off(router, prom):
    """There is no account to probe with, then there is one, then it loses its privilege on one server."""
    fired = prom.wait_firing('CanaryOff', instance=FAULTS, backend='db3')
    assert fired['annotations']['summary'] == 'Commits are not probed on db3'
    assert router.metric('bulkhead_backend_canary') == 0
    router.config['probe'] = dict(hang_fleet.PROBE)
    reload(router)
    prom.wait_ended('CanaryOff', instance=FAULTS)
    assert router.metric('bulkhead_backend_canary') == 4
    server = hang_fleet.shared_fleet()[3]
    try:
        server.execute('REVOKE ALL ON bulkhead.* FROM probe')
        prom.wait_firing('CanaryOff', instance=FAULTS, backend='db3')
        assert [a['labels']['backend'] for a in prom.matching('CanaryOff', instance=FAULTS)] == ['db3']
        assert router.metric('bulkhead_backend_canary', backend='db3') == 0
        assert router.metric('bulkhead_backend_canary') == 3
    finally:
        server.execute('GRANT ALL ON bulkhead.* TO probe')
    # It is not noticed: a refusal is kept until the router is started anew.


def test_false_suspects(router, prom):
    """A server that stands still for just longer than the suspicion takes, again and again."""
    fleet = hang_fleet.shared_fleet()
    log = hang_fleet.wait_all_up(router, timeout=40)
    before = router.metric('bulkhead_false_suspects_total', backend='db1')
    load = Load(router, {'t1': 4})
    try:
        for _ in range(6):
            mark = log.mark()
            fleet.freeze(1)
            log.wait_state('db1', 'suspect', mark)
            fleet.thaw(1)
            log.wait_up('db1')
        fired = prom.wait_firing('FalseSuspects', instance=FAULTS, backend='db1')
        assert fired['annotations']['summary'].startswith('db1 was suspected ')
        changes = log.changes('db1')
        ended = sum(1 for c in changes if (c.old, c.new) == ('suspect', 'up'))
        assert ended >= 6, changes
        wait_until(
            lambda: router.metric('bulkhead_false_suspects_total', backend='db1') - before >= 6, 5, 'each is counted'
        )
        assert router.metric('bulkhead_backend_state_changes_total', backend='db1', state='down') == 0
        assert router.metric('bulkhead_false_suspects_total', backend='db2') == 0
    finally:
        fleet.thaw(1)
        load.kill()
    prom.wait_ended('FalseSuspects', 90, instance=FAULTS)


def late_turns(router, thread: str) -> float:
    """How often this loop (control, worker 0, ...) was more than 100 ms late."""
    name = 'bulkhead_loop_lag_seconds'
    counts = {k: v for k, v in router.metrics().items() if k.startswith(name) and f'thread="{thread}' in k}
    whole = sum(v for k, v in counts.items() if k.startswith(f'{name}_count'))
    return whole - sum(v for k, v in counts.items() if 'le="0.1"' in k)


def test_loop_late(router, prom):
    """The router's process gets no processor time, as on a machine that does too much else."""
    before = {thread: late_turns(router, thread) for thread in ('control', 'worker')}
    for _ in range(8):
        os.kill(router.process.pid, signal.SIGSTOP)
        try:
            time.sleep(0.4)  # the fault itself: so long it gets none
        finally:
            os.kill(router.process.pid, signal.SIGCONT)
        time.sleep(0.3)  # so long it runs: turns in time lie between the late ones
    fired = prom.wait_firing('LoopLate', instance=FAULTS, thread='control')
    assert fired['labels']['severity'] == 'warning'
    for thread, count in before.items():
        assert late_turns(router, thread) - count >= 6, thread
    # It is no server's fault, and nobody is suspected for it.
    assert not prom.matching('BackendDown', instance=FAULTS)
    if os.getloadavg()[0] < 2 * os.cpu_count():
        prom.wait_ended('LoopLate', 90, instance=FAULTS)


def test_store_not_writable(router, prom, disk):
    """The disk of state_dir is full: statements are served, changes are not stored, and somebody is woken."""
    if disk.missing:
        pytest.skip(f'no tmpfs can be mounted here: {disk.missing}')
    assert router.metric('bulkhead_store_writable') == 1
    disk.fill()
    try:
        with Operator(router) as operator:

            def not_stored() -> bool:
                refused = operator.error("CREATE BACKEND db9 ADDRESS '127.0.0.1:9'")
                if refused[0] == 0:
                    operator.said('DROP BACKEND db9')
                return refused[0] != 0

            wait_until(not_stored, 30, 'a change is refused')
            assert not operator("SELECT name FROM backends WHERE name = 'db9'")
        fired = prom.wait_firing('StoreNotWritable', instance=FAULTS)
        assert fired['labels']['severity'] == 'page'
        assert router.metric('bulkhead_store_writable') == 0
        assert router.metric('bulkhead_store_commits_total', result='failed') >= 1
        session = login(router, 't4')
        assert run(session, 'SELECT 4') == [(4,)]
        session.close()
    finally:
        disk.free()
    stored = router.metric('bulkhead_store_commits_total', result='ok')
    with Operator(router) as operator:
        operator.said("CREATE BACKEND db9 ADDRESS '127.0.0.1:9'")
        operator.said('DROP BACKEND db9')
    prom.wait_ended('StoreNotWritable', instance=FAULTS)
    assert router.metric('bulkhead_store_writable') == 1
    assert router.metric('bulkhead_store_commits_total', result='ok') >= stored + 2


# --- a shard's primary is changed


@pytest.fixture(scope='module')
def servers(binary):
    with ChangeFleet('mariadb', 'alerts', 2) as fleet:
        yield fleet


def switching(servers: ChangeFleet, **changes) -> Switching:
    return Switching(servers, {'listen': {'http': CHANGES}, **changes})


def test_no_fence_configured(servers, prom, tmp_path):
    with switching(servers) as s:
        fired = prom.wait_firing('NoFenceConfigured', instance=CHANGES, shard='s1')
        assert fired['labels']['severity'] == 'info'
        assert s.router.metric('bulkhead_shard_fence_configured', shard='s1') == 0
        s.router.config['failover'] = {'fence_command': ['/bin/true']}
        s.router.write_config()
        assert s.router.ask('RELOAD CONFIG').ok
        prom.wait_ended('NoFenceConfigured', instance=CHANGES)
        assert s.router.metric('bulkhead_shard_fence_configured', shard='s1') == 1


def test_failover_not_ready(servers, prom):
    with switching(servers) as s:
        wait_until(lambda: s.router.metric('bulkhead_shard_failover_ready', shard='s1') == 1, 20, 'it is ready')
        prom.wait_ended('FailoverNotReady', instance=CHANGES)
        servers.freeze(s.other)
        s.router.wait_states(**{f'db{s.other}': 'down'})
        prom.wait_firing('FailoverNotReady', instance=CHANGES, shard='s1')
        prom.wait_firing('ReplicaDown', instance=CHANGES, backend=f'db{s.other}')
        assert s.router.metric('bulkhead_shard_failover_ready', shard='s1') == 0
        assert not prom.matching('BackendDown', instance=CHANGES)  # no tenant notices
        servers.thaw(s.other)
        prom.wait_ended('FailoverNotReady', instance=CHANGES)
        prom.wait_ended('ReplicaDown', instance=CHANGES)
        assert s.router.metric('bulkhead_shard_failover_ready', shard='s1') == 1


def test_change_stuck(servers, prom):
    """The old primary freezes while its shard is held and the new one is not promoted yet: neither on nor back."""
    with switching(servers, health={'in_flight_grace': '20s'}) as s:
        assert s.router.metric('bulkhead_changes_stuck') == 0
        primary = s.primary
        blocker = servers[s.other].connect()
        run(blocker, 'FLUSH TABLES WITH READ LOCK')
        # What the new primary must still execute, so that it catches up for as long as the lock is there.
        session = login(s.router, TENANT)
        run(session, f'INSERT INTO tenant_{TENANT}.ledger VALUES (1, 0)')
        session.close()
        asked = s.router.begin(f"SWITCHOVER SHARD s1 TO db{s.other} TIMEOUT '3s'")
        wait_step(s.router, 'catch up')
        servers.freeze(primary)
        fired = prom.wait_firing('ChangeStuck', 90, instance=CHANGES)
        assert fired['labels']['severity'] == 'page'
        assert fired['annotations']['summary'] == "1 changes of a shard's primary need a person"
        assert s.router.metric('bulkhead_changes_stuck') == 1
        assert prom.matching('ShardHolding', instance=CHANGES, shard='s1')
        run(blocker, 'UNLOCK TABLES')
        blocker.close()
        servers.thaw(primary)
        reply = asked.answer()
        assert not reply.ok and 'was put back' in reply.message, reply.message
        prom.wait_ended('ChangeStuck', instance=CHANGES)
        prom.wait_ended('ShardHolding', instance=CHANGES)
        assert s.router.metric('bulkhead_changes_stuck') == 0
        servers.check_roles(primary)


def test_backend_fenced(servers, prom):
    """The last one: the old primary comes back after a failover, and is no replica any more."""
    with switching(servers, health={'in_flight_grace': '30s'}) as s:
        old = s.primary
        servers.freeze(old)
        s.router.wait_states(**{f'db{old}': 'down'})
        done = s.router.ask(f'FAILOVER SHARD s1 TO db{s.other} ACCEPT DATA LOSS ACCEPT SPLIT BRAIN')
        assert done.ok, done.message
        servers.thaw(old)
        fired = prom.wait_firing('BackendFenced', instance=CHANGES)
        assert fired['labels']['backend'] == f'db{old}' and fired['labels']['severity'] == 'page'
        assert s.router.metric('bulkhead_backend_state', backend=f'db{old}', state='fenced') == 1
        assert s.router.metric('bulkhead_backend_state', backend=f'db{old}') == 1  # it is in one state
        # With its only replica fenced the shard could not fail over again.
        prom.wait_firing('FailoverNotReady', instance=CHANGES, shard='s1')
        assert not prom.matching('BackendDown', instance=CHANGES)
        assert s.router.ask(f'MARK BACKEND db{old} UP').ok
        prom.wait_ended('BackendFenced', instance=CHANGES)
        s.router.wait_states(**{f'db{old}': 'up'})
        assert s.router.metric('bulkhead_backend_state', backend=f'db{old}', state='fenced') == 0
