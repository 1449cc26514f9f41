"""SWITCHOVER on real servers: nothing is lost, clients see a pause; what stands against it is named; what fails is put
back."""
import importlib.machinery
import importlib.util
import signal
import sys
import threading
from pathlib import Path

import pymysql
import pytest

from change_fleet import TENANT, ChangeFleet
from operators import OperatedRouter
from processes import wait_until
from servers import available
from sessions import error_of, login, run
from switching import Switching, wait_step

pytestmark = pytest.mark.slow

_fleets: dict[str, ChangeFleet] = {}


@pytest.fixture(scope='module', autouse=True)
def end_fleets():
    yield
    for fleet in _fleets.values():
        fleet.close()
    _fleets.clear()


def fleet_of(kind: str) -> ChangeFleet:
    """Three servers that the tests of this module share; each test leaves them replicating."""
    reason = available(kind)
    if reason:
        pytest.skip(reason)
    if kind in _fleets and not _fleets[kind].well():  # a test has failed in the middle
        _fleets.pop(kind).close()
    if kind not in _fleets:
        _fleets[kind] = ChangeFleet(kind, f'switchover-{kind}', 3).__enter__()
    return _fleets[kind]


@pytest.fixture
def mariadb(binary) -> ChangeFleet:
    return fleet_of('mariadb')


@pytest.fixture(params=['mariadb', 'mysql'])
def fleet(binary, request) -> ChangeFleet:
    return fleet_of(request.param)


@pytest.fixture(params=['mariadb', pytest.param('mysql', marks=pytest.mark.full)])
def either(binary, request) -> ChangeFleet:
    """As `fleet`, on MySQL in full runs only."""
    return fleet_of(request.param)


def load_campaign():
    """The program, as a module."""
    path = str(Path(__file__).parent / 'switchover_campaign')
    loader = importlib.machinery.SourceFileLoader('switchover_campaign', path)
    module = importlib.util.module_from_spec(importlib.util.spec_from_loader(loader.name, loader))
    sys.modules[loader.name] = module  # its dataclasses look there
    loader.exec_module(module)
    return module


@pytest.mark.parametrize(
    'kind, count, switchovers, settings',
    [
        ('mariadb', 3, 6, ()),
        ('mysql', 2, 3, ()),
        pytest.param('mariadb', 2, 30, (), marks=pytest.mark.full),
        pytest.param('mysql', 3, 20, (), marks=pytest.mark.full),
    ],
)
def test_campaign(binary, kind, count, switchovers, settings):
    reason = available(kind)
    if reason:
        pytest.skip(reason)
    campaign = load_campaign()
    report = campaign.run(switchovers, kind, clients=6, count=count, settings=settings)
    print('\n'.join(report.lines()))
    # The pause is judged by the program, on a machine that does nothing else.
    assert report.clean(pause=10)
    assert report.comparison.units > 20 * switchovers


def test_dry_run_shows_everything_and_changes_nothing(fleet):
    with Switching(fleet) as s:
        reply = s.switch(options='DRY RUN')
        assert reply.ok and 'nothing stands against it' in reply.message, reply.message
        steps = [row[0] for row in reply.rows]
        assert steps.index('freeze old') < steps.index('promote') < steps.index('repoint')
        assert fleet.primary == s.primary
        assert s.router.operations()[-1]['state'] == 'done'


def test_every_reason_at_once(mariadb):
    with Switching(mariadb) as s:
        replica, primary = mariadb[s.other], mariadb[s.primary]
        mariadb.stop_replication(s.other, 'SQL_THREAD')
        connection = primary.connect()
        connection.query("XA START 'x'")
        connection.query(f'INSERT INTO tenant_{TENANT}.ledger VALUES (1, 1)')
        connection.query("XA END 'x'")
        connection.query("XA PREPARE 'x'")
        replica.execute("SET GLOBAL read_only = 0")
        try:
            reply = s.switch()
        finally:
            connection.query("XA ROLLBACK 'x'")
            connection.close()
            replica.execute('SET GLOBAL read_only = 1')
            mariadb.start_replication(s.other, 'SQL_THREAD')
        assert not reply.ok and reply.code == 9420
        for reason in ('does not apply', 'prepared XA', f'db{s.other}: is writable'):
            assert reason in reply.message, reply.message
        assert 'nothing was changed' in reply.message
        assert mariadb.primary == s.primary


