"""The text statements of the differential test, by scenario. Each scenario starts with an empty database."""
from steps import Step, command, many, prepared, q
import rawclient as rc

SETUP = many(
    "CREATE TABLE t (id INT AUTO_INCREMENT PRIMARY KEY, a INT, b VARCHAR(50), c DECIMAL(10,2), UNIQUE KEY (a))",
    "INSERT INTO t (a, b, c) VALUES (1, 'one', 1.5), (2, 'two', NULL), (3, NULL, -3.25)")

# type, literals, server kind
COLUMN_TYPES: list[tuple[str, list[str], str | None]] = [
    ('TINYINT', ['-128', '127', '0'], None), ('TINYINT UNSIGNED', ['255', '0'], None), ('BOOL', ['TRUE', 'FALSE'], None),
    ('SMALLINT', ['-32768', '32767'], None), ('SMALLINT UNSIGNED', ['65535'], None),
    ('MEDIUMINT', ['-8388608', '8388607'], None), ('MEDIUMINT UNSIGNED', ['16777215'], None),
    ('INT', ['-2147483648', '2147483647'], None), ('INT UNSIGNED', ['4294967295'], None),
    ('INT(7) ZEROFILL', ['42'], None), ('BIGINT', ['-9223372036854775808', '9223372036854775807'], None),
    ('BIGINT UNSIGNED', ['18446744073709551615'], None), ('DECIMAL(65,30)', ['1.123456789', '-99999'], None),
    ('DECIMAL(10,2) UNSIGNED', ['12345678.99'], None), ('FLOAT', ['1.5', '-3.402e38', '1e-30'], None),
    ('FLOAT(7,3)', ['1234.567'], None), ('DOUBLE', ['1.7976931348623157e308', '-0.1'], None),
    ('BIT(1)', ["b'1'", "b'0'"], None), ('BIT(64)', ["0xFFFFFFFFFFFFFFFF", "5"], None),
    ('DATE', ["'1000-01-01'", "'9999-12-31'", "'2024-02-29'"], None), ('TIME', ["'-838:59:59'", "'12:34:56'"], None),
    ('TIME(6)', ["'12:34:56.123456'", "'-00:00:00.000001'"], None),
    ('DATETIME', ["'2024-02-29 23:59:59'", "'1000-01-01 00:00:00'"], None),
    ('DATETIME(6)', ["'2024-02-29 23:59:59.999999'"], None), ('DATETIME(3)', ["'2024-02-29 23:59:59.125'"], None),
    ('TIMESTAMP NULL', ["'2024-02-29 23:59:59'"], None), ('TIMESTAMP(6) NULL', ["'2037-12-31 23:59:59.5'"], None),
    ('YEAR', ['1901', '2155'], None), ('CHAR(10)', ["'abc'", "''", "'äöü€'"], None),
    ('CHAR(3) CHARACTER SET latin1', ["'äöü'"], None), ('VARCHAR(255)', ["'x'", "REPEAT('y', 255)"], None),
    ('VARCHAR(1000) CHARACTER SET utf8mb4', ["'\U0001f6a2 ship'", "REPEAT('z', 1000)"], None),
    ('VARCHAR(20) COLLATE utf8mb4_bin', ["'A'"], None), ('BINARY(5)', ["'ab'", "0x0001020304"], None),
    ('VARBINARY(300)', ["0x00FF00", "REPEAT('b', 251)"], None), ('TINYTEXT', ["'tiny'"], None),
    ('TEXT', ["REPEAT('t', 65535)", "''"], None), ('MEDIUMTEXT', ["REPEAT('m', 70000)"], None), ('LONGTEXT', ["'l'"], None),
    ('TINYBLOB', ["0x00"], None), ('BLOB', ["REPEAT(CHAR(0), 300)"], None), ('MEDIUMBLOB', ["REPEAT('m', 66000)"], None),
    ('LONGBLOB', ["0xDEADBEEF"], None), ("ENUM('a', 'b', 'ü')", ["'a'", "'ü'", "3"], None),
    ("SET('x', 'y', 'z')", ["'x,z'", "''", "7"], None), ('JSON', ["'{\"a\": [1, null, \"ü\"]}'", "'[]'"], None),
    ('GEOMETRY', ["ST_GeomFromText('POINT(1 2)')"], None), ('POINT', ["ST_GeomFromText('POINT(-1.5 2e10)')"], None),
    ('LINESTRING', ["ST_GeomFromText('LINESTRING(0 0, 1 1, 2 3)')"], None),
    ('POLYGON', ["ST_GeomFromText('POLYGON((0 0, 1 0, 1 1, 0 0))')"], None),
    ('MULTIPOINT', ["ST_GeomFromText('MULTIPOINT(0 0, 1 1)')"], None),
    ('MULTIPOLYGON', ["ST_GeomFromText('MULTIPOLYGON(((0 0, 1 0, 1 1, 0 0)))')"], None),
    ('GEOMETRYCOLLECTION', ["ST_GeomFromText('GEOMETRYCOLLECTION(POINT(1 1), LINESTRING(0 0, 1 1))')"], None),
    ('INET6', ["'::1'", "'2001:db8::ff00:42:8329'"], 'mariadb'), ('INET4', ["'192.0.2.1'"], 'mariadb'),
    ('UUID', ["'123e4567-e89b-12d3-a456-426655440000'"], 'mariadb'),
    ('VARCHAR(500) COMPRESSED', ["REPEAT('c', 400)"], 'mariadb'), ('VECTOR(3)', ["STRING_TO_VECTOR('[1,2.5,-3]')"], 'mysql'),
]


