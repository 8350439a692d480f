#!/usr/bin/env python3
# SPDX-License-Identifier: ISC
"""The installed units under a real systemd, behind a software TPM: installed as
docs/operations.md says, used, cut off from power, booted again, and booted without the TPM.

boot_inside.py is what runs in the container. The three boots are made once, for all tests.
"""

import functools
import glob
import json
import os
import re
import shutil
import signal
import subprocess
import tempfile
import time

import tap
from agent import Place, prefix
from tap import Skip, has, same, test, until
from tpm import tool

HERE = os.path.dirname(os.path.abspath(__file__))
DENIED, TRY_AGAIN, BOOT_S, EXPOSURE_MAX = 77, 75, 120, 0.7
CAP_SYS_PTRACE = 1 << 19
# What systemd-nspawn of 2022 keeps from its containers, and the agent cannot do without.
SYSCALLS = 'memfd_secret landlock_create_ruleset landlock_add_rule landlock_restrict_self seccomp'
CONF = '[agent]\nenvironment = prod\n[tpm2]\ntcti = swtpm:path=/tpm/tpm.sock\n'
PROBE = '''[Unit]
After=multi-user.target
[Service]
Type=oneshot
ExecStart=/usr/bin/python3 /out/boot_inside.py step
'''
EARLY = '''[Unit]
DefaultDependencies=no
Requires=mortised.socket
After=mortised.socket
[Service]
Type=oneshot
RemainAfterExit=yes
User=alice
ExecStart=/opt/mortise/bin/mortise --wait=30 get --out=/var/lib/early/said prod/early/password
[Install]
WantedBy=sockets.target
'''
# The machine has a namespace of processes around its own: with whoever made that, all of it dies
# at once, and the mount goes too. Of systemd-nspawn alone it would not.
BOOT = '''disk=lowerdir=$1,upperdir=$2/upper,workdir=$2/work
mount -t overlay overlay -o "$disk" "$2/root" || exit 99
shift 2
exec "$@"'''


def find_tree():
    if not shutil.which('systemd-nspawn'):
        raise Skip('systemd-nspawn is not installed')
    done = subprocess.run([HERE + '/boot_tree'], capture_output=True, timeout=900)
    if done.returncode != 0:
        raise Skip(done.stderr.decode().strip() or 'no tree to boot')
    return done.stdout.decode().strip()


class Machine:
    """A disk that outlives its boots: what was written to the tree."""

    def __init__(self, place):
        self.place, self.tree, self.tpm = place, find_tree(), place.tpm()
        for name in ('upper', 'work', 'root', 'out'):
            place.directory(name)
        shutil.copy(HERE + '/boot_inside.py', place('out'))
        self.install()

    def put(self, path, text):
        path = self.place('upper') + path
        os.makedirs(os.path.dirname(path), exist_ok=True)
        with open(path, 'w') as file:
            file.write(text)

    def install(self):
        """The installation, at /opt/mortise: its units know it by another name."""
        lib = prefix() + '/lib/'
        for name in ('systemd/system/mortised.service', 'systemd/system/mortised.socket',
                     'systemd/system/mortise-unsealed.service', 'sysusers.d/mortise.conf',
                     'tmpfiles.d/mortise.conf'):
            with open(lib + name) as file:
                text = file.read().replace(prefix(), '/opt/mortise')
            text = re.sub(r'^(ExecStart=.*/mortised)$',
                          r'\1 --sealer=/opt/mortise/libexec/mortise-sealer', text, flags=re.M)
            self.put('/usr/lib/' + name, text)
        self.put('/etc/mortise/mortised.conf', CONF)
        self.put('/etc/systemd/system/probe.service', PROBE)
        self.put('/etc/systemd/system/early.service', EARLY)
        wants = self.place('upper/etc/systemd/system/multi-user.target.wants')
        os.mkdir(wants)
        os.symlink('/etc/systemd/system/probe.service', wants + '/probe.service')

    def let_in(self):
        """The container's users are not the host's."""
        for name in ('/tpm.sock', '/tpm.sock.ctrl'):
            os.chmod(self.tpm.path + name, 0o666)

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
                 '--bind=%s:/tpm' % self.tpm.path, '--bind-ro=%s:/opt/mortise' % prefix(),
                 '--boot', 'systemd.unit=multi-user.target', 'systemd.mask=console-getty.service',
                 'systemd.mask=getty.target', 'systemd.mask=systemd-logind.service'],
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
            if process.poll() is not None or time.monotonic() > end:
                with open(self.place('console.' + step), errors='replace') as console:
                    said = console.read()
                if 'Welcome to' not in said:
                    raise Skip('no container boots here: %r' % said[-200:])
                raise AssertionError('booted, and came to nothing:\n' + said[-1500:])
            if os.path.exists(self.place('out/want-tpm')):
                os.unlink(self.place('out/want-tpm'))
                self.give_tpm()
            time.sleep(0.02)
        with open(path) as file:
            results = json.load(file)
        assert 'failed' not in results, '%s\n%s' % (results['failed'], results['journal'])
        results['up'] = results['seconds'][0] - self.began
        return results


@functools.lru_cache(None)
def boots():
    """{step: results}, up to the first that fails, and why there are no more."""
    came = {}
    with Place() as place:
        try:
            machine = Machine(place)
            machine.let_in()
            came['first'] = machine.boot('first')
            machine.tpm.stop()
            machine.tpm.start()
            machine.let_in()
            came['again'] = machine.boot('again')
            machine.tpm.freeze()
            came['slow'] = machine.boot('slow')
            machine.tpm.stop()
            came['missing'] = machine.boot('missing')
            tool(machine.tpm.tcti, 'tpm2_clear', '-c', 'p')
            came['cleared'] = machine.boot('cleared')
        except Skip as reason:
            came['skip'] = str(reason)
        except Exception as fault:
            came['fault'] = str(fault)
    return came


