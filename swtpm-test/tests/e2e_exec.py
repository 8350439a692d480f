#!/usr/bin/env python3
# SPDX-License-Identifier: ISC
"""exec and render: commands with secrets, as one types them, and the wrong turns on the way."""

import base64
import fcntl
import json
import os
import pty
import random
import resource
import select
import shutil
import signal
import struct
import subprocess
import sys
import termios
import time
import urllib.parse

import tap
from agent import ALICE
from tap import has, same, test, until

PATH = 'prod/db/password'
VALUE = b'correct/horse "battery" st\xc3\xa4ple'
MARK = b'[mortise:prod/db/password]'
TOLD = 'mortise: values replaced by marks: %d in the output; with --no-mask it stays as it is\n'


def ready(place, **settings):
    agent = place.ready(**settings)
    agent.set(PATH, VALUE)
    return agent


def python(code):
    return [sys.executable, '-c', code]


def read_until(fd, wanted, seconds=15, said=b''):
    """What comes out of fd, after what was said already, until wanted is in it."""
    end = time.monotonic() + seconds
    while wanted not in said:
        readable, _, _ = select.select([fd], [], [], max(0, end - time.monotonic()))
        assert readable, 'waited for %r, and there was %r' % (wanted, said)
        try:
            got = os.read(fd, 65536)
        except OSError:
            got = b''
        assert got, 'waited for %r, and at the end there was %r' % (wanted, said)
        said += got
    return said


@test
def a_command_finds_a_secret_in_its_environment(place):
    agent = ready(place)
    check = 'import os, sys; sys.exit(os.environb[b"PW"] != %r)' % VALUE
    same(agent.run('exec', '-e', 'PW=' + PATH, '--', *python(check)).status, 0)
    same(agent.run('exec', '--no-mask', '-e', 'PW=' + PATH, *python(check)).status, 0)
    result = agent.do('exec', '-e', 'PW=' + PATH, 'printenv', 'PW')
    same((result.out, result.err), (MARK + b'\n', TOLD % 1))


@test
def output_and_errors_are_masked_in_every_encoding(place):
    agent = ready(place)
    text = VALUE.decode()
    forms = [VALUE, *(base64.b64encode(b'x' * n + VALUE) for n in range(3)),
             base64.urlsafe_b64encode(b'xx' + VALUE), VALUE.hex().encode(),
             VALUE.hex().upper().encode(), urllib.parse.quote(text).encode(),
             urllib.parse.quote_plus(text, safe='').encode(),
             json.dumps(text)[1:-1].encode(), json.dumps(text, ensure_ascii=False)[1:-1].encode()]
    said = b''.join(form + b'\n' for form in forms)
    place.file('said', said)
    for stream, name in (('out', 'output'), ('err', 'errors')):
        result = agent.run('exec', '-e', 'PW=' + PATH, '--', 'sh', '-c', 'cat "$1" >&%d; exit 7' % (
            1 if stream == 'out' else 2), 'sh', place('said'))
        same(result.status, 7)
        lines = (result.out + result.err.encode()).split(b'\n')
        same((len(lines), lines[-1]), (len(forms) + 2, b''))
        has(lines[-2].decode(), 'values replaced by marks: %d in the %s;' % (len(forms), name))
        for line, form in zip(lines, forms):
            assert line.count(MARK) == 1 and len(line) <= len(MARK) + 4, (line, form)
            assert VALUE[:6] not in line, line
    same(getattr(agent.do('exec', '--', 'cat', place('said')), 'out'), said)


@test
def a_value_that_comes_in_pieces_is_masked(place):
    agent = ready(place)
    pieces = 'import os, time\nfor byte in os.environb[b"PW"]: os.write(1, bytes([byte]))'
    same(agent.do('exec', '-e', 'PW=' + PATH, *python(pieces)).out, MARK)


@test
def what_is_no_secret_comes_out_at_once(place):
    agent = ready(place)
    process = agent.popen('exec', '-e', 'PW=' + PATH, 'sh', '-c', 'printf "Name: "; read name')
    read_until(process.stdout.fileno(), b'Name: ')
    same(process.communicate(b'zoe\n')[0], b'')
    same(process.returncode, 0)


