"""What several tests need of client sessions: logging in for a tenant, errors as numbers, work beside the test."""
import threading

import pymysql

from servers import APP_PASSWORD


def login(target, tenant: str | None = 'acme', user='app', password=APP_PASSWORD, **options) -> pymysql.Connection:
    """A PyMySQL session through the router, its tenant in the user name."""
    name = f'{user}@{tenant}' if tenant else user
    options = {'autocommit': True, 'connect_timeout': 10, 'read_timeout': 60, 'charset': 'utf8mb4', **options}
    return pymysql.connect(host=target.host, port=target.port, user=name, password=password, **options)


def run(connection: pymysql.Connection, *statements: str) -> list[tuple]:
    """The rows of the last statement."""
    rows: list[tuple] = []
    with connection.cursor() as cursor:
        for statement in statements:
            cursor.execute(statement)
            rows = list(cursor.fetchall())
    return rows


def value(connection: pymysql.Connection, statement: str):
    return run(connection, statement)[0][0]


def sqlstate_of_errno(connection) -> str:
    return getattr(connection._result, 'sqlstate', '')


def error_of(action, *args) -> tuple[int, str]:
    """(errno, message) that the action ends with; (0, '') if with none."""
    try:
        action(*args)
        return 0, ''
    except pymysql.err.MySQLError as error:
        return error.args[0], str(error.args[1]) if len(error.args) > 1 else str(error)


class Beside:
    """Runs something in a thread; result() waits for it and hands on its exception."""

    def __init__(self, action, *args):
        self._value = self._error = None
        self._done = threading.Event()
        self._thread = threading.Thread(target=self._run, args=(action, args), daemon=True)
        self._thread.start()

    def _run(self, action, args):
        try:
            self._value = action(*args)
        except BaseException as error:  # noqa: B036 (handed on by result())
            self._error = error
        self._done.set()

    def done(self, within: float = 0) -> bool:
        return self._done.wait(within)

    def result(self, timeout: float = 30):
        assert self._done.wait(timeout), f'not done within {timeout} s'
        if self._error:
            raise self._error
        return self._value


def make_tenant(server, tenant: str, *statements: str) -> None:
    """An empty database of this tenant, then the statements in it."""
    server.execute(f'DROP DATABASE IF EXISTS tenant_{tenant}', f'CREATE DATABASE tenant_{tenant} CHARACTER SET utf8mb4')
    if statements:
        server.execute(*statements, db=f'tenant_{tenant}')
