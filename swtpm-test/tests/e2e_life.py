#!/usr/bin/env python3
# SPDX-License-Identifier: ISC
"""The life of a secret: versions, moves, destruction, a .env file; with the wrong turns."""

import os
import pty
import stat
import subprocess

import tap
from agent import ALICE, fill
from tap import has, same, test, until

RULE = ('[rule shop]\nallow = read write delete list\nsecret = shop/**\nuser = %s\n'
        '[rule look]\nallow = read list\nsecret = prod/**\nuser = %s\n' % (ALICE, ALICE))
ENV = '''# of the shop
export DB_PASSWORD="two \\"words\\" and
a second line"   # keep this remark
PLAIN=p1ain-v4lue # and this one
EMPTY=
 SINGLE='$not expanded'
LANG=C
'''
VALUES = ('second line', 'p1ain-v4lue', '$not expanded')


def versions(agent, path):
    return {one['version']: one.get('label')
            for one in agent.do('--json', 'show', path).json()['versions']}


def refused(agent, status, *words, about='', **options):
    result = agent.run(*words, **options)
    same(result.status, status, words)
    has(result.err, about)
    same(result.err.count('\n'), 1, result.err)
    return result


def raw(agent):
    return b''.join(open(os.path.join(agent.store, name), 'rb').read()
                    for name in sorted(os.listdir(agent.store)))


@test
def a_bad_value_is_rolled_back_and_then_destroyed(place):
    agent = place.ready()
    agent.set('prod/db/password', b'good')
    agent.do('set', '--note=leaked in a log', 'prod/db/password', input=b'bad')
    refused(agent, 64, 'rollback', 'prod/db/password', about='--to=N')
    refused(agent, 66, 'rollback', '--to=7', 'prod/db/password', about='mortise show')
    refused(agent, 66, 'rollback', '--to=1', 'prod/db/passwort', about='mortise show')
    refused(agent, 73, 'rollback', '--to=1', '--expect-version=1', 'prod/db/password')
    same(agent.do('--json', 'rollback', '--to=1', '--dry-run', 'prod/db/password').json(),
         {'path': 'prod/db/password', 'version': 3, 'changed': True, 'dry_run': True})
    agent.do('rollback', '--to=1', 'prod/db/password')
    same(agent.get('prod/db/password'), b'good')
    same(agent.get('prod/db/password', '--label=previous'), b'bad')
    refused(agent, 66, 'get', '--label=pending', 'prod/db/password')
    same(versions(agent, 'prod/db/password'), {1: None, 2: 'previous', 3: 'current'})
    shown = agent.do('show', 'prod/db/password').text
    has(shown, 'leaked in a log', 'rollback to version 1')
    refused(agent, 64, 'destroy', 'prod/db/password', about='--version=N')
    refused(agent, 73, 'destroy', '--version=3', 'prod/db/password', about='current version')
    agent.do('destroy', '--version=2', 'prod/db/password')
    refused(agent, 66, 'get', '--version=2', 'prod/db/password', about='mortise show')
    same(versions(agent, 'prod/db/password'), {1: None, 3: 'current'})
    agent.restart()
    until(lambda: agent.status()['state'] == 'unsealed')
    same(versions(agent, 'prod/db/password'), {1: None, 3: 'current'})
    agent.do('verify')


@test
def destroy_asks_on_a_terminal(place):
    agent = place.ready()
    for value in (b'one', b'two'):
        agent.set('prod/x', value)
    for answer, status in ((b'n\n', 64), (b'y\n', 0)):
        leader, follower = pty.openpty()
        os.write(leader, answer)
        command = agent.popen('destroy', '--version=1', 'prod/x', stdin=follower,
                              stdout=subprocess.PIPE, stderr=subprocess.PIPE)
        has(command.communicate(timeout=60)[1].decode(), 'Nothing brings it back. [y/N]')
        same(command.returncode, status)
        os.close(leader)
        os.close(follower)


