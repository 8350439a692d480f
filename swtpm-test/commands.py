# SPDX-License-Identifier: ISC
"""commands: each command of `mortise --help`, and what it needs besides its name to be typed.

names()    as the overview lists them
options()  those of one command that have a value
turns()    all that ask an agent, ready to be run in a place that lay_out() has furnished
"""

import os
import re

PATH, NONE, NEW = 'prod/db/password', 'prod/db/none', 'prod/db/new'
# What each command needs besides its name, {} for a path; None: it can do without an agent, or is
# there for one that is sealed or not there yet, and has tests of its own.
WORDS = {
    'init': None, 'status': None, 'whoami': None, 'doctor': None, 'unseal': None, 'dev': None,
    'policy test': None, 'backup verify': None, 'slot escrow-key': None, 'recover': None,
    'backup restore': None,
    'seal': '--yes', 'get': '{}', 'exec': '-e VALUE={} -- cat ran', 'render': 'template',
    'set': '{}', 'import': '--yes app.env {}', 'list': '-r', 'show': '{}', 'meta': '--note=x {}',
    'move': '--yes {} ' + NEW, 'rollback': '--to=1 {}', 'delete': '--yes {}', 'undelete': '{}',
    'destroy': '--yes --version=1 {}', 'policy apply': '--yes rules.policy',
    'policy show': '', 'policy check': '--user=root read {}', 'policy edit': '--yes',
    'policy rollback': '--yes', 'policy reset': '--yes --recovery-file=key', 'policy who': '{}',
    'policy may': '--user=root', 'audit show': '', 'audit verify': '', 'audit public-key': '',
    'audit acknowledge': '--note=x', 'clock show': '', 'clock accept': '--yes --note=x',
    'verify': '', 'hygiene': '', 'scan': '--only=prod text', 'watch': '--once --initial {}',
    'rotate': '--generate=hex:16 {}', 'rekey': '--yes', 'slot list': '',
    'slot add': '--recovery --recovery-file=new-key', 'slot remove': '--yes 1', 'slot test': '1',
    'slot reseal': '--yes 1', 'slot suspend': '--yes 1',
    'slot change-pin': '--yes --tpm2-pin-file=pin 1', 'backup create': 'backup'}
TEMPLATE = 'password = {{ secret "%s" }}\n'


def turns(path=PATH):
    """[(command, its words)] of all that ask an agent."""
    return [(name, name.split() + words.format(path).split())
            for name, words in WORDS.items() if words is not None]


def lay_out(place, path=PATH):
    """Files for the commands to read, in the directory where they run."""
    place.file('template', TEMPLATE % path)
    place.file('app.env', 'NAME=a-value-of-some-length\n')
    place.file('rules.policy', '[rule first]\nallow = read list write delete rotate audit admin\n'
               'secret = **\nuser = %d\n' % os.geteuid())
    place.file('text', 'nothing in here\n')
    place.file('pin', '1234\n1234\n')
    place.file('key', 'AAAA-BBBB\n')
    place.file('ran', 'it ran\n')



def names(agent):
    """Names of all commands, as the overview has them."""
    listed = agent.do('--help').text.split('options everywhere:')[0]
    return re.findall(r'^  ([a-z-]+(?: [a-z-]+)?)  ', listed, re.M)


def options(agent, name):
    """[(option, what its value is called)] of a command's own options that have one."""
    text = agent.do(*name.split(), '--help').text.split('--socket=F')[0]
    return re.findall(r'^  (?:-., )?--([a-z0-9-]+)=(\S+)', text, re.M)