@test
def any_output_stays_as_it_is_byte_for_byte(place):
    agent = ready(place)
    noise = os.urandom(8 << 20)
    place.file('noise', noise)
    assert agent.do('exec', '-e', 'PW=' + PATH, 'cat', place('noise')).out == noise
    assert agent.do('exec', '-e', 'PW=' + PATH, 'cat', input=noise).out == noise


@test
def output_and_errors_in_one_pipe_keep_their_order(place):
    agent = ready(place)
    order = 'for i in 1 2 3 4 5 6 7 8 9; do echo $i; echo e$i >&2; done'
    process = agent.popen('exec', '-e', 'PW=' + PATH, 'sh', '-c', order, stderr=subprocess.STDOUT)
    same(process.communicate()[0], b''.join(b'%d\ne%d\n' % (i, i) for i in range(1, 10)))


@test
def short_values_are_not_masked_and_that_is_said_once(place):
    agent = ready(place)
    agent.set('prod/pin', b'1234567')
    agent.set('prod/tan', b'7654321')
    result = agent.do('exec', '-e', 'PIN=prod/pin', '-e', 'TAN=prod/tan', '-e', 'PW=' + PATH,
                      '--', 'sh', '-c', 'echo $PIN $TAN')
    same(result.out, b'1234567 7654321\n')
    same(result.err, 'mortise: not masked in the output, being under 8 bytes: prod/pin, prod/tan\n')
    same(agent.do('exec', '--no-mask', '-e', 'PIN=prod/pin', 'true').err, '')


@test
def a_name_is_not_masked_and_a_dump_stays_as_it_is(place):
    agent = ready(place)
    agent.set('d/db-user', b'shopadmin')
    agent.set('d/db-host', b'db1.example.org')
    agent.set('d/db-password', VALUE)
    dump = b'-- on db1.example.org\nALTER TABLE t OWNER TO shopadmin;\n'
    place.file('dump.sql', dump)
    words = ['exec', '--env-from=d/', '--', 'cat', place('dump.sql')]
    result = agent.do(*words)
    same(result.out, dump)
    same(result.err.count('\n'), 1)
    has(result.err, 'not masked in the output, being names and no secrets: d/db-', '--mask=DB_')
    same(agent.do('exec', '--plain=DB_USER,DB_HOST', *words[1:]).err, '')
    result = agent.do('exec', '--mask=DB_USER', '--plain=DB_HOST', *words[1:])
    same(result.out, dump.replace(b'shopadmin', b'[mortise:d/db-user]'))


@test
def a_secret_is_masked_whatever_it_looks_like(place):
    agent = ready(place)
    agent.set('d/db-user', b'shopadmin')
    agent.set('d/db-password', b'shopadmin')  # the worst of all: whoever reads the one has both
    agent.set('d/login', b'k9XwT2mQ7vB4nL6z')
    agent.set('d/token', b'swordfish')
    out = agent.do('exec', '--env-from=d/', 'sh', '-c', 'echo $DB_USER $DB_PASSWORD $LOGIN $TOKEN').text
    same(out, '[mortise:d/db-password] [mortise:d/db-password] [mortise:d/login] [mortise:d/token]\n')
    agent.set('d/pin', b'1234567')
    same(agent.do('exec', '--plain=PIN', '-e', 'PIN=d/pin', 'sh', '-c', 'echo $PIN').err, '')
    for words, part in ((['--mask=NONE'], 'NONE'), (['--plain=TOKEN'], 'TOKEN'),
                        (['--mask=T', '--no-mask'], 'do not go together')):
        result = agent.run('exec', *words, '-e', 'T=d/token', 'touch', place('started'))
        same(result.status, 64, words)
        has(result.err, part)
    assert not os.path.exists(place('started'))