def column_types() -> list[Step]:
    steps = []
    for number, (declaration, literals, only) in enumerate(COLUMN_TYPES):
        table = f'c{number}'
        steps.append(q(f'CREATE TABLE {table} (id INT AUTO_INCREMENT PRIMARY KEY, v {declaration})', only))
        steps += [q(f'INSERT INTO {table} (v) VALUES ({literal})', only) for literal in [*literals, 'NULL']]
        steps.append(q(f'SELECT id, v FROM {table} ORDER BY id', only))
        steps += prepared(f'SELECT v, id FROM {table} ORDER BY id', only=only)
        steps.append(q(f'SELECT MAX(id), COUNT(v) FROM {table}', only))
    return steps


ERRORS = SETUP + many(
    "SELECT", "SELEC 1", "SELECT * FROM nowhere", "SELECT nothing FROM t", "SELECT * FROM no_such_db.x", "INSERT INTO t (a) VALUES (1)",
    "INSERT INTO t (nope) VALUES (1)", "UPDATE t SET a = 1 WHERE a = 2", "INSERT INTO t VALUES (1)", "DROP TABLE nowhere",
    "CREATE TABLE t (x INT)", "SELECT 1 +", "SELECT NOSUCHFUNCTION(1)", "SELECT @@no_such_variable", "SET no_such_variable = 1",
    "SET GLOBAL max_connections = 'x'", "USE no_such_database", "CALL no_such_procedure()", "SELECT (SELECT a FROM t)",
    "SELECT a FROM t UNION SELECT a, b FROM t", "SIGNAL SQLSTATE '45000' SET MESSAGE_TEXT = 'my own', MYSQL_ERRNO = 31001",
    "SIGNAL SQLSTATE '02TRY'", "KILL 4294967290", "KILL QUERY 4294967290", "ROLLBACK TO SAVEPOINT nope", "RELEASE SAVEPOINT nope",
    "EXECUTE nope", "DEALLOCATE PREPARE nope", "PREPARE s FROM 'SELEC'", "ALTER TABLE t ADD COLUMN a INT", "SELECT a FROM t GROUP BY",
    "SELECT SLEEP()", "SELECT 9223372036854775807 + 1", "SELECT EXP(1000)", "SELECT POW(10, 1000)", "SELECT REPEAT('x', 1 << 40)",
    "SELECT CAST('x' AS SIGNED)", "SELECT JSON_EXTRACT('{', '$')", "SELECT ST_GeomFromText('POINT(')", "LOCK TABLES nowhere READ",
    "SELECT 1 INTO @a, @b", "SELECT * FROM t WHERE a = (SELECT 1, 2)", "GRANT NONSENSE ON *.* TO nobody", "SHOW CREATE TABLE nowhere",
    "TRUNCATE nowhere", "HANDLER t READ FIRST", "SELECT 'unterminated", "/* unterminated", "SELECT 1;; SELECT 2", "")