def step(name):
    came = boots()
    if 'skip' in came:
        raise Skip(came['skip'])
    assert name in came, came.get('fault')
    return came[name]


@test(root=True)
def the_units_start_before_there_is_a_store_and_root_is_the_first_admin(place):
    came = step('first')
    same(came['check'][0], 0, came['check'])
    has(came['before init'], 'uninitialised')
    has(came['first policy'], 'user   = 0')


@test(root=True)
def the_agent_s_exposure_is_at_most_0_7(place):
    text = step('first')['exposure']
    print('# ' + text.encode('ascii', 'ignore').decode())
    exposure = float(re.search(r'mortised\.service: ([0-9.]+)', text).group(1))
    assert exposure <= EXPOSURE_MAX, text


@test(root=True)
def under_that_unit_callers_are_known_by_user_group_and_unit(place):
    came = step('first')
    same(came['unit'], [0, 'unit'])
    same(came['other unit'][0], DENIED, came['other unit'])
    same(came['group'], [0, 'group'])
    same(came['other group'][0], DENIED, came['other group'])
    has(came['whoami'][1], '"uid": 1000', '"groups": "1000 1001"',
        '"unit": "backup.service system.slice"')


@test(root=True)
def no_process_of_the_agent_has_a_capability_or_may_get_one(place):
    came = step('first')
    assert len(came['processes']) >= 2, came['processes']
    for process in came['processes']:
        same(process, [came['uid'], '0' * 16, '0' * 16, '1', '2'])


@test(root=True)
def directories_and_files_have_the_modes_that_the_manual_says(place):
    same(step('first')['modes'], {
        '/run/mortise': 'mortise:mortise 755', '/run/mortise/mortise.sock': 'root:root 666',
        '/var/lib/mortise': 'mortise:mortise 700',
        '/var/lib/mortise/store.db': 'mortise:mortise 600',
        '/var/log/mortise': 'mortise:mortise 750',
        '/var/log/mortise/audit.log': 'mortise:mortise 640'})


@test(root=True)
def a_rule_by_exe_allows_with_the_drop_in_only_which_gives_one_capability(place):
    came = step('first')
    same(came['exe without'][0], DENIED, came['exe without'])
    same(came['exe with'], [0, 'exe'])
    assert [process for process in came['exe processes'] if int(process[1], 16)], came
    for process in came['exe processes']:
        assert int(process[2], 16) in (0, CAP_SYS_PTRACE), process


@test(root=True)
def a_reload_applies_the_configuration_and_a_wrong_one_is_refused(place):
    came = step('first')
    assert came['wrong file'][0] != 0, came['wrong file']
    same(came['wrong file then'], [0, 'root'])
    same(came['same agent'][0], came['same agent'][1])
    has(came['after reload'], 'unsealed')


@test(root=True)
def none_of_10000_requests_fails_while_the_agent_is_restarted_and_reloaded(place):
    came = step('first')
    done, failures, seconds = came['load']
    print('# %d restarts and reloads within %.1f s' % (len(done), seconds))
    same(failures, [])
    under_way = [verb for verb, percent in done if percent < 100]
    assert 'reload' in under_way and under_way.count('restart') >= 2, done
    same(came['verify'][0], 0, came['verify'])


@test(root=True)
def the_watchdog_hears_of_the_keeper(place):
    same(step('first')['watchdog'], True)


@test(root=True)
def after_a_power_cut_it_unseals_by_itself_and_all_is_there(place):
    came = step('again')
    print('# up after %.1f s' % came['up'])
    for case in ('status', 'unsealed', 'verify', 'log'):
        same(came[case][0], 0, (case, came[case]))


@test(root=True)
def a_job_that_asks_before_the_agent_runs_gets_its_secret(place):
    came = step('again')
    same(came['early'], ['early', 'success'])
    assert came['early began'] < came['agent ready'], came


@test(root=True)
def without_its_tpm_the_host_boots_and_the_agent_says_why_it_is_sealed(place):
    came = step('missing')
    same(came['boot'], [0, 'active'])
    same(came['agent'], 'active')
    has(came['text'], 'sealed', 'no TPM answers', 'mortised.conf')
    has(came['status'][1], 'no TPM answers')
    for case in ('get', 'waiting', 'unsealed', 'status'):
        same(came[case][0], TRY_AGAIN, (case, came[case]))


@test(root=True)
def behind_a_tpm_that_does_not_answer_the_host_boots_and_jobs_wait(place):
    came = step('slow')
    same(came['boot'], [0, 'active'])
    same(came['text'], 'unsealing')
    same(came['get'][0], TRY_AGAIN, came['get'])
    same(came['late'], [0, 'root'])


@test(root=True)
def behind_a_cleared_tpm_it_says_so_and_the_recovery_key_opens_the_store(place):
    came = step('cleared')
    same(came['boot'], [0, 'active'])
    has(came['text'], 'sealed', 'cleared', 'mortise recover')
    same(came['get'][0], TRY_AGAIN, came['get'])
    same(came['recovery'][0], 0, came['recovery'])
    same(came['then'], [0, 'root'])


@test(root=True)
def a_tpm_that_comes_late_is_used_without_anybody_s_help(place):
    same(step('missing')['late'], [0, 'root'])


if __name__ == '__main__':
    tap.main()
