"""The log: every line valid, repeats counted, slow statements without values. (No secrets: test_secrets.py.)"""
import json
import os
import re
import signal
import time
from pathlib import Path

import paths
import router as router_module
from processes import wait_until
from sessions import error_of, login, make_tenant, run

DOCS = Path(__file__).resolve().parents[2] / 'docs'


def events_documented() -> dict[str, set[str]]:
    """Event -> its fields, from the table of docs/LOGS.md."""
    table = (DOCS / 'LOGS.md').read_text().split('<!-- events: begin -->')[1]
    rows = re.findall(r'^\| `(\w+)` \| (.*?) \|', table, re.M)
    return {name: set(re.findall(r'`(\w+)`', fields)) for name, fields in rows}


def lines_of(path: Path) -> list[dict]:
    """Each line of a JSON log; fails on one that is none."""
    return [json.loads(line) for line in path.read_text().splitlines()]


def test_json_lines_hold_their_fields(fleet, routers):
    server = fleet()
    make_tenant(server, 'acme')
    router = routers(router_module.configuration({'acme': server}, log={'format': 'json', 'level': 'debug'}))
    path = router.folder / 'log'
    for user in ('nobody', 'quote"}\n{', '\x1b[2J'):
        error_of(login, router, None, user)
    login(router, 'acme').close()
    router.stop()
    lines = lines_of(path)
    known = events_documented()
    for line in lines:
        assert set(line) - {'time', 'level', 'message', 'event', 'repeated'} <= known[line['event']], line
        assert re.fullmatch(r'\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z', line['time'])
        assert line['level'] in ('debug', 'info', 'warn', 'error')
    by_event = {line['event'] for line in lines}
    assert {'started', 'listening', 'backend_state', 'login_failed', 'stopping', 'stopped'} <= by_event
    failed = [line for line in lines if line['event'] == 'login_failed']
    assert {line['address'] for line in failed} == {'127.0.0.1'}
    assert 'quote"}\n{' in {line['user'] for line in failed}


def test_a_flood_of_failed_logins_is_counted(fleet, routers):
    router = routers(router_module.configuration({'acme': fleet()}, log={'max_repeats': 3}))
    for _ in range(30):
        error_of(login, router, None, 'nobody')
    router.stop()
    text = (router.folder / 'log').read_text()
    shown = re.findall(r"^.* login of 'nobody' .*$", text, re.M)
    assert 3 <= len(shown) <= 8, text
    told = sum(int(n) for n in re.findall(r'\(repeated (\d+) times\)', text))
    assert len(shown) - len(re.findall(r'\(repeated', text)) + told >= 26  # a summary stands for the last one


def test_the_file_is_opened_anew_at_sighup(fleet, routers):
    path = paths.run_folder() / f'rotated.{time.monotonic_ns()}.log'
    router = routers(router_module.configuration({'acme': fleet()}, log={'file': str(path)}))
    wait_until(lambda: 'listening for clients' in path.read_text(), 10, 'the log is written')
    moved = path.with_suffix('.1')
    path.rename(moved)
    router.process.send(signal.SIGHUP)
    wait_until(lambda: path.exists() and 'SIGHUP' in path.read_text(), 10, 'the new file is written')
    assert 'SIGHUP' not in moved.read_text()
    assert router.stop() == 0
    assert path.read_text().rstrip().endswith('stopped')


def test_the_journal_gets_priorities(fleet, routers):
    """systemd says by JOURNAL_STREAM that standard error is the journal."""
    config = router_module.configuration({'acme': fleet()})
    router = router_module.make_router(config)
    log = router.folder / 'log'
    log.touch()
    status = os.stat(log)
    router.env = {'JOURNAL_STREAM': f'{status.st_dev}:{status.st_ino}'}
    router.start()
    routers._running.append(router)
    router.stop()
    lines = log.read_text().splitlines()
    assert all(re.match(r'<[3467]>\S', line) for line in lines), lines
    assert any(line.startswith('<6>listening for clients') for line in lines)


def test_slow_statements_are_logged_without_their_values(fleet, routers):
    server = fleet()
    make_tenant(server, 'acme')
    log = {'format': 'json', 'slow_statement': '300ms', 'slow_per_second': 2}
    router = routers(router_module.configuration({'acme': server}, log=log))
    session = login(router, 'acme', database='tenant_acme')
    run(session, "SELECT /* hidden-comment */ 'hidden-literal', SLEEP(0.4), 123456789", 'SELECT SLEEP(0)')
    error_of(run, session, "SELECT SLEEP(0.4), no_such_column FROM DUAL WHERE 'hidden-literal' = ?")
    with session.cursor() as cursor:
        cursor.execute('PREPARE p FROM "SELECT SLEEP(?)"')
        cursor.execute('SET @a = 0.4')
        cursor.execute('EXECUTE p USING @a')
    session.close()
    router.stop()
    text = (router.folder / 'log').read_text()
    slow = [line for line in lines_of(router.folder / 'log') if line['event'] == 'slow_statement']
    assert slow, text
    first = slow[0]
    assert first['digest'] == 'SELECT ?, SLEEP(?), ?', first
    assert (first['tenant'], first['shard'], first['backend'], first['outcome']) == ('acme', 's1', 'db1', 'ok')
    assert 400 <= first['duration_ms'] < 30_000
    assert not any('SLEEP(?), ?' not in line['digest'] and line['duration_ms'] < 300 for line in slow)
    assert 'hidden' not in text and '123456789' not in text


def test_many_slow_statements_do_not_flood_the_log(fleet, routers):
    server = fleet()
    make_tenant(server, 'acme')
    log = {'slow_statement': '1ms', 'slow_per_second': 2}
    router = routers(router_module.configuration({'acme': server}, log=log, workers=1))
    session = login(router, 'acme', database='tenant_acme')
    run(session, *['SELECT SLEEP(0.002)'] * 300)
    session.close()
    slow = wait_until(lambda: router.metric('bulkhead_slow_statements_total', shard='s1'), 10, 'they are counted')
    assert slow >= 300

    def told() -> tuple[int, int]:
        text = (router.folder / 'log').read_text()
        left_out = sum(int(n) for n in re.findall(r' (\d+) more slow statements in a second', text))
        return len(re.findall(r' slow statement: ', text)), left_out

    wait_until(lambda: sum(told()) >= 300, 10, 'each is logged or counted')
    logged, left_out = told()
    assert left_out > 0 and logged < 100