def test_missing_privileges_are_named(fleet):
    name = fleet.words('READ_ONLY ADMIN', 'SYSTEM_VARIABLES_ADMIN')
    with Switching(fleet) as s:
        fleet[s.primary].execute(f'REVOKE {name} ON *.* FROM control')
        fleet.catch_up(s.primary)
        try:
            reply = s.switch()
        finally:
            fleet[s.primary].execute(f'GRANT {name} ON *.* TO control')
            fleet.catch_up(s.primary)
        assert not reply.ok
        assert f'db{s.primary}: the control account lacks {name}: GRANT' in reply.message, reply.message


def test_a_candidate_with_transactions_of_its_own_is_refused(fleet):
    with Switching(fleet) as s:
        replica = fleet[s.other]
        replica.execute(
            'SET GLOBAL read_only = 0', 'CREATE DATABASE IF NOT EXISTS errant', 'DROP DATABASE errant'
        )
        replica.execute(fleet.words('SET GLOBAL read_only = 1', 'SET GLOBAL super_read_only = 1'))
        reply = s.switch()
        assert not reply.ok and f'has transactions that db{s.primary} lacks' in reply.message, reply.message
        # The primary gets them too, so that the fleet is whole again.
        if fleet.kind == 'mysql':
            errant = replica.execute(
                f"SELECT GTID_SUBTRACT(@@gtid_executed, '{fleet.position(s.primary)}')"
            )[0][0]
            for gtid in expand(errant):
                fleet[s.primary].execute(f"SET GTID_NEXT = '{gtid}'", 'BEGIN', 'COMMIT')
        else:
            number = s.other
            state = replica.execute('SELECT @@gtid_binlog_state')[0][0]
            errant = [g for g in state.split(',') if g.split('-')[1] == str(number)][0].split('-')
            fleet[s.primary].execute(
                f'SET SESSION server_id = {errant[1]}',
                f'SET SESSION gtid_seq_no = {errant[2]}',
                'CREATE DATABASE IF NOT EXISTS errant',
                'SET SESSION server_id = DEFAULT',
                'DROP DATABASE errant',
            )
        wait_until(lambda: all(fleet.source_of(n) for n in (s.other,)), 20, 'replication goes on')
        fleet.catch_up(s.primary)


def expand(gtids: str) -> list[str]:
    uuid, *intervals = gtids.replace('\n', '').split(':')
    found = []
    for interval in intervals:
        low, _, high = interval.partition('-')
        found += [f'{uuid}:{n}' for n in range(int(low), int(high or low) + 1)]
    return found


def test_waits_for_a_replica_that_lags(either):
    """The candidate's applying thread is held up by a lock for a moment; the switchover waits for it."""
    with Switching(either) as s:
        load = s.load()
        blocker = either[s.other].connect()
        run(blocker, 'FLUSH TABLES WITH READ LOCK')
        asked = s.router.begin(f"SWITCHOVER SHARD s1 TO db{s.other} TIMEOUT '20s'")
        wait_step(s.router, 'catch up')
        run(blocker, 'UNLOCK TABLES')
        blocker.close()
        reply = asked.answer()
        assert reply.ok, reply.message
        result = load.finish()
        s.judge(result, s.other)
        either.check_roles(s.other)


