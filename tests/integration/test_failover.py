"""FAILOVER on real servers whose primary hangs or is dead: what could lose data or split the brain is refused until it
is accepted by name; the old one stays fenced when it comes back, and what only it has is listed."""
import signal
import stat
import time

import pytest
from pymysql.constants import COMMAND

import ledger
from change_fleet import TENANT, ChangeFleet
from ledger import compare
from processes import wait_until
from servers import available
from sessions import Beside, error_of, login, run
from switching import Switching

pytestmark = pytest.mark.slow
EXTRA = 3  # transactions that the old primary does on waking, whatever else it does
NOTICED = 1.0  # seconds in which a client on a busy machine notices an answer from before the freeze
QUICK = {'health': {'in_flight_grace': '30s'}}  # what is in flight is given up by the failover, not before


@pytest.fixture(params=['mariadb', pytest.param('mysql', marks=pytest.mark.full)])
def kind(binary, request) -> str:
    reason = available(request.param)
    if reason:
        pytest.skip(reason)
    return request.param


def fence_script(folder, name: str, text: str) -> str:
    path = folder / name
    path.write_text(f'#!/bin/sh\n{text}\n')
    path.chmod(path.stat().st_mode | stat.S_IXUSR)
    return str(path)


def killing_fence(folder, fleet: ChangeFleet, number: int) -> list[str]:
    """What a power switch would do: the process is gone for good."""
    script = fence_script(folder, 'fence', f'kill -KILL {fleet[number].process.pid}; echo "$1 at $2:$3 is off"')
    return [script, '{backend}', '{host}', '{port}']


def freeze_under_load(s: Switching):
    """A load on the primary, which then stops with statements in flight."""
    load = s.load(clients=8, think=((0.001, 0.01),))
    s.frozen_at = s.fleet.freeze_evenly(s.primary)
    s.router.wait_states(**{f'db{s.primary}': 'down'})
    return load


def compare_after(s: Switching, result, primary: int) -> ledger.Comparison:
    """What was acknowledged in the last moment before the freeze may be on the old primary only, since data loss was
    accepted. Nothing else is missing, and nothing that was told after the freeze.
    """
    compared = compare(result.told, ledger.rows_of(s.fleet[primary], TENANT))
    ended = {u.id: u.ended for u in result.told}
    early = [lie for lie in compared.lost if ended[int(lie.split()[1])] <= s.frozen_at + NOTICED]
    # A script's work was committed by its DDL, before the freeze; what it was told in the end came after it.
    early += [lie for lie in compared.wrong if lie.startswith('script ') and lie.endswith('there []')]
    print(f'{compared.units} units, {dict(compared.labels)}, {len(early)} lost with the old primary')
    lies = [lie for lie in compared.lies if lie not in early]
    assert not lies, '\n'.join(lies[:20]) + '\n' + s.router.log()
    assert len(early) < 20, early
    return compared


def test_without_a_fence_it_is_refused_and_accepting_it_leaves_the_old_one_fenced(kind, tmp_path):
    with ChangeFleet(kind, f'split-{kind}', 3) as fleet, Switching(fleet, QUICK) as s:
        others = [fleet[s.primary].connect(database=f'tenant_{TENANT}') for _ in range(EXTRA)]
        load = freeze_under_load(s)
        for number, other in enumerate(others, 1):
            # Nobody reads an answer; the server does it when it wakes.
            other._execute_command(COMMAND.COM_QUERY, f'INSERT INTO ledger VALUES ({-number}, 0)')
        refused = s.router.ask(f'FAILOVER SHARD s1 TO db{s.other}')
        assert not refused.ok and 'ACCEPT SPLIT BRAIN' in refused.message, refused.message
        assert 'ACCEPT DATA LOSS' in refused.message
        refused = s.router.ask(f'FAILOVER SHARD s1 TO db{s.other} ACCEPT DATA LOSS')
        assert not refused.ok and 'no fence is configured' in refused.message, refused.message
        dry = s.router.ask(f'FAILOVER SHARD s1 TO db{s.other} DRY RUN ACCEPT DATA LOSS ACCEPT SPLIT BRAIN')
        assert dry.ok and dry.rows and 'nothing stands against it' in dry.message, dry.message
        done = s.router.ask(f'FAILOVER SHARD s1 TO db{s.other} ACCEPT DATA LOSS ACCEPT SPLIT BRAIN')
        assert done.ok, done.message
        s.served()
        # What was sent to the frozen one runs when it wakes; nobody was told that it was done.
        fleet.thaw(s.primary)
        s.router.wait_states(**{f'db{s.primary}': 'fenced'})
        wait_until(
            lambda: any('came back after a failover' in words for words in s.router.events()), 30, 'it is looked at'
        )
        result = load.finish()
        compared = compare_after(s, result, s.other)
        assert compared.labels['9410 unknown'] > 0, compared.labels
        extra_is_listed(s, result)
        # Replicas follow the new primary, and the old one is left alone until an operator says otherwise.
        third = ({1, 2, 3} - {s.primary, s.other}).pop()
        wait_until(lambda: fleet.source_of(third) == s.other, 20, f'db{third} replicates from db{s.other}')
        assert not fleet.read_only(s.primary)
        refused = s.router.ask(f'SWITCHOVER SHARD s1 TO db{s.primary}')
        assert not refused.ok and 'is fenced' in refused.message
        # Also after a restart of the router.
        s.router.stop()
        s.router.start()
        s.router.wait_states(**{f'db{s.primary}': 'fenced', f'db{s.other}': 'up'})
        assert 'transactions that' in s.router.why(f'db{s.primary}') or 'has nothing' in s.router.why(f'db{s.primary}')
        assert s.router.ask(f'MARK BACKEND db{s.primary} UP').ok
        s.router.wait_states(**{f'db{s.primary}': 'up'})


