# SPDX-License-Identifier: ISC
"""nspawn: what tests need that boot a container with systemd-nspawn.

tree()     a Debian to boot
Machine    a disk that outlives its boots, with a TPM outside; its plug is pulled after each
in_turn()  boots that are made once, for all tests of a file
A script inside does what a boot is for: it is called as `SCRIPT STEP` and writes its results to
/out/STEP.json, see inside.py.
"""

import functools
import glob
import json
import os
import re
import shutil
import signal
import subprocess
import time

from agent import Place, prefix
from tap import Skip, until

HERE = os.path.dirname(os.path.abspath(__file__))
# What systemd-nspawn of 2022 keeps from its containers, and the agent cannot do without.
SYSCALLS = 'memfd_secret landlock_create_ruleset landlock_add_rule landlock_restrict_self seccomp'
BOOT_S = 120
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


@functools.lru_cache(None)
def tree():
    """The path of a Debian to boot; skips where there is none."""
    if not shutil.which('systemd-nspawn'):
        raise Skip('systemd-nspawn is not installed')
    done = subprocess.run([HERE + '/boot_tree'], capture_output=True, timeout=900)
    if done.returncode != 0:
        raise Skip(done.stderr.decode().strip() or 'no tree to boot')
    return done.stdout.decode().strip()


class Machine:
    """Boots systemd, or runs the script alone with boots=False."""

    def __init__(self, place, script, boots=True):
        self.place, self.tree, self.tpm = place, tree(), place.tpm()
        self.script, self.binds, self.wishes = script, [], {'tpm': self.give_tpm}
        self.how = AS_INIT if boots else ('--as-pid2', '/usr/bin/python3', '/out/' + script)
        for name in ('upper', 'work', 'root', 'out'):
            place.directory(name)
        for name in (script, 'inside.py'):
            shutil.copy(os.path.join(HERE, name), place('out'))
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
            return self.wait_for(step, process)
        finally:
            process.send_signal(signal.SIGKILL)
            process.wait()
            until(lambda: not self.is_running(), what='something outlives the machine')

    def is_running(self):
        """Is there still a process that has the machine's disk mounted?"""
        found = subprocess.run(['grep', '-Fqs', self.place('upper'),
                                *glob.glob('/proc/[0-9]*/mountinfo')], check=False)
        return found.returncode == 0

    def wait_for(self, step, process):
        path, end = self.place('out/%s.json' % step), time.monotonic() + BOOT_S
        while not os.path.exists(path):
            ended = process.poll() is not None and not os.path.exists(path)
            if ended or time.monotonic() > end:
                with open(self.place('console.' + step), errors='replace') as console:
                    self.give_up(console.read())
            self.grant_wishes()
            time.sleep(0.02)
        with open(path) as file:
            results = json.load(file)
        assert 'failed' not in results, '%s\n%s' % (results['failed'], results['journal'])
        results['up'] = results['seconds'][0] - self.began
        return results

    def grant_wishes(self):
        """What inside.want() asks for; the script goes on when its file is gone."""
        for name, grant in self.wishes.items():
            path = self.place('out/want-' + name)
            if os.path.exists(path):
                grant()
                os.unlink(path)

    def give_up(self, said):
        if 'Welcome to' not in said and self.how == AS_INIT:
            raise Skip('no container boots here: %r' % said[-200:])
        raise AssertionError('began, and came to nothing:\n' + said[-1500:])


def in_turn(plan):
    """
    step(NAME) gives the results of a boot. plan(place, came) makes all of them at the first
    call, one after the other, and puts each into came; what keeps it from that, fails the rest.
    """
    @functools.lru_cache(None)
    def boots():
        came = {}
        with Place() as place:
            try:
                plan(place, came)
            except Skip as reason:
                came['skip'] = str(reason)
            except Exception as fault:  # each test says it
                came['fault'] = '%s: %s' % (type(fault).__name__, fault)
        return came

    def step(name):
        came = boots()
        if name not in came and 'skip' in came:
            raise Skip(came['skip'])
        assert name in came, came.get('fault')
        return came[name]
    return step
