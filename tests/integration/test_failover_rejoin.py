"""An old primary that was failed over and came back: rebuilt as docs/OPERATIONS.md says, let in again, and made the
primary once more."""
import re
import subprocess

import pytest

import ledger
import mysql_sid
import paths
from change_fleet import TENANT, ChangeFleet
from processes import wait_until
from replication import ACCOUNT
from servers import ADMIN_PASSWORD, Server
from sessions import login, run
from switching import Switching
from test_failover import QUICK, kind  # noqa: F401 (a fixture)

pytestmark = pytest.mark.slow
DOCUMENT = (paths.ROOT / 'docs/OPERATIONS.md').read_text()
SECTION = DOCUMENT[DOCUMENT.index('### A fenced server') : DOCUMENT.index('### Automatic failover')]


def documented(fleet: ChangeFleet) -> list[str]:
    """Statements, what is run in a shell, and statements again: of this kind, as the document has them."""
    blocks = re.findall(r'(?:^    .*\n)+', SECTION[SECTION.index('\nMariaDB; ') :], re.MULTILINE)
    assert len(blocks) == 6, blocks
    return [re.sub('^    ', '', b, flags=re.MULTILINE) for b in (blocks[:3] if fleet.kind == 'mariadb' else blocks[3:])]


def command(kind: str, name: str, server: Server) -> str:
    """A command line's beginning, on this server as the administrator."""
    program = name if kind == 'mariadb' else ' '.join(map(str, mysql_sid.command(f'usr/bin/{name}')))
    account = f'--protocol=tcp --user=admin --password={ADMIN_PASSWORD}'
    return f'{program} --no-defaults --host=127.0.0.1 --port={server.port} {account}'


def rebuild(fleet: ChangeFleet, old: int, new: int, folder) -> None:
    """Word for word, with this fleet's addresses and accounts."""

    def in_shell(text: str, stdin: str = '') -> None:
        done = subprocess.run(
            ['bash', '-e', '-c', text], cwd=folder, input=stdin, capture_output=True, text=True, timeout=120
        )
        assert done.returncode == 0, f'{text}\n{stdin}\n{done.stderr}'

    def in_client(text: str) -> None:
        text = text.replace("'db2'", "'127.0.0.1'").replace('PORT = 3306', f'PORT = {fleet[new].port}')
        text = text.replace("'replicator'", f"'{ACCOUNT[0]}'").replace("'...'", f"'{ACCOUNT[1]}'")
        in_shell(command(fleet.kind, fleet.words('mariadb', 'mysql'), fleet[old]), text)

    before, shell, after = documented(fleet)
    in_client(before)
    places = {'db1': fleet[old], 'db2': fleet[new]}
    shell, count = re.subn(
        r'\b(mariadb|mysql|mariadb-dump|mysqldump) -h (db[12])\b',
        lambda m: command(fleet.kind, m[1], places[m[2]]),
        shell,
    )
    assert count == 3, shell
    in_shell(shell)
    in_client(after)


def test_a_fenced_primary_is_rebuilt_and_becomes_the_primary_again(kind, tmp_path):  # noqa: F811
    with ChangeFleet(kind, f'rejoin-{kind}', 3) as fleet, Switching(fleet, QUICK) as s:
        old, new = s.primary, s.other
        client = login(s.router, TENANT)
        run(client, f'INSERT INTO tenant_{TENANT}.ledger VALUES (1, 0)')
        fleet.catch_up(old)
        fleet.freeze(old)
        s.router.wait_states(**{f'db{old}': 'down'})
        done = s.router.ask(f'FAILOVER SHARD s1 TO db{new} ACCEPT DATA LOSS ACCEPT SPLIT BRAIN')
        assert done.ok, done.message
        run(client, f'INSERT INTO tenant_{TENANT}.ledger VALUES (2, 0)')
        fleet.thaw(old)
        s.router.wait_states(**{f'db{old}': 'fenced'})
        # Somebody has written there past the router: a row, and a table that nobody else has.
        fleet[old].execute(
            f'INSERT INTO tenant_{TENANT}.ledger VALUES (3, 0)', f'CREATE TABLE tenant_{TENANT}.only_here (x INT)'
        )
        assert 3 not in ledger.rows_of(fleet[new], TENANT)
        refused = s.router.ask(f'SWITCHOVER SHARD s1 TO db{old}')
        assert not refused.ok and 'is fenced' in refused.message, refused.message

        rebuild(fleet, old, new, tmp_path)
        wait_until(lambda: fleet.source_of(old) == new, 20, f'db{old} replicates from db{new}')
        fleet.catch_up(new)
        assert sorted(ledger.rows_of(fleet[old], TENANT)) == [1, 2]
        assert not fleet[old].execute("SHOW TABLES LIKE 'only_here'", db=f'tenant_{TENANT}')

        # AUTO alone does not lift the fence, as the runbook says; UP does.
        assert s.router.ask(f'MARK BACKEND db{old} AUTO').ok
        assert s.router.states()[f'db{old}'] == 'fenced'
        assert s.router.ask(f'MARK BACKEND db{old} UP').ok
        s.router.wait_states(**{f'db{old}': 'up'})
        assert s.router.ask(f'MARK BACKEND db{old} AUTO').ok
        # Stored too: it is no longer fenced for the next process.
        s.router.stop()
        s.router.start()
        s.wait_up()

        s.primary = new
        load = s.load()
        back = s.switch(old)
        assert back.ok, back.message
        s.served()
        s.judge(load.finish(), old)
        fleet.check_roles(old)
        fleet.catch_up(old)
        rows = ledger.rows_of(fleet[old], TENANT)
        assert rows and all(ledger.rows_of(server, TENANT) == rows for server in fleet.servers)
