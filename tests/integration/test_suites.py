"""The foreign suites through the router: what passes directly passes here, but for the listed exceptions."""
import fnmatch
import os

import pytest

import paths
import suite_runs
from router import configuration, set_every_user
from servers import KINDS, available

# Each difference is mended or listed with its reason in suites/exceptions.txt.
pytestmark = pytest.mark.slow


@pytest.fixture(scope='module')
def suite_servers():
    running = {}

    def get(kind):
        reason = available(kind)
        if reason:
            pytest.skip(reason)
        if os.geteuid() != 0:
            pytest.skip('the runners install Debian packages: only as root')
        if kind not in running:
            running[kind] = KINDS[kind](f'suites-{kind}', suite_runs.SETTINGS[kind]).start()
        return running[kind]

    yield get
    for server in running.values():
        server.stop()


@pytest.mark.parametrize('suite', suite_runs.SUITES)
@pytest.mark.parametrize('pooling', ['session', 'transaction'])
@pytest.mark.parametrize('kind', ['mariadb', pytest.param('mysql', marks=pytest.mark.full)])
def test_suite(suite_servers, routers, kind, pooling, suite):
    server = suite_servers(kind)
    direct = suite_runs.baseline(server, suite)
    config = configuration(
        {'acme': server}, users=[{'name': 'suite', 'password': 'suite'}], tls=True, pools={'max_connections': 400}
    )
    router = routers(set_every_user(config, pooling=pooling))
    routed = suite_runs.run(suite, router, server, 'suite@acme', paths.run_folder() / f'{suite}-{kind}-{pooling}')
    allowed = suite_runs.exceptions(pooling, kind, suite)
    lost = suite_runs.lost(direct, routed, allowed, suite)
    idle = [p for p in allowed if not any(fnmatch.fnmatchcase(n, p) for n in direct.passed - routed.passed)]
    print(
        f'{routed.last_line}; {pooling} pooling on {kind} {type(server).version}; {len(lost)} lost'
        + (f'; exceptions that did not happen: {idle}' if idle else '')
    )
    assert not lost, f'{len(lost)} of {len(direct.passed)} pass only directly:\n' + '\n'.join(lost[:60])
