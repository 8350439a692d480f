#!/usr/bin/env python3
# SPDX-License-Identifier: ISC
"""Questions about a policy: who may, why not, what one may, and a repository's expectations."""

import json
import shlex
import subprocess

import tap
from agent import ALICE, BOB, Result, prefix
from tap import has, same, test

PATH = 'prod/db/password'
RULES = '''
[rule nightly]
allow  = read
secret = prod/db/*
user   = %s
unit   = backup.service
hours  = 02:30-04:30
rate   = 20/h

[rule dbas]
allow  = read list
secret = prod/**
group  = audio

[rule web]
allow  = read
secret = prod/web/**
socket = web
user   = %s

[rule no-ca]
deny   = read
secret = prod/ca/**
''' % (ALICE, BOB)
EXPECTATIONS = '''[user backup]
id = 34

[expect at-night]
user   = backup
unit   = backup.service
at     = 2026-11-23T02:30Z
verb   = read
path   = prod/db/password
result = allow
rule   = nightly

[expect at-noon]
user   = backup
unit   = backup.service
at     = 2026-11-23T12:00Z
verb   = read
path   = prod/db/password
result = %s
'''
POLICY = '''[rule nightly]
allow  = read
secret = prod/db/*
user   = backup
unit   = backup.service
hours  = 02:30-04:30Z
'''


def shared(place):
    directory = place.directory('web')
    web = ['[socket web]', 'path = %s/web.sock' % directory, 'verbs = read list']
    agent = place.ready(lines=web)
    agent.web = directory + '/web.sock'
    agent.set(PATH, b'hunter2')
    agent.apply(RULES)
    return agent


def judge(*arguments, input='', zone='UTC', cwd='/'):
    """`mortise policy test` where there is no agent."""
    return Result(subprocess.run(
        [prefix() + '/bin/mortise', 'policy', 'test', *arguments], input=input.encode(), cwd=cwd,
        capture_output=True, env={'PATH': '/usr/bin:/bin', 'TZ': zone, 'MORTISE_SOCKET': '/none'},
        timeout=60))


@test(root=True)
def check_says_which_attribute_kept_somebody_out(place):
    agent = shared(place)
    base = ('policy', 'check', '--user=' + ALICE)
    night = '--at=2026-11-23T03:00'
    cases = (
        (0, [night, '--unit=backup.service'], 'rule nightly, at most 20/h\n'),
        (1, [night, '--unit=cron.service'],
         '  rule nightly: unit is cron.service, not backup.service\n'),
        (1, [night], '  rule nightly: unit is not given, not backup.service\n'),
        (1, ['--at=2026-11-23T12:00', '--unit=backup.service'],
         '  rule nightly: it is Mon 12:00, not 02:30-04:30\n'),
        (1, ['--group=games'], '  rule dbas: group is another, not audio\n'),
        (0, ['--group=games', '--group=audio'], 'rule dbas\n'))
    for status, words, expected in cases:
        result = agent.run(*base, *words, 'read', PATH)
        same(result.status, status, (words, result))
        has(result.text, expected)
    told = agent.run(*base, '--unit=cron.service', night, '--json', 'read', PATH).json()
    same((told['allowed'], told['rule']), (False, None))
    same(told['nearest'][0],
         {'rule': 'nightly', 'why': 'unit is cron.service, not backup.service'})


@test(root=True)
def check_asks_the_listener_too(place):
    agent = shared(place)
    words = ('policy', 'check', '--user=' + BOB, '--listener=web')
    same(agent.run(*words, 'read', 'prod/web/key').status, 0)
    result = agent.run(*words, 'write', 'prod/web/key')
    same(result.status, 1)
    has(result.text, 'the listener web does not take the verb write')
    result = agent.run('policy', 'check', '--listener=db', 'read', PATH)
    same((result.status, result.err), (64, 'mortise: no listener has that name: db\n'))


@test(root=True)
def who_is_wrong_about_what_to_check_is_told(place):
    agent = shared(place)
    for words in (['--at=noon', 'read', PATH], ['--group=a b', 'read', PATH],
                  ['--unit=', 'read', PATH], ['--user=no-such-user', 'read', PATH],
                  ['--group=no-such-group', 'read', PATH]):
        result = agent.run('policy', 'check', *words)
        same((result.status, result.out), (64, b''), words)
        same(result.err.count('\n'), 1, result)


@test(root=True)
def the_hint_of_a_denial_can_be_typed_and_answers_for_that_caller(place):
    agent = shared(place)
    for socket, listener in ((agent.socket, ''), (agent.web, ' --listener=web')):
        denied = agent.run('get', PATH, user=BOB, env={'MORTISE_SOCKET': socket})
        same(denied.status, 77)
        hint = denied.err.split('an admin can run: mortise ')[1].strip()
        has(hint, 'policy check --user=' + BOB, 'read ' + PATH)
        same(' --listener=' in hint, bool(listener), hint)
        has(hint + ' ', listener)
        answer = agent.run(*shlex.split(hint))
        same(answer.status, 1)
        has(answer.text, BOB, 'may not read ' + PATH)


