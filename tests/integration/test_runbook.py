"""The chapters of docs/OPERATIONS.md that an operator works through, step by step, on a real router."""
import threading

import pytest

import ledger
import rawclient as rc
import runbook
from admin_place import Operator, configuration, wait_operators
from hang_fleet import Load, shared_fleet, wait_all_up
from processes import wait_until
from servers import APP_PASSWORD
from sessions import Beside, make_tenant

pytestmark = pytest.mark.slow


@pytest.fixture
def place(routers, tmp_path):
    """(fleet, router, operator, shell): tenants acme and globex on shards s1 and s2, named as in the document."""
    fleet = shared_fleet()
    fleet.forget_routers()
    for number, tenant in ((1, 'acme'), (2, 'globex')):
        make_tenant(fleet[number], tenant, *ledger.TABLES)
    fleet[2].execute('DROP DATABASE IF EXISTS tenant_acme')
    config = configuration(fleet)
    topology = config['topology']
    topology['backends'] = topology['backends'][:2]
    topology['shards'] = topology['shards'][:2]
    topology['tenants'] = [{'name': 'acme', 'shard': 's1'}, {'name': 'globex', 'shard': 's2'}]
    router = routers(config)
    wait_all_up(router, count=2)
    shell = runbook.Shell(tmp_path, **{'127.0.0.1:9306': f'127.0.0.1:{router.http_port}'})
    for number in (1, 2):
        shell.knows(f'db{number}', fleet[number])
    with wait_operators(router) as operator:
        yield fleet, router, operator, shell


class Flood:
    """Sessions of one tenant that ask as fast as they are answered."""

    def __init__(self, router, tenant: str, count: int):
        self.codes: set[int] = set()
        self._stop = threading.Event()
        self._threads = [threading.Thread(target=self._run, args=(router, tenant), daemon=True) for _ in range(count)]
        for thread in self._threads:
            thread.start()

    def _run(self, router, tenant: str) -> None:
        while not self._stop.is_set():
            try:
                client = rc.connect(router, 'app', APP_PASSWORD, f'tenant_{tenant}')
                while not self._stop.is_set():
                    error = client.query('SELECT SLEEP(0.05), COUNT(*) FROM ledger').error
                    self.codes.add(error.errno if error else 0)
                    self._stop.wait(0.02 if error else 0)
                client.quit()
            except rc.ServerError as error:
                self.codes.add(error.errno)
            except (OSError, rc.Closed):
                pass  # killed
            self._stop.wait(0.05)

    def stop(self) -> None:
        self._stop.set()
        for thread in self._threads:
            thread.join(30)


def test_a_tenant_floods(place):
    fleet, router, operator, shell = place
    steps = runbook.steps(runbook.chapter('A tenant floods'))
    assert list(steps) == [1, 2, 3, 4, 5, 6]
    neighbour = rc.connect(router, 'app', APP_PASSWORD, 'tenant_globex')
    long = rc.connect(router, 'app', APP_PASSWORD, 'tenant_acme')
    sleeping = [Beside(long.query, 'SELECT SLEEP(600) FROM (SELECT 1 FROM ledger UNION SELECT 1) AS one')]
    other = rc.connect(router, 'app', APP_PASSWORD, 'tenant_acme')
    sleeping.append(Beside(other.query, 'SELECT SLEEP(600) FROM (SELECT 1 FROM ledger UNION SELECT 1) AS one'))
    flood = Flood(router, 'acme', 30)
    try:
        who, metrics = steps[1]
        wait_until(lambda: operator(who)[0][:2] == ('acme', 's1'), 20, 'it is named first')
        wait_until(lambda: 'tenant="acme"' in shell(f'{metrics} || true'), 20, 'it is among the busiest')
        (what,) = steps[2]
        wait_until(lambda: operator(what)[0][0] == 'SELECT SLEEP(?), COUNT(*) FROM ledger', 10, 'and what it runs')
        (limit,) = steps[3]
        operator.said(limit)
        wait_until(lambda: 9405 in flood.codes, 20, 'it is refused')
        which, kill_query, kill_session = steps[4]
        found = wait_until(lambda: (lambda rows: len(rows) == 2 and rows)(operator(which)), 30, 'the long ones')
        first, second = (str(row[0]) for row in found)
        assert {int(first), int(second)} == {long.greeting.thread_id, other.greeting.thread_id}
        operator.said(kill_query.replace('1073741888', first))
        operator.said(kill_session.replace('1073741888', second))
        assert all(one.done(20) for one in sleeping), 'they have ended'
        state, reject, release = steps[5]
        row = operator.one(state)
        assert row['name'] == 'acme' and row['refused'] > 0 and row['running'] <= 10, row
        operator.said(reject)
        wait_until(lambda: 9401 in flood.codes, 20, 'it is closed')
        assert neighbour.value('SELECT COUNT(*) FROM ledger') == '0'
        operator.said(release)
        (undo,) = steps[6]
        operator.said(undo)
        assert operator.one("SELECT max_running, max_sessions FROM tenants WHERE name = 'acme'") == {
            'max_running': None,
            'max_sessions': None,
        }
        flood.codes.clear()
        wait_until(lambda: 0 in flood.codes, 20, 'it is served again')
    finally:
        flood.stop()
        for one in (long, other, neighbour):
            one.close()