@test
def a_descriptor_holds_every_byte_and_is_sealed(place):
    agent = ready(place)
    key = bytes(range(256)) * 256
    agent.set('prod/tls/key', key)
    check = ('import fcntl, os, sys\n'
             'path = os.environ["KEY"]; value = open(path, "rb").read()\n'
             'fd = int(path.rsplit("/", 1)[1])\n'
             'assert path == "/proc/self/fd/%d" % fd and fd > 2\n'
             'assert value == open(path, "rb").read() == bytes(range(256)) * 256\n'
             'assert fcntl.fcntl(fd, 1034) == 15, fcntl.fcntl(fd, 1034)\n'  # all four seals
             'assert os.readlink(path).startswith("/memfd:")\n'
             'try: os.write(fd, b"x")\n'
             'except PermissionError: sys.exit(9)')
    for options in ([], ['--no-mask']):
        result = agent.run('exec', *options, '--fd', 'KEY=prod/tls/key', *python(check))
        same(result.status, 9, repr(result))
    same(agent.do('exec', '--fd', 'KEY=' + PATH, 'sh', '-c', 'cat $KEY').out, MARK)


@test
def a_field_of_a_json_value_is_exported_and_masked(place):
    agent = ready(place)
    agent.set('prod/api', b'{"user": "anna-anna", "token": "t0k3n-t0k3n"}')
    result = agent.do('exec', '-e', 'TOKEN=prod/api#token', '-e', 'U=prod/api#user', '--',
                      'sh', '-c', 'echo $TOKEN $U')
    same(result.out, b'[mortise:prod/api#token] anna-anna\n')
    has(result.err, 'names and no secrets: prod/api#user; --mask=U masks it')
    same(agent.run('exec', '-e', 'T=prod/api#none', 'true').status, 66)


@test
def a_field_is_what_the_program_that_wrote_the_json_meant(place):
    """By Python, in several styles, and by Node.js where it is installed."""
    agent = ready(place)
    rng = random.Random(1)
    letters = 'ab"\\/\b\f\n\r\t\x01\x7f{}[]:,\u00e4\u20ac\u2028\U0001f600'
    for number in range(12):
        fields = {''.join(rng.choice('abc_-.#') for _ in range(rng.randint(1, 6))): ''.join(
            rng.choice(letters) for _ in range(rng.randint(0, 12))) for _ in range(5)}
        texts = [json.dumps({'list': [1, {'deep': [2.5e-3]}, None], **fields}),
                 json.dumps(fields, ensure_ascii=False, indent='\t'),
                 json.dumps(fields, separators=(',', ':'), sort_keys=True)]
        if shutil.which('node'):
            texts.append(subprocess.run(
                ['node', '-e', 'process.stdout.write(JSON.stringify(JSON.parse('
                 'require("fs").readFileSync(0)), null, 2))'], input=texts[0].encode(),
                stdout=subprocess.PIPE, check=True).stdout.decode())
        for text in texts:
            agent.set('prod/json', text.encode())
            told = agent.do('get', '--json', *('prod/json#' + key for key in fields)).json()
            same([item['value'] for item in told['secrets']] if 'secrets' in told else [
                told['value']], list(fields.values()), text)
    for text in ('{"a": "x", "a": "y"}', '["a"]', '"a"', '{"a": 1}', '{"a": "\\ud800"}', '{"a": "x"',
                 '{"b": "x"}', '\ufeff{"a": "x"}', "{'a': 'x'}"):
        agent.set('prod/json', text.encode())
        result = agent.run('get', 'prod/json#a')
        same((result.status, result.out), (66, b''), text)
        has(result.err, 'JSON', 'without #a')


@test
def an_env_file_has_references_and_other_lines(place):
    agent = ready(place)
    place.file('app.env', 'export DB_PASSWORD="mortise:%s"  # not here\nMODE=a b\n' % PATH)
    check = ('import os; assert os.environb[b"DB_PASSWORD"] == %r; print(os.environ["MODE"])'
             % VALUE)
    env = '--env-file=' + place('app.env')
    same(agent.do('exec', env, *python(check)).out, b'a b\n')
    with open(place('app.env'), 'rb') as file:
        same(agent.do('exec', '--env-file=-', 'printenv', 'MODE', stdin=file).out, b'a b\n')
    place.file('bad.env', 'A=1\nB\n')
    result = agent.run('exec', '--env-file=' + place('bad.env'), 'true')
    same(result.status, 78)
    has(result.err, 'bad.env:2: NAME=VALUE')
    same(agent.run('exec', '--env-file=/no/such', 'true').status, 74)


