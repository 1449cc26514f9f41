"""Operators' statements to a running router, with what is told on the way, and what it lists."""
import threading
from dataclasses import dataclass, field
from pathlib import Path

import pymysql

from admin_place import USERS, Operator, wait_operators
from processes import free_port, wait_until
from router import Router


@dataclass
class Reply:
    ok: bool
    code: int
    message: str
    rows: list = field(default_factory=list)
    progress: list = field(default_factory=list)


class OperatedRouter(Router):
    """A router that takes operators' statements."""

    # Each test has a router of its own, and the servers are shared: to them it is always the same one.
    router_id = 'abcdef0123456789'

    def __init__(self, config: dict, name: str | None = None, env: dict | None = None):
        config = {**config, 'admin_users': USERS}
        config['listen'] = {'admin': f'127.0.0.1:{free_port()}', **config['listen']}
        super().__init__(config, name, env)

    def write_config(self):
        path = super().write_config()
        (Path(self.config['state_dir']) / 'router_id').write_text(self.router_id + '\n')
        return path

    def start(self) -> 'OperatedRouter':
        super().start()
        wait_operators(self).close()
        return self

    def ask(self, statement: str, timeout: float = 90) -> Reply:
        return Asked(self, statement, timeout).answer()

    def begin(self, statement: str, timeout: float = 90) -> 'Asked':
        return Asked(self, statement, timeout)

    def table(self, sql: str) -> list[dict]:
        with Operator(self) as operator:
            return operator.rows(sql)

    def operations(self) -> list[dict]:
        return self.table('SELECT * FROM operations ORDER BY id')

    def events(self) -> list[str]:
        return [row['text'] for row in self.table('SELECT text FROM events ORDER BY id')]

    def states(self) -> dict[str, str]:
        return {row['name']: row['state'] for row in self.table('SELECT name, state FROM backends')}

    def why(self, backend: str) -> str:
        return {row['name']: row['why'] for row in self.table('SELECT name, why FROM backends')}[backend] or ''

    def wait_states(self, timeout: float = 30, **wanted: str) -> None:
        wait_until(
            lambda: all(self.states().get(b) == s for b, s in wanted.items()), timeout, f'backends are {wanted}', 0.05
        )


class Asked:
    """One statement under way, on a connection of its own."""

    def __init__(self, router: OperatedRouter, statement: str, timeout: float):
        self._router = router
        rows = router.table('SELECT MAX(id) AS newest FROM events')
        self._newest = rows[0]['newest'] or 0
        self._operator = Operator(router, read_timeout=timeout)
        self._reply: Reply | None = None
        self._error: BaseException | None = None
        self._thread = threading.Thread(target=self._run, args=(statement,), daemon=True)
        self._thread.start()

    def _run(self, statement: str) -> None:
        try:
            with self._operator.connection.cursor() as cursor:
                cursor.execute(statement)
                if cursor.description:
                    rows = list(cursor.fetchall())
                    self._reply = Reply(True, 0, '\n'.join(self._operator.warnings()), rows)
                else:
                    message = cursor._result.message or b''
                    self._reply = Reply(True, 0, message[3 if message[:1] == b'\xfc' else 1 :].decode())
        except (pymysql.err.OperationalError, pymysql.err.InterfaceError) as error:
            if isinstance(error, pymysql.err.OperationalError) and error.args[0] not in (2006, 2013):
                self._reply = Reply(False, error.args[0], error.args[1])
            self._error = error
        except pymysql.err.MySQLError as error:
            self._reply = Reply(False, error.args[0], error.args[1])
        except BaseException as error:  # noqa: B036 (told by answer())
            self._error = error
        finally:
            self._operator.close()

    @property
    def progress(self) -> list[str]:
        """What has been told of operations since."""
        sql = f"SELECT text FROM events WHERE kind = 'operation' AND id > {self._newest} ORDER BY id"
        return [row['text'] for row in self._router.table(sql)]

    def forget(self) -> None:
        """The router is gone, and so is the answer."""
        self._thread.join()

    def answer(self) -> Reply:
        self._thread.join()
        if self._reply is None:
            raise AssertionError(f'no answer: {self._error}')
        try:
            self._reply.progress = self.progress
        except pymysql.err.MySQLError:
            pass  # the router is gone, or as good as
        return self._reply
