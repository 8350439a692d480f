#!/usr/bin/env python3
# SPDX-License-Identifier: ISC
"""show --readers, policy who and may: who can read a secret, by a rule or as a credential."""

import os
import pwd

import tap
from agent import ALICE, BOB
from tap import has, has_not, same, test

POLICY = '''
[rule nightly]
allow  = read list
secret = prod/db/*
user   = backup
hours  = 02:30-04:30
[rule lister]
allow  = list
secret = prod/**
user   = games
[credential dbpass]
unit   = shop.service web@*.service
secret = prod/db/password
[credential of-user]
id     = dbpass
unit   = sync.service
user   = backup
secret = prod/db/password
[rule not-at-noon]
deny   = read
secret = prod/db/password
unit   = shop.service
hours  = 12:00-13:00
'''


def served(place):
    agent = place.ready()
    agent.set('prod/db/password', b'correct horse battery')
    agent.apply(POLICY)
    return agent


@test
def an_auditor_is_told_of_rules_and_of_units_that_are_handed_it(place):
    agent = served(place)
    result = agent.do('show', '--readers', 'prod/db/password')
    lines = [' '.join(line.split()) for line in result.text.splitlines()]
    has(lines[0], 'prod/db/password: version 1, 21 bytes')
    same(lines[-6:-1], [
        'backup read hours 02:30-04:30 rule nightly',
        'unit shop.service read LoadCredential=dbpass credential dbpass',
        'unit web@*.service read LoadCredential=dbpass credential dbpass',
        'backup read unit sync.service, LoadCredential=dbpass credential of-user',
        'unit shop.service not read hours 12:00-13:00 rule not-at-noon'])
    has(result.text, 'may be read by\n')
    has_not(result.text, 'games')
    has_not(result.text, 'battery')


@test
def who_has_read_it_is_told_with_when_and_which_version(place):
    agent = served(place)
    agent.apply(POLICY + '[rule games]\nallow = read\nsecret = prod/**\nuser = games\n')
    for value in (b'one', b'two', b'three'):
        agent.set('prod/key', value)
    result = agent.do('show', '--readers', 'prod/key').text
    has(result, 'was not read, as far as the log goes back (20')
    same(result.count('never read'), 3)
    for _ in range(2):
        same(agent.run('get', 'prod/key', '--version=2', user=BOB).status, 0)
    agent.get('prod/key')
    same(agent.run('get', 'prod/key', '--version=9').status, 66)  # was not read
    watch = agent.popen('watch', '--initial', '--once', 'prod/key')
    same(watch.wait(timeout=30), 0)  # tells a version, and no value
    watch.communicate()
    result = agent.do('show', '--readers', 'prod/key').text
    has(result, '  games(%d)  2 times, last 20' % pwd.getpwnam('games').pw_uid)
    has(result, '  root(0)  1 time, last 20')
    lines = [line for line in result.splitlines() if line.startswith('  version')]
    same(['never read' in line for line in lines], [True, False, False])
    shown = agent.do('show', '--readers', '--json', 'prod/key').json()
    same([(read['who'].split('(')[0], read['count'], read['version']) for read in shown['reads']],
         [('games', 2, 2), ('root', 1, 3)])
    same(['last_read' in version for version in shown['versions']], [False, True, True])
    assert shown['reads_since'] <= shown['reads'][0]['last']


@test
def without_the_verb_audit_it_says_what_is_missing(place):
    agent = served(place)
    agent.do('policy', 'apply', '-', input=b'[rule first]\nallow = list admin write\n'
             b'secret = **\nuser = %d\n' % os.geteuid())
    has(agent.do('show', '--readers', 'prod/db/password').text,
        'who did read it is in the audit log: that needs the verb audit')
    same('reads' in agent.do('show', '--readers', '--json', 'prod/db/password').json(), False)


@test
def in_json_the_readers_are_a_list_beside_the_versions(place):
    agent = served(place)
    shown = agent.do('show', '--readers', '--json', 'prod/db/password').json()
    same(shown['path'], 'prod/db/password')
    same([version['version'] for version in shown['versions']], [1])
    same([(reader['who'], reader['section'], reader['rule'], reader['denied'])
          for reader in shown['readers']][-5:], [
        ('backup', 'rule', 'nightly', False),
        ('unit shop.service', 'credential', 'dbpass', False),
        ('unit web@*.service', 'credential', 'dbpass', False),
        ('backup', 'credential', 'of-user', False),
        ('unit shop.service', 'rule', 'not-at-noon', True)])
    same('readers' in agent.do('show', '--json', 'prod/db/password').json(), False)


@test
def who_may_list_but_not_administer_is_told_what_is_missing(place):
    agent = served(place)
    same(agent.run('show', 'prod/db/password', user=BOB).status, 0)
    result = agent.run('show', '--readers', 'prod/db/password', user=BOB)
    same((result.status, result.text), (77, ''))
    same(len(result.err.splitlines()), 1)
    has(result.err, 'prod/db/password: --readers needs the verb admin, and you are games')
    has(result.err, 'without it: mortise show prod/db/password')
    same(agent.run('show', '--readers', '--json', 'prod/db/password', user=BOB).status, 77)
    result = agent.run('show', '--readers', 'prod/nothing')
    same((result.status, result.text), (66, ''))
    has(result.err, 'prod/nothing: no such secret')
    agent.do('seal', '--yes')
    result = agent.run('show', '--readers', 'prod/db/password')
    same((result.status, result.text), (75, ''))


@test
def who_and_may_tell_of_credentials(place):
    agent = served(place)
    has(agent.do('policy', 'who', 'prod/db/password').text, 'credential of-user')
    has_not(agent.do('policy', 'who', '--verb=list', 'prod/db/password').text, 'credential')
    told = agent.do('policy', 'may', '--user=games', '--unit=shop.service').text
    has(told, 'LoadCredential=dbpass')
    has(told, 'credential dbpass')
    has_not(told, 'credential of-user')
    has_not(agent.do('policy', 'may', '--user=games', '--unit=other.service').text, 'credential')
    agent.do('delete', '--yes', 'prod/db/password')
    has(agent.do('show', '--readers', 'prod/db/password').text, 'credential dbpass')


@test
def nobody_reads_what_no_rule_gives(place):
    agent = served(place)
    agent.set('staging/key', b'some other value')
    agent.do('policy', 'apply', '-', input=b'[rule first]\nallow = list admin write\n'
             b'secret = **\nuser = %d\n' % os.geteuid())
    has(agent.do('show', '--readers', 'staging/key').text, 'may be read by nobody\n')
    same(agent.do('show', '--readers', '--json', 'staging/key').json()['readers'], [])


if __name__ == '__main__':
    tap.main()
