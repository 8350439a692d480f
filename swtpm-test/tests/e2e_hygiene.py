#!/usr/bin/env python3
# SPDX-License-Identifier: ISC
"""hygiene: values used twice, overdue, old and never read; and that nothing of them is told."""

import os
import sqlite3

import tap
from agent import ALICE
from tap import has, has_not, same, test, until


def findings(result, *kinds):
    return [(found['kind'], found['path']) for found in result.json()['findings']
            if not kinds or found['kind'] in kinds]


@test
def a_store_in_order_has_no_findings(place):
    agent = place.ready()
    for name in ('prod/a', 'prod/b', 'staging/a'):
        agent.set(name, b'the value of ' + name[-6:].encode())
        agent.get(name)
    agent.set('prod/empty', b'')
    agent.set('prod/none', b'')
    agent.get('prod/empty'), agent.get('prod/none')
    result = agent.do('hygiene')
    same((result.text, result.err), ('', 'mortise: 5 secrets were examined: nothing was found\n'))
    same(agent.do('hygiene', '--json').json(), {'findings': [], 'log_examined': True})


@test
def a_value_of_two_environments_and_one_reused_are_told_apart(place):
    agent = place.ready()
    for name, value in (('prod/a', b'one'), ('staging/a', b'one'), ('prod/b', b'two'),
                        ('prod/c', b'two'), ('prod/d', b'two'), ('prod/e', b'three'),
                        ('prod/gone', b'three')):
        agent.set(name, value)
        agent.get(name)
    agent.do('delete', '--yes', 'prod/gone')
    result = agent.run('hygiene')
    same(result.status, 1)
    same(sorted(result.text.splitlines()), [
        'one value for several secrets: prod/b prod/c prod/d',
        'one value in several environments: prod/a staging/a'])
    result = agent.run('hygiene', '--json')
    same(findings(result), [('environments', 'prod/a'), ('environments', 'staging/a'),
                            ('reused', 'prod/b'), ('reused', 'prod/c'), ('reused', 'prod/d')])
    agent.set('staging/a', b'another')
    same(findings(agent.run('hygiene', '--json'), 'environments'), [])


@test
def old_overdue_and_never_read_secrets_are_told(place):
    agent = place.ready()
    agent.set('prod/read', b'a')
    agent.get('prod/read')
    agent.set('prod/unread', b'b')
    agent.do('meta', '--max-age=1s', 'prod/read')
    until(lambda: findings(agent.run('hygiene', '--json'), 'overdue') ==
          [('overdue', 'prod/read')])
    same(findings(agent.run('hygiene', '--json'), 'never_read'), [('never_read', 'prod/unread')])
    same(findings(agent.run('hygiene', '--json'), 'old'), [])
    until(lambda: ('old', 'prod/unread') in
          findings(agent.run('hygiene', '--json', '--older-than=1s')))
    has(agent.run('hygiene').text, 'older than its max-age: prod/read, of 20')
    same(agent.run('hygiene', '--older-than=soon').status, 64)


