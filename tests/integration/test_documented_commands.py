"""What docs/OPERATIONS.md and docs/RUNBOOK.md tell an operator to type, outside of the list of statements.

Statements are asked of a real router: each is understood, and what it names exists or is said not to. Lines for a
shell: the program is there, has these options, and what can be run without harm is run.
"""
import re
import shlex
import shutil
import subprocess

import pytest

import paths
import router as router_module
import runbook
from admin_place import USERS, Operator, wait_operators
from pages import get
from processes import free_port
from servers import KINDS

pytestmark = pytest.mark.slow


def without(text: str, name: str) -> str:
    """The document without its list that other tests run."""
    return text[: text.index(f'<!-- {name} begin -->')] + text[text.index(f'<!-- {name} end -->') :]


PROSE = without(without(runbook.OPERATIONS, 'statements'), 'tables') + runbook.RUNBOOK
VERBS = (
    'SHOW SELECT EXPLAIN HELP HOLD REJECT RELEASE MARK DRAIN DISABLE ENABLE SWITCHOVER FAILOVER CANCEL CREATE ALTER '
    'DROP ASSIGN KILL LIMIT SET RELOAD DRILL DESCRIBE'
).split()
# These are for a server, and are run there.
FOR_SERVERS = {
    'SELECT @@read_only, @@super_read_only': 'mysql',
    'SHOW REPLICA STATUS': 'mariadb',
    'SHOW PROCESSLIST': 'mariadb',
    'SET GLOBAL read_only = 0': 'mariadb',
}
# No whole statements: named in a sentence.
NAMED = {'DROP TENANT', 'DROP BACKEND', 'ALTER EVENT ... DISABLE', 'SET name = DEFAULT', 'LIMIT TENANT t ...'}
NAMED |= {'SHOW', 'SELECT', 'SET'}
# What the letters of the runbook stand for.
STANDS_FOR = {'s': 's1', 'b': 'db2', 't': 'acme', 'n': '7', 'other': 'db2', '(...)': '(db3)', '...': ''}
# 9420: not now; 9421: there is no such thing. Whatever is not understood is 1064, 1054, 1146, 9422.
UNDERSTOOD = {0, 9420, 9421}


def statements() -> list[str]:
    lines = [line.strip() for block in runbook.blocks(PROSE) for line in block]
    found = [re.sub(r' {4,}.*', '', line) for line in lines] + runbook.inline(PROSE)
    found = [text for text in found if text.split()[:1] and text.split()[0] in VERBS and not text.endswith(';')]
    return [text for text in dict.fromkeys(found) if text not in NAMED and text not in FOR_SERVERS]


def shell_lines() -> list[str]:
    lines = [line.strip() for block in runbook.blocks(PROSE) for line in block]
    programs = ('bulkhead', 'promtool', 'prometheus', 'curl')
    found = [line.removeprefix('$ ') for line in lines if line.startswith('$ ')]
    found += [text for text in [*lines, *runbook.inline(PROSE)] if text.split()[:1] and text.split()[0] in programs]
    return [text for text in dict.fromkeys(found) if len(text.split()) > 1]


@pytest.fixture(scope='module')
def router(fleet, module_routers):
    """Two shards; the first has a replica by name, so that what is said of one is understood."""
    config = router_module.configuration({'acme': fleet(number=1), 'globex': fleet(number=2)}, admin_users=USERS)
    config['listen']['admin'] = f'127.0.0.1:{free_port()}'
    config['topology']['shards'][0]['replicas'] = ['db2']
    router = module_routers(config)
    wait_operators(router).close()
    return router


def test_there_are_some():
    assert len(statements()) > 40 and len(shell_lines()) > 15


@pytest.mark.parametrize('statement', statements())
def test_statement_is_understood(router, statement):
    text = statement
    for letter, name in STANDS_FOR.items() if not text.startswith('SELECT') else ():
        text = re.sub(rf'(?<![\w.@*]){re.escape(letter)}(?![\w.*])', name, text)
    with Operator(router) as operator:
        text = re.sub(r"TIMEOUT '\d+s'|FOR '\d+[sm]'", lambda m: m[0][: m[0].index("'")] + "'1s'", text)
        code, message = operator.error(text)
        assert code in UNDERSTOOD, (text, code, message)
        if text.startswith(('SHOW', 'SELECT', 'DESCRIBE')):
            assert code == 0, (text, code, message)


@pytest.mark.parametrize('statement', FOR_SERVERS)
def test_statement_for_a_server(fleet, statement):
    assert f'`{statement}`' in runbook.RUNBOOK, 'it is not in the document any more'
    fleet(FOR_SERVERS[statement]).execute(statement)


@pytest.mark.parametrize('line', shell_lines())
def test_shell_line(router, line):
    for part in re.split(r' (?:\||&&) ', re.sub(r'\s+#.*', '', line)):
        words = shlex.split(part, posix=True)
        program = words[0]
        if program == 'bulkhead':
            options = {word.split('=')[0] for word in words[1:] if re.match(r'--?[a-zA-Z]', word)}
            commands = [word for word in words[1:3] if re.fullmatch('[a-z]+', word)]
            if commands[:1] != ['topology']:
                commands = commands[:1]
            told = subprocess.run(
                [str(paths.BINARY), *commands, '--help'], capture_output=True, text=True, timeout=60, check=True
            ).stdout
            for option in options:
                known = re.search(rf'(?<![\w-]){re.escape(option)}(?![\w-])', told)
                assert known, f'{option} is not in {commands} --help'
        elif program == 'promtool':
            done = subprocess.run(words, cwd=paths.ROOT, capture_output=True, text=True, timeout=60)
            assert done.returncode == 0, done.stdout + done.stderr
        elif program == 'prometheus':
            (config,) = (word.split('=')[1] for word in words if word.startswith('--config.file='))
            assert (paths.ROOT / config).exists()
        elif program == 'curl':
            (url,) = (word for word in words if word.startswith('http'))
            assert get(re.sub(r'^http://[^/]*', f'http://127.0.0.1:{router.http_port}', url)).status == 200
        else:
            assert shutil.which(program) or program == 'mysql', f'no program {program}'


PATHS = sorted({text for text in runbook.inline(PROSE) if re.match(r'/(metrics|healthz|readyz|api/)', text)})


@pytest.mark.parametrize('path', PATHS)
def test_path_is_answered(router, path):
    path = path.replace('name=X', 'name=acme')
    assert get(f'http://127.0.0.1:{router.http_port}{path}').status == 200


@pytest.mark.parametrize('kind', sorted(KINDS))
def test_grants_are_taken(fleet, kind):
    """All lines of the document's blocks, on the server that they are for."""
    lines = dict(zip(('mariadb', 'mysql'), runbook.blocks(runbook.chapter('Accounts on the backends'))))[kind]
    server = fleet(kind)
    drop = [f'DROP USER IF EXISTS {name}' for name in ('bulkhead_probe', 'bulkhead', 'replicator')]
    try:
        server.execute(*drop, *(line.rstrip(';').replace("'...'", "'a-Secret-1'") for line in lines))
    finally:
        server.execute(*drop)
