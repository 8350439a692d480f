#!/usr/bin/env python3
# SPDX-License-Identifier: ISC
"""pin_inside: what e2e_boot_pin.py has done in a container. It answers as a password agent."""

import configparser
import glob
import socket

from inside import (MORTISE, has_booted, journal, must, perform, results, run, show, until, want,
                    write)

ASKER, PIN, WRONG = 'mortise-ask-pin.service', 'correct horse', 'mistyped'
GET = (MORTISE, 'get', 'prod/db/password')


def questions():
    return sorted(glob.glob('/run/systemd/ask-password/ask.*'))


def question(but=()):
    """The file of a question that is not among those of before, and what it says."""
    path = until(lambda: [path for path in questions() if path not in but])[0]
    ask = configparser.RawConfigParser()
    ask.read(path)
    return path, ask['Ask']


def reply(ask, data):
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as agent:
        agent.sendto(data, ask['Socket'])


def answer(pin, but=()):
    """Answers the question that is there; its file."""
    path, ask = question(but)
    reply(ask, b'+' + pin.encode())
    return path


def asker():
    return show(ASKER, 'ActiveState')


def is_open():
    return run(MORTISE, 'status')[0] == 0


def restart():
    must('systemctl', 'restart', 'mortised.service')
    return question()[1]['Message']


def unseal():
    result = run(MORTISE, 'unseal', '--tpm2-pin-file=/root/pin')
    until(lambda: asker() == 'inactive')
    return result


def enrol():
    must('systemd-sysusers')
    must('systemd-tmpfiles', '--create', 'mortise.conf')
    must('systemctl', 'daemon-reload')
    must('systemctl', 'enable', '--now', '--quiet', 'mortised.socket', 'mortised.service',
         'mortise-ask-pin.path')
    write('/root/pin', PIN, 0o600)
    must(MORTISE, 'init', '--tpm2', '--tpm2-pin-file=/root/pin', '--recovery-file=/root/recovery')
    must(MORTISE, 'set', '--raw', 'prod/db/password', input=b'value')
    assert not questions() and asker() == 'inactive'


def only_job_is_this():
    """Jobs come and go, such as that of systemd-ask-password-wall: one that waits does not go."""
    return [line.split()[1] for line in must(
        'systemctl', 'list-jobs', '--no-legend').splitlines()] == ['probe.service']


def waits():
    results['boot'] = has_booted()
    until(only_job_is_this)
    results['question'] = question()[1]['Message']
    results['get'] = run(*GET)


def asked():
    waits()
    results['text'] = show('mortised.service', 'StatusText')
    results['status'] = run(MORTISE, 'status')
    results['listed'] = must('systemd-tty-ask-password-agent', '--list')
    before = answer(WRONG)
    results['after a wrong one'] = question([before])[1]['Message']
    answer(PIN, [before])
    until(is_open)
    results['opened'] = run(*GET)
    until(lambda: asker() == 'inactive')
    results['then'] = [questions(), asker()]
    by_unseal()
    turned_down()
    sealed_by_an_admin()
    three_wrong()
    results['all of the journal'] = must('journalctl', '--no-pager')


def by_unseal():
    results['asked again'] = restart()
    results['by unseal'] = unseal()
    results['then by unseal'] = [questions(), asker()]


def turned_down():
    restart()
    reply(question()[1], b'-')
    until(lambda: 'turned down' in journal(ASKER))
    results['turned down'] = [questions(), asker(), show(ASKER, 'NRestarts')]
    unseal()
    results['turned down log'] = journal(ASKER)
    results['then open'] = asker()


def sealed_by_an_admin():
    """The question goes when the admin's word comes; the store stays closed behind a restart, too."""
    restart()
    must(MORTISE, 'seal', '--yes')
    until(lambda: asker() == 'inactive')
    must('systemctl', 'restart', 'mortised.service')
    until(lambda: 'sealed by an admin' in show('mortised.service', 'StatusText'))
    results['sealed by an admin'] = [questions(), is_open()]
    unseal()


def three_wrong():
    """One of an earlier question and two of these lock this TPM."""
    restart()
    seen = []
    for _ in range(3):
        seen.append(answer(WRONG, seen))
    until(lambda: 'three PINs' in journal(ASKER))
    results['after three'] = [questions(), asker(), show(ASKER, 'NRestarts')]
    results['after three log'] = journal(ASKER)


def locked():
    waits()
    before = answer(PIN)
    results['while locked'] = question([before])[1]['Message']
    want('no-lockout')
    answer(PIN, [before])
    until(is_open)
    results['unlocked'] = run(*GET)
    results['all of the journal'] = must('journalctl', '--no-pager')


if __name__ == '__main__':
    perform(enrol, asked, locked)
