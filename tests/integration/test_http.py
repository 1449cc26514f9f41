"""The HTTP listener end to end: who may read, what /api/v1/ says, `bulkhead top`."""
import os
import pty
import re
import select
import signal
import socket
import struct
import subprocess
import termios
import time
from fcntl import ioctl
from pathlib import Path

import certificates
import hang_fleet
import pages
import paths
import pytest
import router as router_module
from pages import EventStream, Pages, get
from processes import free_port, wait_until
from servers import APP_PASSWORD
from sessions import make_tenant

DOCS = Path(__file__).resolve().parents[2] / 'docs'


@pytest.fixture(scope='module')
def two(fleet, module_routers):
    """A router with two shards, both served."""
    servers = {'acme': fleet(number=1), 'globex': fleet(number=2)}
    for tenant, server in servers.items():
        make_tenant(server, tenant)
    router = module_routers(router_module.configuration(servers))
    page = Pages(router)
    wait_until(lambda: page.fleet()['totals']['serving'] == 2, 20, 'both shards are served')
    return page


# --- who may read


def test_pages_are_local_and_only_looked_at(two):
    assert two.get('/healthz').body == 'ok\n'
    assert two.get('/readyz').body == 'ready\n'
    assert '<title>Bulkhead</title>' in two.get('/').body
    assert two.get('/etc/passwd').status == 404
    assert two.get('/', Host='evil.example').status == 403
    with socket.create_connection(('127.0.0.1', two.router.http_port), 10) as connection:
        connection.sendall(b'POST /api/v1/fleet HTTP/1.1\r\nHost: localhost\r\nContent-Length: 0\r\n\r\n')
        assert connection.recv(100).startswith(b'HTTP/1.1 405 ')


def test_health_as_an_exit_code(two):
    url = ['--url', f'http://127.0.0.1:{two.router.http_port}']
    well = pages.health(*url)
    assert (well.returncode, well.stdout, well.stderr) == (0, 'ok\n', '')
    ready = pages.health('--ready', *url)
    assert (ready.returncode, ready.stdout) == (0, 'ready\n')
    nobody = pages.health('--url', f'http://127.0.0.1:{free_port()}')
    assert nobody.returncode == 1 and 'Connection refused' in nobody.stderr
    assert pages.health('--url', 'nonsense').returncode == 1


def test_assets_are_kept_by_browsers_while_they_are_the_same(two):
    page = two.get('/').body
    for path in set(re.findall(r'(?:href|src)="(/assets/[^"]+)"', page)):
        answer = two.get(path)
        assert answer.status == 200, path
        again = two.get(path, **{'If-None-Match': answer.headers['ETag']})
        assert (again.status, again.body) == (304, '')
    # Nothing comes from anywhere else, so that the page works without the internet.
    names = re.findall(r"from '\./([^']+)'", two.get('/assets/app.js').body)
    assert names
    for text in [page, *(two.get(f'/assets/{name}').body for name in [*names, 'style.css'])]:
        assert not re.search(r'(?:src|href|url|import|fetch)\W{1,3}https?:', text)


NATIVE = '*2470C0C06DEE42FD1618BB99005ADCA2EC9D1E19'  # 'password'
ADMIN_USERS = [
    {'name': 'plain', 'password': 'plain:secret'},
    {'name': 'native', 'verifier': NATIVE, 'read_only': True},
]


