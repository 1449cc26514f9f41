"""Debian's Prometheus, scraping a router with the rules that are shipped."""
import json
import re
import shutil
import signal
import subprocess
import urllib.parse
from pathlib import Path

import paths
from pages import get
from processes import Process, free_port, wait_until

ROOT = Path(__file__).resolve().parents[2]
RULES = ROOT / 'deploy' / 'prometheus' / 'bulkhead.rules.yml'
EXAMPLE = ROOT / 'deploy' / 'prometheus' / 'prometheus.example.yml'
DASHBOARD = ROOT / 'deploy' / 'grafana' / 'bulkhead.json'


def unavailable() -> str | None:
    """Why there is no Prometheus here; None if there is one."""
    missing = [program for program in ('prometheus', 'promtool') if not shutil.which(program)]
    return f'{missing[0]} is not installed (deploy/install-dependencies clients)' if missing else None


def promtool(*arguments, text: str | None = None) -> subprocess.CompletedProcess:
    return subprocess.run(
        ['promtool', *map(str, arguments)], input=text, capture_output=True, text=True, timeout=60, cwd=RULES.parent
    )


def hurry(rules: str) -> str:
    """Each `for:` a second, each window half a minute; limits and all else as shipped."""
    rules, waits = re.subn(r'^( +for:) \d+[smh]$', r'\1 1s', rules, flags=re.M)
    rules, windows = re.subn(r'\[\d+[mh]\]', '[30s]', rules)
    assert waits >= 10 and windows >= 5, (waits, windows)
    return rules


class Prometheus:
    """One server with the example configuration, its addresses replaced, looking every half second.

    hurried: the rules with shorter times, so that what takes ten minutes to fire and an hour to end can be waited for.
    """

    def __init__(self, targets: list[str], hurried: bool = False):
        self.folder = paths.run_folder() / f'prometheus.{free_port()}'
        self.folder.mkdir()
        self.port = free_port()
        config = EXAMPLE.read_text()
        config = config.replace('["127.0.0.1:9306"]', json.dumps(targets))
        config = re.sub(r'_interval: \d+s.*', '_interval: 500ms', config)
        rules = RULES
        if hurried:
            rules = self.folder / RULES.name
            rules.write_text(hurry(RULES.read_text()))
        config = config.replace('bulkhead.rules.yml', str(rules))
        (self.folder / 'prometheus.yml').write_text(config)
        self.process: Process | None = None

    def __enter__(self) -> 'Prometheus':
        self.process = Process(
            'prometheus',
            [
                'prometheus',
                f'--config.file={self.folder}/prometheus.yml',
                f'--storage.tsdb.path={self.folder}/data',
                f'--web.listen-address=127.0.0.1:{self.port}',
                '--log.level=warn',
            ],
            self.folder / 'log',
        )
        wait_until(self._ready, 60, 'prometheus is ready')
        return self

    def __exit__(self, *_):
        self.process.stop(signal.SIGTERM, 20)

    def _ready(self) -> bool:
        assert self.process.running(), self.process.log()
        try:
            return get(f'http://127.0.0.1:{self.port}/-/ready').status == 200
        except OSError:
            return False

    def query(self, expression: str) -> list[dict]:
        """The result of an instant query: samples with `metric` and `value`."""
        encoded = urllib.parse.urlencode({'query': expression})
        answer = get(f'http://127.0.0.1:{self.port}/api/v1/query?{encoded}').json()
        assert answer['status'] == 'success', f'{expression}: {answer}'
        return answer['data']['result']

    def value(self, expression: str) -> float | None:
        found = self.query(expression)
        return float(found[0]['value'][1]) if found else None

    def firing(self) -> dict[str, list[dict]]:
        """Alerts that fire now, by name."""
        answer = get(f'http://127.0.0.1:{self.port}/api/v1/alerts').json()
        alerts: dict[str, list[dict]] = {}
        for alert in answer['data']['alerts']:
            if alert['state'] == 'firing':
                alerts.setdefault(alert['labels']['alertname'], []).append(alert)
        return alerts

    def matching(self, name: str, **labels: str) -> list[dict]:
        """Alerts of this name with these labels that fire now."""
        alerts = self.firing().get(name, [])
        return [a for a in alerts if labels.items() <= a['labels'].items()]

    def wait_firing(self, name: str, timeout: float = 60, **labels: str) -> dict:
        def found() -> dict | None:
            return next(iter(self.matching(name, **labels)), None)

        return wait_until(found, timeout, f'{name} {labels} fires', 0.2)

    def wait_ended(self, name: str, timeout: float = 60, **labels: str) -> None:
        wait_until(lambda: not self.matching(name, **labels), timeout, f'{name} {labels} ends', 0.2)
