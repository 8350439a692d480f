#!/usr/bin/env python3
# SPDX-License-Identifier: ISC
"""docs/operations.md: what it has an operator type, section by section, is typed as it stands there."""

import os
import re
import subprocess

import tap
from agent import prefix
from tap import same, test, until

MANUAL = os.environ['MORTISE_TEST_SOURCE'] + '/docs/operations.md'
PATH, STICK = 'prod/db/password', '/mnt/stick'


def commands(section):
    """The lines of a section's blocks."""
    with open(MANUAL) as file:
        text = file.read().split('\n## %s\n' % section)[1].split('\n## ')[0]
    found = [line for block in re.findall(r'^```\n(.*?)^```', text, re.M | re.S)
             for line in block.splitlines()]
    assert found, section
    return found


def type_all(agent, section, stick, found=()):
    """Types them, as root at the console; each must succeed, but those in found end with 1."""
    environment = {'PATH': prefix() + '/bin:/usr/bin:/bin', 'MORTISE_SOCKET': agent.socket}
    for line in commands(section):
        done = subprocess.run(['sh', '-c', line.replace(STICK, stick)], env=environment,
                              stdin=subprocess.DEVNULL, capture_output=True, text=True, timeout=120)
        expected = int(any(word in line for word in found))
        same(done.returncode, expected, '%s: %s%s' % (line, done.stdout, done.stderr))


def ready(place, *options):
    agent = place.agent()
    agent.start()
    agent.do('init', '--tpm2', '--recovery-file=' + agent.recovery, *options)
    for value in (b'first-value-of-it', b'second-value-of-it'):
        agent.set(PATH, value)
    os.link(agent.recovery, place.directory('stick') + '/recovery-key')
    return agent, place('stick')


@test
def before_an_update_a_slot_is_tested_and_suspended(place):
    agent, stick = ready(place, '--pcrs=16')
    type_all(agent, 'After a kernel or firmware update', stick)
    agent.restart()
    until(lambda: agent.status()['state'] == 'unsealed')


@test
def what_is_due_is_found(place):
    agent, stick = ready(place)
    type_all(agent, 'Rotate what is due', stick, found=('mortise hygiene',))


@test
def a_backup_is_made_and_restored_on_new_hardware(place):
    agent, stick = ready(place)
    type_all(agent, 'Back up', stick)
    agent.stop()
    other = place.agent(name='other')
    other.start()
    type_all(other, 'Restore on new hardware', stick)
    same(other.get(PATH), b'second-value-of-it')


@test
def after_an_incident_the_old_value_and_the_old_keys_are_gone(place):
    agent, stick = ready(place)
    type_all(agent, 'An incident', stick)
    until(lambda: agent.status()['key_epoch'] != 1)
    assert agent.get(PATH) != b'second-value-of-it'
    same(agent.run('get', '--version=1', PATH).status, 66)
    agent.do('seal', '--yes')
    same(agent.run('unseal', '--recovery-file=' + agent.recovery).status != 0, True)
    agent.do('unseal', '--recovery-file=' + stick + '/new-recovery-key')


if __name__ == '__main__':
    tap.main()
