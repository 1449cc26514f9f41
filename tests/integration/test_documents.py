"""README.md and docs/: links that lead somewhere, configurations that are usable."""
import re
from pathlib import Path

import pytest
import yaml

import paths
import router

PAGES = [paths.ROOT / 'README.md', paths.ROOT / 'CONTRIBUTING.md', *sorted((paths.ROOT / 'docs').glob('**/*.md'))]


def anchors(page: Path) -> set[str]:
    """GitHub's anchors of its headings."""
    titles = re.findall(r'^#+ (.*)$', re.sub(r'^ {4}.*$', '', page.read_text(), flags=re.M), re.M)
    return {re.sub(r'[^\w\- ]', '', re.sub(r'[`*]', '', title)).strip().lower().replace(' ', '-') for title in titles}


@pytest.mark.parametrize('page', PAGES, ids=lambda page: page.name)
def test_links_lead_somewhere(page):
    for target in re.findall(r'\]\(([^)\s]+)\)', page.read_text()):
        if re.match(r'https?:|mailto:', target):
            continue
        file, _, anchor = target.partition('#')
        found = (page.parent / file).resolve() if file else page
        assert found.exists(), f'{page.name}: {target}'
        assert not anchor or found.suffix != '.md' or anchor in anchors(found), f'{page.name}: {target}'
    for name in re.findall(r'\]\[([\w-]+)\]', page.read_text()):
        assert f'\n[{name}]: http' in page.read_text(), f'{page.name}: [{name}]'


def test_the_readme_has_every_page():
    text = (paths.ROOT / 'README.md').read_text()
    for page in sorted((paths.ROOT / 'docs').glob('*.md')):
        assert f'docs/{page.name}' in text, page.name


def test_the_readmes_configuration_is_usable(binary, tmp_path):
    chapter = (paths.ROOT / 'README.md').read_text().split('## A configuration')[1]
    block = re.search(r'^((?:    .*\n)+)', chapter, re.M)[1]
    config = yaml.safe_load(re.sub(r'^    ', '', block, flags=re.M))
    for one in [*config['users'], *config['admin_users'], config['probe'], config['control']]:
        secret = tmp_path / Path(one['password_file']).name
        secret.write_text('x\n')
        secret.chmod(0o600)
        one['password_file'] = str(secret)
    done = router.check(config)
    assert done.returncode == 0 and 'usable' in done.stdout, done.stdout
    assert 'error' not in done.stdout


def test_the_packages_configuration_is_usable(binary):
    text = (paths.ROOT / 'deploy/debian/bulkhead.yaml').read_text()
    assert router.check(text).returncode == 0
    # What is commented out is usable as well, with its files there.
    keys = 'users:|  - \\{name|admin_users:|topology:|  (?:backends|shards|tenants):'
    without = re.sub(f'^# (?={keys})', '', text, flags=re.M)
    done = router.check(re.sub(r'password_file: \S+\}', 'password: x}', without))
    assert done.returncode == 0 and 'no users' not in done.stdout, done.stdout
