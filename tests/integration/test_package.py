"""The Debian package: lintian's opinion, and its whole life: install, serve, upgrade, remove, purge.

Once in a chroot, where nothing runs (as in a container image), and once under a real systemd.
"""
import re
import shutil
import signal
import subprocess
import time
from pathlib import Path

import pymysql
import pytest

import debian_root
import paths
from debian_root import BootedRoot, Root
from processes import Process, free_port, wait_until
from service_manager import NotifySocket
from servers import APP_PASSWORD
from sessions import make_tenant

pytestmark = pytest.mark.slow
CONFIG = '/etc/bulkhead/bulkhead.yaml'
SHIPPED = {
    '/usr/bin/bulkhead',
    '/lib/systemd/system/bulkhead.service',
    '/lib/systemd/system/bulkhead.socket',
    CONFIG,
    '/usr/share/man/man8/bulkhead.8.gz',
    '/usr/share/doc/bulkhead/RUNBOOK.md',
    '/usr/share/doc/bulkhead/OPERATIONS.md',
    '/usr/share/doc/bulkhead/examples/bulkhead.example.yaml',
    '/usr/share/doc/bulkhead/examples/prometheus/bulkhead.rules.yml',
    '/usr/share/doc/bulkhead/examples/grafana/bulkhead.json',
    '/usr/share/doc/bulkhead/copyright',
    '/usr/share/doc/bulkhead/changelog.Debian.gz',
}
APT = ('apt-get', '-qq', '-y', '--no-install-recommends')
KEEP = ('-o', 'Dpkg::Options::=--force-confdef', '-o', 'Dpkg::Options::=--force-confold')


def output(*argv, timeout: float = 120) -> str:
    done = subprocess.run(list(map(str, argv)), capture_output=True, text=True, timeout=timeout)
    assert done.returncode == 0, f'{argv}: {done.stdout}{done.stderr}'
    return done.stdout


@pytest.fixture(scope='module')
def newer(package) -> Path:
    """The next release: the same program, and a configuration with another comment."""
    tree = paths.run_folder() / 'newer'
    output('dpkg-deb', '--raw-extract', package, tree)
    control = tree / 'DEBIAN/control'
    version = re.search(r'^Version: (\S+)-1$', control.read_text(), re.M)[1]
    control.write_text(control.read_text().replace(f'Version: {version}-1', f'Version: {version}-2'))
    config = Path(f'{tree}{CONFIG}')
    config.write_text('# The next release.\n' + config.read_text())
    target = package.with_name(package.name.replace('-1_', '-2_'))
    output('dpkg-deb', '--root-owner-group', '-Znone', '--build', tree, target)
    shutil.rmtree(tree)
    return target


def configuration(address: str, port: int, admin: int, http: int) -> str:
    return f'''listen: {{mysql: ["127.0.0.1:{port}"], admin: "127.0.0.1:{admin}", http: "127.0.0.1:{http}"}}
state_dir: /var/lib/bulkhead
workers: 2
users:
  - {{name: app, password_file: /etc/bulkhead/app.password}}
admin_users:
  - {{name: admin, password_file: /etc/bulkhead/app.password}}
tenancy: {{username_pattern: "{{user}}@{{tenant}}", database_pattern: "tenant_{{tenant}}", unassigned: reject}}
topology:
  backends: [{{name: db1, address: "{address}"}}]
  shards: [{{name: s1, primary: db1}}]
  tenants: [{{name: acme, shard: s1}}]
'''


def configure(root: Root, text: str) -> None:
    """As the shipped file tells an administrator to."""
    root.run('install', '-m', '640', '-g', 'bulkhead', '/dev/null', '/etc/bulkhead/app.password')
    root.write('/etc/bulkhead/app.password', APP_PASSWORD + '\n')
    root.write(CONFIG, text)


def unit(root: Root, key: str) -> list[str]:
    return re.findall(rf'^{key}=(.*)$', root.read('/lib/systemd/system/bulkhead.service'), re.M)


def check_modes(root: Root) -> None:
    account = root.run('getent', 'passwd', 'bulkhead').strip().split(':')
    assert account[5:] == ['/var/lib/bulkhead', '/usr/sbin/nologin'] and int(account[2]) < 1000, account
    modes = root.run('stat', '-c', '%a %U %G %n', '/etc/bulkhead', CONFIG, '/var/lib/bulkhead').splitlines()
    assert modes == [
        '750 root bulkhead /etc/bulkhead',
        f'640 root bulkhead {CONFIG}',
        '700 bulkhead bulkhead /var/lib/bulkhead',
    ]
    assert 'Permission denied' in root.run('cat', CONFIG, user='daemon', code=1)


