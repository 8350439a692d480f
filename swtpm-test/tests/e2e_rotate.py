#!/usr/bin/env python3
# SPDX-License-Identifier: ISC
"""rotate: new values through hooks; what fails on the way, and where the agent or mortise dies.

TARGET is a file that stands for the place where the value is used. A hook takes the new value there,
and does at one of its steps what the test wants: fail, hang, or kill somebody.
"""

import getpass
import glob
import json
import os
import pwd
import random
import shutil
import signal
import socket
import subprocess
import time

import tap
import wire
from agent import ALICE
from rooms import CHECKOUT
from tap import has, same, test, until
from tpm import AGENT_USER, end_process

PATH = 'prod/db/password'
STEPS = ('create', 'set', 'test', 'finish')
META, MAX_AGE, HOOK = 22, 62, 63
ROUNDS = int(os.environ.get('MORTISE_TEST_KILLS', 6))

HOOK_TEXT = r'''#!/bin/sh
# HOOK STEP PATH
set -eu
cd %(directory)s
echo "$1 $2" >>steps
if [ "$1" = "$(cat trouble_at 2>/dev/null)" ]; then
	rm trouble_at
	. ./trouble
fi
case $1 in
create) cat next >&"$MORTISE_PENDING_FD" 2>/dev/null || : ;;
set) cat <&"$MORTISE_PENDING_FD" >target ;;
test) cmp -s /proc/self/fd/"$MORTISE_PENDING_FD" target ;;
finish) if [ -n "${MORTISE_CURRENT_FD:-}" ]; then cat <&"$MORTISE_CURRENT_FD" >old; fi ;;
esac
echo noise
'''


class Rotation:
    """An agent with one secret that has a hook, and the target of its value."""

    def __init__(self, place, value=b'old'):
        self.agent = place.ready()
        self.directory = place.directory('hooks')
        self.hook = place.file('hooks/hook', HOOK_TEXT % {'directory': self.directory}, 0o755)
        self.agent.set(PATH, value)
        self.write('target', value)
        meta(self.agent, PATH, hook=self.hook)

    def file(self, name):
        return os.path.join(self.directory, name)

    def write(self, name, data):
        with open(self.file(name), 'wb') as file:
            file.write(data if isinstance(data, bytes) else data.encode())

    def read(self, name):
        try:
            with open(self.file(name), 'rb') as file:
                return file.read()
        except FileNotFoundError:
            return b''

    def trouble(self, step, text):
        self.write('trouble', text + '\n')
        self.write('trouble_at', step)

    def steps(self):
        """The steps that were run since the last time."""
        found = [line.split()[0] for line in self.read('steps').decode().splitlines()]
        self.write('steps', '')
        return found

    def target(self):
        return self.read('target')


def meta(agent, path, hook=None, max_age=None):
    """As root, or whoever runs this."""
    fields = {wire.PATH: path.encode()}
    if hook is not None:
        fields[HOOK] = hook.encode()
    if max_age is not None:
        fields[MAX_AGE] = max_age.to_bytes(8, 'little')
    connection = wire.connect(agent.socket)
    code, reply = wire.ask(connection, wire.pack(META, fields))
    connection.close()
    same(code, 0, reply)


def records(agent, operation='rotate'):
    with open(agent.audit) as log:
        lines = [json.loads(line) for line in log]
    return [(line.get('note'), line['result']) for line in lines if line['op'] == operation]


@test
def a_rotation_runs_four_steps_and_then_the_new_value_is_current(place):
    rotation = Rotation(place)
    agent = rotation.agent
    result = agent.do('rotate', PATH)
    same(result.text, PATH + ': version 2\n')
    has(result.err, 'noise')
    same(rotation.steps(), list(STEPS))
    value = agent.get(PATH)
    same((len(value), value == rotation.target()), (32, True))
    same(agent.get(PATH, '--label=previous'), b'old')
    same(rotation.read('old'), b'old')
    same(records(agent), [('look', 'ok'), ('begin', 'ok'), ('promote', 'ok')])
    same(agent.do('rotate', '--json', PATH).json(),
         {'path': PATH, 'version': 3, 'changed': True, 'resumed': False, 'dry_run': False})


