"""MariaDB clients that ask for progress reports get some while their statements are held, and then the answer."""
import os
import pty
import re
import select
import shutil
import time

import pytest

import rawclient as rc
from hang_fleet import shared_fleet, wait_all_up
from processes import wait_until
from servers import APP_PASSWORD
from sessions import Beside

pytestmark = pytest.mark.slow
PROGRESS = rc.MARIADB_PROGRESS
CAPABILITIES = rc.BASE | rc.DEPRECATE_EOF | rc.MULTI_STATEMENTS | rc.LOCAL_FILES | PROGRESS


@pytest.fixture
def frozen(routers):
    """(fleet, router): server 1 is down; thawed in the end."""
    fleet = shared_fleet()
    fleet.clear()
    router = routers(fleet.configuration())
    log = wait_all_up(router)
    fleet[1].execute('INSERT INTO tenant_t1.ledger VALUES (5, 0), (6, 0)')

    def freeze():
        fleet.freeze(1)
        wait_until(lambda: log.state('db1') == 'down', 15, 'the verdict')

    yield fleet, router, freeze
    fleet.thaw_all()


def reports(response) -> list[bytes]:
    """Those that came before anything else."""
    found = []
    for _, packet in response.packets:
        if packet[:3] != b'\xff\xff\xff':
            break
        found.append(packet[3:])
    return found


def test_reports_and_then_the_answer(frozen):
    """The numbers of the packets go on from report to answer (the raw client checks each), also in several results."""
    fleet, router, freeze = frozen
    clients = [rc.connect(router, 'app', APP_PASSWORD, 'tenant_t1', capabilities=CAPABILITIES) for _ in range(4)]
    query, several, execute, load = clients
    silent = rc.connect(router, 'app', APP_PASSWORD, 'tenant_t1')
    _, statement = execute.prepare('SELECT id FROM ledger WHERE id > 4 ORDER BY id')
    freeze()
    data = b'7\t0\n8\t0\n'
    running = [
        Beside(query.query, 'SELECT id FROM ledger WHERE id > 4 ORDER BY id'),
        Beside(several.query, 'INSERT INTO ledger VALUES (9, 0); SELECT 1; SELECT nothing FROM nowhere'),
        Beside(execute.execute, statement, []),
        Beside(load.query, "LOAD DATA LOCAL INFILE 'x' INTO TABLE ledger (id, part)", data),
    ]
    quiet = Beside(silent.query, 'SELECT 1 FROM ledger WHERE id = 5')
    # Reports come once a second; three of them are far below the time for which statements are held.
    time.sleep(3.5)
    fleet.thaw(1)
    answers = [r.result(15) for r in running]
    assert [a.error.errno if a.error else 0 for a in answers] == [0, 1146, 0, 0]
    for answer in answers:
        told = reports(answer)
        assert len(told) >= 3, told
        assert all(t[:3] == b'\x01\x01\x01' and b'held by the router: shard s1' in t for t in told)
        shares = [int.from_bytes(t[3:6], 'little') for t in told]
        assert shares == sorted(shares) and 0 < shares[0] < shares[-1] < 100_000, shares
    assert not reports(quiet.result(15))
    rows = {row[0] for row in fleet[1].execute('SELECT id FROM tenant_t1.ledger')}
    assert {5, 6, 7, 8, 9} <= rows
    for client in (*clients, silent):
        assert client.value('SELECT COUNT(*) FROM ledger WHERE id > 4') == '5'


def test_a_refusal_after_reports(routers):
    fleet = shared_fleet()
    router = routers(fleet.configuration(hold={'max_wait': '5s'}))
    log = wait_all_up(router)
    client = rc.connect(router, 'app', APP_PASSWORD, 'tenant_t1', capabilities=CAPABILITIES)
    fleet.freeze(1)
    try:
        wait_until(lambda: log.state('db1') == 'down', 15, 'the verdict')
        answer = client.query('SELECT 1 FROM ledger')
        assert reports(answer) and answer.error.errno == 9403
    finally:
        fleet.thaw_all()


def test_the_command_line_client_shows_them(frozen):
    program = shutil.which('mariadb')
    if not program:
        pytest.skip('mariadb-client is not installed')
    fleet, router, freeze = frozen
    pid, terminal = pty.fork()
    if pid == 0:
        os.environ['MYSQL_PWD'] = APP_PASSWORD
        os.execv(
            program,
            [program, '--no-defaults', '-h', router.host, '-P', str(router.port), '-u', 'app', '-A', 'tenant_t1'],
        )
    shown = b''

    def shows(pattern: bytes):
        nonlocal shown
        while select.select([terminal], [], [], 0)[0]:
            shown += os.read(terminal, 65536)
        return re.search(pattern, shown)

    wait_until(lambda: shows(rb'> $'), 10, 'the prompt')
    freeze()
    os.write(terminal, b'SELECT COUNT(*) AS them FROM ledger WHERE id IN (5, 6);\n')
    wait_until(lambda: shows(rb"'held by the router: shard s1 does not serve' +[0-9.]+% of stage done"), 10, 'a report')
    fleet.thaw(1)
    wait_until(lambda: shows(rb'\| +2 \|'), 15, 'the answer')
    os.write(terminal, b'\\q\n')
    os.waitpid(pid, 0)
