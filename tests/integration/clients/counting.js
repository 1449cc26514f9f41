// node's mysql2 writes rows until its stdin ends, and prints the id of each that was acknowledged.
// argv: host port user password database first-id. As text, prepared, and in transactions on a pool's connections; the
// last line is `ok`, or an error as it came.
const mysql = require('mysql2/promise');
const [host, port, user, password, database, first] = process.argv.slice(2);
let going = true;
process.stdin.on('end', () => { going = false; }).resume();
const pace = () => new Promise((resolve) => setTimeout(resolve, 5)); // of an application: the machine is for the servers
(async () => {
  const pool = mysql.createPool({host, port: Number(port), user, password, database, connectionLimit: 3});
  const writer = async (offset) => {
    for (let number = Number(first) + offset; going; number += 9) {
      await pool.query("INSERT INTO counted VALUES (?, 'text')", [number]);
      console.log(number);
      await pool.execute("INSERT INTO counted VALUES (?, 'prepared')", [number + 3]);
      console.log(number + 3);
      const connection = await pool.getConnection();
      await connection.beginTransaction();
      await connection.execute("INSERT INTO counted VALUES (?, 'transaction')", [number + 6]);
      await connection.commit();
      connection.release();
      console.log(number + 6);
      await pace();
    }
  };
  await Promise.all([0, 1, 2].map(writer));
  await pool.end();
  console.log('ok');
})().catch((e) => { console.error(e); process.exit(1); });
