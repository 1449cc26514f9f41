"""deploy/docker and deploy/kubernetes: what can be tried without Docker and without a cluster.

The image's last stage is carried out in a chroot; compose's router runs in front of a database that compose's own
statements were run on; Kubernetes' objects are held against their schemas, and their configuration is checked.
"""
import copy
import json
import re
import shlex
import shutil
import subprocess
from pathlib import Path

import pymysql
import pytest
import yaml

import debian_root
import paths
import prometheus
import servers
from debian_root import Root
from processes import Process, free_port, wait_until
from router import Router, check
from servers import KINDS
from sessions import run

DOCKER = paths.ROOT / 'deploy/docker'
KUBERNETES = paths.ROOT / 'deploy/kubernetes'


def stages() -> list[list[tuple[str, str]]]:
    """The Dockerfile's instructions, by stage."""
    text = re.sub(r'^#.*\n', '', (DOCKER / 'Dockerfile').read_text(), flags=re.M)
    found: list[list[tuple[str, str]]] = []
    for line in filter(str.strip, text.replace('\\\n', ' ').splitlines()):
        word, rest = line.split(None, 1)
        if word == 'FROM':
            found.append([])
        found[-1].append((word, rest))
    return found


@pytest.mark.slow
def test_the_image_holds_what_its_build_needs():
    """What .dockerignore lets through is what CMake reads: configured from a copy of just that."""
    kept = re.findall(r'^!(.*)$', (paths.ROOT / '.dockerignore').read_text(), re.M)
    folder = paths.run_folder() / 'context'
    folder.mkdir()
    for name in kept:
        source = paths.ROOT / name
        shutil.copytree(source, folder / name) if source.is_dir() else shutil.copy(source, folder / name)
    command = next(rest for word, rest in stages()[0] if word == 'RUN' and 'cmake' in rest).split('&&')[0]
    done = subprocess.run(shlex.split(command), cwd=folder, capture_output=True, text=True, timeout=120)
    assert done.returncode == 0, done.stdout + done.stderr


def test_the_build_stage_can_make_a_package():
    """CPackDeb calls programs that the compiler doesn't bring along (CMake's CPackDeb.cmake: file, dpkg-shlibdeps)."""
    script = (paths.ROOT / 'deploy/install-dependencies').read_text()
    build = re.search(r'^build=\((.*?)\)', script, re.M | re.S)[1].split()
    assert {'file', 'dpkg-dev', 'cmake', 'g++'} <= set(build), build
    assert any('install-dependencies build' in rest for word, rest in stages()[0] if word == 'RUN')


@pytest.mark.slow
def test_the_image_in_a_chroot(package):
    last = dict(stages()[-1])
    with Root('image') as root:
        root.run('mkdir', '/package')
        root.put(package, f'/package/{package.name}')
        root.run('mv', f'/package/{package.name}', f'/{package.name}')
        root.fetch(package)
        root.run('mv', f'/{package.name}', '/package/')
        for word, rest in stages()[-1]:
            if word == 'RUN':
                command = re.sub(r'^--mount=\S+\s+', '', rest)
                # The lists of the folder are as good.
                root.run('sh', '-ec', command.replace('apt-get update', 'true'), timeout=300)
        user = last['USER'].split(':')[0]
        assert user != '0' and root.run('stat', '-c', '%u', '/var/lib/bulkhead').strip() == user
        http, text = free_port(), root.read('/etc/bulkhead/bulkhead.yaml')
        for port, other in (('3306', free_port()), ('6032', free_port()), ('9306', http)):
            text = text.replace(port, str(other))
        root.write('/etc/bulkhead/bulkhead.yaml', text)
        argv = [*json.loads(last['ENTRYPOINT']), *json.loads(last['CMD'])]
        router = Process('image', root.inside(*argv, user='bulkhead'), root.base / 'log')
        try:
            health = json.loads(last['HEALTHCHECK'].split('CMD', 1)[1])
            asked = [*health, '--url', f'http://127.0.0.1:{http}']
            wait_until(lambda: root.run(*asked, user='bulkhead', code=None) == 'ok\n', 20, 'it is healthy', 0.2)
        finally:
            assert router.stop() == 0, router.log()


