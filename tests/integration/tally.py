"""Adds up JUnit files: prints failures and the reasons of skips, and a line `passed failed skipped` as its last.

    tally.py TITLE FILE [SECOND-FILE]

Where the folder of the same name without .xml has a file for a test, that test is a program with tests of its own.

SECOND-FILE has a second run of what failed in the first. What passed there counts as passed and is named as unstable:
this machine was slow, or there is a race to be found. A client that was told something false is a failure for good.
"""
import collections
import os
import re
import sys
import xml.etree.ElementTree as xml

# How every judge of a ledger names what it found.
FINAL = re.compile(r'\blies\b|\bdoubled\b|AddressSanitizer|UndefinedBehaviorSanitizer|runtime error:')


class Results:
    def __init__(self, file: str):
        self.passed, self.failures, self.skips = set(), {}, collections.Counter()
        self._read(file, os.path.splitext(file)[0])

    def _read(self, file: str, folder: str) -> None:
        for case in xml.parse(file).getroot().iter('testcase'):
            name = '.'.join(filter(None, (case.get('classname'), case.get('name'))))
            skipped = case.find('skipped')
            bad = [element for tag in ('failure', 'error') for element in case.findall(tag)]
            inner, failures = os.path.join(folder, f'{case.get("name")}.xml'), len(self.failures)
            if folder and os.path.exists(inner):
                self._read(inner, '')
                if not bad or len(self.failures) > failures:
                    continue
            if bad or case.get('status') == 'fail':
                words = [element.get('message') or '' for element in bad]
                self.failures[name] = '\n'.join(words + [text for element in case for text in element.itertext()])
            elif skipped is not None or case.get('status') in ('notrun', 'disabled'):
                self.skips[(skipped.get('message') if skipped is not None else None) or 'not run'] += 1
            else:
                self.passed.add(name)


def main(title: str, file: str, second: str = '') -> None:
    if not os.path.exists(file):
        print(f'  FAILED {title}: {os.path.basename(file)}: no results; the step ended early')
        print(0, 1, 0)
        return
    results = Results(file)
    again = Results(second).passed if second and os.path.exists(second) else set()
    unstable = {name for name, text in results.failures.items() if name in again and not FINAL.search(text)}
    for name in results.failures:
        print(f'  {"UNSTABLE" if name in unstable else "FAILED"} {title}: {name}')
    for reason, count in results.skips.items():
        print(f'  SKIPPED {title}: {count} x {reason}')
    failed = len(results.failures) - len(unstable)
    print(len(results.passed) + len(unstable), failed, sum(results.skips.values()))


if __name__ == '__main__':
    main(*sys.argv[1:])