WARNINGS = SETUP + many(
    "SELECT 1/0", "SHOW WARNINGS", "SHOW COUNT(*) WARNINGS", "SELECT @@warning_count, @@error_count", "SELECT CAST('12abc' AS SIGNED)",
    "SHOW WARNINGS LIMIT 1", "DROP TABLE IF EXISTS nowhere1, nowhere2", "SHOW WARNINGS", "SHOW ERRORS", "SELECT * FROM nowhere",
    "SHOW ERRORS", "SHOW WARNINGS", "SELECT 1", "SHOW WARNINGS", "SET sql_mode = ''", "INSERT INTO t (a, b) VALUES ('9x', REPEAT('q', 60))",
    "SHOW WARNINGS", "SHOW COUNT(*) ERRORS", "INSERT IGNORE INTO t (a) VALUES (1), (2), (99)", "SHOW WARNINGS",
    "CREATE TABLE IF NOT EXISTS t (a INT)", "SHOW WARNINGS", "SET max_error_count = 2",
    "SELECT CAST('a' AS SIGNED), CAST('b' AS SIGNED), CAST('c' AS SIGNED)", "SHOW WARNINGS", "SET max_error_count = DEFAULT",
    "UPDATE t SET c = 'x' WHERE a = 1", "GET DIAGNOSTICS @n = NUMBER", "SELECT @n", "GET DIAGNOSTICS CONDITION 1 @m = MESSAGE_TEXT",
    "SELECT @m", "SIGNAL SQLSTATE '01000' SET MESSAGE_TEXT = 'a warning'", "SHOW WARNINGS", "DO 1/0", "SHOW WARNINGS",
    "EXPLAIN SELECT * FROM t", "SELECT @@warning_count")

RESULTS = SETUP + many(
    "INSERT INTO t (a, b) VALUES (10, 'ten')", "SELECT LAST_INSERT_ID()", "INSERT INTO t (id, a) VALUES (100, 100)", "SELECT LAST_INSERT_ID()",
    "INSERT INTO t (a) VALUES (20), (21), (22)", "SELECT LAST_INSERT_ID(), ROW_COUNT()", "UPDATE t SET b = 'x' WHERE a >= 20",
    "SELECT ROW_COUNT()", "UPDATE t SET b = 'x' WHERE a >= 20", "SELECT ROW_COUNT()", "DELETE FROM t WHERE a = 22", "SELECT ROW_COUNT()",
    "REPLACE INTO t (id, a, b) VALUES (1, 1, 'uno')", "INSERT INTO t (a) VALUES (1) ON DUPLICATE KEY UPDATE b = 'ein'",
    "SELECT LAST_INSERT_ID(77)", "SELECT LAST_INSERT_ID()", "INSERT INTO t (a) VALUES (LAST_INSERT_ID(78))", "SELECT LAST_INSERT_ID()",
    "SELECT SQL_CALC_FOUND_ROWS * FROM t LIMIT 1", "SELECT FOUND_ROWS()", "SELECT * FROM t WHERE FALSE", "SELECT * FROM t ORDER BY id",
    "SELECT 1", "SELECT 1 AS `ä`, 2 AS ``", "SELECT 1 AS \"quoted\", 'it''s', \"dq\", 'a\\nb'", "SELECT NULL", "SELECT ''", "SELECT 1.10, 1e3, TRUE, -0.0",
    "SELECT 0xFF, x'414243', b'1010', _latin1'x', N'y', _binary'z'", "SELECT DATE '2020-01-01', TIME '10:00', TIMESTAMP '2020-01-01 10:00:00'",
    "SELECT t.id, u.b FROM t JOIN t u USING (id) ORDER BY 1", "SELECT a.* FROM (SELECT id, a FROM t) a ORDER BY id LIMIT 2",
    "WITH RECURSIVE n AS (SELECT 1 i UNION ALL SELECT i + 1 FROM n WHERE i < 400) SELECT i, REPEAT('r', i) FROM n",
    "SELECT b, COUNT(*), SUM(c), AVG(a), GROUP_CONCAT(a ORDER BY a) FROM t GROUP BY b WITH ROLLUP", "SELECT id, ROW_NUMBER() OVER (ORDER BY id) FROM t",
    "TABLE t", "VALUES (1, 2), (3, 4)", "SELECT * FROM t ORDER BY id FOR UPDATE", "SELECT * FROM t ORDER BY id LOCK IN SHARE MODE",
    "SHOW TABLES", "SHOW FULL TABLES", "SHOW COLUMNS FROM t", "SHOW FULL COLUMNS FROM t", "SHOW CREATE TABLE t",
    "DESCRIBE t", "SHOW VARIABLES LIKE 'version%'", "SHOW VARIABLES LIKE 'character%'", "SHOW COLLATION LIKE 'utf8mb4_g%'", "SHOW CHARACTER SET LIKE 'gbk'",
    "SHOW ENGINES", "SHOW GRANTS", "SHOW PRIVILEGES", "SHOW TRIGGERS", "SHOW EVENTS", "SHOW DATABASES LIKE 'tenant_a%'",
    "SHOW SESSION STATUS LIKE 'Ssl_version%nothing'", "EXPLAIN SELECT * FROM t WHERE a = 1", "EXPLAIN FORMAT=JSON SELECT 1", "DO 1", "DO SLEEP(0)",
    "CHECK TABLE t", "ANALYZE TABLE t", "CHECKSUM TABLE t", "OPTIMIZE TABLE t", "FLUSH TABLES t", "SELECT DATABASE(), SCHEMA()", "SELECT USER(), CURRENT_USER()",
    "SELECT VERSION()", "SELECT @@version_comment LIMIT 1", "SELECT @@autocommit, @@session.tx_isolation" , "SELECT @@transaction_isolation",
    "SELECT CHARSET('x'), COLLATION('x'), COERCIBILITY('x')", "SELECT $$", "SELECT `$$` FROM t", "SELECT 1 -- comment", "SELECT 2 # comment",
    "/* leading */ SELECT 3", "-- only a comment", "/* only */", "/*! SELECT 4 */", "/*!99999 nonsense */ SELECT 5", "SELECT /*! 6 */ + 1", "(SELECT 7)",
    "SELECT/**/8", "  \t\n SELECT 9  ;  ", "SELECT 10;", "HELP 'nothing_at_all'") + [
    q(b"SELECT 'nul\0inside'"), q(b"SELECT '\xff\xfe invalid utf8'"), q("SELECT '" + 'long ' * 20000 + "'"),
    q("SELECT " + ', '.join(f'{i} AS column_{i}' for i in range(600))), q("/*M! SELECT 'mariadb' */", 'mariadb'),
    q("SHOW INDEX FROM t", 'mariadb')]  # MySQL's cardinality is a sample

