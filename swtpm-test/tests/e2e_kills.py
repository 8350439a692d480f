#!/usr/bin/env python3
# SPDX-License-Identifier: ISC
"""SIGKILL at any moment: what was acknowledged stays, and the agent comes back by itself."""

import json
import os
import random
import signal
import time

import tap
from tap import same, test, until

SETS = 200
KILLS = 18


def kill(pid):
    try:
        os.kill(pid, signal.SIGKILL)
    except (ProcessLookupError, TypeError):
        return False
    return True


def strike(agent, victim):
    """Kills one process of the agent; a sealer only lives while a new keeper unseals."""
    if victim == 'monitor':
        agent.kill()
        agent.start()
    elif victim == 'keeper':
        kill(agent.keeper())
    else:
        kill(agent.keeper())
        end = time.monotonic() + 2
        while time.monotonic() < end and not kill(agent.sealer()):
            pass


def all_kept(agent, acknowledged):
    for path, versions in acknowledged.items():
        for version, value in versions.items():
            same(agent.get(path, '--version=%d' % version, '--wait=60'), value, path)
        newest = max(versions)
        same(agent.get(path), versions[newest], path)
        shown = [entry['version'] for entry in agent.do('show', '--json', path).json()['versions']]
        same(shown, sorted(set(shown)))
        assert set(versions) <= set(shown), (path, shown)


@test
def sigkill_of_keeper_sealer_or_monitor_during_200_sets_loses_no_acknowledged_value(place):
    seed = int(os.environ.get('MORTISE_TEST_SEED', random.randrange(1 << 30)))
    print('# seed %d' % seed)
    source = random.Random(seed)
    agent = place.ready()
    victims = {number: victim for number, victim in zip(
        sorted(source.sample(range(SETS), KILLS)), ['keeper', 'monitor', 'sealer'] * KILLS)}
    acknowledged = {}
    for number in range(SETS):
        path, value = 'prod/key/%d' % (number % 20), source.randbytes(source.randrange(1, 3000))
        process = agent.popen('--wait=60', '--json', 'set', '--raw', path)
        process.stdin.write(value)
        process.stdin.close()
        process.stdin = None
        if number in victims:
            end = time.monotonic() + source.random() * 0.008
            while time.monotonic() < end:  # the moment is what varies
                pass
            strike(agent, victims[number])
        out, error = process.communicate(timeout=90)
        same(process.returncode, 0, error)
        version = int(out.split(b'"version": ')[1].split(b',')[0])
        versions = acknowledged.setdefault(path, {})
        assert version not in versions, (path, version)
        versions[version] = value
    all_kept(agent, acknowledged)
    same(agent.do('verify', '--json', '--wait=60').status, 0)
    same(agent.do('audit', 'verify').status, 0)
    agent.restart()
    agent.do('status', '--wait=60')
    all_kept(agent, {path: acknowledged[path] for path in list(acknowledged)[:5]})


@test
def a_killed_keeper_is_restarted_and_unseals_itself(place):
    agent = place.ready()
    agent.set('prod/key', b'one')
    first = agent.keeper()
    kill(first)
    same(agent.get('prod/key', '--wait=20'), b'one')
    assert agent.keeper() != first
    assert 'ended by signal 9' in agent.log()


@test
def a_keeper_killed_while_sealed_by_an_admin_stays_sealed(place):
    agent = place.ready()
    agent.do('seal', '--yes')
    first = agent.keeper()
    kill(first)
    until(lambda: agent.keeper() not in (None, first))
    same(agent.run('--wait=3', 'get', 'prod/key').status, 75)


@test
def a_keeper_killed_during_init_leaves_a_whole_store_or_none(place):
    for delay_ms in (0, 3, 8, 15, 25):
        agent = place.agent(name='agent-%d' % delay_ms)
        agent.start()
        process = agent.popen('init', '--json', '--recovery-file=' + agent.recovery)
        end = time.monotonic() + delay_ms / 1000
        while time.monotonic() < end:
            pass
        kill(agent.keeper())
        process.communicate(timeout=60)
        agent.do('init', '--if-needed', '--wait=20', '--recovery-file=' + agent.path + '/again')
        agent.do('status', '--wait=20')
        agent.set('prod/key', b'one')
        same(agent.do('verify').status, 0)
        same(agent.stop(), 0)


@test
def sigterm_ends_the_agent_with_0_and_a_log_that_is_signed_to_its_end(place):
    agent = place.ready()
    same(agent.stop(), 0)
    with open(agent.audit) as file:
        same([json.loads(line)['op'] for line in file][-2:], ['stop', 'checkpoint'])
    same(agent.run('status').status, 69)


if __name__ == '__main__':
    tap.main()
