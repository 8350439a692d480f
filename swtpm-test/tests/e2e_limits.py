#!/usr/bin/env python3
# SPDX-License-Identifier: ISC
"""Each limit that a command can reach: it says so, in the words of docs/limits.md."""

import os
import pwd
import resource
import struct
import subprocess

import tap
import wire
from agent import AGENT_USER, prefix
from rooms import CHECKOUT
from tap import has, has_not, same, test

SOURCE = os.environ.get('MORTISE_TEST_SOURCE') or CHECKOUT
SET_BATCH, BATCH = 27, 250
USAGE, CONFLICT, IO, REJECTED = 64, 73, 74, 78
RULE = '[rule r]\nallow = read\nsecret = **\n'


def has_words(words):
    """Fails unless the page says so."""
    with open(os.path.join(SOURCE, 'docs/limits.md')) as page:
        has(page.read(), words)


def reached(agent, status, words, *arguments, **options):
    """Fails unless the command is refused in these words, on one line, and the page has them."""
    result = agent.run(*arguments, **options)
    same((result.status, result.out), (status, b''), arguments[:3])
    assert result.err.startswith('mortise: ') and result.err.count('\n') == 1, result
    has(result.err, words)
    has_words(words)


def refused(agent, words, text):
    reached(agent, REJECTED, words, 'policy', 'apply', '--yes', '-', input=text)


@test
def a_value_has_65536_bytes(place):
    agent = place.ready()
    agent.set('prod/a', b'v' * 65536)
    reached(agent, USAGE, 'a value has at most 65536 bytes', 'set', 'prod/a', input=b'v' * 65537)
    reached(agent, USAGE, "the number behind the ':' is 1 to 1024", 'set', 'prod/a',
            '--generate=password:1025')
    same(agent.get('prod/a'), b'v' * 65536)


@test
def a_path_has_8_segments_and_255_bytes(place):
    agent = place.ready()
    agent.set('a/b/c/d/e/f/g/h', b'x')
    agent.set('a' * 255, b'x')
    for path in ('a/b/c/d/e/f/g/h/i', 'a' * 256):
        reached(agent, USAGE, "not a path: 1 to 8 segments of a-z 0-9 . _ - joined by '/', each "
                'starting with a letter or digit, at most 255 bytes', 'set', path, input='x')


def with_data(size):
    """Options of a command that gets so many bytes for what it keeps."""
    return {'preexec_fn': lambda: resource.setrlimit(resource.RLIMIT_DATA, (size, size))}


def set_many(agent, count):
    """Secrets many/below/00000 and so on."""
    with wire.connect(agent.socket) as connection:
        for first in range(0, count, BATCH):
            items = b''.join(
                wire.item(struct.pack('<HI', wire.PATH, len(path)) + path
                          + struct.pack('<HI', wire.VALUE, 1) + b'x')
                for path in (b'many/below/%05d' % number
                             for number in range(first, min(first + BATCH, count))))
            code, _ = wire.ask(connection, wire.pack(
                SET_BATCH, {wire.ITEMS: items, wire.TOKEN: os.urandom(16)}))
            same(code, 0)


@test
def a_listing_keeps_what_it_prints(place):
    agent = place.ready()
    agent.set('prod/a', b'x')
    set_many(agent, 20000)
    same(agent.run('list', **with_data(2 << 20)).out, b'many/\nprod/\n')
    same(len(agent.run('list', '-r', **with_data(6 << 20)).out.split()), 20001)
    same(agent.run('list', '-r', **with_data(2 << 20)).status, IO)


@test
def what_is_said_of_a_secret_has_bounds(place):
    agent = place.ready()
    agent.set('prod/a', b'x')
    many = ['--set=k%d=v' % i for i in range(17)]
    agent.do('meta', 'prod/a', '--note=' + 'n' * 256, '--hook=/' + 'h' * 254, '--keep=100',
             '--max-age=36500d', '--set=' + 'k' * 32 + '=' + 'v' * 256, *many[:15])
    pair, bounds = 'a key has at most 32 bytes, its value 256', (
        'at most 100 versions are kept, and an age is at most 100 years')
    for words, *changes in (('a text of more than 256 bytes; shorten it', '--note=' + 'n' * 257),
                            ('a text of more than 255 bytes; shorten it', '--hook=/' + 'h' * 255),
                            (bounds, '--keep=101'), (bounds, '--max-age=36501d'),
                            (pair, '--set=' + 'k' * 33 + '=v'), (pair, '--set=k=' + 'v' * 257),
                            ('at most 16 keys of your own', *many)):
        reached(agent, USAGE, words, 'meta', 'prod/a', *changes)


