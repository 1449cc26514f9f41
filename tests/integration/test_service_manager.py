"""The router under a service manager: socket activation, readiness, reloads, the watchdog."""
import os
import signal
import socket
import urllib.request

import pymysql

from admin_place import ADMIN
from operators import OperatedRouter
from processes import wait_until
from router import configuration
from service_manager import ActivatedProcess, NotifySocket
from servers import APP_PASSWORD


class ActivatedRouter(OperatedRouter):
    """Started with sockets that somebody else has made."""

    def __init__(self, config: dict, sockets: list[tuple[str, socket.socket]], env: dict | None = None):
        super().__init__(config, env=env)
        self.sockets = sockets

    def start(self):
        env = {**os.environ, **(self.env or {})}
        self.process = ActivatedProcess(self.name, self.argv(), self.folder / 'log', env, self.sockets)
        return self


def bound(port: int = 0, host: str = '127.0.0.1') -> socket.socket:
    made = socket.socket()
    made.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    made.bind((host, port))
    made.listen(128)
    return made


def ask(port: int | None = None, unix: str | None = None) -> int:
    where = {'unix_socket': unix} if unix else {'host': '127.0.0.1', 'port': port}
    client = pymysql.connect(user='app@acme', password=APP_PASSWORD, connect_timeout=20, **where)
    with client, client.cursor() as cursor:
        cursor.execute('SELECT 41 + 1')
        return cursor.fetchone()[0]


def test_sockets_are_taken_by_address_and_by_name(binary, fleet, tmp_path):
    server = fleet()
    config = configuration({'acme': server}, workers=3)
    path = f'/tmp/bulkhead-{os.getpid()}.sock'
    config['listen']['mysql'].append({**config['listen']['mysql'][0], 'address': f'unix:{path}'})
    by_address = bound(int(config['listen']['mysql'][0]['address'].rsplit(':', 1)[1]))
    unix = socket.socket(socket.AF_UNIX)
    unix.bind(path)
    unix.listen(16)
    admin, http, stray = bound(), bound(), bound()
    router = ActivatedRouter(
        config,
        [('any', by_address), ('any', unix), ('admin', admin), ('http', http), ('stray', stray)],
    )
    try:
        # Clients that come before the process does are not lost: they wait in the socket.
        early = socket.create_connection(by_address.getsockname(), timeout=20)
        with router:
            assert early.recv(5)[4:5] == b'\x0a'
            early.close()
            for _ in range(30):
                assert ask(port=router.port) == 42
            assert ask(unix=path) == 42
            client = pymysql.connect(
                host='127.0.0.1', port=admin.getsockname()[1], user=ADMIN[0], password=ADMIN[1], connect_timeout=20
            )
            client.close()
            url = f'http://127.0.0.1:{http.getsockname()[1]}/readyz'
            assert urllib.request.urlopen(url, timeout=10).status == 200
            log = (router.folder / 'log').read_text()
            assert f'these sockets, which are closed: 127.0.0.1:{stray.getsockname()[1]} (stray)' in log
        assert os.path.exists(path), 'the file of a socket that was given was removed'
    finally:
        for one in (by_address, unix, admin, http, stray):
            one.close()
        os.unlink(path)


def test_what_is_for_this_machine_only_stays_so(binary, fleet):
    server = fleet()
    config = configuration({'acme': server})
    everywhere = bound(host='0.0.0.0')
    router = ActivatedRouter(config, [('admin', everywhere)])
    router.start()
    try:
        wait_until(lambda: not router.process.running(), 20, 'it refuses to start')
        assert 'is for this machine only' in router.log()
    finally:
        router.process.stop(signal.SIGKILL)
        everywhere.close()


def test_the_manager_is_told(binary, fleet, tmp_path):
    manager = NotifySocket(f'/tmp/bulkhead-notify-{os.getpid()}')
    server = fleet()
    router = OperatedRouter(
        configuration({'acme': server}),
        env={'NOTIFY_SOCKET': manager.path, 'WATCHDOG_USEC': '1000000'},
    )
    try:
        with router:
            manager.wait('READY', '1')
            manager.wait('WATCHDOG', '1', times=4)
            pid = router.process.pid
            assert {sender for _at, sender, _pairs in manager.told} == {pid}
            router.process.send(signal.SIGHUP)
            manager.wait('RELOADING', '1')
            manager.wait('READY', '1', times=2)
            reload = next(pairs for _at, _pid, pairs in manager.told if 'RELOADING' in pairs)
            assert int(reload['MONOTONIC_USEC']) > 0
            router.config_path.write_text('nonsense: [')
            router.process.send(signal.SIGHUP)
            manager.wait('READY', '1', times=3)
            assert 'refused' in [pairs for _at, _pid, pairs in manager.told if 'READY' in pairs][-1]['STATUS']
        manager.wait('STOPPING', '1')
    finally:
        os.unlink(manager.path)
