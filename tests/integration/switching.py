"""What the tests of switchover and failover share: a fleet with a router in front, a load, and the judgement."""
import sqlite3
import time
from dataclasses import dataclass, field

import ledger
from change_fleet import TENANT, ChangeFleet
from hang_fleet import Load, LoadResult
from operators import OperatedRouter
from processes import wait_until

# Without what pins a session to its connection: that can't move to another server.
MIX = {kind: share for kind, share in ledger.MIX.items() if kind != 'multi'}


@dataclass
class Switching:
    """A router in front of a fleet. `with Switching(fleet) as s:`; the router's clean end is asserted."""

    fleet: ChangeFleet
    changes: dict = field(default_factory=dict)
    primary: int = 0  # found out
    env: dict | None = None
    frozen_at: float = 0.0
    router_class = OperatedRouter

    def __enter__(self) -> 'Switching':
        self.primary = self.primary or self.fleet.primary
        # The router's store is new, and knows nothing of what earlier tests have done with these servers.
        self.fleet[self.primary].execute('DROP TABLE IF EXISTS bulkhead.epoch')
        self.fleet.catch_up(self.primary)
        self.router = self.router_class(self.fleet.configuration(self.primary, **self.changes), env=self.env)
        self.router.start()
        self.wait_up()
        return self

    def __exit__(self, kind, *_):
        for number in range(1, len(self.fleet.servers) + 1):
            if self.fleet[number].process and self.fleet[number].process.running():
                self.fleet.thaw(number)
        self.router.__exit__(kind)
        if kind is not None:
            print(self.router.log())

    def wait_up(self, but: tuple = ()) -> None:
        numbers = range(1, len(self.fleet.servers) + 1)
        self.router.wait_states(**{f'db{n}': 'up' for n in numbers if n not in but})

    @property
    def other(self) -> int:
        """A replica."""
        return self.primary % len(self.fleet.servers) + 1

    def switch(self, to: int | None = None, options: str = '') -> 'object':
        return self.router.ask(f'SWITCHOVER SHARD s1 TO db{to or self.other} {options}')

    def load(self, clients: int = 6, **options) -> Load:
        ledger.clear(self.fleet[self.primary], TENANT)
        load = Load(self.router, {TENANT: clients}, **{'mix': MIX, **options})
        wait_until(
            lambda: self.router.metric('bulkhead_statements_total', shard='s1', outcome='ok') > 20, 20, 'work flows'
        )
        return load

    def wait_tables_known(self) -> None:
        """They are read beside the statements, soon after the start; before, more is unknown (9410) than need be."""
        known = f'backend db{self.primary}: all its tables are transactional'
        wait_until(lambda: known in self.router.log(), 20, 'the tables are known')

    def judge(self, result: LoadResult, primary: int, errors: bool = False) -> ledger.Comparison:
        """Nobody was lied to; without `errors`, nobody was even told of one."""
        compared = ledger.compare(result.told, ledger.rows_of(self.fleet[primary], TENANT))
        print(f'{compared.units} units, {dict(compared.labels)}')
        assert not compared.lies, '\n'.join(compared.lies[:20]) + '\n' + self.router.log()
        assert not result.problems or errors, '\n'.join(result.problems[:20])
        told = result.errors_of(TENANT)
        assert errors or not told, '\n'.join(told[:20]) + '\n' + self.router.log()
        return compared

    def served(self) -> None:
        """New work is done again."""
        before = self.router.metric('bulkhead_statements_total', shard='s1', outcome='ok')
        wait_until(
            lambda: self.router.metric('bulkhead_statements_total', shard='s1', outcome='ok') > before + 10,
            30,
            'work flows again',
        )


def stored_step(router: OperatedRouter, after: int = 0) -> tuple[str, str]:
    """(state, step) of the newest operation in the topology store, as another process sees it; of a newer one than
    number `after`."""
    path = f"{router.config['state_dir']}/topology.sqlite"
    try:
        with sqlite3.connect(f'file:{path}?mode=ro', uri=True, timeout=1) as db:
            sql = 'SELECT state, step FROM operations WHERE id > ? ORDER BY id DESC LIMIT 1'
            row = db.execute(sql, (after,)).fetchone()
            return row or ('', '')
    except sqlite3.Error:
        return '', ''


def wait_step(router: OperatedRouter, step: str, timeout: float = 30, after: int = 0) -> None:
    deadline = time.monotonic() + timeout
    # With the server's name, once what is told of the operation was stored as well.
    while (found := stored_step(router, after))[0] != 'running' or found[1].partition(' (')[0] != step:
        assert time.monotonic() < deadline, f'never at step {step}: {found}'
        assert found[0] in ('', 'running'), f'ended before step {step}: {found}'
