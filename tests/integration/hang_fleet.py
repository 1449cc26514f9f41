"""Several servers behind one router that watches them, the faults that can be done to them, and clients beside.

Every freeze is undone on every exit path: Fleet.close() thaws, and so does the end of the process (processes.Process
ends even stopped servers).
"""
import atexit
import multiprocessing
import os
import pickle
import signal
import threading
import time
from dataclasses import dataclass, field
from pathlib import Path

import pytest

import ledger
import paths
import router as router_module
from hang_log import RouterLog
from ledger import Client, Comparison, Told
from processes import _die_with_parent, wait_until
from servers import KINDS, Server, available
from sessions import make_tenant

PROBE = {'user': 'probe', 'password': 'probe-secret'}
CONTROL = {'user': 'control', 'password': 'control-secret'}
GRANTS = {
    'mariadb': {
        'probe': ['ALL ON bulkhead.*', 'CREATE ON *.*', 'SLAVE MONITOR ON *.*'],
        'control': ['CONNECTION ADMIN ON *.*', 'SELECT ON *.*'],
    },
    'mysql': {
        'probe': ['ALL ON bulkhead.*', 'CREATE ON *.*', 'REPLICATION CLIENT ON *.*'],
        'control': ['CONNECTION_ADMIN ON *.*', 'SELECT ON *.*'],
    },
}
# Shorter than what is shipped where a test only waits for it; what is measured keeps its default.
QUICK = {'in_flight_grace': '4s'}


def prepare(server: Server, tenant: str) -> None:
    """The accounts that the router watches with, and an empty ledger of this tenant."""
    for account in (PROBE, CONTROL):
        grants = GRANTS[server.kind][account['user']]
        server.execute(
            f"CREATE USER IF NOT EXISTS '{account['user']}'@'%' IDENTIFIED BY '{account['password']}'",
            *(f"GRANT {grant} TO '{account['user']}'@'%'" for grant in grants),
        )
    make_tenant(server, tenant, *ledger.TABLES)


class Fleet:
    """Servers with a tenant each: server n has tenant `t{n}`, is backend `db{n}` and shard `s{n}`, from 1."""

    def __init__(self, kind: str = 'mariadb', count: int = 4, settings=(), name: str = 'hang', special=()):
        """`special`: servers that come first, not started yet."""
        self.kind = kind
        self.servers = [*special, *(KINDS[kind](f'{name}{n}', settings) for n in range(len(special) + 1, count + 1))]
        self._frozen: set[int] = set()
        self._lock = threading.Lock()

    def __enter__(self) -> 'Fleet':
        try:
            for number, server in enumerate(self.servers, 1):
                server.start()
                prepare(server, f't{number}')
        except BaseException:
            self.close()
            raise
        return self

    def __exit__(self, *_):
        self.close()

    def close(self) -> None:
        """Nobody needs their data any more, so nobody waits for a clean end."""
        self.thaw_all()
        for server in self.servers:
            server.stop(signal.SIGKILL)

    def __getitem__(self, number: int) -> Server:
        return self.servers[number - 1]

    @property
    def tenants(self) -> dict[str, Server]:
        return {f't{n}': s for n, s in enumerate(self.servers, 1)}

    def freeze(self, number: int) -> float:
        """Stops the process; returns the time just before."""
        with self._lock:
            self._frozen.add(number)
            at = time.time()
            os.kill(self[number].process.pid, signal.SIGSTOP)
        return at

    def thaw(self, number: int) -> float:
        with self._lock:
            self._frozen.discard(number)
            process = self[number].process
            at = time.time()
            if process and process.running():
                os.kill(process.pid, signal.SIGCONT)
        return at

    def thaw_all(self) -> None:
        for number in list(self._frozen):
            self.thaw(number)

    def configuration(self, **changes) -> dict:
        health = {**QUICK, **changes.pop('health', {})}
        return router_module.configuration(
            self.tenants, probe=dict(PROBE), control=dict(CONTROL), health=health, **changes
        )

    def clear(self) -> None:
        """Empty ledgers, without the tables that clients made."""
        for tenant, server in self.tenants.items():
            made = server.execute(
                f"SELECT table_name FROM information_schema.tables WHERE table_schema = 'tenant_{tenant}' "
                f"AND table_name LIKE 'made%'"
            )
            server.execute(f'TRUNCATE tenant_{tenant}.ledger', *(f'DROP TABLE tenant_{tenant}.{n}' for (n,) in made))

    def forget_routers(self) -> None:
        """Those of earlier tests have ended, and their canaries count as alive for half a minute; none runs now."""
        made = "SELECT 1 FROM information_schema.tables WHERE table_schema = 'bulkhead' AND table_name = 'canary'"
        for server in self.servers:
            if server.execute(made):
                server.execute('DELETE FROM bulkhead.canary')