@test
def a_request_has_so_many_paths_and_options(place):
    agent = place.ready()
    paths = ['prod/p%d' % i for i in range(257)]
    env_file = place.file('.env', ''.join('A%d=value\n' % i for i in range(257)))
    reached(agent, USAGE, '257 are too many: at most 256 PATH[#FIELD]... at once', 'get', *paths)
    reached(agent, USAGE, 'at most 64 paths can be watched', 'watch', *paths[:65])
    reached(agent, USAGE, 'at most 256 paths in one exec', 'exec',
            *['--env=A%d=%s' % (i, path) for i, path in enumerate(paths)], '--', 'true')
    reached(agent, USAGE, 'at most 300 options at once', 'exec',
            *['--env=A%d=prod/p' % i for i in range(301)], '--', 'true')
    reached(agent, USAGE, '257 values, and at most 256 go in one transaction; choose with --only',
            'import', env_file, 'prod/')


@test
def a_policy_has_so_many_files_and_bytes(place):
    agent = place.ready()
    many, named = place.directory('many'), place.directory('named')
    expectations = place.file('expectations', '')
    large = place.file('large', '# 345678901234\n' * 1118482)
    for i in range(65):
        place.file('many/%02d.policy' % i, '# nothing\n')
    place.file('named/' + 'n' * 121 + '.policy', '# nothing\n')
    for command in (('apply', '--yes'), ('test', expectations)):
        reached(agent, REJECTED, 'a policy is at most 64 files; join some of them', 'policy',
                *command, many)
        reached(agent, REJECTED, 'a policy is at most 16777216 bytes', 'policy', *command, large)
    reached(agent, USAGE, 'the name of a policy file has at most 127 bytes', 'policy', 'apply',
            '--yes', named)


@test
def the_words_of_a_policy_have_bounds(place):
    agent = place.ready()
    for key, most, value in (('user', 255, 'u' * 256), ('group', 255, 'g' * 256),
                             ('exe', 1024, '/' + 'x' * 1024), ('label', 1024, 'l' * 1025),
                             ('socket', 64, 's' * 65), ('unit', 255, 'u' * 248 + '.service')):
        refused(agent, "a value of '%s' has at most %d bytes" % (key, most),
                RULE + '%s = %s\n' % (key, value))
    refused(agent, "a value of 'secret' has at most 255 bytes",
            '[rule r]\nallow = read\nsecret = %s\n' % ('s' * 256))
    refused(agent, "a value of 'id' has at most 255 bytes",
            '[credential c]\nunit = c.service\nsecret = prod/c\nid = %s\n' % ('i' * 256))
    for kind in ('rule', 'credential'):
        refused(agent, "expected a %s's name of 1 to 64 letters" % kind,
                '[%s %s]\n' % (kind, 'n' * 65))
    refused(agent, 'expected a rate such as 20/h, 3/min or 1000000/d',
            RULE + 'user = 1\nrate = 1000001/min\n')
    refused(agent, 'a policy has at most 1024 credentials', ''.join(
        '[credential c%d]\nunit = c.service\nsecret = prod/c\nid = i%d\n' % (i, i)
        for i in range(1025)))
    refused(agent, "more than 1024 values for 'user'",
            RULE + 'user = %s\n' % ' '.join(['1'] * 1025))
    refused(agent, 'a line is at most 4096 bytes', '#' + 'x' * 4096 + '\n')


@test
def who_is_supposed_has_bounds(place):
    agent = place.ready()
    groups = ['--group=%d' % i for i in range(17)]
    for command in (('may',), ('check', 'read', 'prod/a')):
        agent.run('policy', *command, '--user=root', *groups[:16])
        reached(agent, USAGE, '1 to 16 groups', 'policy', *command, '--user=root', *groups)
    reached(agent, USAGE, 'the names of all groups have at most', 'policy', 'may', '--user=root',
            *['--group=' + 'g' * 255 for _ in range(17)])
    reached(agent, USAGE, 'unit: at most 4095 bytes', 'policy', 'may', '--user=root',
            '--unit=' + ' '.join(['a.service'] * 410))
    reached(agent, USAGE, 'exe: at most 4095 bytes', 'policy', 'may', '--user=root',
            '--exe=/' + 'x' * 4095)


