#!/usr/bin/env python3
# SPDX-License-Identifier: ISC
"""mortise doctor: each fault is made, and is found; then it is mended as the remedy says."""

import os
import re
import shutil
import subprocess
import time

import tap
from agent import BOB, CAROL, OPERATORS, Result, prefix
from commands import names
from tap import Skip, has, same, test, until
from tpm import tool

SECOND = '[rule second]\nallow = admin\nuser = %s\n' % CAROL


def doctor(agent, *options, **more):
    """(exit status, findings)"""
    result = agent.run('doctor', '--json', '--config=' + agent.conf, *options, **more)
    if result.status not in (0, 1):
        raise AssertionError('doctor: %r' % result)
    return result.status, result.json()['findings']


def found(agent, check, *parts, severity='wrong', options=(), **more):
    """The one finding of that check and severity with these parts in its text."""
    status, findings = doctor(agent, *options, **more)
    fits = [one for one in findings if one['check'] == check and one['severity'] == severity
            and all(part in one['text'] for part in parts)]
    if len(fits) != 1:
        raise AssertionError('%d of %s %s %r in %r' % (
            len(fits), severity, check, parts, [one for one in findings
                                                if one['severity'] != 'ok']))
    same(status, 1 if any(one['severity'] == 'wrong' for one in findings) else 0)
    return fits[0]


def wrongs(agent, *options):
    return [one for one in doctor(agent, *options)[1] if one['severity'] == 'wrong']


def well(agent, *options):
    same(wrongs(agent, *options), [])


def tpm_tool(agent, name, *arguments):
    return tool(agent.tcti, name, *arguments)


def failed_tries(agent):
    said = tpm_tool(agent, 'tpm2_getcap', 'properties-variable').decode()
    return int(said.split('TPM2_PT_LOCKOUT_COUNTER:')[1].split()[0], 16)


@test
def a_healthy_agent_is_told_so_with_exit_status_0(place):
    agent = place.ready()
    status, findings = doctor(agent)
    same((status, wrongs(agent)), (0, []))
    for one in findings:
        same(sorted(one), ['check', 'remedy', 'severity', 'text'])
    same({'agent', 'config', 'slots', 'policy', 'audit', 'files', 'disks', 'memory', 'kernel',
          'clock'} - {one['check'] for one in findings}, set())
    brief = agent.do('doctor', '--config=' + agent.conf).text
    has(brief, 'nothing is wrong')
    assert '\nok ' not in '\n' + brief, brief
    has(agent.do('doctor', '--all', '--config=' + agent.conf).text,
        'ok       slots   slot 1 (tpm2): it opens')


@test
def a_recovery_key_that_nobody_tested_is_a_warning_until_it_is(place):
    agent = place.ready()
    one = found(agent, 'slots', 'slot 2 (recovery)', 'tested', severity='warning')
    same(one['remedy'], 'mortise slot test 2 --recovery-file=F')
    agent.do('slot', 'test', '2', '--recovery-file=' + agent.recovery)
    found(agent, 'slots', 'slot 2 (recovery): key id', severity='ok')


@test
def quick_asks_no_hardware(place):
    tpm = place.tpm()
    agent = place.ready(tpm=tpm)
    tpm.stop()
    well(agent, '--quick')
    assert not [one for one in doctor(agent, '--quick')[1] if 'slot 1' in one['text']]


@test
def a_changed_pcr_is_found_and_a_reseal_mends_it_before_the_boot(place):
    agent = place.ready()
    slot = agent.do('slot', 'add', '--tpm2', '--pcrs=16', '--json').json()['slot']
    well(agent)
    tpm_tool(agent, 'tpm2_pcrextend', '16:sha256=' + 64 * '1')
    one = found(agent, 'slots', 'slot %d (tpm2)' % slot, 'PCR 16')
    same(one['remedy'], 'mortise slot reseal %d' % slot)
    agent.do(*one['remedy'].split()[1:])
    well(agent)
    tpm_tool(agent, 'tpm2_pcrextend', '16:sha256=' + 64 * '1')
    same(found(agent, 'slots', 'PCR 16')['remedy'], one['remedy'])


