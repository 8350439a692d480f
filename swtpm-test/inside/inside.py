# SPDX-License-Identifier: ISC
"""inside: what scripts have in common that a Machine of nspawn.py runs in its container.

A script puts {case: result} into results and ends with perform(): the step that the host asks for
is done, and the results go to /out/STEP.json.
"""

import json
import os
import pathlib
import subprocess
import time
import traceback

MORTISE, MORTISED = '/opt/mortise/bin/mortise', '/opt/mortise/sbin/mortised'
results = {}


def run(*command, **options):
    if 'MORTISE_TEST_TRACE' in os.environ:
        print('%.1f + %.200s' % (time.monotonic(), ' '.join(command)), flush=True)
    done = subprocess.run(command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
                          timeout=options.pop('timeout', 60), **options)
    return [done.returncode, done.stdout.decode(errors='replace').strip()]


def must(*command, **options):
    result = run(*command, **options)
    if result[0] != 0:
        raise AssertionError('%s: %r' % (' '.join(command), result))
    return result[1]


def until(condition, seconds=20):
    """The first true result of condition()."""
    end = time.monotonic() + seconds
    while True:
        result = condition()
        if result:
            return result
        if time.monotonic() > end:
            raise AssertionError('waited %d s in vain' % seconds)
        time.sleep(0.02)


def show(unit, name):
    return must('systemctl', 'show', '--value', '-p', name, unit)


def journal(unit, lines=200):
    return run('journalctl', '--no-pager', '-o', 'cat', '-n', str(lines), '-u', unit)[1]


def in_unit(name, *command, user='alice'):
    return run('systemd-run', '--quiet', '--wait', '--pipe', '--collect', '--unit=' + name,
               '--uid=' + user, *command)


def has_booted():
    """What a boot may not be kept from: its target is reached, and no job waits any more."""
    until(lambda: show('multi-user.target', 'ActiveState') == 'active')
    return run('systemctl', 'is-active', 'multi-user.target')


def write(path, text, mode=0o644):
    path = pathlib.Path(path)
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text)
    path.chmod(mode)


def want(what):
    """Something of the host, that its Machine.wishes have; returns when it is granted."""
    path = pathlib.Path('/out/want-' + what)
    path.touch()
    until(lambda: not path.exists())


def perform(*steps):
    """Does the step, a function whose name the host has written down."""
    name = pathlib.Path('/out/step').read_text().strip()
    began = time.monotonic()
    try:
        {step.__name__: step for step in steps}[name]()
    except Exception as fault:  # whatever it was, the host is to hear of it
        results['failed'] = '%r in %s' % (fault, traceback.format_exc().splitlines()[-8:])
        log = pathlib.Path('/out/log')  # of who has no journal
        results['journal'] = log.read_text() if log.exists() else run(
            'journalctl', '--no-pager', '-o', 'cat', '-n', '60')[1]
    results['seconds'] = [began, time.monotonic() - began]
    with open('/out/new', 'w') as file:
        json.dump(results, file, indent=1)
    os.sync()
    os.rename('/out/new', '/out/%s.json' % name)
