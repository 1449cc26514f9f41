"""No password, verifier or literal is shown by anything that a router writes or answers."""
import hashlib
import json
import subprocess
import threading
from pathlib import Path

import admin_place
import certificates
import hang_fleet
import pages
import paths
import pymysql
import pytest
import router as router_module
from admin_place import Operator
from pages import Pages
from processes import wait_until
from servers import APP_PASSWORD
from sessions import error_of, login, run
from test_verifiers import PASSWORD as LEARNED
from test_verifiers import SHA2

pytestmark = pytest.mark.slow


def native(password: str) -> str:
    return '*' + hashlib.sha1(hashlib.sha1(password.encode()).digest()).hexdigest().upper()


SECRETS = {
    'user': 'Kq7-user-secret',
    'backend': APP_PASSWORD,
    'admin': 'Kq7-admin-secret',
    'literal': 'Kq7-literal-secret',
    'identified': 'Kq7-identified-secret',
    'control': hang_fleet.CONTROL['password'],
    'probe': hang_fleet.PROBE['password'],
    'replication': 'Kq7-replication-secret',
    'fence': 'Kq7-fence-secret',
    'fence of one': 'Kq7-fence-of-one-secret',
    'viewer': 'Kq7-viewer-secret',
    'wrong': 'Kq7-wrong-secret',
    'native verifier': native('Kq7-verifier-secret')[1:],
    'sha2 verifier': SHA2[2:],
    'learned': LEARNED,
}
OPERATOR = ('admin', SECRETS['admin'])
LISTS = 'SHARDS BACKENDS REPLICAS TENANTS SESSIONS HOLDS UNKNOWN OPERATIONS EVENTS POOLS VARIABLES STATUS'.split()
ROUTED = f"CREATE USER x IDENTIFIED BY '{SECRETS['identified']}'".replace("'", "''")
# Statements of an operator's that hold secrets, though none of them is one of this listener's.
AUDITED = [
    f"CREATE USER x IDENTIFIED BY '{SECRETS['identified']}'",
    f"SET PASSWORD = '{SECRETS['identified']}'",
    f"SET GLOBAL secret_password = '{SECRETS['identified']}'",
    f"SELECT name FROM shards WHERE password = '{SECRETS['identified']}'",
]


def configuration(fleet: hang_fleet.Fleet) -> dict:
    account = {'backend_user': 'app', 'backend_password': SECRETS['backend']}
    users = [
        {'name': 'client', 'password': SECRETS['user'], **account},
        {'name': 'native', 'verifier': native('Kq7-verifier-secret'), **account},
        {'name': 'lion', 'verifier': SHA2, **account},
    ]
    config = admin_place.configuration(
        fleet,
        users=users,
        replication={'user': 'replicator', 'password': SECRETS['replication']},
        failover={
            'fence_command': ['/bin/true', f"--password={SECRETS['fence']}"],
            'fences': [{'backend': 'db1', 'command': ['/bin/true', SECRETS['fence of one']]}],
        },
        log={'format': 'json', 'level': 'debug', 'slow_statement': '1ms', 'slow_per_second': 1000},
        hold={'max_wait': '2s'},
        tls=True,
    )
    config['tls'] = {'clients': router_module.tls_settings()}
    config['admin_users'] = [
        {'name': 'admin', 'password': SECRETS['admin']},
        {'name': 'viewer', 'password': SECRETS['viewer'], 'read_only': True},
    ]
    return config


def text_of(rows: list) -> str:
    return json.dumps(rows, default=str)


def admin_side(router) -> str:
    """All that the admin listener can be asked, in one text."""
    seen = []
    with Operator(router, OPERATOR) as operator:
        tables = [row[0] for row in operator('SHOW TABLES')]
        assert {'backends', 'sessions', 'events', 'unknown', 'operations', 'variables'} <= set(tables), tables
        for table in tables:
            seen.append(text_of(operator.rows(f'SELECT * FROM {table}')))
        for name in LISTS:
            seen += [text_of(operator.rows(f'SHOW {name}')), text_of(operator.rows(f'SHOW FULL {name}'))]
        variables = {row['variable_name']: row['value'] for row in operator.rows('SHOW VARIABLES')}
        assert len(variables) > 100 and '/bin/true' in variables['failover.fence_command'], variables
        seen.append(text_of(operator.rows(f"EXPLAIN ROUTE TENANT 't1' FOR '{ROUTED}'")))
        for statement in AUDITED:
            assert operator.error(statement)[0] != 0, statement  # which quotes it to who has typed it
    for account in (('admin', SECRETS['wrong']), ('viewer', SECRETS['wrong']), ('nobody', SECRETS['wrong'])):
        with pytest.raises(pymysql.err.OperationalError) as refused:
            Operator(router, account)
        seen.append(str(refused.value))
    return '\n'.join(seen)


def command(*arguments) -> str:
    done = subprocess.run(
        [str(paths.BINARY), *map(str, arguments)], capture_output=True, text=True, timeout=20, stdin=subprocess.DEVNULL
    )
    return done.stdout + done.stderr


def assert_hidden(seen: str) -> None:
    for name, secret in SECRETS.items():
        at = seen.lower().find(secret.lower())
        assert at < 0, f'the {name} secret is shown: {seen[max(0, at - 300):][:400]}'


