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


class Prometheus:
    """One server with the example configuration, its addresses replaced, looking every half second."""

    def __init__(self, targets: list[str]):
        self.folder = paths.run_folder() / f'prometheus.{free_port()}'
        self.folder.mkdir()
        self.port = free_port()
        config = EXAMPLE.read_text()
        config = config.replace('["127.0.0.1:9306"]', json.dumps(targets))
        config = re.sub(r'_interval: \d+s.*', '_interval: 500ms', config)
        config = config.replace('bulkhead.rules.yml', str(RULES))
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

    def wait_firing(self, name: str, timeout: float = 60) -> dict:
        return wait_until(lambda: self.firing().get(name, [None])[0], timeout, f'{name} fires', 0.2)