@test
def a_suspended_slot_is_noted(place):
    agent = place.ready()
    slot = agent.do('slot', 'add', '--tpm2', '--pcrs=16', '--json').json()['slot']
    agent.do('slot', 'suspend', str(slot), '--yes')
    one = found(agent, 'slots', 'slot %d is suspended' % slot, severity='note')
    same(one['remedy'], 'mortise slot reseal %d' % slot)
    well(agent)


def with_cleared_tpm(place, *options):
    """(agent, the slot with a PIN, the remedy for slot 1)"""
    agent = place.agent()
    agent.start()
    result = agent.run('init', '--tpm2', '--recovery-file=' + agent.recovery, *options)
    if result.status == 64:
        raise Skip('no init with ' + ' '.join(options))
    pin = place.file('pin', 'a right PIN\n', 0o600)
    slot = agent.do('slot', 'add', '--tpm2', '--tpm2-pin-file=' + pin, '--json').json()['slot']
    well(agent)
    tpm_tool(agent, 'tpm2_clear')
    found(agent, 'slots', 'slot %d (tpm2)' % slot, 'cleared')
    return agent, slot, found(agent, 'slots', 'slot 1 (tpm2)', 'cleared')['remedy']


@test
def a_cleared_tpm_is_found_for_slots_with_and_without_a_pin(place):
    agent, slot, remedy = with_cleared_tpm(place)
    if agent.status().get('anchor', 'none').startswith('none'):
        has(remedy, 'mortise slot reseal 1')
        agent.do('slot', 'reseal', '1')
        agent.do('slot', 'remove', str(slot), '--yes')
    else:
        has(remedy, 'mortise seal, then: mortise recover')
        agent.do('seal', '--yes')
        agent.do('recover', '--yes', '--recovery-file=' + agent.recovery)
    well(agent)
    agent.restart()
    agent.do('status', '--wait=20')


@test
def a_cleared_tpm_that_kept_no_counter_takes_a_reseal(place):
    agent, slot, remedy = with_cleared_tpm(place, '--no-anchor')
    has(remedy, 'mortise slot reseal 1')
    agent.do('slot', 'reseal', '1')
    agent.do('slot', 'remove', str(slot), '--yes')
    well(agent)
    agent.restart()
    agent.do('status', '--wait=20')


@test
def a_tpm_that_is_gone_is_found_and_reads_go_on(place):
    tpm = place.tpm()
    agent = place.ready(tpm=tpm)
    agent.set('prod/db/password', b'hunter2')
    tpm.stop()
    one = found(agent, 'slots', 'slot 1 (tpm2)', 'no TPM answers')
    has(one['remedy'], '[tpm2] tcti')
    same(agent.get('prod/db/password'), b'hunter2')
    tpm.start()
    well(agent)


@test
def no_try_of_a_pin_is_spent_and_a_lockout_is_found_as_it_comes(place):
    agent = place.ready()
    tpm_tool(agent, 'tpm2_dictionarylockout', '-s', '-n', '3', '-t', '1000', '-l', '1000')
    pin = place.file('pin', 'a right PIN\n', 0o600)
    wrong = place.file('wrong', 'a wrong PIN\n', 0o600)
    slot = agent.do('slot', 'add', '--tpm2', '--tpm2-pin-file=' + pin, '--json').json()['slot']
    before = failed_tries(agent)
    title = 'slot %d (tpm2)' % slot
    same(found(agent, 'slots', title, 'was not tried', severity='note')['remedy'],
         'mortise doctor --pins')
    found(agent, 'slots', title, 'on a terminal', severity='warning', options=['--pins'])
    same(failed_tries(agent), before)
    for tries, severity, text in ((1, 'note', 'wrong PINs were tried (1 of 3'),
                                  (2, 'warning', 'the next wrong PIN locks it (2 of 3'),
                                  (3, 'wrong', 'it is locked')):
        same(agent.run('slot', 'test', str(slot), '--tpm2-pin-file=' + wrong).status, 74)
        one = found(agent, 'slots', title, text, severity=severity)
        if tries > 1:
            has(one['remedy'], 'tpm2_dictionarylockout --clear-lockout', '1000 s')
            found(agent, 'slots', title, 'not tried, so that', severity='note',
                  options=['--pins'])
        same(failed_tries(agent), tries)
    found(agent, 'slots', 'slot 1 (tpm2): it opens', severity='ok')
    tpm_tool(agent, 'tpm2_dictionarylockout', '-c')
    well(agent)


