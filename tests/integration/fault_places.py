"""Places where a server can be cut off: a network namespace, a disk that freezes, and servers that only pretend."""
import os
import socket
import subprocess
import threading
import time
from pathlib import Path

import paths
import servers
from servers import MariaDb


def unavailable() -> str | None:
    """Why namespaces and loop mounts are not possible here; None if they are."""
    if os.geteuid() != 0:
        return 'needs root'
    probe = f'bulkhead-{os.getpid()}-try'
    try:
        _run('ip', 'netns', 'add', probe)
        _run('ip', 'netns', 'del', probe)
    except (OSError, subprocess.CalledProcessError) as error:
        return f'no network namespaces: {error}'
    return None


def _run(*argv: str) -> str:
    return subprocess.run(argv, check=True, capture_output=True, text=True, stdin=subprocess.DEVNULL).stdout


class Namespace:
    """A network namespace on a veth pair. Packets are dropped one way or both by giving the neighbour a hardware
    address that nobody has: no RST and no ICMP comes back, as with a host that lost power."""

    NOWHERE = '02:00:00:00:00:fe'

    def __init__(self, index: int):
        # 198.18.0.0/15 is for tests of networks (RFC 2544).
        self.name = f'bulkhead{os.getpid()}x{index}'
        self.outer_if, self.inner_if = f'bh{os.getpid() % 100000}o{index}', f'bh{os.getpid() % 100000}i{index}'
        net = f'198.18.{os.getpid() % 250}.{index * 4}'
        base, last = net.rsplit('.', 1)
        self.outer, self.inner = f'{base}.{int(last) + 1}', f'{base}.{int(last) + 2}'

    def __enter__(self) -> 'Namespace':
        try:
            _run('ip', 'netns', 'add', self.name)
            _run('ip', 'link', 'add', self.outer_if, 'type', 'veth', 'peer', 'name', self.inner_if)
            _run('ip', 'link', 'set', self.inner_if, 'netns', self.name)
            _run('ip', 'addr', 'add', f'{self.outer}/30', 'dev', self.outer_if)
            _run('ip', 'link', 'set', self.outer_if, 'up')
            self._inside('ip', 'addr', 'add', f'{self.inner}/30', 'dev', self.inner_if)
            self._inside('ip', 'link', 'set', self.inner_if, 'up')
            self._inside('ip', 'link', 'set', 'lo', 'up')
            self.heal()
        except BaseException:
            self.__exit__()
            raise
        return self

    def __exit__(self, *_):
        for argv in (('ip', 'link', 'del', self.outer_if), ('ip', 'netns', 'del', self.name)):
            subprocess.run(argv, capture_output=True, stdin=subprocess.DEVNULL)

    def _inside(self, *argv: str) -> str:
        return _run('ip', 'netns', 'exec', self.name, *argv)

    def _address_of(self, interface: str, inside: bool) -> str:
        out = (self._inside if inside else _run)('cat', f'/sys/class/net/{interface}/address')
        return out.strip()

    def _neighbours(self, to_server: bool, to_router: bool) -> None:
        there = self._address_of(self.inner_if, True) if to_server else self.NOWHERE
        here = self._address_of(self.outer_if, False) if to_router else self.NOWHERE
        _run('ip', 'neigh', 'replace', self.inner, 'lladdr', there, 'dev', self.outer_if, 'nud', 'permanent')
        self._inside('ip', 'neigh', 'replace', self.outer, 'lladdr', here, 'dev', self.inner_if, 'nud', 'permanent')

    def heal(self) -> None:
        self._neighbours(True, True)

    def drop(self, to_server: bool, to_router: bool) -> None:
        """Drops what goes to the server, what comes from it, or both."""
        self._neighbours(not to_server, not to_router)


class MariaDbInNamespace(MariaDb):
    """Listens inside the namespace only."""

    def __init__(self, name: str, place: Namespace, settings=()):
        super().__init__(name, ['--bind-address=0.0.0.0', '--user=root', *settings])
        self.place, self.host = place, place.inner

    def program(self):
        return ['ip', 'netns', 'exec', self.place.name, *super().program()]

    def start(self):
        # Only root may enter the namespace, so the server runs as root, and says that it means to.
        user, servers.SERVER_USER = servers.SERVER_USER, 'root'
        try:
            return super().start()
        finally:
            servers.SERVER_USER = user


