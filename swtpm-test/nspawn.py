# SPDX-License-Identifier: ISC
"""nspawn: what tests need that boot a container with systemd-nspawn.

tree()     a Debian to boot
Machine    a disk that outlives its boots, with a TPM outside; its plug is pulled after each
boots.py has what a script inside does.
"""

import glob
import os
import re
import shutil
import signal
import subprocess
import time

from agent import prefix
from boots import Booted, in_turn  # noqa: F401: for who boots
from boots import tree as tree_of
from tap import Skip, until

# What systemd-nspawn of 2022 keeps from its containers, and the agent cannot do without.
SYSCALLS = 'memfd_secret landlock_create_ruleset landlock_add_rule landlock_restrict_self seccomp'
PROBE = '''[Unit]
After=multi-user.target
[Service]
Type=oneshot
ExecStart=/usr/bin/python3 /out/%s
'''
CONF = '[agent]\nenvironment = prod\n[tpm2]\ntcti = swtpm:path=/tpm/tpm.sock\n'
# The machine has a namespace of processes around its own: with whoever made that, all of it dies
# at once, and the mount goes too. Of systemd-nspawn alone it would not.
BOOT = '''disk=lowerdir=$1,upperdir=$2/upper,workdir=$2/work
mount -t overlay overlay -o "$disk" "$2/root" || exit 99
shift 2
exec "$@"'''
# What none of these tests is about; a console of its own would be waited for.
AS_INIT = ('--boot', 'systemd.unit=multi-user.target', 'systemd.mask=console-getty.service',
           'systemd.mask=getty.target', 'systemd.mask=systemd-logind.service')


def tree(suite='own'):
    """The path of a Debian to boot; 'own' is the release for which the installation under test is linked."""
    if not shutil.which('systemd-nspawn'):
        raise Skip('systemd-nspawn is not installed')
    return tree_of(suite, 'nspawn')


class Machine(Booted):
    """Boots systemd, or runs the script alone with boots=False."""

    def __init__(self, place, script, boots=True, suite='own'):
        super().__init__(place, script)
        self.tree, self.tpm = tree(suite), place.tpm()
        self.script, self.binds, self.wishes = script, [], {'tpm': self.give_tpm}
        self.how = AS_INIT if boots else ('--as-pid2', '/usr/bin/python3', '/out/' + script)
        for name in ('upper', 'work', 'root'):
            place.directory(name)
        self.put('/etc/systemd/system/probe.service', PROBE % script)
        wants = self.place('upper/etc/systemd/system/multi-user.target.wants')
        os.mkdir(wants)
        os.symlink('/etc/systemd/system/probe.service', wants + '/probe.service')
        self.let_in()

    def put(self, path, text, mode=0o644):
        path = self.place('upper') + path
        os.makedirs(os.path.dirname(path), exist_ok=True)
        with open(path, 'w') as file:
            file.write(text)
        os.chmod(path, mode)

    def install(self):
        """The installation under test, at /opt/mortise: its files know it by another name."""
        for top in ('lib/systemd/system', 'lib/sysusers.d', 'lib/tmpfiles.d', 'share/mortise'):
            for name in os.listdir('%s/%s' % (prefix(), top)):
                self.put_installed('%s/%s' % (top, name))
        self.put('/etc/mortise/mortised.conf', CONF)
        self.binds.append('--bind-ro=%s:/opt/mortise' % prefix())

    def put_installed(self, name):
        with open('%s/%s' % (prefix(), name)) as file:
            text = file.read().replace(prefix(), '/opt/mortise')
        text = re.sub(r'^(ExecStart=.*/mortised|exec .*/mortised)$',
                      r'\1 --sealer=/opt/mortise/libexec/mortise-sealer', text, flags=re.M)
        self.put('/usr/' + name, text, os.stat('%s/%s' % (prefix(), name)).st_mode & 0o777)

    def let_in(self):
        """The container's users are not the host's."""
        for name in ('/tpm.sock', '/tpm.sock.ctrl'):
            os.chmod(self.tpm.path + name, 0o666)

    def restart_tpm(self):
        """What it had in its volatile memory is gone, as after a power cut."""
        self.tpm.stop()
        self.tpm.start()
        self.let_in()

    def give_tpm(self):
        """To who waits for it: it comes late, or answers at last."""
        if self.tpm.process:
            self.tpm.thaw()
        else:
            self.tpm.start()
            self.let_in()

    def boot(self, step):
        """Boots, until its results are there; then the plug is pulled."""
        self.place.file('out/step', step)
        self.began = time.monotonic()
        place = self.place.path
        with open(self.place('console.' + step), 'wb') as console:
            process = subprocess.Popen(
                ['setpriv', '--pdeathsig=KILL', 'unshare', '--mount', '--pid', '--mount-proc',
                 '--fork', '--kill-child=KILL', 'sh', '-c', BOOT, 'sh', self.tree, place,
                 'systemd-nspawn', '--quiet', '--directory=%s/root' % place, '--register=no',
                 '--keep-unit', '--system-call-filter=' + SYSCALLS, '--rlimit=MEMLOCK=64M',
                 '--machine=mortise-boot-%d' % os.getpid(), '--bind=%s/out:/out' % place,
                 '--bind=%s:/tpm' % self.tpm.path, *self.binds, *self.how],
                stdin=subprocess.DEVNULL, stdout=console, stderr=subprocess.STDOUT,
                env={**os.environ, 'SYSTEMD_NSPAWN_UNIFIED_HIERARCHY': '1'})
        try:
            results = self.wait_for(step, process)
            results['up'] = results['seconds'][0] - self.began
            return results
        finally:
            process.send_signal(signal.SIGKILL)
            process.wait()
            until(lambda: not self.is_running(), what='something outlives the machine')

    def is_running(self):
        """Is there still a process that has the machine's disk mounted?"""
        found = subprocess.run(['grep', '-Fqs', self.place('upper'),
                                *glob.glob('/proc/[0-9]*/mountinfo')], check=False)
        return found.returncode == 0

    def give_up(self, step):
        said = self.said(step)
        if 'Welcome to' not in said and self.how == AS_INIT:
            raise Skip('no container boots here: %r' % said[-200:])
        super().give_up(step)
