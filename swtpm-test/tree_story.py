# SPDX-License-Identifier: ISC
"""tree_story: a newcomer with a fresh Debian, who types what README.md says and nothing else.

A tree is what debootstrap calls minbase: no compiler, no git, no sudo, no systemd. Each block is
typed in a tree that nobody has used. tests/long/trees types all of `tests/run` there.
"""

import functools
import os
import re
import subprocess

from agent import Place
from readme import commands
from tap import Skip, has, same, test

HERE = os.path.dirname(os.path.abspath(__file__))
SOURCE = os.environ['MORTISE_TEST_SOURCE']
LIMIT_S = 1500
ASK = 'mortise --version', 'mortised --version', 'mortise status; test $? = 69'
DEMO, TESTS = commands('in a clone of this repository')
PACKAGES, ELSEWHERE = commands('## Install'), commands('## Install', 1)
# A person says yes to apt-get.
TYPED = '''for line; do
	echo @@; echo y >/tmp/typed
	(eval "$line") </tmp/typed 2>&1
	echo "@@ = $?"
done'''


def own():
    """The release of this machine, as Debian calls it."""
    with open('/etc/os-release') as file:
        return dict(line.rstrip().split('=', 1) for line in file).get('VERSION_CODENAME')


def tree(suite):
    done = subprocess.run([HERE + '/tree', suite, 'minbase'], capture_output=True, timeout=LIMIT_S)
    if done.returncode != 0:
        raise Skip(done.stderr.decode().strip().splitlines()[-1])
    return done.stdout.decode().strip()


def clone(place):
    """A clone of this checkout, with what is not committed yet."""
    path = place('clone')
    subprocess.run(['git', 'clone', '--quiet', SOURCE, path], check=True)
    subprocess.run(['sh', '-euc', '''
        git ls-files -z --deleted | (cd "$1" && xargs -0r rm --)
        git ls-files -z --modified --others --exclude-standard |
            xargs -0r ls -d 2>/dev/null | tar -cf - -T - | tar -C "$1" -xf -''', 'sh', path],
                   cwd=SOURCE, check=True)
    return path


def typed(suite, *lines):
    """[[line, exit status, what it said]...] of lines typed one after the other in a fresh tree."""
    with Place() as place:
        done = subprocess.run([HERE + '/in_tree', tree(suite), clone(place), 'sh', '-c', TYPED, 'sh', *lines],
                              stdin=subprocess.DEVNULL, stdout=subprocess.PIPE,
                              stderr=subprocess.STDOUT, timeout=LIMIT_S)
    said = done.stdout.decode(errors='replace')
    parts = re.findall(r'^@@\n(.*?)^@@ = (\d+)$', said, re.S | re.M)
    assert len(parts) == len(lines), said[-2000:]
    return [[line, int(status), text] for line, (text, status) in zip(lines, parts)]


def cause(said):
    """What failed in a run of tests/run, with all that was said of it; else the end of what was said."""
    failed = re.findall(r'^(?:FAIL .*\n(?:  .*\n)*|failed .*\n)', said, re.M)
    return ''.join(failed)[:6000] or said[-3000:]


@functools.lru_cache(None)
def story(suite, *lines):
    """What came of it; the first line that fails is shown with its cause."""
    came = typed(suite, *lines)
    for line, status, said in came:
        same(status, 0, '%s: %s' % (line, cause(said)))
    return came


def told_in(suite):
    """Registers the tests of a file."""
    @test(root=True)
    def the_packages_are_built_and_installed_by_three_commands(place):
        built, installed = story(suite, *PACKAGES, DEMO)[1:3]
        has(built[2], '/build/deb/mortise_')
        has(installed[2], 'next: mortise init --recovery-file=FILE')

    @test(root=True)
    def the_demo_shows_a_secret_on_its_way(place):
        said = story(suite, *PACKAGES, DEMO)[3][2]
        has(said, "logs in to the database with 'correct horse battery staple'",
            'www-data(33) get prod/db/password: denied', 'audit log: intact')

    @test(root=True)
    def elsewhere_it_is_built_with_meson_and_runs(place):
        version, agent, status = story(suite, *ELSEWHERE, *ASK)[-3:]
        has(version[2], 'mortise 0.')
        has(agent[2], 'mortised 0.')
        has(status[2], 'no agent answers')

    if suite == own():  # there, `tests/run` is what runs this
        return

    @test(root=True)
    def the_unit_tests_pass(place):
        said = story(suite, TESTS + ' --quick')[0][2]
        print('# ' + said.splitlines()[-1])
        has(said, ' passed, 0 failed')
