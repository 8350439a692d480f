#!/usr/bin/env python3
# SPDX-License-Identifier: ISC
"""The store, read by a program that was written from docs/store.md alone (docs/examples/read_store.py):
it says what `mortise verify` says, of stores that are whole and of such that are damaged.

MORTISE_TEST_STORES stores are made (8), and damaged that often; the long run is
  MORTISE_TEST_STORES=1000 python3 swtpm-test/tests/e2e_format.py
and MORTISE_TEST_SEED=N makes other ones.
"""

import json
import os
import random
import shutil
import sqlite3
import subprocess

import tap
from agent import AGENT_USER, IS_ROOT
from rooms import CHECKOUT
from tap import Skip, has, same, test, until

STORES = int(os.environ.get('MORTISE_TEST_STORES', 8))
SEED = int(os.environ.get('MORTISE_TEST_SEED', 1))
PYTHON = '/usr/bin/python3'  # Debian's own, for which python3-nacl is
READER = CHECKOUT + '/docs/examples/read_store.py'


def read(store, recovery, *path):
    """(exit status, standard output, errors) of the reader."""
    result = subprocess.run([PYTHON, READER, store, recovery, *path], capture_output=True)
    return result.returncode, result.stdout, result.stderr.decode()


def with_reader():
    if subprocess.run([PYTHON, '-c', 'import nacl.bindings'], capture_output=True).returncode != 0:
        raise Skip('python3-nacl is not installed')


def change(agent, choose, values):
    """One random change, and what `values` are after it."""
    paths = sorted(values)
    what = choose.choice(('set', 'set', 'set', 'set', 'delete', 'destroy', 'move', 'rekey', 'meta'))
    path = choose.choice(paths) if paths and choose.random() < 0.6 else (
        'prod/%s/%d' % (choose.choice('abc'), choose.randrange(10 ** 6)))
    if what == 'set' or path not in values:
        values[path] = choose.randbytes(choose.choice((0, 1, 20, 5000, 65536)))
        agent.set(path, values[path])
    elif what in ('delete', 'destroy'):
        agent.do('delete', path)
        del values[path]
        if what == 'destroy':
            agent.do('destroy', '--all', '--yes', path)
    elif what == 'move':
        agent.do('move', path, path + '-moved')
        values[path + '-moved'] = values.pop(path)
    elif what == 'rekey':
        agent.do('rekey', *choose.choice(((), ('--reencrypt',))))
    else:
        agent.do('meta', path, '--note=' + 'n' * choose.randrange(200))


def filled(place, choose, changes=12):
    agent = place.ready()
    values = {}
    for _ in range(changes):
        change(agent, choose, values)
    return agent, values


@test
def the_reader_finds_what_the_agent_gives(place):
    with_reader()
    choose = random.Random(SEED)
    agent, values = filled(place, choose, 20)
    for _ in range(STORES):
        for _ in range(3):
            change(agent, choose, values)
        same(agent.do('verify').status, 0)
        agent.stop()
        status, listed, said = read(agent.store, agent.recovery)
        same(status, 0, said)
        has(said, 'store: intact')
        assert set(values) <= set(listed.decode().split()), (sorted(values), listed)
        for path, value in choose.sample(sorted(values.items()), min(4, len(values))):
            same(read(agent.store, agent.recovery, path), (0, value, ''), path)
        agent.start()
        agent.do('status', '--wait=60')


def tables(database):
    """(table, key column, blob column) of every row that has bytes."""
    return ([('secret', 'number', 'record', key) for key, in database.execute(
                'SELECT number FROM secret')]
            + [('value', 'place', 'bytes', key) for key, in database.execute(
                'SELECT place FROM value')])


def damage(database, choose):
    """One random edit, as somebody with the disk would make it; what it was."""
    table, key, column, row = choose.choice(tables(database))
    old, = database.execute('SELECT %s FROM %s WHERE %s=?' % (column, table, key), (row,)).fetchone()
    way = choose.choice(('flip', 'cut', 'gone', 'swap', 'item', 'meta'))
    if way == 'flip' and old:
        at = choose.randrange(len(old))
        new = old[:at] + bytes([old[at] ^ 1 << choose.randrange(8)]) + old[at + 1:]
        database.execute('UPDATE %s SET %s=? WHERE %s=?' % (table, column, key), (new, row))
    elif way == 'cut' and old:
        database.execute('UPDATE %s SET %s=? WHERE %s=?' % (table, column, key), (old[:-1], row))
    elif way == 'swap':
        other = choose.choice([one for one in tables(database) if one[0] == table])
        database.execute('UPDATE %s SET %s=(SELECT %s FROM %s WHERE %s=?) WHERE %s=?' % (
            table, column, column, table, key, key), (other[3], row))
    elif way == 'item':
        database.execute('UPDATE item SET body=zeroblob(length(body)) WHERE kind=?',
                         (choose.choice((2, 3)),))
    elif way == 'meta':
        database.execute(choose.choice((
            'UPDATE meta SET last=last+1', 'UPDATE meta SET generation=generation+1',
            'UPDATE meta SET tally=randomblob(32)')))
    else:
        database.execute('DELETE FROM %s WHERE %s=?' % (table, key), (row,))
    return '%s of %s' % (way, table)


def give(directory):
    """Makes a store the agent's."""
    if IS_ROOT:
        for name in ('', *('/' + name for name in os.listdir(directory))):
            shutil.chown(directory + name, AGENT_USER, AGENT_USER)


