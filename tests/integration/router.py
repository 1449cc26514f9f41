"""Starts the router under test with a configuration made for it, and checks that it leaves nothing behind."""
import copy
import os
import re
import signal
import subprocess
import urllib.request
from pathlib import Path

import pymysql
import yaml

import certificates
import paths
from processes import Process, can_connect, free_port, wait_until
from servers import ADMIN_PASSWORD, APP_PASSWORD, Server

_count = 0


def configuration(
    tenants: dict[str, Server], users: list[dict] | None = None, family: str | None = None, tls=False, **changes
) -> dict:
    """One shard per server, each tenant on its server's shard. `changes` replace or (as dicts) extend top-level keys.

    family: what the greeting says; the first server's own if left out. tls: clients may use it.
    """
    first = next(iter(tenants.values()))
    names: dict[int, str] = {}
    for server in tenants.values():
        names.setdefault(id(server), f'{len(names) + 1}')
    unique = {names[id(s)]: s for s in tenants.values()}
    config = {
        'listen': {
            'mysql': [
                {
                    'address': f'127.0.0.1:{free_port()}',
                    'family': family or first.kind,
                    'version': first.execute('SELECT VERSION()')[0][0],
                }
            ],
            'http': f'127.0.0.1:{free_port()}',
        },
        'workers': 2,
        'users': users if users is not None else [{'name': 'app', 'password': APP_PASSWORD}],
        'tenancy': {
            'username_pattern': '{user}@{tenant}',
            'database_pattern': 'tenant_{tenant}',
            'unassigned': 'reject',
        },
        'topology': {
            'backends': [{'name': f'db{n}', 'address': f'{s.host}:{s.port}'} for n, s in unique.items()],
            'shards': [{'name': f's{n}', 'primary': f'db{n}'} for n in unique],
            'tenants': [{'name': t, 'shard': f's{names[id(s)]}'} for t, s in tenants.items()],
        },
    }
    if tls:
        config['tls'] = {'clients': tls_settings()}
    if os.environ.get('BULKHEAD_BACKEND_TLS'):
        config.setdefault('tls', {})['backends'] = {'mode': os.environ['BULKHEAD_BACKEND_TLS']}
    for key, value in changes.items():
        if isinstance(value, dict) and isinstance(config.get(key), dict):
            config[key] = {**config[key], **value}
        else:
            config[key] = value
    return config


def set_every_user(config: dict, **keys) -> dict:
    """A copy in which each user has these keys, e.g. pooling='session'."""
    config = copy.deepcopy(config)
    for user in config['users']:
        user.update(keys)
    return config


def tls_settings() -> dict:
    """Clients may use TLS, with the run's own certificate."""
    made = certificates.make(paths.run_folder() / 'tls')
    return {'mode': 'preferred', 'cert': str(made['cert']), 'key': str(made['key'])}


