"""The rules of the house that a program can check, over every file that git knows (or would add)."""
import re
import subprocess
from functools import lru_cache
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
TOP = {
    'CMakeLists.txt',
    'CMakePresets.json',
    'README.md',
    'LICENSE',
    'CHANGELOG.md',
    'CONTRIBUTING.md',
    'proxy',
    'routing',
    'metrics',
    'tests',
    'deploy',
    'docs',
}
MAX_LINES, MAX_COLUMNS, MAX_PYTHON_COLUMNS = 500, 100, 120

# Who may include whom: the table of docs/ARCHITECTURE.md. Each folder may include itself.
ARROWS = {
    'routing': set(),
    'metrics': set(),
    'proxy/log': set(),
    'proxy/wire': set(),
    'proxy/sql': set(),
    'proxy/auth': {'proxy/wire'},
    'proxy/session': {'proxy/wire', 'proxy/auth', 'proxy/sql', 'routing'},
    'proxy/config': {'routing'},
    'proxy/io': {'proxy/session', 'proxy/wire', 'proxy/auth', 'routing', 'proxy/config', 'proxy/log', 'metrics'},
    'proxy/control': {'routing', 'proxy/config', 'proxy/log', 'metrics', 'proxy/io'},
    'proxy/admin': {
        'routing',
        'proxy/control',
        'proxy/wire',
        'proxy/auth',
        'proxy/session',
        'proxy/io',
        'proxy/config',
        'proxy/log',
        'metrics',
    },
    'proxy/http': {'routing', 'proxy/control', 'proxy/config', 'proxy/log', 'metrics'},
}
# Arrows that the table does not have, each with its reason.
EXTRA_ARROWS = {
    ('proxy/admin', 'proxy/sql'): 'EXPLAIN ROUTE reads statements as sessions do',
    ('proxy/io', 'proxy/sql'): "the table gives io session, and session's interface names sql's types",
}
THIRD_PARTY = {'absl', 'yaml-cpp', 'spdlog', 'prometheus', 'openssl', 'nlohmann', 'CLI', 'gtest', 'gmock', 'sqlite3'}
PURE = ['routing', 'proxy/wire', 'proxy/auth', 'proxy/sql', 'proxy/session', 'metrics']
CLOCKS = re.compile(
    r'\b(?:(?:steady|system|high_resolution|utc)_clock::now|clock_gettime|gettimeofday|absl::Now|uv_now|uv_hrtime|'
    r'std::time\s*\(|[^_\w.>:]time\s*\(\s*(?:NULL|nullptr|0)\s*\)|std::random_device|std::rand\b|RAND_bytes|getrandom)'
)
SYSTEM = re.compile(r'#include\s*<(?:sys/socket|sys/epoll|netinet/|arpa/|poll|unistd|thread|uv|mysql|mariadb)[^>]*>')


@lru_cache(maxsize=None)
def files() -> tuple[Path, ...]:
    out = subprocess.run(
        ['git', 'ls-files', '--cached', '--others', '--exclude-standard'], cwd=ROOT, capture_output=True, text=True
    )
    names = (
        out.stdout.splitlines()
        if out.returncode == 0
        else [
            str(p.relative_to(ROOT))
            for p in ROOT.rglob('*')
            if p.is_file() and not {'build', '.git'} & set(p.relative_to(ROOT).parts)
        ]
    )
    return tuple(sorted(Path(n) for n in set(names) if (ROOT / n).is_file()))


def cpp() -> list[Path]:
    return [f for f in files() if f.suffix in ('.cc', '.h')]


def text(file: Path) -> str:
    return (ROOT / file).read_text(errors='replace')


def code_only(source: str) -> str:
    """Without comments and string literals, line numbers kept."""

    def blank(match):
        return re.sub(r'[^\n]', ' ', match[0])

    return re.sub(
        r'//[^\n]*|/\*.*?\*/|"(?:\\.|[^"\\\n])*"',
        lambda m: m[0] if m[0].startswith('"') and False else blank(m),
        source,
        flags=re.S,
    )


def lines_with(file: Path, pattern: re.Pattern, source: str | None = None) -> list[str]:
    return [
        f'{file}:{n}: {line.strip()[:100]}'
        for n, line in enumerate((source or text(file)).splitlines(), 1)
        if pattern.search(line)
    ]


@lru_cache(maxsize=None)
def exceptions() -> dict[tuple[str, str], str]:
    found = {}
    for line in (Path(__file__).parent / 'exceptions.txt').read_text().splitlines():
        if line.strip() and not line.startswith('#'):
            rule, path, reason = (part.strip() for part in line.split('|', 2))
            assert reason, f'no reason: {line}'
            found[rule, path] = reason
    return found


def judge(rule: str, offenders: dict[Path, list[str]]) -> None:
    """Fails on offenders without an exception, and on exceptions that are not needed any more."""
    allowed = {path for r, path in exceptions() if r == rule}
    bad = [entry for file, entries in offenders.items() if str(file) not in allowed for entry in entries]
    stale = [path for path in allowed if Path(path) not in offenders]
    assert not bad, f'{len(bad)}:\n' + '\n'.join(bad[:40])
    assert not stale, f'exceptions not needed any more: {stale}'


def folder_of(file: Path) -> str | None:
    name = str(file)
    return next((folder for folder in sorted(ARROWS, key=len, reverse=True) if name.startswith(folder + '/')), None)


def test_top_level():
    found = {f.parts[0] for f in files() if not f.parts[0].startswith('.')}
    assert found <= TOP, f'not a place for these: {sorted(found - TOP)}'


