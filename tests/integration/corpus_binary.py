"""The prepared statements, big packets, LOCAL INFILE, charsets and plain commands of the differential test."""
import struct

import rawclient as rc
from corpus_sql import SETUP
from steps import (Step, close_statement, command, execute, fetch, long_data, long_parameter, many, p, prepare, prepared,
                   q, reset_statement)

MEGABYTE = 1 << 20

PARAMETERS = [
    p('tiny', -128), p('tiny', 255, unsigned=True), p('short', -32768), p('short', 65535, unsigned=True), p('long', -5),
    p('long', 4294967295, unsigned=True), p('int24', 8388607), p('longlong', -2 ** 63), p('longlong', 2 ** 64 - 1, unsigned=True),
    p('float', 1.5), p('double', -2.25e100), p('year', 1999), p('date', (2024, 2, 29)), p('date', ()), p('datetime', (2024, 2, 29, 1, 2, 3)),
    p('datetime', (2024, 2, 29, 1, 2, 3, 456789)), p('datetime', (2024, 2, 29)), p('timestamp', (2020, 1, 1, 0, 0, 1)),
    p('time', (0, 0, 12, 34, 56)), p('time', (1, 30, 1, 1, 1, 5)), p('decimal', '123.4500'), p('string', 'abc'), p('string', 'äöü'),
    p('var_string', ''), p('var_string', 'x' * 300), p('blob', b'\0\1\xff'), p('tiny_blob', b't'), p('medium_blob', b'm' * 70000),
    p('long_blob', b'l'), p('enum', 'e'), p('set', 's'), p('null'), p('long'), p('string'), p('blob'), p('datetime'), p('bit', b'\x05'),
    p('json', '{"k": 1}'), p('geometry', b'\0' * 25)]


def every_parameter() -> list[Step]:
    steps = many("CREATE TABLE pt (id INT AUTO_INCREMENT PRIMARY KEY, v VARCHAR(400) CHARACTER SET utf8mb4, n DOUBLE, bl LONGBLOB)")
    steps.append(prepare('echo', 'SELECT ? AS v'))
    steps.append(prepare('store', 'INSERT INTO pt (v, n, bl) VALUES (LEFT(?, 200), NULL, ?)'))
    for parameter in PARAMETERS:
        steps += [execute('echo', parameter), execute('store', parameter, parameter)]
    steps += [execute('store', p('string', 'types again'), p('blob', b'1')),
              execute('store', p('string', 'types kept'), p('blob', b'2'), send_types=False),
              execute('store', p('string'), p('blob', b'3'), send_types=False)]
    steps += many('SELECT id, v, HEX(LEFT(bl, 40)) FROM pt ORDER BY id')
    steps += prepared('SELECT ?, ?, ?, ?, ?, ?, ?, ?, ?, ?', *PARAMETERS[:9], p('null'))
    steps += prepared('SELECT * FROM pt WHERE id BETWEEN ? AND ?', p('long', 1), p('long', 5))
    steps += prepared('SELECT * FROM pt LIMIT ?', p('longlong', 2))
    return steps


