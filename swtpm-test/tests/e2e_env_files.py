#!/usr/bin/env python3
# SPDX-License-Identifier: ISC
"""Files of NAME=VALUE: what they are before and after an import, and beside a shell and npm's dotenv.

MORTISE_TEST_FILES is how many are made (1000); MORTISE_TEST_SEED another choice of them.
"""

import concurrent.futures
import json
import os
import random
import re
import subprocess

import env_files
import node
import tap
from agent import ALICE, IS_ROOT
from rooms import CHECKOUT
from tap import has, same, test

COUNT = int(os.environ.get('MORTISE_TEST_FILES', '1000'))
SEED = int(os.environ.get('MORTISE_TEST_SEED', '1'))
PAGE = CHECKOUT + '/docs/env-files.md'
PATHS_MAX = 256


def made(place, count, only=lambda file: True):
    """(name, file) of so many files."""
    rng, found = random.Random(SEED), []
    os.makedirs(place('files'), exist_ok=True)
    for number in range(count):
        file = env_files.make(rng)
        if only(file):
            found.append((place.file('files/%d.env' % number, file.content), file))
    return found


def environment(agent, name):
    """(exit status, bytes of env -0) of a command with such a file, and nothing else."""
    result = agent.run('exec', '--clean-env', '--no-mask', '--env-file=' + name, '--',
                       '/usr/bin/env', '-0', timeout=300)
    return result.status, result.out


def variables(out):
    return dict(line.split(b'=', 1) for line in out.split(b'\0') if line)


def each(work, items):
    """work() for each, two side by side: the first that fails is told."""
    with concurrent.futures.ThreadPoolExecutor(2) as pool:
        return list(pool.map(work, items))


# --- import

def check_import(agent, number, name, file):
    before = environment(agent, name)
    if file.is_refused:
        same(before[0], 78, name)
    else:
        same(before[0], 0, name)
        found = variables(before[1])
        for entry in file.entries:
            same(found[entry.name.encode()], entry.value, '%s: %s' % (name, entry.name))
    told = agent.run('import', '--rewrite', '--yes', name, 'prod/f%d' % number, timeout=300)
    with open(name, 'rb') as rewritten:
        content = rewritten.read()
    if file.is_refused or not file.entries:
        same(told.status, 78 if file.is_refused else 64, name + told.err)
        same(content, file.content)
    else:
        same(told.status, 0, name + told.err)
        same(content.count(b'mortise:prod/f%d/' % number), len(file.entries), name)
    same(environment(agent, name), before, name)


@test
def a_thousand_files_give_the_same_environment_before_and_after_an_import(place):
    agent = place.ready()
    files = made(place, COUNT)
    each(lambda item: check_import(agent, item[0], *item[1]), enumerate(files))
    largest = max(len(file.entries) for _, file in files)
    print('# %d files, %d of them refused, %d variables; up to %d in one' % (
        len(files), sum(file.is_refused for _, file in files),
        sum(len(file.entries) for _, file in files), largest))
    assert COUNT < 1000 or largest == PATHS_MAX, largest


@test
def what_stands_behind_a_value_never_becomes_part_of_its_reference(place):
    agent = place.ready()
    for number, (line, value) in enumerate((
            ('KEY="v"#note', 'v'), ("KEY='v'#note", 'v'), ('KEY= # note', ''), ('KEY=\t#note', ''),
            ('KEY=""#note', ''), ('KEY=v # note', 'v'), ('KEY="a#b" #c', 'a#b'), ('KEY=a#b', 'a#b'),
            ('KEY=#b', '#b'), ('KEY= "v" ', 'v'), ('KEY="v"#note\r', 'v'))):
        name = place.file('app.env', line + '\nLAST=x')
        agent.do('import', '--rewrite', '--only=KEY', name, 'prod/a%d' % number)
        same(agent.get('prod/a%d/key' % number).decode(), value, line)
        out = agent.do('exec', '--no-mask', '--env-file=' + name, 'sh', '-c',
                       'printf "%s|%s" "$KEY" "$LAST"').text
        same(out, value + '|x', line)


@test
def what_cannot_be_rewritten_is_not_stored(place):
    agent = place.ready()
    os.mkfifo(place('fifo'))
    writer = subprocess.Popen(['sh', '-c', 'echo A=value >"$1"', 'sh', place('fifo')])
    result = agent.run('import', '--rewrite', place('fifo'), 'prod/app')
    writer.wait()
    same(result.status, 64)
    has(result.err, 'no regular file', '--rewrite')
    name = place.file('many.env', ''.join('N%d=\n' % i for i in range(256)) + '#' * 30000)
    result = agent.run('import', '--rewrite', name, 'prod/' + 'x' * 200)
    same(result.status, 64)
    has(result.err, 'larger than 65536 bytes')
    same(agent.do('list', '-r').text, '')
    agent.do('import', '--rewrite', name, 'prod/app')


