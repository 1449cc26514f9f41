"""A router that hands over to a new process (SIGUSR2), and clients that come and go meanwhile."""
import os
import re
import shutil
import signal
import threading
import time
from dataclasses import dataclass, field
from pathlib import Path

import pymysql

import paths
from operators import OperatedRouter
from processes import wait_until
from servers import APP_PASSWORD
from switching import Switching


def alive(pid: int) -> bool:
    try:
        with open(f'/proc/{pid}/stat') as stat:
            return stat.read().rsplit(')', 1)[1].split()[0] != 'Z'
    except OSError:
        return False


class UpgradingRouter(OperatedRouter):
    """`pids`: every process that has served, oldest first. The program is a copy, which a test may replace."""

    def __init__(self, config: dict, name: str | None = None, env: dict | None = None):
        super().__init__(config, name, env)
        self.program = self.folder / 'bulkhead'
        self.install()
        self.pids: list[int] = []

    def install(self, source: Path = paths.BINARY) -> None:
        """As a package does: another file takes the place of the one that runs."""
        fresh = self.folder / 'bulkhead.new'
        shutil.copy(source, fresh)
        fresh.chmod(0o755)
        fresh.rename(self.program)

    def install_script(self, text: str) -> None:
        fresh = self.folder / 'bulkhead.new'
        fresh.write_text(text)
        fresh.chmod(0o755)
        fresh.rename(self.program)

    def argv(self) -> list[str]:
        return [str(self.program), *super().argv()[1:]]

    def start(self) -> 'UpgradingRouter':
        super().start()
        self.pids = [self.process.pid]
        return self

    @property
    def pid(self) -> int:
        """Of the process that serves."""
        return self.pids[-1]

    def whole_log(self) -> str:
        return (self.folder / 'log').read_text(errors='replace')

    def wait_log(self, pattern: str, times: int = 1, timeout: float = 30) -> list[str]:
        found = wait_until(
            lambda: (lines := re.findall(pattern, self.whole_log())) and len(lines) >= times and lines,
            timeout,
            f'the log says {pattern}',
            0.01,
        )
        return found

    def upgrade(self, timeout: float = 30) -> int:
        """The new process's pid."""
        done = r'has handed over to pid (\d+)'
        before = len(re.findall(done, self.whole_log()))
        failed = self.whole_log().count('does not take over')
        os.kill(self.pid, signal.SIGUSR2)
        wait_until(
            lambda: len(re.findall(done, self.whole_log())) > before
            or self.whole_log().count('does not take over') > failed,
            timeout,
            'it has handed over',
            0.01,
        )
        found = re.findall(done, self.whole_log())
        assert len(found) > before, self.log()
        self.pids.append(int(found[-1]))
        return self.pid

    def upgrade_fails(self) -> str:
        before = self.whole_log().count('does not take over')
        os.kill(self.pid, signal.SIGUSR2)
        wait_until(lambda: self.whole_log().count('does not take over') > before, 60, 'it is said that it failed', 0.01)
        return re.findall(r'does not take over, this one goes on as before: (.*)', self.whole_log())[-1]

    def wait_ended(self, *pids: int, timeout: float = 30) -> None:
        wait_until(lambda: not any(alive(pid) for pid in pids), timeout, f'{pids} have ended', 0.05)

    def stop(self, timeout: float = 30) -> int:
        if not self.process:
            return self.exit_code
        for pid in reversed(self.pids):
            if alive(pid):
                os.kill(pid, signal.SIGCONT)
                os.kill(pid, signal.SIGTERM)
        try:
            self.wait_ended(*self.pids, timeout=timeout)
        finally:
            code = super().stop(timeout)  # and whatever is left
        return code


@dataclass
class UpgradingSwitching(Switching):
    router_class = UpgradingRouter


@dataclass
class Cyclers:
    """Clients that connect, work and quit, over and over."""

    target: object
    tenant: str
    connects: int = 0
    statements: int = 0
    longest_connect: float = 0.0
    longest_statement: float = 0.0
    failures: list[str] = field(default_factory=list)

    def __post_init__(self):
        self._stop, self._lock, self._threads = threading.Event(), threading.Lock(), []

    def start(self, count: int = 6) -> 'Cyclers':
        self._threads = [threading.Thread(target=self._run, daemon=True) for _ in range(count)]
        for thread in self._threads:
            thread.start()
        return self

    def _run(self) -> None:
        while not self._stop.is_set():
            step, begun, times = 'connect', time.monotonic(), []
            try:
                client = pymysql.connect(
                    host=self.target.host,
                    port=self.target.port,
                    user=f'app@{self.tenant}',
                    password=APP_PASSWORD,
                    database=f'tenant_{self.tenant}',
                    connect_timeout=30,
                    read_timeout=60,
                )
                connected = time.monotonic() - begun
                with client.cursor() as cursor:
                    for sql in ('SELECT 1', 'BEGIN', 'SELECT COUNT(*) FROM ledger WHERE id = 1', 'COMMIT'):
                        step, at = sql, time.monotonic()
                        cursor.execute(sql)
                        cursor.fetchall()
                        times.append(time.monotonic() - at)
                step = 'quit'
                client.close()
                with self._lock:
                    self.connects += 1
                    self.statements += len(times)
                    self.longest_connect = max(self.longest_connect, connected)
                    self.longest_statement = max(self.longest_statement, *times)
            except Exception as error:  # noqa: B902 (whatever it is, it is counted)
                with self._lock:
                    self.failures.append(f'{time.time():.3f} {step}: {type(error).__name__} {error}')

    def stop(self) -> 'Cyclers':
        self._stop.set()
        for thread in self._threads:
            thread.join(90)
        return self

    def words(self) -> str:
        return (
            f'{self.connects} connects, {self.statements} statements, {len(self.failures)} failed; longest connect '
            f'{self.longest_connect * 1000:.0f} ms, statement {self.longest_statement * 1000:.0f} ms'
        )
