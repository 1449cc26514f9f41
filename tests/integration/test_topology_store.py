"""The store of the topology as an operator has it: one process at a time, and `bulkhead topology`."""
import subprocess

import pytest
import yaml

import paths
import router as router_module
import runbook
from processes import can_connect, free_port
from sessions import login, make_tenant, value

FILE = '''topology:
  backends:
    - {name: db1, address: "10.0.0.1:3306"}
    - {name: db2, address: "10.0.0.2:3306"}
  shards:
    - {name: s1, primary: db1, replicas: [db2]}
    - {name: s2, primary: db2}
  tenants:
    - {name: acme, shard: s1}
'''
DONE, DIFFERS, UNUSABLE = 0, 1, 2


def topology(*arguments: str, cwd=None, text: str | None = None) -> subprocess.CompletedProcess:
    return subprocess.run(
        [str(paths.BINARY), 'topology', *map(str, arguments)],
        capture_output=True,
        text=True,
        timeout=60,
        cwd=cwd,
        input=text or '',
    )


@pytest.fixture
def folder(binary, tmp_path):
    (tmp_path / 'topology.yaml').write_text(FILE)
    return tmp_path


@pytest.fixture
def running(fleet, routers):
    server = fleet()
    make_tenant(server, 'acme')
    return routers(router_module.configuration({'acme': server}))


# --- one process at a time


def test_a_second_router_is_told_which_is_the_first(running):
    config = {**running.config, 'listen': {'mysql': [f'127.0.0.1:{free_port()}']}}
    second = running.folder / 'second.yaml'
    second.write_text(yaml.safe_dump(config))
    ended = subprocess.run(
        [str(paths.BINARY), 'serve', '--config', str(second)],
        capture_output=True,
        text=True,
        timeout=60,
        stdin=subprocess.DEVNULL,
    )
    said = ended.stdout + ended.stderr
    assert ended.returncode == 1, said
    assert f"another process has the topology store in {config['state_dir']} open (pid {running.process.pid})" in said
    assert 'give each router a state_dir of its own, or stop that one' in said
    assert not can_connect(int(config['listen']['mysql'][0].rsplit(':', 1)[1])), 'it serves nobody'
    client = login(running)
    assert value(client, 'SELECT 7') == 7, 'the first goes on'
    client.close()


def test_beside_a_running_router(running, folder):
    store = ['--config', running.config_path]
    exported = topology('export', *store)
    assert exported.returncode == DONE and 'name: "acme"' in exported.stdout, exported
    same = topology('diff', *store, '-', text=exported.stdout)
    assert (same.returncode, same.stdout) == (DONE, '')
    assert topology('diff', *store, folder / 'topology.yaml').returncode == DIFFERS
    refused = topology('import', *store, folder / 'topology.yaml')
    assert refused.returncode == UNUSABLE
    assert f'(pid {running.process.pid})' in refused.stderr
    assert topology('export', *store).stdout == exported.stdout, 'nothing is changed'


# --- export, import, diff


def test_round_trip(folder):
    store = ['--state-dir', folder / 'store']
    first = topology('import', *store, folder / 'topology.yaml')
    assert first.returncode == DONE, first
    assert first.stdout.splitlines()[-1] == 'imported: the store is at revision 1'
    exported = topology('export', *store)
    assert exported.returncode == DONE
    assert yaml.safe_load(exported.stdout)['topology']['shards'] == yaml.safe_load(FILE)['topology']['shards']
    (folder / 'exported.yaml').write_text(exported.stdout)
    # Into an empty store, and the same comes out.
    other = ['--state-dir', folder / 'other']
    assert topology('import', *other, folder / 'exported.yaml').returncode == DONE
    assert topology('export', *other).stdout.replace('revision 1', '') == exported.stdout.replace('revision 1', '')
    for one in (store, other):
        same = topology('diff', *one, folder / 'exported.yaml')
        assert (same.returncode, same.stdout, same.stderr) == (DONE, '', '')
    assert topology('import', *store, folder / 'exported.yaml').stdout == 'nothing to change\n'
    changed = exported.stdout.replace('10.0.0.2', '10.0.0.9')
    changed = changed.replace('{name: "acme", shard: s1}', '{name: new, shard: s2}')
    differs = topology('diff', *store, '-', text=changed)
    assert differs.returncode == DIFFERS
    assert sorted(differs.stdout.splitlines()) == [
        '+ tenant new on shard s2',
        '- tenant acme',
        '~ backend db2 at 10.0.0.9:3306',
    ]
    assert topology('diff', *store, folder / 'exported.yaml').returncode == DONE, 'diff changes nothing'
    assert topology('import', *store, '-', text=changed).stdout.startswith(differs.stdout)
    assert topology('diff', *store, '-', text=changed).returncode == DONE