def test_include_arrows():
    offenders: dict[Path, list[str]] = {}
    for file in cpp():
        own = folder_of(file)
        if own is None:
            continue  # proxy/server.*, main.cc and the tests may include everything
        for n, line in enumerate(text(file).splitlines(), 1):
            included = re.match(r'\s*#include\s+"([^"]+)"', line)
            if not included:
                continue
            target = folder_of(Path(included[1]))
            if target is None and included[1].split('/')[0] in THIRD_PARTY:
                continue
            if target is None:
                offenders.setdefault(file, []).append(
                    f'{file}:{n}: includes "{included[1]}", which is no folder of ours'
                )
            elif target != own and target not in ARROWS[own] and (own, target) not in EXTRA_ARROWS:
                offenders.setdefault(file, []).append(f'{file}:{n}: {own} may not include {target}')
    judge('include-arrows', offenders)


def test_uv_only_in_io():
    pattern = re.compile(r'#include\s*[<"]uv\.h|#include\s*<uv/')
    judge(
        'uv',
        {
            f: found
            for f in cpp()
            if not str(f).startswith(('proxy/io/', 'tests/io/', 'tests/bench/')) and (found := lines_with(f, pattern))
        },
    )


def test_mysql_h_only_where_it_is_wrapped():
    pattern = re.compile(r'#include\s*[<"](?:mysql|mariadb)[/.]')
    allowed = ('proxy/control/control_client', 'proxy/admin/client_link')
    judge('mysql.h', {f: found for f in cpp() if not str(f).startswith(allowed) and (found := lines_with(f, pattern))})


def test_pure_folders_read_no_clock_and_no_socket():
    offenders = {}
    for file in cpp():
        if folder_of(file) in PURE and folder_of(file) != 'metrics':
            source = re.sub(r'//[^\n]*', '', text(file))
            found = lines_with(file, CLOCKS, source) + lines_with(file, SYSTEM, source)
            if found:
                offenders[file] = found
    judge('pure', offenders)


def test_file_length():
    offenders = {}
    for file in files():
        if file.suffix in ('.cc', '.h', '.py', '.sh') or (ROOT / file).read_bytes()[:2] == b'#!':
            count = len(text(file).splitlines())
            if count > MAX_LINES:
                offenders[file] = [f'{file}: {count} lines']
    judge('file-length', offenders)


def test_line_length():
    offenders = {}
    for file in files():
        limit = {'.cc': MAX_COLUMNS, '.h': MAX_COLUMNS, '.py': MAX_PYTHON_COLUMNS}.get(file.suffix)
        if limit:
            found = [
                f'{file}:{n}: {len(line)} columns'
                for n, line in enumerate(text(file).splitlines(), 1)
                if len(line) > limit
            ]
            if found:
                offenders[file] = found
    judge('long-lines', offenders)


def test_nothing_left_open():
    pattern = re.compile(r'\b(TO' r'DO|FIX' r'ME|XX' r'X|HA' r'CK)\b')
    judge(
        'left-open',
        {
            f: found
            for f in files()
            if f.suffix in ('.cc', '.h', '.py', '.sh', '.md', '.txt', '.yaml', '')
            and not str(f).startswith(('tests/fuzz/corpus/', 'tests/integration/suites/'))
            and (found := lines_with(f, pattern))
        },
    )


def test_no_exceptions_of_ours():
    pattern = re.compile(r'\bthrow\b')
    judge(
        'throw',
        {
            f: found
            for f in cpp()
            if not str(f).startswith('tests/') and (found := lines_with(f, pattern, code_only(text(f))))
        },
    )


def test_header_guards_and_contracts():
    """Each header has the guard of its path, and opens with a comment."""
    offenders = {}
    for file in cpp():
        if file.suffix == '.h':
            guard = 'BULKHEAD_' + re.sub(r'[/.]', '_', str(file)).upper() + '_'
            source = text(file)
            found = []
            if f'#ifndef {guard}\n#define {guard}' not in source:
                found.append(f'{file}: no guard {guard}')
            if not source.lstrip().startswith(('//', '/*')):
                found.append(f'{file}: does not open with its contract')
            if found:
                offenders[file] = found
    judge('header', offenders)


def test_clang_format():
    program = next(
        (
            p
            for p in ('clang-format-14', 'clang-format')
            if subprocess.run(['which', p], capture_output=True).returncode == 0
        ),
        None,
    )
    if not program:
        pytest.skip('clang-format is not installed (deploy/install-dependencies test)')
    names = [str(f) for f in cpp()]
    assert names
    done = subprocess.run([program, '--dry-run', '--style=file', *names], cwd=ROOT, capture_output=True, text=True)
    bad = sorted(set(re.findall(r'^(\S+?):\d+:\d+: (?:warning|error)', done.stderr, re.M)))
    assert not bad, f'not formatted: {bad}'


def test_scripts_are_executable_and_parse():
    scripts = [f for f in files() if (ROOT / f).read_bytes()[:2] == b'#!']
    assert Path('tests/run') in scripts
    for script in scripts:
        first = text(script).splitlines()[0]
        assert (ROOT / script).stat().st_mode & 0o111, f'{script} is not executable'
        if 'bash' in first:
            done = subprocess.run(['bash', '-n', str(script)], cwd=ROOT, capture_output=True, text=True)
            assert done.returncode == 0, done.stderr


def test_python_compiles():
    for file in files():
        if file.suffix == '.py':
            compile(text(file), str(file), 'exec')


def test_corpus_of_each_fuzzer():
    """Each fuzzer starts from seeds of its own."""
    for file in files():
        if re.fullmatch(r'tests/fuzz/\w+_fuzz\.cc', str(file)):
            seeds = [f for f in files() if str(f).startswith(f'tests/fuzz/corpus/{file.stem}/')]
            assert seeds, f'no seeds in tests/fuzz/corpus/{file.stem}'
