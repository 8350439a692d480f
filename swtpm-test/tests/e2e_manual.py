#!/usr/bin/env python3
# SPDX-License-Identifier: ISC
"""What the man pages show is typed, page by page, on a host of its own; see manual.py for how."""

import glob
import os
import re
import select
import subprocess

import tap
from agent import prefix
from manual import fits, pages
from rooms import TOOLS
from tap import Skip, test
from tpm import DEADLINE_S, end_process, tool

CONF = '[agent]\nuser = mortise\n[tpm2]\ntcti = %s\n'
# Reads the policies, and asks little of them.
NOTHING = '[expect nothing]\nuser = of-no-rule\nverb = audit\nresult = deny\n'
USER = '[agent]\nuser = mortise\n'
HOMES = {'#': '/root', '$': '/home/alice'}


class Host:
    """A private_host, and on it an agent with its TPM unless a page begins without."""

    def __init__(self, place, page):
        self.place, self.process, self.status = place, None, 0
        if subprocess.run(['unshare', '--mount', 'true'], capture_output=True).returncode != 0:
            raise Skip('no private mounts here')
        self.root = place.directory('host')
        self.inside = subprocess.Popen([TOOLS + '/private_host', self.root, prefix()],
                                       stdin=subprocess.PIPE, stdout=subprocess.PIPE)
        place.callback(self.end)
        assert self.inside.stdout.readline() == b'ready\n', 'private_host failed'
        if page.has_remark('no agent'):
            return
        self.start()
        if not page.has_remark('no store'):
            said = self.type('#', 'mortise init --tpm2 --recovery-file=/root/recovery-key')
            assert self.status == 0, said

    def end(self):
        if self.process:
            end_process(self.process)
        self.inside.stdin.close()
        self.inside.wait(DEADLINE_S)
        self.inside.stdout.close()

    def enter(self, prompt, *command):
        """The words that run a command there, as root or as alice."""
        user = [] if prompt == '#' else ['setpriv', '--reuid=alice', '--regid=alice', '--init-groups']
        path = prefix() + '/bin:' + prefix() + '/sbin:/usr/sbin:/usr/bin:/sbin:/bin'
        lib = os.path.dirname(glob.glob(prefix() + '/lib*/**/libmortise.pc', recursive=True)[0])
        environment = ['PATH=' + path, 'HOME=' + HOMES[prompt], 'LC_ALL=C.UTF-8', 'TZ=UTC',
                       'PKG_CONFIG_PATH=' + lib, 'LD_LIBRARY_PATH=' + os.path.dirname(lib)]
        return ['nsenter', '-t', str(self.inside.pid), '--mount', *user, 'env', '-i',
                '--chdir=' + HOMES[prompt], *environment, *command]

    def start(self):
        """The agent that answers at the usual place, with the usual configuration."""
        tpm = self.place.tpm()
        tool(tpm.tcti, 'tpm2_pcrextend', '7:sha256=' + '01' * 32)  # as firmware does, of whose certificates are trusted
        conf = CONF % tpm.tcti
        self.write('#', '/etc/mortise/mortised.conf', conf)
        ready, told = os.pipe()
        with open(self.place('mortised.log'), 'ab') as log:
            self.process = subprocess.Popen(
                self.enter('#', 'setpriv', '--pdeathsig=KILL', 'mortised', '--ready-fd=%d' % told),
                pass_fds=(told,), stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, stderr=log)
        os.close(told)
        readable, _, _ = select.select([ready], [], [], DEADLINE_S)
        assert readable and os.read(ready, 1) == b'\n', open(self.place('mortised.log')).read()
        os.close(ready)

    def type(self, prompt, command):
        """What a command prints; on both streams in the two orders that a reader may see."""
        line = '(exit %d); %s' % (self.status, command)
        done = subprocess.run(self.enter(prompt, 'bash', '-c', line), stdin=subprocess.DEVNULL,
                              capture_output=True, timeout=60)
        self.status = done.returncode
        said = [text + '\n' * (text[-1:] not in ('', '\n'))
                for text in (done.stdout.decode(errors='replace'), done.stderr.decode())]
        return ''.join(said), ''.join(reversed(said))

    def write(self, prompt, path, text):
        subprocess.run(self.enter(prompt, 'sh', '-c', 'cat >"$0"', path), input=text.encode(),
                       check=True)

    def shows_new_file(self, step):
        """Writes the file that a step shows, if it does and there is none; its path."""
        found = re.fullmatch(r'cat ([\w./@-]+)', step.command)
        if not found or not step.expected:
            return None
        there = subprocess.run(self.enter(step.prompt, 'test', '-e', found.group(1)))
        if there.returncode == 0:
            return None
        self.write(step.prompt, found.group(1), '\n'.join(step.expected) + '\n')
        return found.group(1)


def walk(host, page):
    """All steps; what differs is told at the end, altogether."""
    wrong = []
    for step in page.steps:
        if host.shows_new_file(step):
            continue
        said = host.type(step.prompt, step.command)
        if 'MORTISE_TEST_SHOW' in os.environ:
            print(re.sub('^', '# ', '%s %s\n%s' % (step.prompt, step.command, said[0]), flags=re.M))
        # A failure that the reader is not shown is none that was meant.
        is_unseen = host.status != 0 and step.expected in ([], ['...'])
        if is_unseen or not fits(step.expected, said):
            wrong.append('%s %s\n--- expected:\n%s\n--- said, with exit status %d:\n%s' % (
                step.prompt, step.command, '\n'.join(step.expected), host.status, said[0]))
    assert not wrong, '\n'.join(wrong)


def check_blocks(host, page):
    """Policies, expectations and configurations that stand on a page outside of a session."""
    texts = {kind: [text for one, _, text in page.blocks if one == kind]
             for kind in ('policy', 'expectations', 'config')}
    host.type('#', 'mkdir /mnt/policy.d')
    for number, text in enumerate(texts['policy']):
        host.write('#', '/mnt/policy.d/%02d.policy' % number, text)
    for text in texts['expectations'] or [NOTHING] * bool(texts['policy']):
        host.write('#', '/mnt/expectations', text)
        agree(host, 'mortise policy test /mnt/expectations', text)
    for text in texts['config']:
        host.write('#', '/mnt/conf', text + USER * ('[agent]' not in text))
        agree(host, 'mortised --check -c /mnt/conf', text)


def agree(host, command, text):
    said = host.type('#', command)
    assert host.status == 0, text + '\n' + said[1]


def register(page):
    def run(place):
        host = Host(place, page)
        check_blocks(host, page)
        host.status = 0
        walk(host, page)
    run.__name__ = 'what_%s(%s)_shows_is_what_happens' % (page.name, page.section)
    test(run, root=True)


for one in pages():
    if one.steps or any(kind in ('policy', 'config') for kind, _, _ in one.blocks):
        register(one)
tap.main()
