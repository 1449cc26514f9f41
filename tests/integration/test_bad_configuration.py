"""Bad configurations and bad command lines: each error names its place, and nothing is started."""
import copy
import os
import socket
import subprocess

import pytest

import paths
import router as router_module
from processes import free_port
from router import configuration
from sessions import make_tenant

pytestmark = pytest.mark.asan


@pytest.fixture(scope='module')
def server(fleet):
    server = fleet('mariadb')
    make_tenant(server, 'acme')
    return server


GOOD = {
    'listen': {'mysql': ['127.0.0.1:3999']},
    'state_dir': '/var/tmp',
    'users': [{'name': 'app', 'password': 'x'}],
    'tenancy': {'username_pattern': '{user}@{tenant}', 'unassigned': 'reject'},
    'topology': {
        'backends': [{'name': 'db1', 'address': '127.0.0.1:3307'}],
        'shards': [{'name': 's1', 'primary': 'db1'}],
        'tenants': [{'name': 'acme', 'shard': 's1'}],
    },
}


def broken(change) -> dict:
    config = copy.deepcopy(GOOD)
    change(config)
    return config


def put(config, path, value):
    *parents, last = path
    for key in parents:
        config = config[key]
    config[last] = value


# name: (configuration or text, a word that the error must hold)
BAD = {
    'no such key': (broken(lambda c: put(c, ['lisen'], 1)), 'lisen'),
    'no such nested key': (broken(lambda c: put(c, ['topology', 'shards', 0, 'primry'], 'db1')), 'primry'),
    'not YAML': ('listen: [unclosed', '1'),
    'a list at the top': ('- a\n- b\n', '1'),
    'empty': ('', ''),
    'tab indentation': ('listen:\n\tmysql: x\n', '2'),
    'no listener': (broken(lambda c: c.pop('listen')), 'listen'),
    'port too large': (broken(lambda c: put(c, ['listen', 'mysql'], ['127.0.0.1:70000'])), 'mysql'),
    'port missing': (broken(lambda c: put(c, ['topology', 'backends', 0, 'address'], '127.0.0.1:')), 'address'),
    'shard without backend': (broken(lambda c: put(c, ['topology', 'shards', 0, 'primary'], 'db9')), 'db9'),
    'tenant without shard': (broken(lambda c: put(c, ['topology', 'tenants', 0, 'shard'], 's9')), 's9'),
    'backend twice': (
        broken(lambda c: c['topology']['backends'].append({'name': 'db1', 'address': '127.0.0.1:3308'})),
        'db1',
    ),
    'tenant twice': (broken(lambda c: c['topology']['tenants'].append({'name': 'acme', 'shard': 's1'})), 'acme'),
    'shard twice': (broken(lambda c: c['topology']['shards'].append({'name': 's1', 'primary': 'db1'})), 's1'),
    'user twice': (broken(lambda c: c['users'].append({'name': 'app', 'password': 'y'})), 'app'),
    'user without password': (broken(lambda c: c['users'].append({'name': 'bob'})), 'users[1]'),
    'two kinds of password': (broken(lambda c: put(c, ['users', 0, 'password_env'], 'HOME')), 'users[0]'),
    'password file missing': (
        broken(lambda c: put(c, ['users'], [{'name': 'a', 'password_file': '/nonexistent/file'}])),
        'password_file',
    ),
    'password variable missing': (
        broken(lambda c: put(c, ['users'], [{'name': 'a', 'password_env': 'NO_SUCH_VARIABLE_HERE'}])),
        'NO_SUCH_VARIABLE_HERE',
    ),
    'unknown pooling': (broken(lambda c: put(c, ['users', 0, 'pooling'], 'statement')), 'pooling'),
    'duration without unit': (broken(lambda c: put(c, ['hold'], {'max_wait': 10})), 'max_wait'),
    'size nonsense': (broken(lambda c: put(c, ['hold'], {'max_bytes': '64 apples'})), 'max_bytes'),
    'negative': (broken(lambda c: put(c, ['workers'], -1)), 'workers'),
    'pattern without tenant': (broken(lambda c: put(c, ['tenancy', 'username_pattern'], '{user}')), 'username_pattern'),
    'unassigned to nowhere': (broken(lambda c: put(c, ['tenancy', 'unassigned'], {'shard': 's9'})), 's9'),
    'unknown policy': (broken(lambda c: put(c, ['hold'], {'policy': 'pray'})), 'policy'),
    'certificate missing': (
        broken(lambda c: put(c, ['tls'], {'clients': {'cert': '/nonexistent.pem', 'key': '/nonexistent.key'}})),
        'cert',
    ),
    'key twice': ('listen: {mysql: ["127.0.0.1:3999"]}\nlisten: {mysql: ["127.0.0.1:3998"]}\n', '2'),
}


