"""RELOAD CONFIG and SIGHUP: all of a file or nothing of it, and nobody is dropped; SET."""
import json
import signal
import ssl

import pytest

import certificates
import paths
import rawclient as rc
import slow_disk
from admin_place import Operator, configuration, wait_operators
from hang_fleet import Incident, log_of, shared_fleet, wait_all_up
from processes import can_connect, free_port, wait_until
from router import Router
from servers import APP_PASSWORD
from sessions import Beside, error_of, login, run

pytestmark = pytest.mark.slow


@pytest.fixture
def place(routers):
    """start(**configuration) gives (fleet, router, operator)."""
    fleet = shared_fleet()
    fleet.clear()
    opened = []

    def start(**changes):
        router = routers(configuration(fleet, **changes))
        wait_all_up(router)
        operator = wait_operators(router)
        opened.append(operator)
        return fleet, router, operator

    yield start
    for operator in opened:
        operator.close()


def test_a_good_file_under_load(place):
    fleet, router, operator = place()
    with Incident(fleet, router, victim=None, clients=3):
        stays = login(router, 't1')
        run(stays, 'USE tenant_t1', 'BEGIN', 'SELECT COUNT(*) FROM ledger')
        for round_ in range(4):
            router.config['hold'] = {'max_wait': f'{11 + round_}s'}
            router.config['pools'] = {'max_connections': 100 + round_}
            router.config['health'] = {**router.config['health'], 'ping_timeout': f'{400 + round_}ms'}
            router.config['log'] = {'level': 'debug'}
            router.config['tenant_limits'] = {'running': 500 + round_}
            router.config['users'] = [
                {'name': 'app', 'password': APP_PASSWORD},
                {'name': f'new{round_}', 'password': 'new', 'backend_user': 'app', 'backend_password': APP_PASSWORD},
            ]
            router.write_config()
            said = operator.said('RELOAD CONFIG')
            assert said.startswith('the configuration is reloaded from') and 'restart' not in said
            assert operator("SHOW VARIABLES LIKE 'hold.max_wait'") == [('hold.max_wait', f'{11 + round_}s', 'file')]
            newcomer = login(router, 't1', user=f'new{round_}', password='new')
            run(newcomer, 'USE tenant_t1', 'SELECT COUNT(*) FROM ledger')
            newcomer.close()
            if round_ > 0:
                assert error_of(lambda: login(router, 't1', user=f'new{round_ - 1}', password='new'))[0] == 1045
    run(stays, 'COMMIT')
    stays.close()


def test_a_user_who_is_gone_keeps_his_session(place):
    _, router, operator = place()
    stays = login(router, 't1')
    router.config['users'] = [{'name': 'other', 'password': 'x'}]
    router.config['admin_users'] = [{'name': 'boss', 'password': 'boss-secret'}]
    router.write_config()
    operator.said('RELOAD CONFIG')
    run(stays, 'USE tenant_t1', 'INSERT INTO ledger VALUES (1, 1)')
    stays.close()
    assert error_of(lambda: login(router, 't1'))[0] == 1045
    assert operator.value('SELECT 1') == 1, 'an operator who is gone keeps his connection'
    assert error_of(Operator, router)[0] == 1045
    Operator(router, ('boss', 'boss-secret')).close()


def test_a_changed_password_is_asked_for(place):
    _, router, operator = place()
    router.config['users'] = [
        {'name': 'app', 'password': 'changed', 'backend_user': 'app', 'backend_password': APP_PASSWORD}
    ]
    router.write_config()
    operator.said('RELOAD CONFIG')
    assert error_of(lambda: login(router, 't1'))[0] == 1045
    login(router, 't1', password='changed').close()