@test
def the_hook_can_make_the_value_and_one_line_loses_its_newline(place):
    rotation = Rotation(place)
    rotation.write('next', b'made by the hook\n')
    rotation.agent.do('rotate', PATH)
    same(rotation.agent.get(PATH), b'made by the hook')
    rotation.write('next', b'\0bytes\xff\n\n')
    rotation.agent.do('rotate', PATH)
    same(rotation.agent.get(PATH), b'\0bytes\xff\n\n')
    rotation.write('next', b'x' * 65537)
    result = rotation.agent.run('rotate', PATH)
    same(result.status, 1)
    has(result.err, 'step create failed', '65536', 'version 3 is still the current one',
        'nothing was stored')


@test
def a_generated_value_skips_the_create_step(place):
    rotation = Rotation(place)
    rotation.agent.do('rotate', '--generate=hex:32', PATH)
    same(rotation.steps(), ['set', 'test', 'finish'])
    same(len(bytes.fromhex(rotation.agent.get(PATH).decode())), 32)
    same(rotation.agent.run('rotate', '--generate=hex:2', PATH).status, 64)
    same(rotation.agent.run('rotate', '--generate=nonsense', PATH).status, 64)


@test
def nothing_secret_is_in_arguments_or_environment_and_the_files_are_sealed(place):
    rotation = Rotation(place)
    rotation.trouble('test', r'''
		cp /proc/$$/environ environ; cp /proc/$$/cmdline cmdline
		{ echo x >&"$MORTISE_PENDING_FD"; } 2>/dev/null && echo written >verdict
		{ echo x >&"$MORTISE_CURRENT_FD"; } 2>/dev/null && echo written >verdict
		{ echo x >"/proc/self/fd/$MORTISE_PENDING_FD"; } 2>/dev/null && echo written >verdict
		cat target >seen''')
    rotation.agent.do('rotate', PATH)
    seen = rotation.read('seen')
    same(seen, rotation.agent.get(PATH))
    for name in ('environ', 'cmdline'):
        same((seen in rotation.read(name), b'old' in rotation.read(name)), (False, False))
        same(len(rotation.read(name)) > 20, True)
    same(rotation.read('verdict'), b'')


@test
def a_step_that_fails_leaves_the_current_value_and_the_next_run_goes_on_with_set(place):
    for step in STEPS:
        rotation = Rotation(place) if step == STEPS[0] else rotation
        agent = rotation.agent
        before, version = agent.get(PATH), json.loads(agent.do('show', '--json', PATH).out)
        rotation.trouble(step, 'exit 7')
        result = agent.run('rotate', PATH)
        same((result.status, result.out), (1, b''), step)
        has(result.err, 'step %s failed' % step, 'exit status 7', 'is still the current one')
        same(agent.get(PATH), before, step)
        rotation.steps()
        result = agent.do('rotate', PATH)
        if step == 'create':
            has(result.text, ': version')
            same(rotation.steps(), list(STEPS))
        else:
            has(result.text, 'going on with the one that was pending')
            same(rotation.steps(), ['set', 'test', 'finish'], step)
        same(agent.get(PATH), rotation.target(), step)
        same(agent.get(PATH) == before, False)
        same(agent.get(PATH, '--label=previous'), before)
        same(version['path'], PATH)


@test
def json_says_which_step_failed_in_one_object(place):
    rotation = Rotation(place)
    rotation.trouble('test', 'exit 1')
    result = rotation.agent.run('rotate', '--json', PATH)
    same(result.status, 1)
    has(json.dumps(result.json()), 'step test failed')


@test
def a_pending_value_can_be_dropped(place):
    rotation = Rotation(place)
    agent = rotation.agent
    has(agent.do('rotate', '--abort', '--yes', PATH).text, 'nothing is pending')
    rotation.trouble('set', 'exit 1')
    same(agent.run('rotate', PATH).status, 1)
    has(agent.do('rotate', '--abort', '--dry-run', PATH).text, 'version 2', 'would be dropped')
    has(agent.do('rotate', '--abort', '--yes', PATH).text, 'version 2', 'is dropped')
    rotation.steps()
    same(agent.do('rotate', PATH).text, PATH + ': version 3\n')
    same(rotation.steps(), list(STEPS))


