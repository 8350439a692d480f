#!/usr/bin/env python3
# SPDX-License-Identifier: ISC
"""The TPM as it may be: absent, late, hung, cleared, another one; and what its bus shows."""

import os
import signal

import keys
import tap
from tap import has, same, test, until
from tpm import tool

PATH = 'prod/db/password'


def with_secret(place, **settings):
    agent = place.ready(**settings)
    agent.set(PATH, b'hunter2')
    return agent


def sealed_reason(agent):
    """Why an agent that tried is still sealed."""
    def reason():
        said = agent.status()
        return said['state'] == 'sealed' and said.get('reason')
    return until(reason)


@test
def without_a_tpm_the_agent_runs_sealed_says_why_and_unseals_itself_when_it_appears(place):
    tpm = place.tpm()
    agent = with_secret(place, tpm=tpm)
    agent.stop()
    tpm.stop()
    agent.start()
    has(sealed_reason(agent), 'no TPM answers', 'tcti')
    result = agent.run('get', PATH)
    same((result.status, result.out), (75, b''))
    same(agent.run('status').status, 75)
    result = agent.run('unseal')
    same(result.status, 74)
    has(result.err, 'no TPM answers')
    waiting = agent.popen('--wait=60', 'get', PATH)
    tpm.start()
    same(waiting.communicate(timeout=60)[0], b'hunter2')
    same(agent.run('status').status, 0)


@test
def init_without_a_tpm_is_an_error_and_leaves_no_store(place):
    tpm = place.tpm()
    agent = place.agent(tpm=tpm)
    tpm.stop()
    agent.start()
    result = agent.run('init', '--recovery-file=' + agent.recovery)
    same(result.status, 74)
    has(result.err, 'no TPM answers')
    assert not os.path.exists(agent.recovery)
    same(agent.status()['state'], 'uninitialised')
    tpm.start()
    agent.init()
    same(agent.status()['state'], 'unsealed')


@test
def while_the_tpm_hangs_reads_go_on_and_an_unseal_is_an_error_in_time(place):
    tpm = place.tpm()
    agent = with_secret(place, tpm=tpm, tpm2_lines=['deadline = 1'])
    tpm.freeze()
    same(agent.get(PATH), b'hunter2')
    agent.do('seal', '--yes')
    unsealing = agent.popen('unseal')
    until(agent.sealer)
    same(agent.run('status').status, 75)
    same(agent.run('get', PATH).status, 75)
    _, error = unsealing.communicate(timeout=20)
    same(unsealing.returncode, 74)
    assert b'did not answer in time' in error or b'the sealer died' in error, error
    tpm.thaw()
    agent.do('status', '--wait=30')
    same(agent.get(PATH), b'hunter2')


@test
def a_sealer_that_is_killed_is_an_error_and_the_next_one_works(place):
    tpm = place.tpm()
    agent = with_secret(place, tpm=tpm)
    agent.do('seal', '--yes')
    tpm.freeze()
    unsealing = agent.popen('unseal')
    os.kill(until(agent.sealer), signal.SIGKILL)
    _, error = unsealing.communicate(timeout=20)
    same(unsealing.returncode, 74)
    has(error.decode(), 'the sealer died')
    tpm.thaw()
    agent.do('status', '--wait=30')
    same(agent.get(PATH), b'hunter2')


@test
def an_unseal_costs_at_most_8_commands_and_leaves_nothing_in_the_tpm(place):
    tpm = place.tpm()
    tapped = place.tap(tpm)
    agent = place.agent(tpm=tapped)
    tapped.start(place('init.log'))
    agent.start()
    agent.init()
    agent.do('seal', '--yes')
    tapped.stop()
    tapped.start(place('unseal.log'))
    agent.do('unseal')
    # What is due behind the unseal counts, too; cut off, it would leave its session in the TPM.
    until(lambda: not agent.sealer())
    names = tapped.commands(place('unseal.log'))
    tapped.stop()
    print('# %d commands: %s' % (len(names), ' '.join(names)))
    assert 'Unseal' in names and len(names) <= 8, names
    for kind in ('handles-transient', 'handles-loaded-session', 'handles-saved-session'):
        same(tool(tpm.tcti, 'tpm2_getcap', kind), b'', kind)


@test
def a_recording_of_init_and_unseal_shows_neither_h_nor_any_key(place):
    tpm = place.tpm()
    tapped = place.tap(tpm)
    agent = place.agent(tpm=tapped)
    tapped.start(place('agent.log'))
    agent.start()
    agent.init()
    agent.set(PATH, b'hunter2-canary')
    agent.do('seal', '--yes')
    agent.do('unseal')
    agent.stop()
    tapped.stop()
    tapped.start(place('control.log'))
    h = keys.tpm_h(agent.store, tapped.tcti)
    tapped.stop()
    bits = keys.key_bits(keys.typed_key(agent.recovery))
    master = keys.master_key(agent.store, 'tpm2', h)
    same(master, keys.master_key(agent.store, 'recovery', bits), 'both slots open the same')
    with open(place('control.log'), 'rb') as file:
        assert h in file.read(), 'an unseal in the clear shows h'
    with open(place('agent.log'), 'rb') as file:
        recording = file.read()
    assert len(recording) > 2000
    for name, needle in {'h': h, 'recovery': bits, 'master': master, 'value': b'hunter2-canary',
                         **keys.derived(master)}.items():
        assert needle not in recording, name


@test
def a_cleared_tpm_is_named_and_the_recovery_key_works(place):
    tpm = place.tpm()
    agent = with_secret(place, tpm=tpm)
    tool(tpm.tcti, 'tpm2_clear')
    same(agent.get(PATH), b'hunter2')
    agent.do('seal', '--yes')
    result = agent.run('unseal')
    same(result.status, 74)
    has(result.err, 'it was cleared', 'mortise recover')
    agent.restart()
    has(sealed_reason(agent), 'it was cleared')
    agent.do('recover', '--recovery-file=' + agent.recovery)
    same(agent.get(PATH), b'hunter2')


@test
def another_tpm_with_a_storage_root_key_of_its_own_is_refused(place):
    tpm, other = place.tpm('one'), place.tpm('other')
    agent = with_secret(place, tpm=tpm)
    agent.stop()
    second = with_secret(place, tpm=other, name='second')
    second.stop()
    agent.tcti = other.tcti
    agent.configure()
    agent.start()
    has(sealed_reason(agent), 'another storage root key', 'mortise recover')
    same(agent.run('get', PATH).status, 75)


@test
def the_tpm_is_asked_once_while_nothing_can_change(place):
    tpm = place.tpm()
    tapped = place.tap(tpm)
    agent = place.agent(tpm=tapped)
    tapped.start(place('init.log'))
    agent.start()
    agent.init()
    tapped.stop()
    tool(tpm.tcti, 'tpm2_clear')
    tapped.start(place('cleared.log'))
    agent.restart()
    sealed_reason(agent)
    for _ in range(20):
        same(agent.run('get', PATH).status, 75)
    tapped.stop()
    assert len(tapped.commands(place('cleared.log'))) <= 8


if __name__ == '__main__':
    tap.main()
