// node's mysql2 on the admin listener: text, prepared, pool, errors. argv: host port user password
const mysql = require('mysql2/promise');
const [host, port, user, password] = process.argv.slice(2);
(async () => {
  const options = {host, port: Number(port), user, password, database: 'bulkhead', multipleStatements: true};
  const c = await mysql.createConnection(options);
  const [shards] = await c.query('SHOW SHARDS');
  console.log('shards', shards.map((r) => r.name).join());
  const [rows, fields] = await c.execute('SELECT name, epoch, max_wait FROM shards WHERE name = ? AND epoch >= ?', ['s1', 1]);
  console.log(JSON.stringify(rows), fields.map((f) => f.name + ':' + f.columnType).join());
  const [limited] = await c.execute('SELECT name FROM shards ORDER BY name LIMIT ?', [2]);
  console.log('limited', limited.length);
  const [nulls] = await c.execute('SELECT ? IS NULL AS a, ? AS b, ? AS c', [null, 'it\'s', 1.5]);
  console.log(JSON.stringify(nulls));
  const [held] = await c.execute('HOLD TENANT ?', ['t1']);
  console.log('held', held.affectedRows, held.info);
  const [released] = await c.execute('RELEASE TENANT t1');
  console.log('released', released.info);
  for (const sql of ['SELECT * FROM nowhere', 'SELEC', 'DRAIN BACKEND nowhere']) {
    await c.query(sql).catch((e) => console.log('error', e.errno, e.sqlState));
    await c.execute(sql).catch((e) => console.log('error', e.errno, e.sqlState));
  }
  const [multi] = await c.query('SELECT 1 AS a; SELECT 2 AS b');
  console.log(JSON.stringify(multi));
  await c.ping();
  await c.changeUser({user, password});
  await c.end();
  const pool = mysql.createPool({...options, connectionLimit: 5});
  const sums = await Promise.all([...Array(40).keys()].map((i) => pool.execute('SELECT ? * 2 AS n', [i]).then(([r]) => Number(r[0].n))));
  console.log('pool', sums.reduce((a, b) => a + b));
  await pool.end();
  console.log('ok');
})().catch((e) => { console.error(e); process.exit(1); });
