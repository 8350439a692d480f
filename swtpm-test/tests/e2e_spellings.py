#!/usr/bin/env python3
# SPDX-License-Identifier: ISC
"""Values as other programs write them: random ones, and such as have each printable character
behind each other one, written by those programs, are found by scan and masked by exec.
docs/spellings.md has the table.

MORTISE_TEST_VALUES is how many values there are (128, up to 256), MORTISE_TEST_SEED another choice.
"""

import configparser
import csv
import html
import io
import json
import os
import pprint
import random
import re
import shlex
import shutil
import socket
import string
import subprocess
import threading
import urllib.parse
import xml.etree.ElementTree as ElementTree
from xml.sax import saxutils

import node
import tap
from agent import Skip
from rooms import CHECKOUT
from tap import has, same, test

COUNT = min(int(os.environ.get('MORTISE_TEST_VALUES', '128')), 256)
SEED = int(os.environ.get('MORTISE_TEST_SEED', '1'))
SIGNS = '!"#$%&\'()*+,-./:;<=>?@[\\]^_`{|}~'
WIDE = 'äßéñ€中😀'


def random_value(rng):
    """A password of eight characters or more, a phrase, several lines, or text beyond ASCII."""
    kind = rng.random()
    letters = string.ascii_letters + string.digits
    if kind < 0.55:
        letters += SIGNS * rng.choice((1, 2, 4))
        return ''.join(rng.choice(letters) for _ in range(rng.randint(8, 32)))
    if kind < 0.7:
        return ' '.join(''.join(rng.choice(letters + "'&%") for _ in range(rng.randint(3, 8)))
                        for _ in range(rng.randint(2, 5)))
    if kind < 0.85:
        letters += SIGNS + WIDE
        return ''.join(rng.choice(letters) for _ in range(rng.randint(6, 24))) + rng.choice(WIDE)
    return '\n'.join(''.join(rng.choice(letters + '+/=') for _ in range(rng.choice((8, 40, 64))))
                     for _ in range(rng.randint(2, 5))) + rng.choice(('', '\n'))


def each_behind_each():
    """Values in which each printable character stands behind each: what a program writes for one
    can depend on the one before it."""
    letters, text = [chr(code) for code in range(ord(' '), 0x7f)], ''
    for at, first in enumerate(letters):
        text += first + ''.join(first + other for other in letters[at + 1:])
    text += text[0]
    return [text[at:at + 201] for at in range(0, len(text) - 1, 200)]


def values():
    rng, found = random.Random(SEED), each_behind_each()
    while len(found) < COUNT:
        value = random_value(rng)
        if len(value.strip('\n')) >= 8 and value not in found:
            found.append(value)
    return found


def is_line(value):
    return '\n' not in value


def is_ascii(value):
    return value.isascii()


def run(*words, input=b'', **variables):
    """What a program writes. A program that is not here skips the test."""
    if shutil.which(words[0]) is None:
        raise Skip('%s is not installed' % words[0])
    return subprocess.run(words, input=input, check=True, stdout=subprocess.PIPE, timeout=120,
                          env={'PATH': '/usr/bin:/bin', 'LC_ALL': 'C.UTF-8', 'HOME': '/nonexistent',
                               **variables}).stdout


AT_ONCE = 80  # scan lists 100 findings of one file
SEPARATOR = b'\n=================== %d\n'


