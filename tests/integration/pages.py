"""What a router serves over HTTP, asked by the tests; and secrets that must be in none of it."""
import base64
import json
import ssl
import urllib.error
import urllib.request
from dataclasses import dataclass
from pathlib import Path

import paths
from processes import free_port, wait_until


@dataclass
class Answer:
    status: int
    headers: dict
    body: str

    def json(self):
        return json.loads(self.body)


def get(url: str, user: str | None = None, password: str = '', ca: Path | None = None, **headers) -> Answer:
    """Whatever the status; other failures are raised."""
    if user is not None:
        headers['Authorization'] = 'Basic ' + base64.b64encode(f'{user}:{password}'.encode()).decode()
    request = urllib.request.Request(url, headers=headers)
    context = ssl.create_default_context(cafile=str(ca)) if ca else None
    try:
        with urllib.request.urlopen(request, timeout=15, context=context) as answer:
            return Answer(answer.status, dict(answer.headers), answer.read().decode())
    except urllib.error.HTTPError as error:
        return Answer(error.code, dict(error.headers), error.read().decode())


class Pages:
    """The pages of one router on loopback."""

    def __init__(self, router):
        """Of one that has just been started: its HTTP listener comes after the others."""
        self.router = router
        wait_until(self._listens, 10, 'the pages are there')

    def _listens(self) -> bool:
        try:
            return self.get('/healthz').status == 200
        except OSError:
            return False

    @property
    def base(self) -> str:
        return f'http://127.0.0.1:{self.router.http_port}'

    def get(self, path: str, **headers) -> Answer:
        return get(self.base + path, **headers)

    def fleet(self) -> dict:
        return self.get('/api/v1/fleet').json()

    def shard(self, name: str) -> dict:
        return next(s for s in self.fleet()['shards'] if s['name'] == name)

    def backend(self, name: str) -> dict:
        return next(b for b in self.fleet()['backends'] if b['name'] == name)

    def everything(self) -> str:
        """All that can be read, in one text."""
        texts = [self.get(path).body for path in ('/metrics', '/readyz', '/', '/api/v1/')]
        for path in ('fleet', 'incidents', 'events', 'operations', 'unknown', 'tenants', 'history?shards=s1,s2'):
            texts.append(self.get(f'/api/v1/{path}').body)
        for incident in self.get('/api/v1/incidents').json()['incidents']:
            texts += [self.get(f'/api/v1/incidents/{incident["id"]}{end}').body for end in ('', '.md')]
        return '\n'.join(texts)


class EventStream:
    """One client of /api/v1/stream."""

    def __init__(self, base: str):
        self._answer = urllib.request.urlopen(base + '/api/v1/stream', timeout=15)

    def next(self) -> tuple[str, dict]:
        """The next event: its name and its data."""
        name = data = ''
        while True:
            line = self._answer.readline().decode().rstrip('\n')
            if line == '' and data:
                return name, json.loads(data)
            if line.startswith('event: '):
                name = line[7:]
            elif line.startswith('data: '):
                data = line[6:]
            assert line or not self._answer.closed, 'the stream ended'

    def close(self) -> None:
        self._answer.close()


def reachable(config: dict, tls: dict, admin_users: list[dict]) -> tuple[dict, str]:
    """The configuration with its HTTP listener open to other machines; and the address of its pages."""
    port = free_port()
    config['listen']['http'] = {'address': f'0.0.0.0:{port}', 'tls': 'required'}
    config['tls'] = {'clients': tls}
    config['admin_users'] = admin_users
    return config, f'https://127.0.0.1:{port}'


def top(*arguments, env: dict | None = None, timeout: float = 20):
    """`bulkhead top` with these arguments; its CompletedProcess."""
    return _command('top', *arguments, env=env, timeout=timeout)


def health(*arguments, env: dict | None = None, timeout: float = 20):
    """`bulkhead health`, the same."""
    return _command('health', *arguments, env=env, timeout=timeout)


def _command(*arguments, env: dict | None, timeout: float):
    import os
    import subprocess

    return subprocess.run(
        [str(paths.BINARY), *map(str, arguments)],
        capture_output=True,
        text=True,
        timeout=timeout,
        stdin=subprocess.DEVNULL,
        env={**os.environ, **(env or {})},
    )