class FreezableDisk:
    """An ext4 image on a loop device. Thawed and unmounted on every exit path."""

    def __init__(self, megabytes: int = 700):
        self.image = paths.run_folder() / 'disk.img'
        self.folder = paths.run_folder() / 'disk'
        self._size, self._frozen = megabytes, False

    def __enter__(self) -> 'FreezableDisk':
        with open(self.image, 'wb') as image:
            image.truncate(self._size << 20)
        _run('mkfs.ext4', '-q', '-F', '-m', '0', '-O', '^has_journal', str(self.image))
        self.folder.mkdir()
        _run('mount', '-o', 'loop', str(self.image), str(self.folder))
        self.folder.chmod(0o777)
        return self

    def freeze(self) -> None:
        self._frozen = True
        _run('fsfreeze', '-f', str(self.folder))

    def thaw(self) -> None:
        if self._frozen:
            subprocess.run(['fsfreeze', '-u', str(self.folder)], capture_output=True, stdin=subprocess.DEVNULL)
            self._frozen = False

    def __exit__(self, *_):
        self.thaw()
        subprocess.run(['umount', '-l', str(self.folder)], capture_output=True, stdin=subprocess.DEVNULL)
        self.image.unlink(missing_ok=True)


class MariaDbOnDisk(MariaDb):
    """With its data folder on that disk, and commits that must reach it."""

    def __init__(self, name: str, disk: FreezableDisk):
        super().__init__(
            name,
            [
                '--innodb-flush-log-at-trx-commit=1',
                '--innodb-flush-method=fsync',
                '--innodb-log-file-size=16M',
                f'--log-bin={disk.folder}/binlog',
                '--server-id=7',
            ],
        )
        self.folder = Path(disk.folder) / self.name
        self.socket = str(self.folder / 's')
        self.disk = disk

    def stop(self, number: int = 15) -> None:
        self.disk.thaw()  # what hangs in the kernel can't even be killed
        super().stop(number)


class Pretender:
    """Something that listens where a server was. behave(socket) is called for each connection, in a thread."""

    def __init__(self, host: str, port: int, behave):
        self._listener = socket.socket()
        self._listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        self._listener.bind((host, port))
        self._listener.listen(200)
        self._behave, self._open, self._closed = behave, [], threading.Event()
        self.accepted = 0
        threading.Thread(target=self._serve, daemon=True).start()

    def _serve(self) -> None:
        while not self._closed.is_set():
            try:
                connection, _ = self._listener.accept()
            except OSError:
                return
            self.accepted += 1
            self._open.append(connection)
            threading.Thread(target=self._one, args=(connection,), daemon=True).start()

    def _one(self, connection: socket.socket) -> None:
        try:
            self._behave(connection, self._closed)
        except OSError:
            pass

    def __enter__(self) -> 'Pretender':
        return self

    def __exit__(self, *_):
        self._closed.set()
        try:
            self._listener.shutdown(socket.SHUT_RDWR)
        except OSError:
            pass
        self._listener.close()
        for connection in self._open:
            connection.close()


def never_greets(_connection, closed) -> None:
    closed.wait()


def greets_only(greeting: bytes):
    """Sends a real server's greeting, and then nothing any more."""

    def behave(connection, closed):
        connection.sendall(greeting)
        closed.wait()

    return behave


def drips(data: bytes):
    """One byte a second."""

    def behave(connection, closed):
        for byte in data * 100:
            if closed.wait(1.0):
                return
            connection.sendall(bytes([byte]))

    return behave


def greeting_of(server) -> bytes:
    """A server's first packet, header and all. The login is finished, so that it counts as no error there."""
    import rawclient
    from servers import ADMIN_PASSWORD

    connection = rawclient.connect(server, 'admin', ADMIN_PASSWORD)
    packet = connection.greeting_packet
    connection.quit()
    return len(packet).to_bytes(3, 'little') + b'\0' + packet


def relay_slowly(target: tuple[str, int], slow: threading.Event):
    """Passes everything on; while `slow` is set, answers at one byte a second."""

    def pump(source, sink, may_be_slow):
        try:
            while data := source.recv(65536):
                while data and may_be_slow and slow.is_set():
                    sink.sendall(data[:1])
                    data = data[1:]
                    deadline = time.monotonic() + 1.0
                    while slow.is_set() and time.monotonic() < deadline:
                        time.sleep(0.02)  # the drip itself
                if data:
                    sink.sendall(data)
        except OSError:
            pass
        for end in (source, sink):
            try:
                end.shutdown(socket.SHUT_RDWR)
            except OSError:
                pass

    def behave(connection, closed):
        server = socket.create_connection(target)
        for end in (connection, server):
            end.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        threading.Thread(target=pump, args=(connection, server, False), daemon=True).start()
        pump(server, connection, True)

    return behave