@test
def an_owners_password_is_noted(place):
    agent = place.ready()
    found(agent, 'slots', 'owner has no password', severity='ok')
    tpm_tool(agent, 'tpm2_changeauth', '-c', 'owner', 'owner-password')
    found(agent, 'slots', 'owner has a password', severity='note')
    well(agent)


@test
def a_store_with_no_hardware_or_no_typed_key_is_a_warning(place):
    agent = place.ready()
    agent.do('slot', 'remove', '2', '--yes')
    same(found(agent, 'slots', 'no recovery key', severity='warning')['remedy'],
         'mortise slot add --recovery --recovery-file=F')
    agent.do('slot', 'add', '--recovery', '--recovery-file=' + agent.path + '/second')
    agent.do('slot', 'remove', '1', '--yes')
    found(agent, 'slots', 'no hardware slot', severity='warning')


@test
def a_configuration_that_others_may_write_or_that_is_wrong_is_found(place):
    agent = place.ready()
    os.chmod(agent.conf, 0o666)
    one = found(agent, 'config', 'others than its owner can write')
    subprocess.run(one['remedy'].split(), check=True)
    well(agent)
    os.mkdir(agent.path + '/policy.d')
    os.chmod(agent.path + '/policy.d', 0o777)
    found(agent, 'config', 'policy.d', severity='warning')
    with open(agent.conf, 'a') as file:
        file.write('no-such-key = 1\n')
    has(found(agent, 'config', 'would not start again', 'no-such-key')['remedy'],
        'mortised --check')
    same(agent.run('doctor', '--config=' + place('none')).status, 1)
    found(agent, 'config', 'not looked at', options=['--config=' + place('none')])


@test
def modes_and_owners_of_store_and_audit_log_are_checked(place):
    agent = place.ready()
    os.chmod(agent.store, 0o755)
    one = found(agent, 'files', 'mode 0755')
    same(one['remedy'], 'chmod 0700 ' + agent.store)
    subprocess.run(one['remedy'].split(), check=True)
    os.chmod(agent.audit, 0o664)
    subprocess.run(found(agent, 'files', 'mode 0664')['remedy'].split(), check=True)
    well(agent)
    if os.geteuid() == 0:
        owner = os.stat(agent.audit).st_uid
        os.chown(agent.audit, 0, -1)
        same(found(agent, 'files', 'belongs to uid 0')['remedy'],
             'chown %d %s' % (owner, agent.audit))
    os.unlink(agent.audit)
    found(agent, 'files', 'the audit log', 'is gone')


@test(root=True)
def a_disk_that_is_nearly_full_is_found(place):
    path = place.disk('small', '8m')
    agent = place.ready(audit=path + '/log/audit.log')
    well(agent)
    room = os.statvfs(path)
    filler = place.file('small/filler', b'')
    with open(filler, 'wb') as file:
        os.posix_fallocate(file.fileno(), 0, room.f_bavail * room.f_bsize - 512 * 1024)
    one = found(agent, 'disks', 'the audit log')
    has(one['remedy'], 'make room')
    os.unlink(filler)
    well(agent)


@test
def a_second_administrator_is_missed_until_there_is_one(place):
    agent = place.ready()
    found(agent, 'policy', 'no second administrator', severity='note')
    agent.apply(SECOND)
    found(agent, 'policy', 'more than one administrator', severity='ok')