def extra_is_listed(s: Switching, result) -> None:
    """Each row that is on the old primary only belongs to a transaction that the event log names."""
    fleet = s.fleet
    old, new = ledger.rows_of(fleet[s.primary], TENANT), ledger.rows_of(fleet[s.other], TENANT)
    only_old = [i for i in old if i not in new]
    assert set(only_old) >= {-number for number in range(1, EXTRA + 1)}, only_old
    told = {u.id: u for u in result.told}
    of_load = [i for i in only_old if i > 0]
    assert all(told[i].label == 'unknown' or told[i].ended <= s.frozen_at + NOTICED for i in of_load), of_load
    listed = [words for words in s.router.events() if words.startswith('only here: ')]
    found = next(words for words in s.router.events() if 'came back after a failover' in words)
    print(found, f'{len(only_old)} rows only there')
    assert f'has {len(listed)} transactions that db{s.other} lacks' in found, found
    assert len(listed) >= len(only_old) >= EXTRA
    assert sum(f'tenant_{TENANT}.ledger' in words for words in listed) >= EXTRA, listed


def test_a_transaction_whose_tenant_is_only_in_comments_ends_with_its_server(kind):
    """Its COMMIT names no tenant, and must not be done on the old primary, whether it wakes or not."""
    with ChangeFleet(kind, f'comment-{kind}', 2) as fleet, Switching(fleet, QUICK) as s:
        ledger.clear(fleet[s.primary], TENANT)
        s.wait_tables_known()
        before, after = (login(s.router, tenant=None) for _ in range(2))
        for number, session in enumerate((before, after)):
            run(session, 'BEGIN', f'/* tenant={TENANT} */ INSERT INTO tenant_{TENANT}.ledger VALUES ({number + 1}, 0)')
        fleet.freeze(s.primary)
        s.router.wait_states(**{f'db{s.primary}': 'down'})
        held = Beside(error_of, run, before, 'COMMIT')
        assert not held.done(0.3), held.result()  # at the shard's gate
        done = s.router.ask(f'FAILOVER SHARD s1 TO db{s.other} ACCEPT DATA LOSS ACCEPT SPLIT BRAIN')
        assert done.ok, done.message
        fleet.thaw(s.primary)
        for code, message in (held.result(), error_of(run, after, 'COMMIT')):
            assert code == 1213, (code, message)
        assert run(after, f'/* tenant={TENANT} */ SELECT COUNT(*) FROM tenant_{TENANT}.ledger') == [(0,)]
        wait_until(lambda: ledger.rows_of(fleet[s.primary], TENANT) == {}, 20, 'the old one has rolled back')


def test_with_a_fence_command(kind, tmp_path):
    with ChangeFleet(kind, f'fence-{kind}', 2) as fleet:
        fence = killing_fence(tmp_path, fleet, 1)
        with Switching(fleet, {**QUICK, 'failover': {'fence_command': fence}}) as s:
            load = freeze_under_load(s)
            refused = s.router.ask('FAILOVER SHARD s1 TO db2')
            assert not refused.ok and 'ACCEPT DATA LOSS' in refused.message
            assert 'SPLIT BRAIN' not in refused.message
            done = s.router.ask('FAILOVER SHARD s1 TO db2 ACCEPT DATA LOSS')
            assert done.ok, done.message
            events = s.router.events()
            assert any(f'the fence command said: db1 at 127.0.0.1:{fleet[1].port} is off' in words for words in events)
            assert any('db1 is fenced' in words for words in events)
            s.served()
            result = load.finish()
            compare_after(s, result, 2)
            fleet[1].stop(signal.SIGKILL)
            fleet.check_roles(2, but=(1,))


