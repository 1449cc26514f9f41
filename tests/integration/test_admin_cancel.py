"""What waits is cancelled, by Ctrl-C of real clients, by KILL QUERY and by CANCEL OPERATION: everything is put back.
And what it waits for is told to whoever asked for it."""
import contextlib

import pytest

import ledger
import rawclient as rc
from admin_place import ADMIN, Operator, Target
from change_fleet import TENANT
from hang_fleet import Load
from processes import wait_until
from sessions import Beside
from switching import Switching, wait_step
from terminal import Terminal
from test_admin_clients import command_line, mysql9
from test_admin_operations import in_transaction, place, running, session, state_of  # noqa: F401 (a fixture)
from test_failover import QUICK, fence_script, freeze_under_load
from test_switchover import either, end_fleets, fleet_of, mariadb  # noqa: F401 (fixtures)
from test_switchover_kill import locked

pytestmark = pytest.mark.slow
KEYS = {'mariadb': lambda: ['mariadb'], 'mysql 9': mysql9}


class Asking:
    """A statement under way on a raw connection, and what ends it as the `mysql` client does: a second connection that
    says KILL QUERY."""

    def __init__(self, router, statement: str, capabilities: int = rc.BASE | rc.DEPRECATE_EOF):
        self.router = router
        self.connection = rc.connect(Target(router), *ADMIN, capabilities=capabilities)
        self.answer = Beside(self.connection.query, statement)

    def kill_query(self) -> None:
        with Operator(self.router) as killer:
            killer.said(f'KILL QUERY {self.connection.greeting.thread_id}')

    def error(self, timeout: float = 20) -> tuple[int, str]:
        response = self.answer.result(timeout)
        assert self.connection.value('SELECT 7') == '7', 'the connection stays'
        self.connection.close()
        return (response.error.errno, response.error.message) if response.error else (0, '')


def ended(operator, number: int) -> dict:
    return operator.one(f'SELECT state, detail FROM operations WHERE id = {number}')


# --- ASSIGN TENANT


def other_place(fleet, number: int) -> None:
    fleet[number].execute(
        'DROP DATABASE IF EXISTS tenant_t1', 'CREATE DATABASE tenant_t1', 'USE tenant_t1', *ledger.TABLES
    )


@pytest.mark.parametrize('how', ['kill query', 'cancel operation'])
def test_assign_is_put_back(place, how):  # noqa: F811
    """It waits for a running transaction; the tenant stays where it was, and its work flows."""
    fleet, router, operator = place()
    other_place(fleet, 2)
    client, beside = in_transaction(router, 't1'), session(router, 't1')
    asking = Asking(router, "ASSIGN TENANT t1 TO SHARD s2 TIMEOUT '60s'")
    waits = 'tenant t1: waiting for 0 running statements and 1 open transactions'
    wait_until(lambda: (running(operator, 'assign') or {}).get('step') == waits, 10, 'it says what it waits for')
    number = running(operator, 'assign')['id']
    held = Beside(beside.query, 'INSERT INTO ledger VALUES (2, 0)')
    wait_until(lambda: operator.value("SELECT sum(held) FROM holds WHERE tenant = 't1'") == 1, 10, 'new work is held')
    assert not held.done() and not asking.answer.done()
    if how == 'kill query':
        asking.kill_query()
    else:
        operator.said(f'CANCEL OPERATION {number}')
    code, message = asking.error()
    assert code == 9420 and 'assign was cancelled; everything is as it was before' in message, (code, message)
    assert str(client.greeting.thread_id) in message, 'it names who was waited for'
    assert ended(operator, number)['state'] == 'cancelled'
    assert held.result(15).error is None, 'what was held goes on'
    assert operator.value("SELECT shard FROM tenants WHERE name = 't1'") == 's1'
    assert not operator("SELECT 1 FROM holds WHERE tenant = 't1'"), 'nobody holds it any more'
    client.ok('INSERT INTO ledger VALUES (1, 2)')
    client.ok('COMMIT')
    load = Load(router, {'t1': 4}, seed=6, first=100, mix={'auto': 60, 'transaction': 40})
    wait_until(lambda: len(ledger.rows_of(fleet[1], 't1')) > 40, 20, 'its work flows')
    result = load.finish()
    assert not result.errors_of('t1') and not result.problems
    assert not ledger.compare(result.told, ledger.rows_of(fleet[1], 't1')).lies
    rows = ledger.rows_of(fleet[1], 't1')
    assert rows[1] == [1, 2] and rows[2] == [0]
    assert not ledger.rows_of(fleet[2], 't1'), 'nothing went to the other shard'
    for one in (client, beside):
        one.quit()


# --- SWITCHOVER


@contextlib.contextmanager
def waiting_switchover(s: Switching, timeout: int = 30):
    """The candidate can't apply what it has received, so that a SWITCHOVER waits for it; gives the statement."""
    with locked(s.fleet[s.other]):
        yield f"SWITCHOVER SHARD s1 TO db{s.other} TIMEOUT '{timeout}s'"


def check_put_back(s: Switching, load) -> None:
    operation = s.router.operations()[-1]
    assert operation['state'] == 'cancelled' and 'was put back: cancelled' in operation['detail'], operation
    s.served()
    s.judge(load.finish(), s.primary)
    assert s.fleet.primary == s.primary
    s.fleet.check_roles(s.primary)
    assert s.router.table("SELECT state, primary_backend FROM shards WHERE name = 's1'") == [
        {'state': 'serving', 'primary_backend': f'db{s.primary}'}
    ]


def test_switchover_is_put_back_by_kill_query(either):  # noqa: F811
    with Switching(either) as s:
        load = s.load()
        with waiting_switchover(s) as statement:
            asking = Asking(s.router, statement)
            wait_step(s.router, 'catch up')
            asking.kill_query()
            code, message = asking.error()
        assert code == 9420 and 'was put back: cancelled; everything is as it was before' in message, (code, message)
        check_put_back(s, load)