# --- what it is


def test_lintian_finds_nothing(package):
    argv = ['lintian', '--allow-root', '--tag-display-limit', '0', package]
    done = subprocess.run(argv, capture_output=True, text=True)
    found = [line for line in (done.stdout + done.stderr).splitlines() if 'root privileges' not in line]
    assert (done.returncode, found) == (0, [])
    overrides = (paths.ROOT / 'deploy/debian/lintian-overrides').read_text().splitlines()
    for before, line in zip(['', *overrides], overrides):
        assert line.startswith('#') or before.startswith(('#', 'bulkhead: non-standard')), f'no reason: {line}'


def test_what_is_in_it(package):
    contents = {line.split()[5][1:]: line.split()[:2] for line in output('dpkg-deb', '-c', package).splitlines()}
    assert SHIPPED <= set(contents), SHIPPED - set(contents)
    assert contents[CONFIG][0] == '-rw-r-----'
    assert all(owner == 'root/root' for _mode, owner in contents.values())
    control = output('dpkg-deb', '-f', package)
    for needed in ('adduser', 'libuv1 ', 'libmariadb3 ', 'libssl3 ', 'libc6 '):
        assert needed in re.search(r'^Depends: (.*)$', control, re.M)[1] + ' ', needed


# --- its life where nothing runs


def start_as_the_unit_says(root: Root, notify: str) -> Process:
    """What ExecStartPre= and ExecStart= say, as the unit's user."""
    user = unit(root, 'User')[0]
    for command in unit(root, 'ExecStartPre'):
        root.run(*command.split(), user=user)
    argv = root.inside('env', f'NOTIFY_SOCKET={notify}', *unit(root, 'ExecStart')[0].split(), user=user)
    return Process('packaged router', argv, root.base / 'router.log')


def test_life_in_a_chroot(package, newer, fleet):
    server = fleet()
    make_tenant(server, 'acme')
    with Root('chroot') as root:
        root.put(package, f'/{package.name}')
        root.put(newer, f'/{newer.name}')
        root.fetch(package)
        before, accounts = root.names(), root.run('cat', '/etc/passwd', '/etc/group', '/etc/shadow')
        root.run(*APT, 'install', f'/{package.name}')
        check_modes(root)
        for path in SHIPPED:
            assert root.exists(path), path
        assert root.run('bulkhead', '--version').startswith('bulkhead 0.')
        assert 'usable' in root.run('bulkhead', 'check', CONFIG, user='bulkhead')
        shipped = root.read('/usr/share/doc/bulkhead/examples/bulkhead.example.yaml')
        assert shipped == (paths.ROOT / 'deploy/bulkhead.example.yaml').read_text()
        assert '' == root.run('systemd-analyze', 'verify', '--man=no', 'bulkhead.service', 'bulkhead.socket')
        score = root.run('systemd-analyze', 'security', '--offline=true', 'bulkhead.service')
        exposure = float(re.search(r'exposure level for bulkhead.service: ([\d.]+)', score)[1])
        print(f'systemd-analyze security: exposure {exposure}')
        assert exposure < 2

        port, admin, http = free_port(), free_port(), free_port()
        edited = configuration(f'127.0.0.1:{server.port}', port, admin, http)
        configure(root, edited)
        assert root.run('bulkhead', 'check', CONFIG) == f'{CONFIG}: usable, 0 warnings\n'
        notify = NotifySocket(f'\0bulkhead-package-{port}')
        router = start_as_the_unit_says(root, notify.path.replace('\0', '@'))
        try:
            notify.wait('READY', '1')
            uid = root.run('id', '-u', 'bulkhead').strip()
            assert f'Uid:\t{uid}\t' in Path(f'/proc/{router.pid}/status').read_text()
            client = pymysql.connect(host='127.0.0.1', port=port, user='app@acme', password=APP_PASSWORD)
            with client, client.cursor() as cursor:
                cursor.execute('SELECT DATABASE(), 41 + 1')
                assert cursor.fetchone()[1] == 42
            assert root.run('bulkhead', 'health', '--ready', '--url', f'http://127.0.0.1:{http}') == 'ready\n'
            assert 'db1' in root.run('bulkhead', 'admin', '-e', 'SHOW BACKENDS')
        finally:
            assert router.stop() == 0, router.log()
        notify.wait('STOPPING', '1')

        root.run(*APT, *KEEP, 'install', f'/{newer.name}')
        assert root.read(CONFIG) == edited
        assert root.read(f'{CONFIG}.dpkg-dist').startswith('# The next release.')
        assert root.run('dpkg-query', '-W', '-f', '${Version}', 'bulkhead').endswith('-2')
        check_modes(root)

        root.run(*APT, 'remove', 'bulkhead')
        assert not root.exists('/usr/bin/bulkhead')
        assert root.read(CONFIG) == edited and root.exists('/var/lib/bulkhead/topology.sqlite')
        root.run(*APT, 'purge', '--auto-remove', 'bulkhead')
        left = {name for name in root.names() - before if not re.match(r'/etc/.*(-|\.lock|cache)$', name)}
        assert left <= {'/etc/mysql', '/usr/share/mysql'}, left
        assert root.run('cat', '/etc/passwd', '/etc/group', '/etc/shadow') == accounts