class Found:
    """An agent that has the values, and what scan and exec make of a file."""

    def __init__(self, place):
        self.place, self.agent, self.values = place, place.ready(), values()
        lines = ''
        for number, value in enumerate(self.values):
            place.file('value', value)
            self.agent.do('set', '--raw', '--from-file=' + place('value'), 'prod/v/n%d' % number)
            lines += 'N%d=mortise:prod/v/n%d\n' % (number, number)
        self.env_file = place.file('values.env', lines)

    def check(self, name, write, only=lambda value: True, is_masked=True):
        """write(value) is what stands in a file: bytes or text, for each value that only() takes."""
        chosen = [(n, value) for n, value in enumerate(self.values) if only(value)]
        texts = [write(value) for _, value in chosen]
        self.check_texts(name, chosen, texts, is_masked)

    def check_texts(self, name, chosen, texts, is_masked=True):
        same(len(texts), len(chosen), name)
        assert len(chosen) >= (COUNT - len(each_behind_each())) // 8, '%s: of %d values' % (name, len(chosen))
        for at in range(0, len(chosen), AT_ONCE):
            self.check_file(name, chosen[at:at + AT_ONCE], texts[at:at + AT_ONCE], is_masked)
        print('# %s: %d values' % (name, len(chosen)))

    def check_file(self, name, chosen, texts, is_masked):
        content, starts = b'', []
        for (number, _), text in zip(chosen, texts):
            content += SEPARATOR % number
            starts.append(len(content))
            content += text if isinstance(text, bytes) else text.encode()
        file = self.place.file('spelled', content + SEPARATOR % 999)
        told = self.agent.run('scan', '--json', file, timeout=300)
        assert told.status == 1, '%s: nothing is found' % name
        found = {(item['secret'], item['offset']) for item in told.json()['findings']}
        masked = self.agent.do('exec', '--env-file=' + self.env_file, '--', 'cat', file,
                               timeout=300).out.split(b'\n===================')[1:]
        for (number, value), text, start, out in zip(chosen, texts, starts, masked):
            secret = 'prod/v/n%d' % number
            assert any(path == secret and start <= at <= start + len(text)
                       for path, at in found), '%s: not found: %r as %r' % (name, value, text)
            assert not is_masked or b'[mortise:%s]' % secret.encode() in out, \
                '%s: not masked: %r as %r' % (name, value, out)


# --- Python's own

@test
def xml_and_html_by_python_are_found_and_masked(place):
    found = Found(place)

    def element(value, **options):
        made = ElementTree.Element('a', {'b': value})
        made.text = 'x'
        return ElementTree.tostring(made, **options)

    def content(value, **options):
        made = ElementTree.Element('a')
        made.text = value
        return ElementTree.tostring(made, **options)
    found.check('escape', saxutils.escape)
    found.check('quoteattr', saxutils.quoteattr)
    found.check('html', html.escape)
    found.check('html, quotes as they are', lambda value: html.escape(value, quote=False))
    for encoding in ('us-ascii', 'utf-8'):
        found.check('attribute, ' + encoding, lambda value: element(value, encoding=encoding))
        found.check('element, ' + encoding, lambda value: content(value, encoding=encoding))
    found.check('charref', lambda value: saxutils.escape(value).encode('ascii', 'xmlcharrefreplace'))


@test
def json_by_python_and_node_is_found_and_masked(place):
    found = Found(place)
    found.check('json.dumps', lambda value: json.dumps({'a': [value]}))
    found.check('utf-8', lambda value: json.dumps({'a': [value]}, ensure_ascii=False, indent=1))
    texts = json.loads(node.run('''
        const values = JSON.parse(require('fs').readFileSync(0)), util = require('util')
        process.stdout.write(JSON.stringify(values.map(v =>
            [JSON.stringify({a: v}), util.inspect(v, {breakLength: Infinity}),
             encodeURIComponent(v), encodeURI(v)])))''', input=json.dumps(found.values).encode()))
    chosen = list(enumerate(found.values))
    found.check_texts('JSON.stringify', chosen, [text[0] for text in texts])
    found.check_texts('encodeURIComponent', chosen, [text[2] for text in texts])
    lines = [(pair, text) for pair, text in zip(chosen, texts) if is_line(pair[1])]
    found.check_texts('util.inspect', [pair for pair, _ in lines], [text[1] for _, text in lines])


def needs_yaml():
    try:
        import yaml
    except ImportError:
        raise Skip('python3-yaml is not installed') from None
    return yaml