@pytest.mark.parametrize('kind', BAD)
def test_bad_configuration(binary, kind):
    config, word = BAD[kind]
    done = router_module.check(config)
    said = done.stdout + done.stderr
    assert done.returncode == 1, f'exit code {done.returncode}: {said}'
    assert word in said and ':' in said, said
    assert 'terminate' not in said and 'yaml-cpp' not in said, said


def test_good_configuration(binary):
    done = router_module.check(GOOD)
    assert done.returncode == 0, done.stdout + done.stderr


def test_user_for_an_unknown_tenant_is_a_warning(binary):
    """The tenant may come later; a slip of the pen should still be seen."""
    done = router_module.check(broken(lambda c: put(c, ['users', 0, 'tenants'], ['acmee'])))
    assert done.returncode == 0 and 'acmee' in done.stdout + done.stderr


def test_error_names_the_line(binary):
    text = 'listen:\n  mysql: ["127.0.0.1:3999"]\nusers:\n  - name: app\n    password: x\n    poolin: session\n'
    done = router_module.check(text)
    assert ':6:' in done.stdout + done.stderr, done.stdout + done.stderr


def test_no_secret_in_errors(binary):
    done = router_module.check(
        broken(lambda c: put(c, ['users', 0], {'name': 'app', 'password': 'TopSecret77', 'poolin': 1}))
    )
    assert done.returncode == 1 and 'TopSecret77' not in done.stdout + done.stderr


def test_serve_refuses_a_bad_configuration(binary):
    path = paths.run_folder() / 'bad.yaml'
    path.write_text('lisen: 1\n')
    done = subprocess.run(
        [str(paths.BINARY), 'serve', '--config', str(path)],
        capture_output=True,
        text=True,
        timeout=10,
        stdin=subprocess.DEVNULL,
    )
    assert done.returncode not in (0, 101) and 'lisen' in done.stdout + done.stderr


def test_serve_refuses_a_taken_port(binary, server):
    with socket.socket() as taken:
        taken.bind(('127.0.0.1', 0))
        taken.listen()
        config = configuration({'acme': server})
        config['listen']['mysql'][0]['address'] = f'127.0.0.1:{taken.getsockname()[1]}'
        config['state_dir'] = str(paths.run_folder())
        path = paths.run_folder() / 'taken.yaml'
        path.write_text(router_module.yaml.safe_dump(config))
        done = subprocess.run(
            [str(paths.BINARY), 'serve', '--config', str(path)],
            capture_output=True,
            text=True,
            timeout=10,
            stdin=subprocess.DEVNULL,
        )
        assert done.returncode != 0 and str(taken.getsockname()[1]) in done.stdout + done.stderr


def test_command_line(binary):
    def said(*argv):
        done = subprocess.run(
            [str(paths.BINARY), *argv], capture_output=True, text=True, timeout=10, stdin=subprocess.DEVNULL
        )
        return done.returncode, done.stdout + done.stderr

    assert said('--version')[0] == 0 and 'bulkhead' in said('--version')[1]
    assert said('--help')[0] == 0 and 'serve' in said('--help')[1]
    assert said('serve')[0] != 0
    assert said('nonsense')[0] != 0
    assert said('check', '/nonexistent/file.yaml')[0] != 0
    assert free_port() and os.path.exists(paths.BINARY)
