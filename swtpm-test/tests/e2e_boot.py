#!/usr/bin/env python3
# SPDX-License-Identifier: ISC
"""The installed units under a real systemd, behind a software TPM: installed as
docs/operations.md says, used, cut off from power, booted again, and booted without the TPM.

boot_inside.py is what runs in the container. What a cleared TPM needs is in e2e_host.py.
"""

import re

import tap
from nspawn import Machine, in_turn
from tap import has, same, test

DENIED, TRY_AGAIN, EXPOSURE_MAX = 77, 75, 1.2
CAP_SYS_PTRACE = 1 << 19
EARLY = '''[Unit]
DefaultDependencies=no
Requires=mortised.socket
After=mortised.socket
[Service]
Type=oneshot
RemainAfterExit=yes
User=alice
ExecStart=/opt/mortise/bin/mortise --wait=30 get --out=/var/lib/early/said prod/early/password
[Install]
WantedBy=sockets.target
'''


def plan(place, came):
    machine = Machine(place, 'boot_inside.py')
    machine.install()
    machine.put('/etc/systemd/system/early.service', EARLY)
    came['first'] = machine.boot('first')
    machine.restart_tpm()
    came['again'] = machine.boot('again')
    machine.tpm.freeze()
    came['slow'] = machine.boot('slow')
    machine.tpm.stop()
    came['missing'] = machine.boot('missing')


step = in_turn(plan)


@test(root=True)
def the_units_start_before_there_is_a_store_and_root_is_the_first_admin(place):
    came = step('first')
    same(came['check'][0], 0, came['check'])
    has(came['before init'], 'uninitialised')
    has(came['first policy'], 'user   = 0')


@test(root=True)
def the_agent_s_exposure_is_at_most_1_2(place):
    text = step('first')['exposure']
    print('# ' + text.encode('ascii', 'ignore').decode())
    exposure = float(re.search(r'mortised\.service: ([0-9.]+)', text).group(1))
    assert exposure <= EXPOSURE_MAX, text


@test(root=True)
def under_that_unit_callers_are_known_by_user_group_and_unit(place):
    came = step('first')
    same(came['unit'], [0, 'unit'])
    same(came['other unit'][0], DENIED, came['other unit'])
    same(came['group'], [0, 'group'])
    same(came['other group'][0], DENIED, came['other group'])
    has(came['whoami'][1], '"uid": 1000', '"groups": "1000 1001"',
        '"unit": "backup.service system.slice"')


@test(root=True)
def no_process_of_the_agent_has_a_capability_or_may_get_one(place):
    came = step('first')
    assert len(came['processes']) >= 2, came['processes']
    for process in came['processes']:
        same(process, [came['uid'], '0' * 16, '0' * 16, '1', '2'])


@test(root=True)
def directories_and_files_have_the_modes_that_the_manual_says(place):
    same(step('first')['modes'], {
        '/run/mortise': 'mortise:mortise 755', '/run/mortise/mortise.sock': 'root:root 666',
        '/var/lib/mortise': 'mortise:mortise 700',
        '/var/lib/mortise/store.db': 'mortise:mortise 600',
        '/var/log/mortise': 'mortise:mortise 750',
        '/var/log/mortise/audit.log': 'mortise:mortise 640'})


@test(root=True)
def a_rule_by_exe_allows_with_the_drop_in_only_which_gives_one_capability(place):
    came = step('first')
    same(came['exe without'][0], DENIED, came['exe without'])
    same(came['exe with'], [0, 'exe'])
    assert [process for process in came['exe processes'] if int(process[1], 16)], came
    for process in came['exe processes']:
        assert int(process[2], 16) in (0, CAP_SYS_PTRACE), process


@test(root=True)
def a_reload_applies_the_configuration_and_a_wrong_one_is_refused(place):
    came = step('first')
    assert came['wrong file'][0] != 0, came['wrong file']
    same(came['wrong file then'], [0, 'root'])
    same(came['same agent'][0], came['same agent'][1])
    has(came['after reload'], 'unsealed')


@test(root=True)
def none_of_10000_requests_fails_while_the_agent_is_restarted_and_reloaded(place):
    came = step('first')
    done, failures, seconds = came['load']
    print('# %d restarts and reloads within %.1f s' % (len(done), seconds))
    same(failures, [])
    same([verb for verb, _ in done], ['restart', 'reload', 'restart'])
    same(came['verify'][0], 0, came['verify'])


@test(root=True)
def the_watchdog_hears_of_the_keeper(place):
    same(step('first')['watchdog'], True)


@test(root=True)
def after_a_power_cut_it_unseals_by_itself_and_all_is_there(place):
    came = step('again')
    print('# up after %.1f s' % came['up'])
    for case in ('status', 'unsealed', 'verify', 'log'):
        same(came[case][0], 0, (case, came[case]))


@test(root=True)
def a_job_that_asks_before_the_agent_runs_gets_its_secret(place):
    came = step('again')
    same(came['early'], ['early', 'success'])
    assert came['early began'] < came['agent ready'], came


@test(root=True)
def without_its_tpm_the_host_boots_and_the_agent_says_why_it_is_sealed(place):
    came = step('missing')
    same(came['boot'], [0, 'active'])
    same(came['agent'], 'active')
    has(came['text'], 'sealed', 'no TPM answers', 'mortised.conf')
    has(came['status'][1], 'no TPM answers')
    for case in ('get', 'waiting', 'unsealed', 'status'):
        same(came[case][0], TRY_AGAIN, (case, came[case]))


@test(root=True)
def behind_a_tpm_that_does_not_answer_the_host_boots_and_jobs_wait(place):
    came = step('slow')
    same(came['boot'], [0, 'active'])
    same(came['text'], 'unsealing')
    same(came['get'][0], TRY_AGAIN, came['get'])
    same(came['late'], [0, 'root'])


@test(root=True)
def a_tpm_that_comes_late_is_used_without_anybody_s_help(place):
    same(step('missing')['late'], [0, 'root'])


if __name__ == '__main__':
    tap.main()
