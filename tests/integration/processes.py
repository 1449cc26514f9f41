"""Child processes that never outlive the tests: ended by pid on every exit path.

Normal exit and exceptions go through atexit; SIGTERM, SIGINT and SIGHUP become SystemExit; if this process is
killed outright the kernel ends the children (PR_SET_PDEATHSIG).
"""
import atexit
import ctypes
import os
import random
import signal
import socket
import subprocess
import sys
import time

_LIBC = ctypes.CDLL(None, use_errno=True)
_PR_SET_PDEATHSIG = 1
_live: list['Process'] = []


def _die_with_parent() -> None:
    _LIBC.prctl(_PR_SET_PDEATHSIG, signal.SIGKILL)


class Process:
    """A child with a log file. `user`: the account it runs as, when we are root."""

    def __init__(
        self, name: str, argv: list[str], log_path, user: str | None = None, env=None, cwd=None, close_fds: bool = True
    ):
        self.name, self.argv, self.log_path = name, [str(a) for a in argv], str(log_path)
        self._owner = os.getpid()
        identity = {'user': user, 'group': user, 'extra_groups': []} if user and os.geteuid() == 0 else {}
        with open(self.log_path, 'ab') as log:
            self.popen = subprocess.Popen(
                self.argv,
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                env=env,
                cwd=cwd,
                preexec_fn=_die_with_parent,
                start_new_session=True,
                close_fds=close_fds,
                **identity,
            )
        _live.append(self)

    @property
    def pid(self) -> int:
        return self.popen.pid

    def running(self) -> bool:
        return self.popen.poll() is None

    def log(self, last: int = 4000) -> str:
        try:
            with open(self.log_path, 'rb') as f:
                return f.read()[-last:].decode('utf-8', 'replace')
        except OSError:
            return ''

    def send(self, number: int) -> None:
        if self.running():
            self.popen.send_signal(number)

    def stop(self, number: int = signal.SIGTERM, timeout: float = 20) -> int:
        """Asks it to end, waits, kills it if it won't. Returns the exit code (negative: the signal)."""
        if self.running():
            # A stopped process hears nothing but SIGKILL, and must not wake for that: what is in its sockets would run.
            if number != signal.SIGKILL:
                self.popen.send_signal(signal.SIGCONT)
            self.popen.send_signal(number)
            try:
                self.popen.wait(timeout)
            except subprocess.TimeoutExpired:
                print(f'{self.name} (pid {self.pid}) did not end within {timeout} s; killed', file=sys.stderr)
                self.popen.kill()
                self.popen.wait()
        try:
            os.killpg(self.pid, signal.SIGKILL)  # what it may have forked; the group is its own
        except ProcessLookupError:
            pass
        if self in _live:
            _live.remove(self)
        return self.popen.returncode

    def rss_kib(self) -> int:
        with open(f'/proc/{self.pid}/status') as f:
            return next(int(line.split()[1]) for line in f if line.startswith('VmRSS:'))

    def peak_rss_kib(self) -> int:
        with open(f'/proc/{self.pid}/status') as f:
            return next(int(line.split()[1]) for line in f if line.startswith('VmHWM:'))

    def descriptors(self) -> int:
        return len(os.listdir(f'/proc/{self.pid}/fd'))


@atexit.register
def stop_all() -> None:
    for process in list(reversed(_live)):
        if process._owner == os.getpid():
            process.stop(timeout=15)


def exit_on_signals() -> None:
    """A signal unwinds the stack like an exception, so that `finally`, fixtures and atexit run."""

    def leave(number, _frame):
        raise SystemExit(128 + number)

    for number in (signal.SIGTERM, signal.SIGHUP, signal.SIGINT):
        signal.signal(number, leave)


_given_ports: set[int] = set()


def free_port(host: str = '127.0.0.1') -> int:
    """Below the ephemeral range, so that no client's own port takes it; at random, for other runs beside this one.
    Not given twice. Each server is waited for, and fails loudly when its port is taken after all."""
    while True:
        port = random.randrange(12_000, 32_000)
        if port in _given_ports:
            continue
        with socket.socket() as s:
            s.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            try:
                s.bind((host, port))
            except OSError:
                continue
        _given_ports.add(port)
        return port


def wait_until(condition, timeout: float = 10, what: str = 'the condition', interval: float = 0.02):
    """Returns the condition's first true value; asserts when there is none in time."""
    deadline = time.monotonic() + timeout
    while True:
        value = condition()
        if value:
            return value
        if time.monotonic() > deadline:
            raise AssertionError(f'{what}: not within {timeout} s')
        time.sleep(interval)  # between two looks


def settled(measure, timeout: float = 10, interval: float = 0.05, rounds: int = 8):
    """The measured value once it has been the same for so many rounds; asserts when it keeps moving."""
    seen: list = []

    def same():
        seen.append(measure())
        return len(seen) >= rounds and len(set(seen[-rounds:])) == 1

    wait_until(same, timeout, 'a value that stays', interval)
    return seen[-1]


def can_connect(port: int, host: str = '127.0.0.1') -> bool:
    with socket.socket() as s:
        s.settimeout(1)
        return s.connect_ex((host, port)) == 0
