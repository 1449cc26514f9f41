"""What operators see and say where a shard has replicas: the tables with rows, how a shard is failed over, and the
examples of docs/OPERATIONS.md in their good form."""
import sqlite3

import pytest

import rawclient as rc
from admin_place import Operator
from change_fleet import TENANT, ChangeFleet
from processes import wait_until
from servers import APP_PASSWORD
from sessions import Beside
from switching import Switching
from test_admin_examples import EXAMPLES
from test_failover import QUICK, ended_by_itself, fence_script, freeze_under_load, killing_fence
from test_switchover import end_fleets, fleet_of, mariadb  # noqa: F401 (fixtures)

pytestmark = pytest.mark.slow


def width(rows: list[dict]) -> int:
    """Of the table that command lines print."""
    return 1 + sum(
        3 + max(len(text) for text in [column, *('NULL' if row[column] is None else str(row[column]) for row in rows)])
        for column in rows[0]
    )


def example(words: str) -> str:
    found = [text for text in EXAMPLES if text.startswith(words)]
    assert len(found) == 1, found
    return found[0]


def test_replicas_are_listed_with_their_states(mariadb):  # noqa: F811
    with Switching(mariadb) as s, Operator(s.router) as operator:
        everything = 'SELECT * FROM replicas ORDER BY backend'
        replicas = sorted({1, 2, 3} - {s.primary})

        def row(number: int, **other) -> dict:
            up = {'shard': 's1', 'backend': f'db{number}', 'state': 'up', 'primary_backend': f'db{s.primary}'}
            return {**up, 'primary_state': 'up', 'why': None, **other}

        assert operator.rows(everything) == [row(n) for n in replicas]
        shown = operator.rows('SHOW REPLICAS')
        assert sorted(shown, key=lambda r: r['backend']) == [row(n) for n in replicas] and width(shown) <= 120
        assert operator.value("SELECT replicas FROM shards WHERE name = 's1'").replace(' ', '').split(',') == [
            f'db{n}' for n in replicas
        ]

        # One of them hangs: its state, and the evidence, whole in the table and cut for a terminal.
        mariadb.freeze(replicas[1])
        s.router.wait_states(**{f'db{replicas[1]}': 'down'})
        first, second = operator.rows(everything)
        assert first == row(replicas[0])
        assert second == row(replicas[1], state='down', why=second['why']) and 'unanswered' in second['why'], second
        shown = operator.rows("SHOW REPLICAS WHERE state = 'down'")
        assert len(shown) == 1 and width(shown) <= 120, shown
        assert second['why'][:20] == shown[0]['why'][:20] and len(second['why']) > 40, (second, shown)
        whole = operator.one("SHOW FULL REPLICAS WHERE state = 'down'")
        assert 'unanswered' in whole['why'] and len(whole['why']) > len(shown[0]['why'])
        mariadb.thaw(replicas[1])
        s.router.wait_states(**{f'db{replicas[1]}': 'up'})

        # The primary hangs: that is a column of its own.
        mariadb.freeze(s.primary)
        s.router.wait_states(**{f'db{s.primary}': 'down'})
        assert [r['primary_state'] for r in operator.rows(everything)] == ['down', 'down']
        assert [r['state'] for r in operator.rows(everything)] == ['up', 'up']
        mariadb.thaw(s.primary)
        s.router.wait_states(**{f'db{s.primary}': 'up'})

        # After a change of roles the other one is listed.
        assert s.switch().ok
        wanted = sorted({1, 2, 3} - {s.other})
        assert [r['backend'] for r in operator.rows(everything)] == [f'db{n}' for n in wanted]
        assert {r['primary_backend'] for r in operator.rows(everything)} == {f'db{s.other}'}


def test_unknown_outcomes_are_listed(mariadb):  # noqa: F811
    """Long statements were under way when the server fell silent; the digest is cut for a terminal."""
    many = ', '.join(f'({n}, {n})' for n in range(100, 140))
    statement = 'INSERT INTO ledger (id, part) SELECT id, part FROM (SELECT 4711 AS id, 1 AS part) AS x'
    statement += ' WHERE id IN (4711, 4712) AND part BETWEEN 0 AND 3 AND id NOT IN (SELECT 1) ORDER BY id, part'
    with Switching(mariadb, {'health': {'in_flight_grace': '4s'}}) as s, Operator(s.router) as operator:
        clients = [rc.connect(s.router, 'app', APP_PASSWORD, f'tenant_{TENANT}') for _ in range(2)]
        lock = mariadb[s.primary].connect()
        with lock.cursor() as cursor:
            cursor.execute(f'LOCK TABLES tenant_{TENANT}.ledger READ')
        texts = [statement, f'INSERT INTO ledger VALUES {many}']
        doing = [Beside(client.query, text) for client, text in zip(clients, texts)]
        wait_until(
            lambda: sum('INSERT' in (row[3] or '') for row in mariadb[s.primary].threads()) == 2, 10, 'they run there'
        )
        on_server = {row[0] for row in mariadb[s.primary].threads() if 'INSERT' in (row[3] or '')}
        mariadb.freeze(s.primary)
        assert [one.result(40).error.errno for one in doing] == [9410, 9410]
        by_session = {row['session']: row for row in operator.rows('SELECT * FROM unknown')}
        rows = [by_session[client.greeting.thread_id] for client in clients]
        assert len(by_session) == 2
        for row, client in zip(rows, clients):
            assert (row['tenant'], row['shard'], row['backend']) == (TENANT, 's1', f'db{s.primary}'), row
            assert row['session'] == client.greeting.thread_id and row['backend_connection'] in on_server, row
            assert '4711' not in row['digest'] and '139' not in row['digest'], row
        assert rows[0]['digest'].startswith('INSERT INTO ledger (id, part) SELECT id, part FROM (SELECT ? AS id'), rows
        shown = operator.rows('SHOW UNKNOWN')
        assert len(shown) == 2 and width(shown) <= 120, (width(shown), shown)
        assert {row['session'] for row in shown} == {row['session'] for row in rows}
        cut = next(row for row in shown if row['session'] == rows[0]['session'])
        assert len(cut['digest']) < len(rows[0]['digest']) and rows[0]['digest'].startswith(cut['digest'].rstrip('…'))
        mariadb.thaw(s.primary)
        lock.close()
        for client in clients:
            client.close()