def test_gives_up_on_a_replica_that_lags_too_much_and_puts_back(either):
    with Switching(either) as s:
        load = s.load()
        blocker = either[s.other].connect()
        run(blocker, 'FLUSH TABLES WITH READ LOCK')
        try:
            reply = s.switch(options="TIMEOUT '2s'")
        finally:
            run(blocker, 'UNLOCK TABLES')
            blocker.close()
        assert not reply.ok and 'has not executed everything in time' in reply.message, reply.message
        s.served()
        s.judge(load.finish(), s.primary)
        assert either.primary == s.primary
        either.check_roles(s.primary)


def test_the_candidate_is_killed_in_the_middle(either):
    with Switching(either) as s:
        load = s.load()
        blocker = either[s.other].connect()
        run(blocker, 'FLUSH TABLES WITH READ LOCK')
        asked = s.router.begin(f"SWITCHOVER SHARD s1 TO db{s.other} TIMEOUT '20s'")
        wait_step(s.router, 'catch up')
        either[s.other].stop(signal.SIGKILL)
        reply = asked.answer()
        assert not reply.ok and 'was put back' in reply.message, reply.message
        s.served()
        s.judge(load.finish(), s.primary)
        either[s.other].settings = [x for x in either[s.other].settings if x != '--read-only=1'] + ['--read-only=1']
        either[s.other].start()
        either.check_roles(s.primary)
        s.wait_up()


def test_a_transaction_that_is_too_long_is_ended(fleet):
    with Switching(fleet) as s:
        s.wait_tables_known()
        client = login(s.router, TENANT, autocommit=False)
        run(client, f'INSERT INTO tenant_{TENANT}.ledger VALUES (77, 0)')
        # Longer than the transaction may have lasted when the servers are looked at: that is another reason.
        asked = s.router.begin(f"SWITCHOVER SHARD s1 TO db{s.other} TIMEOUT '4s'")
        reply = asked.answer()
        assert reply.ok, reply.message
        assert any('their connections are ended' in words for words in reply.progress)
        code, _ = error_of(run, client, f'INSERT INTO tenant_{TENANT}.ledger VALUES (77, 1)')
        assert code == 1213
        rows = fleet[s.other].execute(f'SELECT COUNT(*) FROM tenant_{TENANT}.ledger WHERE id = 77')
        assert rows[0][0] == 0
        run(client, f'INSERT INTO tenant_{TENANT}.ledger VALUES (78, 0)')
        client.commit()
        assert fleet[s.other].execute(f'SELECT COUNT(*) FROM tenant_{TENANT}.ledger WHERE id = 78')[0][0] == 1


def test_one_that_was_open_for_longer_than_timeout_before_is_a_reason(either):
    with Switching(either) as s:
        client = either[s.primary].connect()
        run(client, 'BEGIN', f'INSERT INTO tenant_{TENANT}.ledger VALUES (79, 0)')
        wait_until(
            lambda: either[s.primary].execute(
                'SELECT COUNT(*) FROM information_schema.innodb_trx WHERE trx_started < NOW() - INTERVAL 1 SECOND'
            )[0][0],
            10,
            'the transaction is a second old',
        )
        reply = s.switch(options="TIMEOUT '1s'")
        client.rollback()
        client.close()
        assert not reply.ok and 'open for longer than TIMEOUT (1 s)' in reply.message, reply.message


def test_locks_of_others_are_ended(fleet):
    """LOCK TABLES of a session that did not come through the router: read_only waits behind it."""
    with Switching(fleet) as s:
        other = fleet[s.primary].connect(user='app', password='app-secret')
        run(other, f'LOCK TABLES tenant_{TENANT}.ledger WRITE')
        reply = s.switch(options="TIMEOUT '5s'")
        assert reply.ok, reply.message
        assert any('hold locks' in words for words in reply.progress), reply.progress
        assert error_of(run, other, 'SELECT 1')[0] in (2006, 2013)
        fleet.check_roles(s.other)