MULTI = SETUP + many(
    "SELECT 1; SELECT 2", "SELECT 1; SELECT 2;", "INSERT INTO t (a) VALUES (50); SELECT LAST_INSERT_ID(); UPDATE t SET b = 'm' WHERE a = 50; SELECT ROW_COUNT()",
    "SELECT 1; SELECT * FROM nowhere; SELECT 3", "SELECT 1; SELEC; SELECT 3", "DO 1; DO 2; DO 3", "SET @a = 1; SET @b = @a + 1; SELECT @a, @b",
    "BEGIN; INSERT INTO t (a) VALUES (60); COMMIT; SELECT COUNT(*) FROM t", "BEGIN; INSERT INTO t (a) VALUES (61); ROLLBACK; SELECT COUNT(*) FROM t",
    "CREATE PROCEDURE p_two() BEGIN SELECT 1 AS x; SELECT 2 AS y, 3 AS z; END", "CALL p_two()", "CALL p_two(); SELECT 'after'",
    "CREATE PROCEDURE p_none() BEGIN DO 1; END", "CALL p_none()", "CREATE PROCEDURE p_fail() BEGIN SELECT 1; SELECT * FROM nowhere; END", "CALL p_fail()",
    "CREATE PROCEDURE p_out(IN i INT, OUT o INT, INOUT x VARCHAR(20)) BEGIN SET o = i * 2; SET x = CONCAT(x, '!'); SELECT i AS shown; END",
    "SET @x = 'hey'", "CALL p_out(21, @o, @x)", "SELECT @o, @x", "CREATE PROCEDURE p_warn() BEGIN SELECT 1/0; END", "CALL p_warn()", "SHOW WARNINGS",
    "CREATE FUNCTION f_add(a INT, b INT) RETURNS INT DETERMINISTIC NO SQL RETURN a + b", "SELECT f_add(1, 2)", "SHOW CREATE PROCEDURE p_out", "SHOW CREATE FUNCTION f_add",
    "CREATE TRIGGER trg BEFORE INSERT ON t FOR EACH ROW SET NEW.b = UPPER(NEW.b)", "INSERT INTO t (a, b) VALUES (70, 'shout')", "SELECT b FROM t WHERE a = 70",
    "CREATE VIEW v AS SELECT id, a FROM t", "SELECT COUNT(*) FROM v", "SHOW CREATE VIEW v", "DROP VIEW v",
    "CREATE PROCEDURE p_rows() BEGIN DECLARE i INT DEFAULT 0; WHILE i < 30 DO SELECT i, REPEAT('p', i * 10); SET i = i + 1; END WHILE; END", "CALL p_rows()",
    "CREATE PROCEDURE p_handler() BEGIN DECLARE CONTINUE HANDLER FOR SQLEXCEPTION SELECT 'handled'; SELECT * FROM nowhere; SELECT 'went on'; END", "CALL p_handler()") + \
    prepared("CALL p_out(?, ?, ?)") + prepared("CALL p_two()") + [command('multi off', rc.COM_SET_OPTION, b'\1\0', 'ok'), q("SELECT 1; SELECT 2"),
     command('multi on', rc.COM_SET_OPTION, b'\0\0', 'ok'), q("SELECT 1; SELECT 2"), command('set option 7', rc.COM_SET_OPTION, b'\7\0', 'ok')] + \
    prepared("SELECT 1; SELECT 2")