@pytest.mark.parametrize('client', list(KEYS))
def test_switchover_is_put_back_by_ctrl_c(mariadb, client):  # noqa: F811
    """In the clients of both families, on a terminal; MariaDB's shows how it gets on."""
    program = KEYS[client]()
    with Switching(mariadb) as s:
        load = s.load()
        with waiting_switchover(s) as statement:
            with Terminal(command_line(program, s.router, '-A')) as terminal:
                prompt = 'mysql> ' if client == 'mysql 9' else ']> '
                terminal.read_until(prompt, 40)
                terminal.type(statement + ';\n')
                if client == 'mariadb':
                    shown = terminal.read_until('switchover of shard s1: catch up', 20)
                    assert 'Stage: 1 of 1' in shown, shown
                wait_step(s.router, 'catch up')
                terminal.interrupt()
                shown = terminal.read_until(prompt, 20)
                assert 'ERROR 9420' in shown and 'everything is as it was before' in shown.replace('\r\n', ''), shown
        check_put_back(s, load)


# --- progress


PROGRESS = rc.BASE | rc.DEPRECATE_EOF | rc.MARIADB_PROGRESS


def reports(response) -> list[str]:
    """What was told before the answer."""
    found = []
    for _, packet in response.packets:
        if packet[:3] != b'\xff\xff\xff':
            break
        # Number of strings, stage, stages, progress of 100,000, and the text with its length in front.
        assert packet[3] == 1, packet
        length, at = rc.read_lenenc(packet, 9)
        found.append(packet[at : at + length].decode())
    return found


def test_switchover_tells_its_progress(either):  # noqa: F811
    with Switching(either) as s:
        asking = Asking(s.router, f'SWITCHOVER SHARD s1 TO db{s.other}', PROGRESS)
        response = asking.answer.result(60)
        told = reports(response)
        steps = ['inspect', 'hold', f'freeze old (db{s.primary})', f'promote (db{s.other})', 'release']
        wanted = [f'switchover of shard s1: {step}' for step in steps]
        at = [told.index(words) for words in wanted]
        assert at == sorted(at), told
        assert response.error is None, response.error
        asking.connection.close()
        either.check_roles(s.other)


def test_assign_tells_its_progress(place):  # noqa: F811
    fleet, router, operator = place()
    other_place(fleet, 2)
    client = in_transaction(router, 't1')
    asking = Asking(router, "ASSIGN TENANT t1 TO SHARD s2 TIMEOUT '60s'", PROGRESS)
    waits = 'tenant t1: waiting for 0 running statements and 1 open transactions'
    wait_until(lambda: (running(operator, 'assign') or {}).get('step') == waits, 10, 'it waits')
    client.ok('COMMIT')
    response = asking.answer.result(20)
    assert response.error is None and waits in reports(response), reports(response)
    assert operator.value("SELECT shard FROM tenants WHERE name = 't1'") == 's2'
    asking.connection.close()
    client.quit()


# --- FAILOVER


@pytest.mark.parametrize('how', ['kill query', 'cancel operation'])
def test_failover_is_put_back(binary, tmp_path, how):
    """While the fence command sleeps. It does not confirm then; the old primary wakes up and is served as before."""
    fleet = fleet_of('mariadb')
    fence = fence_script(tmp_path, 'fence', f'echo begun > {tmp_path}/begun; sleep 3; echo the switch is slow; exit 9')
    with Switching(fleet, {**QUICK, 'failover': {'fence_command': [fence]}}) as s:
        load = freeze_under_load(s)
        asking = Asking(s.router, f'FAILOVER SHARD s1 TO db{s.other} ACCEPT DATA LOSS ACCEPT SPLIT BRAIN')
        wait_until((tmp_path / 'begun').exists, 20, 'the fence command runs', 0.02)
        if how == 'kill query':
            asking.kill_query()
        else:
            number = s.router.operations()[-1]['id']
            with Operator(s.router) as operator:
                operator.said(f'CANCEL OPERATION {number}')
        code, message = asking.error()
        assert code == 9420 and 'was put back: cancelled; everything is as it was before' in message, (code, message)
        assert s.router.operations()[-1]['state'] == 'cancelled'
        assert fleet.read_only(s.other)
        fleet.thaw(s.primary)
        s.router.wait_states(**{f'db{s.primary}': 'up'})
        s.served()
        s.judge(load.finish(), s.primary, errors=True)
        fleet.check_roles(s.primary)


# --- DRILL


@pytest.mark.parametrize('how', ['kill query', 'cancel operation'])
def test_drill_is_put_back(place, how):  # noqa: F811
    _, router, operator = place()
    client = session(router, 't1')
    asking = Asking(router, "DRILL HANG SHARD s1 FOR '50s'")
    operation = wait_until(lambda: running(operator, 'drill'), 10, 'the drill runs')
    held = Beside(client.query, 'INSERT INTO ledger VALUES (1, 0)')
    wait_until(lambda: operator.value("SELECT held FROM shards WHERE name = 's1'") == 1, 10, 'work is held')
    if how == 'kill query':
        asking.kill_query()
    else:
        operator.said(f"CANCEL OPERATION {operation['id']}")
    response = asking.answer.result(40)
    assert held.result(20).error is None, 'what was held goes on'
    wait_until(lambda: state_of(operator, 's1') == 'serving', 40, 'it serves as before')
    found = ended(operator, operation['id'])
    print(found, response.error)
    assert found['state'] in ('cancelled', 'done') and 'cancelled after' in found['detail'], found
    asking.connection.close()
    client.quit()