def test_privileged_sessions_do_not_write_past_read_only(mariadb):
    """On MariaDB they pass read_only. One that writes all the time is ended, and what it wrote is not lost."""
    with Switching(mariadb) as s:
        written, stop = [], threading.Event()

        def write():
            connection = mariadb[s.primary].connect()
            for number in range(1_000_000):
                if stop.is_set():
                    return
                try:
                    run(connection, f'INSERT INTO tenant_{TENANT}.ledger VALUES ({number}, 99)')
                except pymysql.err.MySQLError:
                    return
                written.append(number)

        mariadb[s.primary].execute(f'DELETE FROM tenant_{TENANT}.ledger WHERE part = 99')
        thread = threading.Thread(target=write)
        thread.start()
        wait_until(lambda: len(written) > 5, 10, 'it writes')
        reply = s.switch()
        stop.set()
        thread.join()
        assert reply.ok, reply.message
        there = mariadb[s.other].execute(f'SELECT COUNT(*) FROM tenant_{TENANT}.ledger WHERE part = 99')[0][0]
        assert there >= len(written), f'{len(written)} were acknowledged, {there} are there'
        mariadb.check_roles(s.other)


def test_events_run_on_the_new_primary_only(fleet):
    with Switching(fleet) as s:
        primary, other = fleet[s.primary], s.other
        scheduler = primary.execute('SELECT @@global.event_scheduler')[0][0]
        schedule = "ON SCHEDULE EVERY 1 YEAR STARTS '2035-01-01 00:00:00'"
        for server in fleet.servers:
            server.execute('SET GLOBAL event_scheduler = ON')
        primary.execute(
            f"CREATE DEFINER = app@'%' EVENT tenant_{TENANT}.runs {schedule} DO SELECT 1",
            f"CREATE DEFINER = app@'%' EVENT tenant_{TENANT}.off {schedule} DISABLE DO SELECT 1",
        )
        fleet.catch_up(s.primary)
        if fleet.kind == 'mysql':
            # Only who has SYSTEM_USER may make somebody who has it a definer.
            primary.execute(f'CREATE EVENT tenant_{TENANT}.of_admin {schedule} DO SELECT 1')
            refused = s.switch()
            primary.execute(f'DROP EVENT tenant_{TENANT}.of_admin')
            assert not refused.ok and 'lacks SYSTEM_USER' in refused.message, refused.message
            fleet.catch_up(s.primary)

        def states(number: int) -> dict:
            return dict(
                fleet[number].execute('SELECT event_name, status FROM information_schema.events ORDER BY event_name')
            )

        try:
            reply = s.switch()
            assert reply.ok, reply.message
            after = states(other)
            assert after['runs'] == 'ENABLED' and after['off'] != 'ENABLED', after
            wait_until(lambda: states(s.primary)['runs'] != 'ENABLED', 10, 'the old primary does not run it')
            definer = fleet[other].execute("SELECT definer FROM information_schema.events WHERE event_name = 'runs'")
            assert definer[0][0] == 'app@%'
            assert fleet[other].execute('SELECT @@global.event_scheduler')[0][0] == 'ON'
            assert fleet[s.primary].execute('SELECT @@global.event_scheduler')[0][0] == 'OFF'
        finally:
            fleet[fleet.primary].execute(f'DROP EVENT tenant_{TENANT}.runs', f'DROP EVENT tenant_{TENANT}.off')
            for server in fleet.servers:
                server.execute(f'SET GLOBAL event_scheduler = {scheduler}')


def test_what_a_session_has_on_its_connection_alone_is_lost_and_it_is_told(either):
    with Switching(either) as s:
        client = login(s.router, TENANT)
        run(client, f'CREATE TEMPORARY TABLE tenant_{TENANT}.mine (x INT)')
        assert s.switch().ok
        code, _ = error_of(run, client, f'SELECT * FROM tenant_{TENANT}.mine')
        assert code == 9411