def test_no_secret_is_shown_anywhere(routers):
    """Everything is made to talk: logins, errors, slow and lost statements, operators, at the finest level."""
    fleet = hang_fleet.shared_fleet()
    config = configuration(fleet)
    router = routers(config)
    page = Pages(router)
    wait_until(lambda: page.fleet()['totals']['serving'] == 4, 30, 'all are served')
    session = login(router, 't2', 'client', SECRETS['user'], database='tenant_t2')
    login(router, 't1', 'native', 'Kq7-verifier-secret').close()
    login(router, 't1', 'lion', LEARNED, ssl={'ca': None}).close()
    for user in ('client', 'native', 'lion', 'nobody'):
        error_of(login, router, 't2', user, SECRETS['wrong'])
    run(session, f"SELECT '{SECRETS['literal']}', SLEEP(0.01)")
    error_of(run, session, f"CREATE USER x IDENTIFIED BY '{SECRETS['identified']}' NONSENSE '{SECRETS['literal']}")
    lost = login(router, 't2', 'client', SECRETS['user'], database='tenant_t2')
    run(lost, 'SELECT 1')
    waiting = threading.Thread(
        target=error_of, args=(run, lost, f"INSERT INTO ledger SELECT SLEEP(5), '{SECRETS['literal']}'")
    )
    try:
        waiting.start()
        wait_until(lambda: page.backend('db2')['connections'] > 0, 10, 'it runs')
        fleet.freeze(2)
        wait_until(lambda: page.backend('db2')['given_up'] > 0, 30, 'it is given up')
        error_of(run, session, f"INSERT INTO ledger VALUES ('{SECRETS['literal']}')")
        seen = page.everything() + admin_side(router)
    finally:
        fleet.thaw(2)
        waiting.join(60)
    session.close()
    # What is said on a command line, of a file that is well and of one that is not.
    checked = router_module.check(config)
    assert checked.returncode == 0, checked.stdout
    broken = router_module.check({**config, 'workers': 'many', 'no_such_key': 1})
    assert broken.returncode == 1
    exported = command('topology', 'export', '--config', router.config_path)
    assert 'db1' in exported and 'fence' not in exported
    seen += checked.stdout + checked.stderr + broken.stdout + broken.stderr + exported
    seen += command('topology', 'diff', '--config', router.config_path, router.config_path)
    seen += pages.top('--once', '--url', page.base).stdout
    # The store's file too: operators' changes, events and incidents are kept there.
    assert router.stop() == 0
    store = b''.join(f.read_bytes() for f in Path(config['state_dir']).iterdir() if f.is_file())
    log = (router.folder / 'log').read_text()
    events = [json.loads(line)['event'] for line in log.splitlines()]
    assert events.count('operator') >= len(AUDITED) and 'slow_statement' in events and 'login_failed' in events
    assert_hidden(seen + log)
    assert_hidden(store.decode('latin-1'))
    assert 'slow_statement' in log and 'unknown' in seen


def test_a_core_dump_holds_what_is_configured_and_no_more(routers):
    """It can't be without the configured passwords; docs/THREAT_MODEL.md says so, and the unit allows no dump."""
    router = routers(configuration(hang_fleet.shared_fleet()))
    page = Pages(router)
    wait_until(lambda: page.fleet()['totals']['serving'] == 4, 60, 'all are served')
    for user, password in (('lion', LEARNED), ('native', 'Kq7-verifier-secret'), ('client', SECRETS['user'])):
        session = login(router, 't1', user, password, ssl={'ca': None})
        run(session, 'SELECT 1')
        session.close()
        error_of(lambda name=user: login(router, 't1', name, SECRETS['wrong'], ssl={'ca': None}))
    core = memory_of_core(router.process.pid)
    assert SECRETS['user'].encode() in core  # so the search would find one
    for secret in (LEARNED, 'Kq7-verifier-secret', SECRETS['wrong']):
        assert secret.encode() not in core, f'{secret!r}: {core[core.index(secret.encode()) - 100 :][:200]}'
    assert 'LimitCORE=0\n' in (paths.ROOT / 'deploy/systemd/bulkhead.service').read_text()


def test_passwords_over_http_are_not_shown(fleet, routers):
    made = certificates.make(paths.run_folder() / 'tls')
    tls = {'mode': 'preferred', 'cert': str(made['cert']), 'key': str(made['key'])}
    users = [{'name': 'admin', 'password': SECRETS['admin']}, {'name': 'viewer', 'password': SECRETS['viewer']}]
    config = router_module.configuration({'acme': fleet()}, log={'level': 'debug'})
    config, base = pages.reachable(config, tls, users)
    router = routers(config)
    ask = lambda path, password: pages.get(base + path, 'admin', password, made['ca'])  # noqa: E731

    def listens() -> bool:
        try:
            return ask('/healthz', SECRETS['admin']).status == 200
        except OSError:
            return False

    wait_until(listens, 10, 'the pages are there')
    seen = ''
    for path in ('/metrics', '/api/v1/fleet', '/api/v1/events', '/'):
        good, bad = ask(path, SECRETS['admin']), ask(path, SECRETS['wrong'])
        assert (good.status, bad.status) == (200, 401), path
        seen += f'{good.headers}{good.body}{bad.headers}{bad.body}'
    router.stop()
    assert_hidden(seen + (router.folder / 'log').read_text())


def memory_of_core(pid: int) -> bytes:
    """What a core dump of this process would hold: its private memory without what is marked to be left out."""
    out = []
    with open(f'/proc/{pid}/mem', 'rb', 0) as memory:
        mapping = None
        for line in Path(f'/proc/{pid}/smaps').read_text().splitlines():
            fields = line.split()
            if '-' in fields[0] and len(fields[0].split('-')) == 2 and not fields[0].endswith(':'):
                mapping = [int(edge, 16) for edge in fields[0].split('-')], fields[1], fields[-1]
            elif fields[0] == 'VmFlags:' and mapping[1].startswith('rw') and 'dd' not in fields:
                (begin, end), _, _ = mapping
                memory.seek(begin)
                try:
                    out.append(memory.read(end - begin))
                except OSError:
                    continue  # gone meanwhile
    return b'\n'.join(out)