def test_from_other_machines_with_tls_and_a_password(fleet, routers):
    made = certificates.make(paths.run_folder() / 'tls')
    config = router_module.configuration({'acme': fleet()})
    tls = {'mode': 'preferred', 'cert': str(made['cert']), 'key': str(made['key'])}
    config, base = pages.reachable(config, tls, ADMIN_USERS)
    routers(config)
    ca = made['ca']
    for path in ('/', '/metrics', '/healthz', '/readyz', '/api/v1/fleet', '/api/v1/stream', '/nothing'):
        refused = get(base + path, ca=ca)
        assert refused.status == 401, path
        assert 'bulkhead_' not in refused.body
        assert refused.headers['WWW-Authenticate'].startswith('Basic ')
    for user, password in (('plain', 'wrong'), ('nobody', 'plain:secret'), ('plain', ''), ('', ''), ('native', NATIVE)):
        assert get(base + '/metrics', user, password, ca).status == 401, user
    for user, password in (('plain', 'plain:secret'), ('native', 'password')):
        assert get(base + '/metrics', user, password, ca).status == 200
    # The name in the Host header is anybody's where a password is asked for.
    assert get(base + '/healthz', 'plain', 'plain:secret', ca, Host='router.example').status == 200
    with socket.create_connection(('127.0.0.1', int(base.rsplit(':', 1)[1])), 10) as plain:
        plain.sendall(b'GET /metrics HTTP/1.1\r\nHost: x\r\n\r\n')
        assert b'bulkhead_' not in plain.recv(1000)
    # `bulkhead health` and `bulkhead top` over the same way.
    asked = ['--url', base, '--ca', ca, '--user', 'plain']
    assert pages.health(*asked, env={'BULKHEAD_ADMIN_PASSWORD': 'plain:secret'}).stdout == 'ok\n'
    assert pages.health(*asked, env={'BULKHEAD_ADMIN_PASSWORD': 'nope'}).returncode == 1
    url = ['--url', base, '--ca', ca]
    done = pages.top('--once', *url, '--user', 'plain', env={'BULKHEAD_ADMIN_PASSWORD': 'plain:secret'})
    assert done.returncode in (0, 1) and 'SHARD' in done.stdout, done.stderr
    wrong = pages.top('--once', *url, '--user', 'plain', env={'BULKHEAD_ADMIN_PASSWORD': 'nope'})
    assert wrong.returncode == 2 and 'admin_users' in wrong.stderr and 'nope' not in wrong.stderr
    stranger = pages.top('--once', '--url', base, '--user', 'plain', env={'BULKHEAD_ADMIN_PASSWORD': 'x'})
    assert stranger.returncode == 2 and 'certificate' in stranger.stderr


@pytest.mark.parametrize(
    'listener, admins, wanted',
    [
        ('0.0.0.0:9306', ADMIN_USERS, 'tls: required'),
        ({'address': '0.0.0.0:9306', 'tls': 'required'}, [], 'admin_users'),
        ({'address': '[::]:9306', 'tls': 'disabled'}, ADMIN_USERS, 'tls: required'),
    ],
)
def test_check_refuses_what_others_could_read(fleet, binary, listener, admins, wanted):
    config = router_module.configuration({'acme': fleet()}, tls=True)
    config['listen']['http'] = listener
    config['admin_users'] = admins
    done = router_module.check(config)
    assert done.returncode == 1
    assert 'listen.http' in done.stdout and wanted in done.stdout, done.stdout


def test_ipv6(fleet, routers):
    config = router_module.configuration({'acme': fleet()})
    port = config['listen']['http'].rsplit(':', 1)[1]
    config['listen']['http'] = f'[::1]:{port}'
    routers(config)
    assert get(f'http://[::1]:{port}/healthz').status == 200
    assert pages.top('--once', '--url', f'http://[::1]:{port}').returncode in (0, 1)


# --- what /api/v1/ says


def documented(section: str) -> set[str]:
    """The fields that docs/API.md lists in the table of this heading."""
    text = (DOCS / 'API.md').read_text()
    table = text[text.index(f'| of {section} |') :].split('\n\n')[0]
    rows = [row.split('|')[1] for row in table.splitlines()[2:]]
    return set(re.findall(r'`(\w+)`', ' '.join(rows)))


def test_the_fleet_is_as_documented(two):
    fleet = two.fleet()
    optional = {'failover', 'incident'}
    assert set(fleet['totals']) == documented('`totals`')
    for shard in fleet['shards']:
        assert documented('a shard') - optional <= set(shard) <= documented('a shard')
    for backend in fleet['backends']:
        assert set(backend) == documented('a backend')
    assert [s['name'] for s in fleet['shards']] == ['s1', 's2']
    assert fleet['totals']['tenants'] == 2
    for path in two.get('/api/v1/').json()['paths']:
        wanted = path.replace('A,B', 's1').replace('=X', '=acme')
        if '/N' not in path and 'stream' not in path:
            assert two.get(wanted).status == 200, wanted


