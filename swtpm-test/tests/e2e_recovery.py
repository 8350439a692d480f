#!/usr/bin/env python3
# SPDX-License-Identifier: ISC
"""Seals that last, and the recovery key: typed wrong, on another host, without mortise."""

import os
import shutil
import sqlite3

import keys
import tap
import wire
from tap import has, same, test, until

PATH = 'prod/db/password'


def with_secret(place, **settings):
    agent = place.ready(**settings)
    agent.set(PATH, b'hunter2')
    return agent


def moved(place, agent, with_log):
    """The agent of another host, with a copy of agent's store, and of its audit log or not."""
    other = place.agent(name='other')
    shutil.copytree(agent.store, other.store)
    copies = [other.store]
    if with_log:
        shutil.copytree(os.path.dirname(agent.audit), os.path.dirname(other.audit))
        copies.append(os.path.dirname(other.audit))
    for copy in copies if other.user else []:
        for directory, _, files in os.walk(copy):
            for name in [directory] + [os.path.join(directory, file) for file in files]:
                shutil.chown(name, other.user, other.user)
    other.start()
    until(lambda: other.status()['state'] == 'sealed')
    return other


@test
def a_backup_of_many_secrets_is_opened_by_the_recovery_key(place):
    """How many values its first part has is not how many shares are missing."""
    agent = with_secret(place)
    connection = wire.connect(agent.socket)
    for number in range(2000):
        same(wire.set(connection, 'many/%d' % number, b'v%d' % number), 0)
    agent.do('backup', 'create', place('backup'))
    key = '--recovery-file=' + agent.recovery
    has(agent.do('backup', 'verify', key, place('backup')).text, 'intact, 2001 values')
    agent.do('seal', '--yes')
    agent.do('backup', 'restore', '--no-hardware', '--yes', key, place('backup'))
    same([agent.get(path) for path in (PATH, 'many/1999')], [b'hunter2', b'v1999'])


@test
def on_another_host_the_store_stays_sealed_until_the_recovery_key_opens_it(place):
    agent = with_secret(place)
    agent.stop()
    other = moved(place, agent, with_log=True)
    result = other.run('get', PATH)
    same((result.status, result.out), (75, b''))
    has(other.status()['reason'], 'mortise recover')
    refused = other.run('unseal', '--recovery-file=' + agent.recovery)
    same(refused.status, 74)
    has(refused.err, 'mortise recover')
    other.do('recover', '--no-hardware', '--recovery-file=' + agent.recovery)
    same(other.get(PATH), b'hunter2')
    other.do('verify')
    other.do('audit', 'verify')
    other.restart()
    until(lambda: other.status()['state'] == 'sealed')
    other.do('unseal', '--recovery-file=' + agent.recovery)


@test
def a_store_alone_without_its_log_opens_too_and_says_that_the_log_is_another(place):
    agent = with_secret(place)
    agent.stop()
    other = moved(place, agent, with_log=False)
    other.do('recover', '--no-hardware', '--recovery-file=' + agent.recovery)
    same(other.get(PATH), b'hunter2')


@test
def the_recovery_key_and_the_store_alone_give_the_master_key_without_mortise(place):
    agent = with_secret(place)
    agent.stop()
    bits = keys.key_bits(keys.typed_key(agent.recovery))
    master = keys.master_key(agent.store, 'recovery', bits)
    same(len(master), 32)
    try:
        keys.master_key(agent.store, 'tpm2', bits)
    except AssertionError:
        return
    raise AssertionError('the recovery key opens the slot of the TPM')


