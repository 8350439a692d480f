#!/usr/bin/env python3
# SPDX-License-Identifier: ISC
"""What others have put into the TPM, or the firmware has not: a storage root key made by hand, PCRs
into which nothing was measured. The commands are those of docs/hardware.md, as they stand there."""

import os
import re
import subprocess

import tap
from tap import has, has_not, same, test, until
from tpm import tool

PATH, VALUE = 'prod/db/password', b'hunter2'
WITHOUT_NODA = 'no noDA'


def page_commands(heading):
    """The blocks of commands below a heading of docs/hardware.md, each a list of lines."""
    with open(os.environ['MORTISE_TEST_SOURCE'] + '/docs/hardware.md', encoding='utf-8') as file:
        section = file.read().split('\n%s\n' % heading)[1].split('\n### ')[0]
    return [block.splitlines() for block in re.findall(r'```\n(.*?)```', section, re.S)]


def typed(place, tpm, lines):
    """What a program leaves in the TPM goes when it ends, as it does behind /dev/tpmrm0."""
    for line in lines:
        for command in line, 'tpm2_flushcontext -t':
            done = subprocess.run(
                ['bash', '-c', command], capture_output=True, check=False, cwd=place.path,
                env={'PATH': os.environ['PATH'], 'TPM2TOOLS_TCTI': tpm.tcti})
            if done.returncode != 0:
                raise AssertionError('%s: %s' % (command, done.stderr.decode()))


def recipe():
    making = page_commands('### The storage root key')[0]
    same(len(making), 2, making)
    return making


def owned(place):
    """A TPM whose owner has a password."""
    tpm = place.tpm()
    tool(tpm.tcti, 'tpm2_changeauth', '-c', 'owner', 'OWNERPASSWORD')
    return tpm


def failed_tries(tpm):
    said = tool(tpm.tcti, 'tpm2_getcap', 'properties-variable').decode()
    return int(said.split('TPM2_PT_LOCKOUT_COUNTER:')[1].split()[0], 16)


def begun(place, tpm, *options):
    """(agent, what init said on standard error)"""
    agent = place.agent(tpm=tpm)
    agent.start()
    said = agent.do('init', '--no-anchor', '--recovery-file=' + agent.recovery, *options).err
    agent.set(PATH, VALUE)
    return agent, said


def findings(agent, part):
    said = agent.run('doctor', '--json', '--config=' + agent.conf).json()['findings']
    return [one for one in said if part in one['text']]


def cut_power(agent, tpm, times):
    """Boots after a power cut; how many of them unsealed."""
    unsealed = 0
    for _ in range(times):
        agent.kill()
        tpm.cut()
        agent.start()
        unsealed += agent.run('status', '--wait=3').status == 0
    return unsealed


@test
def a_root_key_made_as_the_page_says_outlives_power_cuts(place):
    tpm = owned(place)
    typed(place, tpm, recipe())
    agent, said = begun(place, tpm)
    same((said, findings(agent, WITHOUT_NODA)), ('', []))
    same(cut_power(agent, tpm, 6), 6)
    same(agent.get(PATH), VALUE)
    same(failed_tries(tpm), 0)


@test
def a_root_key_without_noda_is_told_by_init_slot_add_and_doctor_and_replaced_as_the_page_says(place):
    tpm = owned(place)
    typed(place, tpm, [re.sub(r" -a '.*?'", '', line) for line in recipe()])
    agent, said = begun(place, tpm)
    has(said, 'mortise: slot 1: ', WITHOUT_NODA, 'power cuts', 'docs/hardware.md', 'mortise recover')
    same(said.count('\n'), 1)
    has(agent.do('slot', 'add', '--tpm2').err, 'slot 3: ', WITHOUT_NODA)
    told = findings(agent, WITHOUT_NODA)
    same([(one['check'], one['severity']) for one in told], [('slots', 'warning')] * 2)
    agent.do('slot', 'remove', '3', '--yes')
    assert cut_power(agent, tpm, 4) < 4, 'then the page is wrong'
    has(until(lambda: agent.status().get('reason')), 'locked', 'tried again by itself')
    agent.do('unseal', '--recovery-file=' + agent.recovery)
    removing, sealing = page_commands('### The storage root key')[1]
    typed(place, tpm, [removing])
    same(sealing, 'mortise seal')
    agent.do('seal', '--yes')
    typed(place, tpm, recipe())
    said = agent.do('recover', '--no-anchor', '--recovery-file=' + agent.recovery).err
    has_not(said, WITHOUT_NODA)
    same(findings(agent, WITHOUT_NODA), [])
    tool(tpm.tcti, 'tpm2_dictionarylockout', '-c')
    same(cut_power(agent, tpm, 4), 4)


