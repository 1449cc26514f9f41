"""Connections that go at the worst moment: no session gets another's answer, no transaction is split, no label lies."""
import struct

import pytest

import rawclient as rc
from hang_fleet import Fleet, wait_all_up
from processes import wait_until
from relay import Relay
from servers import APP_PASSWORD
from sessions import Beside

pytestmark = pytest.mark.slow


@pytest.fixture(scope='module')
def fleet():
    with Fleet(count=1, name='lost') as fleet:
        yield fleet


@pytest.fixture
def place(fleet, routers):
    """start(...) gives (router, relay, log); the table `x` is new."""
    relays = []

    def start(table='id INT', **changes):
        server = fleet[1]
        server.execute('DROP TABLE IF EXISTS x, y', f'CREATE TABLE x ({table})', db='tenant_t1')
        relay = Relay(server).__enter__()
        relays.append(relay)
        config = fleet.configuration(workers=1, **changes)
        config['topology']['backends'][0] |= {'address': f'127.0.0.1:{relay.port}', 'tls': 'disabled'}  # it reads along
        router = routers(config)
        log = wait_all_up(router, 1)
        told = ('all its tables are transactional', 'schemas with other tables')
        wait_until(lambda: any(t in router.log() for t in told), 10, 'its tables have been looked at')
        return router, relay, log

    yield start
    fleet.thaw_all()
    for relay in relays:
        relay.__exit__()


def session(router, **options) -> rc.RawConnection:
    return rc.connect(router, 'app', APP_PASSWORD, 'tenant_t1', **options)


def ids(fleet) -> list:
    return [row[0] for row in fleet[1].execute('SELECT id FROM tenant_t1.x ORDER BY 1')]


def send(connection, sql: str) -> None:
    connection.sequence = 0
    connection.write_packet(b'\x03' + sql.encode())


def receive(connection):
    connection.sequence = 1
    return connection.read_response()


def code(response) -> int:
    return response.error.errno if response.error else 0


def integer(value: int) -> rc.Parameter:
    return rc.Parameter(3, struct.pack('<i', value))


def end_connections(fleet) -> None:
    for row in fleet[1].threads():
        fleet[1].execute(f'KILL {row[0]}')
    wait_until(lambda: not fleet[1].threads(), 5, 'they are gone')


def test_its_owner_leaves_while_the_router_asks(place, fleet):
    """One connection: its owner's warnings are being fetched for the next session when the owner leaves."""
    router, relay, _ = place(pools={'max_connections': 1})
    owner, second, third = (session(router) for _ in range(3))
    assert owner.query("SELECT CAST('secret' AS SIGNED)").error is None  # leaves a warning
    relay.hold()
    send(second, "SELECT 'two'")
    wait_until(lambda: fleet[1].threads(), 5, 'the connection')
    owner.close()
    send(third, "SELECT 'three'")
    relay.release()
    for connection, wanted in ((third, b'three'), (second, b'two')):
        answer = receive(connection)
        assert answer.error is None
        assert any(wanted in packet for _, packet in answer.packets)
        assert not any(b'secret' in packet for _, packet in answer.packets)


def test_a_statement_that_cannot_be_prepared_again(place, fleet):
    """In a transaction on another connection than the one it was prepared on: its error is its own affair."""
    router, _, _ = place()
    fleet[1].execute('CREATE TABLE tenant_t1.y (id INT)')
    client = session(router)
    _, statement = client.prepare('INSERT INTO y VALUES (?)')
    end_connections(fleet)
    client.ok('BEGIN')
    client.ok('INSERT INTO x VALUES (1)')
    fleet[1].execute('DROP TABLE tenant_t1.y')
    assert code(client.execute(statement, [integer(5)])) == 1146
    client.ok('INSERT INTO x VALUES (3)')
    client.ok('COMMIT')
    assert ids(fleet) == [1, 3]


def test_the_same_after_a_lost_begin(place, fleet):
    """The transaction begins again on the next connection, and the first statement there fails: it is still one."""
    router, _, _ = place()
    fleet[1].execute('CREATE TABLE tenant_t1.y (id INT)')
    client = session(router)
    _, statement = client.prepare('INSERT INTO y VALUES (?)')
    client.ok('BEGIN')
    end_connections(fleet)
    fleet[1].execute('DROP TABLE tenant_t1.y')
    assert code(client.execute(statement, [integer(5)])) == 1146
    client.ok('INSERT INTO x VALUES (3)')
    client.ok('ROLLBACK')
    assert ids(fleet) == []


