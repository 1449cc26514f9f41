"""Runs all fuzzers of build/asan for a total of --seconds, two at a time, each first over its corpus.

A crash ends the run with exit code 1 and the path of the input that did it.
"""
import argparse
import concurrent.futures
import os
import subprocess
import sys
import tempfile
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]


def run(program: Path, seconds: int, artifacts: Path) -> tuple[str, int, str]:
    corpus = ROOT / 'tests/fuzz/corpus' / program.name
    with tempfile.TemporaryDirectory(prefix='bulkhead-fuzz.') as grown:
        argv = [
            program,
            f'-max_total_time={seconds}',
            '-timeout=10',
            '-rss_limit_mb=2048',
            '-print_final_stats=1',
            f'-artifact_prefix={artifacts}/{program.name}-',
            grown,
        ]
        if corpus.is_dir():
            argv.append(corpus)
        done = subprocess.run(
            argv,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            errors='replace',
        )
    return program.name, done.returncode, done.stdout


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument('--seconds', type=int, default=300)
    parser.add_argument('--build', default=ROOT / 'build/asan', type=Path)
    options = parser.parse_args()
    programs = sorted(p for p in options.build.glob('**/*_fuzz') if os.access(p, os.X_OK) and p.is_file())
    if not programs:
        print('no fuzzers were built')
        return 1
    artifacts = ROOT / 'build/test-results/fuzz'
    artifacts.mkdir(parents=True, exist_ok=True)
    together = min(os.cpu_count() or 1, len(programs))
    each = max(2, options.seconds // len(programs))
    bad = 0
    with concurrent.futures.ThreadPoolExecutor(together) as pool:
        for name, code, output in pool.map(lambda p: run(p, each, artifacts), programs):
            runs = next((line.split()[-1] for line in output.splitlines() if 'number_of_executed_units' in line), '?')
            print(f'{name}: {runs} runs in {each} s' + (f', FAILED ({code})' if code else ''), flush=True)
            if code:
                bad += 1
                print(output[-4000:])
    return 1 if bad else 0


if __name__ == '__main__':
    sys.exit(main())