TRANSACTIONS = SETUP + many(
    "BEGIN", "SELECT COUNT(*) FROM t", "INSERT INTO t (a) VALUES (200)", "SAVEPOINT one", "INSERT INTO t (a) VALUES (201)", "ROLLBACK TO one", "RELEASE SAVEPOINT one", "COMMIT",
    "SELECT a FROM t WHERE a >= 200", "START TRANSACTION READ ONLY", "INSERT INTO t (a) VALUES (202)", "COMMIT", "START TRANSACTION WITH CONSISTENT SNAPSHOT", "SELECT COUNT(*) FROM t", "ROLLBACK",
    "SET autocommit = 0", "SELECT 1", "INSERT INTO t (a) VALUES (203)", "ROLLBACK", "SELECT COUNT(*) FROM t", "COMMIT", "SET autocommit = 1", "SELECT @@autocommit",
    "BEGIN", "INSERT INTO t (a) VALUES (1)", "SELECT COUNT(*) FROM t", "ROLLBACK", "BEGIN", "INSERT INTO t (a) VALUES (204)", "BEGIN", "ROLLBACK", "SELECT COUNT(*) FROM t",
    "BEGIN", "INSERT INTO t (a) VALUES (205)", "CREATE TABLE implicit_commit (x INT)", "ROLLBACK", "SELECT COUNT(*) FROM t", "COMMIT AND CHAIN", "SELECT 1", "ROLLBACK AND NO CHAIN NO RELEASE",
    "SET TRANSACTION ISOLATION LEVEL READ COMMITTED", "BEGIN", "SELECT COUNT(*) FROM t", "COMMIT", "SET SESSION TRANSACTION ISOLATION LEVEL SERIALIZABLE", "SELECT @@transaction_isolation",
    "SET SESSION TRANSACTION ISOLATION LEVEL REPEATABLE READ", "SET SESSION TRANSACTION READ ONLY", "INSERT INTO t (a) VALUES (206)", "SET SESSION TRANSACTION READ WRITE",
    "BEGIN", "SELECT * FROM nowhere", "SELECT COUNT(*) FROM t", "COMMIT", "LOCK TABLES t WRITE", "INSERT INTO t (a) VALUES (207)", "SELECT COUNT(*) FROM t", "UNLOCK TABLES",
    "XA START 'x1'", "INSERT INTO t (a) VALUES (208)", "XA END 'x1'", "XA PREPARE 'x1'", "XA COMMIT 'x1'", "XA START 'x2'", "XA END 'x2'", "XA ROLLBACK 'x2'", "XA COMMIT 'nope'",
    "SELECT GET_LOCK('acme_lock', 1)", "SELECT IS_FREE_LOCK('acme_lock')", "SELECT RELEASE_LOCK('acme_lock')", "SELECT RELEASE_LOCK('acme_lock')", "START TRANSACTION", "ROLLBACK", "ROLLBACK", "COMMIT",
    "BEGIN", "COMMIT", "BEGIN", "BEGIN", "BEGIN WORK", "COMMIT WORK", "SET @@autocommit = OFF", "BEGIN", "COMMIT", "SET @@session.autocommit = ON", "SELECT @@in_transaction")