@test
def many_secrets_come_in_pages_and_a_rekey_in_between_is_no_matter(place):
    agent = place.ready()
    for part in range(3):
        lines = ''.join('K%d=value-%d\n' % (number, (part * 200 + number) // 2)
                        for number in range(200))
        agent.do('import', '--yes', place.file('many%d.env' % part, lines, 0o600),
                 'prod/many%d' % part)
    result = agent.run('hygiene', '--json')
    same(len(findings(result, 'reused')), 600)
    groups = {}
    for found in result.json()['findings']:
        if found['kind'] == 'reused':
            groups.setdefault(found['group'], []).append(found['path'])
    same({len(paths) for paths in groups.values()}, {2})
    agent.do('rekey')
    same(len(findings(agent.run('hygiene', '--json', '--wait=10'), 'reused')), 600)


@test(root=True)
def it_needs_admin_and_says_what_it_cannot_know_without_audit(place):
    agent = place.ready()
    agent.set('prod/a', b'one')
    agent.set('prod/b', b'one')
    agent.apply('[rule a]\nallow = read list write delete rotate audit\nsecret = **\nuser = %s\n'
                % ALICE)
    result = agent.run('hygiene', user=ALICE)
    same((result.status, result.out), (77, b''))
    agent.apply('[rule a]\nallow = admin\nuser = %s\n' % ALICE)
    result = agent.run('hygiene', user=ALICE)
    same(result.status, 1)
    has(result.text, 'prod/a prod/b')
    has(result.err, 'verb audit')


def doctors(agent, *options, **more):
    """What doctor says of hygiene: severities and texts; its exit status, which is not hygiene's."""
    result = agent.run('doctor', '--json', *options, **more)
    said = [(one['severity'], one['text']) for one in result.json()['findings']
            if one['check'] == 'hygiene']
    return result.status, said


@test
def doctor_tells_of_it_as_a_warning_or_note_and_names_no_value(place):
    agent = place.ready()
    agent.set('prod/a', b'a value of its own')
    agent.get('prod/a')
    same(doctors(agent), (0, [('ok', 'no value is used twice or overdue, and each was read')]))
    for name in ('prod/b', 'staging/b', 'prod/c', 'prod/d'):
        agent.set(name, b'of two environments' if name.endswith('b') else b'used once again')
    agent.do('meta', '--max-age=1s', 'prod/d')
    until(lambda: len(doctors(agent)[1]) == 4)
    same(doctors(agent), (0, [
        ('warning', 'one value in several environments: 2 secrets: prod/b = staging/b'),
        ('warning', 'one value for several secrets: 2 secrets: prod/c = prod/d'),
        ('warning', 'older than its max-age: 1 secret: prod/d'),
        ('note', 'never read, as far as the log goes back: 4 secrets: '
         'prod/b, prod/c, prod/d, staging/b')]))
    until(lambda: ('note', 'older than asked for: 4 secrets: prod/a, prod/b, prod/c, staging/b')
          in doctors(agent, '--older-than=1s')[1])
    same(len(doctors(agent, '--quick')[1]), 3)
    text = agent.do('doctor').text
    has(text, 'warning  hygiene one value in several environments', 'next: mortise hygiene names')
    has_not(text, 'of two environments', 'used once again')
    same(agent.run('doctor', '--older-than=soon').status, 64)


@test
def doctor_names_some_and_says_how_many_more(place):
    agent = place.ready()
    for number in range(9):
        agent.set('prod/s%d' % number, b'one and the same')
    has(agent.do('doctor', '--quick').text, 'one value for several secrets: 9 secrets: prod/s0 = '
        'prod/s1 = prod/s2 = prod/s3 = prod/s4 = prod/s5, and 3 more; next')


@test(root=True)
def doctor_says_what_it_cannot_know_of_secrets(place):
    agent = place.ready()
    agent.set('prod/a', b'one')
    agent.apply('[rule a]\nallow = admin\nuser = %s\n' % ALICE)
    same(doctors(agent, user=ALICE)[1], [
        ('ok', 'no value is used twice or overdue'),
        ('note', 'what was never read is not known: that takes the verb audit')])
    agent.do('seal', '--yes')
    status, said = doctors(agent)
    same((status, said), (1, []))
    has(agent.run('doctor').text, 'hygiene were not looked at')


@test
def no_fingerprint_is_in_the_store_or_an_answer(place):
    agent = place.ready()
    agent.set('prod/a', b'one and the same')
    agent.set('prod/b', b'one and the same')
    before = {}
    agent.run('hygiene')
    agent.stop()
    database = sqlite3.connect('file:%s/store.db?mode=ro' % agent.store, uri=True)
    tables = [name for name, in database.execute('SELECT name FROM sqlite_master')]
    same([name for name in tables if 'twin' in name or 'finger' in name], [], before)
    database.close()


@test
def a_damaged_value_is_named(place):
    agent = place.ready()
    agent.set('prod/a', b'one')
    agent.stop()
    owner = os.stat(agent.store + '/store.db')
    database = sqlite3.connect(agent.store + '/store.db')
    with database:
        database.execute('UPDATE value SET bytes = zeroblob(length(bytes))')
    database.close()
    for name in os.listdir(agent.store):
        os.chown(os.path.join(agent.store, name), owner.st_uid, owner.st_gid)
    agent.start()
    agent.do('status', '--wait=60')
    result = agent.run('hygiene')
    same(result.status, 65)
    has(result.err, 'prod/a', 'mortise verify')
    status, said = doctors(agent)
    same((status, said[0][0]), (1, 'wrong'))
    has(said[0][1], 'secrets could not be examined: ', 'prod/a')


if __name__ == '__main__':
    tap.main()
