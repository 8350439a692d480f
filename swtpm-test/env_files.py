# SPDX-License-Identifier: ISC
"""env_files: .env files made at random, with what they mean known from how they were made.

An entry also knows for which reasons a shell or npm's dotenv may make something else of it; the
reasons have the names of the tables in docs/env-files.md.
"""

import string

WORDS = 'db host secret mode shop user key of the it is prod red green 2024 value x'.split()
LETTERS = string.ascii_letters + string.digits
TAME = LETTERS + '_-./:@%+,=^'            # means nothing to a shell, nor to dotenv
WILD = TAME + ' \t#$&;|<>()[]{}*?!~\\\'"`'  # but for what makes another value here: see plain()
WIDE = ['\u00e4', '\u00df', '\u20ac', '\U0001f600', '\u4e2d', '\u00a0', '\u2028', '\u000b']
NO_UTF8 = [b'\xff', b'\xc3', b'\xe2\x82', b'\x80']
SHELL_MEANS = set(b' \t$&;|<>()[]{}*?~\\\'"`')


class Entry:
    def __init__(self, name, text, value):
        self.name, self.text, self.value = name, text, value
        self.shell, self.dotenv = set(), set()


class File:
    """entries, as bytes with all that is between them; is_refused: nobody can use it."""

    def __init__(self):
        self.entries, self.content, self.shell, self.is_refused = [], b'', set(), False

    def shell_reasons(self):
        return self.shell.union(*(entry.shell for entry in self.entries))


def _pick(rng, letters, least, most):
    return ''.join(rng.choice(letters) for _ in range(rng.randint(least, most)))


def _some(rng, is_tame):
    """Bytes without a newline or a NUL."""
    kind = rng.random()
    if kind < 0.3:
        return ' '.join(rng.sample(WORDS, rng.randint(1, 3))).replace(
            ' ', '-' if is_tame else ' ').encode()
    if is_tame or kind < 0.5:
        return _pick(rng, TAME, 0, 40).encode()
    made = _pick(rng, WILD, 0, 30).encode()
    if kind > 0.85:
        at = rng.randint(0, len(made))
        more = rng.choice(NO_UTF8) if kind > 0.97 else rng.choice(WIDE).encode()
        made = made[:at] + more + made[at:]
    return made


def _note_bytes(entry):
    """What holds however a value is written."""
    try:
        entry.value.decode()
    except UnicodeDecodeError:
        entry.dotenv.add('not-utf-8')


def _plain(rng, is_tame):
    value = _some(rng, is_tame).strip(b' \t\r')
    while value[:1] in (b'"', b"'") and value:
        value = value[1:].strip(b' \t')
    value = value.replace(b' #', b'_#').replace(b'\t#', b'_#')
    if value.startswith(b'mortise:'):
        value = b'x'
    if value[:1] == b'`':  # dotenv would look for the next one, lines below
        value = b'`' + value.replace(b'`', b'') + b'`'
    blank = b'' if is_tame or rng.random() < 0.8 else rng.choice((b' ', b'\t', b'  '))
    if blank and value[:1] == b'#':
        value = b'x' + value
    behind = rng.choice((b'', b'', b'', b' ', b' # note', b'\t# it\'s "so"', b' #'))
    if not value and behind.lstrip()[:1] == b'#' and is_tame:
        behind = b''
    entry = Entry(None, blank + value + behind, value)
    if SHELL_MEANS & set(value):
        entry.shell.add('plain-characters')
    if blank and value:
        entry.shell.add('blank-first')
    if b'#' in value:
        entry.dotenv.add('hash-in-word')
    if value[:1] == b'`':
        entry.dotenv.add('backticks')
    if value.decode(errors='replace').strip() != value.decode(errors='replace') or \
            b'\xe2\x80\xa8' in value:
        entry.dotenv.add('wide-blanks')
    return entry


def _quoted_end(rng, entry, is_tame):
    behind = rng.choice((b'', b'', b'', b' ', b'\t# note', b' # "n"', b'' if is_tame else b'#note'))
    if behind == b'#note':
        entry.shell.add('comment-behind-quote')
    entry.text += behind
    return entry


def _single(rng, is_tame, newline):
    value = newline.join(_some(rng, is_tame) for _ in range(rng.choice((1, 1, 1, 2, 3))))
    value = value.replace(b"'", b'"')
    if value.startswith(b'mortise:'):
        value = b'x'
    entry = Entry(None, b"'" + value + b"'", value)
    if value.endswith(b'\\'):
        entry.dotenv.add('backslash-before-quote')
    if b'\r' in value:
        entry.dotenv.add('line-ends')
    return _quoted_end(rng, entry, is_tame)


