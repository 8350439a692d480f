#!/usr/bin/env python3
# SPDX-License-Identifier: ISC
"""The files of an agent: what they show, their modes, and what is refused about them."""

import contextlib
import os
import pwd
import shutil
import sqlite3
import stat

import tap
from agent import AGENT_USER, BOB, IS_ROOT
from tap import has, same, test, until

PATH = 'prod/db/password'


def with_secrets(place, **settings):
    agent = place.ready(**settings)
    for name in ('one', 'two', 'three'):
        agent.set('prod/' + name, b'value-' + name.encode())
    return agent


def edit(agent, *statements):
    """Stops the agent and changes its store, as somebody with the disk could."""
    agent.stop()
    owner = os.stat(agent.store + '/store.db')
    database = sqlite3.connect(agent.store + '/store.db')
    with database:
        for statement in statements:
            database.execute(statement)
    database.close()
    for name in os.listdir(agent.store):
        os.chown(agent.store + '/' + name, owner.st_uid, owner.st_gid)


def start_sealed(agent):
    """Starts an agent that finds its store edited: why it is sealed."""
    agent.start()
    until(lambda: agent.status()['state'] == 'sealed' and 'reason' in agent.status())
    result = agent.run('get', 'prod/one')
    same((result.status, result.out), (75, b''))
    return agent.status()['reason']


def mode_of(path):
    return stat.S_IMODE(os.lstat(path).st_mode)


@test
def any_row_that_is_changed_deleted_or_added_keeps_the_store_sealed(place):
    agent = with_secrets(place)
    agent.stop()
    shutil.copytree(agent.store, place('good'))
    for statement in (
            'DELETE FROM secret WHERE number=(SELECT min(number) FROM secret)',
            'DELETE FROM secret WHERE number=(SELECT max(number) FROM secret)',
            'UPDATE secret SET record=(SELECT record FROM secret ORDER BY number LIMIT 1)',
            'UPDATE secret SET number=number+1 WHERE number=(SELECT max(number) FROM secret)',
            'UPDATE secret SET record=substr(record, 1, length(record)-1)',
            'INSERT INTO secret SELECT number+7, record FROM secret LIMIT 1',
            'UPDATE meta SET last=last+1',
            'INSERT INTO item SELECT 1, 2, 9, body FROM item WHERE kind=2',
            'DELETE FROM item WHERE kind=2', 'UPDATE meta SET tally=zeroblob(32)',
            'UPDATE meta SET epoch=2', 'UPDATE meta SET uuid=randomblob(16)',
            'DELETE FROM item WHERE kind=1 AND number=2'):
        edit(agent, statement)
        reason = start_sealed(agent)
        assert 'edited' in reason or 'does not belong' in reason, (statement, reason)
        same(agent.run('unseal').status in (65, 77), True, statement)
        agent.stop()
        owner = os.stat(agent.store)
        shutil.rmtree(agent.store)
        shutil.copytree(place('good'), agent.store)
        for name in ('', '/store.db', '/lock'):
            os.chown(agent.store + name, owner.st_uid, owner.st_gid)
    agent.start()
    same(agent.get('prod/one', '--wait=20'), b'value-one')


@test
def a_value_that_is_swapped_or_changed_is_65_and_the_others_are_served(place):
    agent = with_secrets(place)
    agent.set('prod/one', b'value-new')
    edit(agent, 'UPDATE value SET bytes=(SELECT bytes FROM value WHERE version=2) WHERE version=1 '
         'AND secret=(SELECT secret FROM value WHERE version=2)')
    agent.start()
    result = agent.run('get', 'prod/one', '--version=1', '--wait=20')
    same((result.status, result.out), (65, b''))
    same(agent.get('prod/one'), b'value-new')
    same(agent.get('prod/two'), b'value-two')
    same(agent.run('verify').status, 65)


@test
def what_is_no_mortise_store_ends_the_agent_with_65_and_one_reason(place):
    agent = with_secrets(place)
    edit(agent, 'CREATE TABLE more(x)')
    result = agent.refuse()
    same(result.status, 65)
    has(result.err, agent.store, 'not a usable store')
    with open(agent.store + '/store.db', 'r+b') as file:
        file.write(b'not a database')
    same(agent.refuse().status, 65)


@test
def a_second_agent_on_one_store_or_one_log_exits_73(place):
    agent = with_secrets(place)
    second = place.agent(name='second')
    second.store = agent.store
    second.configure()
    result = second.refuse()
    same((result.status, result.err.count('\n')), (73, 1))
    has(result.err, 'mortised: ', agent.store)
    second.store = second.path + '/store'
    second.audit = agent.audit
    second.configure()
    result = second.refuse()
    same(result.status, 73)
    has(result.err, agent.audit + ': cannot be the audit log: another agent writes it')
    same(agent.refuse().status, 73)
    same(agent.get('prod/one'), b'value-one')


@test
def a_socket_left_by_a_crash_is_replaced(place):
    agent = with_secrets(place)
    agent.kill()
    assert os.path.exists(agent.socket)
    agent.start()
    same(agent.get('prod/one', '--wait=20'), b'value-one')


