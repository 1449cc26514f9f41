"""A minimal Debian 12 in a folder of the cache, and throw-away copies of it: as a chroot, or booted with systemd.

    /usr/bin/python3 tests/integration/debian_root.py        makes the folder

A copy is an overlay in a mount namespace of its own: it is gone with its last process, whatever ends the tests.
Packages that were downloaded once are kept in the cache. Needs root and debootstrap; booting needs systemd-nspawn.
"""
import os
import shutil
import signal
import subprocess
import sys
from functools import lru_cache
from pathlib import Path

import mysql_sid
import paths
from processes import Process, wait_until

SUITE = 'bookworm'
# What booting takes. The package's own dependencies are not here: installing them is what is tested.
INCLUDE = 'systemd,systemd-sysv,dbus,adduser,procps,ca-certificates'
ENVIRONMENT = {'PATH': '/usr/sbin:/usr/bin:/sbin:/bin', 'DEBIAN_FRONTEND': 'noninteractive', 'LC_ALL': 'C.UTF-8'}


def folder() -> Path:
    return paths.cache_folder() / f'debian-{SUITE}'


def archives() -> Path:
    path = paths.cache_folder() / f'debian-{SUITE}-archives'
    (path / 'partial').mkdir(parents=True, exist_ok=True)
    return path


def make() -> None:
    """Does nothing when the folder is complete. Raises RuntimeError with the reason otherwise."""
    target = folder()
    if (target / '.complete').exists():
        return
    log = paths.run_folder() / 'debootstrap-packages.log'
    shutil.rmtree(target, ignore_errors=True)
    proxies = {k: v for k, v in os.environ.items() if k.lower().endswith('_proxy')}
    argv = ['debootstrap', '--variant=minbase', f'--keyring={mysql_sid.KEYRING}', f'--include={INCLUDE}']
    with open(log, 'ab') as out:
        done = subprocess.run(
            [*argv, SUITE, str(target), mysql_sid.mirror()],
            stdin=subprocess.DEVNULL,
            stdout=out,
            stderr=out,
            env={**ENVIRONMENT, **proxies},
            timeout=900,
        )
    if done.returncode:
        raise RuntimeError(f'debootstrap failed: {log.read_text(errors="replace")[-500:]}')
    for conf in Path('/etc/apt/apt.conf.d').glob('*prox*'):
        shutil.copy(conf, target / 'etc/apt/apt.conf.d')
    target.chmod(0o755)
    (target / '.complete').write_text('')


@lru_cache(maxsize=None)
def unavailable() -> str | None:
    """None if copies can be made (makes the folder on the first call), otherwise why not."""
    if os.geteuid() != 0:
        return 'packages: debootstrap, chroot and mounts need root'
    for program in ('debootstrap', 'unshare', 'nsenter', 'dpkg-deb', 'lintian'):
        if not shutil.which(program, path=os.environ['PATH'] + ':/usr/sbin'):
            return f'packages: {program} is not installed'
    try:
        make()
        return None
    except (RuntimeError, OSError, subprocess.SubprocessError) as error:
        return f'packages: no Debian folder: {error}'


@lru_cache(maxsize=None)
def package() -> Path:
    """The Debian package of the build under test; made once a run, faster than for others (gzip)."""
    made = paths.run_folder() / 'package'
    recipe = paths.BINARY.parent / 'CPackConfig.cmake'
    _run(['cpack', '--config', recipe, '-B', made, '-D', 'CPACK_DEBIAN_COMPRESSION_TYPE=gzip'], 0, 300)
    return next(made.glob('*.deb'))