ESCAPES = {b'\\n': b'\n', b'\\r': b'\r', b'\\t': b'\t', b'\\"': b'"', b'\\\\': b'\\',
           b'\\$': b'$', b'\\`': b'`'}


def _double(rng, is_tame, newline):
    entry = Entry(None, b'"', b'')
    for _ in range(rng.randint(0, 6)):
        kind = rng.random()
        if kind < 0.6 or is_tame:
            part = _some(rng, is_tame).replace(b'"', b'').replace(b'\\', b'')
            text = meant = part
            if set(part) & set(b'$`'):
                entry.shell.add('expanded')
        elif kind < 0.8:
            text = rng.choice(sorted(ESCAPES))
            meant = ESCAPES[text]
            if text in (b'\\n', b'\\r', b'\\t'):
                entry.shell.add('escapes')
            if text not in (b'\\n', b'\\r'):
                entry.dotenv.add('escapes')
        elif kind < 0.9:  # a backslash that stands for itself
            text = meant = b'\\' + rng.choice((b'q', b'x', b'0', b"'", b' '))
        else:
            text = meant = newline
        entry.text += text
        entry.value += meant
    if b'\r' in entry.text:
        entry.dotenv.add('line-ends')
    if entry.value.startswith(b'mortise:'):
        return _double(rng, is_tame, newline)
    if entry.text.endswith(b'\\'):
        entry.dotenv.add('backslash-before-quote')
    entry.text += b'"'
    return _quoted_end(rng, entry, is_tame)


def _name(rng, number):
    word = rng.choice(WORDS).lstrip('0123456789') or 'n'
    style = rng.random()
    if style < 0.7:
        word = word.upper()
    return '%s_%d%s' % (word, number, rng.choice(('', '_X', 'a')))


def _entry(rng, number, is_tame, newline):
    make = rng.choice((_plain, _plain, _single, _double))
    entry = make(rng, is_tame) if make is _plain else make(rng, is_tame, newline)
    entry.name = _name(rng, number)
    front = rng.choice(('', '', '', ' ', 'export ', 'export\t'))
    entry.text = front.encode() + entry.name.encode() + b'=' + entry.text
    _note_bytes(entry)
    return entry


def _between(rng):
    return rng.choice((b'', b'', b'# a comment', b'  # A=1 "and\' so on', b'#', b'\t', b' '))


def _spoil(rng, file, newline):
    """A file that has to be refused by whoever reads it, or by who imports it."""
    name = file.entries[0].name.encode() if file.entries else b'A'
    file.content += newline + rng.choice((
        b'A="no end', b"A='no end", b'just words', b'2A=x', b'A="x" y', name + b'=again'
        if file.entries else b'=', b'A.B=1', b'A =1')) + newline
    file.is_refused = True


def make(rng):
    """A file, and by its size and alphabet rather different ones."""
    file = File()
    is_tame, kind = rng.random() < 0.4, rng.random()
    newline = b'\r\n' if not is_tame and rng.random() < 0.3 else b'\n'
    count = 256 if kind < 0.02 else 0 if kind < 0.04 else rng.choice((1, 2, 3, 5, 8, 13, 30))
    if newline == b'\r\n':
        file.shell.add('line-ends')
    if not is_tame and rng.random() < 0.03:
        file.content += b'\xef\xbb\xbf'
        file.shell.add('byte-order-mark')
    for number in range(count):
        while rng.random() < 0.2:
            file.content += _between(rng) + newline
        entry = _entry(rng, number, is_tame, newline)
        if len(file.content) + len(entry.text) > 60000:
            break
        file.entries.append(entry)
        file.content += entry.text + newline
    if kind > 0.98:  # 60 KB, of one value or of remarks
        rest = b'x' * (60000 - len(file.content) - 20)
        if rng.random() < 0.5:
            file.entries.append(Entry('LARGE', b'', rest))
            file.content += b'LARGE=' + rest + newline
        else:
            file.content += b'#' + rest + newline
    if rng.random() < 0.06:
        _spoil(rng, file, newline)
    elif rng.random() < 0.2 and file.content.endswith(b'\n') and file.entries:
        file.content = file.content.removesuffix(newline)
    return file
