#!/usr/bin/env python3
# SPDX-License-Identifier: ISC
"""One user's session: values in and out, versions, lists, deletions."""

import os
import random

import tap
import wire
from tap import has, same, test

PATH = 'prod/db/password'


@test
def values_of_0_and_1_and_65536_random_bytes_come_back_byte_for_byte(place):
    agent = place.ready()
    for size in (0, 1, 4095, 65536):
        value = random.randbytes(size)
        agent.set('prod/size/%d' % size, value)
        same(agent.get('prod/size/%d' % size), value, 'through standard output')
        same(agent.get('prod/size/%d' % size, '--out=' + place('out')), b'')
        with open(place('out'), 'rb') as file:
            same(file.read(), value, 'through a file')
        same(os.stat(place('out')).st_mode & 0o7777, 0o600)


@test
def every_byte_may_be_in_a_value(place):
    agent = place.ready()
    for byte in range(0, 256, 5):
        agent.set(PATH, bytes([byte]))
        same(agent.get(PATH), bytes([byte]))


@test
def a_value_of_65537_bytes_is_refused_and_nothing_is_stored(place):
    agent = place.ready()
    result = agent.run('set', PATH, input=bytes(65537))
    same(result.status, 64)
    has(result.err, 'mortise: prod/db/password', '65536')
    same(agent.run('get', PATH).status, 66)


@test
def one_line_of_text_on_standard_input_loses_its_newline_and_set_says_so(place):
    agent = place.ready()
    result = agent.do('set', PATH, input='hunter2\n')
    has(result.err, 'newline', '--raw')
    same(agent.get(PATH), b'hunter2')


@test
def raw_and_files_and_several_lines_keep_every_byte(place):
    agent = place.ready()
    for options, value in ((['--raw'], b'one\n'), ([], b'one\ntwo\n'), ([], b'\x00\n'),
                           (['--from-file=' + place.file('line', 'one\n')], b'one\n')):
        result = agent.do('set', *options, PATH, input=value)
        same(result.err, '', options)
        same(agent.get(PATH), value)
    agent.do('set', '--chomp', '--from-file=' + place('line'), PATH)
    same(agent.get(PATH), b'one')


@test
def an_empty_value_needs_allow_empty(place):
    agent = place.ready()
    same(agent.run('set', PATH).status, 64)
    agent.do('set', '--allow-empty', PATH)
    same(agent.get(PATH), b'')


@test
def each_set_makes_a_version_and_old_ones_can_be_had(place):
    agent = place.ready()
    for number, value in enumerate((b'one', b'two', b'three'), 1):
        same(agent.set(PATH, value)['version'], number)
    same(agent.get(PATH), b'three')
    same(agent.get(PATH, '--version=1'), b'one')
    same(agent.get(PATH, '--label=previous'), b'two')
    same(agent.run('get', '--version=4', PATH).status, 66)


@test
def if_changed_makes_no_version_of_the_same_value(place):
    agent = place.ready()
    agent.set(PATH, b'one')
    again = agent.do('set', '--json', '--if-changed', PATH, input='one').json()
    same((again['changed'], again['version']), (False, 1))
    other = agent.do('set', '--json', '--if-changed', PATH, input='two').json()
    same((other['changed'], other['version']), (True, 2))


@test
def expect_version_refuses_what_somebody_else_changed(place):
    agent = place.ready()
    agent.do('set', '--expect-version=0', PATH, input='one')
    for number in (0, 2):
        result = agent.run('set', '--expect-version=%d' % number, PATH, input='two')
        same(result.status, 73)
    agent.do('set', '--expect-version=1', PATH, input='two')
    same(agent.get(PATH), b'two')


@test
def list_shows_one_level_or_with_r_all_and_never_values(place):
    agent = place.ready()
    for path in ('prod/db/password', 'prod/db/user', 'prod/key', 'test/key'):
        agent.set(path, b'canary-value')
    same(agent.do('list', '-r').text.split(),
         ['prod/db/password', 'prod/db/user', 'prod/key', 'test/key'])
    same(agent.do('list', '-r', 'prod/db').text.split(), ['prod/db/password', 'prod/db/user'])
    assert 'password' not in agent.do('list', 'prod').text
    for command in (['list', '-r', '--json'], ['show', PATH], ['show', '--json', PATH],
                    ['status', '--json'], ['audit', 'show', '--json']):
        assert b'canary-value' not in agent.do(*command).out, command