@test
def a_root_key_without_noda_is_asked_again_until_its_lockout_is_over(place):
    tpm = owned(place)
    typed(place, tpm, [re.sub(r" -a '.*?'", '', line) for line in recipe()])
    agent, _ = begun(place, tpm)
    tool(tpm.tcti, 'tpm2_dictionarylockout', '-s', '-n', '1', '-t', '1', '-l', '1')
    agent.kill()
    tpm.cut()
    agent.start()
    until(lambda: agent.run('status').status == 0, 30, 'a lockout of a second is for ever')
    same(agent.get(PATH), VALUE)


@test
def a_root_key_with_a_password_is_told_by_its_name_and_not_tried_again(place):
    tpm = owned(place)
    with_password = [line.replace('tpm2_createprimary', 'tpm2_createprimary -p word')
                     for line in recipe()]
    typed(place, tpm, with_password)
    agent = place.agent(tpm=tpm)
    agent.start()
    result = agent.run('init', '--recovery-file=' + agent.recovery)
    same(result.status, 74)
    has(result.err, 'the storage root key has a password', 'docs/hardware.md')
    typed(place, tpm, [page_commands('### The storage root key')[1][0], *recipe()])
    agent.do('init', '--no-anchor', '--recovery-file=' + agent.recovery)
    typed(place, tpm, [page_commands('### The storage root key')[1][0], *with_password])
    same([one['severity'] for one in findings(agent, 'the storage root key has a password')], ['wrong'])
    agent.restart()
    has(until(lambda: agent.status().get('reason')), 'the storage root key has a password')
    has_not(agent.status()['reason'], 'tried again')


def measure(tpm, pcr):
    tool(tpm.tcti, 'tpm2_pcrextend', '%d:sha256=%s' % (pcr, '01' * 32))


@test
def pcrs_into_which_nothing_was_measured_are_told_by_whatever_binds_to_them(place):
    tpm = place.tpm()
    measure(tpm, 4)
    agent, said = begun(place, tpm, '--pcrs=7')
    has(said, 'slot 1: nothing was measured into PCR 7, which binds it to nothing: any system that '
              'is booted on this machine can unseal', '--help')
    for pcrs, parts in (('17,23', ['PCR 17,23', 'any system']), ('4,7', ['PCR 7,', 'what else']),
                        ('4', None)):
        slot = agent.do('slot', 'add', '--json', '--tpm2', '--pcrs=' + pcrs)
        if parts is None:
            same(slot.err, '')
        else:
            has(slot.err, 'slot %d: ' % slot.json()['slot'], *parts)
    pin = place.file('pin', '1234')
    said = agent.do('slot', 'add', '--tpm2', '--pcrs=7', '--tpm2-pin-file=' + pin).err
    has(said, 'PCR 7', 'what else')
    has_not(said, 'any system')
    has(agent.do('slot', 'reseal', '1').err, 'PCR 7', 'any system')
    told = findings(agent, 'nothing was measured into')
    same({one['severity'] for one in told}, {'warning'})
    same(len(told), 4)
    measure(tpm, 7)
    same(agent.do('slot', 'reseal', '1').err, '')
    same(len(findings(agent, 'nothing was measured into')), 3)


@test
def a_recovery_that_binds_to_nothing_says_so_too(place):
    tpm = place.tpm()
    agent, said = begun(place, tpm)
    same(said, '', 'what has no PCRs is told by init as ever')
    agent.do('seal', '--yes')
    said = agent.do('recover', '--yes', '--no-anchor', '--pcrs=7', '--recovery-file=' + agent.recovery).err
    has(said, 'PCR 7', 'any system')


if __name__ == '__main__':
    tap.main()