def stored_failover(s: Switching) -> str:
    path = f"{s.router.config['state_dir']}/topology.sqlite"
    with sqlite3.connect(f'file:{path}?mode=ro', uri=True, timeout=5) as db:
        return db.execute("SELECT failover FROM shards WHERE name = 's1'").fetchone()[0]


def test_alter_shard_failover(mariadb, tmp_path):  # noqa: F811
    """What is said is stored, and takes effect; a word that is none is refused and changes nothing."""
    fence = fence_script(tmp_path, 'fence', 'exit 7')
    changes = {**QUICK, 'failover': {'fence_command': [fence], 'automatic_after': '500ms'}}
    with Switching(mariadb, changes) as s, Operator(s.router) as operator:
        assert stored_failover(s) == 'manual'
        for word in ('AUTOMATIC', 'AUTOMATIC_WITH_LOSS', 'MANUAL'):
            assert 's1' in operator.said(f'ALTER SHARD s1 FAILOVER {word}')
            assert stored_failover(s) == word.lower()
        code, message = operator.error('ALTER SHARD s1 FAILOVER AUTOMATC')
        assert code == 1064 and 'did you mean AUTOMATIC' in message, (code, message)
        assert operator.error('ALTER SHARD s1 FAILOVER')[0] == 1064
        assert operator.error('ALTER SHARD s9 FAILOVER AUTOMATIC')[0] == 9421
        assert stored_failover(s) == 'manual'
        assert 'AUTOMATIC_WITH_LOSS' in str(operator('HELP ALTER SHARD'))

        # MANUAL: nothing happens by itself. AUTOMATIC: it is tried, and what it says is why not.
        mariadb.freeze(s.primary)
        s.router.wait_states(**{f'db{s.primary}': 'down'})
        assert not operator('SELECT 1 FROM operations')
        operator.said('ALTER SHARD s1 FAILOVER AUTOMATIC')
        assert "can't be known" in ended_by_itself(s, 'failed')['detail']
        assert mariadb.read_only(s.other)
        mariadb.thaw(s.primary)
        s.router.wait_states(**{f'db{s.primary}': 'up'})
    # Also for the next process.
    with ChangeFleet('mariadb', 'alter', 2) as fleet:
        fence = killing_fence(tmp_path, fleet, 1)
        changes['failover']['fence_command'] = fence
        with Switching(fleet, changes) as s:
            assert s.router.ask('ALTER SHARD s1 FAILOVER AUTOMATIC_WITH_LOSS').ok
            s.router.stop()
            s.router.start()
            s.wait_up()
            fleet.freeze(1)
            operation = ended_by_itself(s, 'done')
            assert operation['kind'] == 'failover' and 'on db2 now' in operation['detail'], operation
            fleet.check_roles(2, but=(1,))


def test_the_documents_examples_of_changes_in_their_good_form(binary, tmp_path):
    """On servers that have the names of the document."""
    with ChangeFleet('mariadb', 'examples', 2) as fleet:
        fence = killing_fence(tmp_path, fleet, 1)
        with Switching(fleet, {**QUICK, 'failover': {'fence_command': fence}}) as s, Operator(s.router) as operator:
            switchover = example('SWITCHOVER SHARD')
            assert switchover.endswith(' DRY RUN')
            rows = operator.rows(switchover)
            assert {'step', 'server', 'check', 'result'} == set(rows[0]) and len(rows) > 10
            assert any('nothing stands against it' in words for words in operator.warnings())
            assert fleet.primary == 1 and s.router.operations()[-1]['state'] == 'done'
            # And as the chapter on a server that is to be patched has it.
            said = operator.said(switchover.removesuffix(' DRY RUN'))
            assert said.startswith('shard s1 has its primary on db2 now; its work was held for '), said
            fleet.check_roles(2)
            assert operator.said('SWITCHOVER SHARD s1 TO db1').startswith('shard s1 has its primary on db1 now')
            fleet.check_roles(1)

            load = freeze_under_load(s)
            said = operator.said(example('FAILOVER SHARD'))
            assert said.startswith('shard s1 has its primary on db2 now'), said
            s.served()
            load.finish()
            fleet.check_roles(2, but=(1,))