@test
def a_list_longer_than_a_frame_is_whole(place):
    agent = place.ready()
    paths = ['prod/%s/%03d' % ('x' * 200, number) for number in range(700)]
    connection = wire.connect(agent.socket)
    for path in paths:
        same(wire.set(connection, path, b'v'), 0)
    same(agent.do('list', '-r').text.split(), paths)


@test
def show_tells_version_size_and_time(place):
    agent = place.ready()
    agent.set(PATH, b'12345')
    agent.set(PATH, b'1234567')
    found = agent.do('show', '--json', PATH).json()
    same((found['path'], found['version'], found['size'], found['deleted']),
         (PATH, 2, 7, False))
    same([entry['version'] for entry in found['versions']], [1, 2])
    same([entry['uid'] for entry in found['versions']], [os.geteuid()] * 2)


@test
def a_deleted_secret_is_gone_until_undelete(place):
    agent = place.ready()
    agent.set(PATH, b'one')
    same(agent.do('delete', '--json', PATH).json()['changed'], True)
    same(agent.run('get', PATH).status, 66)
    assert PATH not in agent.do('list', '-r').text
    agent.do('undelete', PATH)
    same(agent.get(PATH), b'one')
    same(agent.do('undelete', '--json', PATH).json()['changed'], False)
    same(agent.run('delete', 'prod/none').status, 66)


@test
def a_dry_run_changes_nothing(place):
    agent = place.ready()
    agent.set(PATH, b'one')
    policy = agent.do('policy', 'show').text
    agent.do('set', '--dry-run', PATH, input='two')
    agent.do('delete', '--dry-run', PATH)
    agent.do('seal', '--dry-run')
    agent.do('policy', 'apply', '--dry-run', '-', input=policy + '; more\n')
    same(agent.get(PATH), b'one')
    same(agent.do('policy', 'show').text, policy)


@test
def several_values_come_all_or_none(place):
    agent = place.ready()
    agent.set('prod/a', b'one')
    agent.set('prod/b', b'two')
    same(agent.get('prod/a', 'prod/b'), b'one\ntwo\n')
    result = agent.run('get', 'prod/a', 'prod/none')
    same((result.status, result.out), (66, b''))
    agent.set('prod/j', b'{"user": "me", "n": 1}')
    same(agent.get('prod/j#user'), b'me')
    same(agent.run('get', 'prod/j#n').status, 66)


@test
def each_of_several_values_has_its_own_result(place):
    agent = place.ready()
    agent.set('prod/a', b'one')
    agent.set('prod/j', b'{"user": "me", "n": 1}')
    result = agent.run('get', '--json', '--each', 'prod/a', 'prod/none', 'prod/j#user', 'prod/j#n')
    missing = {'error': 'not-found', 'status': 66, 'message': 'no such secret or version'}
    same((result.status, result.err), (66, ''))
    same(result.json(), {'secrets': [
        {'path': 'prod/a', 'version': 1, 'value': 'one'}, {'path': 'prod/none', **missing},
        {'path': 'prod/j', 'version': 1, 'value': 'me', 'field': 'user'},
        {'path': 'prod/j', 'field': 'n', **missing}]})
    same(agent.do('get', '--json', '--each', 'prod/a').json()['secrets'][0]['value'], 'one')
    same(agent.run('get', '--each', 'prod/a').status, 64)
    agent.apply('[rule no]\ndeny = read\nsecret = prod/a\n')
    result = agent.run('get', '--json', '--each', 'prod/j', 'prod/a')
    same((result.status, [one.get('status', 0) for one in result.json()['secrets']]), (77, [0, 77]))


@test
def an_at_sign_stands_for_the_configured_environment(place):
    agent = place.ready(lines=['environment = prod'])
    agent.set('@/db/password', b'one')
    same(agent.get(PATH), b'one')
    same(agent.do('list', '-r').text.split(), [PATH])


@test
def everything_is_still_there_after_a_restart(place):
    agent = place.ready()
    value = random.randbytes(65536)
    agent.set(PATH, b'old')
    agent.set(PATH, value)
    agent.apply('[rule more]\nallow = read\nsecret = prod/**\nuser = 12345\n')
    agent.restart()
    same(agent.get(PATH, '--wait=20'), value)
    same(agent.get(PATH, '--version=1'), b'old')
    has(agent.do('policy', 'show').text, '12345')
    same(agent.do('verify', '--json').status, 0)
    same(agent.do('audit', 'verify').status, 0)


if __name__ == '__main__':
    tap.main()