@test
def yaml_by_python_and_node_is_found_and_masked(place):
    found, yaml = Found(place), needs_yaml()
    deep = {'style: %s, %s' % (style or 'its own', 'UTF-8' if wide else 'ASCII'): {
        'default_style': style, 'allow_unicode': wide, 'width': 10000}
        for style in (None, "'", '"', '|') for wide in (False, True)}
    for name, options in deep.items():
        for levels in (1, 3):
            def write(value):
                for _ in range(levels):
                    value = {'key': value}
                return yaml.dump(value, **options)
            found.check('PyYAML, ' + name, write)
    texts = json.loads(node.run('''
        const values = JSON.parse(require('fs').readFileSync(0)), yaml = require('js-yaml')
        const options = [{}, {forceQuotes: true}, {forceQuotes: true, quotingType: '"'}]
        process.stdout.write(JSON.stringify(values.map(v =>
            options.map(o => yaml.dump({a: {b: v}}, {lineWidth: -1, ...o})))))''',
                               input=json.dumps(found.values).encode()))
    for at in range(3):
        found.check_texts('js-yaml %d' % at, list(enumerate(found.values)),
                          [text[at] for text in texts])


def in_file(write):
    """What write(file) has written."""
    file = io.StringIO(newline='')
    write(file)
    return file.getvalue()


@test
def other_formats_of_python_are_found_and_masked(place):
    found = Found(place)
    found.check('repr', repr)
    found.check('bytes', lambda value: repr(value.encode()))
    found.check('pprint', lambda value: pprint.pformat([value], width=1000))
    found.check('csv', lambda value: in_file(lambda file: csv.writer(file).writerow(['a', value])))
    found.check('csv, all quoted', lambda value: in_file(
        lambda file: csv.writer(file, quoting=csv.QUOTE_ALL).writerow([value])))
    found.check('urlencode', lambda value: urllib.parse.urlencode({'a': value}))
    found.check('quote', urllib.parse.quote)
    found.check('shlex', shlex.quote)

    def ini(value):
        parser = configparser.ConfigParser()
        parser['a'] = {'b': value.replace('%', '%%')}
        same(parser['a']['b'], value)
        return in_file(parser.write)
    found.check('configparser', ini, is_line)
    found.check('UTF-16', lambda value: value.encode('utf-16'))
    found.check('UTF-16BE', lambda value: value.encode('utf-16-be'))
    found.check('UTF-16, CRLF', lambda value: value.replace('\n', '\r\n').encode('utf-16-le'))
    found.check('CRLF', lambda value: value.replace('\n', '\r\n'), lambda value: not is_line(value))


# --- Shells

def by_shell(words):
    """A writer: what a shell makes of the variable V."""
    return lambda value: run(*words, V=value)


@test
def what_shells_print_is_found_and_masked(place):
    found = Found(place)
    for name, words in {
            'bash, printf %q': ['bash', '-c', 'printf %q "$V"'],
            'bash, printf %q, C': ['bash', '-c', 'export LC_ALL=C; printf %q "$V"'],
            'bash, @Q': ['bash', '-c', 'echo "${V@Q}"'],
            'bash, declare -p': ['bash', '-c', 'declare -p V'],
            'bash, set': ['bash', '-c', 'set | grep -a -A9 ^V='],
            'bash, -x': ['bash', '-c', 'exec 2>&1; set -x; : "$V"'],
            'dash, set': ['dash', '-c', 'set | grep -a -A9 ^V='],
            'dash, export -p': ['dash', '-c', 'export -p | grep -a -A9 V='],
            'dash, -x': ['dash', '-c', 'exec 2>&1; set -x; : "$V"'],
            'ls': ['ls', '--quoting-style=shell-escape-always', '-d'],
    }.items():
        if name == 'ls':
            found.check(name, lambda value: run(
                'sh', '-c', 'cd "$D" && mkdir -- "$V" && ls --quoting-style=shell-escape-always; '
                'rmdir -- "$V"', V=value, D=found.place.directory(
                    'd%d' % len(os.listdir(found.place.path)))), is_name)
        else:
            found.check(name, by_shell(words))


