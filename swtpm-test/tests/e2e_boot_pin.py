#!/usr/bin/env python3
# SPDX-License-Identifier: ISC
"""A slot with a PIN at boot, under a real systemd: mortise-ask-pin asks by password agents.

pin_inside.py is what runs in the container, and answers as a password agent does.
"""

import tap
from nspawn import Machine, in_turn
from tap import has, same, test
from tpm import tool

TRY_AGAIN = 75


def plan(place, came):
    machine = Machine(place, 'pin_inside.py')
    machine.install()
    machine.wishes['no-lockout'] = lambda: tool(
        machine.tpm.tcti, 'tpm2_dictionarylockout', '--clear-lockout')
    came['enrol'] = machine.boot('enrol')
    machine.restart_tpm()
    came['asked'] = machine.boot('asked')
    machine.restart_tpm()
    came['locked'] = machine.boot('locked')


step = in_turn(plan)


@test(root=True)
def the_boot_goes_on_while_a_pin_is_waited_for(place):
    for boot in ('asked', 'locked'):
        came = step(boot)
        same(came['boot'], [0, 'active'])
        same(came['get'][0], TRY_AGAIN, came['get'])


@test(root=True)
def status_line_and_status_say_what_is_waited_for(place):
    came = step('asked')
    for said in (came['text'], came['status'][1]):
        has(said, 'slot 1: it waits for its PIN', 'mortise unseal')
    has(came['status'][1], 'pin slot             1')


@test(root=True)
def the_question_is_there_for_every_password_agent(place):
    came = step('asked')
    same(came['question'], "PIN of mortise's slot 1:")
    has(came['listed'], "PIN of mortise's slot 1:")


@test(root=True)
def a_wrong_pin_is_said_in_the_next_question(place):
    has(step('asked')['after a wrong one'], 'the PIN is wrong', "PIN of mortise's slot 1:")


@test(root=True)
def the_right_one_opens_the_store_and_the_question_is_gone(place):
    came = step('asked')
    same(came['opened'], [0, 'value'])
    same(came['then'], [[], 'inactive'])


@test(root=True)
def an_agent_that_is_restarted_asks_again_and_unseal_takes_the_question_back(place):
    came = step('asked')
    same(came['asked again'], "PIN of mortise's slot 1:")
    same(came['by unseal'][0], 0, came['by unseal'])
    same(came['then by unseal'], [[], 'inactive'])


@test(root=True)
def who_turns_it_down_is_not_asked_in_a_loop(place):
    came = step('asked')
    same(came['turned down'], [[], 'active', '0'])
    has(came['turned down log'], 'turned down', 'run: mortise unseal')
    same(came['turned down log'].count('turned down'), 1)
    same(came['then open'], 'inactive')


@test(root=True)
def an_admin_s_seal_is_not_asked_away(place):
    same(step('asked')['sealed by an admin'], [[], False])


@test(root=True)
def after_three_wrong_ones_nobody_is_asked(place):
    came = step('asked')
    same(came['after three'], [[], 'active', '0'])
    has(came['after three log'], 'three PINs did not open it')


@test(root=True)
def behind_a_lockout_the_host_boots_and_the_answer_says_so(place):
    came = step('locked')
    has(came['while locked'], 'locked', "PIN of mortise's slot 1:")
    same(came['unlocked'], [0, 'value'])


@test(root=True)
def no_pin_is_in_the_journal(place):
    for boot in ('asked', 'locked'):
        for pin in ('correct horse', 'mistyped'):
            assert pin not in step(boot)['all of the journal'], pin


if __name__ == '__main__':
    tap.main()