@test
def a_name_that_does_not_come_back_is_said(place):
    agent = place.ready()
    name = place.file('app.env', 'http_proxy=http://proxy:3128\nDB_PASSWORD=12345678\nnoProxy=x\n')
    told = agent.do('import', name, 'prod/app')
    has(told.err, 'http_proxy as HTTP_PROXY, noProxy as NOPROXY',
        'exec -e http_proxy=prod/app/http-proxy')
    assert 'DB_PASSWORD' not in told.err, told.err
    same([line['env_from'] for line in agent.do('import', '--json', name, 'prod/app').json()[
        'secrets']], ['HTTP_PROXY', 'DB_PASSWORD', 'NOPROXY'])
    out = variables(agent.do('exec', '--no-mask', '--clean-env', '--env-from=prod/app/', 'env',
                             '-0').out)
    assert b'HTTP_PROXY' in out and b'http_proxy' not in out, out
    same(agent.do('exec', '--no-mask', '-e', 'http_proxy=prod/app/http-proxy', 'printenv',
                  'http_proxy').text, 'http://proxy:3128\n')
    same(agent.do('import', '--rewrite', name, 'prod/app').err.count('HTTP_PROXY'), 0)
    assert b'http_proxy' in variables(environment(agent, name)[1])


# --- As many as can be imported can be used

@test
def all_that_one_import_stores_is_had_at_once(place):
    agent = place.ready()
    values = {'N%d' % i: 'value %d' % i for i in range(PATHS_MAX)}
    name = place.file('app.env', ''.join('%s="%s"\n' % pair for pair in values.items()))
    agent.do('import', '--rewrite', name, 'prod/app')
    for options in (['--env-file=' + name], ['--env-from=prod/app/'],
                    [word for key in values for word in ('-e', '%s=prod/app/%s' % (key, key.lower()))]):
        out = agent.do('exec', '--clean-env', '--no-mask', *options, 'env', '-0').out
        found = {key.decode(): value.decode() for key, value in variables(out).items()}
        same({key: found.get(key) for key in values}, values)
    masked = agent.do('exec', '--env-file=' + name, 'env').text
    same(masked.count('[mortise:prod/app/n'), sum(len(value) >= 8 for value in values.values()))
    place.file('app.env', ''.join('N%d=x\n' % i for i in range(PATHS_MAX + 1)))
    has(agent.run('import', place('app.env'), 'prod/more').err, 'at most 256')
    agent.set('prod/app/one-more', b'x')
    result = agent.run('exec', '--env-from=prod/app/', 'true')
    same(result.status, 64)
    has(result.err, 'at most 256 paths in one exec')


@test
def they_are_of_one_moment(place):
    """Two secrets that change together, by one import, never differ in one exec."""
    agent = place.ready()
    names = ['N%d' % i for i in range(PATHS_MAX)]
    place.file('app.env', ''.join('%s=round-0\n' % name for name in names))
    agent.do('import', place('app.env'), 'prod/app')
    writer = subprocess.Popen(
        ['sh', '-c', 'i=0; while :; do i=$((i + 1)); sed "s/=.*/=round-$i/" "$1" |'
         ' "$2" import - prod/app >/dev/null || exit; done', 'sh', place('app.env'),
         agent.prefix + '/bin/mortise'], env={'PATH': '/usr/bin:/bin', 'MORTISE_SOCKET': agent.socket})
    try:
        seen = set()
        while len(seen) < 5:
            out = agent.do('exec', '--clean-env', '--no-mask', '--env-from=prod/app/', 'env', '-0').out
            rounds = {value for key, value in variables(out).items() if key[:1] == b'N'}
            same(len(rounds), 1, 'values of several moments')
            seen |= rounds
    finally:
        writer.terminate()
        writer.wait()


@test
def values_that_fit_no_reply_are_refused_before_the_command_starts(place):
    agent = place.ready()
    for name in ('a', 'b', 'c'):
        agent.set('prod/' + name, os.urandom(60000).replace(b'\0', b'x'))
    words = ['--fd', 'A=prod/a', '--fd', 'B=prod/b']
    same(agent.run('exec', *words, 'true').status, 0)
    result = agent.run('exec', *words, '--fd', 'C=prod/c', 'touch', place('started'))
    same(result.status, 64)
    has(result.err, '3 values are larger than one answer may be (131072 bytes)', 'fewer')
    assert not os.path.exists(place('started'))
    agent.do('exec', *words, agent.prefix + '/bin/mortise', 'exec', '--fd', 'C=prod/c', '--',
             'sh', '-c', 'cat $A $B $C >/dev/null')


# --- Beside others

SHELLS = ('dash', 'bash')
SHELL_SCRIPT = 'set -a; . "$1"; exec /usr/bin/env -0'