def test_a_fence_that_does_not_confirm(kind, tmp_path):
    with ChangeFleet(kind, f'nofence-{kind}', 2) as fleet:
        fence = fence_script(tmp_path, 'fence', 'echo the switch does not answer; exit 7')
        with Switching(fleet, {**QUICK, 'failover': {'fence_command': [fence]}}) as s:
            load = freeze_under_load(s)
            reply = s.router.ask('FAILOVER SHARD s1 TO db2 ACCEPT DATA LOSS')
            assert not reply.ok, reply.message
            assert 'the fence did not confirm: exit code 7 (the switch does not answer )' in reply.message
            assert fleet.read_only(2)
            assert fleet.source_of(2) is None or fleet.source_of(2) == 1
            fleet.thaw(1)
            s.router.wait_states(db1='up')
            s.served()
            s.judge(load.finish(), 1, errors=True)
            fleet.check_roles(1)


def test_one_that_answers_is_no_case_for_it(kind):
    with ChangeFleet(kind, f'alive-{kind}', 2) as fleet, Switching(fleet, QUICK) as s:
        reply = s.router.ask('FAILOVER SHARD s1 TO db2 ACCEPT DATA LOSS ACCEPT SPLIT BRAIN')
        assert not reply.ok and 'is up: SWITCHOVER loses nothing' in reply.message, reply.message


def test_a_replica_that_has_more_is_named(kind):
    """db2 stopped receiving before the end; db3 has more."""
    with ChangeFleet(kind, f'more-{kind}', 3) as fleet, Switching(fleet, QUICK) as s:
        fleet.stop_replication(2, 'IO_THREAD')
        client = login(s.router, TENANT)
        run(client, f'INSERT INTO tenant_{TENANT}.ledger VALUES (1, 0)')
        wait_until(lambda: fleet.position(3) == fleet.position(1), 20, 'db3 has it')
        fleet[1].stop(signal.SIGKILL)
        s.router.wait_states(db1='down')
        reply = s.router.ask('FAILOVER SHARD s1 TO db2 ACCEPT SPLIT BRAIN')
        assert not reply.ok and 'at least these' in reply.message and 'db3 has ' in reply.message, reply.message
        reply = s.router.ask('FAILOVER SHARD s1 TO db3 ACCEPT SPLIT BRAIN ACCEPT DATA LOSS')
        assert reply.ok, reply.message
        wait_until(lambda: fleet.source_of(2) == 3, 20, 'db2 replicates from db3')
        assert fleet[2].execute(f'SELECT COUNT(*) FROM tenant_{TENANT}.ledger')[0][0] == 1


SEMI_SYNC = {
    'mariadb': (
        [
            'SET GLOBAL rpl_semi_sync_master_timeout = 18446744073709551615',
            'SET GLOBAL rpl_semi_sync_master_wait_point = AFTER_SYNC',
            'SET GLOBAL rpl_semi_sync_master_enabled = 1',
        ],
        ['SET GLOBAL rpl_semi_sync_slave_enabled = 1'],
    ),
    'mysql': (
        [
            "INSTALL PLUGIN rpl_semi_sync_source SONAME 'semisync_source.so'",
            'SET GLOBAL rpl_semi_sync_source_timeout = 4294967295',
            'SET GLOBAL rpl_semi_sync_source_enabled = 1',
        ],
        [
            "INSTALL PLUGIN rpl_semi_sync_replica SONAME 'semisync_replica.so'",
            'SET GLOBAL rpl_semi_sync_replica_enabled = 1',
        ],
    ),
}


def with_semi_sync(fleet: ChangeFleet) -> None:
    source, replica = SEMI_SYNC[fleet.kind]
    for number, server in enumerate(fleet.servers, 1):
        plugins = [x for x in (*source, *replica) if x.startswith('INSTALL')]
        if plugins:
            server.execute('SET GLOBAL super_read_only = 0', 'SET SESSION sql_log_bin = 0', *plugins)
            if number > 1:
                server.execute('SET GLOBAL super_read_only = 1')
        if number > 1:
            server.execute(*(x for x in replica if not x.startswith('INSTALL')))
            fleet.stop_replication(number, 'IO_THREAD')
            fleet.start_replication(number, 'IO_THREAD')
    fleet[1].execute(*(x for x in source if not x.startswith('INSTALL')))
    status = fleet.words('Rpl_semi_sync_master_clients', 'Rpl_semi_sync_source_clients')
    wait_until(lambda: fleet[1].status(status) == len(fleet.servers) - 1, 20, 'the replicas acknowledge')


