"""Clients that write down what they were told, and the comparison with the rows that are there.

Each unit of work has an id of its own and writes rows (id, part) into `ledger`, a table without any unique key, so that
a statement that ran twice shows. From the answers follows which sets of parts may be there; `compare` finds the others.
"""
import random
import struct
import threading
import time
from collections import Counter, defaultdict
from dataclasses import dataclass, field

import rawclient as rc
from servers import APP_PASSWORD

TABLES = ['CREATE TABLE ledger (id BIGINT NOT NULL, part INT NOT NULL, KEY (id)) ENGINE=InnoDB']
# What these answers promise: nothing of the statement was done.
NOT_EXECUTED = {9401, 9402, 9403, 9404, 9405, 9411}
ROLLED_BACK, UNKNOWN, INTERRUPTED, TABLE_EXISTS = 1213, 9410, 1317, 1050
CLIENT_TIMEOUT = 90  # longer than anything may be held
LONGLONG = 8

# How often each kind of work comes, of 100.
MIX = {'auto': 39, 'transaction': 20, 'prepared': 14, 'multi': 10, 'read': 10, 'script': 4, 'ddl': 2, 'long': 1}

# Seconds between two units, by client: the quick ones are in flight when a server freezes, the slow ones come later.
THINK = ((0.005, 0.06), (0.005, 0.06), (0.2, 1.5))


@dataclass(slots=True)
class Told:
    """One unit: what the client was told, and what may be there after that."""

    id: int
    kind: str
    tenant: str
    started: float
    ended: float = 0.0
    label: str = 'done'  # done, not executed, rolled back, unknown, error, closed
    code: int = 0
    text: str = ''
    allowed: tuple = ()  # sets of parts, each a tuple