def agents_verdict(agent):
    """Is it what mortise wrote, as the agent says?"""
    agent.start()
    until(lambda: agent.status()['state'] == 'unsealed' or 'reason' in agent.status())
    intact = agent.status()['state'] == 'unsealed' and agent.run('verify').status == 0
    agent.stop()
    return intact


@test
def both_say_the_same_of_damaged_stores(place):
    with_reader()
    choose = random.Random(SEED + 1)
    agent, _ = filled(place, choose)
    agent.stop()
    good = place('good')
    shutil.copytree(agent.store, good)
    verdicts = []
    for _ in range(STORES):
        shutil.rmtree(agent.store)
        shutil.copytree(good, agent.store)
        database = sqlite3.connect(agent.store + '/store.db')
        with database:
            what = damage(database, choose)
        database.close()
        give(agent.store)
        status, _, said = read(agent.store, agent.recovery)
        assert status in (0, 1), (what, status, said)
        intact = agents_verdict(agent)
        same(status == 0, intact, '%s: the reader says: %s' % (what, said))
        verdicts.append(intact)
    assert False in verdicts, 'nothing was damaged'


VECTORS = CHECKOUT + '/tests/vectors/store-3'


def vector(name):
    with open('%s/%s.json' % (VECTORS, name)) as file:
        return json.load(file)


@test
def the_reader_finds_the_keys_and_values_of_the_test_vectors(place):
    with_reader()
    directory = place('store')
    os.mkdir(directory)
    shutil.copy(VECTORS + '/store.db', directory)
    status, listed, said = read(directory, VECTORS + '/recovery')
    same((status, listed.decode().split()), (0, sorted(vector('values'))), said)
    for path, expected in vector('values').items():
        status, value, said = read(directory, VECTORS + '/recovery', path)
        if 'deleted' in expected:
            same(status, 2, said)
        else:
            same((status, value.hex()), (0, expected['versions'][str(expected['current'])]), path)
    found = subprocess.run([PYTHON, CHECKOUT + '/tests/vectors/make', '--keys', directory,
                            VECTORS + '/recovery'], capture_output=True)
    same(found.returncode, 0, found.stderr)
    same(json.loads(found.stdout), vector('keys'))


@test
def the_agent_opens_the_store_of_the_test_vectors(place):
    agent = place.agent()
    os.mkdir(agent.store, 0o700)
    shutil.copy(VECTORS + '/store.db', agent.store)
    os.chmod(agent.store + '/store.db', 0o600)
    give(agent.store)
    agent.start()
    agent.do('unseal', '--recovery-file=' + VECTORS + '/recovery')
    same(agent.do('verify').status, 0)
    for path, expected in vector('values').items():
        if 'deleted' in expected:
            same(agent.run('get', path).status, 66, path)
            continue
        same(agent.get(path).hex(), expected['versions'][str(expected['current'])], path)
        for version, value in expected['versions'].items():
            same(agent.get(path, '--version=' + version).hex(), value, path)
        shown = agent.do('show', '--json', path).json()
        same([str(entry['version']) for entry in shown['versions']], list(expected['versions']))


@test
def take_values_takes_values_and_what_is_said_of_them_along(place):
    old, new = place.ready(), place.agent(name='new')
    new.start()
    new.init()
    values = {'prod/a': b'one\n', 'prod/b/c': bytes(range(256)), 'prod/empty': b'',
              'stage/large': b'x' * 65536}
    for path, value in values.items():
        old.do('set', '--raw', '--allow-empty', '--yes', path, input=value)
    old.do('meta', '--note=a note', '--max-age=90d', '--keep=5', '--set=owner=pay', 'prod/a')
    old.set('prod/gone', b'gone')
    old.do('delete', 'prod/gone')
    program = CHECKOUT + '/dist/take-values'
    environment = {**os.environ, 'PATH': old.prefix + '/bin:' + os.environ['PATH']}
    ends = place.file('ends', '#!/bin/sh\n[ "$1" = get ] && exit 75\nexec mortise "$@"\n', 0o755)

    def take(*arguments):
        return subprocess.run([program, *arguments], capture_output=True, text=True, env=environment)

    for _ in range(2):
        came = take(old.socket, new.socket)
        same((came.returncode, came.stdout), (0, 'take-values: 4 of 4 secrets taken\n'), came)
    for path, value in values.items():
        same(new.get(path), value, path)
    shown = new.do('show', '--json', 'prod/a').json()
    same([shown[key] for key in ('note', 'max_age', 'keep', 'meta', 'version')],
         ['a note', 90 * 86400, 5, {'owner': 'pay'}, 1])
    same(new.run('get', 'prod/gone').status, 66)
    environment['MORTISE_OLD'] = ends  # an agent that ends half-way
    came = take(old.socket, new.socket, 'prod/b')
    same(came.returncode, 1)
    has(came.stderr, 'not taken: prod/b/c')
    same(new.get('prod/b/c'), values['prod/b/c'])
    del environment['MORTISE_OLD']
    old.do('seal', '--yes')
    same(take(old.socket, new.socket).returncode, 1)
    same(new.get('prod/a'), b'one\n')
    old.do('unseal')
    new.do('seal', '--yes')
    came = take(old.socket, new.socket, 'stage')
    same(came.returncode, 1)
    has(came.stderr, 'not taken: stage/large')
    same(take(old.socket).returncode, 64)


if __name__ == '__main__':
    tap.main()