@test
def a_prefix_gives_all_that_is_right_below_it(place):
    agent = ready(place)
    for name, value in (('db-password', b'first-value'), ('api.key', b'second-value'),
                        ('tls/key', b'too deep')):
        agent.set('prod/app/' + name, value)
    result = agent.do('exec', '--env-from=prod/app/', '--clean-env', 'env')
    lines = result.text.splitlines()
    has(lines, 'DB_PASSWORD=[mortise:prod/app/db-password]', 'API_KEY=[mortise:prod/app/api.key]')
    assert not [line for line in lines if line.startswith(('KEY', 'TLS', 'MORTISE'))], lines
    agent.set('prod/app/db_password', b'third-value')
    result = agent.run('exec', '--env-from=prod/app/', 'true')
    same(result.status, 78)
    has(result.err, 'DB_PASSWORD comes twice')
    agent.set('prod/odd/2fa', b'x')
    has(agent.run('exec', '--env-from=prod/odd/', 'true').err, 'prod/odd/2fa', '-e NAME=')
    same(agent.run('exec', '--env-from=prod/none/', 'true').status, 66)
    same(agent.run('exec', '--env-from=prod/app', 'true').status, 64)


@test
def a_clean_environment_has_little_else(place):
    agent = ready(place)
    result = agent.do('exec', '--clean-env', '-e', 'PW=' + PATH, 'env', env={
        'AWS_KEY': 'x', 'LC_ALL': 'C', 'TERM': 'vt100', 'LISTEN_FDS': '1', 'PW': 'old'})
    same(sorted(result.text.splitlines()), ['LC_ALL=C', 'PATH=/usr/bin:/bin',
         'PW=' + MARK.decode(), 'TERM=vt100'])
    result = agent.do('exec', '-e', 'PW=' + PATH, 'env', env={'AWS_KEY': 'x', 'PW': 'old'})
    has(result.text.splitlines(), 'AWS_KEY=x', 'PW=' + MARK.decode(),
        'MORTISE_SOCKET=' + agent.socket)
    same(result.text.count('PW='), 1)


@test
def all_values_are_there_or_the_command_does_not_start(place):
    agent = ready(place)
    result = agent.run('exec', '-e', 'A=' + PATH, '-e', 'B=prod/none', 'touch', place('started'))
    same(result.status, 66)
    has(result.err, 'prod/none: no such secret')
    agent.do('seal', '--yes')
    same(agent.run('exec', '-e', 'A=' + PATH, 'touch', place('started')).status, 75)
    agent.stop()
    same(agent.run('exec', '-e', 'A=' + PATH, 'touch', place('started')).status, 69)
    assert not os.path.exists(place('started'))


@test
def a_value_with_a_nul_is_no_variable(place):
    agent = ready(place)
    agent.set('prod/bin', b'12345678\x0012345678')
    result = agent.run('exec', '-e', 'A=prod/bin', 'true')
    same(result.status, 78)
    has(result.err, 'prod/bin: has a NUL', '--fd A=prod/bin')
    assert '12345678' not in result.err
    same(agent.run('exec', '--fd', 'A=prod/bin', 'true').status, 0)


@test(root=True)
def who_is_denied_one_secret_gets_none(place):
    agent = ready(place)
    agent.set('prod/db/user', b'the-user-name')
    agent.apply('[rule a]\nallow = read\nsecret = prod/db/user\nuser = %s\n' % ALICE)
    words = ['-e', 'U=prod/db/user', '--plain=U', '--', 'sh', '-c', 'echo $U']
    same(agent.do('exec', *words, user=ALICE).out, b'the-user-name\n')
    result = agent.run('exec', '-e', 'PW=' + PATH, *words, user=ALICE)
    same((result.status, result.out), (77, b''))
    has(result.err, PATH + ': denied, or no such secret for you', '--user=' + ALICE)


@test
def wrong_words_are_refused_before_anything_is_asked(place):
    agent = ready(place)
    for words, part in ((['-e', 'PW'], 'N=PATH'), (['-e', '=' + PATH], 'name'),
                        (['-e', '2A=' + PATH], 'name'), (['--fd', 'A='], 'N=PATH'),
                        (['-e', 'A=' + PATH, '--fd', 'A=' + PATH], 'A comes twice'),
                        (['--evn=A'], 'did you mean --env')):
        result = agent.run('exec', *words, 'true')
        same(result.status, 64, words)
        has(result.err, part)
    has(agent.run('exec', '-e', 'A=' + PATH).err, 'usage: mortise exec')