@pytest.mark.parametrize('how', ['RELOAD CONFIG', 'SIGHUP'])
def test_a_bad_file_changes_nothing_and_says_where(place, how):
    _, router, operator = place()
    good = router.config_path.read_text()
    before = operator('SHOW VARIABLES')
    lines = good.splitlines()
    bad = '\n'.join([*lines, 'hold: {max_wait: soon}', 'nonsense: 1'])
    router.config_path.write_text(bad)
    where = f'{router.config_path}:{len(lines) + 1}:'
    if how == 'SIGHUP':
        mark = log_of(router).mark()
        router.process.send(signal.SIGHUP)
        log = log_of(router)
        wait_until(
            lambda: [line for line in log.lines(mark) if 'SIGHUP: nothing is changed' in line.text], 10, 'it is refused'
        )
        text = '\n'.join(line.text for line in log.lines(mark))
        assert where in text and 'nonsense' in text
    else:
        code, message = operator.error('RELOAD CONFIG')
        assert code == 9422 and message.startswith(f'nothing is changed: {where}') and 'soon' in message
        assert any('nonsense' in warning for warning in operator.warnings()), 'every error is a warning'
    assert operator('SHOW VARIABLES') == before
    router.config_path.write_text(good)
    operator.said('RELOAD CONFIG')
    for text in ('', '[', 'listen: 5\n'):
        router.config_path.write_text(text)
        assert operator.error('RELOAD CONFIG')[0] == 9422
    router.config_path.unlink()
    code, message = operator.error('RELOAD CONFIG')
    assert code == 9422 and "can't be read" in message
    router.config_path.write_text(good)


def test_a_certificate_that_does_not_fit_changes_nothing(place):
    made = certificates.make(paths.run_folder() / 'tls')
    tls = {'clients': {'mode': 'preferred', 'cert': str(made['cert']), 'key': str(made['key'])}}
    _, router, operator = place(tls=tls)
    other = certificates.make(paths.run_folder() / 'tls-other')
    router.config['tls'] = {'clients': {**tls['clients'], 'key': str(other['key'])}}
    router.config['hold'] = {'max_wait': '33s'}
    router.write_config()
    code, message = operator.error('RELOAD CONFIG')
    assert code == 9422 and 'nothing is changed' in message
    assert operator.value("SELECT value FROM variables WHERE variable_name = 'hold.max_wait'") == '10s'
    # With a key that fits: new clients see the new certificate, old ones stay.
    old = rc.connect(router, 'app', APP_PASSWORD, 'tenant_t1', tls=True)
    router.config['tls'] = {'clients': {**tls['clients'], 'cert': str(other['cert']), 'key': str(other['key'])}}
    router.write_config()
    operator.said('RELOAD CONFIG')
    new = rc.connect(router, 'app', APP_PASSWORD, 'tenant_t1', tls=True)
    assert peer(new) == ssl.PEM_cert_to_DER_cert(other['cert'].read_text()) != peer(old)
    assert old.value('SELECT 1') == new.value('SELECT 1') == '1'
    for client in (old, new):
        client.quit()


def peer(connection) -> bytes:
    return connection.sock.getpeercert(binary_form=True)


def test_what_needs_a_restart_is_named_and_left(place):
    _, router, operator = place()
    port = router.port
    state_dir = router.config['state_dir']
    router.config['listen']['mysql'][0]['address'] = f'127.0.0.1:{free_port()}'
    router.config.update(workers=1, state_dir='/nowhere', hold={'max_wait': '12s'})
    router.config['topology']['backends'].append({'name': 'unused', 'address': '127.0.0.1:1'})
    text = router.config_path.read_text()
    import yaml

    router.config_path.write_text(yaml.safe_dump(router.config, sort_keys=False))
    said = operator.said('RELOAD CONFIG')
    assert 'stays as it was until a restart: listen.mysql, workers, state_dir' in said
    assert 'seeds an empty store only and differs from the stored one in 1 place' in said
    assert operator.value("SELECT value FROM variables WHERE variable_name = 'hold.max_wait'") == '12s'
    assert operator.value("SELECT value FROM variables WHERE variable_name = 'workers'") == '2'
    assert operator.value("SELECT count(*) FROM backends WHERE name = 'unused'") == 0
    target = type('Target', (), {'host': '127.0.0.1', 'port': port})
    login(target, 't1').close()
    router.config_path.write_text(text)
    import yaml as _yaml

    router.config = _yaml.safe_load(text)
    assert router.config['state_dir'] == state_dir