@test
def a_dry_run_stores_nothing_and_runs_no_hook(place):
    rotation = Rotation(place)
    has(rotation.agent.do('rotate', '--dry-run', PATH).text, 'would be rotated')
    same((rotation.steps(), rotation.agent.get(PATH)), ([], b'old'))


@test
def hooks_that_are_missing_or_not_to_be_trusted_are_refused(place):
    rotation = Rotation(place)
    agent = rotation.agent
    agent.set('prod/bare', b'x')
    result = agent.run('rotate', 'prod/bare')
    same(result.status, 78)
    has(result.err, 'no hook', 'mortise meta --hook=')
    plain = place.file('plain', '#!/bin/sh\n', 0o644)
    shared = place.directory('shared', 0o777)
    for hook, why in ((place('absent'), 'No such file'), (plain, 'not an executable'),
                      (rotation.directory, 'not an executable'),
                      (place.file('shared/hook', '#!/bin/sh\n', 0o755), 'by others'),
                      (place.file('open', '#!/bin/sh\n', 0o757), 'by others')):
        meta(agent, PATH, hook=hook)
        result = agent.run('rotate', PATH)
        same(result.status, 78, hook)
        has(result.err, hook, why)
    link = place('shared/link')
    os.symlink(rotation.hook, link)
    meta(agent, PATH, hook=link)
    same(agent.run('rotate', PATH).status, 78)
    same((shared != '', agent.get(PATH), rotation.steps()), (True, b'old', []))
    bad = place.file('bad', '#!/nowhere/sh\n', 0o755)
    meta(agent, PATH, hook=bad)
    result = agent.run('rotate', PATH)
    same(result.status, 1)
    has(result.err, 'step create failed', 'No such file')


@test(root=True)
def a_hook_of_another_user_is_not_run(place):
    rotation = Rotation(place)
    os.chown(rotation.hook, 34, 34)
    result = rotation.agent.run('rotate', PATH)
    same(result.status, 78)
    has(result.err, 'by others')


@test(root=True)
def who_may_not_rotate_is_denied_and_who_may_only_rotate_never_sees_the_current_value(place):
    rotation = Rotation(place)
    agent = rotation.agent
    os.chmod(rotation.directory, 0o1777)
    for name in ('target', 'steps'):
        rotation.write(name, '')
        os.chmod(rotation.file(name), 0o666)
    hooks = place.directory('quiet')
    quiet = place.file('quiet/hook', '#!/bin/sh\n[ -z "${MORTISE_CURRENT_FD:-}" ]\n', 0o755)
    same(hooks in quiet, True)
    meta(agent, PATH, hook=quiet)
    result = agent.run('rotate', PATH, user=ALICE)
    same(result.status, 77)
    has(result.err, 'denied, or no such secret for you')
    due = agent.run('rotate', '--due', user=ALICE)
    same((due.status, due.text), (0, ''))
    has(due.err, 'no secret that you may list', 'allow = list rotate')
    absent = agent.run('rotate', 'prod/absent', user=ALICE)
    same((absent.status, absent.err.replace('prod/absent', PATH)), (77, result.err))
    agent.apply('[rule a]\nallow = read list write delete\nsecret = **\nuser = %s\n' % ALICE)
    same(agent.run('rotate', PATH, user=ALICE).status, 77)
    agent.apply('[rule a]\nallow = rotate\nsecret = %s\nuser = %s\n' % (PATH, ALICE))
    same(agent.do('rotate', PATH, user=ALICE).text, PATH + ': version 2\n')
    same(agent.run('get', PATH, user=ALICE).status, 77)
    same([line for line in records(agent, 'get') if line[1] == 'ok'], [])


@test
def wrong_turns(place):
    rotation = Rotation(place)
    agent = rotation.agent
    for arguments in ((), ('--due', PATH), ('--due', '--abort'), ('a', 'b'),
                      ('--abort', '--generate=uuid', PATH)):
        same(agent.run('rotate', *arguments).status, 64, arguments)
    same(agent.run('rotate', 'prod/absent').status, 66)
    agent.do('delete', '--yes', PATH)
    same(agent.run('rotate', PATH).status, 66)
    agent.do('seal', '--yes')
    same(agent.run('rotate', PATH).status, 75)
    agent.stop()
    same(agent.run('rotate', PATH).status, 69)