PREPARED = SETUP + [
    prepare('bad', 'SELEC ?'), prepare('none', 'SELECT * FROM nowhere'), *prepared('DO 1'), *prepared('SELECT 1'), *prepared('SET @p = 1'),
    *prepared('INSERT INTO t (a, b) VALUES (?, ?)', p('long', 77), p('string', 'seventy')), *prepared('SELECT LAST_INSERT_ID()'),
    *prepared('UPDATE t SET b = ? WHERE a = ?', p('string', 'q'), p('long', 77)), *prepared('BEGIN'), *prepared('COMMIT'),
    *prepared('SELECT 1/0'), q('SHOW WARNINGS'), *prepared('INSERT INTO t (a) VALUES (1)'), *prepared('SHOW TABLES'), *prepared('SHOW WARNINGS'),
    *prepared('CREATE TABLE made (x INT)'), *prepared('DROP TABLE made'), *prepared('USE tenant_acme'),
    prepare('s', 'SELECT id, a, b FROM t WHERE a > ? ORDER BY id'), execute('s', p('long', 0)), execute('s', p('long', 1)), execute('s', p('string', '2')),
    q('ALTER TABLE t ADD COLUMN d INT DEFAULT 4'), execute('s', p('long', 0)), prepare('star', 'SELECT * FROM t ORDER BY id'), execute('star'),
    q('ALTER TABLE t DROP COLUMN d'), execute('star'), q('DROP TABLE t'), execute('star'), execute('s', p('long', 0)), *SETUP, execute('star'),
    close_statement('star'), reset_statement('s'), execute('s', p('long', 2)), close_statement('s'),
    command('execute unknown', rc.COM_STMT_EXECUTE, struct.pack('<IBI', 12345678, 0, 1)),
    command('reset unknown', rc.COM_STMT_RESET, struct.pack('<I', 12345678), 'ok'),
    command('fetch unknown', rc.COM_STMT_FETCH, struct.pack('<II', 12345678, 1), 'fetch'),
    command('close unknown', rc.COM_STMT_CLOSE, struct.pack('<I', 12345678), 'none'), q('SELECT 1'),
    command('execute too short', rc.COM_STMT_EXECUTE, b'\1', mask=(rb'\([0-9]+\)',), only='mysql'),
    # long data
    prepare('l', 'SELECT ?, LENGTH(?), ?'), long_data('l', 0, b'part one, '), long_data('l', 0, b'part two'), long_data('l', 1, b'z' * 100000),
    execute('l', long_parameter(), long_parameter(), p('long', 3)), execute('l', p('string', 'a'), p('string', 'bc'), p('long', 4)),
    long_data('l', 1, b'dropped by reset'), reset_statement('l'), execute('l', p('string', 'a'), p('string', 'bc'), p('long', 4)),
    long_data('l', 0, b''), execute('l', long_parameter(), p('string', 'bc'), p('null')), close_statement('l'),
    # the id of the last prepared statement, MariaDB only
    prepare('last', 'SELECT 42', 'mariadb'),
    command('execute -1', rc.COM_STMT_EXECUTE, struct.pack('<IBI', 0xFFFFFFFF, 0, 1), only='mariadb'),
    *[prepare(f'many{i}', f'SELECT {i}, ?') for i in range(40)],
    *[execute(f'many{i}', p('long', i)) for i in (0, 39, 20, 0)], *[close_statement(f'many{i}') for i in range(40)],
    q("PREPARE byname FROM 'SELECT 1, ?'"), q('SET @u = 2'), q('EXECUTE byname USING @u'), q('DEALLOCATE PREPARE byname'),
    command('reset connection', rc.COM_RESET_CONNECTION, reply='ok'), q('SELECT @u'), command('execute after reset', rc.COM_STMT_EXECUTE,
            struct.pack('<IBI', 12345678, 0, 1)), q('SELECT DATABASE()')]

CURSORS = SETUP + many(
    'CREATE TABLE big (i INT PRIMARY KEY, s VARCHAR(200))',
    "INSERT INTO big WITH RECURSIVE n AS (SELECT 1 i UNION ALL SELECT i + 1 FROM n WHERE i < 300) SELECT i, REPEAT('c', i MOD 200) FROM n") + [
    prepare('c', 'SELECT i, s FROM big ORDER BY i'), execute('c', cursor=1), fetch('c', 1), fetch('c', 10), fetch('c', 100), q('SELECT 1'), fetch('c', 1000), fetch('c', 1),
    execute('c', cursor=1), fetch('c', 5), reset_statement('c'), fetch('c', 5), execute('c', cursor=1), fetch('c', 5), execute('c', cursor=1), fetch('c', 3),
    # MySQL 9.7 answers this one with metadata and no rows and no end of them; its own client resets first.
    execute('c', only='mariadb'), reset_statement('c'),
    prepare('d', 'SELECT i FROM big WHERE i > ? ORDER BY i'), execute('d', p('long', 290), cursor=1), execute('c', cursor=1), fetch('d', 4), fetch('c', 2), fetch('d', 100), fetch('c', 2),
    close_statement('c'), close_statement('d'), prepare('e', 'SELECT i FROM big WHERE i < 0'), execute('e', cursor=1), fetch('e', 1), close_statement('e'),
    prepare('u', "UPDATE big SET s = '' WHERE i = 1"), execute('u', cursor=1), close_statement('u'), prepare('f', 'SELECT * FROM big, nowhere'),
    q('BEGIN'), prepare('g', 'SELECT i FROM big ORDER BY i'), execute('g', cursor=1), fetch('g', 2), q('COMMIT'), fetch('g', 2), close_statement('g'), q('SELECT COUNT(*) FROM big'),
    # A procedure's own cursor shows in the status of its results, which are not to be fetched.
    q('CREATE PROCEDURE own() BEGIN DECLARE v INT; DECLARE done INT DEFAULT 0; DECLARE o CURSOR FOR SELECT i FROM big WHERE i < 4; '
      'DECLARE CONTINUE HANDLER FOR NOT FOUND SET done = 1; OPEN o; f: LOOP FETCH o INTO v; IF done THEN LEAVE f; END IF; SELECT v; END LOOP; CLOSE o; END'),
    prepare('h', 'CALL own()'), execute('h'), execute('h', cursor=1), close_statement('h'), q('CALL own()'), q('DROP PROCEDURE own')]

