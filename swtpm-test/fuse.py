# SPDX-License-Identifier: ISC
"""fuse: a caller whose program lies on a file system of its own that has stopped answering (fuse_caller.c)."""

import os
import pwd
import shutil
import subprocess

import wire
from agent import ALICE
from tap import Skip

WHOAMI = 3


def uid_of(user):
    return pwd.getpwnam(user).pw_uid


class FuseCaller:
    """A process of alice's whose program's file system has stopped answering."""

    def __init__(self, place, agent, merged, *wrapping, how=()):
        if not os.path.exists('/dev/fuse'):
            raise Skip('no /dev/fuse here')
        tool = os.path.join(os.environ['MORTISE_TEST_BUILD'], 'fuse_caller')
        room, program = place.directory('room', 0o777), place('fuse_caller')
        shutil.copy(tool, program)
        os.chmod(program, 0o755)
        alice = {} if wrapping else {'user': uid_of(ALICE), 'group': uid_of(ALICE),
                                     'extra_groups': []}
        self.process = subprocess.Popen(
            [*wrapping, program, room, merged, agent.socket, wire.pack(WHOAMI, {}).hex(), *how],
            stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.PIPE, cwd='/', **alice)
        place.callback(self.end)
        if self.process.stdout.readline() != b'mute\n':
            raise Skip('no such file system here: ' + self.process.communicate()[1].decode())

    def begin(self):
        self.process.stdin.write(b'x')
        self.process.stdin.flush()

    def finish(self):
        return bytes.fromhex(self.process.stdout.readline().decode())

    def end(self):
        self.process.kill()
        self.process.wait()


def needs_names_of_the_kernel():
    """Skips what an old kernel that is played to a whole suite has not."""
    if os.environ.get('MORTISE_TEST_KERNEL') == '6.1':
        raise Skip('SO_PEERPIDFD is what it is about')