@test(root=True)
def who_lists_everyone_with_conditions_and_members(place):
    agent = shared(place)
    text = agent.do('policy', 'who', PATH).text
    has(text, ALICE, 'unit backup.service, hours 02:30-04:30, at most 20/h', 'rule nightly',
        'group audio', 'rule dbas')
    same(len({line.index('rule ') for line in text.splitlines()}), 1, text)
    told = agent.do('policy', 'who', '--verb=list', '--json', PATH).json()
    same([(grant['who'], grant['verbs'], grant['denied']) for grant in told['grants']],
         [('uid 0', ['list'], False), ('group audio', ['list'], False)])
    assert isinstance(told['grants'][1]['members'], list), told
    has(agent.do('policy', 'who', 'prod/ca/key').text, 'everybody', 'not read', 'rule no-ca')
    has(agent.do('policy', 'who').text, 'uid 0', 'audit admin')
    same(agent.run('policy', 'who', '--verb=raed', PATH).status, 64)
    same(agent.run('policy', 'who', PATH, user=BOB).status, 77)


@test(root=True)
def may_lists_all_that_somebody_may(place):
    agent = shared(place)
    has(agent.do('policy', 'may', '--user=' + ALICE).text, ALICE, 'prod/db/*',
        'if unit backup.service, hours 02:30-04:30, at most 20/h', 'rule nightly')
    has(agent.do('policy', 'may', '--user=' + BOB).text, 'prod/web/**', 'if socket web')
    told = agent.do('policy', 'may', '--user=' + BOB, '--group=audio', '--json').json()
    same([(grant['rule'], grant['secrets']) for grant in told['grants']],
         [('dbas', ['prod/**']), ('web', ['prod/web/**']), ('no-ca', ['prod/ca/**'])])
    has(agent.do('policy', 'may', '--user=12345').text, 'uid 12345', 'may nothing')
    same(agent.run('policy', 'may', '--user=' + BOB, user=BOB).status, 77)


@test
def expectations_are_judged_without_an_agent(place):
    place.directory('policy.d')
    place.file('policy.d/10.policy', POLICY)
    place.file('policy.d/ignored', 'what is no policy')
    tests = place.file('tests.ini', EXPECTATIONS % 'deny')
    for words in ([tests], [tests, place('policy.d')], [tests, place('policy.d/10.policy')]):
        same((judge(*words).status, judge(*words).text), (0, '2 passed, 0 failed\n'), words)
    same(judge('tests.ini', cwd=place.path).status, 0)
    same(judge('-', place('policy.d'), input=EXPECTATIONS % 'deny').status, 0)
    same(judge(tests, '--json').json(), {'passed': 2, 'failed': 0, 'failures': []})


@test
def a_failed_expectation_is_told_with_its_line_and_the_reason(place):
    place.directory('policy.d')
    place.file('policy.d/10.policy', POLICY)
    tests = place.file('tests.ini', EXPECTATIONS % 'allow')
    result = judge(tests)
    why = "no rule allows it; nearest is rule 'nightly' (10.policy:1): " \
        'it is Mon 12:00Z, not 02:30-04:30Z'
    same((result.status, result.text, result.err),
         (1, '%s:13: at-noon failed: %s\n1 passed, 1 failed\n' % (tests, why), ''))
    told = judge(tests, '--json')
    same((told.status, told.json()), (1, {'passed': 1, 'failed': 1, 'failures': [
        {'file': tests, 'line': 13, 'name': 'at-noon', 'text': why}]}))


@test
def a_mistake_in_what_is_tested_is_told_with_its_place(place):
    place.directory('policy.d')
    tests = place.file('tests.ini', EXPECTATIONS % 'maybe')
    empty = place.file('empty.ini', '; nothing\n')
    wrong = place.file('wrong.policy', '[rule a]\nallow = reed\nuser = 1\n')
    cases = ((74, [place('none.ini')], 'cannot read'),
             (78, [tests], 'policy.d has no file *.policy'),
             (78, [tests, wrong], 'wrong.policy:2:9'),
             (78, [tests, place.file('10.policy', POLICY)], 'tests.ini:19:10: expected allow'),
             (78, [empty, place('10.policy')], 'no section [expect NAME]'),
             (74, [tests, place('none')], 'cannot read'), (64, [], 'usage: mortise policy test'))
    for status, words, expected in cases:
        result = judge(*words)
        same((result.status, result.out), (status, b''), words)
        has(result.err, expected)
        same(result.err.count('\n'), 1, result)
        same(json.loads(judge('--json', *words).out)['status'], status)


@test
def hours_of_expectations_are_those_of_the_zone(place):
    policy = place.file('10.policy', POLICY.replace('04:30Z', '04:30'))
    tests = place.file('tests.ini', EXPECTATIONS % 'deny')
    same(judge(tests, policy, zone='UTC').status, 0)
    same(judge(tests, policy, zone='Asia/Tokyo').status, 1)


if __name__ == '__main__':
    tap.main()
