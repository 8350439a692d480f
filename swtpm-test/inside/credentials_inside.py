#!/usr/bin/env python3
# SPDX-License-Identifier: ISC
"""credentials_inside: what e2e_credentials.py has done under the systemd of a container.

`first` makes an agent and has units load credentials from it in many ways; `second` is the boot
after that, in which MANY units want one each at once. Results: /out/results-first.json and so on,
{case: [exit status, output]}. `forge ADDRESS` asks as somebody who only claims to be systemd.
"""

import glob
import json
import os
import re
import signal
import socket
import subprocess
import sys
import time

MORTISE, SOCKET = '/opt/mortise/bin/mortise', '/run/mortise/credentials.sock'
VALUE, MANY, DEADLINE_S = b's3cret', 200, 60
STORM, KILLS = range(1000, 1060), 5
POLICY = '''[rule root]
allow = read list write delete rotate audit admin
secret = **
user = 0
socket = main
[credential dbpass]
unit = backup.service backup@*.service
secret = prod/db/password
[credential own]
user = alice
unit = sync.service
secret = prod/own/password
[credential empty]
unit = backup.service
secret = prod/empty
[credential many]
unit = many@*.service
secret = prod/db/password
'''
results = {}


def run(*command, **options):
    done = subprocess.run(command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
                          timeout=DEADLINE_S, **options)
    return [done.returncode, done.stdout.decode(errors='replace').strip()]


def must(*command, **options):
    result = run(*command, **options)
    if result[0] != 0:
        raise AssertionError('%s: %r' % (' '.join(command), result))
    return result[1]


def wait_until(condition):
    end = time.monotonic() + DEADLINE_S
    while not condition():
        if time.monotonic() > end:
            raise AssertionError('%s does not come true' % condition)
        time.sleep(0.02)


def command_of(unit, identity, properties=(), to=SOCKET):
    """What starts a unit that loads a credential, says that it runs, and shows what it has."""
    options = ['--property=' + text for text in properties]
    return ('systemd-run', '--quiet', '--wait', '--pipe', '--collect', '--unit=' + unit,
            '--property=LoadCredential=%s:%s' % (identity, to), *options, 'sh', '-c',
            'echo "ran:$(cat "$CREDENTIALS_DIRECTORY/%s")"' % identity)


def load(case, unit='backup.service', identity='dbpass', properties=(), to=SOCKET):
    results[case] = run(*command_of(unit, identity, properties, to))


def start_loading(unit='backup.service'):
    return subprocess.Popen(command_of(unit, 'dbpass'), stdout=subprocess.PIPE,
                            stderr=subprocess.STDOUT)


def end_loading(case, process):
    out, _ = process.communicate(timeout=DEADLINE_S)
    results[case] = [process.returncode, out.decode().strip()]


def waiting(unit='backup.service/'):
    """How many connections wait in the queue, or have been accepted: those that are not closed."""
    with open('/proc/net/unix') as lines:
        return lines.read().count('/unit/' + unit)


def set_up():
    must('useradd', '--create-home', '--uid=1000', 'alice')
    must('systemctl', 'start', 'mortise-credentials.socket', 'mortised.service')
    must(MORTISE, 'init', '--tpm2', '--recovery-file=/out/recovery')
    for path, value in (('db/password', VALUE), ('own/password', b'own'), ('empty', b'')):
        must(MORTISE, 'set', '--raw', '--allow-empty', 'prod/' + path, input=value)
    must(MORTISE, 'policy', 'apply', '-', input=POLICY.encode())


def units():
    load('service')
    load('template', 'backup@7.service')
    load('dynamic user', properties=['DynamicUser=yes'])
    load('sandboxed', properties=['PrivateUsers=yes', 'ProtectSystem=strict', 'PrivateDevices=yes',
                                  'ProtectProc=invisible', 'PrivateNetwork=yes', 'User=games'])
    load('slice', properties=['Slice=batch-night.slice'])
    load('other unit', 'other.service')
    load('other template', 'backup@.service'.replace('@', '-'))
    load('unmapped', identity='unheard-of')
    load('empty', identity='empty')
    results['journal'] = run('journalctl', '--no-pager', '-o', 'cat', '-u', 'mortised.service')
    results['audit'] = run(MORTISE, 'audit', 'show', '--op=credential')
    results['hygiene'] = run(MORTISE, 'hygiene', '--json')


def closing_listener():
    """What systemd makes of a listener that only closes: why a refusal must be more than that."""
    listener = socket.socket(socket.AF_UNIX)
    listener.bind('/run/closing.sock')
    listener.listen()
    process = subprocess.Popen(command_of('closed.service', 'c', to='/run/closing.sock'),
                               stdout=subprocess.PIPE, stderr=subprocess.STDOUT)
    listener.accept()[0].close()
    end_loading('closed', process)


def forge(address):
    """Reads to the end as systemd would; prints how much came, or the value."""
    peer = socket.socket(socket.AF_UNIX)
    peer.bind(b'\0' + address.encode())
    peer.connect(SOCKET)
    taken = b''
    while len(taken) <= 1 << 20:
        more = peer.recv(1 << 20)
        if not more:
            break
        taken += more
    print(len(taken) if taken.count(0) == len(taken) else taken.decode())


