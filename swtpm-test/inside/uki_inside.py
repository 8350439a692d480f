#!/usr/bin/env python3
# SPDX-License-Identifier: ISC
"""uki_inside: what e2e_vm_uki.py has done on a Debian that boots as a unified kernel image.

An operator binds the store to whoever signs kernels, with the files that systemd-stub hands over. /out/debs
has the package.
"""

import glob
import os
import pathlib

from inside import has_booted, journal, must, perform, results, run, show, until, write
from vm_inside import WAIT_S, look

PUBLIC, SIGNATURE = '/run/systemd/tpm2-pcr-public-key.pem', '/run/systemd/tpm2-pcr-signature.json'
# The agent is there before systemd says "ready" to the TPM, and what it says then is written down.
EARLY_AGENT = '[Unit]\nBefore=systemd-pcrphase.service\n'
EARLY_LOOK = '''[Unit]
After=mortised.service
Before=systemd-pcrphase.service
[Service]
Type=oneshot
ExecStart=/bin/sh -c 'until mortise status >/run/early-status; grep -q "^reason" /run/early-status; do sleep 0.1; done'
[Install]
WantedBy=multi-user.target
'''


def measured():
    results['pcrs'] = must('tpm2_pcrread', 'sha256:4,7,11')
    results['files'] = [os.path.exists(path) for path in (PUBLIC, SIGNATURE)]
    results['phases'] = [show('systemd-pcrphase%s.service' % name, 'ActiveState') for name in ('-sysinit', '')]


def first():
    results['boot'] = has_booted()
    measured()
    must('apt-get', '-qq', '-y', '-o', 'Dpkg::Use-Pty=0', 'install', *glob.glob('/out/debs/*.deb'),
         timeout=WAIT_S, env={**os.environ, 'DEBIAN_FRONTEND': 'noninteractive'})
    must('mortise', 'init', '--recovery-file=/root/recovery-key', timeout=WAIT_S)
    must('mortise', 'set', 'prod/db/password', input=b'secret')
    results['add'] = run('mortise', 'slot', 'add', '--tpm2', '--pcr-public-key=' + PUBLIC, timeout=WAIT_S)
    must('mortise', 'slot', 'remove', '--yes', '1')  # what opens whatever is booted
    must('mortise', 'seal', '--yes')
    results['unseal'] = run('mortise', 'unseal', timeout=WAIT_S)
    results['slots'] = run('mortise', 'slot', 'list')
    write('/etc/systemd/system/mortised.service.d/early.conf', EARLY_AGENT)
    write('/etc/systemd/system/early-look.service', EARLY_LOOK)
    must('systemctl', 'daemon-reload')
    must('systemctl', 'enable', '--quiet', 'early-look.service')
    look()


def updated():
    """With another kernel, by the same signer."""
    results['boot'] = has_booted()
    measured()
    results['early'] = pathlib.Path('/run/early-status').read_text()
    results['get'] = run('mortise', '--wait=%d' % WAIT_S, 'get', 'prod/db/password', timeout=WAIT_S + 10)
    results['log'] = journal('mortised.service')
    look()


def foreign():
    """With a kernel that somebody else has signed."""
    results['boot'] = has_booted()
    measured()
    results['text'] = until(lambda: [text for text in [show('mortised.service', 'StatusText')]
                                     if text != 'unsealing'], WAIT_S)
    results['get'] = run('mortise', 'get', 'prod/db/password')
    results['recovery'] = run('mortise', 'unseal', '--recovery-file=/root/recovery-key', timeout=WAIT_S)
    results['get then'] = run('mortise', 'get', 'prod/db/password')
    look()


if __name__ == '__main__':
    perform(first, updated, foreign)