# --- compose


@pytest.fixture(scope='module')
def compose() -> dict:
    return yaml.safe_load((DOCKER / 'compose.yaml').read_text())


def test_compose_understands_it(compose):
    if not shutil.which('docker-compose'):
        pytest.skip('docker-compose is not installed')
    argv = ['docker-compose', '-f', DOCKER / 'compose.yaml', 'config', '-q']
    done = subprocess.run(argv, capture_output=True, text=True, timeout=60)
    assert (done.returncode, done.stdout + done.stderr) == (0, '')
    for service in compose['services'].values():
        for volume in service.get('volumes', []):
            source = volume.split(':')[0]
            assert source in compose['volumes'] or (DOCKER / source).is_file(), volume
    databases = [name for name in compose['services'] if name.startswith('db')]
    backends = yaml.safe_load((DOCKER / 'bulkhead.yaml').read_text())['topology']['backends']
    assert [b['address'] for b in backends] == [f'{name}:3306' for name in databases] and len(databases) == 4


def test_composes_router_serves(compose, binary, tmp_path):
    reason = servers.available('mariadb')
    if reason:
        pytest.skip(reason)
    certificate = compose['services']['certificate']['command'][0]
    made = certificate.replace('/tls/', f'{tmp_path}/').split('chmod')[0]
    subprocess.run(['sh', '-ec', made], check=True, capture_output=True)
    config = yaml.safe_load((DOCKER / 'bulkhead.yaml').read_text().replace('/tls/', f'{tmp_path}/'))
    environment = compose['services']['bulkhead']['environment']
    with KINDS['mariadb']('compose') as server:
        server.execute('DROP USER app', 'CREATE DATABASE tenant_acme', 'CREATE DATABASE tenant_globex')
        for statement in re.sub(r'^--.*\n', '', (DOCKER / 'accounts.sql').read_text(), flags=re.M).split(';\n'):
            if statement.strip():
                server.execute(statement)
        config['listen'] = {
            'mysql': [{'address': f'127.0.0.1:{free_port()}'}],
            'admin': f'127.0.0.1:{free_port()}',
            'http': {'address': f'127.0.0.1:{free_port()}', 'tls': 'required'},
        }
        del config['state_dir']
        # Of its four databases two are there.
        places = [f'127.0.0.1:{server.port}', f'unix:{server.socket}']
        places += [f'127.0.0.1:{free_port()}', f'127.0.0.1:{free_port()}']
        for backend, place in zip(config['topology']['backends'], places):
            backend['address'] = place
        with Router(config, env=environment) as router:
            url = f"https://{config['listen']['http']['address']}"
            health = compose['services']['bulkhead']['healthcheck']['test'][2:]
            asked = [url if word.startswith('https:') else word.replace('/tls/', f'{tmp_path}/') for word in health]
            done = subprocess.run([binary, *asked], env=environment, capture_output=True, text=True, timeout=20)
            assert (done.returncode, done.stdout) == (0, 'ok\n'), done.stderr
            client = pymysql.connect(host='127.0.0.1', port=router.port, user='app@globex', password='app-example')
            with client:
                assert run(client, 'USE tenant_globex', 'SELECT 42') == [(42,)]
            said = router.log()
            assert 'no probe' not in said and 'denied' not in said, said


def test_composes_prometheus(compose, tmp_path):
    reason = prometheus.unavailable()
    if reason:
        pytest.skip(reason)
    for source in ('prometheus.yml', '../prometheus/bulkhead.rules.yml'):
        assert any(str(v).startswith((f'./{source}', source)) for v in compose['services']['prometheus']['volumes'])
        shutil.copy(DOCKER / source, tmp_path)
    (tmp_path / 'server.crt').write_text('')
    config = tmp_path / 'prometheus.yml'
    config.write_text(config.read_text().replace('/tls/', f'{tmp_path}/'))
    done = subprocess.run(['promtool', 'check', 'config', config], capture_output=True, text=True, timeout=30)
    assert done.returncode == 0, done.stdout + done.stderr