def forgeries():
    address = '1234/unit/backup.service/dbpass'
    own = (sys.executable, __file__, 'forge', address)
    results['forged outside'] = run(*own)
    results['forged in a unit'] = run('systemd-run', '--quiet', '--wait', '--pipe', '--collect',
                                      '--unit=forging.service', *own)
    must('systemd-run', '--quiet', '--unit=backup.service', 'sleep', '60')
    move = 'echo $$ > /sys/fs/cgroup/system.slice/backup.service/cgroup.procs; exec "$@"'
    results['moved into the unit'] = run('sh', '-c', move, 'sh', *own)
    must('systemctl', 'stop', 'backup.service')


def user_manager():
    """A user's own manager connects as the user, whom the socket's mode keeps out by itself."""
    with open('/etc/systemd/user/sync.service', 'w') as unit:
        unit.write('[Service]\nType=oneshot\nLoadCredential=own:%s\n'
                   'ExecStart=/bin/sh -c "cat $CREDENTIALS_DIRECTORY/own > /home/alice/has"\n'
                   % SOCKET)
    must('cp', '/etc/systemd/user/sync.service', '/etc/systemd/user/foreign.service')
    must('systemctl', 'start', 'user@1000.service')
    ask = ('runuser', '-u', 'alice', '--', 'env', 'XDG_RUNTIME_DIR=/run/user/1000', 'systemctl',
           '--user')
    results['user kept out'] = run(*ask, 'start', 'sync.service')
    os.chmod(SOCKET, 0o666)
    results['user'] = run(*ask, 'start', 'sync.service')
    results['user has'] = run('cat', '/home/alice/has')
    results['user other unit'] = run(*ask, 'start', 'foreign.service')
    os.chmod(SOCKET, 0o600)


def while_sealed():
    must(MORTISE, 'seal')
    start = time.monotonic()
    load('sealed')
    results['sealed for'] = time.monotonic() - start
    process = start_loading()
    wait_until(waiting)
    must(MORTISE, 'unseal')
    end_loading('unsealed in time', process)
    must(MORTISE, 'seal')
    process = start_loading()
    wait_until(waiting)
    os.kill(keeper(), signal.SIGKILL)
    wait_until(lambda: run(MORTISE, 'unseal')[0] == 0)
    end_loading('keeper killed', process)
    must(MORTISE, 'seal')
    process = start_loading()
    wait_until(waiting)
    must('systemctl', 'restart', 'mortised.service')
    must(MORTISE, 'unseal')
    end_loading('agent restarted', process)


def keeper():
    return next((int(pid) for pid in os.listdir('/proc') if pid.isdigit() and is_keeper(pid)), None)


def storm():
    """Units that start while keepers are killed: each one's result, and the value that it ran with."""
    units = ['many@%d.service' % number for number in STORM]
    each = len(units) // KILLS
    for start in range(0, len(units), each):
        must(MORTISE, 'status', '--wait=%d' % DEADLINE_S)
        victim = keeper()
        process = subprocess.Popen(['systemctl', 'start', *units[start:start + each]],
                                   stderr=subprocess.DEVNULL)
        while not waiting('many@') and process.poll() is None:
            pass
        os.kill(victim, signal.SIGKILL)
        process.wait(timeout=DEADLINE_S)
    came = [state_of(unit) for unit in units]
    results['storm'] = {text: came.count(text) for text in sorted(set(came))}


def state_of(unit):
    try:
        with open('/run/many/' + re.sub(r'\D', '', unit)) as file:
            had = 'ran:' + file.read()
    except FileNotFoundError:
        had = 'never ran'
    shown = must('systemctl', 'show', '-p', 'Result', '-p', 'ExecMainStatus', unit).split()
    return ' '.join([had, *sorted(shown)])


def is_keeper(pid):
    try:
        with open('/proc/%s/cmdline' % pid, 'rb') as line:
            return b'--keeper' in line.read()
    except OSError:  # it is gone
        return False


def first():
    set_up()
    units()
    closing_listener()
    forgeries()
    user_manager()
    while_sealed()
    storm()


def seconds_of(unit, name):
    return int(must('systemctl', 'show', '--value', '-p', name, unit)) / 1e6


def second():
    """Nothing was started by hand: the first connection has started the agent."""
    wait_until(lambda: seconds_of('many.target', 'ActiveEnterTimestampMonotonic'))
    came = [open(name, 'rb').read() for name in glob.glob('/run/many/*')]
    results['came'] = [len(came), sorted({value.decode() for value in came})]
    results['failed units'] = run('systemctl', '--failed', '--no-legend', '--plain')
    results['seconds'] = (seconds_of('many.target', 'ActiveEnterTimestampMonotonic') -
                          seconds_of('mortise-credentials.socket', 'ActiveEnterTimestampMonotonic'))
    wait_until(lambda: run(MORTISE, 'status')[0] == 0)
    lines = must(MORTISE, 'audit', 'show', '--op=credential').splitlines()
    lines = [line for line in lines if re.search(r'many for many@\d{1,3}\.service', line)]
    results['lines'] = [len(lines), lines[:1]]


def main():
    if sys.argv[1] == 'forge':
        return forge(sys.argv[2])
    try:
        {'first': first, 'second': second}[sys.argv[1]]()
    except Exception as fault:  # whatever it was, the host is to hear of it
        results['failed'] = repr(fault)
        results['log'] = run('journalctl', '--no-pager', '-o', 'cat', '-n', '25')[1]
    with open('/out/results.new', 'w') as file:
        json.dump(results, file, indent=1)
    os.rename('/out/results.new', '/out/results-%s.json' % sys.argv[1])
    must('systemctl', 'stop', 'mortised.service')


if __name__ == '__main__':
    sys.exit(main())
