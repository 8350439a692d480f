#!/usr/bin/env python3
# SPDX-License-Identifier: ISC
"""Jobs as docs/cron.md and docs/rotate.md have them: Debian's cron, systemd's timers and the timer
for rotations, in a booted container. jobs_inside.py is what runs there.
"""

import json
import re

import tap
from nspawn import Machine, in_turn
from tap import has, same, test


def plan(place, came):
    machine = Machine(place, 'jobs_inside.py')
    machine.install()
    came['jobs'] = machine.boot('jobs')


step = in_turn(plan)


@test(root=True)
def a_job_of_cron_gets_its_secret_and_its_mail_has_it_masked(place):
    mail = step('jobs')['job']
    has(mail, 'it is ', 'exit 0')
    assert 'correct horse' not in mail, mail


@test(root=True)
def all_jobs_of_cron_are_in_one_unit(place):
    has(step('jobs')['whoami'], 'cron.service')


@test(root=True)
def a_denied_job_is_in_the_mail_with_its_status_and_in_the_agent_s_log(place):
    came = step('jobs')
    has(came['denied'], 'prod/job/password: denied, or no such secret for you', 'exit 77')
    same(len(came['denied log']), 1)
    has(came['denied log'][0], 'denied: get prod/job/password for uid %s (pid ' % came['bob'],
        'cron.service')


@test(root=True)
def without_a_path_line_the_mail_says_that_the_command_is_not_found(place):
    assert re.search('mortise: (command )?not found', step('jobs')['path']), step('jobs')['path']


@test(root=True)
def a_percent_is_escaped_or_it_is_the_end_of_the_command(place):
    came = step('jobs')
    assert re.search(r'^20\d\d-\d\d\nfed by cron$', came['percent'], re.M), came['percent']
    assert re.search(r'^a$', came['cut at a percent'], re.M), came['cut at a percent']


@test(root=True)
def output_that_is_redirected_and_statuses_are_nobody_s_mail(place):
    came = step('jobs')
    same(came['redirected'][0], 77)
    has(came['redirected'][1], 'denied')
    has(' '.join(came['status in the log']), 'exit status 77')


@test(root=True)
def a_value_in_a_crontab_or_a_unit_is_what_they_read_and_scan_finds_it(place):
    came = step('jobs')
    value, encodings = came['crontab']
    same(value, came['signs'])
    has(encodings, 'crontab')
    *values, encodings = came['unit']
    same(values, [came['signs']] * 2)
    same(encodings, ['systemd'] * 2)


@test(root=True)
def a_value_in_what_systemd_itself_writes_is_found(place):
    came = step('jobs')
    for name, encodings in {**came['transient'], **came['systemctl']}.items():
        assert encodings, (name, came['transient'], came['systemctl'])


@test(root=True)
def a_job_that_waits_outlasts_a_sealed_agent_and_one_that_does_not_says_75(place):
    came = step('jobs')
    has(came['sealed'], 'sealed', 'exit 75')
    same(came['before the unseal'], [])
    has(came['waited'], 'exit 0')


@test(root=True)
def a_timer_s_job_is_known_by_its_unit(place):
    same(step('jobs')['nightly'], ['success', '0'])
    same(step('jobs')['other'], ['exit-code', '77'])


def current(shown):
    """The number of the version that is the current one."""
    return next(version['version'] for version in json.loads(shown)['versions']
                if version.get('label') == 'current')


@test(root=True)
def the_timer_rotates_what_is_due_as_its_user_and_goes_on_after_a_failure(place):
    came = step('jobs')
    same(came['timer'], ['yes', 'disabled'])
    same({name: current(text) for name, text in came['versions'].items()},
         {'due': 2, 'not-due': 1, 'bad': 1})
    has(came['hook ran'], 'prod/rotated/due by mortise-rotate')


@test(root=True)
def a_failing_hook_is_a_failed_unit_and_the_next_run_takes_it_up(place):
    came = step('jobs')
    has(came['failed units'], 'mortise-rotate.service')
    has(came['rotate log'], 'prod/rotated/bad: step test')
    assert 'correct horse' not in came['rotate log']
    same(came['again'], [0, ''])
    assert 'mortise-rotate' not in came['failed then'], came['failed then']
    same(current(came['versions then']['bad']), 2)


if __name__ == '__main__':
    tap.main()
