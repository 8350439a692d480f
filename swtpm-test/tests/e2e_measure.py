#!/usr/bin/env python3
# SPDX-License-Identifier: ISC
"""Signed PCR policies as systemd-measure makes them: its own files, opened when they should be."""

import json
import os
import re
import subprocess
import sys

import tap
from measure import PHASES, Kernel, Key, boot, call, keys, program, reach
from rooms import TOOLS
from sealer import Sealer
from tap import has, same, test, until
from tpm import tool

BOOTED = ('enter-initrd', 'leave-initrd', 'sysinit')
RUNNING = (*BOOTED, 'ready')


def phases_of(*paths):
    return ['--phase=' + ':'.join(path) for path in paths]


class Slot:
    """A seal to a key, opened by sealers that find the signatures in a file."""

    def __init__(self, place, tpm, key):
        self.tpm, self.key, self.path = tpm, key, place('signature-%s.json' % key.name)
        self.said, self.h, self.blob = '', None, None

    def sign(self, kernel, *options):
        with open(self.path, 'wb') as file:
            file.write(kernel.sign(self.tpm, self.key, *options))

    def run(self, what, **fields):
        with Sealer(self.tpm.tcti, '--pcr-signature=' + self.path) as sealer:
            result = getattr(sealer, what)(**fields)
            self.said = sealer.said
        return result

    def enrol(self):
        result = self.run('enrol', public_key=self.key.pem)
        assert isinstance(result, tuple), (self.key.name, result, self.said)
        self.h, self.blob = result

    def opens(self):
        """True, or False with the reason in said."""
        result = self.run('open', blob=self.blob)
        if result == self.h:
            return True
        same(result, 'no signature', self.said)
        return False


def systemd_opens(place, tpm, key, signatures):
    """Does systemd itself, for what it has bound to the key with the signatures in a file?"""
    os.makedirs(place('systemd'), exist_ok=True)
    credential = place('systemd/credential')
    call('systemd-creds', 'encrypt', '--with-key=tpm2-with-public-key', '--name=credential',
         '--tpm2-device=' + tpm.tcti, '--tpm2-public-key=' + key.public,
         place.file('value', 'hunter2'), credential)
    done = subprocess.run(['systemd-creds', 'decrypt', '--tpm2-device=' + tpm.tcti,
                           '--tpm2-signature=' + signatures, credential, '-'],
                          capture_output=True, check=False)
    return done.stdout == b'hunter2'


@test
def what_systemd_measure_signs_opens_in_its_phases_and_in_no_other(place):
    kernel, other = Kernel(place), Kernel(place, 'other')
    for key in keys(place):
        tpm = place.tpm('tpm-' + key.name)
        slot = Slot(place, tpm, key)
        slot.sign(kernel, '--bank=sha256', *phases_of(BOOTED, RUNNING))
        boot(place, tpm, kernel, BOOTED)
        slot.enrol()
        boot(place, tpm, kernel, ())
        for phase, may in zip(PHASES, (False, False, True, True)):
            same(slot.opens(), may and phase == 'ready', (key.name, 'before', phase))
            reach(place, tpm, phase)
            same(slot.opens(), may, (key.name, phase, slot.said))
        reach(place, tpm, 'shutdown')
        same(slot.opens(), False, (key.name, 'shutdown'))
        has(slot.said, 'nothing signed for what is in PCR 11 now')
        boot(place, tpm, other, RUNNING)
        same(slot.opens(), False, (key.name, 'another kernel'))
        slot.sign(other, '--bank=sha256', *phases_of(RUNNING))
        same(slot.opens(), True, (key.name, 'another kernel, signed', slot.said))
        boot(place, tpm, kernel, RUNNING)
        same(slot.opens(), False, (key.name, 'the first one, whose file is gone'))


