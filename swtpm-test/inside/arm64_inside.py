#!/usr/bin/env python3
# SPDX-License-Identifier: ISC
"""arm64_inside: what tests/long/arm64 has done on an arm64 with its own kernel.

/out/source.tar.gz has the source with its unit tests, /out/installed.tar.gz what goes to /usr/local.
"""

import glob
import json
import os
import pathlib
import re
import subprocess

from inside import must, perform, results, run, until, write

ROOT = '/root/mortise'
BUILD = ROOT + '/build/arm64'
TEST_S = 900


def unit_test(path):
    """What a suite of unit tests says, in TAP: how many passed, and what failed or was skipped."""
    done = subprocess.run([path], stdout=subprocess.PIPE, stderr=subprocess.STDOUT, timeout=TEST_S, cwd=ROOT, env={
        **os.environ, 'LC_ALL': 'C.UTF-8', 'CMOCKA_MESSAGE_OUTPUT': 'TAP', 'MORTISE_TEST_SOURCE': ROOT,
        'MORTISE_TEST_BUILD': BUILD + '/tests', 'MORTISE_TEST_SEALER': BUILD + '/agent/mortise-sealer',
        'PATH': ROOT + '/swtpm-test:' + os.environ['PATH']})
    text = done.stdout.decode(errors='replace')
    lines = re.findall(r'^(?:not )?ok .*$', text, re.M)
    return {'status': done.returncode,
            'passed': len([line for line in lines if line.startswith('ok') and '# SKIP' not in line]),
            'skipped': [line for line in lines if '# SKIP' in line],
            'failed': [line for line in lines if line.startswith('not ok')],
            'said': '' if done.returncode == 0 else text[-3000:]}


def units():
    os.makedirs(ROOT)
    must('tar', '-C', ROOT, '-xzf', '/out/source.tar.gz', timeout=TEST_S)
    must('tar', '-C', '/', '-xzf', '/out/installed.tar.gz', timeout=TEST_S)
    results['suites'] = {}
    for path in sorted(glob.glob(BUILD + '/tests/test_*')):
        if os.path.isfile(path) and os.access(path, os.X_OK):
            name = os.path.basename(path)
            print(name, flush=True)
            try:
                results['suites'][name] = unit_test(path)
            except subprocess.TimeoutExpired:
                results['suites'][name] = {'status': 'timeout', 'passed': 0, 'skipped': [],
                                           'failed': [name], 'said': 'did not end'}
    results['kernel'] = os.uname()[2:5]
    a_tpm_of_its_kernel()


def a_tpm_of_its_kernel():
    """swtpm behind the kernel's own proxy, and an agent on /dev/tpmrm0, restarted once."""
    must('modprobe', 'tpm_vtpm_proxy')
    os.makedirs('/root/tpm')
    tpm = subprocess.Popen(['swtpm', 'chardev', '--vtpm-proxy', '--tpm2', '--tpmstate', 'dir=/root/tpm'],
                           stdout=subprocess.DEVNULL)
    until(lambda: os.path.exists('/dev/tpmrm0'))
    must('useradd', '--system', 'mortise')
    must('ldconfig')
    os.chmod('/dev/tpmrm0', 0o666)
    write('/etc/mortise/mortised.conf', '[agent]\nuser = mortise\n')
    for name, mode in (('/var/lib/mortise', 0o700), ('/var/log/mortise', 0o750), ('/run/mortise', 0o755)):
        os.makedirs(name)
        os.chmod(name, mode)
        must('chown', 'mortise:', name)
    for turn in ('first', 'again'):
        log = open('/root/mortised.log', 'ab')
        agent = subprocess.Popen(['/usr/local/sbin/mortised', '-c', '/etc/mortise/mortised.conf'], stderr=log)
        try:
            until(lambda: os.path.exists('/run/mortise/mortise.sock'), 60)
            if turn == 'first':
                results['init'] = run('/usr/local/bin/mortise', 'init', '--recovery-file=/root/recovery', timeout=TEST_S)
                results['set'] = run('/usr/local/bin/mortise', 'set', 'prod/db/password', input=b'secret')
            else:
                results['get'] = run('/usr/local/bin/mortise', '--wait=60', 'get', 'prod/db/password', timeout=TEST_S)
                results['whoami'] = json.loads(must('/usr/local/bin/mortise', 'whoami', '--json'))
        finally:
            agent.terminate()
            agent.wait()
            results['log'] = pathlib.Path('/root/mortised.log').read_text()
    tpm.kill()


if __name__ == '__main__':
    perform(units)