STATE = SETUP + many(
    "SET @a = 5, @b = 'text', @c = NULL, @d = 1.5", "SELECT @a, @b, @c, @d, @never", "SELECT @e := 7", "SELECT @e", "SELECT 5 INTO @f", "SELECT @f", "SELECT a INTO @g FROM t WHERE id = 1", "SELECT @g",
    "SET NAMES latin1", "SELECT 'x', @@character_set_client, @@character_set_results, @@collation_connection", "SET NAMES utf8mb4 COLLATE utf8mb4_bin", "SELECT @@collation_connection",
    "SET CHARACTER SET utf8mb4", "SELECT @@character_set_connection", "SET NAMES utf8mb4", "SET character_set_results = NULL", "SELECT 'ü'", "SET NAMES utf8mb4",
    "SET sql_mode = 'ANSI_QUOTES'", "SELECT \"id\" FROM t LIMIT 1", "SET sql_mode = 'NO_BACKSLASH_ESCAPES'", "SELECT 'a\\'", "SET sql_mode = DEFAULT", "SELECT @@sql_mode",
    "SET time_zone = '+05:30'", "SELECT FROM_UNIXTIME(0), @@time_zone", "SET time_zone = 'SYSTEM'", "SET TIMESTAMP = 1000000000", "SELECT NOW(), UNIX_TIMESTAMP()", "SELECT NOW()", "SET TIMESTAMP = DEFAULT",
    "SET insert_id = 5000", "INSERT INTO t (a) VALUES (500)", "SELECT LAST_INSERT_ID()", "SET last_insert_id = 9", "SELECT LAST_INSERT_ID()", "SET sql_select_limit = 2", "SELECT id FROM t ORDER BY id", "SET sql_select_limit = DEFAULT",
    "SET group_concat_max_len = 4", "SELECT GROUP_CONCAT(a) FROM t", "SET SESSION wait_timeout = 1000", "SELECT @@wait_timeout", "SET lc_time_names = 'de_DE'", "SELECT DATE_FORMAT('2020-05-01', '%M')",
    "SET SESSION foreign_key_checks = 0", "SELECT @@foreign_key_checks", "SET div_precision_increment = 9", "SELECT 1/3", "SET SESSION sql_safe_updates = 1", "DELETE FROM t", "SET sql_safe_updates = 0",
    "SET @old = @@sql_mode, sql_mode = ''", "SET sql_mode = @old", "SELECT @@sql_mode = @old", "SET SESSION net_write_timeout = 61", "SELECT @@net_write_timeout", "SET rand_seed1 = 1, rand_seed2 = 2", "SELECT RAND()",
    "CREATE TEMPORARY TABLE tmp (x INT)", "INSERT INTO tmp VALUES (1)", "SELECT * FROM tmp", "DROP TEMPORARY TABLE tmp", "SELECT * FROM tmp", "PREPARE s1 FROM 'SELECT ? + 1'", "SET @v = 41", "EXECUTE s1 USING @v", "DEALLOCATE PREPARE s1",
    "USE tenant_acme", "SELECT DATABASE()", "SELECT @@identity", "SET NAMES no_such_charset", "SET sql_mode = 'NONSENSE'", "SET time_zone = 'Nowhere/Land'", "SET @@session.nope = 1", "SET SESSION max_allowed_packet = 1024",
    "SET profiling = 1", "SHOW PROFILES", "SET SESSION sql_warnings = 1", "SET big_tables = 1", "SET SESSION lock_wait_timeout = 5", "SELECT @@lock_wait_timeout", "SET STATEMENT max_statement_time = 1 FOR SELECT 1", "SELECT @@lower_case_table_names",
    "SET @tmp_list = (SELECT GROUP_CONCAT(id) FROM t)", "SELECT @tmp_list", "SET @x := @x + 1", "SELECT @x") + [
    q("HANDLER t OPEN"), q("HANDLER t READ FIRST"), q("HANDLER t CLOSE")]
