# Perl's DBI with DBD::mysql: text and server-side prepared statements, blobs, errors, transactions. argv: host port user password db
use strict; use warnings; use DBI;
my ($host, $port, $user, $password, $db) = @ARGV;
for my $server_side (0, 1) {
    my $h = DBI->connect("DBI:mysql:database=$db;host=$host;port=$port;mysql_server_prepare=$server_side", $user, $password,
                         {RaiseError => 1, PrintError => 0, AutoCommit => 1, mysql_enable_utf8mb4 => 1});
    $h->do('DROP TABLE IF EXISTS perl');
    $h->do('CREATE TABLE perl (id INT AUTO_INCREMENT PRIMARY KEY, name VARCHAR(40), data LONGBLOB, n BIGINT UNSIGNED)');
    my $s = $h->prepare('INSERT INTO perl (name, data, n) VALUES (?, ?, ?)');
    for my $i (1 .. 5) { $s->execute("name $i", "\0" x $i, "1844674407370955161$i"); print "id ", $h->last_insert_id(undef, undef, undef, undef), "\n"; }
    $s = $h->prepare('SELECT id, name, LENGTH(data), n FROM perl WHERE id > ? ORDER BY id');
    $s->execute(2);
    while (my @row = $s->fetchrow_array) { print join(',', @row), "\n"; }
    $h->begin_work; $h->do('DELETE FROM perl'); $h->rollback;
    print 'count ', $h->selectrow_array('SELECT COUNT(*) FROM perl'), "\n";
    eval { $h->do('INSERT INTO perl (id) VALUES (1)') }; print 'error ', $h->err, ' ', $h->state, "\n";
    eval { $h->do('NONSENSE') }; print 'error ', $h->err, "\n";
    print 'ping ', $h->ping, "\n";
    my ($long) = $h->selectrow_array("SELECT REPEAT('l', 3000000)"); print 'long ', length($long), "\n";
    print join(',', map { $_->[0] } @{$h->selectall_arrayref('SHOW COLUMNS FROM perl')}), "\n";
    $h->disconnect;
}
print "ok\n";