# --- its life under systemd


class Client:
    """An application's session, in the root's network."""

    def __init__(self, root: BootedRoot, port: int):
        argv = ['mariadb', '--no-defaults', '-h127.0.0.1', f'-P{port}', '-uapp@acme', f'-p{APP_PASSWORD}']
        self._popen = subprocess.Popen(
            root.in_network(*argv, '--skip-column-names', '--unbuffered'),
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
        )

    def ask(self, statement: str) -> str:
        self._popen.stdin.write(statement + ';\n')
        self._popen.stdin.flush()
        return self._popen.stdout.readline().strip()

    def close(self) -> None:
        self._popen.stdin.close()
        assert self._popen.wait(10) == 0

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self._popen.kill()


def shown(root: Root, prop: str, name: str = 'bulkhead.service') -> str:
    return root.run('systemctl', 'show', '--property', prop, '--value', name).strip()


def main_pid(root: Root) -> int:
    return int(shown(root, 'MainPID'))


def wait_active(root: Root, other_than: int = 0, what: str = 'the service is active') -> int:
    def active():
        pid = main_pid(root)
        return pid if pid not in (0, other_than) and shown(root, 'ActiveState') == 'active' else None

    return wait_until(active, 30, what, 0.1)


@pytest.fixture(scope='module')
def machine(package, newer, fleet):
    """A Debian that has booted, with the package's files at hand and a database's socket in /srv/db1."""
    reason = debian_root.cannot_boot()
    if reason:
        pytest.skip(reason)
    server = fleet()
    make_tenant(server, 'acme')
    with BootedRoot('booted') as root:
        root.put(package, f'/{package.name}')
        root.put(newer, f'/{newer.name}')
        root.fetch(package)
        root.boot(f'--bind={server.folder}:/srv/db1')
        yield root


def test_life_under_systemd(machine, package, newer):
    root = machine
    root.run(*APT, 'install', f'/{package.name}')
    check_modes(root)
    # As shipped: it runs, for this machine only, and nobody can log in.
    first = wait_active(root)
    assert shown(root, 'UnitFileState') == 'enabled'
    assert root.run('ps', '-o', 'user=', '-p', str(first)).strip() == 'bulkhead'
    assert root.run('bulkhead', 'health', '--ready') == 'ready\n'
    assert 'listening for clients on 127.0.0.1:3306' in root.run('journalctl', '-u', 'bulkhead', '-o', 'cat')

    first = reload(root, first)
    first = watch_closely(root, first)
    with Client(root, 3306) as client:
        assert client.ask('SELECT 41 + 1') == '42'
        if waits_for_usr2(root, first):
            upgrade(root, first, newer, client)
        else:
            client.close()
            upgrade_by_restart(root, first, newer)
    restarts(root)
    socket_activation(root)

    root.run(*APT, 'remove', 'bulkhead')
    assert shown(root, 'ActiveState') == 'inactive'
    assert root.exists(CONFIG) and root.exists('/var/lib/bulkhead/topology.sqlite')
    root.run(*APT, 'purge', 'bulkhead')
    left = [name for name in root.names() if 'bulkhead' in name and not name.startswith(('/bulkhead_', '/srv'))]
    assert left == []
    assert 'bulkhead' not in root.run('cat', '/etc/passwd', '/etc/group')