def by_shell(place, shell, name):
    """What a shell makes of it: variables; None if it can make nothing. Nothing of it is a command."""
    options = {}
    if IS_ROOT:
        options = {'user': ALICE, 'group': ALICE, 'extra_groups': []}
    done = subprocess.run(['/bin/' + shell, '-c', SHELL_SCRIPT, shell, name], cwd=place('scratch'),
                          env={'PATH': '/nonexistent', 'LC_ALL': 'C.UTF-8'}, capture_output=True,
                          timeout=60, **options)
    return variables(done.stdout) if done.returncode == 0 else None


DOTENV = '''
const dotenv = require('dotenv'), fs = require('fs'), found = []
for (const name of JSON.parse(fs.readFileSync(0)))
    found.push(dotenv.parse(fs.readFileSync(name)))
process.stdout.write(JSON.stringify(found))'''


def by_dotenv(names):
    return json.loads(node.run(DOTENV, input=json.dumps(names).encode()))


def scratch(place):
    os.chmod(place.directory('scratch'), 0o777)


@test
def a_shell_reads_the_same_where_no_listed_difference_stands(place):
    scratch(place)
    files = made(place, COUNT, lambda file: not file.is_refused and not file.shell_reasons())
    assert len(files) >= COUNT // 5, len(files)
    for shell in SHELLS:
        for (name, file), found in zip(files, each(
                lambda item, shell=shell: by_shell(place, shell, item[0]), files)):
            assert found is not None, '%s cannot read %s' % (shell, name)
            for entry in file.entries:
                same(found.get(entry.name.encode()), entry.value, '%s, %s: %s' % (
                    shell, name, entry.name))
    print('# %d files, %d variables, in %s' % (
        len(files), sum(len(file.entries) for _, file in files), ' and '.join(SHELLS)))


@test
def dotenv_reads_the_same_where_no_listed_difference_stands(place):
    files = made(place, COUNT, lambda file: not file.is_refused)
    compared = 0
    for (name, file), found in zip(files, by_dotenv([name for name, _ in files])):
        for entry in file.entries:
            if 'backslash-before-quote' in entry.dotenv:
                break  # it may take lines below for a part of this value
            if not entry.dotenv:
                same(found.get(entry.name), entry.value.decode(), '%s: %s' % (name, entry.name))
                compared += 1
    print('# %d files, %d variables' % (len(files), compared))
    assert compared >= COUNT


# --- The tables of docs/env-files.md

SIGNS = {'␍': b'\r', '␊': b'\n', '␉': b'\t', '␠': b' ', '⍽': '\u00a0'.encode()}


def cell(text):
    """The bytes of a cell `...`, in which ⟨ff⟩ is a byte; None for words: there is no A then."""
    found = re.fullmatch('(`+) ?(.*?) ?\\1', text)
    if found is None:
        return None
    parts = re.split('(⟨..⟩|[%s])' % ''.join(SIGNS), found.group(2).replace('\\|', '|'))
    return b''.join(SIGNS.get(part) or (
        bytes.fromhex(part[1:3]) if part[:1] == '⟨' else part.encode()) for part in parts)


def rows(title):
    """Of the table below a heading: the cells of each row."""
    with open(PAGE, encoding='utf-8') as page:
        part = page.read().split('\n## %s\n' % title)[1].split('\n## ')[0]
    lines = [line for line in part.splitlines() if line.startswith('|')][2:]
    return [[column.strip() for column in re.split(r'(?<!\\)\|', line)[1:-1]] for line in lines]


def reads(agent, name):
    """What mortise makes of A in such a file, or None."""
    status, out = environment(agent, name)
    return variables(out).get(b'A') if status == 0 else None


def check_table(place, title, kind, theirs_of):
    """Each row is what it says; between them they have every reason that random files have."""
    agent, table = place.ready(), rows(title)
    names = [place.file('row%d.env' % number, cell(row[1])) for number, row in enumerate(table)]
    for (reason, _, ours, theirs, why), name, found in zip(table, names, theirs_of(names)):
        same(reads(agent, name), cell(ours), reason)
        same(found, [cell(theirs)] * len(found), reason)
        assert cell(ours) != cell(theirs) and why, reason
    missing = {'`%s`' % reason for reason in every_reason(kind)} - {row[0] for row in table}
    assert len(table) >= 8 and not missing, missing


@test
def each_difference_from_a_shell_is_as_the_table_says(place):
    scratch(place)
    check_table(place, 'Beside a shell', 'shell', lambda names: [
        [(by_shell(place, shell, name) or {}).get(b'A') for shell in SHELLS] for name in names])


@test
def each_difference_from_dotenv_is_as_the_table_says(place):
    check_table(place, 'Beside dotenv', 'dotenv', lambda names: [
        [found['A'].encode() if 'A' in found else None] for found in by_dotenv(names)])


def every_reason(kind):
    rng, found = random.Random(SEED), set()
    for _ in range(1000):
        file = env_files.make(rng)
        found |= file.shell if kind == 'shell' else set()
        for entry in file.entries:
            found |= getattr(entry, kind)
    return found


if __name__ == '__main__':
    tap.main()
