"""What somebody can do with what deploy/quickstart has started: connect, look, operate, break it."""
from pathlib import Path

import paths
import servers

ADMIN = ('admin', 'admin-secret')
PROMETHEUS = Path(__file__).resolve().parent / 'prometheus'
EXAMPLE_TARGET = '127.0.0.1:9306'


def admin_port(router) -> int:
    return int(router.config['listen']['admin'].rsplit(':', 1)[1])


def write_prometheus(router) -> Path:
    """deploy/prometheus' example for this router; the file's path."""
    text = (PROMETHEUS / 'prometheus.example.yml').read_text()
    assert EXAMPLE_TARGET in text
    text = text.replace(EXAMPLE_TARGET, f'127.0.0.1:{router.http_port}')
    text = text.replace('- bulkhead.rules.yml', f'- {PROMETHEUS}/bulkhead.rules.yml')
    path = paths.run_folder() / 'prometheus.yml'
    path.write_text(text)
    return path


def what_now(router, victim) -> None:
    port, prometheus = router.port, write_prometheus(router)
    print(
        f'''
Connect as any tenant's application:
    mysql -h 127.0.0.1 -P {port} -u app@acme -p{servers.APP_PASSWORD} tenant_acme
    mariadb -h 127.0.0.1 -P {port} -u app@globex -p{servers.APP_PASSWORD} tenant_globex
or without a tenant in the user's name:
    mariadb -h 127.0.0.1 -P {port} -u app -p{servers.APP_PASSWORD} --comments \\
        -e "/* tenant=wonka */ SELECT COUNT(*) FROM tenant_wonka.orders"
See the fleet in a browser, or in this terminal:
    http://127.0.0.1:{router.http_port}/
    {paths.BINARY} top --url http://127.0.0.1:{router.http_port}
Operate it; any MySQL client will do:
    mariadb -h 127.0.0.1 -P {admin_port(router)} -u {ADMIN[0]} -p{ADMIN[1]} -e 'SHOW SHARDS'
Break it: freeze {victim.name} and wake it again (docs/RUNBOOK.md says what to do meanwhile):
    kill -STOP {victim.process.pid}
    kill -CONT {victim.process.pid}
Let Prometheus watch it, with the alert rules (apt install prometheus), then http://127.0.0.1:9090/alerts:
    prometheus --config.file={prometheus} \\
        --storage.tsdb.path={prometheus.parent}/prometheus --web.listen-address=127.0.0.1:9090
Metrics: http://127.0.0.1:{router.http_port}/metrics
The router's log: {router.folder}/log''',
        flush=True,
    )
