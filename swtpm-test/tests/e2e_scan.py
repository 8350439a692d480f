#!/usr/bin/env python3
# SPDX-License-Identifier: ISC
"""Generated values, and stored values found where other programs have left them."""

import base64
import contextlib
import json
import os
import pty
import random
import re
import string
import subprocess
import time
import urllib.parse

import tap
import wire
from agent import ALICE
from rooms import CHECKOUT
from tap import has, same, test

PASSWORD = 'pA5s/w0rd?~~~of "the" d\\atabase €'
KEY = 'k9XwT2mQ7vB4nL6z'
OLD = 'what-it-was-until-march'


def shell(command, **variables):
    """What another program makes of it, and where."""
    return subprocess.run(['sh', '-ec', command], check=True, capture_output=True,
                          env={'PATH': '/usr/bin:/bin', 'LC_ALL': 'C.UTF-8', **variables}).stdout


def stored(place):
    agent = place.ready()
    agent.set('prod/db/password', PASSWORD.encode())
    agent.set('prod/api/key', OLD.encode())
    agent.set('prod/api/key', KEY.encode())
    return agent


def scan(agent, *words, status=1, **options):
    """What --json says; no value may be in it, nor in what a person is told."""
    told = agent.run('scan', '--json', *words, **options)
    same((told.status, told.err), (status, ''), words)
    spoken = agent.run('scan', *words, **options)
    same(spoken.status, status, words)
    for value in (PASSWORD, KEY, OLD):
        assert value not in told.text + spoken.text + spoken.err, 'a value is shown'
    result = told.json()
    assert len(result['findings']) == sum(
        re.search(r':\d+: byte \d+: ', line) is not None for line in spoken.text.splitlines())
    return result


def one(result):
    same(len(result['findings']), 1, result)
    return result['findings'][0]


def content(path, opener=open):
    with opener(path, 'rb') as file:
        return file.read()


# --- generate

@test
def a_generated_value_is_stored_and_shown_to_nobody(place):
    agent = place.ready()
    result = agent.do('set', '--generate=password:32', 'prod/db/password')
    value = agent.get('prod/db/password').decode()
    same(len(value), 32)
    same(result.text, 'prod/db/password: version 1\n')
    has(result.err, 'generated 32 characters, 207 bits')
    assert value not in result.text + result.err + agent.log()
    told = agent.do('set', '--generate=uuid', '--json', 'prod/db/password').json()
    same((told['version'], told['bits']), (2, 122))
    assert 'value' not in told, told


@test
def show_prints_the_generated_value_alone(place):
    agent = place.ready()
    result = agent.do('set', '--generate=words:6', '--show', 'prod/phrase')
    same(result.out, agent.get('prod/phrase') + b'\n')
    assert re.fullmatch('([a-z]{5}-){5}[a-z]{5}\n', result.text), result
    has(result.err, 'version 1')
    told = agent.do('set', '-g', 'hex:32', '--show', '--json', 'prod/phrase').json()
    same(told['value'].encode(), agent.get('prod/phrase'))
    same(len(told['value']), 64)


@test
def a_weak_value_or_a_wrong_specification_is_refused_and_nothing_is_set(place):
    agent = place.ready()
    for words, said in ((['-g', 'password:8'], '--allow-weak'), (['-g', 'pwd:8'], 'kinds are'),
                        (['-g', 'password:32,sparkling'], 'no-symbols'), (['--show'], 'go with'),
                        (['-g', 'uuid', '--raw'], 'either --generate or --raw'),
                        (['-g', 'uuid', '--from-file=/etc/passwd'], 'either'),
                        (['-g', 'uuid', '--if-changed'], '--expect-version=0'),
                        (['-g', 'uuid', '--show', '--dry-run'], 'dry run')):
        result = agent.run('set', *words, 'prod/pin')
        same((result.status, result.out), (64, b''), words)
        has(result.err, said)
    same(agent.run('get', 'prod/pin').status, 66)
    same(agent.do('set', '-g', 'uuid', '--dry-run', 'prod/pin').text, 'prod/pin: would be version 1\n')
    same(agent.run('get', 'prod/pin').status, 66)
    agent.do('set', '-g', 'password:6,no-lower,no-upper,no-symbols', '--allow-weak', 'prod/pin')
    assert re.fullmatch(b'[0-9]{6}', agent.get('prod/pin'))
    same(agent.run('set', '-g', 'uuid', '--expect-version=0', 'prod/pin').status, 73)


