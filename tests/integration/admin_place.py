"""A router with an admin listener, and operators who log on to it."""
import re
import time

import pymysql

from hang_fleet import Fleet, log_of
from processes import free_port, wait_until

ADMIN = ('admin', 'operators-secret')
VIEWER = ('viewer', 'viewers-secret')
USERS = [
    {'name': ADMIN[0], 'password': ADMIN[1]},
    {'name': VIEWER[0], 'password': VIEWER[1], 'read_only': True},
]


def configuration(fleet: Fleet, **changes) -> dict:
    listen = changes.pop('listen', {})
    config = fleet.configuration(admin_users=USERS, **changes)
    config['listen'] = {**config['listen'], 'admin': f'127.0.0.1:{free_port()}', **listen}
    return config


def admin_port(router) -> int:
    admin = router.config['listen']['admin']
    return int((admin if isinstance(admin, str) else admin['address']).rsplit(':', 1)[1])


class Target:
    """The admin listener as other modules want a server."""

    host = '127.0.0.1'

    def __init__(self, router):
        self.port = admin_port(router)


class Operator:
    """A PyMySQL connection to the admin listener."""

    def __init__(self, router, user=ADMIN, **options):
        options = {'connect_timeout': 10, 'read_timeout': 90, 'charset': 'utf8mb4', 'autocommit': True, **options}
        self.connection = pymysql.connect(
            host='127.0.0.1', port=admin_port(router), user=user[0], password=user[1], **options
        )

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.close()

    def close(self):
        if self.connection.open:
            self.connection.close()

    def __call__(self, sql: str, *parameters) -> list[tuple]:
        with self.connection.cursor() as cursor:
            cursor.execute(sql, parameters or None)
            return list(cursor.fetchall())

    def rows(self, sql: str) -> list[dict]:
        with self.connection.cursor(pymysql.cursors.DictCursor) as cursor:
            cursor.execute(sql)
            return list(cursor.fetchall())

    def one(self, sql: str) -> dict:
        found = self.rows(sql)
        assert len(found) == 1, found
        return found[0]

    def value(self, sql: str):
        return self(sql)[0][0]

    def said(self, sql: str) -> str:
        """What a command that succeeds says it has done."""
        with self.connection.cursor() as cursor:
            cursor.execute(sql)
            message = cursor._result.message or b''
            # Without session tracking servers send the text's length in front, and PyMySQL takes it for text.
            return message[3 if message[:1] == b'\xfc' else 1 :].decode()

    def error(self, sql: str) -> tuple[int, str]:
        """(code, message); (0, '') if there is none. 2006: the connection was closed before."""
        try:
            self(sql)
            return 0, ''
        except pymysql.err.InterfaceError:
            return 2006, 'closed'
        except pymysql.err.MySQLError as error:
            return error.args[0], str(error.args[1])

    def warnings(self) -> list[str]:
        return [row[2] for row in self('SHOW WARNINGS')]

    @property
    def id(self) -> int:
        return self.connection.thread_id()


def wait_operators(router, timeout: float = 10) -> Operator:
    """An operator, once the listener answers."""

    def try_once():
        try:
            return Operator(router)
        except pymysql.err.OperationalError:
            return None

    return wait_until(try_once, timeout, 'the admin listener answers')


_AUDIT = re.compile(
    r'audit: user="(?P<user>.*?)" address=(?P<address>\S+) connection=(?P<connection>\d+) ms=(?P<ms>\d+) '
    r'statement="(?P<statement>.*)" outcome="(?P<outcome>.*)"$'
)


def audit_lines(router) -> list[dict]:
    found = (_AUDIT.search(line.text) for line in log_of(router).lines())
    return [match.groupdict() for match in found if match]


def whole_log(router) -> str:
    return (router.folder / 'log').read_text(errors='replace')


def timed(action):
    """(result, seconds)"""
    started = time.monotonic()
    result = action()
    return result, time.monotonic() - started
