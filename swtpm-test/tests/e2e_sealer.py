#!/usr/bin/env python3
# SPDX-License-Identifier: ISC
"""The sealer as a program, asked over its socket as the keeper asks it (agent/base/processes.h):
PINs, PCRs, signed policies and the anchor; and what is seen from outside the TPM meanwhile."""

import tap
from sealer import AUTH, DEFINE, INCREMENT, READ, REMOVE, Sealer, number, once
from tap import has, same, test
from tpm import tool


def nothing_is_left(tcti):
    for kind in ('handles-transient', 'handles-loaded-session', 'handles-saved-session'):
        same(tool(tcti, 'tpm2_getcap', kind), b'', kind)


@test
def one_run_opens_a_slot_and_counts_its_anchor_up(place):
    tpm = place.tpm()
    tapped = place.tap(tpm)
    h, blob = once(tpm.tcti, 'enrol')
    counter, count = once(tpm.tcti, 'anchor', DEFINE)
    tapped.start(place('run.log'))
    with Sealer(tapped.tcti) as sealer:
        same(sealer.open(blob), h)
        same(sealer.anchor(READ, blob=counter), count)
    tapped.stop()
    names = tapped.commands(place('run.log'))
    print('# %d commands: %s' % (len(names), ' '.join(names)))
    assert len(names) <= 8, names
    with Sealer(tpm.tcti) as sealer:
        same(sealer.open(blob), h)
        same(sealer.anchor(INCREMENT, blob=counter, counter=number(count)), count + 1)
        same(sealer.anchor(INCREMENT, blob=counter, counter=number(count)), 'other count')
    same(once(tpm.tcti, 'anchor', REMOVE, blob=counter), None)
    same(once(tpm.tcti, 'anchor', READ, blob=counter), 'no counter')
    nothing_is_left(tpm.tcti)


@test
def each_trouble_with_a_pin_and_pcrs_has_its_own_name(place):
    tpm = place.tpm()
    pcrs = number(1 << 7)
    h, blob = once(tpm.tcti, 'enrol', pin=b'a right PIN', pcrs=pcrs)
    same(once(tpm.tcti, 'open', blob), 'no PIN')
    same(once(tpm.tcti, 'open', blob, pin=b'a wrong PIN'), 'wrong PIN')
    same(once(tpm.tcti, 'open', blob, pin=b'a right PIN'), h)
    tool(tpm.tcti, 'tpm2_dictionarylockout', '-s', '-n', '1', '-t', '1000', '-l', '1000')
    same(once(tpm.tcti, 'open', blob, pin=b'a right PIN'), 'lockout')
    tool(tpm.tcti, 'tpm2_dictionarylockout', '-c')
    same(once(tpm.tcti, 'open', blob, pin=b'a right PIN'), h)
    tool(tpm.tcti, 'tpm2_pcrextend', '7:sha256=' + '01' * 32)
    same(once(tpm.tcti, 'open', blob, pin=b'a right PIN'), 'other PCRs')
    nothing_is_left(tpm.tcti)


@test
def an_anchor_finds_the_last_free_place_and_says_that_there_is_none(place):
    """A TPM names 254 handles at a time, and 256 are for anchors."""
    tpm = place.tpm()
    for index in range(0x01836d00, 0x01836dff):
        tool(tpm.tcti, 'tpm2_nvdefine', '-C', 'o', '-s', '1', hex(index))
    counter, _ = once(tpm.tcti, 'anchor', DEFINE)
    has(tool(tpm.tcti, 'tpm2_nvreadpublic', '0x01836dff').decode(), 'nt=0x1')
    said = once(tpm.tcti, 'anchor', DEFINE)
    has(said, 'fault 12', 'no free handle', '0x01836dff')
    once(tpm.tcti, 'anchor', REMOVE, blob=counter)


@test
def no_recording_shows_h_a_pin_or_the_anchors_authorisation(place):
    tpm = place.tpm()
    tapped = place.tap(tpm)
    pin, pcrs = b'PIN-canary-0123', number(1 << 7)
    tapped.start(place('bus.log'))
    shown = []
    for fields in ({}, {'pin': pin}, {'pin': pin, 'pcrs': pcrs}):
        h, blob = once(tapped.tcti, 'enrol', **fields)
        fields.pop('pcrs', None)
        same(once(tapped.tcti, 'open', blob, **fields), h)
        shown += [h[:16], h[16:]]
    same(once(tapped.tcti, 'open', blob, pin=b'PIN-canary-9999'), 'wrong PIN')
    counter, count = once(tapped.tcti, 'anchor', DEFINE)
    once(tapped.tcti, 'anchor', INCREMENT, blob=counter, counter=number(count))
    once(tapped.tcti, 'anchor', REMOVE, blob=counter)
    tapped.stop()
    with open(place('bus.log'), 'rb') as file:
        recording = file.read()
    assert len(recording) > 10000
    for needle in [b'canary', AUTH[:16], AUTH[16:], *shown]:
        assert needle not in recording, needle


@test
def while_it_waits_it_can_do_next_to_nothing(place):
    tpm = place.tpm()
    with Sealer(tpm.tcti) as sealer:
        sealer.enrol()
        with open('/proc/%d/status' % sealer.process.pid, encoding='ascii') as file:
            status = dict(line.split(':\t', 1) for line in file.read().splitlines())
    same(status['NoNewPrivs'].strip(), '1')
    same(status['Seccomp'].strip(), '2')
    same(status['Seccomp_filters'].strip(), '2', 'that of all kinds and that of tpm2')
    assert int(status['CapPrm'], 16) & ~0b110 == 0, status['CapPrm']


if __name__ == '__main__':
    tap.main()
