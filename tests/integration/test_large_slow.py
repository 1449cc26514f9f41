"""Large results, slow readers, many idle clients: the router's memory stays bounded and nobody waits for another."""
import resource
import socket
import statistics
import time

import pytest

import rawclient as rc
from processes import settled, wait_until
from router import configuration
from servers import APP_PASSWORD
from sessions import login, make_tenant, value

pytestmark = pytest.mark.slow
MIB = 1 << 20


@pytest.fixture(scope='module')
def server(fleet):
    server = fleet('mariadb')
    make_tenant(server, 'acme', 'CREATE TABLE t (x INT)', 'INSERT INTO t VALUES (1)')
    return server


def send_query(connection: rc.RawConnection, sql: str):
    connection.sequence = 0
    connection.write_packet(bytes([rc.COM_QUERY]) + sql.encode())


def open_with_small_window(router) -> rc.RawConnection:
    """The kernel holds little for this client, so that what isn't read stays in the router's hands."""
    connection = rc.connect(router, 'app', APP_PASSWORD, 'tenant_acme')
    connection.sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 65536)
    return connection


TWO_GIB = f"SELECT REPEAT('x', {MIB - 10}) FROM seq_1_to_2048"


def test_two_gib_to_a_slow_reader(server, routers):
    router = routers(configuration({'acme': server}, workers=1))
    warm = login(router)
    value(warm, 'SELECT 1')
    before = router.process.rss_kib()
    slow = open_with_small_window(router)
    send_query(slow, TWO_GIB)
    total, started, pauses = 0, time.monotonic(), 0
    buffer = bytearray(MIB)
    tail = b''
    while True:
        if total // (256 * MIB) > pauses:  # stop reading for a moment, eight times in all
            pauses += 1
            time.sleep(0.25)  # this is the slowness that is tested
            assert value(warm, 'SELECT 1') == 1
        n = slow.sock.recv_into(buffer)
        assert n, 'closed'
        total += n
        tail = (tail + bytes(buffer[:n]))[-11:] if n < 64 else bytes(buffer[n - 11 : n])
        if total >= 2048 * (MIB - 10) and tail[4:5] == b'\xfe' and tail[:3] == b'\x07\0\0':
            break
    took, peak = time.monotonic() - started, router.process.peak_rss_kib()
    print(
        f'2 GiB to a slow reader: {total / MIB:.0f} MiB in {took:.1f} s, '
        f'RSS {before} KiB before, {peak} KiB at its peak'
    )
    assert peak - before < 64 * 1024, 'the router buffered the result'
    assert slow.value('SELECT 1') == '1'
    slow.quit()
    warm.close()


def test_a_client_that_stops_reading_slows_nobody(server, routers):
    router = routers(configuration({'acme': server}, workers=1))
    other = login(router)

    def median_of(count=300):
        times = []
        for _ in range(count):
            started = time.perf_counter()
            value(other, 'SELECT 1')
            times.append(time.perf_counter() - started)
        return statistics.median(times)

    median_of()
    before, rss = median_of(), router.process.rss_kib()
    stuck = [open_with_small_window(router) for _ in range(5)]
    for connection in stuck:
        send_query(connection, TWO_GIB)
    wait_until(lambda: sum(1 for row in server.threads() if 'REPEAT' in (row[3] or '')) == 5, 10, 'five stuck results')
    settled(router.process.rss_kib)
    during = median_of()
    grown = router.process.rss_kib() - rss
    print(
        f'beside five clients that read nothing: {during * 1e6:.0f} us a statement, '
        f'{before * 1e6:.0f} us before; +{grown} KiB'
    )
    assert during < before * 3 + 0.001
    assert grown < 64 * 1024
    for connection in stuck:
        connection.close()
    wait_until(
        lambda: not any('REPEAT' in (row[3] or '') for row in server.threads()), 20, 'their statements have ended'
    )
    other.close()


def test_large_upload_to_a_slow_server(server, routers):
    """A statement of 60 MiB passes through without being held whole more often than the server asks."""
    router = routers(configuration({'acme': server}, workers=1))
    connection = rc.connect(router, 'app', APP_PASSWORD, 'tenant_acme')
    connection.value('SELECT 1')
    before = router.process.rss_kib()
    for _ in range(3):
        assert connection.value("SELECT LENGTH('" + 'u' * (60 * MIB) + "')") == str(60 * MIB)
    grown = router.process.peak_rss_kib() - before
    print(f'60 MiB statements: peak +{grown} KiB')
    assert grown < 32 * 1024
    connection.quit()


@pytest.mark.parametrize('tls', [False, pytest.param(True, marks=pytest.mark.full)])
def test_five_thousand_idle_clients(server, routers, tls):
    count = 5000
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (max(soft, min(hard, 2 * count)), hard))
    router = routers(
        configuration(
            {'acme': server}, tls=tls, clients={'max_connections': 6000, 'max_unauthenticated': 1000}, workers=1
        )
    )
    warm = [rc.connect(router, 'app', APP_PASSWORD, 'tenant_acme', tls=tls) for _ in range(50)]
    for connection in warm:
        connection.ok('SELECT 1')
    before = router.process.rss_kib()
    idle = []
    started = time.monotonic()
    for _ in range(count):
        connection = rc.connect(router, 'app', APP_PASSWORD, 'tenant_acme', tls=tls)
        connection.ok('SELECT x FROM t')
        idle.append(connection)
    took = time.monotonic() - started
    each = (settled(router.process.rss_kib) - before) / count
    print(f'{count} idle clients{" with TLS" if tls else ""} ({took:.0f} s to connect them): {each:.2f} KiB each')
    for connection in idle[::100]:
        assert connection.value('SELECT x FROM t') == '1'
    assert each < (40 if tls else 12)
    for connection in idle + warm:
        connection.close()
    wait_until(lambda: router.process.descriptors() < 400, 20, 'their sockets are closed')
