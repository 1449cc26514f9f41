"""A primary with its replicas, behind a router that can change their roles."""
import itertools
import os
import signal
import time

import pymysql

import router as router_module
import runbook
from hang_fleet import CONTROL, PROBE
from ledger import TABLES
from processes import wait_until
from replication import ACCOUNT, FOLLOW, SETTINGS
from servers import KINDS, Server
from sessions import make_tenant

GRANTS = runbook.grants()
REPLICATION = dict(zip(('user', 'password'), ACCOUNT))
TENANT = 't1'
_count = itertools.count(1)


class ChangeFleet:
    """Server n is backend `db{n}`. db1 begins as the primary of shard s1 with tenant t1; the others are replicas."""

    def __init__(self, kind: str, name: str, count: int = 2, settings=()):
        self.kind = kind
        name = f'{name}.{next(_count)}'  # a folder of its own, also for the second of this name
        self.servers = [
            KINDS[kind](f'{name}-{n}', [*SETTINGS[kind], f'--server-id={n}', *settings]) for n in range(1, count + 1)
        ]

    def __enter__(self) -> 'ChangeFleet':
        try:
            for number, server in enumerate(self.servers, 1):
                server.start()
                if self.kind == 'mysql' and number > 1:
                    # The copy of the template has the template's UUID, and so has its source.
                    server.stop()
                    (server.folder / 'data' / 'auto.cnf').unlink()
                    server.start()
            user, password = ACCOUNT
            primary = self[1]
            primary.execute(
                f"CREATE USER '{user}'@'%' IDENTIFIED BY '{password}'",
                f"GRANT REPLICATION SLAVE ON *.* TO '{user}'@'%'",
            )
            for server in self.servers[1:]:
                self.follow(server, primary)
            self.prepare(primary)
            self.catch_up()
        except BaseException:
            self.close()
            raise
        return self

    def prepare(self, primary: Server) -> None:
        for account in (PROBE, CONTROL):
            user, password = account['user'], account['password']
            primary.execute(
                f"CREATE USER '{user}'@'%' IDENTIFIED BY '{password}'",
                *(f"GRANT {grant} TO '{user}'@'%'" for grant in GRANTS[self.kind][user]),
            )
        make_tenant(primary, TENANT, *TABLES)

    def __exit__(self, *_):
        self.close()

    def close(self) -> None:
        for server in self.servers:
            if server.process and server.process.running():
                os.kill(server.process.pid, signal.SIGCONT)
            server.stop(signal.SIGKILL)

    def __getitem__(self, number: int) -> Server:
        return self.servers[number - 1]

    def words(self, mariadb: str, mysql: str) -> str:
        return mariadb if self.kind == 'mariadb' else mysql

    def follow(self, replica: Server, source: Server) -> None:
        user, password = ACCOUNT
        change = FOLLOW[self.kind].format(host=source.host, port=source.port, user=user, password=password)
        replica.execute(
            change,
            self.words('START SLAVE', 'START REPLICA'),
            self.words('SET GLOBAL read_only = 1', 'SET GLOBAL super_read_only = 1'),
        )

    def stop_replication(self, number: int, thread: str = '') -> None:
        self[number].execute(self.words(f'STOP SLAVE {thread}', f'STOP REPLICA {thread}'))

    def start_replication(self, number: int, thread: str = '') -> None:
        self[number].execute(self.words(f'START SLAVE {thread}', f'START REPLICA {thread}'))

    def replica_status(self, number: int) -> dict | None:
        connection = self[number].connect()
        try:
            with connection.cursor(pymysql.cursors.DictCursor) as cursor:
                cursor.execute(self.words('SHOW SLAVE STATUS', 'SHOW REPLICA STATUS'))
                return cursor.fetchone()
        finally:
            connection.close()

    def source_of(self, number: int) -> int | None:
        """The number of the server that this one replicates from, if both threads run."""
        row = self.replica_status(number)
        if not row:
            return None
        port = row[self.words('Master_Port', 'Source_Port')]
        running = {row[self.words('Slave_IO_Running', 'Replica_IO_Running')]}
        running.add(row[self.words('Slave_SQL_Running', 'Replica_SQL_Running')])
        found = [n for n, s in enumerate(self.servers, 1) if s.port == port]
        return found[0] if found and running == {'Yes'} else None

    def read_only(self, number: int) -> bool:
        return bool(int(self[number].execute('SELECT @@global.read_only')[0][0]))

    def position(self, number: int) -> str:
        return self[number].execute(self.words('SELECT @@gtid_current_pos', 'SELECT @@gtid_executed'))[0][0]

    def catch_up(self, primary: int = 1, timeout: float = 20) -> None:
        def equal() -> bool:
            return len({self.position(n) for n in range(1, len(self.servers) + 1)}) == 1

        wait_until(equal, timeout, f'the replicas have what db{primary} has')

    def check_roles(self, primary: int, but: tuple = ()) -> None:
        """This one is the primary, writable and nobody's replica; all others are its read-only replicas."""
        assert not self.read_only(primary), f'db{primary} is read-only'
        status = self[primary].execute(self.words('SHOW SLAVE STATUS', 'SHOW REPLICA STATUS'))
        assert not status, f'db{primary} is a replica'
        for number in range(1, len(self.servers) + 1):
            if number != primary and number not in but:
                assert self.read_only(number), f'db{number} is writable'
                wait_until(lambda n=number: self.source_of(n) == primary, 15, f'db{number} replicates from db{primary}')

    def freeze(self, number: int) -> None:
        os.kill(self[number].process.pid, signal.SIGSTOP)

    def freeze_evenly(self, primary: int) -> float:
        """Freezes it at a moment when its replicas have received the same: otherwise one of them can't follow another
        that has less. When it was frozen.
        """
        for _ in range(30):
            at = time.time()
            self.freeze(primary)
            seen: list = []
            # What the kernel has is still being read: until two looks at them say the same.
            wait_until(lambda s=seen: s.append(self.received(primary)) or s[-1:] == s[-2:-1], 10, 'nothing comes', 0.02)
            received = seen[-1]
            if len(set(received)) <= 1:
                return at
            self.thaw(primary)
            wait_until(lambda r=received: self.received(primary) != r, 10, f'replicas of db{primary} receive again')
        raise AssertionError(f'the replicas of db{primary} are never level: {received}')

    def received(self, primary: int) -> list:
        """How far in the primary's log each of the others has received."""
        names = self.words(('Master_Log_File', 'Read_Master_Log_Pos'), ('Source_Log_File', 'Read_Source_Log_Pos'))
        rows = [self.replica_status(n) for n in range(1, len(self.servers) + 1) if n != primary]
        return [tuple(row[name] for name in names) for row in rows if row]

    def thaw(self, number: int) -> None:
        os.kill(self[number].process.pid, signal.SIGCONT)

    @property
    def primary(self) -> int:
        writable = [n for n in range(1, len(self.servers) + 1) if not self.read_only(n)]
        assert len(writable) == 1, f'writable: {writable}'
        return writable[0]

    def well(self) -> bool:
        """There is a primary, and all others replicate from it."""
        try:
            primary = self.primary
            self.check_roles(primary)
            self.catch_up(primary)
            return True
        except (AssertionError, pymysql.err.MySQLError) as error:
            print(f'the fleet is not well: {error}')
            return False

    def configuration(self, primary: int = 1, shard: dict | None = None, **changes) -> dict:
        config = router_module.configuration(
            {TENANT: self[primary]},
            **{'probe': dict(PROBE), 'control': dict(CONTROL), 'replication': dict(REPLICATION), **changes},
        )
        numbers = range(1, len(self.servers) + 1)
        config['topology'] = {
            'backends': [{'name': f'db{n}', 'address': f'{s.host}:{s.port}'} for n, s in enumerate(self.servers, 1)],
            'shards': [
                {
                    'name': 's1',
                    'primary': f'db{primary}',
                    'replicas': [f'db{n}' for n in numbers if n != primary],
                    **(shard or {}),
                }
            ],
            'tenants': [{'name': TENANT, 'shard': 's1'}],
        }
        return config
