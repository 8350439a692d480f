#!/usr/bin/env python3
# SPDX-License-Identifier: ISC
"""Old copies, other boards, cleared TPMs and backups: what the anchor refuses, and the way on."""

import os
import shutil
import signal
import subprocess
import time

import tap
from tap import has, same, test, until
from tpm import tool

PATH = 'prod/db/password'
WINDOW = ['anchor-window = 1']


def with_secret(place, **settings):
    agent = place.agent(**settings)
    agent.configure(tpm2_lines=WINDOW)
    agent.start()
    agent.init()
    agent.set(PATH, b'old')
    return agent


def settled(agent):
    """Every commit is covered by a count."""
    def is_covered():
        status = agent.status()
        return status['anchor_counter'] == status['anchor_generation']
    until(is_covered)
    return agent.status()['anchor_counter']


def copy_store(agent, name):
    copy = os.path.join(os.path.dirname(agent.store), name)
    shutil.copytree(agent.store, copy)
    return copy


def put_back(agent, copy):
    for name in os.listdir(agent.store):
        if name.startswith('store.db'):
            os.unlink(os.path.join(agent.store, name))
    for name in os.listdir(copy):
        if name.startswith('store.db'):
            shutil.copy2(os.path.join(copy, name), agent.store)
            if agent.user:
                shutil.chown(os.path.join(agent.store, name), agent.user, agent.user)


@test
def an_older_copy_of_the_store_is_refused_and_recover_is_the_way_on(place):
    agent = with_secret(place)
    before = settled(agent)
    agent.stop()
    copy = copy_store(agent, 'copy')
    agent.start()
    until(lambda: agent.status()['state'] == 'unsealed')
    agent.set(PATH, b'new')
    until(lambda: agent.status()['anchor_counter'] > before)
    settled(agent)
    agent.stop()
    put_back(agent, copy)
    agent.start()
    until(lambda: agent.status()['state'] == 'sealed')
    reason = agent.status()['reason']
    has(reason, 'an old copy of the store')
    has(reason, 'generation is %d' % before)
    has(reason, 'counter says')
    same(agent.run('get', PATH).status, 75)
    refused = agent.run('unseal', '--recovery-file=' + agent.recovery)
    same(refused.status, 65)
    has(refused.err, 'mortise recover')
    has(agent.do('recover', '--recovery-file=' + agent.recovery).text, 'with a new anchor')
    same(agent.get(PATH), b'old')
    agent.restart()
    until(lambda: agent.status()['state'] == 'unsealed')
    has(agent.do('audit', 'show').text, 'recovered')


def gone_back(place, values):
    """An agent whose memory and disk went back, while the TPM counted once for each value; and where it stands."""
    tpm = place.tpm('tpm')
    agent = with_secret(place, tpm=tpm)
    settled(agent)
    copy = copy_store(agent, 'copy')
    frozen = (agent.process.pid, agent.keeper())
    for pid in frozen:
        os.kill(pid, signal.SIGSTOP)
    meanwhile = place.agent(tpm=tpm, name='meanwhile')
    meanwhile.configure(tpm2_lines=WINDOW)
    shutil.copytree(copy, meanwhile.store)
    for name in ('', *('/' + name for name in os.listdir(meanwhile.store))):
        if agent.user:
            shutil.chown(meanwhile.store + name, agent.user, agent.user)
    meanwhile.start()
    until(lambda: meanwhile.status()['state'] == 'unsealed')
    before = settled(meanwhile)
    for value in values:
        meanwhile.set(PATH, value)
        until(lambda: meanwhile.status()['anchor_counter'] > before)
        before = settled(meanwhile)
    meanwhile.stop()
    for pid in frozen:
        os.kill(pid, signal.SIGCONT)
    agent.set(PATH, b'after it went back')
    return agent, before


def assert_named(agent, counter):
    until(lambda: 'a snapshot' in agent.status()['anchor'])
    time.sleep(3)  # it is tried again meanwhile
    has(agent.status()['anchor'], 'the counter stands at %d' % counter)
    has(agent.status()['anchor'], 'a snapshot')
    has(agent.log(), 'the anchor could not be counted up')
    has(agent.run('doctor').text, 'the counter is not counted up')
    same(agent.get(PATH), b'after it went back')


@test
def memory_and_disk_that_went_back_behind_the_tpm_are_named_and_then_refused(place):
    """As a snapshot of a machine does that is put back, where the TPM is not in it."""
    agent, counter = gone_back(place, (b'newer', b'newest'))
    assert_named(agent, counter)
    agent.restart()
    until(lambda: agent.status()['state'] == 'sealed')
    has(agent.status()['reason'], 'an old copy of the store')


@test
def that_they_went_back_by_one_count_is_named_as_well(place):
    agent, counter = gone_back(place, (b'newer',))
    assert_named(agent, counter)


@test
def a_kill_between_commit_and_count_is_made_up_for(place):
    agent = with_secret(place)
    settled(agent)
    agent.set(PATH, b'value-that-was-acknowledged')
    agent.kill()
    agent.start()
    until(lambda: agent.status()['state'] == 'unsealed')
    same(agent.get(PATH), b'value-that-was-acknowledged')
    has(agent.log(), 'it is level again')