@test
def a_single_phase_and_the_four_that_systemd_measure_signs_by_default(place):
    kernel, tpm = Kernel(place), place.tpm()
    slot = Slot(place, tpm, Key(place, 'ec', 'ecparam -name prime256v1 -genkey -noout'))
    slot.sign(kernel)
    boot(place, tpm, kernel, RUNNING)
    slot.enrol()
    for number in range(len(PHASES) + 1):
        boot(place, tpm, kernel, PHASES[:number])
        same(slot.opens(), number > 0, (number, slot.said))
    for phase in ((), PHASES[:1], PHASES[:4]):
        slot.sign(kernel, '--bank=sha256', *phases_of(phase))
        for number in range(len(PHASES) + 1):
            boot(place, tpm, kernel, PHASES[:number])
            same(slot.opens(), PHASES[:number] == phase, (phase, number, slot.said))


@test
def a_key_is_the_same_in_each_form_that_openssl_writes(place):
    kernel, tpm, (rsa, _, ec, _) = Kernel(place), place.tpm(), keys(place)
    boot(place, tpm, kernel, RUNNING)
    for key, form in ((rsa, ['rsa', '-RSAPublicKey_out']), (rsa, ['pkey', '-pubout', '-text']),
                      (ec, ['ec', '-pubout', '-conv_form', 'compressed'])):
        slot = Slot(place, tpm, key)
        slot.sign(kernel, '--bank=sha256', *phases_of(RUNNING))
        key.pem = call('openssl', form[0], '-in', key.private, *form[1:])
        slot.enrol()
        same(slot.opens(), True, (form, slot.said))


@test
def sha256_opens_among_other_banks_and_another_bank_alone_is_named_and_is_none_of_systemds(place):
    kernel, tpm, (rsa, _, ec, _) = Kernel(place), place.tpm(), keys(place)
    boot(place, tpm, kernel, RUNNING)
    for key in rsa, ec:
        slot = Slot(place, tpm, key)
        for banks in (['sha256'], ['sha384', 'sha256'], ['sha1', 'sha256', 'sha384'],
                      ['sha512', 'sha384', 'sha256', 'sha1']):
            slot.sign(kernel, *['--bank=' + bank for bank in banks], *phases_of(RUNNING))
            with open(slot.path, 'rb') as file:
                same(set(json.load(file)), set(banks))
            slot.enrol()
            same(slot.opens(), True, (key.name, banks, slot.said))
        for banks in (['sha1'], ['sha384'], ['sha512', 'sha384']):
            slot.sign(kernel, *['--bank=' + bank for bank in banks], *phases_of(RUNNING))
            same(slot.opens(), False, (key.name, banks))
            has(slot.said, 'for the bank sha', 'only', '--bank=sha256')
    slot = Slot(place, tpm, rsa)
    for bank, may in (('sha256', True), ('sha384', False)):
        slot.sign(kernel, '--bank=' + bank, *phases_of(RUNNING))
        same(systemd_opens(place, tpm, rsa, slot.path), may, bank)


@test
def a_tpm_whose_sha256_bank_is_off_is_named(place):
    kernel, tpm = Kernel(place), place.tpm()
    tool(tpm.tcti, 'tpm2_pcrallocate', 'sha1:none+sha256:none+sha384:all+sha512:none')
    boot(place, tpm, kernel, RUNNING, 'sha384')
    slot = Slot(place, tpm, keys(place)[0])
    slot.sign(kernel, *phases_of(RUNNING))
    has(slot.run('enrol', public_key=slot.key.pem), 'SHA-256 bank is not active for PCR 11',
        "firmware's setup")


