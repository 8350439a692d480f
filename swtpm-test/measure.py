# SPDX-License-Identifier: ISC
"""measure: fixtures for signed PCR policies, made by systemd's own programs.

Key      a key pair of openssl's
Kernel   the sections of a unified kernel image, which systemd-measure signs
boot()   starts a Tpm anew and measures a Kernel and phases into it

What boot() does to PCR 11 is what systemd-stub and systemd-pcrphase do on real hardware; that it is
the same is not believed: each value is compared with what systemd-measure calculates.
"""

import json
import os
import subprocess

from tap import Skip, same
from tpm import tool

PHASES = ('enter-initrd', 'leave-initrd', 'sysinit', 'ready')


def program():
    found = [path for path in ('/usr/lib/systemd/systemd-measure', '/lib/systemd/systemd-measure')
             if os.path.exists(path)]
    if not found:
        raise Skip('no systemd-measure')
    return found[0]


def call(*command, **env):
    done = subprocess.run(command, capture_output=True, check=False,
                          env={'PATH': os.environ['PATH'], **env})
    if done.returncode != 0:
        raise AssertionError('%s: %s' % (command, done.stderr.decode()))
    return done.stdout


class Key:
    """make: a command of openssl that writes a private key to standard output."""

    def __init__(self, place, name, make):
        self.name, self.private, self.public = name, place(name + '.pem'), place(name + '.pub')
        with open(self.private, 'wb') as file:
            file.write(call('openssl', *make.split()))
        self.pem = call('openssl', 'pkey', '-in', self.private, '-pubout')
        with open(self.public, 'wb') as file:
            file.write(self.pem)


def keys(place):
    return [Key(place, 'rsa', 'genrsa 2048'), Key(place, 'rsa3072', 'genrsa 3072'),
            Key(place, 'ec', 'ecparam -name prime256v1 -genkey -noout'),
            Key(place, 'p384', 'ecparam -name secp384r1 -genkey -noout')]


class Kernel:
    """What stands in its sections is short, so that tpm2_pcrevent takes it at once."""

    def __init__(self, place, name='kernel'):
        self.sections = {'linux': place.file(name + '.linux', 'a kernel called ' + name),
                         'osrel': place.file(name + '.osrel', 'ID=' + name),
                         'cmdline': place.file(name + '.cmdline', 'quiet')}
        self.heads = {section: place.file('%s.%s.head' % (name, section), '.%s\0' % section)
                      for section in self.sections}

    def measure(self, verb, *options):
        return call(program(), verb, *options,
                    *['--%s=%s' % section for section in self.sections.items()])

    def expected(self, phases, bank='sha256'):
        """What PCR 11 holds after these phases."""
        said = self.measure('calculate', '--json=short', '--bank=' + bank,
                            '--phase=' + ':'.join(phases))
        return json.loads(said)[bank][0]['hash']

    def sign(self, tpm, key, *options):
        return self.measure('sign', '--private-key=' + key.private, '--public-key=' + key.public,
                            '--tpm2-device=' + tpm.tcti, *options)


def read(tpm, bank='sha256'):
    text = tool(tpm.tcti, 'tpm2_pcrread', bank + ':11').decode()
    return text.split('0x')[1].strip().lower()


def reach(place, tpm, phase):
    tool(tpm.tcti, 'tpm2_pcrevent', '11', place.file('phase', phase))


def boot(place, tpm, kernel, phases, bank='sha256'):
    tpm.stop()
    tpm.start()
    for section, path in kernel.sections.items():
        tool(tpm.tcti, 'tpm2_pcrevent', '11', kernel.heads[section])
        tool(tpm.tcti, 'tpm2_pcrevent', '11', path)
    for phase in phases:
        reach(place, tpm, phase)
    same(read(tpm, bank), kernel.expected(phases, bank), 'PCR 11 as systemd has it')