class Client:
    """One session that works until it is told to stop. It logs in anew when its connection was closed."""

    def __init__(self, target, tenant: str, number: int, seed: int, think=THINK, mix=None):
        self.target, self.tenant, self.number = target, tenant, number
        self.random = random.Random(f'{seed}/{tenant}/{number}')
        self.think, self.mix = think[number % len(think)], mix or MIX
        self.told: list[Told] = []
        self.problems: list[str] = []
        self.logins: list[tuple[float, float]] = []  # (when, how long)
        self._next = 0
        self._connection: rc.RawConnection | None = None
        self._statement = 0

    def run(self, stop: threading.Event) -> None:
        kinds, weights = list(self.mix), list(self.mix.values())
        while not stop.is_set():
            try:
                if self._connection is None:
                    self._log_in()
                self._unit(self.random.choices(kinds, weights)[0])
            except (OSError, rc.ServerError, rc.Closed, AssertionError) as error:
                self.problems.append(f'{time.time():.3f} {self.tenant}: login: {type(error).__name__} {error}')
                self._drop()
            stop.wait(self.random.uniform(*self.think))
        self._drop()

    def _log_in(self) -> None:
        started = time.time()
        self._connection = rc.connect(
            self.target, 'app', APP_PASSWORD, f'tenant_{self.tenant}', timeout=CLIENT_TIMEOUT
        )
        self.logins.append((started, time.time() - started))
        self._statement = 0

    def _drop(self) -> None:
        if self._connection is not None:
            self._connection.close()
            self._connection = None

    def _unit(self, kind: str) -> None:
        self._next += 1
        told = Told((self.number << 32) + self._next, kind, self.tenant, time.time())
        self.told.append(told)
        try:
            getattr(self, f'_{kind}')(told)
        except rc.Closed:
            told.label, told.allowed = 'closed', EITHER[kind]
            self._drop()
        except OSError as error:
            told.label, told.allowed = 'closed', EITHER[kind]
            if isinstance(error, TimeoutError):
                self.problems.append(f'{time.time():.3f} {self.tenant}: no answer within {CLIENT_TIMEOUT} s: {kind}')
            self._drop()
        told.ended = time.time()

    def _failed(self, told: Told, error: rc.ServerError, not_done: tuple, unsure: tuple) -> None:
        """`not_done`: what is there if this statement did nothing; `unsure`: what else may be there."""
        told.code, told.text = error.errno, error.message
        if error.errno in NOT_EXECUTED:
            told.label, told.allowed = 'not executed', not_done
        elif error.errno == ROLLED_BACK:
            told.label, told.allowed = 'rolled back', ((),)
        elif error.errno == UNKNOWN:
            told.label, told.allowed = 'unknown', unsure
        else:
            told.label, told.allowed = 'error', unsure
        # 9410 says by its SQLSTATE that it closes, 9411 always closes.
        if error.sqlstate == '08007' or error.errno == 9411:
            self._drop()

    def _auto(self, told: Told) -> None:
        error = self._connection.query(f'INSERT INTO ledger VALUES ({told.id}, 0)').error
        told.allowed = ((0,),)
        if error:
            self._failed(told, error, ((),), EITHER['auto'])

    def _long(self, told: Told) -> None:
        """Longer than what a connection sends before the first acknowledgement, shorter than what can't be held."""
        text = f'INSERT INTO ledger VALUES ({told.id}, 0) /*{"." * 60_000}*/'
        told.allowed = ((0,),)
        error = self._connection.query(text).error
        if error:
            self._failed(told, error, ((),), EITHER['long'])

    def _prepared(self, told: Told) -> None:
        told.allowed = ((0,),)
        if not self._statement:
            response, self._statement = self._connection.prepare('INSERT INTO ledger VALUES (?, 0)')
            if response.error:
                self._statement = 0
                self._failed(told, response.error, ((),), ((),))
                return
        parameter = rc.Parameter(LONGLONG, struct.pack('<q', told.id))
        error = self._connection.execute(self._statement, [parameter]).error
        if error:
            self._failed(told, error, ((),), EITHER['prepared'])

    def _transaction(self, told: Told) -> None:
        told.allowed = ((0, 1),)
        pause = self.random.random() < 0.3  # some are idle between their statements
        steps = ['BEGIN', f'INSERT INTO ledger VALUES ({told.id}, 0)', f'INSERT INTO ledger VALUES ({told.id}, 1)']
        for number, step in enumerate([*steps, 'COMMIT']):
            error = self._connection.query(step).error
            if error:
                # Without a COMMIT nothing of it stays, whatever became of the one statement.
                unsure = EITHER['transaction'] if number == 3 else ((),)
                self._failed(told, error, ((),), unsure)
                self._roll_back(told)
                return
            if pause:
                time.sleep(self.random.uniform(0.0, 0.3))  # the application thinks: part of the load

    def _roll_back(self, told: Told) -> None:
        if self._connection is None or told.label == 'rolled back':
            return
        error = self._connection.query('ROLLBACK').error
        if error and error.errno != ROLLED_BACK:
            self._drop()  # that ends the transaction as well

    def _multi(self, told: Told) -> None:
        """Three statements in one text; each has an answer of its own, up to the first error."""
        told.allowed = ((0, 1, 2),)
        inserts = ';'.join(f'INSERT INTO ledger VALUES ({told.id}, {part})' for part in range(3))
        response = self._connection.query(inserts)
        if response.error:
            done = len(response.packets) - 1
            prefixes = tuple(tuple(range(n)) for n in range(done, 4))
            self._failed(told, response.error, prefixes[:1], prefixes)

    def _script(self, told: Told) -> None:
        """Autocommit off, work, DDL that commits it, more work, a rollback: only the DDL's own commit counts."""
        told.allowed = ((0,),)
        steps = [
            'SET autocommit = 0',
            f'INSERT INTO ledger VALUES ({told.id}, 0)',
            'CREATE TABLE IF NOT EXISTS implicit (x INT)',
            f'INSERT INTO ledger VALUES ({told.id}, 1)',
            'ROLLBACK',
        ]
        for number, step in enumerate(steps):
            error = self._connection.query(step).error
            if error:
                # Before the DDL nothing is there, after it the first row is.
                certain = ((),) if number < 3 else ((0,),)
                self._failed(told, error, certain, ((), (0,)) if number == 2 else certain)
                if told.label == 'rolled back' and number >= 3:
                    told.allowed = certain  # 1213 speaks of what came after the commit
                break
        self._drop()  # autocommit stays as it was for the next unit

    def _ddl(self, told: Told) -> None:
        told.allowed = (('table',),)
        error = self._connection.query(f'CREATE TABLE made_{told.id} (x INT)').error
        if error and error.errno == TABLE_EXISTS:
            told.allowed, told.label = (('twice',),), 'error'
        elif error:
            self._failed(told, error, ((),), EITHER['ddl'])

    def _read(self, told: Told) -> None:
        told.allowed = ((),)
        error = self._connection.query(f'SELECT COUNT(*) FROM ledger WHERE id = {told.id}').error
        if error:
            self._failed(told, error, ((),), ((),))