@test
def a_seal_during_a_hook_keeps_the_current_value_and_a_later_run_goes_on(place):
    rotation = Rotation(place)
    agent = rotation.agent
    gate = place('hooks/gate')
    os.mkfifo(gate)
    rotation.trouble('finish', 'read line <gate')
    process = agent.popen('rotate', '--wait=60', PATH)
    with open(gate, 'w') as file:
        agent.do('seal', '--yes')
        file.write('go\n')
    agent.do('unseal')
    same(process.communicate(timeout=60)[0], (PATH + ': version 2\n').encode())
    same(agent.get(PATH), rotation.target())


@test
def a_signal_during_a_hook_reaches_it_and_the_current_value_stays(place):
    rotation = Rotation(place)
    agent = rotation.agent
    rotation.trouble('set', 'trap "exit 9" TERM; echo up >up; while :; do sleep 0.05; done')
    process = agent.popen('rotate', PATH)
    until(lambda: rotation.read('up'))
    process.terminate()
    _, err = process.communicate(timeout=30)
    same(process.returncode, -signal.SIGTERM)
    has(err.decode(), 'step set', 'still the current one', 'stays pending')
    same(agent.get(PATH), b'old')
    rotation.steps()
    agent.do('rotate', PATH)
    same(rotation.steps(), ['set', 'test', 'finish'])
    same(agent.get(PATH), rotation.target())


@test
def sigkill_of_the_agent_at_each_step_and_the_rotation_goes_through(place):
    rotation = Rotation(place)
    agent = rotation.agent
    for step in STEPS:
        before = agent.get(PATH)
        rotation.trouble(step, 'kill -9 %d' % agent.keeper())
        agent.do('rotate', PATH)
        same(agent.get(PATH, '--wait=60'), rotation.target(), step)
        same(agent.get(PATH, '--label=previous'), before, step)
    same(agent.do('verify').status, 0)
    same(agent.do('audit', 'verify').status, 0)


@test
def sigkill_of_mortise_at_each_step_and_the_next_run_resumes(place):
    rotation = Rotation(place)
    agent = rotation.agent
    for step in STEPS:
        before = agent.get(PATH)
        rotation.trouble(step, 'kill -9 $PPID; exit 1')
        process = agent.popen('rotate', PATH)
        process.communicate(timeout=30)
        same(process.returncode, -signal.SIGKILL, step)
        same(agent.get(PATH), before, step)
        rotation.steps()
        agent.do('rotate', PATH)
        same(rotation.steps(), list(STEPS) if step == 'create' else ['set', 'test', 'finish'])
        same(agent.get(PATH), rotation.target(), step)


@test
def sigkill_of_the_agent_at_any_moment_leaves_a_current_value_that_is_the_old_or_the_new(place):
    rotation = Rotation(place)
    agent = rotation.agent
    seed = int(os.environ.get('MORTISE_TEST_SEED', random.randrange(1 << 30)))
    source = random.Random(seed)
    print('# seed %d' % seed)
    for _ in range(ROUNDS):
        before = agent.get(PATH, '--wait=60')
        delay, victim = source.random() * 0.15, agent.keeper()
        child = os.fork()
        if child == 0:
            time.sleep(delay)
            os.kill(victim, signal.SIGKILL)
            os._exit(0)
        first = agent.run('rotate', '--wait=60', PATH)
        os.waitpid(child, 0)
        agent.do('status', '--wait=60')
        value = agent.get(PATH, '--wait=60')
        if first.status == 0:
            same(value, rotation.target())
        else:
            same(value in (before, rotation.target()), True)
            agent.do('rotate', '--wait=60', PATH)
            same(agent.get(PATH, '--wait=60'), rotation.target())
    same(agent.do('verify', '--wait=60').status, 0)


