#!/usr/bin/env python3
# SPDX-License-Identifier: ISC
"""A slot that opens under PCR values which somebody has signed, on a Debian that boots as a unified kernel image.

OVMF, systemd-stub and systemd-pcrphase measure, and systemd-measure signs: all of Debian's, behind a TPM that
its driver finds. No test extends a PCR. uki_inside.py is what happens there.
"""

import json
import re
import shutil

import tap
from package import packages_for
from tap import has, has_not, same, test
from vm import Unified, in_turn

SUITE, TRY_AGAIN = 'bookworm', 75


def plan(place, came):
    machine = Unified(place, SUITE, 'uki_inside.py', 'vm_inside.py')
    place.directory('out/debs')
    for path in packages_for(SUITE).values():
        shutil.copy(path, place('out/debs'))
    for name in ('ours', 'theirs'):
        machine.make_key(name)
    for step, key, options in (('first', 'ours', ''), ('updated', 'ours', 'panic=30'), ('foreign', 'theirs', '')):
        machine.make_image(step, key, 'sysinit:ready', options=options)
        came[step], = machine.boot(step)
        machine.tell(SUITE + ' uki', step, came[step])
        with open(place('uki/%s.json' % step)) as file:
            came[step]['signed'] = json.load(file)


step = in_turn(plan)


def pcr(came, number):
    return re.search(r'^ *%d *: 0x([0-9A-F]{64})$' % number, came['pcrs'], re.M).group(1)


@test(root=True)
def firmware_stub_and_systemd_have_measured_the_boot(place):
    came = step('first')
    same([came['boot'], came['files'], came['phases']], [[0, 'active'], [True, True], ['active', 'active']])
    for number in (4, 7, 11):
        assert set(pcr(came, number)) != {'0'}, came['pcrs']


@test(root=True)
def a_slot_for_kernels_of_a_signer_is_made_with_the_stub_s_key_and_opens_in_its_phase(place):
    came = step('first')
    same(came['add'][0], 0, came['add'])
    same(came['unseal'][0], 0, came['unseal'])
    has(came['slots'][1], 'tpm2')


@test(root=True)
def after_an_update_by_the_same_signer_it_opens_by_itself(place):
    first, came = step('first'), step('updated')
    assert pcr(first, 11) != pcr(came, 11), came['pcrs']
    same(came['get'], [0, 'secret'])
    has(came['seen']['opened'], 'unsealed after')


@test(root=True)
def in_an_earlier_phase_of_the_boot_it_does_not_open(place):
    early = step('updated')['early']
    has(early, 'sealed', 'reason')
    has_not(early, 'unsealed')


@test(root=True)
def under_a_kernel_of_another_signer_it_stays_closed_until_the_recovery_key_is_typed(place):
    came = step('foreign')
    same([came['boot'], came['get'][0]], [[0, 'active'], TRY_AGAIN], came)
    has(came['text'][0], 'sealed')
    same([came['recovery'][0], came['get then']], [0, [0, 'secret']], came)


if __name__ == '__main__':
    tap.main()
