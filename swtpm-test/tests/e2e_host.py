#!/usr/bin/env python3
# SPDX-License-Identifier: ISC
"""A host with the Debian package: a service with LoadCredential, a timer, a job of cron as another
user, and units that are not allowed, at each of its boots: after a power cut, after one in the
middle of writing, without its TPM, and with the TPM cleared. host_inside.py is what runs there.
"""

import shutil

import tap
from nspawn import Machine, in_turn
from package import packages
from tap import has, same, test
from tpm import tool

TRY_AGAIN = 75
ALLOWED, DENIED, NO_CREDENTIAL = ['success', '0'], ['exit-code', '77'], ['exit-code', '243', False]


def plan(place, came):
    debs = packages()
    machine = Machine(place, 'host_inside.py')
    for name in ('mortise', 'libmortise1'):
        shutil.copy(debs[name], place('out'))
    for step in ('before', 'again', 'cut'):
        came[step] = machine.boot(step)
        machine.restart_tpm()
    machine.tpm.stop()
    came['missing'] = machine.boot('missing')
    tool(machine.tpm.tcti, 'tpm2_clear', '-c', 'p')
    came['cleared'] = machine.boot('cleared')


step = in_turn(plan)


@test(root=True)
def the_package_starts_the_agent_at_each_boot(place):
    same(step('before')['service'], 'enabled\nenabled')
    for boot in ('again', 'cut', 'missing', 'cleared'):
        same(step(boot)['boot'], [0, 'active'], boot)


@test(root=True)
def after_a_power_cut_every_job_has_its_secret(place):
    for boot in ('again', 'cut'):
        came = step(boot)
        print('# up after %.1f s' % came['up'])
        same(came['loading'], 'unit', boot)  # and the job of cron, or the script had not gone on
        same(came['nightly'], ALLOWED, boot)


@test(root=True)
def units_that_are_not_allowed_fail_and_the_agent_s_log_says_which(place):
    for boot in ('again', 'cut'):
        came = step(boot)
        same(came['other'], NO_CREDENTIAL, boot)
        same(came['denied'], DENIED, boot)
        has(came['log'], 'credential dbpass for other.service', 'denied: get prod/timer/password',
            'denied.service')


@test(root=True)
def what_was_acknowledged_before_the_cut_is_there(place):
    came = step('cut')
    acknowledged, found = came['written']
    assert found in (acknowledged, acknowledged + 1), came['written']
    for check in ('audit', 'verify'):
        same(came[check][0], 0, came[check])


@test(root=True)
def without_its_tpm_jobs_wait_and_go_on_when_it_comes(place):
    came = step('missing')
    same(came['get'][0], TRY_AGAIN, came['get'])
    same(came['waiting'], ['activating', False])
    same(came['nightly'], ALLOWED)
    same(came['loading'], 'unit')


@test(root=True)
def with_the_tpm_cleared_the_recovery_key_brings_all_of_it_back(place):
    came = step('cleared')
    has(came['text'], 'sealed', 'cleared', 'mortise recover')
    same(came['get'][0], TRY_AGAIN, came['get'])
    same(came['recover'][0], 0, came['recover'])
    same(came['nightly'], ALLOWED)
    same(came['by itself'], [0, 'unit'])


if __name__ == '__main__':
    tap.main()
