"""Every example of docs/OPERATIONS.md's statements is run, as it stands there."""
import re

import pytest

import paths
import rawclient as rc
from admin_place import Operator, configuration, wait_operators
from hang_fleet import shared_fleet, wait_all_up
from processes import wait_until
from servers import APP_PASSWORD
from sessions import Beside

pytestmark = pytest.mark.slow

DOCUMENT = (paths.ROOT / 'docs/OPERATIONS.md').read_text()
LIST = DOCUMENT[DOCUMENT.index('<!-- statements begin -->') : DOCUMENT.index('<!-- statements end -->')]
EXAMPLES = re.findall(r'Example: `(.*?)`$', LIST, re.MULTILINE)

NEW_BACKENDS = [f"CREATE BACKEND db{n} ADDRESS '10.0.0.{n}:3306'" for n in (3, 4, 5)]
NEW_SHARD = [*NEW_BACKENDS, 'CREATE SHARD s3 PRIMARY db3']
NEW_TENANT = [*NEW_SHARD, 'CREATE TENANT initech SHARD s3']

# What must be there before; by the first words of the example.
BEFORE = {
    'RELEASE SHARD': ['HOLD SHARD s1'],
    'RELEASE TENANT': ['REJECT TENANT acme'],
    'ENABLE BACKEND': ['DISABLE BACKEND db1'],
    'ALTER BACKEND': NEW_BACKENDS,
    'DROP BACKEND': NEW_BACKENDS,
    'CREATE SHARD': NEW_BACKENDS,
    'ALTER SHARD': NEW_SHARD,
    'DROP SHARD': NEW_SHARD,
    'CREATE TENANT': NEW_SHARD,
    'ALTER TENANT': NEW_TENANT,
    'DROP TENANT': NEW_TENANT,
    'ASSIGN TENANT': NEW_TENANT,
}
# These two need a replica, which nobody is here: that is what they say.
REFUSED = {'SWITCHOVER SHARD': 9420, 'FAILOVER SHARD': 9420}
# Whatever the example before has left.
UNDO = [
    'RELEASE SHARD s1',
    'RELEASE TENANT acme',
    'MARK BACKEND db1 AUTO',
    'ENABLE BACKEND db1',
    'DROP TENANT initech',
    'DROP SHARD s3',
    'LIMIT TENANT acme DEFAULT',
    *(f'DROP BACKEND db{n}' for n in (3, 4, 5)),
]


def test_there_are_examples():
    assert len(EXAMPLES) == len(re.findall(r'^    [A-Z]', LIST, re.MULTILINE)) >= 35


@pytest.fixture(scope='module')
def router(binary, module_routers):
    """Two shards with a tenant each, named as in the document."""
    fleet = shared_fleet()
    fleet.forget_routers()
    config = configuration(fleet)
    topology = config['topology']
    topology['backends'] = topology['backends'][:2]
    topology['shards'] = topology['shards'][:2]
    topology['tenants'] = [{'name': 'acme', 'shard': 's1'}, {'name': 'globex', 'shard': 's2'}]
    router = module_routers(config)
    wait_all_up(router, count=2)
    wait_operators(router).close()
    return router


@pytest.mark.parametrize('example', EXAMPLES)
def test_example(router, example):
    words = ' '.join(re.findall(r'[A-Z]+', example)[:2])
    with Operator(router) as operator, Operator(router) as beside:
        for statement in UNDO:
            operator.error(statement)
        for statement in BEFORE.get(words, []):
            operator.said(statement)
        if words in ('DRILL HANG', 'CANCEL OPERATION'):  # what was down before serves again by and by
            state = "SELECT state FROM shards WHERE name = 's1'"
            wait_until(lambda: operator.value(state) == 'serving', 90, 'it serves as ever')
        client = drill = None
        if words == 'KILL QUERY':
            client = rc.connect(router, 'app', APP_PASSWORD)
            example = example.replace('1073741888', str(client.greeting.thread_id))
        elif words == 'CANCEL OPERATION':
            drill = Beside(beside.error, "DRILL HANG SHARD s1 FOR '60s'")
            running = "SELECT id FROM operations WHERE state = 'running'"
            example = example.replace('7', str(wait_until(lambda: operator(running), 10, 'a drill')[0][0]))
        elif words == 'DRILL HANG':
            example = example.replace("'30s'", "'2s'")
        code, message = operator.error(example)
        assert code == REFUSED.get(words, 0), (example, code, message)
        if drill:
            drill.result(30)
        if client:
            client.quit()
        if words == 'SHUTDOWN':
            wait_until(lambda: not router.process.running(), 40, 'it ends')
            router.start()
            wait_all_up(router, count=2)
        elif words in ('DRILL HANG', 'CANCEL OPERATION'):
            wait_until(lambda: operator.value("SELECT state FROM backends WHERE name = 'db1'") == 'up', 30, 'it is up')
