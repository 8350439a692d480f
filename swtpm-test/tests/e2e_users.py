#!/usr/bin/env python3
# SPDX-License-Identifier: ISC
"""Several users of one host: who gets what, and what the others learn."""

import grp
import os

import tap
from agent import ALICE, BOB, CAROL, OPERATORS
from tap import has, same, test

PATH, OTHER, MISSING = 'prod/db/password', 'prod/db/other', 'prod/db/nothing'
RULES = '''
[rule backup-reads]
allow  = read
secret = prod/db/password
user   = %s
''' % ALICE


def shared(place, rules=RULES):
    agent = place.ready()
    agent.set(PATH, b'hunter2')
    agent.set(OTHER, b'other')
    agent.apply(rules)
    return agent


@test(root=True)
def a_user_with_a_rule_gets_the_secret_and_others_are_denied(place):
    agent = shared(place)
    same(agent.get(PATH, user=ALICE), b'hunter2')
    for user, path in ((ALICE, OTHER), (BOB, PATH), (agent.user, PATH)):
        result = agent.run('get', path, user=user)
        same((result.status, result.out), (77, b''), (user, path))


@test(root=True)
def a_denied_get_of_a_secret_and_of_no_secret_cannot_be_told_apart(place):
    agent = shared(place)
    for user, path in ((BOB, PATH), (BOB, OTHER), (ALICE, OTHER)):
        for words in (['get'], ['get', '--json'], ['get', '--version=7'], ['show'], ['delete'],
                      ['undelete'], ['set'], ['set', '--expect-version=9']):
            there, nowhere = (agent.run(*words, name, user=user, input=b'v')
                              for name in (path, MISSING))
            same(there.status, 77, (user, words))
            same((there.status, there.out.replace(path.encode(), b'P'),
                  there.err.replace(path, 'P')),
                 (nowhere.status, nowhere.out.replace(MISSING.encode(), b'P'),
                  nowhere.err.replace(MISSING, 'P')), (user, words))


@test(root=True)
def the_kernels_overflow_uid_is_nobody_whatever_the_policy(place):
    agent = shared(place)
    rule = '[rule nobody]\nallow = read\nsecret = **\nuser = nobody\n'
    has(agent.run('policy', 'apply', '-', input=rule).err, 'standard-input:4')
    result = agent.run('get', PATH, user='nobody')
    same((result.status in (69, 77), result.out), (True, b''), result)


@test(root=True)
def a_denial_is_one_line_that_says_whom_to_ask_what(place):
    agent = shared(place)
    result = agent.run('get', PATH, user=BOB)
    same(result.err.count('\n'), 1)
    has(result.err, 'mortise: prod/db/password: denied, or no such secret for you', BOB,
        'mortise policy check --user=%s read %s' % (BOB, PATH))


@test(root=True)
def a_denial_is_never_waited_for(place):
    agent = shared(place)
    same(agent.run('--wait=60', 'get', PATH, user=BOB, timeout=10).status, 77)


@test(root=True)
def a_list_shows_each_user_only_what_that_user_may_see(place):
    agent = shared(place, RULES + '[rule sees]\nallow = list\nsecret = prod/db/o*\nuser = %s\n'
                   % BOB)
    same(agent.do('list', '-r', user=BOB).text, OTHER + '\n')
    same(agent.do('list', '-r', user=ALICE).text, '')
    same(agent.run('show', PATH, user=BOB).status, 77)
    agent.do('show', OTHER, user=BOB)


@test(root=True)
def each_verb_allows_its_own_and_nothing_else(place):
    agent = shared(place, '[rule writer]\nallow = write\nsecret = prod/db/*\nuser = %s\n'
                   '[rule deleter]\nallow = delete\nsecret = prod/db/*\nuser = %s\n'
                   % (ALICE, BOB))
    agent.do('set', PATH, user=ALICE, input='new')
    agent.do('delete', PATH, user=BOB)
    agent.do('undelete', PATH, user=BOB)
    for user, words in ((ALICE, ['get', PATH]), (ALICE, ['delete', PATH]), (BOB, ['get', PATH]),
                        (BOB, ['set', PATH]), (ALICE, ['policy', 'show']), (BOB, ['seal', '-y']),
                        (ALICE, ['audit', 'show']), (ALICE, ['verify']), (BOB, ['unseal']),
                        (ALICE, ['init', '--recovery-file=-'])):
        same(agent.run(*words, user=user, input='v').status, 77, (user, words))
    same(agent.get(PATH), b'new')


@test(root=True)
def a_group_counts_whether_primary_or_supplementary(place):
    agent = shared(place, '[rule by-group]\nallow = read\nsecret = prod/**\ngroup = audio\n'
                   '[rule primary]\nallow = read\nsecret = prod/**\ngroup = %s\n' % CAROL)
    same(agent.get(PATH, user=BOB, groups=['audio']), b'hunter2')
    same(agent.get(PATH, user=CAROL), b'hunter2')
    same(agent.run('get', PATH, user=BOB).status, 77)
    same(agent.run('get', PATH, user=BOB, groups=['video']).status, 77)
    many = [entry.gr_name for entry in grp.getgrall() if entry.gr_gid != 0]
    same(agent.get(PATH, user=BOB, groups=many), b'hunter2')


