"""The demonstration of deploy/quickstart, once the router is built: see there."""
import argparse
import subprocess
import sys
import time
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1] / 'tests/integration'))

import pymysql  # noqa: E402

import paths  # noqa: E402
import processes  # noqa: E402
import router as router_module  # noqa: E402
import servers  # noqa: E402

TENANTS = ['acme', 'globex', 'initech', 'umbrella', 'hooli', 'stark', 'wayne', 'wonka']
STARTED = time.monotonic()


def say(text: str) -> None:
    seconds = int(time.monotonic() - STARTED)
    print(f'[{seconds // 60:3}:{seconds % 60:02}] {text}', flush=True)


def table(head: list[str], rows: list[list]) -> None:
    widths = [max(len(str(row[i])) for row in [head, *rows]) for i in range(len(head))]
    for row in [head, ['-' * w for w in widths], *rows]:
        print('    ' + '  '.join(str(cell).ljust(width) for cell, width in zip(row, widths)).rstrip())
    print(flush=True)


def client(router, tenant: str, *options: str, stdin: str = '') -> str:
    """Debian's command line client, as a user would call it."""
    argv = [
        'mariadb',
        '--no-defaults',
        '-h127.0.0.1',
        f'-P{router.port}',
        f'-uapp@{tenant}',
        f'-p{servers.APP_PASSWORD}',
        *options,
        f'tenant_{tenant}',
    ]
    done = subprocess.run(argv, input=stdin, capture_output=True, text=True)
    return done.stdout + done.stderr


def fill(router, fleet) -> None:
    """Each tenant's application creates its table and writes its orders, through the router."""
    for number, tenant in enumerate(TENANTS):
        fleet[number % 4].execute(f'CREATE DATABASE tenant_{tenant} CHARACTER SET utf8mb4')
        out = client(
            router,
            tenant,
            stdin='CREATE TABLE orders (id INT AUTO_INCREMENT PRIMARY KEY, item VARCHAR(40), placed DATETIME(3))',
        )
        assert not out, out
        connection = pymysql.connect(
            host='127.0.0.1',
            port=router.port,
            user=f'app@{tenant}',
            password=servers.APP_PASSWORD,
            database=f'tenant_{tenant}',
        )
        with connection.cursor() as cursor:
            cursor.executemany(
                'INSERT INTO orders (item, placed) VALUES (%s, NOW(3))',
                [(f'{tenant} order {i}',) for i in range(10 + number)],
            )
        connection.commit()
        connection.close()
    say('the mariadb client created the tables, PyMySQL wrote the orders, all through one port')


def where_the_rows_lie(router, fleet) -> None:
    rows = []
    for tenant in TENANTS:
        seen = client(router, tenant, '-N', '-B', '-e', 'SELECT COUNT(*) FROM orders').strip()
        found = [
            server.execute(f"SELECT COUNT(*) FROM information_schema.tables WHERE table_schema = 'tenant_{tenant}'")[0][
                0
            ]
            for server in fleet
        ]
        counts = [
            server.execute(f'SELECT COUNT(*) FROM tenant_{tenant}.orders')[0][0] if there else '.'
            for server, there in zip(fleet, found)
        ]
        rows.append([tenant, seen, *counts])
    say('orders of each tenant: through the router, and on each server when asked directly')
    table(['tenant', 'router', *(f'{s.name}:{s.port}' for s in fleet)], rows)


def one_server_away(router, fleet) -> None:
    stopped = fleet[1]
    say(f'{stopped.name} is stopped; what each tenant sees')
    stopped.stop()
    rows = []
    for tenant in TENANTS:
        started = time.monotonic()
        out = client(router, tenant, '-N', '-B', '-e', 'SELECT COUNT(*) FROM orders').strip()
        rows.append([tenant, f'{(time.monotonic() - started) * 1000:.0f} ms', out.splitlines()[-1]])
    table(['tenant', 'time', 'answer'], rows)
    stopped.start()
    # The router remembers a refused connection for a moment before it tries again.
    processes.wait_until(
        lambda: 'ERROR' not in client(router, 'globex', '-e', 'SELECT 1 FROM orders'), 10, 'globex is served again', 0.1
    )
    say(
        f'{stopped.name} is back: globex has '
        f'{client(router, "globex", "-N", "-B", "-e", "SELECT COUNT(*) FROM orders").strip()} orders'
    )


def main() -> int:
    parser = argparse.ArgumentParser(prog='deploy/quickstart')
    parser.add_argument('--exit-after-demo', action='store_true')
    parser.add_argument('--port', type=int, default=0)
    options = parser.parse_args()
    processes.exit_on_signals()
    reason = servers.available('mariadb')
    if reason:
        sys.exit(reason)
    say(f'starting four MariaDB servers in {paths.run_folder()}')
    fleet = [servers.MariaDb(f'db{n}', ['--performance-schema=OFF']).start() for n in range(1, 5)]
    config = router_module.configuration({tenant: fleet[n % 4] for n, tenant in enumerate(TENANTS)})
    for backend, server in zip(config['topology']['backends'], fleet):
        assert backend['name'] == server.name
    port = options.port or (13306 if not processes.can_connect(13306) else processes.free_port())
    config['listen']['mysql'][0]['address'] = f'127.0.0.1:{port}'
    with router_module.Router(config, name='bulkhead') as router:
        say(f'bulkhead serves {len(TENANTS)} tenants on 4 shards; its configuration: {router.config_path}')
        fill(router, fleet)
        where_the_rows_lie(router, fleet)
        one_server_away(router, fleet)
        print(
            f'''Connect as any tenant's application:
    mysql -h 127.0.0.1 -P {port} -u app@acme -p{servers.APP_PASSWORD} tenant_acme
    mariadb -h 127.0.0.1 -P {port} -u app@globex -p{servers.APP_PASSWORD} tenant_globex
or without a tenant in the user's name:
    mariadb -h 127.0.0.1 -P {port} -u app -p{servers.APP_PASSWORD} --comments \\
        -e "/* tenant=wonka */ SELECT COUNT(*) FROM tenant_wonka.orders"
Metrics: http://127.0.0.1:{router.http_port}/metrics''',
            flush=True,
        )
        if not options.exit_after_demo:
            print('Ctrl-C stops everything and removes the folder.', flush=True)
            try:
                while router.process.running():
                    time.sleep(0.2)
                sys.exit(f'the router ended by itself:\n{router.log()}')
            except SystemExit as leaving:
                if leaving.code not in (130, 143, 129):
                    raise
                print()
        say('stopping the router and the servers')
    for server in fleet:
        server.stop()
    say('stopped; nothing is left running')
    return 0


if __name__ == '__main__':
    sys.exit(main())