@test
def a_command_that_cannot_be_run_is_126_or_127(place):
    agent = ready(place)
    plain = place.file('plain', 'x')
    for options in ([], ['--no-mask']):
        result = agent.run('exec', *options, '-e', 'PW=' + PATH, 'no-such-command')
        same(result.status, 127)
        has(result.err, 'mortise: no-such-command: no such command')
        result = agent.run('exec', *options, '-e', 'PW=' + PATH, plain)
        same(result.status, 126)
        has(result.err, 'plain: Permission denied')
        told = agent.run('exec', '--json', *options, 'no-such-command')
        same((told.status, told.json()['status'], told.err), (127, 127, ''))


@test
def the_exit_status_is_the_commands_own(place):
    agent = ready(place)
    for options in ([], ['--no-mask']):
        for status in (0, 1, 64, 75, 255):
            result = agent.run('exec', *options, '-e', 'PW=' + PATH, '--', 'sh', '-c',
                               'exit %d' % status)
            same((result.status, result.err), (status, ''))
    for number in (signal.SIGKILL, signal.SIGSEGV, signal.SIGTERM):
        result = agent.run('exec', '-e', 'PW=' + PATH, 'sh', '-c', 'kill -%d $$' % number)
        same((result.status, result.err), (-number, ''))


@test
def options_behind_the_command_are_its_own(place):
    agent = ready(place)
    same(agent.do('exec', '-e', 'PW=' + PATH, 'echo', '-e', 'A=B', '--json', '--', '--help').out,
         b'A=B --json -- --help\n')


@test
def signals_reach_the_command(place):
    agent = ready(place)
    for name in ('TERM', 'INT', 'HUP', 'QUIT', 'USR1', 'USR2'):
        process = agent.popen('exec', '-e', 'PW=' + PATH, '--', *python(
            'import os, signal\n'
            'signal.signal(signal.SIG%s, lambda *_: (os.write(1, b"got it"), os._exit(42)))\n'
            'os.write(1, b"ready\\n")\nwhile True: signal.sigtimedwait([signal.SIGPOLL], 0.05)' % name))
        read_until(process.stdout.fileno(), b'ready\n')
        process.send_signal(getattr(signal, 'SIG' + name))
        out, _ = process.communicate(timeout=15)
        same((out, process.returncode), (b'got it', 42), name)


@test
def with_no_mask_it_becomes_the_command(place):
    agent = ready(place)
    process = agent.popen('exec', '--no-mask', '-e', 'PW=' + PATH, 'sh', '-c',
                          'echo $$ $LISTEN_PID; echo "$PW"; kill -TERM $$',
                          env={'LISTEN_PID': '7', 'LISTEN_FDS': '1'})
    out, err = process.communicate(timeout=15)
    same(out, b'%d 7\n%s\n' % (process.pid, VALUE))
    same((process.returncode, err), (-signal.SIGTERM, b''))


@test
def limits_of_cores_are_the_commands_own(place):
    agent = ready(place)

    def limit():
        resource.setrlimit(resource.RLIMIT_CORE, (4096, 8192))
    for options in ([], ['--no-mask']):
        result = agent.do('exec', *options, '-e', 'PW=' + PATH, '--', *python(
            'import resource; print(resource.getrlimit(resource.RLIMIT_CORE))'), preexec_fn=limit)
        same(result.out, b'(4096, 8192)\n')


@test(root=True)  # nobody else may look into a process that has secrets
def no_secret_is_in_an_argument_or_in_mortises_environment(place):
    agent = ready(place)
    process = agent.popen('exec', '-e', 'PW=' + PATH, 'sh', '-c', 'echo ready; read x')
    read_until(process.stdout.fileno(), b'ready')
    for name in ('cmdline', 'environ'):
        said = in_proc(process.pid, name)
        assert VALUE not in said, said
    children = in_proc(process.pid, 'task/%d/children' % process.pid).split()
    lines = {int(pid): in_proc(int(pid), 'cmdline') for pid in children}
    child, = (pid for pid, line in lines.items() if line.startswith(b'sh\0'))
    assert VALUE in in_proc(child, 'environ') and VALUE not in b''.join(lines.values())
    links = [os.readlink('/proc/%d/fd/%s' % (process.pid, fd))
             for fd in os.listdir('/proc/%d/fd' % process.pid)]
    # None is to the agent: the one there is goes to the process that sees signals to the group.
    same(len([link for link in links if 'socket:' in link]), 1, links)
    process.communicate(b'\n')