def reload(root: Root, pid: int) -> int:
    """A bad file changes nothing and says why; a good one is taken by the process that runs. Returns the next one's."""
    configure(root, 'listen: {mysql: ["127.0.0.1:3306"]}\nusers: [{name: app, passwort: x}]\n')
    assert root.run('systemctl', 'reload', 'bulkhead', code=1)
    assert 'passwort' in root.run('journalctl', '-u', 'bulkhead', '-o', 'cat')
    assert main_pid(root) == pid and shown(root, 'ActiveState') == 'active'
    configure(root, configuration('unix:/srv/db1/s', 3306, 6032, 9306))
    root.run('systemctl', 'reload', 'bulkhead')
    wait_until(lambda: shown(root, 'ActiveState') == 'active', 20, 'the reload has ended', 0.1)
    assert main_pid(root) == pid
    # The store that it made as shipped is still empty, so that a start fills it from the file.
    root.run('systemctl', 'restart', 'bulkhead')
    return wait_active(root, other_than=pid)


def watch_closely(root: Root, pid: int) -> int:
    """Every 3 s, so that a test need not wait for long; the next process's id."""
    root.run('mkdir', '-p', '/run/systemd/system/bulkhead.service.d')
    root.write('/run/systemd/system/bulkhead.service.d/soon.conf', '[Service]\nWatchdogSec=3s\n')
    root.run('systemctl', 'daemon-reload')
    root.run('systemctl', 'restart', 'bulkhead')
    return wait_active(root, other_than=pid)


def waits_for_usr2(root: Root, pid: int) -> bool:
    """Whether this build can hand over: SIGUSR2 is among what the process blocks or catches."""
    status = root.read(f'/proc/{pid}/status')
    masks = re.findall(r'^Sig(?:Blk|Cgt):\t(\w+)$', status, re.M)
    return any(int(mask, 16) >> (signal.SIGUSR2 - 1) & 1 for mask in masks)


def upgrade_by_restart(root: Root, old: int, newer: Path) -> None:
    edited = root.read(CONFIG)
    assert 'it is restarted' in root.run(*APT, *KEEP, 'install', f'/{newer.name}')
    wait_active(root, other_than=old)
    assert root.read(CONFIG) == edited


def upgrade(root: Root, old: int, newer: Path, client: Client) -> None:
    """The new program serves new clients, the old one its session to the end; the edited configuration stays."""
    edited = root.read(CONFIG)
    said = root.run(*APT, *KEEP, 'install', f'/{newer.name}')
    assert 'has taken over' in said, said
    new = wait_active(root, other_than=old)
    assert root.read(CONFIG) == edited
    assert client.ask('SELECT 40 + 3') == '43'
    with Client(root, 3306) as later:
        assert later.ask('SELECT 1') == '1'
        later.close()
    client.close()
    wait_until(lambda: not root.run('ps', '-o', 'pid=', '-p', str(old), code=None).strip(), 40, 'the old one ends', 0.2)
    # The watchdog hears of the new one: twice as long as it waits.
    began = time.monotonic()
    signs = 'WatchdogTimestampMonotonic'
    wait_until(lambda: int(shown(root, signs)) / 1e6 > began + 6, 20, 'the new one shows that it lives', 0.2)
    assert main_pid(root) == new and shown(root, 'NRestarts') == '0'


def restarts(root: Root) -> None:
    """It comes back when it is killed, and when its loops stand still: the watchdog."""
    pid = main_pid(root)
    root.run('kill', '-9', str(pid))
    pid = wait_active(root, other_than=pid, what='it is back after a kill')
    root.run('kill', '-STOP', str(pid))
    wait_active(root, other_than=pid, what='it is back after it stood still')
    assert 'Watchdog timeout' in root.run('journalctl', '-u', 'bulkhead', '-o', 'cat')


def socket_activation(root: BootedRoot) -> None:
    """As bulkhead.socket says: the port is open while the router is away, and a client waits for it."""
    root.run('systemctl', 'stop', 'bulkhead')
    root.run('systemctl', 'enable', '--now', 'bulkhead.socket')
    assert shown(root, 'ActiveState') == 'inactive'
    with Client(root, 3306) as client:
        assert client.ask('SELECT 1') == '1'
        client.close()
    wait_active(root)
    with Client(root, 3306) as client:
        assert client.ask('SELECT 2') == '2'
        client.close()
