"""A server and its replica, by GTIDs, of either kind."""
from processes import wait_until
from servers import KINDS, Server

ACCOUNT = 'replicator', 'replicator-secret'
SETTINGS = {
    'mariadb': ['--log-bin=binlog', '--binlog-format=ROW', '--log-slave-updates=ON'],
    'mysql': ['--log-bin=binlog', '--gtid-mode=ON', '--enforce-gtid-consistency=ON'],
}
FOLLOW = {
    'mariadb': "CHANGE MASTER TO MASTER_HOST = '{host}', MASTER_PORT = {port}, MASTER_USER = '{user}', "
    "MASTER_PASSWORD = '{password}', MASTER_USE_GTID = slave_pos, MASTER_CONNECT_RETRY = 1",
    'mysql': "CHANGE REPLICATION SOURCE TO SOURCE_HOST = '{host}', SOURCE_PORT = {port}, SOURCE_USER = '{user}', "
    "SOURCE_PASSWORD = '{password}', SOURCE_AUTO_POSITION = 1, SOURCE_CONNECT_RETRY = 1, GET_SOURCE_PUBLIC_KEY = 1",
}


class Pair:
    """`primary` and `replica`, started and replicating; both begin from the same, empty state."""

    def __init__(self, kind: str, name: str):
        self.kind = kind
        self.primary, self.replica = (
            KINDS[kind](f'{name}-{role}', [*SETTINGS[kind], f'--server-id={number}'])
            for number, role in enumerate(('primary', 'replica'), 1)
        )

    def __enter__(self) -> 'Pair':
        try:
            for server in (self.primary, self.replica):
                server.start()
            if self.kind == 'mysql':
                # The copy of the template has the template's UUID, and so has its source.
                self.replica.stop()
                (self.replica.folder / 'data' / 'auto.cnf').unlink()
                self.replica.start()
            user, password = ACCOUNT
            self.primary.execute(
                f"CREATE USER '{user}'@'%' IDENTIFIED BY '{password}'",
                f"GRANT REPLICATION SLAVE ON *.* TO '{user}'@'%'",
            )
            self.follow(self.replica, self.primary)
            self.catch_up()
        except BaseException:
            self.close()
            raise
        return self

    def __exit__(self, *_):
        self.close()

    def close(self) -> None:
        for server in (self.replica, self.primary):
            server.stop(9)

    def follow(self, replica: Server, primary: Server) -> None:
        user, password = ACCOUNT
        follow = FOLLOW[self.kind].format(host=primary.host, port=primary.port, user=user, password=password)
        replica.execute(follow, self.words('START SLAVE', 'START REPLICA'), 'SET GLOBAL read_only = 1')

    def words(self, mariadb: str, mysql: str) -> str:
        return mariadb if self.kind == 'mariadb' else mysql

    def position(self, server: Server) -> str:
        return server.execute(self.words('SELECT @@gtid_current_pos', 'SELECT @@gtid_executed'))[0][0]

    def catch_up(self, timeout: float = 20) -> None:
        def equal() -> bool:
            return self.position(self.replica) == self.position(self.primary)

        wait_until(equal, timeout, 'the replica has what its primary has')