@test
def writes_of_a_window_share_a_count_and_a_policy_does_not_wait(place):
    agent = place.ready()
    before = agent.status()['anchor_counter']
    for number in range(20):
        agent.set(PATH, b'%d' % number)
    same(agent.status()['anchor_counter'], before)
    agent.apply('[rule all]\nallow = read write list delete admin audit\nsecret = **\n'
                'user = 0 %d\nsocket = main\n' % os.getuid())
    until(lambda: agent.status()['anchor_counter'] == before + 1)


@test
def without_an_anchor_status_says_what_is_not_noticed(place):
    agent = place.agent()
    agent.start()
    agent.do('init', '--no-anchor', '--recovery-file=' + agent.recovery)
    has(agent.status()['anchor'], 'would not be noticed')
    agent.restart()
    until(lambda: agent.status()['state'] == 'unsealed')


@test
def a_cleared_tpm_is_recovered_from_and_opens_again_by_itself(place):
    agent = with_secret(place)
    agent.stop()
    tool(agent.tcti, 'tpm2_clear')
    agent.start()
    until(lambda: agent.status()['state'] == 'sealed')
    has(agent.run('unseal', '--recovery-file=' + agent.recovery).err, 'mortise recover')
    agent.do('recover', '--recovery-file=' + agent.recovery)
    same(agent.get(PATH), b'old')
    agent.restart()
    until(lambda: agent.status()['state'] == 'unsealed')
    same(agent.status()['anchor'], 'ok')


@test
def a_recovery_is_repeated_after_a_kill_at_any_moment_of_it(place):
    agent = with_secret(place)
    for pause_ms in range(0, 160, 20):
        if agent.status()['state'] == 'unsealed':
            agent.do('seal', '--yes')
        asking = agent.popen('recover', '--recovery-file=' + agent.recovery,
                             stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        time.sleep(pause_ms / 1000)  # where it is killed is to vary, not to be awaited
        os.kill(agent.keeper(), signal.SIGKILL)
        asking.wait()
        until(lambda: agent.run('recover', '--wait=10', '--yes',
                                '--recovery-file=' + agent.recovery).status in (0, 73))
        same(agent.get(PATH), b'old')
    agent.do('verify')


@test
def a_backup_is_one_moment_and_comes_back_on_another_host(place):
    agent = with_secret(place)
    backup = place('backup')
    agent.do('backup', 'create', backup)
    same(os.stat(backup).st_mode & 0o777, 0o600)
    agent.set(PATH, b'later')
    has(agent.do('backup', 'verify', backup).text, 'intact, 1 values')
    agent.stop()
    other = place.agent(tpm=place.tpm('other-tpm'), name='other')
    other.start()
    nothing = other.run('recover', '--recovery-file=' + agent.recovery)
    same(nothing.status, 73)
    has(nothing.err, 'no store here')
    other.do('backup', 'restore', '--recovery-file=' + agent.recovery, backup)
    same(other.get(PATH), b'old')
    unsealed = other.run('backup', 'restore', '--recovery-file=' + agent.recovery, backup)
    same(unsealed.status, 73)
    has(unsealed.err, 'mortise seal')
    other.do('seal', '--yes')
    other.do('recover', '--recovery-file=' + agent.recovery, '--backup=' + backup)
    same(other.get(PATH), b'old')
    other.restart()
    until(lambda: other.status()['state'] == 'unsealed')
    other.do('verify')


@test
def a_backup_that_is_damaged_or_of_another_key_is_refused_and_changes_nothing(place):
    agent = with_secret(place)
    backup = place('backup')
    agent.do('backup', 'create', backup)
    whole = open(backup, 'rb').read()
    for name, content in (('short', whole[:len(whole) // 2]), ('none', b''),
                          ('text', b'this is no store' * 400)):
        place.file(name, content)
        same(agent.run('backup', 'verify', place(name)).status, 65)
    agent.do('seal', '--yes')
    wrong = place.file('wrong', '4K7QF-0ZM2H\n')
    same(agent.run('recover', '--recovery-file=' + wrong, '--backup=' + backup).status, 64)
    other = place.ready(tpm=place.tpm('other-tpm'), name='other')
    refused = agent.run('recover', '--recovery-file=' + other.recovery, '--backup=' + backup)
    same(refused.status, 77)
    has(refused.err, 'not the recovery key')
    agent.do('unseal')
    same(agent.get(PATH), b'old')


@test
def on_a_host_without_a_tpm_recover_says_so_and_goes_on_without_hardware(place):
    tpm = place.tpm()
    agent = place.agent(tpm=tpm)
    agent.start()
    agent.init()
    agent.set(PATH, b'old')
    agent.do('seal', '--yes')
    tpm.stop()
    refused = agent.run('recover', '--recovery-file=' + agent.recovery)
    same(refused.status, 74)
    has(refused.err, 'no TPM answers')
    agent.do('recover', '--no-hardware', '--recovery-file=' + agent.recovery)
    same(agent.get(PATH), b'old')


if __name__ == '__main__':
    tap.main()
