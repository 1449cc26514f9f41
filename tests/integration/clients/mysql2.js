// node's mysql2: text, prepared, pool, transactions, errors, streams. argv: host port user password db
const mysql = require('mysql2/promise');
const [host, port, user, password, database] = process.argv.slice(2);
(async () => {
  const options = {host, port: Number(port), user, password, database, multipleStatements: true};
  const c = await mysql.createConnection(options);
  await c.query('DROP TABLE IF EXISTS node2');
  await c.query('CREATE TABLE node2 (id INT AUTO_INCREMENT PRIMARY KEY, v JSON, d DATETIME(3), b BLOB, n BIGINT)');
  const [r] = await c.execute('INSERT INTO node2 (v, d, b, n) VALUES (?, ?, ?, ?)', [JSON.stringify({a: 1}), '2024-02-29 01:02:03.004', Buffer.from([0, 255]), 5]);
  console.log('insert', r.insertId, r.affectedRows);
  const [rows, fields] = await c.execute('SELECT * FROM node2 WHERE id = ?', [1]);
  console.log(JSON.stringify(rows), fields.map((f) => f.name + ':' + f.columnType).join());
  const [multi] = await c.query('SELECT 1 AS a; SELECT 2 AS b; DO 1');
  console.log(JSON.stringify(multi.slice(0, 2)));
  await c.beginTransaction();
  await c.query('INSERT INTO node2 (n) VALUES (9)');
  await c.rollback();
  console.log('count', (await c.query('SELECT COUNT(*) AS n FROM node2'))[0][0].n);
  for (const sql of ['SELECT * FROM nowhere', 'SELEC', 'INSERT INTO node2 (id) VALUES (1)']) {
    await c.query(sql).catch((e) => console.log('error', e.errno, e.sqlState));
    await c.execute(sql).catch((e) => console.log('error', e.errno, e.sqlState));
  }
  await c.ping();
  await c.changeUser({user, password, database});
  for (let i = 0; i < 30; i++) await c.execute('SELECT ' + i + ' + ?', [i]);
  await c.end();
  const pool = mysql.createPool({...options, connectionLimit: 5});
  const sums = await Promise.all([...Array(40).keys()].map((i) => pool.execute('SELECT ? * 2 AS n', [i]).then(([r]) => Number(r[0].n))));
  console.log('pool', sums.reduce((a, b) => a + b));
  await pool.end();
  console.log('ok');
})().catch((e) => { console.error(e); process.exit(1); });