# --- scan

@test
def a_password_in_source_is_found_at_its_byte(place):
    agent = stored(place)
    tree = place.directory('src')
    shell('printf "#include <db.h>\\n\\nconst char *key = \\"%s\\";\\n" "$KEY" >"$AT/db.c"', KEY=KEY,
          AT=tree)
    found = one(scan(agent, tree))
    same((found['file'], found['line'], found['secret'], found['version'], found['current'],
          found['encoding']), (tree + '/db.c', 3, 'prod/api/key', 2, True, 'as it is'))
    same(content(found['file'])[found['offset']:][:len(KEY)], KEY.encode())


@test
def an_old_version_in_a_crontab_is_found_unless_only_current_ones_are_wanted(place):
    agent = stored(place)
    shell('printf "MAILTO=root\\n5 4 * * * backup API_KEY=%s /usr/bin/backup\\n" "$OLD" >"$AT"',
          OLD=OLD, AT=place('crontab'))
    found = one(scan(agent, place('crontab')))
    same((found['line'], found['secret'], found['version'], found['current']),
         (2, 'prod/api/key', 1, False))
    has(agent.run('scan', place('crontab')).text, ':2: byte ', 'version 1 (not current)')
    scan(agent, '--current', place('crontab'), status=0)
    scan(agent, '--only=prod/db', place('crontab'), status=0)
    one(scan(agent, '--only=prod/api', '--only=prod', place('crontab')))


@test
def what_other_programs_encode_is_found(place):
    agent = stored(place)
    secret = PASSWORD.encode()
    texts = {
        'base64': b'Authorization: Basic ' + base64.b64encode(b'app:' + secret),
        'base64url': b'token=' + next(
            text for text in (base64.urlsafe_b64encode(b'x' * n + secret) for n in range(3))
            if b'_' in text or b'-' in text),
        'hex': b'blob ' + secret.hex().encode() + b' end',
        'HEX': shell('printf %s "$VALUE" | od -An -v -tx1 | tr -d " \\n" | tr a-f A-F',
                     VALUE=PASSWORD),
        'percent': b'GET /?password=' + urllib.parse.quote(PASSWORD, safe='').encode(),
        'form': urllib.parse.urlencode({'p': PASSWORD}).encode(),
        'json': json.dumps({'p': PASSWORD}).encode(),
        'json-utf8': json.dumps({'p': PASSWORD}, ensure_ascii=False).encode(),
        'lines': shell('printf %s "$VALUE" | base64 -w 64', VALUE=PASSWORD),
    }
    for shift in range(3):
        texts['shift %d' % shift] = base64.b64encode(b'x' * shift + secret + b'suffix')
    for name, text in texts.items():
        place.file('text', b'first\n' + text + b'\n')
        found = scan(agent, place('text'))['findings']
        same({(item['secret'], item['line']) for item in found}, {('prod/db/password', 2)}, name)
        encoding = {'HEX': 'hex', 'form': 'percent', 'json-utf8': 'json', 'lines': 'base64'}.get(
            name, name.split()[0].replace('shift', 'base64'))
        has(found[0]['encoding'].lower(), encoding)
        assert b'first\n' + text.split(b'=')[0] <= content(place('text')), name


