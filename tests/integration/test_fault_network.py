"""A host that is gone, and servers that accept and say nothing, or too little, too slowly."""
import threading

import pytest

import fault_places
import rawclient as rc
from fault_places import MariaDbInNamespace, Namespace, Pretender, drips, greeting_of, greets_only, never_greets
from hang_fleet import Fleet, Incident, shared_fleet
from processes import free_port, wait_until
from servers import APP_PASSWORD
from sessions import Beside

pytestmark = pytest.mark.slow


def session(router, tenant: str) -> rc.RawConnection:
    return rc.connect(router, 'app', APP_PASSWORD, f'tenant_{tenant}')


@pytest.fixture(scope='module')
def far():
    """Server 1 is in a network namespace, 2 is not."""
    reason = fault_places.unavailable()
    if reason:
        pytest.skip(reason)
    with Namespace(1) as place, Fleet(count=2, special=[MariaDbInNamespace('far', place)], name='near') as fleet:
        yield place, fleet


@pytest.mark.parametrize('lost', ['both ways', 'to the server', 'to the router'])
def test_host_gone(far, routers, lost):
    """Packets are dropped without a word; then the network is back and so is the host, with what it still held."""
    place, fleet = far
    router = routers(fleet.configuration())
    with Incident(fleet, router, victim=1) as incident:
        try:
            place.drop(to_server=lost != 'to the router', to_router=lost != 'to the server')
            incident.wait_state('suspect')
            incident.wait_state('down')
            late = session(router, 't1')
            held = Beside(late.query, 'SELECT COUNT(*) FROM ledger')
            incident.log.wait('given up', incident.mark, 12)
            assert not held.done()
        finally:
            place.heal()
        incident.wait_served()
        assert held.result(10).error is None
        late.quit()
    assert incident.labels().get('unknown'), incident.labels()


def pretend(fleet, routers, behave):
    """Server 1 ends, and something else listens in its place; then the server is back."""
    router = routers(fleet.configuration())
    with Incident(fleet, router, victim=1) as incident:
        server = fleet[1]
        server.stop()
        with Pretender(server.host, server.port, behave) as pretender:
            incident.wait_state('down', 12)
            wait_until(lambda: pretender.accepted, 5, 'somebody tries')
            late = session(router, 't1')
            held = Beside(late.query, 'SELECT COUNT(*) FROM ledger')
            waiting = lambda: router.metric('bulkhead_held_statements', shard='s1')  # noqa: E731
            wait_until(lambda: pretender.accepted >= 2, 5, 'somebody tries again')
            wait_until(waiting, 5, 'the statement waits at the gate of its shard')
            assert not held.done()
        server.start()
        incident.wait_served()
        assert held.result(12).error is None
        late.quit()
    assert set(incident.labels()) <= {'done', 'unknown', 'rolled back', 'not executed'}, incident.labels()


def test_accepts_and_never_greets(routers):
    pretend(shared_fleet(), routers, never_greets)


def test_greets_and_never_answers(routers):
    fleet = shared_fleet()
    pretend(fleet, routers, greets_only(greeting_of(fleet[1])))


def test_greets_at_a_byte_a_second(routers):
    fleet = shared_fleet()
    pretend(fleet, routers, drips(greeting_of(fleet[1])))


def test_answers_at_a_byte_a_second(routers):
    """Connections that work become slow beyond use: bytes that trickle are no life."""
    fleet, slow, port = shared_fleet(), threading.Event(), free_port()
    config = fleet.configuration()
    config['topology']['backends'][1]['address'] = f'127.0.0.1:{port}'
    with Pretender('127.0.0.1', port, fault_places.relay_slowly(('127.0.0.1', fleet[2].port), slow)):
        router = routers(config)
        with Incident(fleet, router, victim=2) as incident:
            slow.set()
            try:
                incident.wait_state('suspect')
                incident.wait_state('down', 15)
                incident.log.wait('given up', incident.mark, 15)
            finally:
                slow.clear()
            incident.wait_served()
        assert router.stop() == 0
    assert incident.labels().get('done'), incident.labels()