@test
def what_is_due_is_rotated_and_a_failure_does_not_stop_the_rest(place):
    rotation = Rotation(place)
    agent = rotation.agent
    failing = place.file('hooks/failing', '#!/bin/sh\n[ "$1" != test ]\n', 0o755)
    passing = place.file('hooks/passing', '#!/bin/sh\nexit 0\n', 0o755)
    same((agent.do('rotate', '--due').text, rotation.steps()), ('', []))
    for name in 'abcd':
        agent.set('prod/' + name, b'x')
    meta(agent, 'prod/a', hook=failing, max_age=1)
    meta(agent, 'prod/b', hook=passing, max_age=1)
    meta(agent, 'prod/c', max_age=1)
    meta(agent, 'prod/d', hook=passing, max_age=86400)
    until(lambda: (lambda said: 'prod/a' in said.text and 'prod/b' in said.text and
                   'without a hook: 1' in said.err)(agent.do('rotate', '--due', '--dry-run')))
    result = agent.run('rotate', '--due', '--json')
    same(result.status, 1)
    found = result.json()
    same([item['path'] for item in found['rotated']], ['prod/b'])
    same([(item['path'], item['step']) for item in found['failed']], [('prod/a', 'test')])
    has(result.err, 'prod/a: step test', 'without a hook: 1')
    for name, value in (('a', True), ('b', False), ('c', True), ('d', True)):
        same(agent.get('prod/' + name) == b'x', value, name)
    meta(agent, 'prod/a', hook=passing)
    until(lambda: agent.do('rotate', '--due').text.count('prod/a') == 1)


def postgres(place):
    """The environment that reaches a PostgreSQL of the test's own, with the role shop."""
    path = ':'.join([os.environ['PATH'], *glob.glob('/usr/lib/postgresql/*/bin')])  # Debian's
    if not shutil.which('initdb', path=path) or not shutil.which('psql'):
        raise tap.Skip('no PostgreSQL here')
    user = pwd.getpwnam(AGENT_USER if os.geteuid() == 0 else getpass.getuser())
    data, sockets = place.directory('data', 0o700), place.directory('sockets', 0o777)
    os.chown(data, user.pw_uid, user.pw_gid)
    options = {'cwd': '/', 'stdout': subprocess.DEVNULL, 'stderr': subprocess.DEVNULL}
    if os.geteuid() == 0:
        options.update(user=user.pw_uid, group=user.pw_gid, extra_groups=[])
    subprocess.run([shutil.which('initdb', path=path), '-D', data, '-U', 'postgres', '--auth-local=trust', '--no-sync',
                    '--auth-host=scram-sha-256'], check=True, **options)
    with socket.socket() as free:
        free.bind(('127.0.0.1', 0))
        port = str(free.getsockname()[1])
    server = subprocess.Popen([shutil.which('postgres', path=path), '-D', data, '-k', sockets, '-h', '127.0.0.1', '-p', port,
                               '-F'], **options)
    place.callback(end_process, server)
    env = {'PATH': os.environ['PATH'], 'PGHOST': sockets, 'PGPORT': port, 'HOST': '127.0.0.1',
           'DATABASE': 'postgres'}

    def answers():
        return subprocess.run(['psql', '-qX', '-U', 'postgres', '-c', 'CREATE ROLE shop LOGIN'],
                              env=env, capture_output=True).returncode == 0
    until(answers, 60)
    return env


@test
def the_sample_hook_rotates_a_password_of_postgresql(place):
    env = postgres(place)
    agent = place.ready()
    source = CHECKOUT + '/dist/hooks'
    with open(source + '/postgres-password', 'rb') as file:
        hook = place.file('postgres-password', file.read(), 0o755)
    agent.set(PATH, b'never worked')
    meta(agent, PATH, hook=hook)

    def logs_in(password):
        return subprocess.run(
            ['psql', '-qX', '-w', '-h', '127.0.0.1', '-U', 'shop', '-d', 'postgres', '-c',
             'SELECT 1'], env={**env, 'PGPASSWORD': password.decode()},
            capture_output=True).returncode == 0
    for version in (2, 3):
        same(agent.do('rotate', PATH, env=env).text, PATH + ': version %d\n' % version)
        same((logs_in(agent.get(PATH)), logs_in(agent.get(PATH, '--label=previous'))),
             (True, False))
    broken = agent.run('rotate', '--generate=password:32', PATH, env=env)
    same(broken.status, 1)
    has(broken.err, 'step set failed', 'letters and digits only')
    same(logs_in(agent.get(PATH)), True)


if __name__ == '__main__':
    tap.main()
