"""The demonstration of deploy/quickstart, once the router is built: see there."""
import argparse
import subprocess
import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1] / 'tests/integration'))

import pymysql  # noqa: E402

import ledger  # noqa: E402
import paths  # noqa: E402
import processes  # noqa: E402
import router as router_module  # noqa: E402
import servers  # noqa: E402
from quickstart_freeze import Incident  # noqa: E402
from quickstart_next import ADMIN, what_now  # noqa: E402
from quickstart_report import report  # noqa: E402
from quickstart_view import say, start_clock, table  # noqa: E402

TENANTS = ['acme', 'globex', 'initech', 'umbrella', 'hooli', 'stark', 'wayne', 'wonka']
VICTIM = 1  # db2, where globex and stark live

# What the router logs on with for itself, on every server. `probe` asks whether it lives: it may not have SUPER or READ
# ONLY ADMIN, so that its test commits fail on a read-only server. `control` ends what was abandoned.
ACCOUNTS = {
    'probe': ('bulkhead_probe', 'probe-secret', ['ALL ON bulkhead.*', 'SLAVE MONITOR ON *.*']),
    'control': ('bulkhead', 'control-secret', ['CONNECTION ADMIN ON *.*']),
}


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


def create_accounts(fleet) -> None:
    for server in fleet:
        for name, password, grants in ACCOUNTS.values():
            server.execute(
                f"CREATE USER '{name}'@'%' IDENTIFIED BY '{password}'",
                *(f"GRANT {grant} TO '{name}'@'%'" for grant in grants),
            )
    say('created the accounts that the router watches with: bulkhead_probe and bulkhead')


def fill(router, fleet) -> None:
    """Each tenant's application creates its tables and writes its orders, through the router."""
    for number, tenant in enumerate(TENANTS):
        fleet[number % 4].execute(f'CREATE DATABASE tenant_{tenant} CHARACTER SET utf8mb4')
        orders = 'CREATE TABLE orders (id INT AUTO_INCREMENT PRIMARY KEY, item VARCHAR(40), placed DATETIME(3))'
        out = client(router, tenant, stdin=';'.join([orders, *ledger.TABLES]))
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
        there = f"SELECT COUNT(*) FROM information_schema.tables WHERE table_schema = 'tenant_{tenant}'"
        counts = [
            server.execute(f'SELECT COUNT(*) FROM tenant_{tenant}.orders')[0][0] if server.execute(there)[0][0] else '.'
            for server in fleet
        ]
        rows.append([tenant, seen, *counts])
    say('orders of each tenant: through the router, and on each server when asked directly')
    table(['tenant', 'router', *(f'{s.name}:{s.port}' for s in fleet)], rows)


def start_router(fleet, port: int) -> router_module.Router:
    config = router_module.configuration(
        {tenant: fleet[n % 4] for n, tenant in enumerate(TENANTS)},
        admin_users=[{'name': ADMIN[0], 'password': ADMIN[1]}],
        **{role: {'user': name, 'password': password} for role, (name, password, _) in ACCOUNTS.items()},
    )
    for backend, server in zip(config['topology']['backends'], fleet):
        assert backend['name'] == server.name
    port = port or (13306 if not processes.can_connect(13306) else processes.free_port())
    config['listen']['mysql'][0]['address'] = f'127.0.0.1:{port}'
    config['listen']['admin'] = f'127.0.0.1:{processes.free_port()}'
    return router_module.Router(config, name='bulkhead')


def wait_for_ctrl_c(router) -> None:
    print('Ctrl-C stops everything and removes the folder.', flush=True)
    try:
        router.process.popen.wait()
        sys.exit(f'the router ended by itself:\n{router.log()}')
    except SystemExit as leaving:
        if leaving.code not in (130, 143, 129):
            raise
        print()


def main() -> int:
    parser = argparse.ArgumentParser(prog='deploy/quickstart')
    parser.add_argument('--no-wait', action='store_true')
    parser.add_argument('--freeze', type=float, default=15.0)
    parser.add_argument('--port', type=int, default=0)
    parser.add_argument('--elapsed', type=float, default=0.0)
    options = parser.parse_args()
    start_clock(options.elapsed)
    processes.exit_on_signals()
    reason = servers.available('mariadb')
    if reason:
        sys.exit(reason)
    say(f'starting four MariaDB servers in {paths.run_folder()}')
    fleet = [servers.MariaDb(f'db{n}', ['--performance-schema=OFF']).start() for n in range(1, 5)]
    create_accounts(fleet)
    true = True
    with start_router(fleet, options.port) as router:
        say(f'bulkhead serves {len(TENANTS)} tenants on 4 shards; its configuration: {router.config_path}')
        fill(router, fleet)
        where_the_rows_lie(router, fleet)
        if options.freeze > 0:
            incident = Incident(router, fleet, TENANTS[: len(fleet)], VICTIM, options.freeze)
            incident.run()
            true = report(incident)
        what_now(router, fleet[VICTIM])
        if not options.no_wait:
            wait_for_ctrl_c(router)
        say('stopping the router and the servers')
    for server in fleet:
        server.stop()
    say('stopped; nothing is left running')
    return 0 if true else 1


if __name__ == '__main__':
    sys.exit(main())
