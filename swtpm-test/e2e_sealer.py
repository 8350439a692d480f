#!/usr/bin/env python3
# SPDX-License-Identifier: ISC
"""The sealer as a program, asked over its socket as the keeper asks it (agent/base/processes.h):
PINs, PCRs, signed policies and the anchor; and what is seen from outside the TPM meanwhile."""

import os
import socket
import struct
import subprocess
import sys

import tap
import wire
from tap import same, test
from tpm import DEADLINE_S, HERE, tool

ENROL, OPEN, ANCHOR = 528, 529, 530
TEXT, NUMBER, KIND, PIN, PCRS, KEY, BLOB, ENTROPY, FAULT, PUBLIC_KEY, COUNTER = \
    2, 16, 22, 37, 39, 40, 41, 42, 43, 54, 57
DEFINE, READ, INCREMENT, REMOVE = 1, 2, 3, 4
HARDWARE_FAULTS = {5: 'lockout', 16: 'wrong PIN', 17: 'no PIN', 18: 'other PCRs',
                   19: 'no signature', 20: 'no counter', 21: 'other count'}
AUTH = bytes(range(100, 132))


def number(value):
    return struct.pack('<Q', value)


class Sealer:
    """One run: any number of requests, until one fails."""

    def __init__(self, tcti, *options):
        ours, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        program = os.environ['MORTISE_TEST_PREFIX'] + '/libexec/mortise-sealer'
        command = 'exec 3<&%d; exec "$@"' % theirs.fileno()
        self.process = subprocess.Popen(
            ['bash', '-c', command, 'sealer', program, '--tcti=' + tcti, '--deadline-ms=20000',
             *options], pass_fds=[theirs.fileno()], env={'SECRET': 'of the environment'})
        theirs.close()
        self.socket = ours
        self.socket.settimeout(DEADLINE_S)

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.socket.close()
        same(self.process.wait(DEADLINE_S), 0)

    def ask(self, code, **fields):
        """The fields of the answer, or the fault in words."""
        tags = {globals()[name.upper()]: data for name, data in fields.items()}
        self.socket.send(wire.pack(code, {KIND: b'tpm2', **tags}))
        status, answer = wire.unpack(self.socket.recv(16384))
        if status == 0:
            return answer
        fault = struct.unpack('<Q', answer[FAULT])[0]
        return HARDWARE_FAULTS.get(fault, 'fault %d: %s' % (fault, answer.get(TEXT)))

    def enrol(self, **fields):
        answer = self.ask(ENROL, entropy=os.urandom(32), **fields)
        return (answer[KEY], answer[BLOB]) if isinstance(answer, dict) else answer

    def open(self, blob, **fields):
        answer = self.ask(OPEN, blob=blob, **fields)
        return answer[KEY] if isinstance(answer, dict) else answer

    def anchor(self, action, **fields):
        answer = self.ask(ANCHOR, number=number(action), key=AUTH, **fields)
        if not isinstance(answer, dict):
            return answer
        count = struct.unpack('<Q', answer[COUNTER])[0] if COUNTER in answer else None
        return (answer[BLOB], count) if action == DEFINE else count


def once(tcti, what, *arguments, **fields):
    with Sealer(tcti) as sealer:
        return getattr(sealer, what)(*arguments, **fields)


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
def a_new_kernel_opens_when_it_is_signed(place):
    tpm = place.tpm()
    key, public, json = place('key.pem'), place('key.pub'), place('signature.json')
    subprocess.run(['openssl', 'genrsa', '-out', key, '2048'], check=True, capture_output=True)
    subprocess.run(['openssl', 'pkey', '-in', key, '-pubout', '-out', public], check=True)
    option = '--pcr-signature=' + json

    def sign():
        with open(json, 'w', encoding='ascii') as file:
            subprocess.run([sys.executable, HERE + '/sign_pcrs', key, '11'], check=True,
                           stdout=file, env={**os.environ, 'TPM2TOOLS_TCTI': tpm.tcti})

    def opened():
        with Sealer(tpm.tcti, option) as sealer:
            return sealer.open(blob)

    sign()
    with open(public, 'rb') as file, Sealer(tpm.tcti, option) as sealer:
        h, blob = sealer.enrol(public_key=file.read())
    same(opened(), h)
    tool(tpm.tcti, 'tpm2_pcrextend', '11:sha256=' + '02' * 32)
    same(opened(), 'no signature')
    sign()
    same(opened(), h)
    nothing_is_left(tpm.tcti)


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
