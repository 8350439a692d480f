#!/usr/bin/env python3
# SPDX-License-Identifier: ISC
"""Other init systems: the runit run file and the OpenRC script, run by Debian's runit and OpenRC in
a container without systemd. inits_inside.py is what runs there.
"""

import tap
from nspawn import Machine, in_turn
from tap import has, same, test

NO_AGENT = 69


def plan(place, came):
    machine = Machine(place, 'inits_inside.py', boots=False, kind='inits')
    machine.install()
    came['inits'] = machine.boot('inits')


step = in_turn(plan)


@test(root=True)
def runit_and_openrc_run_an_agent_as_its_user(place):
    for init in ('runit', 'openrc'):
        same(step('inits')[init], [[0, 'value'], 'mortise:0o755', 'mortise:0o700'], init)


@test(root=True)
def both_say_that_it_runs_and_that_it_does_not(place):
    came = step('inits')
    assert came['runit status'].startswith('run:'), came['runit status']
    same(came['runit down'], [[], NO_AGENT])
    same(came['openrc start'][0], 0, came['openrc start'])
    same(came['openrc status'][0], 0, came['openrc status'])
    has(came['openrc status'][1], 'started')
    same(came['openrc stop'][0], 0, came['openrc stop'])
    same(came['openrc stopped'][0], 3, came['openrc stopped'])


@test(root=True)
def both_have_it_read_its_configuration_again(place):
    came = step('inits')
    same([came['runit reload'], came['openrc reload']], [True, True])
    assert came['openrc wrong'][0] != 0, came['openrc wrong']


@test(root=True)
def both_start_one_that_was_killed_and_it_unseals_by_itself(place):
    came = step('inits')
    same([came['runit killed'], came['openrc killed']], [[0, 'value'], [0, 'value']])


@test(root=True)
def both_restart_it(place):
    came = step('inits')
    same(came['runit restart'], [0, 'value'])
    same(came['openrc restart'], [0, [0, 'value']])


if __name__ == '__main__':
    tap.main()