def test_begin_is_lost_twice(place, fleet):
    router, relay, _ = place()
    client = session(router)
    client.ok('BEGIN')
    relay.cut()
    wait_until(lambda: not fleet[1].threads(), 5, 'they are gone')
    relay.cut_on = b'BEGIN'
    client.ok('INSERT INTO x VALUES (1)')
    assert relay.cut_on is None, 'the second BEGIN was not cut'
    client.ok('COMMIT')
    client.ok('INSERT INTO x VALUES (2)')
    client.close()
    assert ids(fleet) == [1, 2]


def test_a_deadlock_ends_the_transaction(place, fleet):
    """The server's own 1213 comes without a status: what follows may be on its own, and is not `rolled back`."""
    router, relay, _ = place('id INT PRIMARY KEY, v INT DEFAULT 0')
    fleet[1].execute('INSERT INTO tenant_t1.x (id) VALUES (1), (2)')
    one, two = session(router), session(router)
    for client, row in ((one, 1), (two, 2)):
        client.ok('BEGIN')
        client.ok(f'UPDATE x SET v = 1 WHERE id = {row}')
    waiting = Beside(two.query, 'UPDATE x SET v = 2 WHERE id = 1')
    locks = "SELECT COUNT(*) FROM information_schema.innodb_trx WHERE trx_state = 'LOCK WAIT'"
    wait_until(lambda: fleet[1].execute(locks)[0][0], 5, 'one waits for the other')
    first = one.query('UPDATE x SET v = 2 WHERE id = 2')
    second = waiting.result(10)
    assert sorted((code(first), code(second))) == [0, 1213]
    victim = one if first.error else two
    relay.hold()
    running = Beside(victim.query, 'INSERT INTO x (id) VALUES (100)')
    wait_until(lambda: 100 in ids(fleet), 5, 'it is executed, and not answered')
    relay.cut()
    relay.release()
    assert code(running.result(10)) == 9410


def test_last_insert_id_that_nobody_has_read(place, fleet):
    router, _, _ = place('id INT AUTO_INCREMENT PRIMARY KEY')
    client = session(router)
    client.ok('INSERT INTO x VALUES ()')
    assert client.value('SELECT LAST_INSERT_ID()') == '1'
    client.ok('INSERT INTO x VALUES ()')
    end_connections(fleet)
    assert code(client.query('SELECT LAST_INSERT_ID()')) == 9411
    again = session(router)
    again.ok('INSERT INTO x VALUES ()')
    end_connections(fleet)
    again.ok('INSERT INTO x VALUES ()')
    assert again.value('SELECT LAST_INSERT_ID()') == '4'


def test_long_data_has_no_answer(place, fleet):
    """Refused at the gate, a parameter's data is the execution's error, and nothing is out of step."""
    router, _, log = place('id INT AUTO_INCREMENT PRIMARY KEY, b LONGBLOB')
    client = session(router)
    _, statement = client.prepare('INSERT INTO x (b) VALUES (?)')
    blob = rc.Parameter(252, b'', 0, True)
    mark = log.mark()
    fleet.freeze(1)
    log.wait_state('db1', 'down', mark)
    client.send_long_data(statement, 0, b'A' * 100_000)
    client.send_long_data(statement, 0, b'B' * 10)
    assert code(client.execute(statement, [blob])) == 9402
    fleet.thaw(1)
    log.wait_up('db1')
    assert client.value('SELECT 7') == '7'
    assert ids(fleet) == []
    client.send_long_data(statement, 0, b'C' * 5)
    assert client.execute(statement, [blob]).error is None
    assert fleet[1].execute('SELECT b FROM tenant_t1.x') == [(b'CCCCC',)]


