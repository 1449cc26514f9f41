"""The commands of docs/OPERATIONS.md and docs/RUNBOOK.md, as they stand there."""
import re
import subprocess
from pathlib import Path

import paths
from servers import ADMIN_PASSWORD

OPERATIONS = (paths.ROOT / 'docs/OPERATIONS.md').read_text()
RUNBOOK = (paths.ROOT / 'docs/RUNBOOK.md').read_text()


def chapter(title: str, document: str = OPERATIONS) -> str:
    """From its heading to the next of the same level or above."""
    found = re.search(rf'^(#+) {re.escape(title)}$', document, re.MULTILINE)
    assert found, f'no chapter "{title}"'
    rest = document[found.end() :]
    end = re.search(rf'^#{{1,{len(found[1])}}} ', rest, re.MULTILINE)
    return rest[: end.start()] if end else rest


def steps(text: str) -> dict[int, list[str]]:
    """The commands that stand on lines of their own, by the number of their step."""
    found: dict[int, list[str]] = {}
    for line in text.splitlines():
        if number := re.match(r'(\d+)\. ', line):
            found[int(number[1])] = []
        elif line.startswith(' ' * 7) and line.strip():
            found[max(found)].append(line.strip())
    return found


def inline(text: str) -> list[str]:
    """What stands between backquotes."""
    return re.findall(r'`([^`\n]+)`', text)


def blocks(text: str) -> list[list[str]]:
    """The lines of each indented block."""
    return [
        [line[4:] for line in block.strip('\n').splitlines()]
        for block in re.findall(r'(?:^ {4}.*\n)+', text, re.MULTILINE)
    ]


def grants() -> dict[str, dict[str, list[str]]]:
    """By kind of server and the tests' name of the account: what docs/OPERATIONS.md grants it."""
    found = {}
    for kind, lines in zip(('mariadb', 'mysql'), blocks(chapter('Accounts on the backends')), strict=True):
        found[kind] = {
            name: [match[1] for line in lines if (match := re.fullmatch(rf'GRANT (.*) TO {account};', line))]
            for name, account in (('probe', 'bulkhead_probe'), ('control', 'bulkhead'))
        }
    return found


class Shell:
    """Runs lines that begin with `$`: the files of /root lie in `folder`, the servers' logins are there."""

    def __init__(self, folder: Path, **replacements: str):
        self.folder, self.replacements = folder, {'/root/': f'{folder}/', **replacements}

    def knows(self, name: str, server) -> None:
        login = f'host={server.host}\nport={server.port}\nuser=admin\npassword={ADMIN_PASSWORD}\n'
        (self.folder / f'{name}.cnf').write_text(f'[client]\n{login}')

    def __call__(self, line: str) -> str:
        assert line.startswith('$ '), line
        text = line[2:]
        for old, new in self.replacements.items():
            text = text.replace(old, new)
        done = subprocess.run(
            ['bash', '-o', 'pipefail', '-c', text],
            capture_output=True,
            text=True,
            timeout=120,
            stdin=subprocess.DEVNULL,
        )
        assert done.returncode == 0, f'{text}\nended with {done.returncode}: {done.stderr}'
        return done.stdout
