# SPDX-License-Identifier: ISC
"""vm_story: mortise on a Debian as it is, from the installation to a power cut; for e2e_vm_SUITE.py.

told_on() registers the tests for a release. Its boots: `first` installs the package and makes the store,
`again` is a reboot, `gone` has no TPM, `other` another one, and `cut` comes after a power cut.
vm_inside.py is what happens there.
"""

import re
import shutil

from package import packages_for
from tap import has, same, test
from vm import Machine, in_turn

DENIED, TRY_AGAIN, REFUSED = 77, 75, 243  # the last is systemd's EXIT_CREDENTIALS
JOBS = {'early': 'early', 'cron': 'cron\n', 'nightly': 'nightly\n', 'backup': 'backup'}
WRITTEN = 5


def plan_for(suite):
    def plan(place, came):
        machine = Machine(place, suite, 'vm_inside.py')
        place.directory('out/debs')
        for path in packages_for(suite).values():
            shutil.copy(path, place('out/debs'))
        came['first'], came['again'] = boot(machine, 'first', 'again')
        came['gone'], = boot(machine, 'gone', tpm=None)
        came['other'], = boot(machine, 'other', tpm='other', until_then=lambda: counted(place) >= WRITTEN)
        came['cut'], = boot(machine, 'cut', tpm='other')
    return plan


def boot(machine, *steps, **how):
    came = machine.boot(*steps, **how)
    for step, results in zip(steps, came):
        machine.tell(machine.suite, step, results)
    return came


def counted(place):
    try:
        with open(place('out/counted')) as file:
            return int(file.read())
    except FileNotFoundError:
        return 0


def told_on(suite, kernel, systemd, evidence):
    step = in_turn(plan_for(suite))
    sees_its_kernel(step, kernel, systemd, evidence)
    installs(step)
    reboots(step)
    loses_its_tpm(step)
    loses_its_power(step)


def sees_its_kernel(step, kernel, systemd, evidence):
    @test(root=True)
    def the_kernel_and_systemd_are_that_release_s_own_and_the_tpm_is_its_driver_s(place):
        seen = step('first')['seen']
        assert seen['kernel'].startswith(kernel), seen
        same([seen['systemd'], seen['tpm']], [systemd, '/dev/tpmrm0 (tpm_tis, tss:tss 660)'])

    @test(root=True)
    def callers_are_known_as_well_as_that_kernel_can(place):
        same(step('first')['seen']['evidence'], evidence)


def installs(step):
    @test(root=True)
    def the_package_installs_and_says_what_is_next(place):
        came = step('first')
        same(came['boot'], [0, 'active'])
        same(came['install'][0], 0, came['install'])
        has(came['install'][1], 'mortise init --recovery-file=')
        has(came['text'], 'uninitialised')

    @test(root=True)
    def init_binds_the_store_to_that_tpm_and_a_restarted_agent_opens_it(place):
        came = step('first')
        same(came['init'][0], 0, came['init'])
        same(came['restarted'][0], 0, came['restarted'])

    @test(root=True)
    def doctor_finds_nothing_wrong_there(place):
        same(step('first')['doctor'][0], 0, step('first')['doctor'])


def reboots(step):
    @test(root=True)
    def after_a_reboot_the_store_opens_by_itself(place):
        came = step('again')
        same(came['boot'], [0, 'active'])
        has(came['seen']['opened'], 'unsealed after')

    @test(root=True)
    def after_a_reboot_each_job_has_its_secret(place):
        same(step('again')['jobs'], JOBS)

    @test(root=True)
    def a_job_that_waits_began_before_the_agent_was_there(place):
        came = step('again')
        assert 0 < came['early began'] < came['agent ready'], came

    @test(root=True)
    def jobs_of_another_user_or_unit_are_refused(place):
        came = step('again')
        has(came['bob'], 'denied', 'exit %d' % DENIED)
        same(came['other'], ['exit-code', str(DENIED)])
        same(came['stolen'], [])

    @test(root=True)
    def a_credential_for_another_unit_keeps_a_thief_from_starting(place):
        same(step('again')['thief'], ['exit-code', str(REFUSED)])


def loses_its_tpm(step):
    @test(root=True)
    def without_its_tpm_the_host_boots_and_jobs_wait(place):
        came = step('gone')
        same([came['boot'], came['seen']['tpm'], came['seen']['opened']], [[0, 'active'], 'no TPM', 'sealed'])
        has(came['text'], 'no TPM')
        same(came['waiting'], ['activating', 'activating'])
        same([came['get'][0], came['wait'][0]], [TRY_AGAIN, TRY_AGAIN], came)

    @test(root=True)
    def with_another_tpm_it_says_that_the_recovery_key_is_wanted(place):
        came = step('other')
        same([came['boot'], came['waiting']], [[0, 'active'], 'activating'])
        has(came['text'], 'mortise recover')

    @test(root=True)
    def once_it_is_recovered_the_jobs_that_waited_have_their_secrets(place):
        came = step('other')
        same(came['recover'][0], 0, came['recover'])
        same(came['jobs'], JOBS)


def loses_its_power(step):
    @test(root=True)
    def after_a_power_cut_it_opens_with_the_new_tpm_and_jobs_have_their_secrets(place):
        came = step('cut')
        same(came['boot'], [0, 'active'])
        has(came['seen']['opened'], 'unsealed after')
        same(came['jobs'], JOBS)

    @test(root=True)
    def what_the_agent_had_said_is_stored_survives_the_power_cut(place):
        came = step('cut')
        found = int(re.fullmatch('value ([0-9]+)', came['counter'][1]).group(1))
        assert found >= came['counted'] >= WRITTEN, came
        same([came['verify'][0], came['audit'][0]], [0, 0], came)