def test_hold_rules_and_health_take_effect(place):
    fleet, router, operator = place(hold={'max_wait': '2s'})
    router.config['hold'] = {'policy': 'reject', 'max_wait': '2s'}
    router.config['health'] = {**router.config['health'], 'detection': 'observe'}
    router.write_config()
    operator.said('RELOAD CONFIG')
    assert operator.value("SELECT value FROM variables WHERE variable_name = 'health.detection'") == 'observe'
    router.config['health'] = {**router.config['health'], 'detection': 'full'}
    router.write_config()
    operator.said('RELOAD CONFIG')
    client = rc.connect(router, 'app', APP_PASSWORD, 'tenant_t1')
    fleet.freeze(1)
    try:
        wait_until(lambda: operator.value("SELECT state FROM backends WHERE name = 'db1'") == 'down', 15, 'down')
        error = client.query('INSERT INTO ledger VALUES (1, 1)').error
        assert error.errno == 9401, 'the policy is reject by now'
        assert operator.value("SELECT state FROM shards WHERE name = 's1'") == 'rejected'
    finally:
        fleet.thaw(1)
    client.close()


def test_set_and_the_file(place):
    _, router, operator = place()
    operator.said("SET hold.max_wait = '5s'")
    operator.said("SET log.level = 'debug'")
    assert operator("SHOW VARIABLES LIKE 'log.level'") == [('log.level', 'debug', 'SET')]
    # What was SET stands above the file, until it is taken back.
    router.config['hold'] = {'max_wait': '20s'}
    router.write_config()
    operator.said('RELOAD CONFIG')
    assert operator("SHOW VARIABLES LIKE 'hold.max_wait'") == [('hold.max_wait', '5s', 'SET')]
    assert operator.said('SET hold.max_wait = DEFAULT').startswith('hold.max_wait is 20s')
    assert operator("SHOW VARIABLES LIKE 'hold.max_wait'") == [('hold.max_wait', '20s', 'file')]
    for statement, code, says in (
        ("SET hold.max_wiat = '5s'", 9421, 'did you mean hold.max_wait?'),
        ("SET hold.max_bytes = '1TiB'", 9422, 'max_bytes of one shard is more than total_bytes of all'),
        ('SET workers = 4', 9420, 'then restart it'),
        ("SET tls.clients.cert = '/x'", 9420, 'then RELOAD CONFIG'),
    ):
        found = operator.error(statement)
        assert found[0] == code and says in found[1], found


def test_the_log_file_is_opened_again(routers):
    log = paths.run_folder() / 'rotated.log'
    router = routers(configuration(shared_fleet(), log={'file': str(log), 'format': 'json'}))
    rotated = log.with_suffix('.1')
    with wait_operators(router) as operator:
        operator("SELECT 'before \"quoted\"'")
        log.rename(rotated)
        operator.said('RELOAD CONFIG')
        operator("SELECT 'after'")
    assert any('before' in json.loads(line)['message'] for line in rotated.open())
    assert any('after' in json.loads(line)['message'] for line in log.open())


def test_a_second_signal_ends_it_although_the_disk_hangs():
    """The first one waits for what is to be stored."""
    flag = paths.run_folder() / 'frozen'
    router = Router(configuration(shared_fleet()), env=slow_disk.freezable(flag))
    router.start()
    try:
        wait_all_up(router)
        operator = wait_operators(router)
        flag.touch()
        hold = Beside(operator.error, 'HOLD SHARD s1')
        router.process.send(signal.SIGTERM)
        wait_until(lambda: not can_connect(router.port), 10, 'nobody listens for clients any more')
        assert not hold.done(1) and router.process.running(), 'it waits for the disk'
        router.process.send(signal.SIGTERM)
        wait_until(lambda: not router.process.running(), 15, 'it ends')
        assert router.stop() == 1
        assert 'ended before all was put away' in router.log()
    finally:
        flag.unlink(missing_ok=True)
        router.stop()


def test_a_second_signal_while_clients_work_ends_their_sessions(place):
    _, router, _ = place()
    client = login(router, 't1')
    run(client, 'USE tenant_t1', 'BEGIN', 'SELECT COUNT(*) FROM ledger')
    router.process.send(signal.SIGTERM)
    wait_until(lambda: not can_connect(router.port), 10, 'nobody listens for clients any more')
    assert router.process.running()
    run(client, 'SELECT COUNT(*) FROM ledger')
    router.process.send(signal.SIGTERM)
    wait_until(lambda: not router.process.running(), 15, 'it ends')
    assert router.stop() == 0