# Sizes around the 16 MiB - 1 limit of a packet, both ways. A COM_QUERY's payload is one byte longer than its text.
BIG = many('CREATE TABLE big (b LONGBLOB)') + [
    q("SELECT LENGTH('" + 'x' * (rc.MAX_PACKET - 1 - 17 + extra) + "')") for extra in (-1, 0, 1)] + [
    q("SELECT LENGTH('" + 'y' * (33 * MEGABYTE) + "')"), q("INSERT INTO big VALUES ('" + 'z' * (17 * MEGABYTE) + "')"), q('SELECT * FROM big'),
    *[q(f"SELECT REPEAT('r', {rc.MAX_PACKET - 4 + extra})") for extra in (-1, 0, 1)], q(f"SELECT REPEAT('r', {rc.MAX_PACKET * 2 - 4})"),
    q(f"SELECT REPEAT('r', {34 * MEGABYTE}), 'tail'"), *prepared('SELECT LENGTH(?), ?', p('blob', b'p' * (17 * MEGABYTE)), p('string', 'end')),
    prepare('b', 'INSERT INTO big VALUES (?)'), long_data('b', 0, b'q' * (16 * MEGABYTE + 10)), long_data('b', 0, b'q' * (10 * MEGABYTE)), execute('b', long_parameter()), close_statement('b'),
    q('SELECT LENGTH(b) FROM big ORDER BY 1'), *prepared('SELECT b FROM big'),
    q('SELECT 1')]

_CSV = ''.join(f'{i}\tname {i}\n' for i in range(2000)).encode()
INFILE = many('CREATE TABLE f (id INT, name VARCHAR(30))') + [
    q("LOAD DATA LOCAL INFILE 'any' INTO TABLE f", local_data=_CSV), q('SELECT COUNT(*), SUM(id), MAX(name) FROM f'), q('SELECT ROW_COUNT()'),
    q("LOAD DATA LOCAL INFILE 'any' INTO TABLE f", local_data=b''), q("LOAD DATA LOCAL INFILE 'any' INTO TABLE nowhere", local_data=_CSV),
    q("LOAD DATA LOCAL INFILE 'any' INTO TABLE f", local_data=b'x\ty\tz\n1\n'), q('SHOW WARNINGS'), q('SELECT COUNT(*) FROM f'),
    q("LOAD DATA LOCAL INFILE 'any' REPLACE INTO TABLE f FIELDS TERMINATED BY ','", local_data=b'1,a\n2,b'), q("BEGIN"),
    q("LOAD DATA LOCAL INFILE 'any' INTO TABLE f", local_data=b'7\tseven\n'), q('ROLLBACK'), q('SELECT COUNT(*) FROM f'),
    q("LOAD DATA LOCAL INFILE 'any' INTO TABLE f; SELECT 'behind it'", local_data=_CSV), q("LOAD DATA LOCAL INFILE 'any' INTO TABLE f", local_data=b'9\t' + b'n' * (5 * MEGABYTE)),
    q('SELECT COUNT(*) FROM f'), q('TRUNCATE f'), q("LOAD DATA LOCAL INFILE 'any' INTO TABLE f", local_data=_CSV * 100), q('SELECT COUNT(*) FROM f')]