# What may be there when nothing is known.
EITHER = {
    'auto': ((), (0,)),
    'long': ((), (0,)),
    'prepared': ((), (0,)),
    'transaction': ((), (0, 1)),
    'multi': ((), (0,), (0, 1), (0, 1, 2)),
    'script': ((), (0,)),
    'ddl': ((), ('table',)),
    'read': ((),),
}


@dataclass
class Comparison:
    """What was told against what is there."""

    units: int = 0
    labels: Counter = field(default_factory=Counter)
    lost: list[str] = field(default_factory=list)
    doubled: list[str] = field(default_factory=list)
    wrong: list[str] = field(default_factory=list)
    unknown_writes: int = 0
    closed: int = 0

    @property
    def lies(self) -> list[str]:
        return self.lost + self.doubled + self.wrong

    def add(self, other: 'Comparison') -> None:
        self.units += other.units
        self.labels += other.labels
        self.lost += other.lost
        self.doubled += other.doubled
        self.wrong += other.wrong
        self.unknown_writes += other.unknown_writes
        self.closed += other.closed


def clear(server, tenant: str) -> None:
    """What an earlier load has left: ids begin anew with each."""
    server.execute(f'TRUNCATE tenant_{tenant}.ledger')
    for identity, parts in rows_of(server, tenant).items():
        if 'table' in parts:
            server.execute(f'DROP TABLE tenant_{tenant}.made_{identity}')


def rows_of(server, tenant: str) -> dict[int, list]:
    """The parts that are there, by id; a part that is there twice is listed twice."""
    found: dict[int, list] = defaultdict(list)
    for identity, part in server.execute(f'SELECT id, part FROM tenant_{tenant}.ledger'):
        found[identity].append(part)
    tables = server.execute(
        f"SELECT table_name FROM information_schema.tables WHERE table_schema = 'tenant_{tenant}' "
        f"AND table_name LIKE 'made%'"
    )
    for (name,) in tables:
        found[int(name.split('_')[1])].append('table')
    return found


def compare(told: list[Told], rows: dict[int, list]) -> Comparison:
    out = Comparison(units=len(told))
    for unit in told:
        out.labels[f'{unit.code} {unit.label}' if unit.code else unit.label] += 1
        out.unknown_writes += unit.label == 'unknown' and unit.kind != 'read'
        out.closed += unit.label == 'closed'
        there = rows.get(unit.id, [])
        answer = f'told {unit.label} {unit.code} at {unit.ended:.3f}'
        what = f'{unit.kind} {unit.id} of {unit.tenant}: {answer}, there {there}'
        parts = tuple(sorted(set(there), key=str))
        if len(there) != len(set(there)) or ('twice',) in unit.allowed:
            out.doubled.append(what)
        elif parts in unit.allowed:
            continue
        elif all(len(parts) < len(allowed) for allowed in unit.allowed):
            out.lost.append(what)
        else:
            out.wrong.append(what)
    return out