def test_where_is_a_tenant(two):
    acme = two.get('/api/v1/tenant?name=acme').json()
    assert (acme['known'], acme['shard'], acme['affected'], acme['state']) == (True, 's1', False, 'serving')
    assert acme['sentence'] == 'Tenant acme is on shard s1, backend db1. It is served.'
    nobody = two.get('/api/v1/tenant?name=no%20body').json()
    assert not nobody['known'] and "No tenant 'no body' is known here" in nobody['sentence']
    assert two.get('/api/v1/tenant').status == 400
    assert two.get('/api/v1/tenants?part=LOB').json()['tenants'] == ['globex']
    assert two.get('/api/v1/tenants?shard=s1').json()['tenants'] == ['acme']
    assert two.get('/api/v1/tenants?limit=1').json()['more'] is True


def test_numbers_follow_the_statements(two):
    import pymysql

    connection = pymysql.connect(
        host='127.0.0.1', port=two.router.port, user='app@acme', password=APP_PASSWORD, database='tenant_acme'
    )
    deadline = time.monotonic() + 20
    seen = {}
    with connection.cursor() as cursor:
        while time.monotonic() < deadline:
            for _ in range(50):
                cursor.execute('SELECT 1 FROM DUAL WHERE 1 < 2')
            seen = two.shard('s1')
            history = two.get('/api/v1/history?shards=s1').json()['shards']['s1']
            if seen['per_second'] > 0 and max(history['per_second'], default=0) > 0:
                break
    assert seen['per_second'] > 0 and 0 < seen['p50_ms'] <= seen['p99_ms']
    assert len(history['per_second']) == len(history['held']) == len(history['p99_ms'])
    busiest = wait_until(
        lambda: [t for t in two.get('/api/v1/tenants').json()['busiest'] if t['tenant'] == 'acme'],
        10,
        'acme is among the busiest',
    )
    assert busiest[0]['statements'] > 50 and busiest[0]['busy_seconds'] > 0
    assert two.router.metric('bulkhead_tenant_statements_total', tenant='acme', outcome='ok') > 50
    connection.close()


def test_live_pages_are_bounded(fleet, routers):
    config = router_module.configuration({'acme': fleet()}, http={'max_streams': 2, 'max_connections': 16})
    page = Pages(routers(config))
    streams = [EventStream(page.base) for _ in range(2)]
    for stream in streams:
        name, whole = stream.next()
        assert name == 'fleet' and [s['name'] for s in whole['shards']] == ['s1']
        name, changes = stream.next()
        assert name == 'changes' and changes['now_ms'] > whole['now_ms']
    refused = page.get('/api/v1/stream')
    assert refused.status == 503 and 'Retry-After' in refused.headers
    assert page.fleet()['totals']['shards'] == 1  # others are served all the while
    assert page.router.metric('bulkhead_http_streams') == 2
    for stream in streams:
        stream.close()
    wait_until(lambda: page.router.metric('bulkhead_http_streams') == 0, 15, 'the places are free again')


def test_not_ready_while_draining(fleet, routers):
    """A load balancer takes it away, while those who are connected may end."""
    import pymysql

    server = fleet()
    make_tenant(server, 'acme')
    page = Pages(routers(router_module.configuration({'acme': server})))
    client = pymysql.connect(host='127.0.0.1', port=page.router.port, user='app@acme', password=APP_PASSWORD)
    with client.cursor() as cursor:
        cursor.execute('BEGIN')
        cursor.execute('SELECT 1')
        page.router.process.send(signal.SIGTERM)
        wait_until(lambda: page.get('/readyz').status == 503, 10, '/readyz says no')
        assert 'draining' in page.get('/readyz').body
        assert page.get('/healthz').status == 200
        cursor.execute('COMMIT')
    client.close()


# --- bulkhead top


def test_top_once(two):
    done = pages.top('--once', '--url', two.base)
    assert done.returncode == 0, done.stderr
    assert 'All 2 shards are served.' in done.stdout
    assert re.search(r'^ +s1 +served +\S.* db1 ', done.stdout, re.M), done.stdout
    assert '\x1b' not in done.stdout
    nobody = pages.top('--once', '--url', 'http://127.0.0.1:1')
    assert nobody.returncode == 2 and '127.0.0.1:1' in nobody.stderr
    assert pages.top('--once', '--url', 'nonsense').returncode == 2
    assert pages.top('--url', two.base).returncode == 2  # no terminal


