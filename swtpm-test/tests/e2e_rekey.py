#!/usr/bin/env python3
# SPDX-License-Identifier: ISC
"""A new master key while the agent serves; SIGKILL during one is e2e_kill_loop.py's."""

import json
import os
import sqlite3

import tap
import wire
from agent import ALICE
from tap import has, same, test, until

SECRETS = 150
CLOCK_FLOOR = 5  # of docs/store.md: the one kind of item that is not encrypted
WRAPPED = 67


def fill(agent, count=SECRETS):
    values = {}
    for number in range(count):
        path, value = 'prod/key/%d' % number, b'value-%d' % number
        agent.set(path, value)
        values[path] = value
    return values


def all_kept(agent, values):
    for path, value in values.items():
        same(agent.get(path, '--wait=60'), value, path)


def query(agent, text):
    """Rows of the store of an agent that is stopped."""
    database = sqlite3.connect('file:%s/store.db?mode=ro' % agent.store, uri=True)
    rows = database.execute(text).fetchall()
    database.close()
    return rows


def wrapped(record):
    """The data keys in a secret's record."""
    return [wire.fields_of(version)[WRAPPED]
            for version in wire.items(wire.unpack(record)[1][wire.ITEMS])]


def store_bytes(agent):
    for name in os.listdir(agent.store):
        with open(os.path.join(agent.store, name), 'rb') as file:
            yield name, file.read()


def audit_of(agent, *operations):
    with open(agent.audit) as file:
        lines = [json.loads(line) for line in file]
    return [line for line in lines if line['op'] in operations]


@test
def a_rekey_keeps_every_value_and_no_slot_is_asked(place):
    agent = place.ready()
    values = fill(agent, 20)
    agent.set('prod/key/1', b'newer')
    values['prod/key/1'] = b'newer'
    for epoch, options in ((2, ()), (3, ('--reencrypt',))):
        result = agent.do('rekey', '--json', *options).json()
        same(result, {'changed': True, 'dry_run': False, 'secrets': 20, 'key_epoch': epoch})
        same(agent.status()['key_epoch'], epoch)
        all_kept(agent, values)
        same(agent.get('prod/key/1', '--version=1'), b'value-1')
        same(agent.do('verify').status, 0)
        agent.restart()
        agent.do('status', '--wait=60')
        all_kept(agent, values)
    agent.do('seal', '--yes')
    agent.do('unseal', '--recovery-file=' + agent.recovery)
    all_kept(agent, values)
    same(agent.do('audit', 'verify').status, 0)
    ended = audit_of(agent, 'rekey', 'rekeyed')
    same([(line['op'], line['result']) for line in ended],
         [('rekey', 'ok'), ('rekeyed', 'ok')] * 2)


@test
def a_seal_right_after_a_rekey_is_opened_by_the_kept_slots(place):
    agent = place.ready()
    agent.set('prod/key', b'one')
    agent.do('rekey')
    agent.do('seal', '--yes')
    agent.do('unseal')
    same(agent.get('prod/key'), b'one')


@test
def a_dry_run_changes_nothing_and_output_says_what_is_not_healed(place):
    agent = place.ready()
    agent.set('prod/key', b'one')
    has(agent.do('rekey', '--dry-run').text, 'would rekey 1 secret')
    same(agent.status()['key_epoch'], 1)
    has(agent.do('rekey').text, 'key epoch 2', 'Not healed', 'change it')
    has(agent.do('rekey', '--help').text, 'It heals', 'It does not heal', 'change\nit')


@test(root=True)
def who_may_not_admin_may_not_rekey(place):
    agent = place.ready()
    agent.apply('[rule alice]\nallow = read list write delete rotate audit\nsecret = **\n'
                'user = %s\n' % ALICE)
    for options in ((), ('--dry-run',), ('--reencrypt',)):
        result = agent.run('rekey', *options, user=ALICE)
        same((result.status, result.out), (77, b''))
    same(agent.status()['key_epoch'], 1)


@test
def wrapped_keys_of_before_are_in_no_file_after(place):
    agent = place.ready()
    fill(agent, 40)
    agent.stop()
    old = [key for record, in query(agent, 'SELECT record FROM secret') for key in wrapped(record)]
    same(len(old), 40)
    old += [body for body, in query(agent, 'SELECT body FROM item WHERE kind != %d' % CLOCK_FLOOR)]
    same(len([key for key in old if any(key in data for _, data in store_bytes(agent))]),
         len(old))
    agent.start()
    agent.do('rekey', '--wait=60')
    for name, data in store_bytes(agent):
        same([key for key in old if key in data], [], name)
    agent.stop()
    for name, data in store_bytes(agent):
        same([key for key in old if key in data], [], name)


@test
def reads_and_writes_go_on_and_a_client_that_leaves_does_not_stop_it(place):
    agent = place.ready()
    values = fill(agent, 400)
    process = agent.popen('rekey', '--reencrypt')
    until(lambda: agent.status().get('key_epoch', 1) > 1 or 'rekey' in agent.status(), 30)
    process.kill()
    process.communicate()
    number = 0
    while agent.status()['key_epoch'] == 1 or 'rekey' in agent.status():
        number += 1
        path = 'prod/key/%d' % (number % 50)
        values[path] = b'meanwhile-%d' % number
        agent.set(path, values[path])
        same(agent.get(path), values[path])
    all_kept(agent, dict(list(values.items())[:60]))
    same(agent.status()['key_epoch'], 2)
    same(agent.do('verify').status, 0)


@test
def a_seal_drops_a_rekey_and_what_it_left_is_removed(place):
    agent = place.ready()
    fill(agent)
    process = agent.popen('rekey', '--reencrypt')
    agent.do('seal', '--yes')
    process.communicate(timeout=60)
    agent.do('unseal')
    epoch = agent.status()['key_epoch']
    same(agent.get('prod/key/1'), b'value-1')
    agent.do('rekey', '--wait=60')
    same(agent.status()['key_epoch'], epoch + 1)
    agent.stop()
    same(query(agent, 'SELECT DISTINCT epoch FROM item'), [(epoch + 1,)])
    same(query(agent, 'SELECT DISTINCT number >> 62 FROM secret'), [((epoch + 1) & 1,)])


@test
def a_store_of_another_format_is_refused_in_one_clear_line(place):
    agent = place.ready()
    agent.stop()
    owner = os.stat(agent.store + '/store.db')
    os.unlink(agent.store + '/store.db')
    for older in (1, 2):
        database = sqlite3.connect(agent.store + '/store.db')
        with database:
            database.execute('DROP TABLE IF EXISTS meta')
            database.execute('CREATE TABLE meta(id INTEGER PRIMARY KEY, format INTEGER NOT NULL)')
            database.execute('INSERT INTO meta VALUES(1, ?)', (older,))
        database.close()
        os.chown(agent.store + '/store.db', owner.st_uid, owner.st_gid)
        result = agent.refuse()
        same(result.status, 78)
        has(result.err, 'made by another version of mortise', 'take-values')


if __name__ == '__main__':
    tap.main()
