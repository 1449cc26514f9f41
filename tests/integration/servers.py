"""Real MariaDB and MySQL servers for the tests, each with its own data folder, port and socket.

MariaDB is Debian 12's mariadb-server. MySQL is Debian sid's, from a folder that mysql_sid.py makes. The first start of
a version makes a template data folder in the cache; each server starts from a copy of it.
"""
import os
import pwd
import re
import shutil
import signal
import subprocess
from pathlib import Path

import pymysql

import certificates
import mysql_sid
import paths
from processes import Process, free_port, wait_until

# Accounts in every template. `suite` is for the foreign suites, which create users and change global variables.
APP_PASSWORD = 'app-secret'
ADMIN_PASSWORD = 'admin-secret'
ACCOUNTS = [
    # Everything an application's account usually has, and nothing global: what the router logs on with.
    (
        "app",
        APP_PASSWORD,
        "SELECT, INSERT, UPDATE, DELETE, CREATE, DROP, INDEX, ALTER, CREATE TEMPORARY TABLES, "
        "LOCK TABLES, EXECUTE, CREATE VIEW, SHOW VIEW, CREATE ROUTINE, ALTER ROUTINE, EVENT, TRIGGER, REFERENCES, "
        "PROCESS, RELOAD, FILE",
    ),
    ("admin", ADMIN_PASSWORD, "ALL PRIVILEGES"),
    ("suite", "suite", "ALL PRIVILEGES"),
]
SERVER_USER = 'mysql'
TEMPLATE_VERSION = '4'  # raise it when accounts or template settings change

# What the foreign suites want of a server, and the rest of the tests lives with it.
COMMON_SETTINGS = [
    '--max-allowed-packet=64M',
    '--local-infile=1',
    '--max-connections=500',
    '--skip-name-resolve',
    '--innodb-buffer-pool-size=64M',
    '--performance-schema=ON',
    '--bind-address=127.0.0.1',
    '--innodb-flush-log-at-trx-commit=2',
    '--sync-binlog=0',
    # A killed server loses nothing by these, only a machine that loses power would.
    '--innodb-flush-method=nosync',
    '--innodb-doublewrite=0',
    # Plans, and the flags in answers that tell of them, stay as they are while tests compare answers.
    '--innodb-stats-auto-recalc=OFF',
]


class Server:
    """One server. start() returns when it answers; everything else may be called while it runs."""

    kind = ''
    version = ''

    def __init__(self, name: str, settings: list[str] = ()):
        self.name, self.settings = name, list(settings)
        self.folder = paths.run_folder() / f'{self.kind}.{name}'
        self.tmp = self.folder.with_name(self.folder.name + '.tmp')  # not where the data is: that disk may freeze
        self.port, self.host = free_port(), '127.0.0.1'
        # Unix socket paths end at 107 bytes, so they stay out of deep temporary folders.
        self.socket = str(self.folder / 's')
        self.process: Process | None = None

    def __enter__(self):
        return self.start()

    def __exit__(self, *_):
        self.stop()

    def start(self) -> 'Server':
        if not self.folder.exists():
            self.folder.mkdir(parents=True)
            subprocess.run(
                ['cp', '-a', '--reflink=auto', '--sparse=always', str(self.template()), str(self.folder / 'data')],
                check=True,
            )
            own(self.folder)
        if not self.tmp.exists():
            self.tmp.mkdir()
            own(self.tmp)
        tls = certificates.make(paths.run_folder() / 'tls')
        argv = [
            *self.program(),
            f'--datadir={self.folder}/data',
            # Of its own: a server that starts removes the temporary tables that it finds there, and MariaDB crashes
            # when one that it makes goes away under it.
            f'--tmpdir={self.tmp}',
            f'--port={self.port}',
            f'--socket={self.socket}',
            f'--pid-file={self.folder}/pid',
            f'--ssl-ca={tls["ca"]}',
            f'--ssl-cert={tls["cert"]}',
            f'--ssl-key={tls["key"]}',
            *COMMON_SETTINGS,
            *self.own_settings(),
            *self.settings,
        ]
        self.process = Process(self.name, argv, self.folder / 'log', user=SERVER_USER)
        try:
            wait_until(self._answers, 60, f'{self.name} answers', 0.05)
        except AssertionError as error:
            raise AssertionError(f'{error}\n{self.process.log()}') from None
        return self

    def _answers(self) -> bool:
        assert self.process.running(), f'{self.name} ended:\n{self.process.log()}'
        try:
            self.connect().close()
            return True
        except pymysql.err.MySQLError:
            return False

    def stop(self, number: int = signal.SIGTERM) -> None:
        if self.process:
            self.process.stop(number, timeout=30)
            self.process = None

    def restart(self, number: int = signal.SIGTERM) -> None:
        self.stop(number)
        self.start()

    def connect(self, user='admin', password=ADMIN_PASSWORD, **options) -> pymysql.Connection:
        """A direct connection, over TCP as the applications' are."""
        options = {'autocommit': True, 'connect_timeout': 10, 'charset': 'utf8mb4', **options}
        return pymysql.connect(host=self.host, port=self.port, user=user, password=password, **options)

    def execute(self, *statements: str, db: str | None = None) -> list[tuple]:
        """Runs them as the administrator; the rows of the last one."""
        connection = self.connect(database=db)
        try:
            with connection.cursor() as cursor:
                rows: list[tuple] = []
                for statement in statements:
                    cursor.execute(statement)
                    rows = list(cursor.fetchall())
                return rows
        finally:
            connection.close()

    def status(self, name: str) -> int:
        return int(self.execute(f"SHOW GLOBAL STATUS LIKE '{name}'")[0][1])

    def threads(self, user: str = 'app') -> list[tuple]:
        """(id, command, state, statement) of this user's connections."""
        return self.execute(
            f"SELECT id, command, state, info FROM information_schema.processlist WHERE user = '{user}'"
        )

    # What the two kinds differ in.
    def program(self) -> list[str]:
        raise NotImplementedError

    def own_settings(self) -> list[str]:
        return []

    def initialise(self, folder: Path) -> None:
        raise NotImplementedError

    @classmethod
    def find_version(cls) -> str:
        raise NotImplementedError

    def template(self) -> Path:
        """The data folder that copies start from, made once per version."""
        version = type(self).find_version()
        template = paths.cache_folder() / 'templates' / f'{self.kind}-{version}-{TEMPLATE_VERSION}'
        if template.exists():
            return template
        work = paths.run_folder() / f'template-{self.kind}'
        shutil.rmtree(work, ignore_errors=True)
        work.mkdir()
        own(work)
        data, log, sock = work / 'data', work / 'log', work / 's'
        self.initialise(data)
        process = Process(
            f'template {self.kind}',
            [
                *self.program(),
                f'--datadir={data}',
                f'--socket={sock}',
                '--skip-networking',
                f'--pid-file={work}/pid',
                *self.own_settings(),
            ],
            log,
            user=SERVER_USER,
        )
        try:

            def up():
                assert process.running(), process.log()
                try:
                    return pymysql.connect(unix_socket=str(sock), user='root', password='')
                except pymysql.err.MySQLError:
                    return None

            connection = wait_until(up, 60, f'the template of {self.kind}', 0.05)
            with connection.cursor() as cursor:
                for user, password, privileges in ACCOUNTS:
                    cursor.execute(f"CREATE USER '{user}'@'%' IDENTIFIED BY '{password}'")
                    cursor.execute(f"GRANT {privileges} ON *.* TO '{user}'@'%' WITH GRANT OPTION")
            connection.close()
        finally:
            code = process.stop(timeout=60)
        assert code == 0, f'template server ended with {code}: {process.log()}'
        template.parent.mkdir(parents=True, exist_ok=True)
        partial = template.with_name(f'{template.name}.{os.getpid()}')
        shutil.rmtree(partial, ignore_errors=True)
        subprocess.run(['cp', '-a', '--sparse=always', str(data), str(partial)], check=True)
        try:
            partial.rename(template)
        except OSError:  # another run was faster
            shutil.rmtree(partial, ignore_errors=True)
        shutil.rmtree(work, ignore_errors=True)
        return template