def test_top_in_a_terminal(two):
    master, slave = pty.openpty()

    def resize(rows: int, columns: int) -> None:
        ioctl(master, termios.TIOCSWINSZ, struct.pack('HHHH', rows, columns, 0, 0))

    seen = b''

    def shown(wanted: bytes, timeout: float = 15) -> None:
        nonlocal seen
        deadline = time.monotonic() + timeout
        while wanted not in seen:
            assert time.monotonic() < deadline, f'{wanted!r} is not shown: {seen[-3000:]!r}'
            if select.select([master], [], [], 0.1)[0]:
                seen += os.read(master, 65536)

    resize(30, 120)
    before = termios.tcgetattr(slave)
    process = subprocess.Popen(
        [str(paths.BINARY), 'top', '--url', two.base, '--interval', '0.3'],
        stdin=slave,
        stdout=slave,
        stderr=slave,
        env={**os.environ, 'TERM': 'xterm'},
        start_new_session=True,
    )
    try:
        shown(b'All 2 shards are served.')
        shown(b'q quits')
        seen = b''
        resize(12, 40)
        process.send_signal(signal.SIGWINCH)
        shown(b'SHARD')
        wide = [line for line in re.sub(rb'\x1b\[[0-9;?]*[A-Za-z]', b'', seen).split(b'\r\n') if len(line) > 120]
        assert not wide, wide
        os.write(master, b'j')
        os.write(master, b'q')
        seen = b''
        shown(b'\x1b[?1049l')  # the screen is as it was
        assert process.wait(10) == 0
        assert termios.tcgetattr(slave) == before
    finally:
        process.kill()
        process.wait()
        os.close(master)
        os.close(slave)


@pytest.mark.slow
def test_a_frozen_server_in_words(routers):
    """/api/v1/ and `bulkhead top` say it; readiness stays; the incident survives a restart of the router."""
    fleet = hang_fleet.shared_fleet()
    config = fleet.configuration(hold={'max_wait': '30s'})
    router = routers(config)
    page = Pages(router)
    hang_fleet.wait_all_up(router)
    load = hang_fleet.Load(router, {f't{n}': 3 for n in range(1, 5)})
    try:
        fleet.freeze(2)
        wait_until(lambda: page.backend('db2')['state'] == 'down', 20, 'the verdict')
        shard = wait_until(lambda: page.shard('s2') if page.shard('s2')['held'] else None, 10, 'statements are held')
        assert shard['state'] == 'held' and 'is down since' in shard['why'] and shard['primary_state'] == 'down'
        assert page.get('/readyz').status == 200
        answer = page.get('/api/v1/tenant?name=t2').json()
        assert answer['affected'] and 'held' in answer['sentence']
        assert not page.get('/api/v1/tenant?name=t1').json()['affected']
        done = pages.top('--once', '--url', page.base)
        assert done.returncode == 1
        assert re.search(r'^1 of 4 shards: s2 is held\. Tenants affected: 1 of 4\.', done.stdout, re.M), done.stdout
        assert re.search(r'^! s2 +held ', done.stdout, re.M) and re.search(r'^! db2 +down ', done.stdout, re.M)
        started = time.monotonic()
        page.get('/metrics')
        assert time.monotonic() - started < 5  # nothing waits for the server
    finally:
        fleet.thaw(2)
        hang_fleet.wait_all_up(router, timeout=40)
        load.finish()
    incident = wait_until(
        lambda: next((i for i in page.get('/api/v1/incidents').json()['incidents'] if i['over_ms']), None),
        30,
        'the incident is over',
    )
    times = [incident[k] for k in ('last_byte_ms', 'began_ms', 'held_ms', 'verdict_ms', 'released_ms', 'over_ms')]
    assert times == sorted(times) and all(times), incident
    assert incident['backend'] == 'db2' and incident['shards'] == ['s2'] and incident['most_held'] > 0
    report = page.get(f'/api/v1/incidents/{incident["id"]}.md')
    assert report.headers['Content-Type'].startswith('text/markdown')
    for words in ('last byte seen', 'verdict: down', 'outcome unknown', 'ping unanswered'):
        assert words in report.body
    before = page.get(f'/api/v1/incidents/{incident["id"]}').json()
    unknown = page.get('/api/v1/unknown').json()['unknown']
    assert len(unknown) == page.fleet()['totals']['unknown'] == sum(s['unknown'] for s in page.fleet()['shards'])
    assert all(row['tenant'] == 't2' and row['sent_ms'] > 0 for row in unknown)
    assert router.stop() == 0
    router.start()
    assert page.get(f'/api/v1/incidents/{incident["id"]}').json() == before
