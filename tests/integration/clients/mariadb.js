// node's mariadb: query, execute, batch (bulk protocol), pool, import of errors. argv: host port user password db
const mariadb = require('mariadb');
const [host, port, user, password, database] = process.argv.slice(2);
(async () => {
  const options = {host, port: Number(port), user, password, database, bigIntAsNumber: true, insertIdAsNumber: true};
  const c = await mariadb.createConnection(options);
  await c.query('DROP TABLE IF EXISTS nodem');
  await c.query('CREATE TABLE nodem (id INT AUTO_INCREMENT PRIMARY KEY, s VARCHAR(30), n INT)');
  console.log(JSON.stringify(await c.query('INSERT INTO nodem (s, n) VALUES (?, ?)', ['ü', 1])));
  const b = await c.batch('INSERT INTO nodem (s, n) VALUES (?, ?)', [...Array(50).keys()].map((i) => ['row ' + i, i]));
  console.log('batch', b.affectedRows);
  const s = await c.prepare('SELECT s, n FROM nodem WHERE n > ? ORDER BY id');
  for (const n of [45, 47, 49]) console.log(JSON.stringify(await s.execute([n])));
  s.close();
  await c.beginTransaction();
  await c.query('DELETE FROM nodem');
  await c.rollback();
  console.log('count', (await c.query('SELECT COUNT(*) AS n FROM nodem'))[0].n);
  for (const sql of ['SELECT * FROM nowhere', 'SELEC', 'INSERT INTO nodem (id) VALUES (1)']) {
    await c.query(sql).catch((e) => console.log('error', e.errno, e.sqlState));
    await c.execute(sql).catch((e) => console.log('error', e.errno, e.sqlState));
  }
  let streamed = 0;
  for await (const _ of c.queryStream("SELECT id AS n FROM nodem")) streamed += 1;
  console.log('streamed', streamed);
  await c.ping();
  await c.reset().catch((e) => console.log('reset', e.errno));
  await c.changeUser({user, password, database}).catch((e) => console.log('change user', e.errno));  // not on MySQL
  await c.end();
  const pool = mariadb.createPool({...options, connectionLimit: 4});
  const sums = await Promise.all([...Array(40).keys()].map((i) => pool.query('SELECT ? * 2 AS n', [i]).then((r) => Number(r[0].n))));
  console.log('pool', sums.reduce((a, b) => a + b));
  await pool.end();
  console.log('ok');
})().catch((e) => { console.error(e); process.exit(1); });
