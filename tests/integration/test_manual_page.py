"""docs/bulkhead.8: well-formed, and nothing of --help is missing in it."""
import re
import shutil
import subprocess

import pytest

import paths

PAGE = paths.ROOT / 'docs/bulkhead.8'


def checked(*argv) -> str:
    if not shutil.which(argv[0]):
        pytest.skip(f'{argv[0]} is not installed')
    done = subprocess.run(argv, capture_output=True, text=True, timeout=30, stdin=subprocess.DEVNULL)
    lines = [x for x in (done.stdout + done.stderr).splitlines() if 'outdated mandoc.db' not in x]
    return '\n'.join(lines) if argv[0] == 'mandoc' else done.stderr


def test_it_is_well_formed():
    assert checked('mandoc', '-Tlint', PAGE) == ''
    assert checked('man', '--warnings', '--encoding=UTF-8', '-l', PAGE) == ''


def help_of(binary, *command) -> str:
    return subprocess.run([binary, *command, '--help'], capture_output=True, text=True, timeout=20).stdout


def commands(binary, *command) -> dict[tuple, str]:
    """Each subcommand, and theirs, with its help."""
    text = help_of(binary, *command)
    found = {command: text}
    listed = re.search(r'^Subcommands:\n((?:  .*\n)+)', text, re.M)
    for name in re.findall(r'^  (\w+)', listed[1], re.M) if listed else []:
        found.update(commands(binary, *command, name))
    return found


def test_every_command_and_option_is_in_it(binary):
    page = PAGE.read_text()
    of = {'': page}
    for part in re.split(r'^\.Ss ', page, flags=re.M)[1:]:
        name, text = part.split('\n', 1)
        of[name] = text.split('\n.Sh ', 1)[0]
    found = commands(binary)
    assert len(found) >= 9
    for command, text in found.items():
        section = of.get(command[0] if command else '')
        assert section, f'{command} has no part'
        if len(command) > 1:
            assert re.search(rf'^\.Cm {command[1]}\b', section, re.M), command
        if command == ('health',):
            section += of['top']  # it says so
        for option in re.findall(r'^  (-[-\w,]+)', text, re.M):
            for one in option.split(','):
                # In mdoc the first hyphen is the macro's: `Fl -json`, `Fl e`.
                where = page if one in ('-h', '--help', '--version') else section
                assert re.search(rf'Fl {re.escape(one[1:])}(?=\s|$)', where, re.M), f'{command}: {one} is not there'


def test_it_names_nothing_that_is_not_there(binary):
    """Options of the page that no command has."""
    known = set(re.findall(r'(?<!\S)(-[-\w]+)', ' '.join(commands(binary).values()).replace(',', ' ')))
    named = {f'-{name}' for name in re.findall(r'\bFl (-?[\w-]+)', PAGE.read_text())}
    assert named <= known, named - known