def test_a_slow_ddl_makes_another_kind_of_table(place, fleet):
    router, relay, _ = place()
    changer, writer = session(router), session(router)
    reader = fleet[1].connect(autocommit=False)
    with reader.cursor() as cursor:
        cursor.execute('SELECT * FROM tenant_t1.x')
    altering = Beside(changer.query, 'ALTER TABLE x ENGINE=MyISAM')
    waits = "SELECT COUNT(*) FROM information_schema.processlist WHERE state LIKE '%metadata lock%'"
    wait_until(lambda: fleet[1].execute(waits)[0][0], 5, 'it waits')
    writer.ok('BEGIN')
    inserting = Beside(writer.query, 'INSERT INTO x VALUES (1)')
    wait_until(lambda: fleet[1].execute(waits)[0][0] == 2, 5, 'the INSERT waits behind it')
    reader.close()
    assert code(altering.result(10)) == 0 and code(inserting.result(10)) == 0
    relay.cut()
    wait_until(lambda: not fleet[1].threads(), 5, 'they are gone')
    assert code(writer.query('SELECT 1 FROM x')) == 9410
    assert ids(fleet) == [1]


@pytest.mark.parametrize('how', ['prepared in another schema', 'through a view'])
def test_tables_of_another_schema(place, fleet, how):
    server = fleet[1]
    server.execute('DROP DATABASE IF EXISTS others', 'CREATE DATABASE others')
    server.execute('CREATE TABLE others.z (id INT) ENGINE=MyISAM', "GRANT TRIGGER ON *.* TO 'control'@'%'")
    try:
        router, relay, _ = place()
        client = rc.connect(router, 'app@t1', APP_PASSWORD, 'others')
        if how == 'through a view':
            server.execute('CREATE OR REPLACE VIEW tenant_t1.w AS SELECT * FROM others.z')
            router, relay, _ = place()
            client = session(router)
            client.ok('BEGIN')
            client.ok('INSERT INTO w VALUES (5)')
        else:
            _, statement = client.prepare('INSERT INTO z VALUES (?)')
            client.ok('USE tenant_t1')
            client.ok('BEGIN')
            assert client.execute(statement, [integer(5)]).error is None
        relay.cut()
        wait_until(lambda: not server.threads(), 5, 'they are gone')
        assert code(client.query('SELECT 1 FROM x')) == 9410
        assert server.execute('SELECT * FROM others.z') == [(5,)]
    finally:
        server.execute('DROP VIEW IF EXISTS tenant_t1.w', 'DROP DATABASE others')


def test_who_leaves_is_settled_too(place, fleet):
    """A client leaves in the middle of an INSERT that hangs: its row is there or never, before others are released."""
    router, _, log = place('who CHAR(1), id INT AUTO_INCREMENT PRIMARY KEY', hold={'max_wait': '30s'})
    leaves, stays = session(router), session(router)
    stays.ok('SELECT 1')
    mark = log.mark()
    fleet.freeze(1)
    send(leaves, "INSERT INTO x (who) SELECT 'A' FROM (SELECT SLEEP(3)) AS t")
    log.wait_state('db1', 'suspect', mark)
    leaves.close()
    log.wait('in mid-statement', mark, 5)
    held = Beside(stays.query, "INSERT INTO x (who) VALUES ('B')")
    log.wait_state('db1', 'down', mark)
    fleet.thaw(1)
    assert code(held.result(20)) == 0
    running = "SELECT COUNT(*) FROM information_schema.processlist WHERE info LIKE 'INSERT%'"
    assert fleet[1].execute(running)[0][0] == 0
    assert fleet[1].execute('SELECT who FROM tenant_t1.x') == [('B',)]


def test_load_data_local_is_lost(place, fleet):
    """The client sends its file to the end, and then reads what became of it."""
    router, relay, _ = place()
    client = session(router)
    client.ok('SELECT 1')
    client.sequence = 0
    client.write_packet(b"\x03LOAD DATA LOCAL INFILE 'f' INTO TABLE x")
    assert client.read_packet()[:1] == b'\xfb'
    client.write_packet(b'1\n2\n')
    client.write_packet(b'3\n4\n')
    wait_until(lambda: fleet[1].threads(), 5, 'it is at the server')
    relay.cut()
    wait_until(lambda: not fleet[1].threads(), 5, 'it is gone')
    client.write_packet(b'5\n')
    client.write_packet(b'')
    assert rc.ServerError(client.read_packet()).errno == 9410
    assert client.value('SELECT 7') == '7'
