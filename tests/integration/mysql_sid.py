"""MySQL 9 from Debian sid, in a folder of the cache: made by debootstrap, run from there without chroot.

    /usr/bin/python3 tests/integration/mysql_sid.py        makes it and prints its version

Needs root, debootstrap and the mirror that apt already uses. The packages mysql-server-core and mysql-client-core hold
the binaries only. They are started through the folder's own dynamic loader, so that all paths are the host's.
"""
import os
import re
import shutil
import subprocess
import sys
from functools import lru_cache
from pathlib import Path

import paths

PACKAGES = ['mysql-server-core', 'mysql-client-core']
KEYRING = '/usr/share/keyrings/debian-archive-keyring.gpg'


def folder() -> Path:
    return paths.cache_folder() / 'mysql-sid'


def make() -> None:
    """Does nothing when the folder is complete. Raises RuntimeError with the reason otherwise."""
    target = folder()
    if (target / '.complete').exists():
        return
    if os.geteuid() != 0:
        raise RuntimeError('debootstrap needs root')
    if not shutil.which('debootstrap', path=os.environ['PATH'] + ':/usr/sbin'):
        raise RuntimeError('debootstrap is not installed')
    log = paths.run_folder() / 'debootstrap.log'
    shutil.rmtree(target, ignore_errors=True)
    env = {
        'PATH': '/usr/sbin:/usr/bin:/sbin:/bin',
        'DEBIAN_FRONTEND': 'noninteractive',
        'RUNLEVEL': '1',
        'LC_ALL': 'C',
        **{k: v for k, v in os.environ.items() if k.lower().endswith('_proxy')},
    }

    def run(*argv, timeout=900):
        with open(log, 'ab') as out:
            if subprocess.run(
                argv, stdin=subprocess.DEVNULL, stdout=out, stderr=out, env=env, timeout=timeout
            ).returncode:
                raise RuntimeError(f'{argv[0]} failed: {log.read_text(errors="replace")[-500:]}')

    try:
        run('debootstrap', '--variant=minbase', f'--keyring={KEYRING}', 'sid', str(target), mirror())
        policy = target / 'usr/sbin/policy-rc.d'
        policy.write_text('#!/bin/sh\nexit 101\n')
        policy.chmod(0o755)
        for name in ('/etc/resolv.conf', '/etc/hosts'):
            if os.path.exists(name):
                shutil.copyfile(name, f'{target}{name}')
        # apt's own settings (a proxy, extra certificates) count inside as well
        for conf in Path('/etc/apt/apt.conf.d').glob('*prox*'):
            shutil.copy(conf, target / 'etc/apt/apt.conf.d')
        run('chroot', str(target), 'apt-get', 'install', '-y', '--no-install-recommends', *PACKAGES)
        shutil.rmtree(target / 'var/cache/apt/archives', ignore_errors=True)
        target.chmod(0o755)
        (target / '.complete').write_text('')
    except (OSError, subprocess.SubprocessError) as error:
        raise RuntimeError(str(error)) from error


def mirror() -> str:
    out = subprocess.run(
        ['apt-get', 'indextargets', '--format', '$(REPO_URI)', 'Codename: bookworm'], capture_output=True, text=True
    ).stdout.split()
    if not out:
        raise RuntimeError('apt knows no mirror of Debian 12')
    return out[0]


@lru_cache(maxsize=None)
def unavailable() -> str | None:
    """None if MySQL can be started (makes the folder on the first call), otherwise why not."""
    if os.environ.get('BULKHEAD_NO_MYSQL'):
        return 'BULKHEAD_NO_MYSQL is set'
    try:
        make()
        version()
        return None
    except (RuntimeError, OSError) as error:
        return f'no MySQL 9: {error}'


def command(program: str) -> list[str]:
    """argv of a program of the folder, e.g. usr/sbin/mysqld or usr/bin/mysql."""
    base = folder()
    libraries = [
        base / 'usr/lib/x86_64-linux-gnu',
        base / 'usr/lib/aarch64-linux-gnu',
        base / 'usr/lib/mysql/private',
        base / 'usr/lib',
    ]
    loader = next(
        p
        for p in (
            base / 'usr/lib64/ld-linux-x86-64.so.2',
            base / 'usr/lib/ld-linux-aarch64.so.1',
            base / 'lib64/ld-linux-x86-64.so.2',
        )
        if p.exists()
    )
    return [str(loader), '--library-path', ':'.join(str(p) for p in libraries if p.exists()), str(base / program)]


def server_paths() -> list[str]:
    base = folder() / 'usr'
    plugins = next(
        (p for p in (base / 'lib/mysql/plugin', base / 'lib/x86_64-linux-gnu/mysql/plugin') if p.exists()),
        base / 'lib/mysql/plugin',
    )
    share = next(
        (p for p in (base / 'share/mysql-9', base / 'share/mysql', base / 'share/mysql-9.0') if p.exists()),
        base / 'share/mysql',
    )
    return [
        f'--basedir={base}',
        f'--plugin-dir={plugins}',
        f'--lc-messages-dir={share}',
        f'--character-sets-dir={share}/charsets',
    ]


@lru_cache(maxsize=None)
def version() -> str:
    done = subprocess.run([*command('usr/sbin/mysqld'), '--no-defaults', '--version'], capture_output=True, text=True)
    found = re.search(r'Ver (\d+\.\d+\.\d+)', done.stdout)
    if not found:
        raise RuntimeError(f'mysqld --version: {done.stdout}{done.stderr}')
    return found[1]


if __name__ == '__main__':
    reason = unavailable()
    if reason:
        sys.exit(reason)
    print(f'MySQL {version()} in {folder()}')