def is_name(value):
    """May be a file's, and ls quotes it alone."""
    return '/' not in value and len(value.encode()) < 200 and value[:1] not in '-.'


@test
def what_zsh_prints_is_found_and_masked(place):
    found = Found(place)
    for flag in ('q', 'qq', 'qqq', 'qqqq'):
        found.check('zsh, ' + flag, by_shell(['zsh', '-fc', 'print -r -- ${(%s)V}' % flag]))
    found.check('zsh, export -p', by_shell(['zsh', '-fc', 'export -p | grep -a -A9 V=']))


# --- Other programs

def each_line(found, *words, only=is_line):
    """A program that makes a line of each line."""
    chosen = [(n, value) for n, value in enumerate(found.values) if only(value)]
    out = run(*words, input='\n'.join(value for _, value in chosen).encode())
    return chosen, out.splitlines()


@test
def what_jq_prints_is_found_and_masked(place):
    found = Found(place)
    for form in ('@json', '@html', '@sh', '@csv', '@tsv', '@uri', '@base64'):
        wrapped = '[.] | ' + form if form in ('@csv', '@tsv') else form
        found.check_texts('jq, ' + form, *each_line(found, 'jq', '-Rr', wrapped))
    found.check_texts('jq -a', *each_line(found, 'jq', '-Ra', '.'))


@test
def what_perl_prints_is_found_and_masked(place):
    found = Found(place)
    found.check('Dumper', lambda value: run('perl', '-MData::Dumper', '-e', 'print Dumper $ENV{V}',
                                            V=value))
    found.check('quotemeta', lambda value: run('perl', '-e', 'print quotemeta $ENV{V}', V=value),
                is_ascii)


@test
def what_sqlite_prints_is_found_and_masked(place):
    found = Found(place)

    def by_mode(mode):
        return lambda value: run('sqlite3', ':memory:', '.mode ' + mode,
                                 "select '%s' as x" % value.replace("'", "''"))
    for mode in ('quote', 'csv', 'json', 'tcl', 'html', 'insert', 'list'):
        found.check('sqlite3, ' + mode, by_mode(mode))
    found.check('sqlite3 .dump', lambda value: run(
        'sqlite3', ':memory:', "create table t(a); insert into t values('%s');" % (
            value.replace("'", "''")), '.dump'))


@test
def what_git_xmllint_and_iconv_write_is_found_and_masked(place):
    found = Found(place)

    def git(value):
        config = place('gitconfig')
        if os.path.exists(config):
            os.unlink(config)
        run('git', 'config', '--file', config, 'a.b', value)
        with open(config, 'rb') as file:
            return file.read()
    found.check('git config', git)
    for encoding in ('UTF-8', 'US-ASCII'):
        found.check('xmllint, ' + encoding, lambda value: run(
            'xmllint', '--encode', encoding, '-', input=(
                '<a b=%s>%s</a>' % (saxutils.quoteattr('x'), saxutils.escape(value))).encode()))
        found.check('xmllint, attribute, ' + encoding, lambda value: run(
            'xmllint', '--encode', encoding, '-',
            input=('<a b=%s/>' % saxutils.quoteattr(value)).encode()))
    for encoding in ('UTF-16', 'UTF-16LE', 'UTF-16BE'):
        found.check('iconv, ' + encoding, lambda value: run(
            'iconv', '-f', 'UTF-8', '-t', encoding, input=value.encode()))


@test
def what_systemd_escape_makes_a_unit_s_name_is_found_and_masked(place):
    found = Found(place)
    found.check('systemd-escape', lambda value: run('systemd-escape', '--', value))


