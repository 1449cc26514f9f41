"""Adds up JUnit files: prints failures and the reasons of skips, and a line `passed failed skipped` as its last.

    tally.py TITLE FILE...
"""
import collections
import os
import sys
import xml.etree.ElementTree as xml


def main(title: str, files: list[str]) -> None:
    passed, failures, skips = 0, [], collections.Counter()
    for file in files:
        if not os.path.exists(file):
            failures.append(f'{os.path.basename(file)}: no results; the step ended early')
            continue
        for case in xml.parse(file).getroot().iter('testcase'):
            name = '.'.join(filter(None, (case.get('classname'), case.get('name'))))
            skipped = case.find('skipped')
            if case.find('failure') is not None or case.find('error') is not None or case.get('status') == 'fail':
                failures.append(name)
            elif skipped is not None or case.get('status') in ('notrun', 'disabled'):
                skips[(skipped.get('message') if skipped is not None else None) or 'not run'] += 1
            else:
                passed += 1
    for name in failures:
        print(f'  FAILED {title}: {name}')
    for reason, count in skips.items():
        print(f'  SKIPPED {title}: {count} x {reason}')
    print(passed, len(failures), sum(skips.values()))


if __name__ == '__main__':
    main(sys.argv[1], sys.argv[2:])