@test
def a_compressed_log_is_searched_and_so_is_standard_input(place):
    agent = stored(place)
    shell('for i in $(seq 5000); do echo "$i GET /"; done >"$AT"; echo "5001 key=$KEY" >>"$AT"; '
          'cp "$AT" "$AT.copy"; gzip -9 "$AT"', KEY=KEY, AT=place('log'))
    found = one(scan(agent, place('log.gz')))
    plain = content(place('log.copy'))
    same((found['line'], found['unpacked']), (5001, True))
    same(found['offset'], plain.index(KEY.encode()))
    found = one(scan(agent, '-', input=content(place('log.gz'))))
    same((found['file'], found['line'], found['unpacked']), ('-', 5001, True))
    found = one(scan(agent, '-', input=plain))
    same((found['file'], found['line'], found['unpacked']), ('-', 5001, False))
    has(agent.run('scan', '-', input=plain).text, 'standard input:5001: byte ')


@test
def binary_files_and_lines_of_megabytes_are_searched(place):
    agent = stored(place)
    noise = os.urandom(3000000).replace(b'\n', b' ')
    place.file('binary', noise + KEY.encode() + noise + b'\n' + KEY.encode() + b'\xff\x00')
    found = scan(agent, place('binary'))['findings']
    same([(item['line'], item['offset']) for item in found],
         [(1, 3000000), (2, 6000001 + len(KEY))])


def make_history(place):
    """The password comes, goes and comes again elsewhere; the key is in a message only."""
    shell('''git init -q "$AT"; cd "$AT"; git config user.name n; git config user.email n@example.org
        echo hello >README; git add .; git commit -qm one
        mkdir conf; printf 'user=app\\npassword=%s\\n' "$PASSWORD" >conf/db.ini; git add .
        git commit -qm two; git rev-parse HEAD >../introduced
        echo more >>README; git commit -qam 'still there'
        git rm -q conf/db.ini; git commit -qm three
        git checkout -qb side HEAD~3; git commit -q --allow-empty -m "try with $KEY"
        git checkout -q -; git branch -qD side; git gc -q''',
          AT=place('repository'), PASSWORD=PASSWORD, KEY=KEY, HOME=place.path)
    return place('repository')


@test
def a_git_history_is_searched_for_what_was_removed_and_for_messages(place):
    agent = stored(place)
    repository = make_history(place)
    same({item['secret'] for item in scan(agent, repository)['findings']}, {'prod/api/key'},
         'what git keeps uncompressed: the last message and its log')
    has(agent.run('scan', repository).err, '--git=DIR')
    found = {item['secret']: item for item in scan(agent, '--git=' + repository)['findings']}
    password, key = found['prod/db/password'], found['prod/api/key']
    introduced = content(place('introduced')).decode().strip()
    same((password['commit'], password['file'], password['line'], password['git']),
         (introduced, 'conf/db.ini', 2, repository))
    blob = shell('git -C "$AT" show "$WHAT"', AT=repository, WHAT=introduced + ':conf/db.ini',
                 HOME=place.path)
    same(password['offset'], blob.index(PASSWORD.encode()))
    same(key['file'], '')
    has(agent.run('scan', '--git=' + repository).text, '@%s:conf/db.ini:2:' % introduced[:12],
        ':(message):')


@test
def a_hostile_repository_runs_nothing(place):
    agent = stored(place)
    repository = make_history(place)
    place.file('trap', '#!/bin/sh\ntouch %s\n' % place('sprung'), mode=0o755)
    shell('''cd "$AT"; for key in core.fsmonitor core.sshCommand core.gitProxy core.pager \\
            core.alternateRefsCommand remote.origin.uploadpack uploadpack.packObjectsHook \\
            diff.external gpg.program credential.helper; do git config $key "$TRAP"; done
        git config protocol.allow always; git config protocol.ext.allow always
        git config remote.origin.url "ext::$TRAP"; git config remote.origin.promisor true
        git config remote.origin.partialclonefilter blob:none
        git config core.repositoryformatversion 1; git config extensions.partialclone origin
        printf '* filter=trap diff=trap\\n' >.gitattributes; git config filter.trap.smudge "$TRAP"
        for hook in post-checkout reference-transaction fsmonitor-watchman; do
            cp "$TRAP" .git/hooks/$hook; done
        git unpack-objects -q <"$(mv .git/objects/pack/*.pack ..; ls ../*.pack)"
        id=$(GIT_ALLOW_PROTOCOL=none git rev-parse HEAD~1:conf/db.ini)
        rm -f "$SPRUNG" ".git/objects/$(echo "$id" | cut -c1-2)/$(echo "$id" | cut -c3-)"''',
          AT=repository, TRAP=place('trap'), SPRUNG=place('sprung'), HOME=place.path)
    result = agent.run('scan', '--git=' + repository)
    assert not os.path.exists(place('sprung')), 'a command of the repository ran'
    assert result.status in (1, 74), result
    has(result.err, 'cannot read ' + repository)