@test
def a_deleted_secret_is_destroyed_whole_and_leaves_no_row(place):
    agent = place.ready()
    agent.set('prod/old', b'x' * 40000)
    agent.set('prod/other', b'y')
    refused(agent, 73, 'destroy', '--all', 'prod/old', about='mortise delete')
    agent.do('delete', '--yes', 'prod/old')
    agent.do('destroy', '--all', 'prod/old')
    with open(agent.store + '/store.db-wal', 'rb') as log:
        same(log.read().strip(b'\0'), b'')
    size = os.path.getsize(agent.store + '/store.db')
    agent.set('prod/new', b'z' * 40000)
    agent.do('delete', '--yes', 'prod/new')
    agent.do('destroy', '--all', 'prod/new')
    same(os.path.getsize(agent.store + '/store.db'), size, 'its room is taken again')
    refused(agent, 66, 'undelete', 'prod/old')
    refused(agent, 66, 'show', 'prod/old')
    has(agent.do('verify').text, '1 value')


@test(root=True)
def a_move_needs_what_get_set_and_delete_need(place):
    agent = place.ready()
    agent.set('prod/db/password', b'value')
    agent.set('shop/old', b'mine')
    agent.apply(RULE)
    refused(agent, 77, 'move', 'prod/db/password', 'shop/stolen', user=ALICE, about='read, write')
    refused(agent, 77, 'move', 'prod/db/missing', 'shop/stolen', user=ALICE, about='read, write')
    refused(agent, 77, 'move', 'shop/old', 'prod/db/new', user=ALICE)
    refused(agent, 77, 'rollback', '--to=1', 'prod/db/password', user=ALICE)
    refused(agent, 77, 'destroy', '--version=1', 'prod/db/password', user=ALICE)
    refused(agent, 77, 'meta', '--note=x', 'prod/db/password', user=ALICE)
    refused(agent, 77, 'meta', '--hook=/tmp/evil', 'shop/old', user=ALICE, about='admin')
    agent.do('meta', '--note=of the shop', '--set=owner=alice', 'shop/old', user=ALICE)
    agent.do('move', 'shop/old', 'shop/new', user=ALICE)
    same(agent.get('shop/new', user=ALICE), b'mine')
    has(agent.do('show', 'shop/new', user=ALICE).text, 'of the shop', 'owner=alice')
    refused(agent, 66, 'get', 'shop/old', user=ALICE)
    agent.set('shop/old', b'another')
    refused(agent, 73, 'move', 'shop/new', 'shop/old', user=ALICE, about='there already')
    agent.do('seal', '--yes')
    for words in (('meta', '--note=x', 'shop/new'), ('move', 'shop/new', 'shop/x'),
                  ('rollback', '--to=1', 'shop/new'), ('destroy', '--version=1', 'shop/new')):
        refused(agent, 75, *words, user=ALICE, about='sealed')


@test
def what_is_older_than_its_max_age_is_listed_as_due(place):
    agent = place.ready()
    for path in ('prod/a', 'prod/b', 'prod/c/d'):
        agent.set(path, b'value')
    agent.do('meta', '--max-age=90d', 'prod/a')
    refused(agent, 64, 'meta', '--max-age=soon', 'prod/a', about='90d')
    refused(agent, 64, 'meta', '--set=owner', 'prod/a', about='KEY=VALUE')
    refused(agent, 64, 'meta', '--keep=101', 'prod/a', about='at most 100')
    refused(agent, 66, 'meta', '--note=x', 'prod/none')
    agent.do('meta', '--max-age=1s', 'prod/c/d')
    tap.until(lambda: agent.do('list', '--due').text == 'prod/c/d\n', what='it to be due')
    has(agent.do('show', 'prod/c/d').text, 'overdue since')
    has(agent.do('meta', 'prod/a').text, 'max-age  90d, due ')
    agent.set('prod/c/d', b'fresh')
    agent.do('meta', '--max-age=never', 'prod/c/d')
    same(agent.do('list', '--due').text, '')


