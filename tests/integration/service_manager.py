"""A service manager's side: listening sockets handed to a child (LISTEN_FDS), and what it tells (NOTIFY_SOCKET)."""
import os
import socket
import threading
import time

from processes import Process, wait_until


class NotifySocket:
    """Collects the datagrams of sd_notify(3): (moment, sender's pid, {key: value})."""

    def __init__(self, path):
        self.path = str(path)
        self._socket = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
        self._socket.bind(self.path)
        self._socket.setsockopt(socket.SOL_SOCKET, socket.SO_PASSCRED, 1)
        self.told: list[tuple[float, int, dict[str, str]]] = []
        threading.Thread(target=self._run, daemon=True).start()

    def _run(self) -> None:
        while True:
            data, ancillary, _flags, _from = self._socket.recvmsg(65536, 1024)
            sender = int.from_bytes(ancillary[0][2][:4], 'little') if ancillary else 0
            pairs = dict(line.split('=', 1) for line in data.decode().splitlines() if '=' in line)
            self.told.append((time.monotonic(), sender, pairs))

    def count(self, key: str, value: str | None = None, sender: int | None = None) -> int:
        return sum(
            key in pairs and (value is None or pairs[key] == value) and (sender is None or sender == pid)
            for _at, pid, pairs in list(self.told)
        )

    def wait(self, key: str, value: str | None = None, times: int = 1, timeout: float = 20) -> None:
        wait_until(lambda: self.count(key, value) >= times, timeout, f'{times} times {key}={value} was told')


class ActivatedProcess(Process):
    """A child that gets listening sockets as systemd hands them over: from descriptor 3 on, with their names."""

    def __init__(self, name: str, argv: list, log_path, env: dict, sockets: list[tuple[str, socket.socket]]):
        # A shell between, since LISTEN_PID must be the pid of the program itself.
        moves = ' '.join(f'{3 + i}<&{s.fileno()}' for i, (_name, s) in enumerate(sockets))
        names = ':'.join(name for name, _socket in sockets)
        for _name, one in sockets:
            os.set_inheritable(one.fileno(), True)
        script = f'export LISTEN_PID=$$ LISTEN_FDS={len(sockets)} LISTEN_FDNAMES={names}; exec "$@" {moves}'
        super().__init__(name, ['bash', '-c', script, 'bash', *argv], log_path, env=env, close_fds=False)