def in_proc(pid, name):
    with open('/proc/%d/%s' % (pid, name), 'rb') as file:
        return file.read()


@test
def an_agent_that_goes_half_way_does_not_matter_to_the_command(place):
    agent = ready(place)
    process = agent.popen('exec', '-e', 'PW=' + PATH, 'sh', '-c', 'echo ready; read x; echo $PW')
    read_until(process.stdout.fileno(), b'ready\n')
    agent.kill()
    out, err = process.communicate(b'\n', timeout=15)
    same((process.returncode, out, err.decode()), (0, MARK + b'\n', TOLD % 1))


@test
def it_waits_for_an_agent_that_is_not_there_yet(place):
    agent = ready(place)
    agent.stop()
    process = agent.popen('exec', '--wait=60', '-e', 'PW=' + PATH, 'echo', 'done')
    until(lambda: in_proc(process.pid, 'syscall') if process.poll() is None else True)
    agent.start()
    out, err = process.communicate(timeout=60)
    same((process.returncode, out, err), (0, b'done\n', b''))


@test
def a_reader_sees_the_end_when_the_command_closes_its_output(place):
    agent = ready(place)
    process = agent.popen('exec', '-e', 'PW=' + PATH, 'sh', '-c',
                          'echo "$PW"; exec >&-; read x; exit 3')
    same(process.stdout.read(), MARK + b'\n')  # up to the end, while the command still runs
    same(process.poll(), None)
    process.communicate(b'\n')
    same(process.returncode, 3)


@test
def a_command_whose_reader_is_gone_notices(place):
    agent = ready(place)
    process = agent.popen('exec', '-e', 'PW=' + PATH, 'yes')
    process.stdout.read(100)
    process.stdout.close()
    same(process.wait(15), -signal.SIGPIPE)
    process.stderr.close()


@test
def output_that_cannot_be_written_is_no_success(place):
    agent = ready(place)
    with open('/dev/full', 'wb') as full:
        result = agent.run('exec', '-e', 'PW=' + PATH, 'echo', 'x', stdout=full)
    same(result.status, 74)
    has(result.err, 'No space left on device')


@test
def a_process_that_keeps_the_output_open_keeps_nobody_waiting(place):
    agent = ready(place)
    fifo = place('go')
    os.mkfifo(fifo)
    process = agent.popen('exec', '-e', 'PW=' + PATH, 'sh', '-c',
                          '(read x <%s; echo "late $PW") & echo early; exit 5' % fifo)
    same(process.wait(15), 5)
    same(os.read(process.stdout.fileno(), 100), b'early\n')
    with open(fifo, 'w') as go:
        go.write('\n')
    same(process.stdout.read(), b'late ' + MARK + b'\n')  # what comes later is masked too
    process.stderr.close()


@test
def what_is_closed_stays_closed(place):
    agent = ready(place)
    command = ('exec "$@" >&- 2>&-', 'sh', agent.prefix + '/bin/mortise', 'exec', '--fd',
               'K=' + PATH, *python('import os, sys\n'
                                    'for fd in 1, 2:\n'
                                    '  try: os.fstat(fd); sys.exit(9)\n'
                                    '  except OSError: pass\n'
                                    'sys.exit(open(os.environ["K"], "rb").read() != %r)' % VALUE))
    for words in (command, command[:3] + ('exec', '--no-mask') + command[4:]):
        done = subprocess.run(['sh', '-c', *words], check=False,
                              env={'PATH': '/usr/bin:/bin', 'MORTISE_SOCKET': agent.socket})
        same(done.returncode, 0)


@test
def a_value_does_not_go_to_the_agent_where_output_is_closed(place):
    agent = ready(place)
    done = subprocess.run(['sh', '-c', 'exec "$1" get %s >&-' % PATH, 'sh',
                           agent.prefix + '/bin/mortise'], check=False, capture_output=True,
                          env={'PATH': '/usr/bin:/bin', 'MORTISE_SOCKET': agent.socket})
    same(done.returncode, 74, repr(done))