@test
def a_env_file_goes_in_and_references_stay(place):
    agent = place.ready()
    env = place.file('app.env', ENV, 0o640)
    refused(agent, 74, 'import', env + '.none', 'prod/app', about='No such file')
    refused(agent, 64, 'import', '--only=DB_PASSWROD', env, 'prod/app', about='has no DB_PASSWROD')
    refused(agent, 64, 'import', '--rewrite', '-', 'prod/app', input=ENV.encode())
    refused(agent, 64, 'import', env, 'Prod/App')
    twice = place.file('twice.env', 'A_B=1\na_b=2\n')
    refused(agent, 78, 'import', twice, 'prod/app', about='both be prod/app/a-b')
    broken = place.file('broken.env', 'A="no end\n')
    refused(agent, 78, 'import', broken, 'prod/app', about='quote')
    same(agent.do('list', '-r').text, '')
    dry = agent.do('import', '--dry-run', '--rewrite', '--except=LANG', env, 'prod/app')
    told = agent.do('import', '--rewrite', '--except=LANG', env, 'prod/app')
    for value in VALUES:
        assert value not in dry.text + dry.err + told.text + told.err, 'a value is shown'
    has(told.err, 'proves nothing on an SSD')
    with open(env, encoding='utf-8') as file:
        same(file.read(), '# of the shop\nexport DB_PASSWORD="mortise:prod/app/db-password"'
             '   # keep this remark\nPLAIN=mortise:prod/app/plain # and this one\n'
             'EMPTY=mortise:prod/app/empty\n SINGLE=\'mortise:prod/app/single\'\nLANG=C\n')
    same(stat.S_IMODE(os.stat(env).st_mode), 0o640)
    same(agent.do('exec', '--no-mask', '--env-file=' + env, 'sh', '-c',
                  'printf "%s|%s|%s|%s" "$DB_PASSWORD" "$PLAIN" "$SINGLE" "$LANG"').text,
         'two "words" and\na second line|p1ain-v4lue|$not expanded|C')
    same(agent.do('exec', '--no-mask', '--env-from=prod/app/', 'sh', '-c',
                  'printf "%s" "$DB_PASSWORD"').text, 'two "words" and\na second line')
    log = open(agent.audit, encoding='utf-8').read()
    for value in VALUES:
        assert value not in log


@test(root=True)
def an_import_that_is_denied_in_one_place_stores_nothing(place):
    agent = place.ready()
    agent.apply(RULE.replace('shop/**', 'shop/app/plain'))
    env = place.file('app.env', ENV)
    refused(agent, 77, 'import', env, 'shop/app', user=ALICE, about='shop/app/db-password: denied')
    same(agent.do('list', '-r').text, '')
    agent.do('import', '--only=PLAIN', env, 'shop/app', user=ALICE)
    same(agent.get('shop/app/plain', user=ALICE), b'p1ain-v4lue')


@test(root=True)
def on_a_full_disk_an_import_is_refused_and_what_was_is_there(place):
    agent = place.agent()
    place.disk('agent/store', '512k', '0700', agent.user)
    agent.start()
    agent.init()
    agent.set('prod/a', b'old')
    fill(agent.store + '/ballast')
    env = place.file('big.env', ''.join('N%d=%s\n' % (i, 'v' * 900) for i in range(60)))
    before = open(env, encoding='utf-8').read()
    refused(agent, 74, 'import', '--rewrite', env, 'prod/app', about='is the disk full')
    same(open(env, encoding='utf-8').read(), before)
    same(agent.do('list', '-r').text, 'prod/a\n')
    same(agent.get('prod/a'), b'old')
    os.unlink(agent.store + '/ballast')
    agent.do('import', '--rewrite', env, 'prod/app')
    agent.do('verify')


@test(root=True)
def a_user_at_his_quota_is_told_which_and_doctor_knows_before(place):
    agent = place.ready()
    agent.apply(RULE + '[quota shop]\nsecret = shop/**\nsecrets = 10\n')
    for number in range(9):
        agent.run('set', 'shop/%d' % number, user=ALICE, input='v')
    result = agent.run('doctor', '--json')
    has(result.text, 'quotas that are nearly used up: shop (90 %)')
    same(agent.run('set', 'shop/9', user=ALICE, input='v').status, 0)
    result = refused(agent, 77, 'set', 'shop/10', user=ALICE, input='v', about='the quota shop allows (10 secrets)')
    has(result.err, 'destroy what is not needed')
    refused(agent, 77, 'import', '--yes', place.file('e', 'A=1\n'), 'shop', user=ALICE, about='quota shop')
    agent.do('delete', '--yes', 'shop/0')
    refused(agent, 77, 'set', 'shop/10', user=ALICE, input='v', about='quota shop')
    agent.do('destroy', '--yes', '--all', 'shop/0')
    same(agent.run('set', 'shop/10', user=ALICE, input='v').status, 0)
    has(agent.apply(RULE).text, 'quota shop: shop/**, at most 10 secrets: no longer')


if __name__ == '__main__':
    tap.main()
