"""Metrics, alert rules and the dashboard, against a real Prometheus."""
import json
import re
from pathlib import Path

import hang_fleet
import prometheus
import pytest
import router as router_module
import yaml
from pages import Pages
from processes import wait_until
from prometheus import DASHBOARD, RULES, Prometheus, promtool
from sessions import login, make_tenant, run

DOCS = Path(__file__).resolve().parents[2] / 'docs'


@pytest.fixture(autouse=True)
def installed():
    reason = prometheus.unavailable()
    if reason:
        pytest.skip(reason)


def documented() -> dict[str, str]:
    """Metric -> its labels, from docs/METRICS.md, which a unit test compares with the list in the code."""
    table = (DOCS / 'METRICS.md').read_text().split('<!-- metrics: begin -->')[1]
    return dict(re.findall(r'^\| `(\w+)` \| \w+ \| (.*?) \|', table, re.M))


def rules() -> list[dict]:
    return [rule for group in yaml.safe_load(RULES.read_text())['groups'] for rule in group['rules']]


def panels() -> list[dict]:
    return [panel for panel in json.loads(DASHBOARD.read_text())['panels'] if panel['type'] != 'row']


def metrics_in(expression: str) -> set[str]:
    found = set(re.findall(r'\b(?:bulkhead|process)_\w+', expression))
    return {re.sub(r'_(bucket|count|sum)$', '', name) if '_seconds_' in name else name for name in found}


def test_rules_pass_promtool():
    assert promtool('check', 'rules', RULES.name).returncode == 0
    done = promtool('test', 'rules', 'bulkhead.rules.test.yml')
    assert done.returncode == 0, done.stdout + done.stderr
    assert promtool('check', 'config', prometheus.EXAMPLE.name).returncode == 0


def test_every_alert_has_a_test_and_a_chapter():
    runbook = (DOCS / 'RUNBOOK.md').read_text()
    anchors = {f'docs/RUNBOOK.md#{title.lower()}' for title in re.findall(r'^## (\w+)$', runbook, re.M)}
    tested = re.findall(r'^  - name: (\w+)', (RULES.parent / 'bulkhead.rules.test.yml').read_text(), re.M)
    links = [rule['annotations']['runbook_url'] for rule in rules()]
    assert set(links) == anchors
    for rule in rules():
        assert rule['alert'] in tested, f"{rule['alert']} has no test"
        assert rule['labels']['severity'] in ('page', 'warning', 'info')
        assert len(rule['annotations']['description']) > 30


def test_rules_and_dashboard_name_only_metrics_that_are_there():
    known = set(documented())
    for rule in rules():
        assert metrics_in(rule['expr']) <= known, rule['alert']
    for panel in panels():
        for target in panel['targets']:
            assert metrics_in(target['expr']) <= known, panel['title']
    shown = set().union(*(metrics_in(t['expr']) for p in panels() for t in p['targets']))
    assert len(shown) > 40


def test_what_is_scraped_is_what_is_documented(fleet, routers):
    server = fleet()
    make_tenant(server, 'acme')
    router = routers(router_module.configuration({'acme': server}, tls=True))
    page = Pages(router)
    wait_until(lambda: page.fleet()['totals']['serving'] == 1, 20, 'the shard is served')
    session = login(router, 'acme')
    run(session, 'SELECT 1', 'BEGIN', 'COMMIT')
    session.close()
    text = page.get('/metrics').body
    done = promtool('check', 'metrics', text=text)
    assert done.returncode == 0, done.stdout + done.stderr
    families = dict(re.findall(r'^# TYPE (\w+) (\w+)$', text, re.M))
    assert set(families) == set(documented())
    labels = {}
    for name, inside in re.findall(r'^(\w+?)(?:_bucket|_count|_sum)?\{(.*)\} ', text, re.M):
        labels.setdefault(name, set()).update(re.findall(r'(\w+)=', inside))
    for name, seen in labels.items():
        wanted = set(re.findall(r'`(\w+)`', documented()[name])) if name in families else None
        if wanted is not None:
            assert seen - {'le'} == wanted, name


@pytest.mark.slow
def test_alerts_fire_in_a_real_freeze_and_end(routers):
    """One of four servers is frozen under load: somebody is woken, by the right words; then it is thawed."""
    servers = hang_fleet.shared_fleet()
    config = servers.configuration(hold={'max_wait': '4s', 'max_statements': 6}, workers=2)
    router = routers(config)
    hang_fleet.wait_all_up(router)
    with Prometheus([f'127.0.0.1:{router.http_port}']) as prom:
        load = hang_fleet.Load(router, {'t1': 2, 't2': 10, 't3': 2, 't4': 2})
        try:
            wait_until(lambda: (prom.value('sum(bulkhead_shard_serving)') or 0) == 4, 60, 'all are scraped as served')
            # What fires in calm is only what is true of this test's routers.
            assert set(prom.firing()) <= {'NoFenceConfigured', 'ProcessRestarted'}, prom.firing()
            servers.freeze(2)
            down = prom.wait_firing('BackendDown')
            assert down['labels']['backend'] == 'db2' and down['labels']['severity'] == 'page'
            assert down['annotations']['summary'] == 'db2 is down; its tenants wait'
            assert prom.wait_firing('ShardHolding')['labels']['shard'] == 's2'
            assert prom.wait_firing('HoldQueueNearlyFull')['labels']['shard'] == 's2'
            assert prom.wait_firing('StatementsRefused', 90)['labels']['shard'] == 's2'
            prom.wait_firing('UnknownOutcomes', 60)
            for name, alerts in prom.firing().items():
                for alert in alerts:
                    concerned = alert['labels'].get('shard', 's2'), alert['labels'].get('backend', 'db2')
                    assert concerned == ('s2', 'db2') or name == 'NoFenceConfigured', alert
            check_dashboard(prom)
        finally:
            servers.thaw(2)
            hang_fleet.wait_all_up(router, timeout=40)
        wait_until(lambda: not {'BackendDown', 'ShardHolding'} & set(prom.firing()), 60, 'the alerts end')
        load.finish()


# Panels that are empty while nothing of the kind has happened.
MAY_BE_EMPTY = {'Tenants over their limits', 'Certificates end in', 'Connects that failed', 'Logins'}


def check_dashboard(prom: Prometheus) -> None:
    """Every query of the dashboard is understood, and shows something."""
    replaced = {
        '$__rate_interval': '30s',
        '$__range': '5m',
        '$job': 'bulkhead',
        '$instance': '.*',
        '$shard': '.*',
    }
    empty = []
    for panel in panels():
        shown = False
        for target in panel['targets']:
            expression = target['expr']
            for variable, value in replaced.items():
                expression = expression.replace(variable, value)
            assert '$' not in expression, expression
            shown = bool(prom.query(expression)) or shown
        if not shown and panel['title'] not in MAY_BE_EMPTY:
            empty.append(panel['title'])
    assert not empty, f'these panels show nothing: {empty}'