def charsets() -> list[Step]:
    steps = many("CREATE TABLE cs (u VARCHAR(50) CHARACTER SET utf8mb4, l VARCHAR(50) CHARACTER SET latin1, g VARCHAR(50) CHARACTER SET gbk, s VARCHAR(50) CHARACTER SET sjis, b VARBINARY(50))",
                 "INSERT INTO cs VALUES ('äö€😀', 'äö€', '中文', 'テスト', 0x80FF)")
    for name in ('utf8mb4', 'utf8mb3', 'latin1', 'gbk', 'sjis', 'cp932', 'big5', 'koi8r', 'cp1251', 'ascii', 'binary'):
        steps += [q(f'SET NAMES {name}'), q('SELECT u, l, g, s, b FROM cs'), *prepared('SELECT u, l, g, s, b FROM cs'), q('SELECT CHARSET(0x41), @@character_set_client'), q('SELECT * FROM `nówhere`')]
    # In these charsets a backslash byte can be the second of a character: 0xBF5C in gbk, 0x835C in sjis.
    steps += [q('SET NAMES gbk'), q(b"SELECT '\xbf\x5c', HEX('\xbf\x5c')"), q(b"SELECT '\xbf\x5c' AS a, 'next' /* \xbf\x5c' */"), q('SET NAMES sjis'),
              q(b"SELECT '\x83\x5c', HEX('\x83\x5c')"), q(b"SELECT '\x83\x5c'; SELECT 'second'"), q('SET NAMES big5'), q(b"SELECT HEX('\xa5\x5c')"), q('SET NAMES utf8mb4')]
    for name in ('ucs2', 'utf16', 'utf32'):
        steps += [q(f'SET character_set_results = {name}'), q('SELECT u, l FROM cs'), q('SELECT * FROM nowhere'), q(f'SET NAMES {name}'), q('SET NAMES utf8mb4')]
    steps += many('SET character_set_results = NULL', 'SELECT u, l, g FROM cs', 'SET NAMES utf8mb4', "SELECT _gbk 0xBF5C, _sjis 0x835C, _ucs2 0x0041", "SET collation_connection = utf8mb4_bin", "SELECT 'a' = 'A'")
    return steps


COMMANDS = SETUP + [
    command('ping', rc.COM_PING, reply='ok'), command('statistics', rc.COM_STATISTICS, reply='string', mask=(rb'.*',)), command('init_db good', rc.COM_INIT_DB, b'tenant_acme', 'ok'),
    command('init_db unknown', rc.COM_INIT_DB, b'no_such_database', 'ok'), q('SELECT DATABASE()'), command('field list', rc.COM_FIELD_LIST, b't\0', 'fields'),
    command('field list %', rc.COM_FIELD_LIST, b't\0b%', 'fields'), command('field list of nothing', rc.COM_FIELD_LIST, b'nowhere\0', 'fields'), command('query, empty', rc.COM_QUERY, b''),
    command('debug', rc.COM_DEBUG, reply='ok'), command('process kill nobody', rc.COM_PROCESS_KILL, struct.pack('<I', 4294967290), 'ok'), command('sleep', 0, reply='ok'),
    command('unknown 0x55', 0x55, reply='ok'), command('unknown 0xF0', 0xF0, reply='ok'), command('create db', 5, b'nope_db', 'ok'), command('drop db', 6, b'nope_db', 'ok'), command('time', 15, reply='ok'), command('delayed insert', 16, reply='ok'), command('connect', 11, reply='ok'), command('connect out', 20, reply='ok'), command('daemon', 29, reply='ok'),
    q('BEGIN'), command('ping in transaction', rc.COM_PING, reply='ok'), q('ROLLBACK'), q('SET autocommit = 0'), command('ping, autocommit off', rc.COM_PING, reply='ok'), q('SET autocommit = 1'),
    q('SET @r = 1'), q('CREATE TEMPORARY TABLE tmp (x INT)'), command('reset connection', rc.COM_RESET_CONNECTION, reply='ok'), q('SELECT @r'), q('SELECT * FROM tmp'),
    Step('change user', lambda c, _: [(0, c.change_user('app', 'app-secret', 'tenant_acme'))]), q('SELECT DATABASE(), CURRENT_USER(), @r'),
    command('reset connection', rc.COM_RESET_CONNECTION, reply='ok'), q('SELECT DATABASE()')]

# Query attributes (MySQL): three with values of different types, on a text statement and on a prepared one.
_ATTRIBUTES = (b'\x03\x01' + b'\x04' + b'\x01' + b'\x03\x00\x02n1' + b'\xfe\x00\x02n2' + b'\x08\x00\x02n3' +
               struct.pack('<i', 5) + b'\x05value')