@test(root=True)
def a_rule_whose_name_is_gone_is_found(place):
    with open('/etc/passwd') as file:
        host = file.read()
    users = place.file('passwd', host + 'departed:x:4321:4321::/:/bin/false\n')
    agent = place.wrapped('unshare', '-m', 'sh', '-c',
                          '\'mount --bind %s /etc/passwd && exec "$0" "$@"\'' % users)
    agent.start()
    agent.do('init', '--no-hardware', '--recovery-file=' + agent.recovery)
    agent.apply('[rule gone]\nallow = read\nsecret = prod/**\nuser = departed\n')
    found(agent, 'policy', '2 rules, and all in force', severity='ok')
    with open(users, 'w') as file:
        file.write(host)
    agent.do('seal', '--yes')
    agent.do('unseal', '--recovery-file=' + agent.recovery)
    until(lambda: 'policy_rules_disabled' in agent.status())
    one = found(agent, 'policy', '1 rule of the policy is disabled', 'departed (gone)',
                severity='warning')
    has(one['remedy'], 'mortise policy apply')


@test(root=True)
def a_limit_of_locked_memory_that_is_hardly_enough_is_found(place):
    agent = place.wrapped('prlimit', '--memlock=6291456:6291456', 'setpriv',
                          '--bounding-set=-sys_resource,-ipc_lock')
    agent.start()
    agent.do('init', '--no-hardware', '--recovery-file=' + agent.recovery)
    found(agent, 'memory', '6144 KiB', severity='warning')


@test
def no_agent_no_store_and_a_sealed_agent_say_what_to_do(place):
    agent = place.agent()
    has(found(agent, 'agent', 'no agent answers')['remedy'], 'start mortised')
    agent.start()
    same(found(agent, 'agent', 'there is no store')['remedy'], 'mortise init')
    agent.init()
    agent.do('seal', '--yes')
    same(found(agent, 'agent', 'sealed by an admin')['remedy'], 'mortise unseal')
    found(agent, 'files', 'the store', severity='ok')
    found(agent, 'agent', 'not looked at', severity='note')


@test(root=True)
def who_is_no_admin_learns_what_status_tells_him_and_a_stranger_nothing(place):
    agent = place.agent(lines=['operators = ' + OPERATORS])
    agent.start()
    agent.init()
    status, findings = doctor(agent, user=BOB, groups=[OPERATORS])
    same(status, 0)
    checks = {one['check'] for one in findings}
    assert 'audit' in checks and not checks & {'slots', 'files', 'disks'}, checks
    found(agent, 'agent', 'takes the verb admin', severity='note', user=BOB, groups=[OPERATORS])
    checks = {one['check'] for one in doctor(agent, user=BOB)[1]}
    assert checks <= {'agent', 'config', 'clock'}, checks
    found(agent, 'agent', 'nothing but its state', severity='note', user=BOB)
    has(agent.run('doctor', user=BOB).text, 'nothing is wrong in what was looked at')
    agent.apply('[rule bob]\nallow = admin\nuser = %s\n' % BOB)
    assert {'slots', 'files', 'disks'} <= {one['check'] for one in doctor(agent, user=BOB)[1]}


@test(root=True)
def in_every_state_and_for_everybody_what_is_wrong_says_what_next(place):
    def look(state, **more):
        for one in doctor(agent, '--all', **more)[1]:
            if one['severity'] in ('wrong', 'warning') and not one.get('remedy'):
                wrong.append('%s: %s' % (state, one['text']))
            for command in re.findall('mortise ([a-z]+(?: [a-z]+)?)', one.get('remedy') or ''):
                if command not in known and command.split()[0] not in known:
                    wrong.append('%s: no command: %s' % (state, one['remedy']))
        said = agent.run('doctor', '--config=' + agent.conf, **more).text
        assert 'None' not in said and said.endswith(' ok\n'), said

    wrong = []
    agent = place.agent()
    known = names(agent)
    for state, change in (('no agent', lambda: None), ('no store', agent.start), ('unsealed', agent.init),
                          ('sealed', lambda: agent.do('seal', '--yes'))):
        change()
        look(state)
        look(state + ', a stranger', user=BOB)
    assert not wrong, '\n'.join(wrong)