def test_cancel_puts_everything_back(either):
    with Switching(either) as s:
        load = s.load()
        blocker = either[s.other].connect()
        run(blocker, 'FLUSH TABLES WITH READ LOCK')
        asked = s.router.begin(f"SWITCHOVER SHARD s1 TO db{s.other} TIMEOUT '30s'")
        wait_step(s.router, 'catch up')
        number = s.router.operations()[-1]['id']
        busy = s.switch()
        assert not busy.ok and f'operation {number} (switchover of s1) is under way' in busy.message
        assert s.router.ask(f'CANCEL OPERATION {number}').ok
        reply = asked.answer()
        run(blocker, 'UNLOCK TABLES')
        blocker.close()
        assert not reply.ok and 'cancelled' in reply.message, reply.message
        s.served()
        s.judge(load.finish(), s.primary)
        either.check_roles(s.primary)
        assert s.router.operations()[-1]['state'] == 'cancelled'


def test_the_primary_freezes_in_the_middle(either):
    """Between hold and promotion nothing answers any more; when it wakes, everything is put back."""
    with Switching(either, {'health': {'in_flight_grace': '20s'}}) as s:
        load = s.load()
        blocker = either[s.other].connect()
        run(blocker, 'FLUSH TABLES WITH READ LOCK')
        asked = s.router.begin(f"SWITCHOVER SHARD s1 TO db{s.other} TIMEOUT '3s'")
        wait_step(s.router, 'catch up')
        either.freeze(s.primary)
        wait_until(lambda: any('ALERT: ' in words for words in asked.progress), 60, 'somebody is alerted')
        run(blocker, 'UNLOCK TABLES')
        blocker.close()
        either.thaw(s.primary)
        reply = asked.answer()
        assert not reply.ok and 'was put back' in reply.message, reply.message
        s.served()
        s.judge(load.finish(), s.primary, errors=True)  # held too long meanwhile
        assert either.primary == s.primary
        either.check_roles(s.primary)


class Second(OperatedRouter):
    router_id = 'fedcba9876543210'


def test_another_router_is_named(either):
    with Switching(either) as s:
        with Second(either.configuration(s.primary)) as second:
            second.wait_states(**{f'db{s.primary}': 'up', f'db{s.other}': 'up'})
            wait_until(lambda: 'other routers serve' in s.switch(options='DRY RUN').message, 20, 'it is seen', 0.2)
            assert not s.switch().ok
            failover = s.router.ask(f'FAILOVER SHARD s1 TO db{s.other} ACCEPT DATA LOSS')
            assert not failover.ok and 'other routers serve these servers' in failover.message
            assert s.router.ask('CREATE SHARD s2 PRIMARY db%d' % s.other).ok
            assigned = s.router.ask(f'ASSIGN TENANT {TENANT} TO SHARD s2')
            assert not assigned.ok and 'other routers serve these shards' in assigned.message, assigned.message
            assert s.router.ask('DROP SHARD s2').ok
        # Its canaries are no longer fresh by and by.
        wait_until(lambda: 'other routers' not in s.switch(options='DRY RUN').message, 60, 'it is forgotten', 1)


def test_a_router_that_missed_a_promotion_says_so(either):
    """A second router, with a topology of its own, sees the epoch that the first one has written."""
    with Switching(either) as s:
        # The canary of an earlier test's second router may be fresh still.
        wait_until(lambda: 'other routers' not in s.switch(options='DRY RUN').message, 60, 'it is forgotten', 1)
        assert s.switch().ok
        old, new = s.primary, s.other
        stale = either.configuration(old)
        with Second(stale) as second:
            wait_until(
                lambda: any('another router has made' in words for words in second.events()), 20, 'it sees the epoch'
            )
            client = login(second, TENANT)
            code, text = error_of(run, client, f'INSERT INTO tenant_{TENANT}.ledger VALUES (5, 5)')
            assert code == 9401 and 'by another router' in text, (code, text)
            assert second.ask(f'ALTER SHARD s1 PRIMARY db{new}').ok
            second.wait_states(**{f'db{new}': 'up'})
            run(client, f'INSERT INTO tenant_{TENANT}.ledger VALUES (6, 6)')

