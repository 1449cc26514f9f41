"""The router is killed at each step of a FAILOVER under load: the next process finishes it or puts it back, and says
which; nothing is lost that was not accepted, nothing doubled or wrongly told."""
import signal

import pytest

import slow_disk
from change_fleet import TENANT, ChangeFleet
from processes import wait_until
from router_kills import cancel_at, check_told, kill_at, kill_router, start_again
from servers import available
from sessions import login, run
from switching import Switching, wait_step
from test_failover import QUICK, compare_after, fence_script, freeze_under_load, killing_fence, with_semi_sync

pytestmark = pytest.mark.slow
STEPS = [
    'hold',
    'fence',
    'stop receiving',
    'apply received',
    'detach',
    'promote',
    'publish',
    'prove',
    'release',
    'repoint',
    'keep semi-sync',
    'settle',
]
SLOW = 200  # milliseconds in which a step that was stored can be seen, also on a busy machine
FINISHED = STEPS[STEPS.index('publish') :]


def kinds(steps: list[str], always: tuple = ()) -> list:
    return [
        pytest.param(kind, step, marks=[] if kind == 'mariadb' and step in always else pytest.mark.full)
        for kind in ('mariadb', 'mysql')
        for step in steps
    ]


def fleet_with(kind: str, name: str) -> ChangeFleet:
    reason = available(kind)
    if reason:
        pytest.skip(reason)
    return ChangeFleet(kind, f'{name}-{kind}', 3)


def serves(s: Switching, load, primary: int) -> None:
    """Work flows there, and the load's clients were told the truth."""
    s.served()
    client = login(s.router, TENANT)
    run(client, f'INSERT INTO tenant_{TENANT}.ledger VALUES (-2, 0)')
    client.close()
    compared = compare_after(s, load.finish(), primary)
    assert compared.labels['done'] > 20, compared.labels
    assert s.fleet[primary].execute(f'SELECT COUNT(*) FROM tenant_{TENANT}.ledger WHERE id = -2')[0][0] == 1


@pytest.mark.parametrize('kind, step', kinds(STEPS, ('stop receiving', 'promote')))
def test_the_router_is_killed_at_a_step(binary, tmp_path, kind, step):
    with fleet_with(kind, 'killed') as fleet:
        fence = killing_fence(tmp_path, fleet, 1)
        with Switching(fleet, {**QUICK, 'failover': {'fence_command': fence}}, env=slow_disk.environment(SLOW)) as s:
            load = freeze_under_load(s)
            asked = s.router.begin('FAILOVER SHARD s1 TO db2 ACCEPT DATA LOSS')
            kill_at(s, asked, step)
            operation = start_again(s)
            done = check_told(s, operation)
            if step != 'promote':
                assert done == (step in FINISHED), operation
            assert fleet.read_only(2) != done, operation
            if done:
                wait_until(lambda: s.router.states()['db1'] in ('fenced', 'down'), 30, 'db1 is not served')
            else:
                again = s.router.ask('FAILOVER SHARD s1 TO db2 ACCEPT DATA LOSS ACCEPT SPLIT BRAIN')
                assert again.ok, again.message
            serves(s, load, 2)
            fleet[1].stop(signal.SIGKILL)
            fleet.check_roles(2, but=(1,))


@pytest.mark.parametrize('kind, step', kinds(['release', 'reattach']))
def test_the_router_is_killed_while_it_puts_back(binary, tmp_path, kind, step):
    """Its fence does not confirm, or somebody cancels; the old primary wakes up, and is served as before."""
    with fleet_with(kind, 'undone') as fleet:
        fence = fence_script(tmp_path, 'fence', 'exit 7')
        accepted = 'ACCEPT DATA LOSS' + (' ACCEPT SPLIT BRAIN' if step == 'reattach' else '')
        changes = {**QUICK, 'failover': {'fence_command': [fence]}}
        with Switching(fleet, changes, env=slow_disk.environment(SLOW)) as s:
            load = freeze_under_load(s)
            asked = s.router.begin(f'FAILOVER SHARD s1 TO db2 {accepted}')
            cancelled = cancel_at(s, 'detach') if step == 'reattach' else None
            try:
                wait_step(s.router, step)
            finally:
                kill_router(s, asked)
            if cancelled:
                cancelled.result()
            fleet.thaw(1)
            operation = start_again(s)
            assert not check_told(s, operation), operation
            s.wait_up()
            serves(s, load, 1)
            fleet.check_roles(1)


@pytest.mark.full
@pytest.mark.parametrize('step', ['repoint', 'keep semi-sync'])
@pytest.mark.parametrize('kind', ['mariadb', 'mysql'])
def test_the_router_is_killed_while_replicas_are_waited_for(binary, tmp_path, kind, step):
    with fleet_with(kind, 'semikilled') as fleet:
        with_semi_sync(fleet)
        enabled = fleet.words('rpl_semi_sync_master_enabled', 'rpl_semi_sync_source_enabled')
        fence = killing_fence(tmp_path, fleet, 1)
        with Switching(fleet, {**QUICK, 'failover': {'fence_command': fence}}, env=slow_disk.environment(SLOW)) as s:
            load = s.load(clients=8)
            wait_until(
                lambda: 'nothing acknowledged is only there'
                in str(s.router.ask('FAILOVER SHARD s1 TO db2 DRY RUN').rows),
                40,
                'its settings were read',
                0.5,
            )
            s.frozen_at = 0  # nothing that was acknowledged may be missing
            fleet.freeze(1)
            s.router.wait_states(db1='down')
            dry_run = s.router.operations()[-1]['id']
            asked = s.router.begin('FAILOVER SHARD s1 TO db2 ACCEPT DATA LOSS')
            kill_at(s, asked, step, after=dry_run)
            assert check_told(s, start_again(s))
            serves(s, load, 2)
            assert fleet[2].execute(f'SELECT @@global.{enabled}')[0][0] == 1
            fleet[1].stop(signal.SIGKILL)
            fleet.check_roles(2, but=(1,))