JAVA = '''
import java.io.*; import java.util.*;
public class Store {
    public static void main(String[] names) throws Exception {
        for (String name : names) {
            Properties one = new Properties();
            one.setProperty("key", new String(new FileInputStream(name).readAllBytes(), "UTF-8"));
            one.store(new FileOutputStream(name + ".latin"), null);
            one.store(new FileWriter(name + ".utf-8"), null);
            one.storeToXML(new FileOutputStream(name + ".xml"), null);
        }
    }
}'''


def by_properties(value):
    """What java.util.Properties.store() writes to a stream."""
    short = {'\\': '\\\\', '\t': '\\t', '\n': '\\n', '\r': '\\r', '\f': '\\f', '=': '\\=', ':': '\\:',
             '#': '\\#', '!': '\\!'}
    text = ''.join(short.get(c, c) if c in short or ' ' <= c <= '~' else ''.join(
        '\\u%04X' % int.from_bytes(pair, 'big') for pair in pairs(c)) for c in value)
    return ('\\' if value[:1] == ' ' else '') + text


def pairs(character):
    units = character.encode('utf-16-be')
    return [units[at:at + 2] for at in range(0, len(units), 2)]


@test
def properties_of_java_are_found_and_masked(place):
    """By its rules, and where there is a JDK, by itself."""
    found = Found(place)
    found.check('Properties', lambda value: 'key=' + by_properties(value))
    if shutil.which('javac') is None:
        print('# no JDK is installed, which would write them itself')
        return
    place.file('Store.java', JAVA)
    names = [place.file('p%d' % n, value) for n, value in enumerate(found.values)]
    run('java', '-Dfile.encoding=UTF-8', place('Store.java'), *names)
    for kind in ('latin', 'utf-8', 'xml'):
        # It writes half a character beyond 16 bits as a number of its own, which is no XML.
        chosen = [(n, value) for n, value in enumerate(found.values)
                  if kind != 'xml' or max(value) < '\U00010000']
        texts = []
        for number, value in chosen:
            with open(names[number] + '.' + kind, 'rb') as file:
                texts.append(file.read())
            assert kind != 'latin' or by_properties(value).encode() in texts[-1], value
        found.check_texts('Properties, ' + kind, chosen, texts)


# --- Rules, each asked of who reads such a file

def read_by_cron(line):
    """crontab(5): up to the first % that no backslash stands before, and those backslashes go."""
    return re.sub(r'\\%', '%', re.match(r'(?:[^%\\]|\\.)*', line).group())


@test
def what_stands_in_a_crontab_is_found_and_masked(place):
    found = Found(place)

    def double(value):
        return '"%s"' % re.sub(r'([$`"\\])', r'\\\1', value)
    for name, quote in {'shlex': shlex.quote, 'double': double, 'bash': lambda value: run(
            'bash', '-c', 'printf %q "$V"', V=value).decode()}.items():
        def write(value):
            quoted = quote(value).replace('%', '\\%')
            meant = run('bash', '-c', 'printf %s ' + read_by_cron(quoted)).decode()
            same(meant, value, quoted)
            return '5 4 * * * backup PW=%s dump\n' % quoted

        def can_be_written(value):
            """In quotes, cron takes the backslash of the value for that of the %."""
            return is_line(value) and (name == 'bash' or '\\%' not in value)
        found.check('crontab, ' + name, write, can_be_written)


class FakeServer(threading.Thread):
    """A database that asks for a password in clear and keeps what it is told."""

    def __init__(self):
        super().__init__(daemon=True)
        self.listener, self.told = socket.create_server(('127.0.0.1', 0)), []
        self.port = self.listener.getsockname()[1]

    def run(self):
        while True:
            connection, _ = self.listener.accept()
            with connection:
                while int.from_bytes(connection.recv(4), 'big') == 8:  # may it be TLS? no
                    connection.recv(4)
                    connection.sendall(b'N')
                connection.recv(4096)
                connection.sendall(b'R\0\0\0\x08\0\0\0\x03')
                said = connection.recv(4096)
                self.told.append(said[5:].rstrip(b'\0').decode() if said[:1] == b'p' else None)