@test
def what_cannot_be_read_is_74_unless_something_was_found(place):
    agent = stored(place)
    place.file('clean', 'nothing\n')
    result = scan(agent, place('clean'), place('none'), status=74)
    same(result['unreadable'], [{'message': 'No such file or directory', 'file': place('none')}])
    place.file('leak', KEY)
    scan(agent, place('none'), place('leak'), status=1)
    has(agent.run('scan', place('clean'), '--git=' + place.directory('no-history')).err,
        'cannot read', 'not a git repository')
    same(agent.run('scan').status, 64)
    agent.stop()
    same(agent.run('scan', place('clean')).status, 69)


@test
def short_values_and_deleted_secrets_are_left_out_and_counted(place):
    agent = stored(place)
    agent.set('prod/pin', b'1234567')
    agent.set('prod/gone', b'a deleted value')
    agent.do('delete', 'prod/gone')
    place.file('text', '1234567 a deleted value')
    result = scan(agent, place('text'), status=0)
    same((result['too_short'], result['deleted'], result['secrets'], result['values']), (1, 1, 3, 3))
    has(agent.run('scan', place('text')).err, '1 values of less than 8 bytes', '1 deleted secrets')
    same(agent.run('scan', '--only=prod/pin', place('text')).status, 66)


@test(root=True)
def only_what_the_caller_may_read_is_looked_for(place):
    agent = stored(place)
    agent.apply('[rule some]\nallow = list\nsecret = prod/**\nuser = %s\n'
                '[rule key]\nallow = read\nsecret = prod/api/*\nuser = %s\n' % (ALICE, ALICE))
    place.file('text', KEY + ' ' + PASSWORD)
    result = agent.run('scan', '--json', place('text'), user=ALICE).json()
    same([item['secret'] for item in result['findings']], ['prod/api/key'])
    same((result['denied'], result['secrets']), (1, 1))
    has(agent.run('scan', place('text'), user=ALICE).err, '1 secrets that you may not read')
    same(agent.run('scan', '--only=prod/db', place('text'), user=ALICE).status, 77)
    place.file('closed', KEY, mode=0o600)
    same(agent.run('scan', place('closed'), user=ALICE).status, 74)
    lines = agent.do('audit', 'show', '--user=' + ALICE, '--op=get').text
    has(lines, 'prod/api/key v2: ok', 'prod/api/key v1: ok', 'prod/db/password: denied')


@test
def a_thousand_secrets_with_versions_come_over_many_pages_and_requests(place):
    agent = place.ready()
    values = {}
    for number in range(300):
        values['prod/many/%d' % number] = b'value-%d-%s' % (number, os.urandom(9).hex().encode())
    values['prod/large/one'], values['prod/large/two'] = os.urandom(65536), os.urandom(65536)
    for path, value in values.items():
        agent.set(path, value)
    order = sorted(values)
    place.file('text', b''.join(b'\n' + values[path] for path in order))
    # Rather a lot, but each in a line of its own.
    result = agent.run('scan', '--json', place('text')).json()
    same((result['secrets'], result['found']), (302, 302))
    place.file('text', b'\n'.join(base64.b64encode(values[path]) for path in order[:50]))
    same({item['secret'] for item in agent.run('scan', '--json', place('text')).json()['findings']},
         set(order[:50]))


