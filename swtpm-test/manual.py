# SPDX-License-Identifier: ISC
"""manual: the sources of the man pages (docs/man/*.scd), taken apart for tests.

How a page shows what a person does: in a literal block that begins with a prompt, a line behind
`# ` is what root types, behind `$ ` what the user alice types, behind `> ` the rest of that
command. What follows is what it prints; `...` stands for anything, also for lines. A `cat` of a
file that is not there yet shows what somebody has written: the test writes it. A remark of scdoc,
`; # ...` or `; $ ...` outside of a block, is a command that the reader is not shown.
"""

import glob
import os
import re

SOURCE = os.environ.get('MORTISE_TEST_SOURCE') or os.path.join(os.path.dirname(__file__), '..')
FOLDER = os.path.join(SOURCE, 'docs/man')
# What a literal block is, by how it begins.
KINDS = [('session', r'[$#] '), ('policy', r'\[(rule|credential) '), ('expectations', r'\[expect |\[user '),
         ('config', r'\[(agent|socket \S+|credentials|tpm2|pkcs11)\]'), ('unit', r'\[(Unit|Service|Timer)\]'),
         ('form', r'mortise |struct |enum |#include|\+---')]


class Step:
    """A command of a session, and the lines that it prints."""

    def __init__(self, prompt, command):
        self.prompt, self.command, self.expected = prompt, command, []


def steps_of(lines):
    """The steps that a session's lines show."""
    found = []
    for line in lines:
        if line[:2] in ('$ ', '# '):
            found.append(Step(line[0], line[2:]))
        elif line[:2] == '> ':
            found[-1].command += '\n' + line[2:]
        else:
            found[-1].expected.append(line)
    return found


def fits(expected, said):
    """Is that the output? `...` is any text, and alone on a line any lines."""
    pattern = ''
    for line in expected:
        if line.strip() == '...':
            pattern += r'(?:.*\n)*?'
        else:
            pattern += '.*'.join(re.escape(part) for part in line.rstrip().split('...')) + r'[ \t]*\n'
    return any(re.fullmatch(pattern, text) for text in said)


class Page:
    """One page: its name and section, whom its NAME line names, parts and blocks."""

    def __init__(self, path):
        self.path = path
        self.name, self.section = re.match(r'(.*)\.(\d)\.scd', os.path.basename(path)).groups()
        with open(path) as file:
            self.text = file.read()
        self.head = self.text.split('\n', 1)[0]
        self.blocks, self.steps, self.parts = [], [], {}
        self._read()
        line = self.parts['NAME'].strip()
        self.names = [name.strip() for name in line.split(' - ')[0].split(',')]

    def _read(self):
        """Parts are named by their headings, those of the second level by both: 'COMMANDS/set'."""
        title, inner, block, prose = '', '', None, []
        for line in self.text.splitlines()[1:]:
            if line == '```':
                if block is not None:
                    self._end(block, title)
                block = [] if block is None else None
            elif block is not None:
                block.append(re.sub(r'\\(.)', r'\1', line))  # as scdoc has it
            elif re.match('##? ', line):
                self.parts[title + inner] = '\n'.join(prose)
                prose = []
                title, inner = (line[2:], '') if line[1] == ' ' else (title, '/' + line[3:])
            elif re.match('; [#$] ', line):
                self.steps += steps_of([line[2:]])
                self.steps[-1].expected = ['...']
            elif not line.startswith(';'):
                prose.append(line)
        self.parts[title + inner] = '\n'.join(prose)

    def _end(self, lines, title):
        kind = next((kind for kind, first in KINDS if re.match(first, lines[0])), None)
        self.blocks.append((kind, title, '\n'.join(lines) + '\n'))
        if kind == 'session':
            self.steps += steps_of(lines)

    def has_remark(self, words):
        return '\n; %s\n' % words in self.text

    def commands(self):
        """{command of mortise: its part of the page}; of a page with one command, all of it."""
        inner = {title.split('/')[1]: text for title, text in self.parts.items()
                 if title.startswith('COMMANDS/')}
        if inner or self.section != '1' or not self.name.startswith('mortise-'):
            return inner
        return {self.name.removeprefix('mortise-'): self.parts.get('OPTIONS', '')}


def pages():
    return [Page(path) for path in sorted(glob.glob(FOLDER + '/*.scd'))]


def plain(text):
    """Text without scdoc's marks."""
    text = re.sub(r'\\(.)', r'\1', text)
    return re.sub(r'(?<![\w])_([^_\n]+)_(?![\w])', r'\1', text.replace('*', ''))


def defined(text):
    """The options that a text defines, each as --help has it: '-o, --out=F'."""
    lines = [plain(line) for line in re.findall(r'^(\*--?\w.*)\n\t', text, re.M)]
    return [option for line in lines
            for option in re.findall(r'(?:-\w, )?--[a-z0-9][a-z0-9-]*(?:=[^, ]+(?:,[^ ,]+)*)?', line)]