# --- On a terminal

class Terminal:
    """A process with a terminal of its own."""

    def __init__(self, agent, *command, size=(24, 80)):
        self.heard = b''
        self.pid, self.fd = pty.fork()
        if self.pid == 0:
            try:
                resize(0, size)
                os.execve(command[0], command, {'PATH': '/usr/bin:/bin', 'TERM': 'dumb', 'PS1': '$ ',
                                                'MORTISE_SOCKET': agent.socket, 'HOME': '/'})
            finally:
                os._exit(99)

    def say(self, text):
        self.heard = b''
        os.write(self.fd, text.encode())

    def hear(self, wanted):
        """What came with the word before, in one piece, counts for the next."""
        said = read_until(self.fd, wanted.encode(), said=self.heard)
        end = said.index(wanted.encode()) + len(wanted.encode())
        self.heard = said[end:]
        return said[:end].decode()

    def end(self):
        _, status = until(lambda: (lambda found: found if found[0] else None)(
            os.waitpid(self.pid, os.WNOHANG)))
        os.close(self.fd)
        return os.waitstatus_to_exitcode(status)


def resize(fd, size):
    fcntl.ioctl(fd, termios.TIOCSWINSZ, struct.pack('HHHH', *size, 0, 0))


def on_terminal(agent, *words, **options):
    return Terminal(agent, agent.prefix + '/bin/mortise', 'exec', '-e', 'PW=' + PATH, *words,
                    **options)


@test
def on_a_terminal_the_command_has_a_terminal_and_is_masked(place):
    agent = ready(place)
    terminal = on_terminal(agent, *python(
        'import os, signal\n'
        'print([os.isatty(fd) for fd in (0, 1, 2)], os.get_terminal_size(1).columns, flush=True)\n'
        'os.write(1, b"a\\n" + os.environb[b"PW"] + b"\\n")\n'
        'print(os.read(os.open("/dev/tty", os.O_RDWR), 10), flush=True)\n'
        # A handler of Python is not run while it waits for keys.
        'signal.pthread_sigmask(signal.SIG_BLOCK, [signal.SIGWINCH])\n'
        'print("go", flush=True)\n'
        'signal.sigwait([signal.SIGWINCH])\n'
        'print("wide", os.get_terminal_size(1).columns, flush=True)\n'
        'input()'), size=(24, 91))
    said = terminal.hear(MARK.decode())
    has(said, '[True, True, True] 91\r\n', 'a\r\n')
    terminal.say('typed\n')
    has(terminal.hear('go'), "b'typed\\n'")
    resize(terminal.fd, (24, 123))
    terminal.hear('wide 123')
    terminal.say('\n')
    same(terminal.end(), 0)


@test
def a_person_sees_a_prompt_that_could_begin_a_value(place):
    agent = ready(place)
    terminal = on_terminal(agent, 'sh', '-c', 'printf "> cor"; read x; printf "rect"; exit 4')
    terminal.hear('> cor')
    terminal.say('\n')
    terminal.hear('rect')
    same(terminal.end(), 4)


@test
def a_full_screen_program_gets_its_keys(place):
    agent = ready(place)
    terminal = on_terminal(agent, *python(
        'import curses\n'
        'screen = curses.initscr(); curses.cbreak(); curses.noecho()\n'
        'screen.addstr("ready"); screen.refresh()\n'
        'key = screen.getch(); curses.endwin(); print("key", key, flush=True)'))
    terminal.hear('ready')
    until(lambda: not termios.tcgetattr(terminal.fd)[3] & (termios.ICANON | termios.ECHO))
    terminal.say('x')
    terminal.hear('key 120')
    until(lambda: termios.tcgetattr(terminal.fd)[3] & (termios.ICANON | termios.ECHO))
    same(terminal.end(), 0)