class MariaDb(Server):
    kind = 'mariadb'

    @classmethod
    def find_version(cls) -> str:
        out = subprocess.run(
            ['mariadbd', '--no-defaults', '--version'],
            capture_output=True,
            text=True,
            env={**os.environ, 'PATH': os.environ['PATH'] + ':/usr/sbin'},
            check=True,
        ).stdout
        cls.version = re.search(r'Ver (\d+\.\d+\.\d+)', out)[1]
        return cls.version

    def program(self):
        return [shutil.which('mariadbd', path=os.environ['PATH'] + ':/usr/sbin') or 'mariadbd', '--no-defaults']

    def own_settings(self):
        return [
            "--secure-file-priv=",
            '--innodb-log-file-size=96M',
            '--plugin-load-add=auth_ed25519',
            '--innodb-flush-neighbors=0',
            '--sync-frm=0',
        ]

    def initialise(self, folder: Path):
        subprocess.run(
            [
                'mariadb-install-db',
                '--no-defaults',
                f'--datadir={folder}',
                f'--user={server_user()}',
                '--auth-root-authentication-method=normal',
                '--skip-test-db',
                '--skip-name-resolve',
                '--force',  # also where the machine's own name can't be looked up
            ],
            check=True,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
            stdin=subprocess.DEVNULL,
        )


class MySql(Server):
    kind = 'mysql'

    @classmethod
    def find_version(cls) -> str:
        cls.version = mysql_sid.version()
        return cls.version

    def program(self):
        return [*mysql_sid.command('usr/sbin/mysqld'), '--no-defaults', *mysql_sid.server_paths()]

    def own_settings(self):
        return ['--mysqlx=OFF', '--secure-file-priv=', '--innodb-redo-log-capacity=100M', '--disable-log-bin']

    def initialise(self, folder: Path):
        process = Process(
            'initialise mysql',
            [*self.program(), '--initialize-insecure', f'--datadir={folder}', '--innodb-redo-log-capacity=100M'],
            folder.parent / 'init.log',
            user=SERVER_USER,
        )
        process.popen.wait(120)
        assert process.stop() == 0, process.log()


def server_user() -> str:
    return SERVER_USER if os.geteuid() == 0 else pwd.getpwuid(os.geteuid()).pw_name


def own(folder: Path) -> None:
    if os.geteuid() == 0:
        account = pwd.getpwnam(SERVER_USER)
        os.chown(folder, account.pw_uid, account.pw_gid)


KINDS = {'mariadb': MariaDb, 'mysql': MySql}


def available(kind: str) -> str | None:
    """None if servers of this kind can be started here, otherwise the reason why not."""
    if kind == 'mysql':
        return mysql_sid.unavailable()
    if not shutil.which('mariadbd', path=os.environ['PATH'] + ':/usr/sbin'):
        return 'mariadb-server is not installed (deploy/install-dependencies servers)'
    return None