def test_a_shard_is_full(place):
    fleet, _, operator, shell = place
    steps = runbook.steps(runbook.chapter('A shard is full'))
    big, busy, room = steps[1]
    assert 'tenant_acme' in shell(big)
    operator(busy)
    assert {tuple(row) for row in operator(room)} == {('s1', 'db1', 1), ('s2', 'db2', 1)}
    create_backend, create_shard, state = steps[2]
    operator.said(create_backend.replace('10.0.0.9:3306', f'{fleet[3].host}:{fleet[3].port}'))
    operator.said(create_shard)
    wait_until(lambda: operator(state)[0][1] == 'up', 20, 'it can be used')
    (create_tenant,) = steps[4]
    operator.said(create_tenant)
    assert operator.value("SELECT shard FROM tenants WHERE name = 'initech'") == 's9'
    for statement in steps[5]:
        operator.said(statement)
    assert operator.value('SELECT count(*) FROM backends') == 2


def test_a_tenant_moves_while_its_clients_write(place):
    """Nothing is lost, nothing is there twice: all of the copy, and what came after it."""
    fleet, router, operator, shell = place
    steps = runbook.steps(runbook.chapter('Moving a tenant to another shard'))
    fleet[1].execute('CREATE VIEW seen AS SELECT COUNT(*) AS n FROM ledger', db='tenant_acme')
    load = Load(router, {'acme': 8, 'globex': 2}, seed=6)
    try:
        wait_until(lambda: len(ledger.rows_of(fleet[1], 'acme')) > 100, 30, 'the clients work')
        for line in steps[1]:
            assert shell(line) == ''
        hold, still = steps[2]
        operator.said(hold)
        wait_until(lambda: not operator(still), 30, 'what was begun has ended')
        dump, copy, compare = steps[3]
        shell(dump)
        shell(copy)
        assert shell(compare) == 'the same\n'
        copied = len(ledger.rows_of(fleet[2], 'acme'))
        assign, where, release = steps[4]
        said = operator.said(assign)
        assert said.startswith('tenant acme is on shard s2 and is held by an operator as before'), said
        assert any('shard s2' in str(row) for row in operator(where)), operator(where)
        assert len(ledger.rows_of(fleet[2], 'acme')) == copied, 'it is held still'
        operator.said(release)
        wait_until(lambda: len(ledger.rows_of(fleet[2], 'acme')) > copied + 50, 30, 'the clients work there')
        (clean,) = steps[5]
        shell(clean)
        result = load.finish()
    except BaseException:
        load.kill()
        raise
    assert not fleet[1].execute("SHOW DATABASES LIKE 'tenant_acme'"), 'the old copy is gone'
    assert fleet[2].execute('SELECT n > 0 FROM seen', db='tenant_acme')[0][0] == 1, 'views came along'
    comparison = ledger.compare(result.of('acme'), ledger.rows_of(fleet[2], 'acme'))
    print(f'{comparison.units} units, {dict(comparison.labels)}, {copied} copied')
    assert not comparison.lies, comparison.lies[:10]
    assert not result.problems, result.problems[:10]
    wrong = [u for u in result.of('acme') if u.label != 'done' and u.code not in (9403, 9404, 9411)]
    assert not wrong, wrong[:10]
    assert not result.errors_of('globex')


def test_a_move_is_taken_back(place):
    """Before the RELEASE; and the old copy is not dropped when something was written to it meanwhile."""
    fleet, _, operator, shell = place
    text = runbook.chapter('Moving a tenant to another shard')
    steps = runbook.steps(text)
    fleet[1].execute('INSERT INTO ledger VALUES (1, 1)', db='tenant_acme')
    operator.said(steps[2][0])
    for line in steps[3]:
        shell(line)
    operator.said(steps[4][0])
    back = [code for code in runbook.inline(text[text.index('The way back') :]) if code.isupper() or 'acme' in code]
    assert [code.split()[0] for code in back] == ['ASSIGN', 'RELEASE']
    for statement in back:
        operator.said(statement)
    assert operator.value("SELECT shard FROM tenants WHERE name = 'acme'") == 's1'
    assert operator.error(back[1])[0] == 9420, 'it is held no more'
    fleet[1].execute('INSERT INTO ledger VALUES (2, 2)', db='tenant_acme')
    with pytest.raises(AssertionError, match='ended with 1'):
        shell(steps[5][0])
    assert fleet[1].execute('SELECT COUNT(*) FROM ledger', db='tenant_acme')[0][0] == 2
