#!/usr/bin/env python3
# SPDX-License-Identifier: ISC
"""The static `mortise` (tests/build static) in a root directory where nothing else is: a container
made from scratch, with a listener of its own bound into it."""

import os
import re
import shutil
import subprocess

import tap
from agent import Result
from tap import Skip, has, same, test

PROGRAM = os.environ['MORTISE_TEST_SOURCE'] + '/build/static/client/cli/mortise'
INSIDE = '/run/mortise/web'
NUMBER = 12345  # a user that no file names
PATH, VALUE = 'prod/web/key', b'only theirs\0\xff'
POLICY = '''[rule web]
allow = read list write
secret = prod/web/*
socket = web
user = %d
''' % NUMBER


class Container:
    """A root directory with the program and the listener's directory, and nothing else."""

    def __init__(self, place):
        if subprocess.run(['unshare', '--mount', 'true'], capture_output=True).returncode != 0:
            raise Skip('mount namespaces cannot be had here')
        self.root = place.directory('root')
        os.makedirs(self.root + INSIDE)
        shutil.copy(PROGRAM, self.root + '/mortise')
        self.outside = place('agent/web')
        self.agent = place.agent(tpm2_lines=(
            'deadline = 15', '[socket web]', 'path = %s/mortise.sock' % self.outside,
            'verbs = read list write'))
        self.agent.start()
        self.agent.init()
        self.agent.apply(POLICY)
        self.agent.set(PATH, VALUE)

    def file(self, name, content, mode=0o644):
        os.makedirs(os.path.dirname(self.root + name), exist_ok=True)
        with open(self.root + name, 'w') as file:
            file.write(content)
        os.chmod(self.root + name, mode)

    def run(self, *words, input=b''):
        script = 'mount -o bind,ro "$0" "$1%s" && shift && exec chroot --userspec=%d:%d "$@"' % (
            INSIDE, NUMBER, NUMBER)
        return Result(subprocess.run(
            ['unshare', '--mount', 'sh', '-c', script, self.outside, self.root, self.root,
             '/mortise', *words], input=input, capture_output=True, timeout=60,
            env={'PATH': '/usr/sbin:/usr/bin:/sbin:/bin',
                 'MORTISE_SOCKET': INSIDE + '/mortise.sock'}))

    def do(self, *words, **options):
        result = self.run(*words, **options)
        same((result.status, result.err), (0, ''), words)
        return result

    def refused(self, status, *words, **options):
        """The one line that it says."""
        result = self.run(*words, **options)
        same((result.status, result.out, result.err.count('\n')), (status, b'', 1), result)
        return result.err


def read_program(*command):
    return subprocess.run([*command, PROGRAM], capture_output=True, text=True, check=True).stdout


@test
def it_is_one_file_at_a_random_address_and_needs_no_library(place):
    dynamic = read_program('readelf', '-dW')
    assert 'NEEDED' not in dynamic and 'TEXTREL' not in dynamic, dynamic
    has(dynamic, 'PIE', 'NOW')
    headers = read_program('readelf', '-lW')
    has(headers, 'GNU_RELRO')
    assert 'INTERP' not in headers and 'RWE' not in headers, headers


@test
def no_name_service_is_in_it_that_would_load_one(place):
    symbols = set(re.findall(r' [tTwWi] (\w+)', read_program('nm')))
    assert 'fgetpwent' in symbols, 'this program has no symbols to judge by'
    same(symbols & {'getpwnam', 'getpwuid', 'getpwent', 'getgrnam', 'getgrgid', 'getgrent',
                    'getaddrinfo', 'initgroups'}, set())


@test(root=True)
def in_an_empty_root_a_user_without_a_name_gets_sets_and_lists(place):
    inside = Container(place)
    same(inside.do('get', PATH).out, VALUE)
    inside.do('set', '--raw', 'prod/web/new', input=b'theirs')
    same(inside.agent.get('prod/web/new'), b'theirs')
    same(inside.do('list', '-r').text, 'prod/web/key\nprod/web/new\n')
    same(inside.do('whoami', '--json').json()['uid'], NUMBER)
    same(inside.do('complete', '--', 'get', 'prod/web/').text.split(), [PATH, 'prod/web/new'])


@test(root=True)
def exec_hands_over_a_variable_and_masks_in_an_empty_root(place):
    inside = Container(place)
    inside.agent.set('prod/web/socket', (INSIDE + '/mortise.sock').encode())
    words = ('exec', '--clean-env', '-e', 'MORTISE_SOCKET=prod/web/socket', '--', '/mortise')
    same(inside.do(*words, 'get', PATH).out, VALUE)
    masked = inside.run(*words, 'get', 'prod/web/socket')
    assert masked.out and INSIDE not in masked.text, masked.text
    same([masked.status, 'values replaced by marks: 1' in masked.err], [0, True], masked.err)


@test(root=True)
def what_belongs_to_the_host_is_refused_in_a_line(place):
    inside = Container(place)
    os.mkdir(inside.root + '/tmp')
    os.chmod(inside.root + '/tmp', 0o1777)
    has(inside.refused(74, 'dev'), 'sbin/mortised', 'No such file')
    has(inside.refused(127, 'exec', '--', 'sh'), 'no such command')
    has(inside.refused(74, 'import', '/app.env', 'prod/web'), '/app.env', 'No such file')
    scan = inside.run('scan', '--git', '/tmp')
    same((scan.status, scan.out), (74, b''))
    has(scan.err, 'cannot read /tmp: there is no git in PATH\n')
    has(inside.refused(77, 'policy', 'edit'), 'denied', 'uid %d' % NUMBER)
    has(inside.refused(77, 'seal', '--yes'), 'denied')
    has(inside.refused(77, 'get', 'prod/db/password'), 'denied', '--listener=web')


@test(root=True)
def names_are_those_of_the_roots_own_files(place):
    inside = Container(place)
    same(inside.run('complete', '--', 'policy', 'check', '--user=').out, b'')
    has(inside.refused(64, 'audit', 'show', '--user=shop'), "no user 'shop'")
    inside.file('/etc/passwd', 'root:x:0:0::/:/\nshop:x:%d:%d::/:/\n' % (NUMBER, NUMBER))
    inside.file('/etc/group', 'dumpers:x:7:shop\n')
    same(inside.do('complete', '--', 'policy', 'check', '--user=s').text, '--user=shop\n')
    same(inside.do('complete', '--', 'policy', 'check', '--group=').text, '--group=dumpers\n')
    has(inside.refused(77, 'audit', 'show', '--user=shop'), 'you are shop, uid %d' % NUMBER)


if __name__ == '__main__':
    tap.main()
