#!/usr/bin/env python3
# SPDX-License-Identifier: ISC
"""swtpm-test/tree, with a debootstrap that makes next to nothing: the Debians that tests boot or build in."""

import contextlib
import functools
import glob
import os
import re
import subprocess

import tap
from tap import has, has_not, same, test, until

SOURCE = os.environ['MORTISE_TEST_SOURCE']
TREE = SOURCE + '/swtpm-test/tree'
DEBOOTSTRAP = '''#!/bin/sh
echo "$*" >> "$PLACE/calls"
until [ -e "$PLACE/go" ]; do sleep 0.01; done
mkdir -p "$4/var/cache/apt/archives" "$4/etc/apt/apt.conf.d" "$4/etc/apt/sources.list.d"
echo 'deb of-debootstrap' >"$4/etc/apt/sources.list.d/debootstrap.list"
'''


def lines_of(path):
    if not os.path.exists(path):
        return []
    with open(path) as file:
        return file.readlines()


def pretend(place):
    """What finds the debootstrap above before any other."""
    place.directory('bin')
    place.file('bin/debootstrap', DEBOOTSTRAP, 0o755)
    return {'PATH': place('bin') + ':' + os.environ['PATH'], 'MORTISE_TEST_TREES': place('trees'),
            'PLACE': place.path}


def settings_of_nobody():
    """What of apt's settings no package has brought along."""
    return [name for name in os.listdir('/etc/apt/apt.conf.d') if subprocess.run(
        ['dpkg', '-S', '/etc/apt/apt.conf.d/' + name], capture_output=True).returncode != 0]


def waits_for_lock(process):
    """Has process started a flock that has not ended?"""
    with open('/proc/%d/task/%d/children' % (process.pid, process.pid)) as file:
        children = file.read().split()
    for child in children:
        with contextlib.suppress(FileNotFoundError, ProcessLookupError), \
                open('/proc/%s/comm' % child) as file:
            if file.read() == 'flock\n':
                return True
    return False


@test(root=True)
def two_suites_that_want_a_tree_make_it_once(place):
    env = pretend(place)
    calls = functools.partial(lines_of, place('calls'))
    command = [TREE, 'own', 'minbase']
    first = subprocess.Popen(command, env=env, stdout=subprocess.PIPE)
    until(lambda: calls(), 60)
    second = subprocess.Popen(command, env=env, stdout=subprocess.PIPE)
    try:
        until(lambda: len(calls()) > 1 or waits_for_lock(second), 60)
    finally:
        place.file('go', '')
        said = [each.communicate()[0].decode() for each in (first, second)]
    same([first.returncode, second.returncode, len(calls())], [0, 0, 1])
    same(said[0], said[1])
    has(said[0], place('trees'))


@functools.lru_cache(None)
def mirrors():
    """Names of the hosts that this machine's apt knows."""
    said = subprocess.run(['apt-get', 'indextargets', '--format', '$(REPO_URI)'], capture_output=True,
                          check=True).stdout.decode()
    return set(re.findall('^[a-z+]+://([^/:]+)', said, re.M)) - {'localhost', '127.0.0.1'}


@test(root=True)
def a_tree_is_asked_of_this_machine_s_mirror_and_keeps_its_apt(place):
    env = pretend(place)
    place.file('go', '')
    for suite in ('bookworm', 'trixie'):
        done = subprocess.run([TREE, suite, 'minbase'], capture_output=True, env=env)
        same(done.returncode, 0, done.stderr)
        tree = done.stdout.decode().strip()
        call = lines_of(place('calls'))[-1].split()
        same([call[-3:-1], call[-1].split('/')[2] in mirrors()],
             [[suite, place('trees/making.%s-minbase-%s' % (suite, call[1].split('=')[1]))], True])
        with open(tree + '/etc/apt/sources.list') as file:
            lines = [line.split() for line in file]
        assert lines and all(line[2].split('-')[0] == suite for line in lines), lines
        same(glob.glob(tree + '/etc/apt/sources.list.d/*'), [])
        same(sorted(os.listdir(tree + '/etc/apt/apt.conf.d')), sorted(settings_of_nobody()))


@test
def no_host_that_this_machine_s_apt_knows_stands_in_the_repository(place):
    listed = subprocess.run(['git', 'ls-files', '-z', '--cached', '--others', '--exclude-standard'],
                            cwd=SOURCE, capture_output=True, check=True).stdout.split(b'\0')
    for name in filter(None, listed):
        with contextlib.suppress(FileNotFoundError), open(os.path.join(SOURCE.encode(), name), 'rb') as file:
            text = file.read().decode(errors='replace')
            has_not(text, *mirrors())


@test(root=True)
def one_that_was_made_in_part_is_none(place):
    env = pretend(place)
    place.file('go', '')
    done = subprocess.run([TREE, 'own', 'nspawn'], env=env, capture_output=True)  # there is no apt-get in it
    same(done.returncode, 77)
    has(done.stderr.decode(), 'failed: see ')
    same([name for name in os.listdir(place('trees')) if '-nspawn-' in name and '.' not in name], [])


@test
def what_it_does_not_know_is_named_with_what_it_knows(place):
    for wrong, arguments in (('release sid', ('sid', 'minbase')), ('kind server', ('trixie', 'server'))):
        done = subprocess.run([TREE, *arguments], capture_output=True)
        same(done.returncode, 64)
        has(done.stderr.decode(), 'unknown ' + wrong, 'SUITE  bookworm, trixie', 'minbase')


@test(root=True)
def where_none_can_be_made_the_last_line_says_why(place):
    for name in ('swtpm-test/tree', 'dist/debian/control', 'docs/platforms.md'):  # others can't enter /root
        os.makedirs(os.path.dirname(place(name)), exist_ok=True)
        with open(os.path.join(SOURCE, name)) as file:
            place.file(name, file.read(), 0o755)
    done = subprocess.run(['setpriv', '--reuid=65534', '--clear-groups', place('swtpm-test/tree'), 'own', 'minbase'],
                          capture_output=True, env={**os.environ, 'MORTISE_TEST_TREES': place('none')})
    same(done.returncode, 77)
    has(done.stderr.decode().splitlines()[-1], 'tree: only root can make a tree')


if __name__ == '__main__':
    tap.main()