@test
def what_stands_in_a_pgpass_is_found_and_masked(place):
    found, server = Found(place), None
    if shutil.which('psql'):
        server = FakeServer()
        server.start()

    def write(value):
        line = '127.0.0.1:*:shop:app:' + re.sub(r'([\\:])', r'\\\1', value) + '\n'
        if server is not None:
            subprocess.run(['psql', '-w', 'host=127.0.0.1 port=%d dbname=shop user=app' % server.port],
                           env={'PATH': '/usr/bin:/bin', 'PGPASSFILE': place.file(
                               'pgpass', line, 0o600)}, capture_output=True, timeout=60)
            same(server.told.pop(), value, line)
        return line
    found.check('.pgpass' + ('' if server else ', not read by psql: not installed'), write, is_line)


@test
def what_stands_in_units_compose_files_and_sql_is_found_and_masked(place):
    """Units are read by systemd itself in e2e_jobs."""
    found = Found(place)

    def unit(value):
        return 'Environment="PW=%s"\n' % re.sub(r'(["\\])', r'\\\1', value).replace('%', '%%')
    found.check('Environment=', unit, is_line)
    found.check('ExecStart=', lambda value: 'ExecStart=/bin/x "%s"\n' % re.sub(
        r'(["\\])', r'\\\1', value).replace('%', '%%').replace('$', '$$'), is_line)
    found.check('compose, plain', lambda value: 'PW: %s\n' % value.replace('$', '$$'), is_line)
    found.check('compose, JSON', lambda value: json.dumps(
        {'PW': value.replace('$', '$$')}, ensure_ascii=False))
    found.check("compose, '...'", lambda value: "PW: '%s'\n" % value.replace('$', '$$').replace(
        "'", "''"), is_line)
    for name, pairs in {'standard': {"'": "''"}, "E''": {"'": "''", '\\': '\\\\', '\n': '\\n'},
                        'MySQL': {"'": "\\'", '"': '\\"', '\\': '\\\\', '\n': '\\n'},
                        'COPY': {'\\': '\\\\', '\n': '\\n', '\t': '\\t'}}.items():
        found.check('SQL, ' + name, lambda value: ''.join(pairs.get(c, c) for c in value))


@test
def values_without_any_sign_cost_nothing_and_are_found(place):
    """Of letters and digits alone all these forms are one."""
    agent = place.ready()
    agent.set('prod/a', b'hunter2hunter2')
    for text in (b'hunter2hunter2', 'hunter2hunter2'.encode('utf-16-le'), b'aHVudGVyMmh1bnRlcjI='):
        has(agent.run('scan', place.file('text', b'x ' + text + b' y')).text, 'prod/a')


def source(name):
    with open(os.path.join(CHECKOUT, name),
              encoding='utf-8') as file:
        return file.read()


@test
def the_pages_name_what_the_code_has(place):
    """Each encoding in docs/spellings.md, each word for a name in docs/exec.md; none besides."""
    code = source('client/cli/forms/encodings.c')
    named = set(re.findall(r'deliver\(maker, "([^"]+)"', code))
    named |= set(re.findall(r'has_crlf \? "([^"]+)" : "([^"]+)"', code)[0])
    named |= set(re.findall(r'make_all_base64|make_base64\(maker, "([^"]+)"', code)) - {''}
    named |= set(re.findall(r'^\t\{"([^"]+)", \{', source('client/cli/forms/spellings.c'), re.M))
    page = set(re.findall(r'^\| ([A-Za-z0-9 -]+) \| [^-|]', source('docs/spellings.md'), re.M))
    same(page - {'encoding'}, named)
    code = re.search(r'words\[\] = \{(.*?)NULL', source('client/cli/exec/exec_plan.c'), re.S).group(1)
    text = re.search(r'or field is (.*?)\(', source('docs/exec.md'), re.S).group(1)
    same(set(re.findall('`([a-z]+)`', text)), set(re.findall('"([a-z]+)"', code)))


if __name__ == '__main__':
    tap.main()