ATTRIBUTES = SETUP + [
    Step('query with attributes', lambda c, _: c.command(rc.COM_QUERY, _ATTRIBUTES + b'SELECT a FROM t ORDER BY id').packets, needs=rc.QUERY_ATTRIBUTES),
    Step('DML with attributes', lambda c, _: c.command(rc.COM_QUERY, _ATTRIBUTES + b'INSERT INTO t (a) VALUES (900)').packets, needs=rc.QUERY_ATTRIBUTES),
    Step('BEGIN with attributes', lambda c, _: c.command(rc.COM_QUERY, _ATTRIBUTES + b'BEGIN').packets, needs=rc.QUERY_ATTRIBUTES), q('ROLLBACK'),
    prepare('pa', 'SELECT a FROM t WHERE id = ?'),
    Step('execute with attributes', lambda c, m: c.command(rc.COM_STMT_EXECUTE, struct.pack('<IBI', m['pa'], 8, 1) + b'\x02\x00\x01' + b'\x03\x00\x00' + b'\xfe\x00\x02at' +
                                                           struct.pack('<i', 1) + b'\x05value').packets, needs=rc.QUERY_ATTRIBUTES),
    execute('pa', p('long', 2)), prepare('pn', 'SELECT 1'),
    Step('execute without parameters, with attributes', lambda c, m: c.command(rc.COM_STMT_EXECUTE, struct.pack('<IBI', m['pn'], 8, 1) + b'\x01\x00\x01' + b'\xfe\x00\x02at\x05value').packets, needs=rc.QUERY_ATTRIBUTES),
    execute('pn'), q('SELECT 1')]
# MariaDB's bulk execution: types once, then an indicator (0 value, 1 NULL, 2 DEFAULT) before each parameter.
_BULK_TYPES = b'\x03\x00' + b'\xfd\x00'
_BULK_ROWS = b''.join(b'\0' + struct.pack('<i', i) + (b'\0' + rc.lenenc(b'row %d' % i), b'\x01', b'\x02')[i % 3] for i in range(3000))


def bulk(label: str, name: str, flags: int, rest: bytes) -> Step:
    return Step(label, lambda c, m: c.command(rc.COM_STMT_BULK_EXECUTE, struct.pack('<IH', m[name], flags) + rest).packets, 'mariadb', needs=rc.MARIADB_BULK)


BULK = SETUP + [
    q("CREATE TABLE bulk (id INT PRIMARY KEY, s VARCHAR(20) DEFAULT 'default')"), prepare('bi', 'INSERT INTO bulk VALUES (?, ?)'), bulk('bulk insert', 'bi', 128, _BULK_TYPES + _BULK_ROWS),
    q('SELECT COUNT(*), SUM(id), COUNT(s), MIN(s), MAX(s) FROM bulk'), bulk('bulk insert again: duplicates', 'bi', 128, _BULK_TYPES + _BULK_ROWS), q('SHOW WARNINGS'),
    q('TRUNCATE bulk'), bulk('bulk insert, types of before', 'bi', 0, _BULK_ROWS), q('SELECT COUNT(*) FROM bulk'), bulk('bulk, cut', 'bi', 128, _BULK_TYPES + _BULK_ROWS[:-4]),
    prepare('bd', 'DELETE FROM bulk WHERE id = ? AND ? IS NOT NULL'), bulk('bulk delete', 'bd', 128, _BULK_TYPES + _BULK_ROWS[:300]), prepare('bs', 'SELECT ?, ?'), bulk('bulk select', 'bs', 128, _BULK_TYPES + _BULK_ROWS[:9]), q('SELECT 1')]

# MySQL closes the connection after a refused COM_CHANGE_USER; MariaDB lets the old user begin anew, three times.
_REFUSED = Step('change user, bad password', lambda c, _: [(0, c.change_user('app', 'wrong', 'tenant_acme'))], mask=[])
CHANGE_USER_REFUSED = [q("SET @r = 1, sql_mode = 'ANSI_QUOTES', NAMES latin2"), q('CREATE TEMPORARY TABLE tmp (x INT)'), _REFUSED,
                       q('SELECT DATABASE(), CURRENT_USER(), @r, @@sql_mode, @@character_set_client, @@collation_connection'), q('SELECT * FROM tmp'),
                       _REFUSED, _REFUSED, q('SELECT 3'), _REFUSED, q('SELECT 4')]
QUIT = [q('SELECT 1'), Step('quit', lambda c, _: (c.command(rc.COM_QUIT, reply='none'), [(0, str(c.at_end()).encode())])[1])]
