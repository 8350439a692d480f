#!/usr/bin/env python3
# SPDX-License-Identifier: ISC
"""A disk that fails or is full for a while, and memory that is short: FAULTS rows 50, 59 and 61.

Nothing sound is called damaged, no key is dropped that somebody would have to bring again, and
nobody is refused for what is over.
"""

import contextlib
import os
import select
import shutil
import signal
import subprocess

import tap
import wire
from agent import AGENT_USER, ALICE, Skip, fill
from tap import has, has_not, same, test, until

PATH = 'prod/db/password'
BUSY, IO = 75, 74
SECRETS = 8000  # as many as were called damaged in 24 MB
LEAST_MB, STEP_MB = 16, 4
BROKEN = ['damage', 'DAMAGE', 'edited', 'not what', 'restore', 'does not belong', 'integrity',
          'not a usable']


def traced_by(pid, tracer):
    with open('/proc/%d/status' % pid) as status:
        return 'TracerPid:\t%d\n' % tracer in status.read()


@contextlib.contextmanager
def failing_syncs(agent):
    """Nothing that the keeper writes reaches the disk for sure."""
    if not shutil.which('strace'):
        raise Skip('strace is not installed')
    keeper = agent.keeper()
    strace = subprocess.Popen(
        ['strace', '-f', '-qq', '-o', '/dev/null', '-e', 'trace=fsync,fdatasync', '-e',
         'inject=fsync,fdatasync:error=EIO', '-p', str(keeper)],
        stdin=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    try:
        until(lambda: traced_by(keeper, strace.pid))
        yield
    finally:
        strace.send_signal(signal.SIGINT)
        strace.wait()
    same(agent.keeper(), keeper)


def only_by_pin(place):
    """An agent that nobody but who knows a PIN unseals."""
    agent = place.ready()
    pin = '--tpm2-pin-file=' + place.file('pin', 'correct horse', 0o600)
    agent.do('slot', 'add', '--tpm2', pin)
    agent.do('slot', 'remove', '1', '--yes')
    agent.do('seal', '--yes')
    agent.do('unseal', pin)
    return agent


@test(root=True)
def a_failed_fsync_on_a_host_with_a_pin_slot_needs_nobody(place):
    agent = only_by_pin(place)
    agent.set(PATH, b'before')
    agent.set('prod/other', b'not read yet')
    for number in range(3):
        with failing_syncs(agent):
            result = agent.run('set', PATH, input='lost')
            same(result.status, IO, result)
            has(result.err, 'the disk full or failing')
            same(agent.get(PATH), b'%d' % number if number else b'before')
            same(agent.get('prod/other'), b'not read yet')
            status = agent.status()
            same(status['state'], 'unsealed')
            has(status['reason'], 'the keys stay', 'look at its disk')
            has(agent.run('doctor').text, 'it is unsealed, but a write failed')
        agent.set(PATH, b'%d' % (number + 1))  # the first change of all
        same(agent.get(PATH), b'%d' % (number + 1))
        status = agent.status()
        same((status['state'], status.get('reason'), status.get('pin_slot')),
             ('unsealed', None, None))
    has(agent.log(), 'it was opened anew, and is what it was')
    has_not(agent.log(), *BROKEN)
    same(agent.do('verify').status, 0)
    same(agent.do('audit', 'verify').status, 0)


def use_up(connection):
    """Has as many lines written as the log's reserve has room for."""
    for _ in range(20000):
        if wire.get(connection, PATH)[0] != 0:
            return
    raise AssertionError('the log can be written for ever')


@test(root=True)
def after_space_was_freed_the_first_change_is_done(place):
    path = place.disk('small', '16m', '0750', AGENT_USER)
    agent = place.ready(audit=path + '/audit.log')
    agent.set(PATH, b'before')
    agent.set('prod/other', b'before')
    connection = wire.connect(agent.socket)
    for first in (['set', PATH], ['meta', '--note=x', PATH], ['move', 'prod/other', 'prod/another']):
        fill(path + '/ballast')
        use_up(connection)
        result = agent.run(*first, input='v')
        same(result.status, BUSY, result)
        has(result.err, "the audit log's disk is full")
        os.unlink(path + '/ballast')
        result = agent.run(*first, input='v')
        same(result.status, 0, result)
    same(agent.do('audit', 'verify').status, 0)


@test(root=True)
def a_store_on_a_full_disk_takes_the_first_write_after_space_was_freed(place):
    agent = place.agent()
    agent.store = place.disk('small', '4m', '0700', AGENT_USER)
    agent.configure()
    agent.start()
    agent.init()
    agent.set(PATH, b'before')
    for _ in range(3):
        fill(agent.store + '/ballast')
        until(lambda: agent.run('set', PATH, input='x' * 65536).status == IO, 60)
        os.unlink(agent.store + '/ballast')
        same(agent.run('set', PATH, input='after').status, 0)
        same(agent.get(PATH), b'after')
        same(agent.status()['state'], 'unsealed')
    same(agent.do('verify').status, 0)


def populate(agent):
    connection = wire.connect(agent.socket)
    for number in range(SECRETS):
        same(wire.set(connection, 'many/%d' % number, b'%d' % number), 0)


def limited(place, agent):
    """Its mortised is run with as much address space as the file says, in MB; none: all."""
    front = place.directory('front')
    os.mkdir(front + '/sbin')
    os.symlink(agent.prefix + '/bin', front + '/bin')
    place.file('front/sbin/mortised', """#!/bin/sh
[ ! -s %s/mb ] || ulimit -v $(($(cat %s/mb) * 1024))
exec %s/sbin/mortised "$@"
""" % (front, front, agent.prefix), 0o755)
    agent.prefix = front
    return front + '/mb'


def said_of_start(agent, limit, mb):
    """What an agent with so much memory says, and the state that it comes to; None: it ends."""
    with open(limit, 'w') as file:
        file.write('%d' % mb)
    before = len(agent.log())
    ready = agent.spawn()
    until(lambda: select.select([ready], [], [], 0)[0] or 'keeper ended' in agent.log()[before:])
    os.close(ready)
    if 'keeper ended' in agent.log()[before:]:
        agent.stop()
        return agent.log()[before:], None
    until(lambda: agent.status()['state'] == 'unsealed' or 'reason' in agent.status())
    status = agent.status()
    agent.stop()
    return agent.log()[before:] + status.get('reason', ''), status['state']


@test(root=True)
def too_little_memory_for_a_store_is_said_to_be_that(place):
    agent = place.ready()
    populate(agent)
    agent.stop()
    limit = limited(place, agent)
    came = {}
    for mb in range(LEAST_MB, 400, STEP_MB):
        said, came[mb] = said_of_start(agent, limit, mb)
        has_not(said, *BROKEN)
        if came[mb] != 'unsealed':
            has(said.lower(), 'memory')
        else:
            break
    print('# ' + ', '.join('%d MB: %s' % (mb, state or 'does not start')
                           for mb, state in came.items()))
    assert 'sealed' in came.values(), came
    os.truncate(limit, 0)
    agent.start()
    same(agent.get('many/7', '--wait=60'), b'7')
    same(agent.do('verify').status, 0)


@test(root=True)
def what_was_destroyed_makes_room_in_the_file_where_the_disk_has_none(place):
    """Values of 64 KiB; the file keeps its size, so that the disk has no more than before."""
    place.disk('small', '32m', user=AGENT_USER)
    agent = place.wrapped()
    agent.store = place('small') + '/store'
    agent.configure()
    agent.start()
    agent.do('init', '--no-hardware', '--recovery-file=' + agent.recovery)
    agent.apply('[rule alice]\nallow = write\nsecret = dev/**\nuser = %s\n' % ALICE)
    def destroy(i):
        agent.do('delete', '--yes', 'large/%d' % i)
        agent.do('destroy', '--yes', '--all', 'large/%d' % i)

    for i in range(80):
        agent.set('large/%d' % i, os.urandom(65000))
    destroy(0)  # that empties the write-ahead log, which would be room of the disk's
    with open(place('small/spare'), 'wb') as spare:
        spare.write(bytes(1 << 20))
    fill(place('small/ballast'))
    os.unlink(place('small/spare'))
    refused = agent.run('set', '--raw', 'dev/x', input=b'x', user=ALICE)
    has(refused.err, 'left, which are for administrators')
    for i in range(1, 80):
        destroy(i)
    size = os.path.getsize(agent.store + '/store.db')
    same(agent.run('set', '--raw', 'dev/x', input=b'x', user=ALICE).status, 0)
    same(os.path.getsize(agent.store + '/store.db'), size)


if __name__ == '__main__':
    tap.main()