@test
def every_unit_of_a_policy_is_asked_about_however_many(place):
    agent = place.ready()
    asked = place('asked')
    place.directory('bin')
    place.file('bin/systemctl', '#!/bin/sh\nfor unit; do case $unit in *.service) '
               'echo "$unit" >>%s; user=; case $unit in w299.service|long*) user=nobody;; esac; '
               'printf "LoadState=loaded\\nUser=%%s\\n\\n" "$user";; esac; done\n' % asked, 0o755)
    names = ['w%d.service' % i for i in range(300)] + ['long%s.service' % ('g' * 200)]
    own = '[rule own]\nallow = read admin\nsecret = **\nuser = %d\n' % os.geteuid()
    text = own + ''.join('[rule r%d]\nallow = read\nsecret = **\nunit = %s\n' % (i, name)
                         for i, name in enumerate(names))
    place.file('all.policy', text)
    result = agent.do('policy', 'apply', '--yes', place('all.policy'),
                      env={'PATH': place('bin') + ':/usr/bin:/bin'})
    for name in names[299:]:
        has(result.err, 'can never match in unit ' + name)
    has_not(result.err, 'unit w298.service')
    with open(asked) as file:
        same(sorted(set(file.read().split())), sorted(names))


@test
def slots_keys_and_pins_have_bounds(place):
    agent = place.ready()
    agent.do('slot', 'add', '--tpm2', '--pcrs=16')
    pem, pin = place.file('pem', 'p' * 2049), place.file('pin', '1' * 65)
    for words, *arguments in (
            ('boots are 1 to 10', 'suspend', '3', '--boots=11'),
            ('at least 2, at most 16', 'add', '--recovery-shares=2/17',
             '--recovery-file=' + place('shares')),
            ("a token's URI has at most 1024 bytes", 'add',
             '--pkcs11=pkcs11:token=' + 't' * 1012, '--pin-file=' + place.file('pin1', '1')),
            ('a PIN has 1 to 64 bytes', 'add', '--tpm2', '--tpm2-pin-file=' + pin),
            ('a PCR key has at most 2048 bytes; leave only the key in the file', 'add', '--tpm2',
             '--pcr-public-key=' + pem),
            ('PCRs are numbers from 0 to 23, like 7,11', 'add', '--tpm2', '--pcrs=24')):
        reached(agent, USAGE, words, 'slot', *arguments)
    for i in range(4, 17):
        agent.do('slot', 'add', '--recovery', '--recovery-file=' + place('key%d' % i))
    for kind in (('--recovery', '--recovery-file=' + place('key')), ('--tpm2',)):
        reached(agent, CONFLICT, 'a store has at most 16 slots; remove one first: mortise slot '
                'remove', 'slot', 'add', *kind)


@test
def places_have_bounds(place):
    agent = place.ready()
    reached(agent, USAGE, "a socket's path has at most 107 bytes", 'status',
            '--socket=/' + 's' * 107)
    parent = place.directory('d' * (87 - len(place('')) - 25))
    reached(agent, IO, 'set TMPDIR to a short path of an existing directory', 'dev', '--', 'true',
            env={'TMPDIR': parent, 'XDG_RUNTIME_DIR': ''})
    os.symlink('nothing', place('link0'))
    for i in range(1, 42):
        os.symlink('link%d' % (i - 1), place('link%d' % i))
    reached(agent, IO, 'Too many levels of symbolic links', 'backup', 'create', place('link41'))


@test(root=True)
def the_agent_s_user_is_in_256_groups(place):
    user = pwd.getpwnam(AGENT_USER)
    for count in (255, 256):
        with open('/etc/group') as file:
            groups = [line for line in file.read().splitlines()
                      if AGENT_USER not in line.split(':')[-1].split(',')]
        groups += ['many%d:x:%d:%s' % (i, 70000 + i, AGENT_USER) for i in range(count)]
        path = place.file('group%d' % count, '\n'.join(groups) + '\n')
        result = subprocess.run(
            ['unshare', '--mount', '--propagation=private', 'sh', '-c',
             'mount --bind "$1" /etc/group && exec "$2" --check --config="$3"', '-', path,
             prefix() + '/sbin/mortised',
             place.file('conf%d' % count, '[agent]\nuser = %s\n' % AGENT_USER)],
            capture_output=True, text=True, timeout=60, check=False)
        words = 'user = %s: its groups cannot be read, or are more than 256' % user.pw_name
        same(words in result.stderr, count == 256, result.stderr)
    has_words('its groups cannot be read, or are more than 256')


@test
def a_tree_is_searched_256_levels_deep(place):
    agent = place.ready()
    agent.set('prod/a', b'a value of some length')
    level = os.open(place.directory('tree'), os.O_RDONLY)
    for _ in range(256):
        os.mkdir('d', dir_fd=level)
        below = os.open('d', os.O_RDONLY, dir_fd=level)
        os.close(level)
        level = below
    os.close(level)
    result = agent.run('scan', place('tree'))
    same(result.status, IO)
    has(result.err, 'it lies too deep; scan it by itself')
    has_words('it lies too deep; scan it by itself')


tap.main()
