#!/usr/bin/env python3
# SPDX-License-Identifier: ISC
"""What keeps callers from being told apart, under a real systemd: settings of the agent's unit, and /proc mounted
with hidepid. And what can never fit: a unit that runs as nobody, a credential whose secret is not there.
Status and doctor say it, before a boot finds out. hidden_inside.py is what runs in the container.
"""

import tap
from nspawn import Machine, in_turn
from tap import has, same, test

HIDES = ('ProtectProc=invisible', 'ProtectProc=noaccess', 'ProtectProc=ptraceable', 'hidepid=1', 'hidepid=2',
         'hidepid=4')


def plan(place, came):
    machine = Machine(place, 'hidden_inside.py')
    machine.install()
    came['hidden'] = machine.boot('hidden')


step = in_turn(plan)


def found(came, severity):
    """The findings of a check, of that severity."""
    assert isinstance(came[1], list), came
    return [one for one in came[1] if one['severity'] == severity]


@test(root=True)
def as_installed_units_are_told_apart_and_doctor_says_by_what(place):
    # systemd mounts a /proc of its own for the unit: hidepid of the host's is none of its business.
    for case in ('as installed', 'the unit', 'hidepid=0,gid=0'):
        came = step('hidden')[case]
        same(came['job'], [0, 'unit'], case)
        same(came['user'], [0, 'user'], case)
        has(came['unit'], 'cgroup ')
        same(came['users'], 'all')
        same(found(came['doctor'], 'wrong'), [], case)


@test(root=True)
def where_proc_is_hidden_no_rule_on_a_unit_fits_and_status_and_doctor_say_why(place):
    for case in HIDES:
        came = step('hidden')[case]
        same(came['job'][0], 77, '%s: %s' % (case, came))
        same(came['user'], [0, 'user'], case)  # rules on users go on
        has(came['unit'] or '', 'none: /proc hides')
        wrong = found(came['doctor'], 'wrong')
        same(len(wrong), 1, '%s: %s' % (case, came['doctor']))
        has(wrong[0]['text'], "units can't be told apart", '/proc')
        has(wrong[0]['remedy'], case.partition('=')[0], 'restart mortised')


@test(root=True)
def a_group_that_hidepid_leaves_out_is_a_way(place):
    came = step('hidden')['hidepid=2,gid=N']
    same(came['job'], [0, 'unit'], came)
    has(came['unit'], 'cgroup ')
    same(found(came['doctor'], 'wrong'), [])


@test(root=True)
def without_the_rest_of_proc_units_are_told_apart_all_the_same(place):
    came = step('hidden')['ProcSubset=pid']
    same(came['job'], [0, 'unit'], came)
    same(found(came['doctor'], 'wrong'), [])


@test(root=True)
def in_a_user_namespace_of_its_own_the_agent_knows_nobody_and_says_so(place):
    came = step('hidden')['PrivateUsers=yes']
    same(came['job'][0], 77, came)
    has(came['users'] or '', 'never served')
    has(str(came['doctor']), 'of users only')


@test(root=True)
def a_unit_that_runs_as_nobody_is_named_when_the_policy_is_applied_and_by_doctor(place):
    came = step('hidden')
    same(came['apply'][0], 0, came['apply'])
    has(came['apply'][1], '[rule by-nobody] can never match in unit nobody.service', 'never served', 'User=')
    has(came['nobody said'], 'uid 65534 (nobody) is never served')
    wrong = found(came['units'], 'wrong')
    has(str(wrong), 'unit nobody.service, which runs as nobody')
    has(str(found(came['units'], 'note')), 'absent.service, which this host does not have')
    assert 'backup.service' not in str(came['units']), came['units']


@test(root=True)
def a_credential_whose_secret_is_not_there_is_named_before_its_unit_fails(place):
    came = step('hidden')
    wrong = str(found(came['units'], 'wrong'))
    has(wrong, 'gone (prod/gone/password)')
    assert 'there (' not in wrong, wrong
    same(came['loading'], [1, '243'])
    assert 'prod/gone' not in str(found(came['units then'], 'wrong')), came['units then']
    same(came['loading then'][0], 0, came)


@test(root=True)
def the_socket_for_credentials_comes_with_the_agent_and_to_enable_it_again_is_no_error(place):
    same(step('hidden')['enable'], ['enabled', [0, '']])


if __name__ == '__main__':
    tap.main()
