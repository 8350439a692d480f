# SPDX-License-Identifier: ISC
"""shells: bash, zsh and fish as somebody sits before them who presses TAB.

bash and zsh run on a terminal of their own and are typed into; fish answers `complete -C`.
Each finds mortise's completion by itself, where the installation put it. A command `tool` has a
completion of its own everywhere: alpha and beta.
"""

import fcntl
import os
import pty
import pwd
import re
import select
import struct
import subprocess
import termios
import time

from agent import prefix
from tpm import DEADLINE_S, IS_ROOT

BASH_START = '''
. /usr/share/bash-completion/bash_completion
complete -W 'alpha beta' tool
PS1='$ '
bind 'set enable-bracketed-paste off' 'set bell-style none' 'set page-completions off'
bind 'set completion-query-items 0' 'set completion-display-width 0'
bind '"\\C-xl": possible-completions'
bind -x '"\\C-xb": printf "<<%s>>" "$READLINE_LINE"; READLINE_LINE=""'
'''
ZSH_START = '''
unsetopt prompt_sp
fpath=(%s/share/zsh/site-functions $fpath)
autoload -Uz compinit && compinit -u -d $HOME/compdump
_tool() { compadd alpha beta }
compdef _tool tool
PS1='$ ' LISTMAX=10000
report() { zle -Rc; zle -I; print -rn -- "<<$BUFFER>>"; BUFFER= }
zle -N report
bindkey -e
bindkey '^Xl' list-choices
bindkey '^Xb' report
'''


def environment(home, socket):
    return {'PATH': prefix() + '/bin:/usr/bin:/bin', 'MORTISE_SOCKET': socket, 'HOME': home,
            'XDG_DATA_DIRS': prefix() + '/share:/usr/share', 'XDG_CONFIG_HOME': home,
            'XDG_DATA_HOME': home, 'ZDOTDIR': home, 'TERM': 'xterm', 'LC_ALL': 'C.UTF-8'}


def as_user(user):
    if not user or not IS_ROOT:
        return {}
    entry = pwd.getpwnam(user)
    return {'user': entry.pw_uid, 'group': entry.pw_gid, 'extra_groups': []}


def _silence(terminal):
    """Nothing that is typed before the shell reads is on the screen."""
    modes = termios.tcgetattr(terminal)
    modes[3] &= ~termios.ECHO
    termios.tcsetattr(terminal, termios.TCSANOW, modes)


def _take_terminal():
    fcntl.ioctl(0, termios.TIOCSCTTY, 0)


class Typed:
    """A shell on a terminal."""

    def __init__(self, command, home, socket, user=None):
        self.terminal, theirs = pty.openpty()
        fcntl.ioctl(theirs, termios.TIOCSWINSZ, struct.pack('HHHH', 200, 200, 0, 0))
        _silence(theirs)
        if user and IS_ROOT:
            os.fchown(theirs, pwd.getpwnam(user).pw_uid, -1)
        self.process = subprocess.Popen(
            command, stdin=theirs, stdout=theirs, stderr=theirs, cwd=home,
            env=environment(home, socket), start_new_session=True, preexec_fn=_take_terminal,
            **as_user(user))
        os.close(theirs)
        self._ask('')

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.process.kill()
        self.process.wait()
        os.close(self.terminal)

    def _read_until(self, pattern):
        text, end = '', time.monotonic() + DEADLINE_S
        while not re.search(pattern, text):
            readable, _, _ = select.select([self.terminal], [], [], end - time.monotonic())
            assert readable, 'the shell only says %r' % text
            text += os.read(self.terminal, 65536).decode(errors='replace')
        return text

    def _ask(self, keys):
        """What appears after keys, and what the line is then; the line is empty afterwards."""
        os.write(self.terminal, keys.encode() + b'\x18b')
        shown = self._read_until(r'<<[^>]*>>')
        return shown, re.search(r'<<([^>]*)>>', shown).group(1)

    def offers(self, line):
        """The candidates that it lists for the end of line."""
        shown, _ = self._ask(line + '\x18l')
        listed = self._LIST.search(shown)
        cells = re.split(r'[\r\n]+|\s{2,}', listed.group(1)) if listed else ()
        return {cell.split(' -- ')[0].strip() for cell in cells} - {''}

    def line(self, line):
        """What becomes of line by TAB."""
        return self._ask(line + '\t')[1]


class Bash(Typed):
    _LIST = re.compile(r'\r\n(.*)\r\n', re.S)

    def __init__(self, home, socket, user=None):
        with open(home + '/bashrc', 'w') as file:
            file.write(BASH_START)
        super().__init__(['bash', '--noprofile', '--rcfile', home + '/bashrc', '-i'], home,
                         socket, user)


class Zsh(Typed):
    _LIST = re.compile(r'\r\r\n(?:\x1b\[J)+(.*?)\x1b\[\d*A', re.S)  # and up again

    def __init__(self, home, socket, user=None):
        with open(home + '/.zshrc', 'w') as file:
            file.write(ZSH_START % prefix())
        super().__init__(['zsh', '-d', '-i'], home, socket, user)


class Fish:
    def __init__(self, home, socket, user=None):
        self.home, self.socket, self.user = home, socket, user

    def __enter__(self):
        return self

    def __exit__(self, *_):
        pass

    def offers(self, line):
        result = subprocess.run(
            ['fish', '-c', "complete -c tool -f -a 'alpha beta'\ncomplete -C $argv[1]", line],
            env=environment(self.home, self.socket), cwd=self.home, stdin=subprocess.DEVNULL,
            capture_output=True, text=True, timeout=DEADLINE_S, **as_user(self.user))
        assert result.stderr == '', result.stderr
        return {row.split('\t')[0] for row in result.stdout.splitlines()}