@test
def a_policy_that_was_not_applied_is_found_and_applied(place):
    agent = place.ready()
    policies = agent.path + '/policy.d/'
    os.mkdir(policies)
    found(agent, 'policy', 'has no file *.policy', severity='note')
    shown = agent.do('policy', 'show').text
    with open(policies + '10-first.policy', 'w') as file:
        file.write(shown.split('\n', 1)[1])
    found(agent, 'policy', 'is in force', severity='ok')
    with open(policies + '10-first.policy', 'a') as file:
        file.write('; one more remark\n')
    found(agent, 'policy', '10-first.policy is not what was applied', severity='warning')
    with open(policies + '20-more.policy', 'w') as file:
        file.write('[rule more]\nallow = read\nsecret = prod/**\nuser = 4242\n')
    one = found(agent, 'policy', '20-more.policy was not applied', severity='warning')
    same(one['remedy'], 'mortise policy apply')
    agent.do(*one['remedy'].split()[1:], '--yes', policies)
    found(agent, 'policy', 'is in force', severity='ok')
    os.unlink(policies + '20-more.policy')
    found(agent, 'policy', '20-more.policy is in force, and not in', severity='note')
    agent.do('policy', 'apply', '--yes', policies)  # as it was shown, with the line that names the file
    with open(policies + '10-first.policy', 'w') as file:
        file.write(agent.do('policy', 'show').text)
    agent.do('policy', 'apply', '--yes', policies)
    found(agent, 'policy', 'is in force', severity='ok')


@test
def a_credential_without_its_secret_is_found_and_one_that_is_empty_too(place):
    agent = place.ready()
    agent.set('prod/empty', b'')
    agent.set('prod/there', b'one')
    agent.apply(''.join('[credential %s]\nunit = %s.service\nsecret = prod/%s\n' % (name, name, name)
                        for name in ('there', 'empty', 'absent')))
    text = found(agent, 'units', 'the secret of a [credential] is not there')['text']
    has(text, 'empty (prod/empty)', 'absent (prod/absent)')
    assert 'prod/there' not in text, text
    agent.set('prod/empty', b'two')
    agent.set('prod/absent', b'three')
    found(agent, 'units', 'each [credential] has its secret', severity='ok')
    agent.do('delete', '--yes', 'prod/there')
    found(agent, 'units', 'there (prod/there)')


@test(root=True)
def a_tpm_that_is_not_there_is_found_before_init(place):
    agent = place.agent()
    agent.start()
    assert 'TPM' not in str(wrongs(agent)), wrongs(agent)
    agent.stop()
    agent.tcti = 'device:/dev/no-tpm-of-this-host'
    agent.configure()
    agent.start()
    one = found(agent, 'config', 'there is no TPM at /dev/no-tpm-of-this-host')
    has(one['remedy'], 'mortise init --no-hardware')
    running = agent.process
    result = agent.refuse(('--check',))
    same(result.status, 0)
    has(result.err, '/dev/no-tpm-of-this-host')
    agent.tcti = 'device:' + place.file('not-for-all', '', 0o600)  # it is there, and not for the agent's user
    agent.configure()
    has(agent.refuse(('--check',)).err, 'may not use the TPM at ' + place('not-for-all'), 'tss')
    agent.tcti = 'device:/dev/no-tpm-of-this-host'
    agent.configure()
    agent.process = running
    agent.do('init', '--no-hardware', '--recovery-file=' + agent.recovery)
    assert 'TPM' not in str(wrongs(agent)), wrongs(agent)


@test
def a_clock_that_stands_before_the_program_was_installed_is_found(place):
    agent = place.ready()
    program = place('mortise')
    shutil.copy(prefix() + '/bin/mortise', program)
    os.utime(program, (time.time() + 3 * 86400,) * 2)
    done = subprocess.run([program, 'doctor', '--config=' + agent.conf], capture_output=True,
                          env={'PATH': '/usr/bin:/bin', 'MORTISE_SOCKET': agent.socket})
    result = Result(done)
    same(result.status, 1)
    has(result.text, 'wrong    clock', 'stands before the day')


if __name__ == '__main__':
    tap.main()