@test
def no_file_of_the_store_shows_a_name_or_a_value(place):
    agent = place.ready()
    names = ['canary-env/canary-name-%d' % number for number in range(20)]
    for name in names:
        agent.set(name, b'canary-value')
        agent.set(name, b'canary-value')
    agent.apply('[rule canary-rule]\nallow = read\nsecret = canary-env/**\nuser = 12345\n')
    agent.do('delete', names[0])
    for when in ('running', 'crashed', 'stopped'):
        if when == 'crashed':
            agent.kill()
        if when == 'stopped':
            agent.start()
            agent.do('status', '--wait=20')
            agent.stop()
        found = sorted(os.listdir(agent.store))
        assert 'store.db' in found, found
        for name in found:
            with open(agent.store + '/' + name, 'rb') as file:
                assert b'canary' not in file.read(), (when, name)


@test
def with_umask_0_the_modes_are_exact(place):
    agent = place.agent()
    agent.start(umask=0)
    agent.do('init', '--recovery-file=' + agent.recovery, umask=0)
    agent.set(PATH, b'one')
    agent.do('get', PATH, '--out=' + place('out'), umask=0)
    expected = {agent.store: 0o700, os.path.dirname(agent.audit): 0o750, agent.audit: 0o640,
                os.path.dirname(agent.socket): 0o755, agent.socket: 0o666, agent.recovery: 0o600,
                place('out'): 0o600}
    expected.update({agent.store + '/' + name: 0o600 for name in os.listdir(agent.store)})
    same({path: oct(mode_of(path)) for path in expected},
         {path: oct(mode) for path, mode in expected.items()})
    if IS_ROOT:
        same(os.stat(agent.store).st_uid, pwd.getpwnam(AGENT_USER).pw_uid)
        same(os.stat(agent.socket).st_uid, 0)


@test
def an_unknown_or_wrong_configuration_line_is_78_with_file_and_line(place):
    agent = place.agent()
    for lines, line, expected in (
            (['colour = red'], 6, "unknown key 'colour'"), (['environment = Prod'], 6, 'prod'),
            (['store = /other'], 6, 'already'), (['[colour]', 'x = y'], 6, 'colour'),
            (['operators = no such group'], 6, 'one name'),
            (['audit-sync = often'], 6, 'checkpoint or always'), (['nonsense'], 6, ''),
            (['[tpm2]', 'deadline = never'], 7, 'seconds')):
        agent.configure(lines)
        for options in ((), ('--check',)):
            result = agent.refuse(options)
            same((result.status, result.err.count('\n')), (78, 1), lines)
            where = line if agent.user else line - 1
            has(result.err, 'mortised: %s:%d' % (agent.conf, where), expected)
    agent.configure(['operators = no-such-group'])
    has(agent.refuse().err, 'no-such-group')
    agent.tcti = 'cmd:sh -c id'
    agent.configure()
    has(agent.refuse().err, 'mortised.conf:%d' % (7 if agent.user else 6), 'swtpm:path=')
    os.unlink(agent.conf)
    result = agent.refuse()
    same(result.status, 78)
    has(result.err, agent.conf)


@test
def check_says_that_a_configuration_is_good_and_makes_nothing(place):
    agent = place.agent()
    same(agent.refuse(('--check',)).status, 0)
    assert not os.path.exists(agent.store) and not os.path.exists(os.path.dirname(agent.socket))


@test(root=True)
def hostile_directories_and_files_are_refused_with_a_line(place):
    agent = place.agent()
    store, run, log = agent.store, os.path.dirname(agent.socket), os.path.dirname(agent.audit)

    def link():
        os.mkdir(agent.path + '/elsewhere', 0o700)
        os.symlink(agent.path + '/elsewhere', store)

    def owned_by(path, user, mode=0o755):
        os.mkdir(path)
        os.chmod(path, mode)
        shutil.chown(path, user, user)

    for make in (link, lambda: owned_by(store, BOB, 0o700), lambda: owned_by(run, BOB),
                 lambda: owned_by(log, BOB), lambda: owned_by(store, AGENT_USER, 0o777),
                 lambda: owned_by(run, 'root', 0o1777), lambda: owned_by(log, AGENT_USER, 0o770),
                 lambda: os.chmod(agent.path, 0o777), lambda: os.chmod(agent.conf, 0o666),
                 lambda: shutil.chown(agent.conf, BOB)):
        make()
        result = agent.refuse()
        same((result.status, result.err.count('\n')), (78, 1), result)
        os.chmod(agent.path, 0o755)
        agent.configure()
        shutil.chown(agent.conf, 'root')
        for path in (store, run, log, agent.path + '/elsewhere'):
            with contextlib.suppress(FileNotFoundError, NotADirectoryError):
                (os.unlink if os.path.islink(path) else shutil.rmtree)(path)
    agent.start()
    agent.init()


if __name__ == '__main__':
    tap.main()