@test
def a_large_log_is_searched_faster_than_grep_does_and_in_little_memory(place):
    bench = CHECKOUT + '/tests/bench/scan'
    said = subprocess.run([bench, '--size=48', '--secrets=100', '--repetitions=1'], timeout=300,
                          stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)
    print(''.join('# %s\n' % line for line in said.stdout.splitlines()), end='')
    same(said.returncode, 0, said.stdout)


@test
def a_sealed_agent_is_75_and_nothing_is_searched(place):
    agent = stored(place)
    agent.do('seal', '--yes')
    result = agent.run('scan', place.file('text', KEY))
    same((result.status, result.out), (75, b''))


@test
def on_a_terminal_the_report_stays_readable(place):
    agent = stored(place)
    ours, theirs = pty.openpty()
    process = agent.popen('scan', place.file('text', KEY), stderr=theirs)
    os.close(theirs)
    out, _ = process.communicate(timeout=60)
    same(process.returncode, 1)
    has(out.decode(), 'prod/api/key version 2')
    has(os.read(ours, 4096).decode(), 'found 1')
    os.close(ours)


@test
def no_value_is_in_what_the_agent_itself_writes(place):
    """After a session with every command that touches values, and its wrong turns."""
    agent = stored(place)
    paths = ['prod/db/password', 'prod/api/key']
    for words in (['set', '-g', 'password:40', 'prod/new'], ['get', *paths, '--json'],
                  ['get', 'prod/api/key', '--version=1'], ['show', paths[0]], ['list', '-r'],
                  ['delete', paths[0]], ['get', paths[0]], ['undelete', paths[0]],
                  ['set', paths[0], PASSWORD], ['get', PASSWORD], ['get', 'prod/none'],
                  ['verify'], ['audit', 'show'], ['audit', 'verify'], ['policy', 'show'],
                  ['status'], ['whoami'], ['seal', '--yes'], ['unseal']):
        agent.run(*words)
    agent.restart()
    agent.do('set', '--wait=60', '-g', 'base64:40', 'prod/after')
    result = scan(agent, agent.path, status=0)
    same(result['values'], 5)
    assert result['texts'] >= 5 and result['bytes'] > 10000, result
    for name in ('/store/store.db', '/log/audit.log', '/stderr'):
        assert os.path.getsize(agent.path + name) > 0, name
    leak = place.file('agent/store/leak', KEY)  # and it would be found there
    one(scan(agent, agent.path))
    os.unlink(leak)  # tests/last/leaks searches what is left


def store_large(agent, count, versions):
    """Values of 4 KiB, which have some 17 forms that begin differently and 45 in all."""
    letters = (string.ascii_letters + string.digits + '+/%! \n').encode()
    connection = wire.connect(agent.socket)
    for number in range(count * versions):
        code, _ = wire.ask(connection, wire.pack(wire.SET, {
            wire.PATH: b'prod/large/s%d' % (number % count), wire.TOKEN: os.urandom(16),
            wire.VALUE: bytes(random.choices(letters, k=4096))}))
        same(code, 0)
    connection.close()


@test
def a_large_value_takes_a_few_kilobytes_of_memory(place):
    agent = place.ready()
    store_large(agent, 1000, 2)
    process = agent.popen('scan', '--json', place.file('log', b'nothing here\n'))
    peak = 0
    while process.poll() is None:
        with contextlib.suppress(OSError), open('/proc/%d/status' % process.pid) as status:
            peak = max([peak] + [int(line.split()[1]) for line in status
                                 if line.startswith('VmHWM:')])
        time.sleep(0.005)
    out, err = process.communicate()
    same((process.returncode, json.loads(out)['values']), (0, 2000), err)
    print('# 2000 values of 4 KiB: at most %.1f MiB' % (peak / 1024))
    assert 4 << 10 < peak < 20 << 10, peak


if __name__ == '__main__':
    tap.main()