_shared: dict[str, Fleet] = {}


def shared_fleet(kind: str = 'mariadb') -> Fleet:
    """Four servers that every test of the run may freeze, if it thaws them; they end with the process."""
    reason = available(kind)
    if reason:
        pytest.skip(reason)
    if kind not in _shared:
        _shared[kind] = Fleet(kind, name=f'shared-{kind}-').__enter__()
        atexit.register(_shared[kind].close)
    fleet = _shared[kind]
    fleet.thaw_all()
    for server in fleet.servers:
        if server.process is None or not server.process.running():
            server.start()
    return fleet


def log_of(router: router_module.Router) -> RouterLog:
    return RouterLog(router.folder / 'log')


def wait_all_up(router, count: int = 4, timeout: float = 20) -> RouterLog:
    log = log_of(router)
    for number in range(1, count + 1):
        log.wait_up(f'db{number}', timeout)
    return log


@dataclass
class LoadResult:
    told: list[Told] = field(default_factory=list)
    problems: list[str] = field(default_factory=list)
    logins: list[tuple[str, float, float]] = field(default_factory=list)

    def of(self, *tenants: str) -> list[Told]:
        return [unit for unit in self.told if unit.tenant in tenants]

    def errors_of(self, *tenants: str, apart_from=()) -> list[str]:
        """What these tenants were told that is no success, but for units that ran within these (start, end) times."""
        return [
            f'{u.ended:.3f} {u.tenant} {u.kind} {u.label} {u.code} {u.text}'
            for u in self.of(*tenants)
            if u.label != 'done' and not any(start <= u.ended and u.started <= end for start, end in apart_from)
        ]


def percentile(values: list[float], share: float) -> float:
    ordered = sorted(values)
    return ordered[min(len(ordered) - 1, int(share * len(ordered)))] if ordered else float('nan')


class Load:
    """Clients in a process of their own, so that what the test does costs them no time."""

    def __init__(self, router, tenants: dict[str, int], seed: int = 1, first: int = 1, **options):
        """tenants: how many clients for each. `first` number of a client: ids of two loads must not meet."""
        context = multiprocessing.get_context('fork')
        self._stop, self._started = context.Event(), context.Event()
        self._file = paths.run_folder() / f'load.{os.getpid()}.{time.monotonic_ns()}'
        self._process = context.Process(
            target=self._run, args=(router.host, router.port, tenants, seed, first, options), daemon=True
        )
        self._process.start()
        wait_until(self._started.is_set, 20, 'the clients start', 0.01)

    def _run(self, host, port, tenants, seed, first, options) -> None:
        _die_with_parent()
        for number in (signal.SIGTERM, signal.SIGINT, signal.SIGHUP):
            signal.signal(number, signal.SIG_DFL)
        target = type('Target', (), {'host': host, 'port': port})
        stop, clients = threading.Event(), []
        for tenant, count in tenants.items():
            for _ in range(count):
                clients.append(Client(target, tenant, first + len(clients), seed, **options))
        threads = [threading.Thread(target=client.run, args=(stop,), daemon=True) for client in clients]
        for thread in threads:
            thread.start()
        self._started.set()
        self._stop.wait()
        stop.set()
        deadline = time.monotonic() + ledger.CLIENT_TIMEOUT + 5
        for thread in threads:
            thread.join(max(0.0, deadline - time.monotonic()))
        result = LoadResult()
        for client in clients:
            result.told += client.told
            result.problems += client.problems
            result.logins += [(client.tenant, *login) for login in client.logins]
        partial = Path(f'{self._file}.partial')
        partial.write_bytes(pickle.dumps(result))
        partial.rename(self._file)

    def finish(self, timeout: float = 120) -> LoadResult:
        """Tells the clients to stop after their present unit of work, and takes what they wrote down."""
        self._stop.set()
        self._process.join(timeout)
        assert not self._process.is_alive() and self._file.exists(), f'the clients did not end within {timeout} s'
        # Our own processes wrote it.
        result = pickle.loads(self._file.read_bytes())
        self._file.unlink()
        return result

    def kill(self) -> None:
        if self._process.is_alive():
            self._process.kill()
            self._process.join()