WRONG = {
    'no file': ('nowhere.yaml', None, "nowhere.yaml can't be read: No such file or directory"),
    'a folder': ('.', None, "can't be read: it is a folder"),
    'no YAML': ('wrong.yaml', 'topology: [\n', 'wrong.yaml:2:1: error: is not valid YAML'),
    'unknown key': (
        'wrong.yaml',
        FILE.replace('primary: db1', 'primry: db1'),
        "wrong.yaml:6:18: error: topology.shards[0]: unknown key 'primry'; did you mean 'primary'?",
    ),
    'no such backend': ('wrong.yaml', FILE.replace('primary: db2', 'primary: db9'), 'wrong.yaml:7:'),
}


@pytest.mark.parametrize('name', WRONG)
def test_a_file_that_is_wrong_changes_nothing(folder, name):
    file, text, message = WRONG[name]
    store = ['--state-dir', folder / 'store']
    assert topology('import', *store, folder / 'topology.yaml').returncode == DONE
    if text:
        (folder / file).write_text(text)
    for what in ('import', 'diff'):
        refused = topology(what, *store, file, cwd=folder)
        assert (refused.returncode, refused.stdout) == (UNUSABLE, ''), refused
        assert message in refused.stderr
    assert topology('diff', *store, folder / 'topology.yaml').returncode == DONE


def test_where_the_store_is(folder):
    no_store = topology('export', '--state-dir', folder / 'nothing')
    assert no_store.returncode == UNUSABLE and no_store.stdout == ''
    assert 'has a router run with this state_dir?' in no_store.stderr
    assert not (folder / 'nothing').exists(), 'a look makes nothing'
    assert topology('diff', '--state-dir', folder / 'nothing', folder / 'topology.yaml').returncode == UNUSABLE
    unsaid = topology('export')
    assert unsaid.returncode == UNUSABLE and '--config FILE or --state-dir FOLDER' in unsaid.stderr
    no_config = topology('export', '--config', folder / 'nowhere.yaml')
    assert no_config.returncode == UNUSABLE and "nowhere.yaml: error: can't be read" in no_config.stderr
    both = topology('export', '--config', 'x', '--state-dir', 'y')
    assert both.returncode > UNUSABLE and '--config excludes --state-dir' in both.stderr
    assert topology('import', '--state-dir', folder / 'store').returncode > UNUSABLE, 'FILE is required'
    assert topology('exprt').returncode > UNUSABLE


def test_as_the_document_has_it(folder):
    """Its lines, in their order, on a store of this test."""
    text = runbook.chapter('Taking the topology out and putting it in')
    lines = [line.strip() for line in text.splitlines() if line.startswith('    $ bulkhead topology')]
    assert len(lines) == 3
    store, backup = folder / 'store', folder / 'backup.yaml'
    assert topology('import', '--state-dir', store, folder / 'topology.yaml').returncode == DONE
    config = {'state_dir': str(store), 'listen': {'mysql': ['127.0.0.1:3306']}, 'users': []}
    (folder / 'bulkhead.yaml').write_text(yaml.safe_dump({**config, **yaml.safe_load(FILE)}))
    for line in lines:
        command = line[2:].replace('bulkhead topology', f'{paths.BINARY} topology')
        for old, new in (('/etc/bulkhead/bulkhead.yaml', folder / 'bulkhead.yaml'), ('backup.yaml', backup)):
            command = command.replace(old, str(new))
        done = subprocess.run(['bash', '-c', command], capture_output=True, text=True, timeout=60)
        assert done.returncode == DONE, (command, done)
    assert backup.read_text().startswith('# The topology of bulkhead')