@test(root=True)
def a_deny_wins_over_every_allow(place):
    agent = shared(place, '[rule a-deny]\ndeny = read\nsecret = prod/db/password\ngroup = audio\n'
                   + RULES)
    same(agent.get(PATH, user=ALICE), b'hunter2')
    same(agent.run('get', PATH, user=ALICE, groups=['audio']).status, 77)
    agent.apply(RULES + '[rule nobody]\ndeny = read\nsecret = prod/**\n')
    same(agent.run('get', PATH).status, 77)
    same(agent.run('get', PATH, user=ALICE).status, 77)


@test(root=True)
def policy_check_answers_and_names_the_rule_that_decided(place):
    agent = shared(place, RULES + '[rule no-ca]\ndeny = read\nsecret = prod/ca/**\n')
    allowed = agent.run('policy', 'check', '--user=' + ALICE, 'read', PATH)
    same(allowed.status, 0)
    has(allowed.text, 'backup-reads')
    denied = agent.run('policy', 'check', '--user=' + ALICE, 'read', 'prod/ca/key')
    same(denied.status, 1)
    has(denied.text, 'no-ca')
    same(agent.run('policy', 'check', '--user=' + BOB, 'read', PATH).status, 1)
    same(agent.run('policy', 'check', '--json', '--user=' + ALICE, 'read', PATH).json()['rule'],
         'backup-reads')
    unknown = agent.run('policy', 'check', '--user=no-such-user', 'read', PATH)
    assert unknown.status not in (0, 1), unknown
    has(unknown.err, 'no such user')


@test(root=True)
def policy_check_agrees_with_what_happens(place):
    agent = shared(place, RULES + '[rule g]\nallow = read\nsecret = prod/db/other\ngroup = audio\n')
    for user in (ALICE, BOB, CAROL):
        for group in (None, 'audio'):
            for path in (PATH, OTHER, MISSING):
                extra = ['--group=' + group] if group else []
                said = agent.run('policy', 'check', '--user=' + user, *extra, 'read', path)
                done = agent.run('get', path, user=user, groups=[group] if group else [])
                same(done.status == 77, said.status == 1, (user, group, path, said))


@test
def a_wrong_policy_is_refused_by_file_and_line_and_the_old_one_stays(place):
    agent = place.ready()
    before = agent.do('policy', 'show').text
    for text, line, expected in (
            ('[rule a]\nallow = raed\nsecret = x\nuser = 1\n', 2, 'raed'),
            ('[rule a]\nallow = read\nsecret = X\nuser = 1\n', 3, 'X'),
            ('[rule a]\nallow = read\nsecret = x\n', 1, 'user'),
            ('[rule a]\nallow = read\nsecret = x\nuser = no-such-user\n', 4, 'no-such-user'),
            ('[rule a]\nallow = read\nsecret = x\nuser = 1\ncolour = red\n', 5, 'colour'),
            ('[rule a]\nallow = read\nsecret = x\nuser = 1\n[rule a]\nallow = read\n', 5, 'a'),
            ('[rule a\n', 1, ''), ('allow = read\n', 1, '')):
        result = agent.run('policy', 'apply', place.file('site.policy', text))
        same(result.status, 78, text)
        has(result.err, 'mortise: ', 'site.policy:%d' % line, expected)
        same(result.err.count('\n'), 1)
        same(agent.do('policy', 'show').text, before)


@test
def a_directory_of_policies_is_applied_whole_and_the_error_names_its_file(place):
    agent = place.ready()
    place.directory('policy.d')
    place.file('policy.d/10-root.policy', '[rule me]\nallow = read admin\nsecret = **\nuser = %d\n'
               % os.geteuid())
    place.file('policy.d/20-more.policy', '[rule more]\nallow = read\nsecret = a\nuser = 1\n')
    agent.do('policy', 'apply', place('policy.d'))
    has(agent.do('policy', 'show').text, '10-root.policy', '20-more.policy')
    place.file('policy.d/20-more.policy', '\n[rule more]\nallow = nothing\n')
    has(agent.run('policy', 'apply', place('policy.d')).err, '20-more.policy:3')
    same(agent.run('set', 'prod/x', input='v').status, 77)


@test(root=True)
def operators_may_unseal_but_not_read(place):
    agent = place.agent(lines=['operators = ' + OPERATORS])
    agent.start()
    agent.init()
    agent.set(PATH, b'hunter2')
    agent.do('seal', '--yes')
    same(agent.run('unseal', user=BOB).status, 77)
    result = agent.run('status', user=BOB)
    same(result.status, 75)
    assert 'reason' not in result.text, result
    has(agent.run('status', user=BOB, groups=[OPERATORS]).text, 'sealed by an admin')
    agent.do('unseal', user=BOB, groups=[OPERATORS])
    same(agent.run('get', PATH, user=BOB, groups=[OPERATORS]).status, 77)


if __name__ == '__main__':
    tap.main()