def compare_all(fleet: Fleet, result: LoadResult) -> Comparison:
    """Every tenant's ledger on its server, which must answer."""
    total = Comparison()
    for tenant, server in fleet.tenants.items():
        units = result.of(tenant)
        if units:
            total.add(ledger.compare(units, ledger.rows_of(server, tenant)))
    return total


class Incident:
    """A load on all tenants while something happens to one server; at its end the ledger is compared.

    with Incident(fleet, router, victim=1) as incident: ... do something, and undo it ...
    Afterwards `incident.result`, `incident.comparison`; that nobody was lied to and that the others saw no error is
    asserted here.
    """

    def __init__(self, fleet: Fleet, router, victim: int | None, clients: int = 6, others: int = 2, **options):
        self.fleet, self.router, self.victim = fleet, router, victim
        self.log = log_of(router)
        self._tenants = {
            f't{n}': clients if victim is None or n == victim else others for n in range(1, len(fleet.servers) + 1)
        }
        self._options = options
        self.result: LoadResult | None = None
        self.comparison: Comparison | None = None

    def __enter__(self) -> 'Incident':
        for number in range(1, len(self.fleet.servers) + 1):
            self.log.wait_up(f'db{number}')
        self.fleet.clear()
        self.mark = self.log.mark()
        self._load = Load(self.router, self._tenants, **self._options)
        wait_until(self._statements_flow, 10, 'statements flow', 0.02)
        return self

    def _statements_flow(self) -> bool:
        return all(
            self.router.metric('bulkhead_statements_total', shard=f's{n}', outcome='ok') > 10
            for n in range(1, len(self.fleet.servers) + 1)
        )

    @property
    def backend(self) -> str:
        return f'db{self.victim}'

    @property
    def shard(self) -> str:
        return f's{self.victim}'

    @property
    def tenant(self) -> str:
        return f't{self.victim}'

    def wait_state(self, state: str, timeout: float = 10, since: int | None = None):
        return self.log.wait_state(self.backend, state, self.mark if since is None else since, timeout)

    def wait_served(self, timeout: float = 30) -> None:
        """Until the victim's tenant gets answers again."""
        self.log.wait_up(self.backend, timeout)
        before = self.router.metric('bulkhead_statements_total', shard=self.shard, outcome='ok')
        wait_until(
            lambda: self.router.metric('bulkhead_statements_total', shard=self.shard, outcome='ok') > before + 20,
            timeout,
            f'{self.tenant} is served again',
        )

    def __exit__(self, kind, *_):
        if kind is not None:
            self.fleet.thaw_all()
            self._load.kill()
            print('\n'.join(self.log.story(self.mark)))
            return
        self.result = self._load.finish()
        self.comparison = compare_all(self.fleet, self.result)
        labels = dict(self.comparison.labels)
        print(f'{self.comparison.units} units, {labels}')
        story = '\n'.join(self.log.story(self.mark))
        assert not self.comparison.lies, '\n'.join(self.comparison.lies[:20]) + '\n' + story
        assert not self.result.problems, '\n'.join(self.result.problems[:20]) + '\n' + story
        if self.victim is not None:
            others = [t for t in self._tenants if t != self.tenant]
            errors = self.result.errors_of(*others)
            assert not errors, 'others were hit:\n' + '\n'.join(errors[:20]) + '\n' + story

    def labels(self) -> dict[str, int]:
        """What the victim's clients were told, by label."""
        out: dict[str, int] = {}
        for unit in self.result.of(self.tenant):
            out[unit.label] = out.get(unit.label, 0) + 1
        return out

