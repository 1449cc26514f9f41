"""A program on a pseudo-terminal, as a person would use it."""
import os
import pty
import re
import select
import signal
import struct
import subprocess
import time


class Terminal:
    def __init__(self, argv: list, columns: int = 100, env: dict | None = None):
        import fcntl
        import termios

        parent, child = pty.openpty()
        fcntl.ioctl(child, termios.TIOCSWINSZ, struct.pack('HHHH', 40, columns, 0, 0))

        def own_terminal():
            os.setsid()
            fcntl.ioctl(child, termios.TIOCSCTTY, 0)

        self.process = subprocess.Popen(
            [str(a) for a in argv],
            stdin=child,
            stdout=child,
            stderr=child,
            preexec_fn=own_terminal,
            env={**os.environ, 'TERM': 'vt100', **(env or {})},
        )
        os.close(child)
        self.fd, self.seen = parent, b''

    def __enter__(self):
        return self

    def __exit__(self, *_):
        if self.process.poll() is None:
            self.process.kill()
        self.process.wait()
        os.close(self.fd)

    def read_until(self, text: str, timeout: float = 20) -> str:
        """What came up to and with this text; the rest is kept."""
        wanted, deadline = text.encode(), time.monotonic() + timeout
        while wanted not in self.seen:
            ready, _, _ = select.select([self.fd], [], [], max(0.0, deadline - time.monotonic()))
            assert ready, f'{text!r} not seen in {self.seen.decode(errors="replace")!r}'
            try:
                data = os.read(self.fd, 65536)
            except OSError:
                data = b''
            assert data, f'it ended; {text!r} not seen in {self.seen.decode(errors="replace")!r}'
            self.seen += data
        end = self.seen.index(wanted) + len(wanted)
        out, self.seen = self.seen[:end], self.seen[end:]
        return re.sub(r'\x1b\[[0-9;?]*[A-Za-z]', '', out.decode(errors='replace'))

    def type(self, text: str) -> None:
        os.write(self.fd, text.encode())

    def interrupt(self) -> None:
        """Ctrl-C, by way of the terminal."""
        os.write(self.fd, b'\x03')

    def wait(self, timeout: float = 20) -> int:
        deadline = time.monotonic() + timeout
        while self.process.poll() is None and time.monotonic() < deadline:
            ready, _, _ = select.select([self.fd], [], [], 0.1)
            if ready:
                try:
                    self.seen += os.read(self.fd, 65536)
                except OSError:
                    pass
        assert self.process.poll() is not None, f'it did not end: {self.seen!r}'
        return self.process.returncode

    def send_signal(self, number=signal.SIGINT) -> None:
        self.process.send_signal(number)