@test
def control_c_ends_the_command_once(place):
    agent = ready(place)
    terminal = on_terminal(agent, *python(
        'import signal, sys, time\n'
        'count = []\n'
        'signal.signal(signal.SIGINT, lambda *_: count.append(1))\n'
        'print("ready", flush=True)\n'
        'while not count: signal.sigtimedwait([signal.SIGUSR1], 0.05)\n'
        'signal.sigtimedwait([signal.SIGUSR1], 0.3)\n'  # room for a second one
        'print("interrupts:", len(count), flush=True)'))
    terminal.hear('ready')
    terminal.say('\x03')
    terminal.hear('interrupts: 1')
    same(terminal.end(), 0)
    terminal = on_terminal(agent, 'sh', '-c', 'echo ready; exec sleep 60')
    terminal.hear('ready')
    terminal.say('\x03')
    same(terminal.end(), -signal.SIGINT)


@test
def control_z_puts_the_job_aside_and_fg_brings_it_back(place):
    agent = ready(place)
    terminal = Terminal(agent, '/bin/bash', '--norc', '--noprofile', '-i')
    terminal.hear('$ ')
    terminal.say("%s/bin/mortise exec -e PW=%s -- sh -c 'echo rea\"\"dy; read x; echo \"got $x\"; "
                 "exit 6'\n" % (agent.prefix, PATH))
    terminal.hear('ready')
    terminal.say('\x1a')
    terminal.hear('Stopped')
    terminal.say('echo in be""tween\n')
    terminal.hear('in between')
    terminal.say('fg\n')
    terminal.hear('exit 6')
    terminal.say('line\n')
    terminal.hear('got line')
    terminal.hear('$ ')
    terminal.say('echo status $?\n')
    terminal.hear('status 6')
    terminal.say('exit\n')
    same(terminal.end(), 0)


# --- render

TEMPLATE = 'user = app\npassword = "{{ secret "%s" }}"\nliteral {{ "{{" }}\n' % PATH


@test
def a_template_becomes_a_file_for_its_owner_only(place):
    agent = ready(place)
    template, out = place.file('app.conf.in', TEMPLATE), place('app.conf')
    expected = b'user = app\npassword = "%s"\nliteral {{\n' % VALUE
    same(agent.do('render', template).out, expected)
    same(agent.do('render', '-', input=TEMPLATE).out, expected)
    result = agent.do('render', '--out=' + out, template, '--json')
    same(result.json(), {'changed': True, 'secrets': 1})
    with open(out, 'rb') as file:
        same(file.read(), expected)
    same(os.stat(out).st_mode & 0o7777, 0o600)
    same(agent.do('render', '-n', '--json', template).json(), {'changed': False, 'secrets': 1})
    same(agent.run('render', '--json', template).status, 64)


@test
def a_file_stays_as_it_was_unless_all_of_the_template_can_be_had(place):
    agent = ready(place)
    out = place.file('app.conf', 'as it was')
    for status, template, part in (
            (66, TEMPLATE + '{{ secret "prod/none" }}', 'prod/none: no such secret'),
            (78, TEMPLATE + 'x\n{{ sceret "%s" }}' % PATH, "-:5: unknown directive 'sceret'"),
            (78, '{{ secret "%s }}' % PATH, '-:1: a quote is not closed'),
            (64, '{{ secret "no path" }}', 'not a path: 1 to 8 segments')):
        result = agent.run('render', '--out=' + out, '-', input=template)
        same((result.status, result.out), (status, b''), repr(result))
        has(result.err, part)
    agent.stop()
    same(agent.run('render', '--out=' + out, '-', input=TEMPLATE).status, 69)
    with open(out) as file:
        same(file.read(), 'as it was')
    same([name for name in os.listdir(place.path) if name.startswith('app.conf')], ['app.conf'])


@test
def a_full_disk_leaves_the_old_file_and_no_piece_of_the_new_one(place):
    agent = ready(place)
    out = place.file('app.conf', 'as it was')

    def limit():
        resource.setrlimit(resource.RLIMIT_FSIZE, (4096, 4096))
    result = agent.run('render', '--out=' + out, '-', input=TEMPLATE + 'x' * 8192, preexec_fn=limit)
    same(result.status, 74)
    has(result.err, 'cannot write to', 'File too large')
    with open('/dev/full', 'wb') as full:
        same(agent.run('render', '-', input=TEMPLATE, stdout=full).status, 74)
    with open(out) as file:
        same(file.read(), 'as it was')
    same([name for name in os.listdir(place.path) if name.startswith('app.conf')], ['app.conf'])


tap.main()