@test
def a_typing_error_is_found_and_its_group_named(place):
    agent = with_secret(place)
    agent.do('seal', '--yes')
    typed = keys.typed_key(agent.recovery)
    for at in (0, 4, 20, 40, 76):
        wrong = typed[:at] + ('7' if typed[at] != '7' else '8') + typed[at + 1:]
        result = agent.run('unseal', '--recovery-file=-', input=wrong)
        same(result.status, 64)
        has(result.err, 'group %d ' % (at // 6 + 1))
        same(result.err.count('\n'), 1)
    swapped = typed[6:12] + typed[:6] + typed[12:]
    has(agent.run('unseal', '--recovery-file=-', input=swapped).err, 'group 1 ')
    result = agent.run('unseal', '--recovery-file=-', input=typed[:-1])
    same(result.status, 64)
    has(result.err, '13 groups')
    same(agent.status()['state'], 'sealed')
    agent.do('unseal', '--recovery-file=-', input='  %s \n' % typed.lower())


@test
def the_recovery_key_of_another_store_is_refused_and_changes_nothing(place):
    agent = with_secret(place)
    other = place.ready(name='other')
    agent.do('seal', '--yes')
    reason = agent.status()['reason']
    result = agent.run('unseal', '--recovery-file=' + other.recovery)
    same(result.status, 77)
    has(result.err, 'not the recovery key of this store', agent.status()['recovery_key_id'])
    same(agent.status()['state'], 'sealed')
    same(agent.status()['reason'], reason)
    agent.do('unseal', '--recovery-file=' + agent.recovery)


@test
def a_seal_outlives_restarts_and_crashes_until_unseal(place):
    agent = with_secret(place)
    agent.do('seal', '--yes')
    agent.restart()
    has(agent.status()['reason'], 'sealed by an admin')
    agent.kill()
    agent.start()
    result = agent.run('get', PATH)
    same(result.status, 75)
    has(result.err, 'mortise unseal')
    agent.do('unseal')
    same(agent.get(PATH), b'hunter2')
    agent.restart()
    agent.do('status', '--wait=20')


@test
def a_seal_until_boot_outlives_restarts_but_not_a_boot(place):
    agent = with_secret(place)
    agent.do('seal', '--yes', '--until-boot')
    agent.restart()
    has(agent.status()['reason'], 'sealed by an admin')
    agent.stop()
    database = sqlite3.connect(agent.store + '/store.db')
    word, = database.execute('SELECT word FROM hold').fetchone()
    with open('/proc/sys/kernel/random/boot_id') as file:
        same(word, 'boot ' + file.read().strip())
    with database:
        database.execute("UPDATE hold SET word='boot another'")
    database.close()
    agent.start()
    agent.do('status', '--wait=20')
    same(agent.get(PATH), b'hunter2')


@test
def an_agent_that_unseals_itself_by_and_by_can_be_sealed_for_good(place):
    tpm = place.tpm()
    agent = with_secret(place, tpm=tpm)
    agent.stop()
    tpm.stop()
    agent.start()
    until(lambda: 'no TPM' in agent.status().get('reason', ''))
    agent.do('seal', '--yes')
    tpm.start()
    agent.restart()
    has(agent.status()['reason'], 'sealed by an admin')
    agent.do('unseal')


@test
def a_store_without_hardware_opens_with_the_recovery_key_only(place):
    agent = place.agent()
    agent.start()
    agent.do('init', '--no-hardware', '--recovery-file=' + agent.recovery)
    agent.set(PATH, b'hunter2')
    agent.restart()
    until(lambda: agent.status()['state'] == 'sealed')
    has(agent.status()['reason'], 'no hardware slot')
    same(agent.run('unseal').status, 74)
    agent.do('unseal', '--recovery-file=' + agent.recovery)
    same(agent.get(PATH), b'hunter2')


def files_found(agent):
    findings = agent.run('doctor', '--quick', '--json').json()['findings']
    return [(one['severity'], one['text'], one['remedy']) for one in findings
            if one['check'] == 'files' and one['severity'] != 'ok']


@test
def a_store_that_was_replaced_is_told_of_until_it_is_destroyed(place):
    agent = place.wrapped()
    agent.start()
    agent.do('init', '--no-hardware', '--recovery-file=' + agent.recovery)
    agent.set(PATH, b'hunter2')
    agent.do('backup', 'create', place('backup'))
    same(files_found(agent), [])
    assert 'store_replaced' not in agent.status()
    agent.do('seal', '--yes')
    agent.do('recover', '--no-hardware', '--yes', '--recovery-file=' + agent.recovery,
             '--backup=' + place('backup'))
    replaced = agent.store + '/store.db.replaced'
    agent.do('rekey', '--yes', '--reencrypt')
    for _ in range(2):
        (severity, text, remedy), = files_found(agent)
        same((severity, remedy), ('warning', 'shred -u ' + replaced))
        has(text, replaced, 'opens with the keys of then')
        same(agent.status()['store_replaced'], replaced)
        has(agent.log(), replaced + ', which a recovery replaced, opens with the keys of then')
        agent.restart()
        agent.do('unseal', '--recovery-file=' + agent.recovery)
    os.unlink(replaced)
    same(files_found(agent), [])
    assert 'store_replaced' not in agent.status()


@test
def what_else_lies_beside_the_store_is_told_of(place):
    agent = place.wrapped()
    agent.start()
    agent.do('init', '--no-hardware', '--recovery-file=' + agent.recovery)
    shutil.copy(agent.store + '/store.db', agent.store + '/store.db.bak')
    (severity, text, _), = files_found(agent)
    same(severity, 'note')
    has(text, 'not the agent\'s: store.db.bak')


if __name__ == '__main__':
    tap.main()
