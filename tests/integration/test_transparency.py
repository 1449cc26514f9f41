"""The same statements directly and through the router: every packet of every answer is the same.

What must differ is masked in the corpus, and nothing else: statement ids (the router's own), COM_STATISTICS' figures.
"""
import os
import struct

import pytest

import corpus_binary
import corpus_sql
import rawclient as rc
import steps
from processes import wait_until
from router import configuration, set_every_user
from servers import APP_PASSWORD

SCENARIOS = {
    'column types': corpus_sql.column_types(),
    'errors': corpus_sql.ERRORS,
    'warnings': corpus_sql.WARNINGS,
    'results': corpus_sql.RESULTS,
    'multi': corpus_sql.MULTI,
    'transactions': corpus_sql.TRANSACTIONS,
    'state': corpus_sql.STATE,
    'parameters': corpus_binary.every_parameter(),
    'prepared': corpus_binary.PREPARED,
    'cursors': corpus_binary.CURSORS,
    'big': corpus_binary.BIG,
    'infile': corpus_binary.INFILE,
    'charsets': corpus_binary.charsets(),
    'commands': corpus_binary.COMMANDS,
    'attributes': corpus_binary.ATTRIBUTES,
    'bulk': corpus_binary.BULK,
    'change user refused': corpus_binary.CHANGE_USER_REFUSED,
    'quit': corpus_binary.QUIT,
}
DATABASE = 'tenant_acme'
# Capabilities beyond the base that clients have, by name: MariaDB Connector/C's, MySQL 9's.
EXTRA = {
    '': 0,
    'mariadb': rc.SESSION_TRACK
    | rc.MARIADB_PROGRESS
    | rc.MARIADB_BULK
    | rc.MARIADB_EXT_METADATA
    | rc.MARIADB_CACHE_METADATA,
    'mysql': rc.SESSION_TRACK | rc.QUERY_ATTRIBUTES | rc.OPTIONAL_METADATA,
    'track': rc.SESSION_TRACK,
    'found': rc.FOUND_ROWS,
    'old': 0,
}

# (server, transport, DEPRECATE_EOF, extra capabilities, pooling): the fast selection, the rest is marked below.
FAST = [('mariadb', 'plain', True, '', 'transaction'), ('mariadb', 'plain', False, '', 'session')]
NORMAL = [
    ('mariadb', 'plain', False, '', 'transaction'),
    ('mariadb', 'plain', True, 'mariadb', 'transaction'),
    ('mariadb', 'tls', True, 'track', 'transaction'),
    ('mariadb', 'zlib', True, 'found', 'transaction'),
    ('mysql', 'plain', True, 'mysql', 'transaction'),
    ('mysql', 'plain', False, '', 'session'),
    ('mysql', 'zstd', True, 'track', 'transaction'),
]
ALL = [
    (kind, transport, eof, extra, pooling)
    for kind in ('mariadb', 'mysql')
    for transport in (
        ('plain', 'tls', 'zlib', 'tls+zlib') if kind == 'mariadb' else ('plain', 'tls', 'zlib', 'zstd', 'tls+zstd')
    )
    for eof in (True, False)
    for extra in ('', kind)
    for pooling in ('transaction', 'session')
]


def combinations():
    for combination in FAST:
        yield pytest.param(*combination, id='-'.join(map(str, combination)))
    for combination in NORMAL:
        yield pytest.param(*combination, id='-'.join(map(str, combination)), marks=pytest.mark.slow)
    for combination in ALL:
        if combination not in FAST and combination not in NORMAL:
            yield pytest.param(*combination, id='-'.join(map(str, combination)), marks=[pytest.mark.full])


@pytest.fixture(scope='module')
def routed(fleet, module_routers):
    """(server kind, pooling) -> a router in front of that server; started when first asked for."""
    running = {}

    def get(kind: str, pooling: str):
        if (kind, pooling) not in running:
            config = configuration({'acme': fleet(kind)}, tls=True)
            running[kind, pooling] = module_routers(set_every_user(config, pooling=pooling))
        return running[kind, pooling]

    return get


def options(transport: str, eof: bool, extra: str) -> dict:
    capabilities = rc.BASE | (rc.DEPRECATE_EOF if eof else 0) | EXTRA[extra]
    compress = next((name for name in ('zlib', 'zstd') if name in transport), None)
    return {'capabilities': capabilities, 'tls': 'tls' in transport, 'compress': compress}


def play(server, target, scenario: list, login: dict) -> list:
    server.execute(f'DROP DATABASE IF EXISTS {DATABASE}', f'CREATE DATABASE {DATABASE} CHARACTER SET utf8mb4')
    connection = rc.connect(target, 'app', APP_PASSWORD, DATABASE, **login)
    try:
        return steps.run(connection, scenario, server.kind)
    finally:
        connection.close()


_direct: dict = {}


def show(packets) -> str:
    return '\n      '.join(str(packet)[:400] for packet in packets[:40])


# Steps whose answers differ, each with the reason.
KNOWN = {
    'process kill nobody': 'MySQL 9 has dropped COM_PROCESS_KILL; the router answers it for all servers',
}


def forced(packets) -> str:
    """1047 never has SQLSTATE 08S01 here: one framework runs a statement again when it sees that state's text."""
    return repr(packets).replace('\\x17\\x04#08S01', '\\x17\\x04#HY000')