# --- Kubernetes


def objects() -> list[dict]:
    files = sorted(KUBERNETES.glob('*.yaml'))
    return [one for file in files for one in yaml.safe_load_all(file.read_text()) if one]


def one(kind: str, name: str = 'bulkhead') -> dict:
    return next(o for o in objects() if o['kind'] == kind and o['metadata']['name'] == name)


def schema(of: list[dict]) -> subprocess.CompletedProcess:
    models = paths.cache_folder() / 'node/node_modules/kubernetes-models'
    if not models.exists() or not shutil.which('node'):
        pytest.skip('the npm package kubernetes-models is not installed')
    argv = ['node', Path(__file__).with_name('kubernetes_schema.js'), models]
    return subprocess.run(argv, input=json.dumps(of), capture_output=True, text=True, timeout=60)


def test_objects_keep_their_schemas():
    done = schema(objects())
    assert done.returncode == 0, done.stdout + done.stderr
    # And the schemas notice.
    for path, value in (('livenessProb', {}), ('image', 7)):
        bad = copy.deepcopy(one('StatefulSet'))
        bad['spec']['template']['spec']['containers'][0][path] = value
        assert schema([bad]).returncode == 1, path


def test_the_pod_fits_the_router(binary, tmp_path):
    """Its configuration is usable, names what is mounted, and gives the router the time that it wants to stop."""
    pod = one('StatefulSet')['spec']['template']['spec']
    assert one('StatefulSet')['spec']['replicas'] == 1
    container = pod['containers'][0]
    text = one('ConfigMap')['data']['bulkhead.yaml']
    secrets = {name: one('Secret', name) for name in ('bulkhead-passwords', 'bulkhead-tls')}
    mounts = {m['name']: m['mountPath'] for m in container['volumeMounts']}
    for volume in pod['volumes']:
        if 'secret' in volume:
            folder = tmp_path / volume['name']
            folder.mkdir()
            for key in secrets[volume['secret']['secretName']]['stringData']:
                (folder / key).write_text('CHANGE-ME\n')
                (folder / key).chmod(0o600)
            text = text.replace(mounts[volume['name']] + '/', f'{folder}/')
    tls = tmp_path / 'tls'
    argv = 'openssl req -x509 -newkey rsa:2048 -nodes -days 2 -subj /CN=x -keyout tls.key -out tls.crt'
    subprocess.run(argv.split(), cwd=tls, check=True, capture_output=True)
    done = check(text)
    assert done.returncode == 0, done.stdout
    assert 'error' not in done.stdout
    config = yaml.safe_load(text)
    assert mounts['state'] == config['state_dir']
    pause = int(container['lifecycle']['preStop']['exec']['command'][1])
    stop = int(config['shutdown_timeout'].removesuffix('s'))
    assert pod['terminationGracePeriodSeconds'] >= pause + stop + 5
    ports = {p['name']: p['containerPort'] for p in container['ports']}
    assert ports == {'mysql': 3306, 'http': 9306}
    for probe in ('startupProbe', 'livenessProbe', 'readinessProbe'):
        command = container[probe]['exec']['command']
        # It parses (exit code 1, and not CLI11's for a wrong option), and asks as a user who may look.
        done = subprocess.run([binary, *command[1:]], capture_output=True, text=True, timeout=20)
        assert done.returncode == 1 and done.stderr.startswith('bulkhead health: '), done.stderr
        user = next(u for u in config['admin_users'] if u['name'] == command[command.index('--user') + 1])
        assert user['read_only']
    security = container['securityContext']
    assert security['readOnlyRootFilesystem'] and not security['allowPrivilegeEscalation']
    assert pod['securityContext']['runAsNonRoot']
    assert f"{pod['securityContext']['runAsUser']}:" in dict(stages()[-1])['USER']