class Router:
    """One `bulkhead serve`. As a context manager it also asserts a clean end: exit code 0, no sanitizer report."""

    host = '127.0.0.1'

    def __init__(self, config: dict, name: str | None = None, env: dict | None = None):
        global _count
        _count += 1
        self.name = name or f'router{_count}'
        self.folder = paths.run_folder() / f'{self.name}.{_count}'
        self.folder.mkdir(parents=True)
        self.config, self.env = config, env
        self.config_path = self.folder / 'bulkhead.yaml'
        self.process: Process | None = None
        self.exit_code: int | None = None

    @property
    def port(self) -> int:
        first = self.config['listen']['mysql'][0]
        return int((first if isinstance(first, str) else first['address']).rsplit(':', 1)[1])

    @property
    def http_port(self) -> int:
        return int(self.config['listen']['http'].rsplit(':', 1)[1])

    def __enter__(self) -> 'Router':
        return self.start()

    def __exit__(self, kind, *_):
        code = self.stop()
        if kind is None:
            assert code == 0, f'{self.name} ended with {code}:\n{self.log()}'
            self.check_log()

    def write_config(self) -> Path:
        self.config.setdefault('state_dir', str(self.folder / 'state'))
        Path(self.config['state_dir']).mkdir(exist_ok=True)
        self.config_path.write_text(yaml.safe_dump(self.config, sort_keys=False))
        return self.config_path

    def argv(self) -> list[str]:
        return [str(paths.BINARY), 'serve', '--config', str(self.write_config())]

    def start(self) -> 'Router':
        env = {
            **os.environ,
            'ASAN_OPTIONS': 'abort_on_error=0:exitcode=99',
            'UBSAN_OPTIONS': 'print_stacktrace=1',
            **(self.env or {}),
        }
        self.process = Process(self.name, self.argv(), self.folder / 'log', env=env)

        def ready():
            assert self.process.running(), f'{self.name} ended at its start:\n{self.log()}'
            return can_connect(self.port)

        wait_until(ready, 20, f'{self.name} listens', 0.02)
        return self

    def stop(self, timeout: float = 30) -> int:
        if self.process:
            self.exit_code = self.process.stop(signal.SIGTERM, timeout)
            self.process = None
        return self.exit_code

    def log(self) -> str:
        try:
            return (self.folder / 'log').read_text(errors='replace')[-6000:]
        except OSError:
            return ''

    def check_log(self) -> None:
        found = re.search(
            r'.*(ERROR: AddressSanitizer|runtime error:|ThreadSanitizer|LeakSanitizer|terminate called).*',
            (self.folder / 'log').read_text(errors='replace'),
        )
        assert not found, f'{self.name}: {found[0]}\n{self.log()}'

    def metrics(self) -> dict[str, float]:
        """All samples of /metrics, by name with labels."""
        with urllib.request.urlopen(f'http://127.0.0.1:{self.http_port}/metrics', timeout=10) as answer:
            text = answer.read().decode()
        return {
            line.rsplit(' ', 1)[0]: float(line.rsplit(' ', 1)[1])
            for line in text.splitlines()
            if line and not line.startswith('#')
        }

    def metric(self, name: str, **labels) -> float:
        """The sum of a metric's samples that have these labels."""
        wanted = [f'{k}="{v}"' for k, v in labels.items()]
        return sum(
            value
            for key, value in self.metrics().items()
            if key.split('{')[0] == name and all(w in key for w in wanted)
        )


class HaproxyStandIn(Router):
    """HAProxy in TCP mode to the first backend: to try the tests without the router (BULKHEAD_STAND_IN=haproxy)."""

    def argv(self):
        backend = self.config['topology']['backends'][0]['address']
        host, port = backend.rsplit(':', 1)
        with pymysql.connect(host=host, port=int(port), user='admin', password=ADMIN_PASSWORD).cursor() as cursor:
            for tenant in self.config['topology']['tenants']:  # with HAProxy the server itself must know `app@acme`
                cursor.execute(f"CREATE USER IF NOT EXISTS 'app@{tenant['name']}'@'%' IDENTIFIED BY '{APP_PASSWORD}'")
                cursor.execute(f"GRANT ALL ON *.* TO 'app@{tenant['name']}'@'%'")
        path = self.folder / 'haproxy.cfg'
        path.write_text(
            f'''defaults
    mode tcp
    timeout connect 5s
    timeout client 1h
    timeout server 1h
listen mysql
    bind 127.0.0.1:{self.port}
    server db1 {backend}
'''
        )
        return ['haproxy', '-db', '-f', str(path)]

    def stop(self, timeout: float = 30) -> int:
        if self.process:
            self.process.stop(signal.SIGTERM, timeout)
            self.process = None
        self.exit_code = 0
        return 0


def make_router(config: dict, **options) -> Router:
    kind = HaproxyStandIn if os.environ.get('BULKHEAD_STAND_IN') == 'haproxy' else Router
    return kind(config, **options)


def check(config: dict | str) -> subprocess.CompletedProcess:
    """`bulkhead check FILE` on a configuration (a dict, or text as it is)."""
    global _count
    _count += 1
    path = paths.run_folder() / f'check.{_count}.yaml'
    path.write_text(config if isinstance(config, str) else yaml.safe_dump(config, sort_keys=False))
    return subprocess.run(
        [str(paths.BINARY), 'check', str(path)], capture_output=True, text=True, timeout=20, stdin=subprocess.DEVNULL
    )