class Root:
    """One copy, with the host's network. run() and start() work in it as a chroot."""

    def __init__(self, name: str):
        self.name = name
        self.base = paths.run_folder() / f'root.{name}'
        self.path = self.base / 'root'
        self._holder: Process | None = None

    def __enter__(self) -> 'Root':
        for part in ('root', 'upper', 'work'):
            (self.base / part).mkdir(parents=True)
        script = f'''set -e
mount -t overlay overlay -o lowerdir={folder()},upperdir={self.base}/upper,workdir={self.base}/work {self.path}
mount --bind {archives()} {self.path}/var/cache/apt/archives
mount -t proc proc {self.path}/proc
cp /etc/resolv.conf {self.path}/etc/resolv.conf
touch {self.base}/mounted
exec sleep infinity'''
        argv = ['unshare', '--mount', '--propagation', 'private', 'sh', '-c', script]
        self._holder = Process(f'root {self.name}', argv, self.base / 'holder.log')
        wait_until(self._mounted, 20, f'the root {self.name} is mounted')
        return self

    def _mounted(self) -> bool:
        assert self._holder.running(), self._holder.log()
        return (self.base / 'mounted').exists()

    def __exit__(self, *_):
        self._holder.stop()
        shutil.rmtree(self.base, ignore_errors=True)

    def outside(self, *argv) -> list[str]:
        """argv of a program of the host that sees this root at self.path."""
        return ['nsenter', f'--mount=/proc/{self._holder.pid}/ns/mnt', '--', *map(str, argv)]

    def inside(self, *argv, user: str | None = None) -> list[str]:
        """argv of a program of this root, with no environment of ours; as root or another user of it."""
        who = ['setpriv', f'--reuid={user}', f'--regid={user}', '--init-groups', '--no-new-privs'] if user else []
        return self.outside('chroot', self.path, *who, *map(str, argv))

    def run(self, *argv, user: str | None = None, code: int | None = 0, timeout: float = 120) -> str:
        """What it prints, both outputs together; asserts the exit code, unless None is given for it."""
        return _run(self.inside(*argv, user=user), code, timeout)

    def fetch(self, package: Path) -> None:
        """Downloads what the package depends on, if it is not in the cache yet."""
        argv = ('apt-get', 'install', '-qq', '--no-install-recommends', '--download-only', f'/{package.name}')
        try:
            self.run(*argv)
        except AssertionError:
            self.run('apt-get', 'update', '-qq')  # the folder's lists are older than what the mirror has now
            self.run(*argv, timeout=300)

    def put(self, source: Path, target: str) -> None:
        """A file of the host's, by a path without links."""
        _run(self.outside('cp', source, f'{self.path}{target}'), 0, 20)

    def write(self, target: str, text: str) -> None:
        """Keeps owner and mode of a file that is there."""
        _run(self.inside('sh', '-c', 'cat > "$0"', target), 0, 20, text)

    def read(self, target: str) -> str:
        return self.run('cat', target)

    def exists(self, target: str) -> bool:
        return subprocess.run(self.inside('test', '-e', target)).returncode == 0

    def names(self) -> set[str]:
        """All files but those that any use of apt leaves."""
        leave = ('/proc', '/dev', '/sys', '/run', '/tmp', '/var/cache', '/var/log', '/var/lib/apt', '/var/lib/dpkg')
        prune = [word for path in leave for word in ('-path', path, '-prune', '-o')]
        return set(self.run('find', '/', *prune, '-print').splitlines())


class BootedRoot(Root):
    """The same with systemd as its first process, in a network of its own with only loopback. A chroot until then."""

    def __init__(self, name: str):
        super().__init__(name)
        self._nspawn: Process | None = None
        self._leader = 0

    def boot(self, *options: str) -> 'BootedRoot':
        self.run('umount', '/proc')  # it gets one of its own
        argv = ['systemd-nspawn', '--boot', '--quiet', '--register=no', '--keep-unit', '--private-network']
        argv += ['--console=passive', *options, f'--directory={self.path}']
        self._nspawn = Process(f'nspawn {self.name}', self.outside(*argv), self.base / 'boot.log')
        self._leader = wait_until(self._find_leader, 20, 'systemd is there')
        wait_until(self._up, 60, 'the system is up', 0.2)
        return self

    def _find_leader(self) -> int | None:
        """systemd is the child of nspawn, which nsenter has become."""
        assert self._nspawn.running(), self._nspawn.log()
        children = Path(f'/proc/{self._nspawn.pid}/task/{self._nspawn.pid}/children').read_text().split()
        for child in map(int, children):
            if Path(f'/proc/{child}/cmdline').read_bytes().split(b'\0')[0].endswith(b'systemd'):
                return child
        return None

    def _up(self) -> bool:
        assert self._nspawn.running(), self._nspawn.log()
        return self.run('systemctl', 'is-system-running', code=None).strip() in ('running', 'degraded')

    def inside(self, *argv, user: str | None = None) -> list[str]:
        if not self._leader:
            return super().inside(*argv, user=user)
        who = ['setpriv', f'--reuid={user}', f'--regid={user}', '--init-groups'] if user else []
        variables = [f'{key}={value}' for key, value in ENVIRONMENT.items()]
        return ['nsenter', f'--target={self._leader}', '--all', '--', '/usr/bin/env', '-i', *variables, *who, *argv]

    def in_network(self, *argv) -> list[str]:
        """argv of a program of the host in this root's network."""
        return ['nsenter', f'--target={self._leader}', '--net', '--', *map(str, argv)]

    def __exit__(self, *exception):
        if exception[0] and self._leader:
            print(self.run('journalctl', '--no-pager', '-n', '60', code=None))
        if self._leader:
            os.kill(self._leader, signal.SIGKILL)  # and with it all that runs in there
        if self._nspawn:
            self._nspawn.stop(timeout=20)
        super().__exit__(*exception)


def cannot_boot() -> str | None:
    reason = unavailable()
    if reason:
        return reason
    return None if shutil.which('systemd-nspawn') else 'packages: systemd-nspawn is not installed'


def _run(argv: list, code: int | None, timeout: float, text: str = '') -> str:
    done = subprocess.run(
        argv,
        input=text,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        errors='replace',
        env=ENVIRONMENT,
        timeout=timeout,
    )
    assert code is None or done.returncode == code, f'{argv} ended with {done.returncode}:\n{done.stdout[-3000:]}'
    return done.stdout


if __name__ == '__main__':
    why = unavailable()
    if why:
        sys.exit(why)
    print(folder())
