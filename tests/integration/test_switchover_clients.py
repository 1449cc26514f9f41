"""SWITCHOVERs under real clients at once: PyMySQL, node's mysql2 and sysbench see a pause, and nothing else."""
import os
import re
import subprocess
import sys
import threading
from pathlib import Path

import pytest

import paths
from change_fleet import TENANT, ChangeFleet
from processes import wait_until
from servers import APP_PASSWORD, available
from sessions import make_tenant
from switching import Switching
from test_clients import need

pytestmark = pytest.mark.slow
CLIENTS = Path(__file__).resolve().parent / 'clients'
BENCH = 'bench'  # sysbench's tenant
SWITCHOVERS = 5  # at least; they go on as long as sysbench runs
ROWS = 50_000_000  # ids of a client


class Counting:
    """A client that writes rows and prints the ids that were acknowledged, until it is told to end."""

    def __init__(self, router, first: int, argv: list, env: dict | None = None):
        self.first = first
        account = [router.host, router.port, 'app', APP_PASSWORD, f'tenant_{TENANT}', first]
        self.process = subprocess.Popen(
            [str(word) for word in (*argv, *account)],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            env={**os.environ, **(env or {})},
        )
        self.lines: list[str] = []
        self.reader = threading.Thread(target=lambda: self.lines.extend(self.process.stdout), daemon=True)
        self.reader.start()

    def finish(self) -> set[int]:
        """What it was told is there."""
        self.process.stdin.close()
        self.process.wait(30)
        self.reader.join(30)
        assert self.process.returncode == 0 and self.lines[-1] == 'ok\n', ''.join(self.lines[-20:])
        ids = [int(line) for line in self.lines[:-1]]
        assert len(ids) == len(set(ids))
        return set(ids)


def sysbench_argv(router, *options) -> list[str]:
    return [
        need('sysbench'),
        'oltp_read_write',
        '--db-driver=mysql',
        f'--mysql-host={router.host}',
        f'--mysql-port={router.port}',
        '--mysql-user=app',
        f'--mysql-password={APP_PASSWORD}',
        f'--mysql-db=tenant_{BENCH}',
        '--mysql-ssl=off',
        '--tables=2',
        '--table-size=2000',
        '--threads=4',
        # The servers' own deadlocks (1213). The router says 1213 as well, of transactions that it has ended: so those
        # that sysbench has passed over are counted against the servers' deadlocks.
        '--mysql-ignore-errors=1213',
        '--rate=40',
        *options,
    ]


def deadlocks(fleet: ChangeFleet) -> int:
    """How many the servers have had since their start."""
    mysql = "SELECT count FROM information_schema.innodb_metrics WHERE name = 'lock_deadlocks'"
    if fleet.kind == 'mysql':
        return sum(int(server.execute(mysql)[0][0]) for server in fleet.servers)
    return sum(server.status('Innodb_deadlocks') for server in fleet.servers)


def wait_writing(clients: list[Counting]) -> None:
    """Each of them is told of rows that it writes from now on."""
    for client, before in [(client, len(client.lines)) for client in clients]:

        def writes(client=client, before=before) -> bool:
            assert client.process.poll() is None, f'it has ended: {"".join(client.lines[-20:])}'
            return len(client.lines) > before + 20

        wait_until(writes, 30, 'the clients write')


@pytest.mark.parametrize('kind', ['mariadb', 'mysql'])
def test_switchovers_under_real_clients(binary, kind):
    reason = available(kind)
    if reason:
        pytest.skip(reason)
    node, modules = need('node'), paths.cache_folder() / 'node/node_modules'
    if not (modules / 'mysql2').exists():
        pytest.skip('node has no mysql2 (deploy/install-dependencies clients)')
    with ChangeFleet(kind, f'clients-{kind}') as fleet, Switching(fleet) as s:
        fleet[s.primary].execute(
            f'CREATE TABLE tenant_{TENANT}.counted (id INT PRIMARY KEY, way VARCHAR(20)) ENGINE=InnoDB'
        )
        make_tenant(fleet[s.primary], BENCH)
        assigned = s.router.ask(f'ASSIGN TENANT {BENCH} TO SHARD s1')
        assert assigned.ok, assigned.message
        subprocess.run([*sysbench_argv(s.router), 'prepare'], check=True, stdout=subprocess.DEVNULL, timeout=60)
        clients = [
            Counting(s.router, 0, [sys.executable, CLIENTS / 'counting.py']),
            Counting(s.router, ROWS, [node, CLIENTS / 'counting.js'], {'NODE_PATH': str(modules)}),
        ]
        bench = subprocess.Popen(
            [*sysbench_argv(s.router, '--time=30'), 'run'],
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
        )
        try:
            primary, done = s.primary, 0
            while done < SWITCHOVERS or bench.poll() is None:
                wait_writing(clients)
                during = bench.poll() is None
                primary = primary % len(fleet.servers) + 1
                reply = s.switch(to=primary)
                assert reply.ok, reply.message
                assert not any('connections are ended' in words for words in reply.progress), reply.progress
                done += 1
                assert during or done > SWITCHOVERS, f'sysbench has ended before switchover {done}'
            wait_writing(clients)
            told = set().union(*(client.finish() for client in clients))
            report = bench.communicate(timeout=60)[0]
        finally:
            for client in clients:
                client.process.kill()
            bench.kill()
        assert bench.returncode == 0 and 'FATAL' not in report, report
        assert re.search(r'reconnects: +0 ', report), report
        ignored, deadlocked = int(re.search(r'ignored errors: +(\d+)', report)[1]), deadlocks(fleet)
        print(f'{done} switchovers, {len(told)} rows, {ignored} of sysbench ignored, {deadlocked} deadlocks')
        assert ignored <= deadlocked, report
        rows = [id for (id,) in fleet[primary].execute(f'SELECT id FROM tenant_{TENANT}.counted')]
        assert sorted(rows) == sorted(told)
        fleet.catch_up(primary)
        fleet.check_roles(primary)
        for table in (f'tenant_{TENANT}.counted', f'tenant_{BENCH}.sbtest1', f'tenant_{BENCH}.sbtest2'):
            sums = {server.execute(f'CHECKSUM TABLE {table}')[0][1] for server in fleet.servers}
            assert len(sums) == 1, f'{table} differs between the servers'