def test_semi_synchronous_replication_is_kept_by_a_switchover(kind):
    with ChangeFleet(kind, f'semi-{kind}', 3) as fleet:
        with_semi_sync(fleet)
        enabled = fleet.words('rpl_semi_sync_master_enabled', 'rpl_semi_sync_source_enabled')
        clients = fleet.words('Rpl_semi_sync_master_clients', 'Rpl_semi_sync_source_clients')
        with Switching(fleet, QUICK) as s:
            load = s.load()
            for to in (2, 1):
                reply = s.switch(to)
                assert reply.ok, reply.message
                assert fleet[to].execute(f'SELECT @@global.{enabled}')[0][0] == 1
                assert fleet[3 - to].execute(f'SELECT @@global.{enabled}')[0][0] == 0
                wait_until(lambda to=to: fleet[to].status(clients) == 2, 20, 'both replicas acknowledge')
            s.judge(load.finish(), 1)
            fleet.check_roles(1)


@pytest.mark.full
def test_semi_synchronous_replication_is_a_fence(kind):
    """Without a time limit, and with every replica stopped, nothing can be acknowledged any more."""
    with ChangeFleet(kind, f'semifence-{kind}', 3) as fleet:
        with_semi_sync(fleet)
        with Switching(fleet, QUICK) as s:
            load = s.load(clients=8)
            wait_until(
                lambda: 'nothing acknowledged is only there'
                in str(s.router.ask('FAILOVER SHARD s1 TO db2 DRY RUN').rows),
                40,
                'its settings were read',
                0.5,
            )
            fleet.freeze(1)
            s.router.wait_states(db1='down')
            reply = s.router.ask('FAILOVER SHARD s1 TO db2')
            if not reply.ok and 'db3 has' in reply.message:
                reply = s.router.ask('FAILOVER SHARD s1 TO db3')
            assert reply.ok, reply.message
            new = 2 if 'on db2 now' in reply.message else 3
            s.served()
            fleet.thaw(1)
            s.router.wait_states(db1='fenced')
            result = load.finish()
            compared = compare(result.told, ledger.rows_of(fleet[new], TENANT))
            assert not compared.lies, '\n'.join(compared.lies[:20])


def ended_by_itself(s: Switching, state: str) -> dict:
    wait_until(lambda: s.router.operations() and s.router.operations()[-1]['state'] == state, 60, f'it has {state}')
    return s.router.operations()[-1]


def test_automatic_failover(kind, tmp_path):
    with ChangeFleet(kind, f'auto-{kind}', 2) as fleet:
        fence = killing_fence(tmp_path, fleet, 1)
        changes = {**QUICK, 'failover': {'fence_command': fence, 'automatic_after': '500ms'}}
        changes['shard'] = {'failover': 'automatic_with_loss'}
        with Switching(fleet, changes) as s:
            load = s.load()
            s.frozen_at = time.time()
            fleet.freeze(1)
            operation = ended_by_itself(s, 'done')
            assert operation['kind'] == 'failover' and 'on db2 now' in operation['detail'], operation
            s.served()
            result = load.finish()
            compare_after(s, result, 2)
            fleet[1].stop(signal.SIGKILL)


def test_no_automatic_failover_without_a_fence_or_when_it_could_lose(kind, tmp_path):
    with ChangeFleet(kind, f'noauto-{kind}', 2) as fleet:
        changes = {**QUICK, 'failover': {'automatic_after': '500ms'}, 'shard': {'failover': 'automatic'}}
        with Switching(fleet, changes) as s:
            fleet.freeze(1)
            wait_until(
                lambda: any('not failed over by itself: no fence command' in words for words in s.router.events()),
                30,
                'it says why',
            )
            assert fleet.read_only(2)
            fleet.thaw(1)
            s.router.wait_states(db1='up')
        changes['failover']['fence_command'] = ['/bin/true']
        with Switching(fleet, changes) as s:
            fleet.freeze(1)
            assert "can't be known" in ended_by_itself(s, 'failed')['detail']
            assert fleet.read_only(2)
