<?php
// A day in the life of a PHP application: mysqli and PDO, text and prepared, transactions, errors. argv: host port user password db
mysqli_report(MYSQLI_REPORT_ERROR | MYSQLI_REPORT_STRICT);
[$_, $host, $port, $user, $password, $db] = $argv;
$m = new mysqli($host, $user, $password, $db, (int)$port);
$m->set_charset('utf8mb4');
$m->query('DROP TABLE IF EXISTS php');
$m->query('CREATE TABLE php (id INT AUTO_INCREMENT PRIMARY KEY, name VARCHAR(50), price DECIMAL(8,2), data BLOB, made DATETIME NULL)');
$s = $m->prepare('INSERT INTO php (name, price, data, made) VALUES (?, ?, ?, ?)');
foreach ([['ä', 1.5, "\0\1", '2024-02-29 10:00:00'], ['b', -2.25, null, null]] as $row) {
    $s->bind_param('sdss', ...$row);
    $s->execute();
    echo "insert id {$m->insert_id} affected {$s->affected_rows}\n";
}
$s = $m->prepare('SELECT * FROM php WHERE id >= ? ORDER BY id');
$one = 1;
$s->bind_param('i', $one);
$s->execute();
foreach ($s->get_result() as $row) { $row['data'] = bin2hex($row['data'] ?? ''); echo json_encode($row, JSON_UNESCAPED_UNICODE), "\n"; }
$m->begin_transaction();
$m->query("INSERT INTO php (name) VALUES ('gone')");
$m->rollback();
echo 'rows ', $m->query('SELECT COUNT(*) FROM php')->fetch_row()[0], "\n";
try { $m->query('SELECT * FROM nowhere'); } catch (mysqli_sql_exception $e) { echo 'error ', $e->getCode(), ' ', $e->getSqlState(), "\n"; }
$m->multi_query('SELECT 1; SELECT 2; INSERT INTO php (name) VALUES (\'m\')');
do { if ($r = $m->store_result()) echo 'multi ', $r->fetch_row()[0], "\n"; } while ($m->more_results() && $m->next_result());
$m->query('SELECT 1/0');
echo 'warnings ', $m->warning_count, ' ', $m->get_warnings()->message, "\n";
$m->change_user($user, $password, $db);
$m->select_db($db);
echo 'ping ', var_export(@$m->query('DO 1'), true), ' stat ', strlen($m->stat()) > 10 ? 'yes' : 'no', "\n";
$r = $m->query('SELECT id FROM php ORDER BY id', MYSQLI_USE_RESULT);
while ($row = $r->fetch_row()) echo 'unbuffered ', $row[0], "\n";
$r->free();
$m->close();
foreach ([true, false] as $emulate) {
    $p = new PDO("mysql:host=$host;port=$port;dbname=$db;charset=utf8mb4", $user, $password, [PDO::ATTR_EMULATE_PREPARES => $emulate, PDO::ATTR_ERRMODE => PDO::ERRMODE_EXCEPTION]);
    $q = $p->prepare('SELECT id, name, price FROM php WHERE name <> :n ORDER BY id');
    $q->execute([':n' => "it's"]);
    echo json_encode($q->fetchAll(PDO::FETCH_ASSOC), JSON_UNESCAPED_UNICODE), "\n";
    $p->beginTransaction();
    $p->exec("INSERT INTO php (name) VALUES ('kept')");
    echo 'last id ', $p->lastInsertId(), "\n";
    $p->commit();
    try { $p->exec('INSERT INTO php (id) VALUES (1)'); } catch (PDOException $e) { echo 'error ', $e->errorInfo[0], ' ', $e->errorInfo[1], "\n"; }
    try { $p->prepare('SELEC ?')->execute([1]); } catch (PDOException $e) { echo 'error ', $e->errorInfo[0], "\n"; }
}
// A persistent connection: PHP pings it and goes on.
for ($i = 0; $i < 2; $i++) {
    $m = new mysqli("p:$host", $user, $password, $db, (int)$port);
    echo 'persistent ', $m->query('SELECT 5')->fetch_row()[0], "\n";
    $m->close();
}
echo "ok\n";
