"""PyMySQL and mysqlclient, the same script. argv: module host port user password db"""
import importlib
import sys

name, host, port, user, password, db = sys.argv[1:]
module = importlib.import_module(name)
c = module.connect(
    host=host, port=int(port), user=user, password=password, database=db, charset='utf8mb4', local_infile=True
)
k = c.cursor()
k.execute('DROP TABLE IF EXISTS py')
k.execute(
    'CREATE TABLE py (id INT AUTO_INCREMENT PRIMARY KEY, s VARCHAR(40), d DECIMAL(10,2), '
    't DATETIME(6), b LONGBLOB, j JSON)'
)
k.executemany(
    'INSERT INTO py (s, d, t, b, j) VALUES (%s, %s, %s, %s, %s)',
    [(f'näme {i} 🚢', i * 1.25, f'2024-02-29 00:00:0{i % 10}.5', bytes([0, i]), '{"i": %d}' % i) for i in range(100)],
)
print('rows', k.rowcount, 'id', k.lastrowid)
c.commit()
k.execute('SELECT * FROM py WHERE id IN (1, 50, 100) ORDER BY id')
for row in k.fetchall():
    print(row)
k.execute('DELETE FROM py')
c.rollback()
k.execute('SELECT COUNT(*), SUM(d) FROM py')
print(k.fetchone())
for bad in ('SELECT * FROM nowhere', 'SELEC', 'INSERT INTO py (id) VALUES (1)'):
    try:
        k.execute(bad)
    except module.Error as error:
        print('error', type(error).__name__, error.args[0])
k.execute('DROP PROCEDURE IF EXISTS py_p')
k.execute('CREATE PROCEDURE py_p(x INT) BEGIN SELECT x; SELECT x * 2; END')
k.callproc('py_p', (21,))
print(k.fetchall(), k.nextset(), k.fetchall())
while k.nextset():
    pass
k.execute('SELECT @_py_p_0')
print(k.fetchall())
s = c.cursor(importlib.import_module(name + '.cursors').SSCursor)
s.execute('SELECT id, s FROM py ORDER BY id')
print('streamed', sum(1 for _ in s))
s.close()
k.execute("SELECT REPEAT('x', 20000000)")
print('long', len(k.fetchone()[0]))
c.ping()
c.select_db(db)
c.close()
print('ok')
