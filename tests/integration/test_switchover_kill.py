"""The router is killed at each step of a SWITCHOVER under load: the next process finishes it or puts it back, and says
which; nothing is lost, doubled or wrongly told."""
import contextlib

import pytest

import slow_disk
from change_fleet import TENANT, ChangeFleet
from processes import wait_until
from router_kills import cancel_at, check_told, kill_at, kill_router, start_again
from servers import available
from sessions import login, run
from switching import Switching, stored_step, wait_step
from test_failover import with_semi_sync
from test_switchover import end_fleets, fleet_of  # noqa: F401 (a fixture)

pytestmark = pytest.mark.slow
STEPS = [
    'hold',
    'drain',
    'end running',
    'freeze old',
    'end privileged',
    'read position',
    'catch up',
    'detach',
    'promote',
    'publish',
    'prove',
    'release',
    'repoint',
    'keep semi-sync',
    'settle',
]
PUTTING_BACK = ['thaw old', 'release', 'reattach']
SLOW = 200  # milliseconds in which a step that was stored can be seen, also on a busy machine
FINISHED = STEPS[STEPS.index('publish') :]
ON_MARIADB = ('freeze old', 'promote', 'repoint')  # also where not everything is run


def kinds(steps: list[str], always: tuple = ()) -> list:
    return [
        pytest.param(kind, step, marks=[] if kind == 'mariadb' and step in always else pytest.mark.full)
        for kind in ('mariadb', 'mysql')
        for step in steps
    ]


@contextlib.contextmanager
def locked(server):
    """Its applying thread waits meanwhile."""
    blocker = server.connect()
    run(blocker, 'FLUSH TABLES WITH READ LOCK')
    try:
        yield
    finally:
        run(blocker, 'UNLOCK TABLES')
        blocker.close()


def judge(s: Switching, load, operation: dict) -> int:
    """The primary that it has now, and everything as it should be."""
    fleet = s.fleet
    primary = s.other if check_told(s, operation) else s.primary
    s.wait_up()
    s.served()
    compared = s.judge(load.finish(), primary, errors=True)
    assert compared.labels['done'] > 20, compared.labels
    assert fleet.primary == primary
    fleet.check_roles(primary)
    fleet.catch_up(primary)
    return primary


@pytest.mark.parametrize('kind, step', kinds(STEPS, ON_MARIADB))
def test_the_router_is_killed_at_a_step(binary, kind, step):
    fleet = fleet_of(kind)
    with Switching(fleet, env=slow_disk.environment(SLOW)) as s:
        load = s.load()
        held_up = None
        if step == 'end running':  # somebody's transaction that does not end by itself
            held_up = login(s.router, TENANT)
            run(held_up, 'BEGIN', f'INSERT INTO tenant_{TENANT}.ledger VALUES (-1, 0)')
        asked = s.router.begin(f"SWITCHOVER SHARD s1 TO db{s.other} TIMEOUT '{4 if held_up else 10}s'")
        kill_at(s, asked, step)
        operation = start_again(s)
        primary = judge(s, load, operation)
        # At the promotion the candidate is asked; before it nothing stays, after it all is finished.
        if operation['at'] != 'promote':
            assert primary == (s.other if operation['at'] in FINISHED else s.primary)
        if held_up:
            held_up.close()
            assert not fleet[primary].execute(f'SELECT * FROM tenant_{TENANT}.ledger WHERE id = -1')


@pytest.mark.parametrize('kind, step', kinds(PUTTING_BACK, ('thaw old',)))
def test_the_router_is_killed_while_it_puts_back(binary, kind, step):
    fleet = fleet_of(kind)
    with Switching(fleet, env=slow_disk.environment(SLOW)) as s:
        load = s.load()
        with contextlib.ExitStack() as stack:
            if step != 'reattach':
                stack.enter_context(locked(fleet[s.other]))
            asked = s.router.begin(f"SWITCHOVER SHARD s1 TO db{s.other} TIMEOUT '20s'")
            cancelled = cancel_at(s, 'detach' if step == 'reattach' else 'catch up')
            try:
                # Everything before the promotion, then back: none of these steps comes on the way there.
                wait_step(s.router, step)
            finally:
                kill_router(s, asked)
        cancelled.result()
        operation = start_again(s)
        assert 'was put back: cancelled' in operation['detail'], operation
        assert judge(s, load, operation) == s.primary


@pytest.mark.full
@pytest.mark.parametrize('kind', ['mariadb', 'mysql'])
def test_the_router_is_killed_while_it_looks(binary, kind):
    """A replica does not answer, so that the looking takes its time; nothing was changed yet."""
    fleet = fleet_of(kind)
    with Switching(fleet, env=slow_disk.environment(SLOW)) as s:
        load = s.load()
        third = ({1, 2, 3} - {s.primary, s.other}).pop()
        fleet.freeze(third)
        asked = s.router.begin(f'SWITCHOVER SHARD s1 TO db{s.other}')
        try:
            wait_until(lambda: s.router.operations()[-1]['step'] == 'inspect', 10, 'it looks', 0.01)
        finally:
            kill_router(s, asked)
            fleet.thaw(third)
        print(stored_step(s.router))
        s.router.start()
        assert not [o for o in s.router.operations() if o['state'] == 'running']
        s.wait_up()
        s.served()
        s.judge(load.finish(), s.primary, errors=True)
        fleet.check_roles(s.primary)


@pytest.mark.full
@pytest.mark.parametrize('step', ['repoint', 'keep semi-sync', 'prove'])
@pytest.mark.parametrize('kind', ['mariadb', 'mysql'])
def test_the_router_is_killed_while_replicas_are_waited_for(binary, kind, step):
    """With semi-synchronous replication, which stays as it was: nothing is committed before another server has it."""
    reason = available(kind)
    if reason:
        pytest.skip(reason)
    with ChangeFleet(kind, f'semikill-{kind}', 3) as fleet:
        with_semi_sync(fleet)
        enabled = fleet.words('rpl_semi_sync_master_enabled', 'rpl_semi_sync_source_enabled')
        clients = fleet.words('Rpl_semi_sync_master_clients', 'Rpl_semi_sync_source_clients')
        with Switching(fleet, env=slow_disk.environment(SLOW)) as s:
            load = s.load()
            asked = s.router.begin(f'SWITCHOVER SHARD s1 TO db{s.other}')
            kill_at(s, asked, step)
            primary = judge(s, load, start_again(s))
            assert primary == s.other
            assert fleet[s.other].execute(f'SELECT @@global.{enabled}')[0][0] == 1
            assert fleet[s.primary].execute(f'SELECT @@global.{enabled}')[0][0] == 0
            wait_until(lambda: fleet[s.other].status(clients) == 2, 20, 'both replicas acknowledge')
