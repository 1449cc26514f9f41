"""A server that comes back, but not as it was: behind, or read_only. It is fenced, and no statement reaches it."""
import shutil
import subprocess

import pytest

import rawclient as rc
from hang_fleet import Fleet, wait_all_up
from replication import SETTINGS
from servers import APP_PASSWORD, available
from sessions import Beside

pytestmark = pytest.mark.slow
IN_FULL = pytest.mark.parametrize('kind', ['mariadb', pytest.param('mysql', marks=pytest.mark.full)])


def session(router, tenant: str) -> rc.RawConnection:
    return rc.connect(router, 'app', APP_PASSWORD, f'tenant_{tenant}')


@pytest.fixture
def fleet(kind):
    reason = available(kind)
    if reason:
        pytest.skip(reason)
    with Fleet(kind, count=2, settings=[*SETTINGS[kind], '--server-id=1'], name='back') as fleet:
        yield fleet


def refused(connection) -> None:
    error = connection.query('INSERT INTO ledger VALUES (2, 0)').error
    assert error and error.errno in (9401, 9403), error


@IN_FULL
def test_comes_back_behind(fleet, routers):
    """Its data folder is restored from an older copy: what was committed since is not there."""
    server = fleet[1]
    server.stop()
    folder = server.folder / 'data'
    subprocess.run(['cp', '-a', str(folder), str(folder) + '.old'], check=True)
    server.start()
    router = routers(fleet.configuration(hold={'max_wait': '1s'}, health={'commit_interval': '500ms'}))
    log = wait_all_up(router, 2)
    here, other = session(router, 't1'), session(router, 't2')
    assert here.query('INSERT INTO ledger VALUES (1, 0)').error is None
    canary = 'SELECT SUM(n) FROM bulkhead.canary'
    seen = server.execute(canary)[0][0]
    while server.execute(canary)[0][0] < seen + 2:
        assert here.query('SELECT 1 FROM ledger').error is None
    mark = log.mark()
    server.stop()
    log.wait_state('db1', 'down', mark)
    shutil.rmtree(folder)
    (folder.parent / 'data.old').rename(folder)
    server.start()
    fenced = log.wait_state('db1', 'fenced', mark, 20)
    assert 'behind' in fenced.reasons, fenced.reasons
    refused(here)
    assert other.query('INSERT INTO ledger VALUES (2, 0)').error is None
    assert server.execute('SELECT COUNT(*) FROM tenant_t1.ledger') == [(0,)]


@IN_FULL
def test_comes_back_read_only(fleet, routers):
    """As one starts an old primary whose place another server has taken."""
    server = fleet[1]
    router = routers(fleet.configuration(hold={'max_wait': '1s'}))
    log = wait_all_up(router, 2)
    here, other = session(router, 't1'), session(router, 't2')
    assert here.query('INSERT INTO ledger VALUES (1, 0)').error is None
    mark = log.mark()
    server.stop()
    log.wait_state('db1', 'down', mark)
    server.settings.append('--read-only=1')
    server.start()
    fenced = log.wait_state('db1', 'fenced', mark, 20)
    assert 'read_only' in fenced.reasons, fenced.reasons
    refused(here)
    running = Beside(other.query, 'INSERT INTO ledger VALUES (2, 0)')
    assert running.result(5).error is None
    assert server.execute('SELECT COUNT(*) FROM tenant_t1.ledger') == [(1,)]