@test
def a_slot_that_was_added_for_a_key_opens_at_a_start_under_a_signed_kernel(place):
    kernel, other, tpm = Kernel(place), Kernel(place, 'other'), place.tpm()
    key, path = keys(place)[0], place('signature.json')

    def sign(signed):
        with open(path, 'wb') as file:
            file.write(signed.sign(tpm, key))
        os.chmod(path, 0o644)

    def restart(booted, phases):
        agent.stop()
        boot(place, tpm, booted, phases)
        agent.start()
        return agent.run('status', '--wait=5').status

    boot(place, tpm, kernel, RUNNING)
    sign(kernel)
    agent = place.agent(tpm=tpm, tpm2_lines=['pcr-signature = ' + path])
    agent.start()
    agent.init()
    agent.set('a/b', b'hunter2')
    agent.do('slot', 'add', '--tpm2', '--pcr-public-key=' + key.public)
    agent.do('slot', 'remove', '1', '--yes')
    same(restart(kernel, RUNNING), 0)
    same(agent.get('a/b'), b'hunter2')
    same(restart(other, RUNNING), 75)
    has(until(lambda: agent.status().get('reason')), 'no signed PCR policy fits')
    sign(other)
    same(restart(other, RUNNING), 0)
    same(agent.get('a/b'), b'hunter2')
    same(restart(other, ()), 75)


@test
def the_file_is_looked_for_where_systemd_looks(place):
    tpm, key = place.tpm(), keys(place)[0]

    def opened(*command, **options):
        trace = place('trace')
        subprocess.run(['strace', '-f', '-o', trace, '-e', 'trace=open,openat', *command],
                       capture_output=True, check=False, **options)
        with open(trace, encoding='utf-8') as file:
            return re.findall(r'"(/[^"]*/tpm2-pcr-signature\.json)"', file.read())

    systemd_opens(place, tpm, key, '/nonexistent')
    expected = opened('systemd-creds', 'decrypt', '--tpm2-device=' + tpm.tcti,
                      place('systemd/credential'), '-')
    assert len(expected) > 2, expected
    with Sealer(tpm.tcti, wrapper=('strace', '-o', place('sealer'), '-e',
                                   'trace=open,openat')) as sealer:
        same(sealer.enrol(public_key=key.pem), 'no signature')
        has(sealer.said, *[os.path.dirname(path) for path in expected])
    with open(place('sealer'), encoding='utf-8') as file:
        same(re.findall(r'"(/[^"]*/tpm2-pcr-signature\.json)"', file.read()), expected)


@test
def what_the_tests_sign_without_systemd_is_systemds_byte_for_byte(place):
    kernel, tpm = Kernel(place), place.tpm()
    boot(place, tpm, kernel, RUNNING)

    def sign(key):
        return call(sys.executable, TOOLS + '/sign_pcrs', key.private, '11',
                    TPM2TOOLS_TCTI=tpm.tcti)

    for key in keys(place):
        theirs = kernel.sign(tpm, key, '--bank=sha256', *phases_of(RUNNING))
        if 'rsa' not in key.name:  # each signature is another
            ours, theirs = json.loads(sign(key)), json.loads(theirs)
            for entries in ours['sha256'], theirs['sha256']:
                entries[0].pop('sig')
            same(ours, theirs)
        else:
            same(sign(key).strip(), theirs.strip(), key.name)


@test
def signatures_of_two_keys_for_two_kernels_stand_in_one_file(place):
    def append(signed, key):
        """systemd-measure has --append from systemd 256 on."""
        if b'--append' in call(program(), '--help'):
            return signed.sign(tpm, key, '--append=' + first.path, *phases_of(RUNNING))
        with open(first.path, 'rb') as file:
            banks = json.load(file)
        for bank, entries in json.loads(signed.sign(tpm, key, *phases_of(RUNNING))).items():
            banks[bank] += entries
        return json.dumps(banks).encode()

    kernel, other, tpm = Kernel(place), Kernel(place, 'other'), place.tpm()
    first, second = [Slot(place, tpm, key) for key in keys(place)[:3:2]]
    first.path = second.path = place('both.json')
    first.sign(kernel, *phases_of(RUNNING))
    for signed, key in ((other, first.key), (kernel, second.key)):
        text = append(signed, key)
        with open(first.path, 'wb') as file:
            file.write(text)
    boot(place, tpm, kernel, RUNNING)
    first.enrol()
    second.enrol()
    same((first.opens(), second.opens()), (True, True), first.said + second.said)
    boot(place, tpm, other, RUNNING)
    same((first.opens(), second.opens()), (True, False), first.said)


if __name__ == '__main__':
    tap.main()