def differences(direct: list, routed: list) -> list[str]:
    found = []
    for (label, expected), (_, got) in zip(direct, routed):
        if forced(expected) == forced(got) or any(label.startswith(known) for known in KNOWN):
            continue
        at = next((i for i, (a, b) in enumerate(zip(expected, got)) if a != b), min(len(expected), len(got)))
        found.append(
            f'{label}\n  packet {at} of {len(expected)} direct, {len(got)} routed\n'
            f'    direct: {show(expected[at:at + 2])}\n    routed: {show(got[at:at + 2])}'
        )
    if len(direct) != len(routed):
        found.append(f'{len(direct)} answers directly, {len(routed)} through the router')
    return found


@pytest.mark.parametrize('scenario', SCENARIOS)
@pytest.mark.parametrize('kind, transport, eof, extra, pooling', combinations())
def test_same_answers(fleet, routed, kind, transport, eof, extra, pooling, scenario):
    server, login = fleet(kind), options(transport, eof, extra)
    key = (kind, transport, eof, extra, scenario)
    if key not in _direct:
        _direct[key] = play(server, server, SCENARIOS[scenario], login)
    direct = _direct[key]
    answers = play(server, routed(kind, pooling), SCENARIOS[scenario], login)
    found = differences(direct, answers)
    for _ in range(3):
        if not found:
            break
        # A server's own plans change with its statistics, and flags with them: what it says directly too is no
        # difference.
        again = play(server, server, SCENARIOS[scenario], login)
        still = {text.split('\n')[0] for text in differences(again, answers)}
        found = [text for text in found if text.split('\n')[0] in still]
    shown = int(os.environ.get('BULKHEAD_SHOWN', '8'))
    assert not found, f'{len(found)} of {len(direct)} answers differ:\n' + '\n'.join(found[:shown])


@pytest.mark.parametrize('kind', ['mariadb', pytest.param('mysql', marks=pytest.mark.slow)])
def test_corpus_is_repeatable(fleet, kind):
    """Directly twice: what differs here is the corpus' fault, not the router's."""
    server, login = fleet(kind), options('plain', True, '')
    for name, scenario in SCENARIOS.items():
        first, second = play(server, server, scenario, login), play(server, server, scenario, login)
        found = differences(first, second)
        assert not found, f'{name}: ' + '\n'.join(found[:5])
        assert len(first) > 1


@pytest.mark.parametrize('pooling', ['transaction', pytest.param('session', marks=pytest.mark.slow)])
def test_bulk_execute_arrives(fleet, routed, pooling):
    """Not only the same answer: the rows are there, also where the connection is not the one it was prepared on."""
    server = fleet('mariadb')
    server.execute(f'DROP DATABASE IF EXISTS {DATABASE}', f'CREATE DATABASE {DATABASE}')
    server.execute('CREATE TABLE bulk (id INT PRIMARY KEY, s VARCHAR(20))', db=DATABASE)
    with rc.connect(
        routed('mariadb', pooling), 'app', APP_PASSWORD, DATABASE, **options('plain', True, 'mariadb')
    ) as session:
        _, statement = session.prepare('INSERT INTO bulk VALUES (?, ?)')
        for start in (0, 3000):
            rows = b''.join(b'\0' + struct.pack('<i', start + i) + b'\0' + rc.lenenc(b'r') for i in range(3000))
            body = struct.pack('<IH', statement, 128) + b'\x03\x00\xfd\x00' + rows
            assert session.command(rc.COM_STMT_BULK_EXECUTE, body).error is None
            if pooling == 'transaction':
                for thread in server.threads():
                    server.execute(f'KILL {thread[0]}')
                wait_until(lambda: not server.threads(), 10, 'its connection is gone')
    assert server.execute("SELECT COUNT(*), SUM(s = 'r') FROM bulk", db=DATABASE) == [(6000, 6000)]


@pytest.mark.slow
@pytest.mark.parametrize('pooling', ['transaction', 'session'])
def test_query_attributes_arrive(fleet, routed, pooling):
    """The server itself says what it was given, for a text statement and for a prepared one."""
    server = fleet('mysql')
    installed = server.execute("SELECT COUNT(*) FROM mysql.component WHERE component_urn LIKE '%query_attributes'")
    if installed == [(0,)]:
        server.execute("INSTALL COMPONENT 'file://component_query_attributes'")
    server.execute(f'DROP DATABASE IF EXISTS {DATABASE}', f'CREATE DATABASE {DATABASE}')
    asked = b"SELECT mysql_query_attribute_string('one'), mysql_query_attribute_string('none')"
    attribute = b'\xfe\x00\x03one' + rc.lenenc(b'the value')
    for target in (server, routed('mysql', pooling)):
        with rc.connect(target, 'app', APP_PASSWORD, DATABASE, **options('plain', True, 'mysql')) as session:
            answer = session.command(rc.COM_QUERY, b'\x01\x01' + b'\x00' + b'\x01' + attribute + asked)
            assert answer.error is None, answer.error
            assert rc.lenenc(b'the value') + b'\xfb' in [packet for _, packet in answer.packets]
            _, statement = session.prepare(asked)
            body = struct.pack('<IBI', statement, 8, 1) + b'\x01' + b'\x00' + b'\x01' + attribute
            answer = session.command(rc.COM_STMT_EXECUTE, body)
            assert answer.error is None, answer.error
            assert any(packet.endswith(rc.lenenc(b'the value')) for _, packet in answer.packets[1:])
