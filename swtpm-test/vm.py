# SPDX-License-Identifier: ISC
"""vm: a whole machine, with a kernel of its own and a TPM that this kernel's driver finds.

Machine   qemu by TCG, a Debian of swtpm-test/tree, and swtpm behind a TIS: so /dev/tpmrm0 is real. Disk and
          TPM outlive the boots.
Arm64     the same for arm64, without a TPM
Unified   Machine as a unified kernel image on OVMF: firmware, systemd-stub and systemd measure it
boots.py has what a script inside does. It is started behind multi-user.target, at each boot, once. /out is
a directory of the host's (9p), and what was written there survives when the plug is pulled.
Not by KVM: within a virtual machine that was seen to hang.
"""

import contextlib
import os
import shutil
import signal
import subprocess
import time

import boots
from boots import Booted, in_turn  # noqa: F401: for who boots
from tap import Skip, until

# The next step, and after it a reboot, unless it was the last.
RUN = '''exec >/dev/console 2>&1
cd /out
head -n 1 steps >step
sed -i 1d steps
MORTISE_TEST_TRACE=1 python3 /out/%s
[ ! -s steps ] || systemctl reboot
'''
CMDLINE = 'root=LABEL=root rw console=%s quiet'
ESP_BYTES = 96 << 20
OVMF = '/usr/share/OVMF/OVMF_%s_4M.fd'
# Nothing that a boot would look for and no test is about.
BARE = ('-nodefaults', '-vga', 'none', '-display', 'none', '-net', 'none', '-device', 'virtio-rng-pci')


def need(*programs):
    for program in programs:
        if not shutil.which(program):
            raise Skip(program + ' is not installed')


def end(process):
    if process and process.poll() is None:
        process.send_signal(signal.SIGKILL)
    if process:
        process.wait()


class Machine(Booted):
    boot_s = 1200  # 25 to 60 s on two idle cores
    emulator, kind, console = 'qemu-system-x86_64', ('vm',), 'ttyS0'
    processor = ('-cpu', 'qemu64,-svm,+rdrand')

    def __init__(self, place, suite, script, *others):
        need(self.emulator, 'qemu-img', 'swtpm')
        super().__init__(place, script, *others)
        self.suite, self.tree, self.seconds = suite, boots.tree(suite, *self.kind), {}
        place.file('out/run', RUN % script)
        self.disk = place('disk.qcow2')
        subprocess.run(['qemu-img', 'create', '-q', '-f', 'qcow2', '-F', 'raw', '-b', self.tree + '.img',
                        self.disk], check=True)

    def firmware(self):
        """How it starts: here the kernel itself, without a boot loader."""
        return ('-kernel', self.tree + '/vmlinuz', '-initrd', self.tree + '/initrd.img', '-append',
                CMDLINE % self.console)

    def start_tpm(self, name):
        """A TPM is known by its name: with another one, there is another TPM."""
        if not name:
            return None, ()
        if not os.path.exists(self.place(name)):
            self.place.directory(name, 0o700)
        control = self.place(name + '.ctrl')
        process = subprocess.Popen(
            ['setpriv', '--pdeathsig=KILL', 'swtpm', 'socket', '--tpm2', '--tpmstate', 'dir=' + self.place(name),
             '--ctrl', 'type=unixio,path=' + control], stdin=subprocess.DEVNULL)
        until(lambda: os.path.exists(control), what='no swtpm')
        return process, ('-chardev', 'socket,id=tpm,path=' + control, '-tpmdev', 'emulator,id=tpm0,chardev=tpm',
                         '-device', 'tpm-tis,tpmdev=tpm0')

    def boot(self, *steps, tpm='tpm', until_then=None):
        """
        Boots, and after each step but the last the machine does so again, by itself; then the plug is
        pulled, and that of the TPM: what neither has on its disk is gone. until_then() is waited for before.
        """
        self.place.file('out/steps', ''.join(step + '\n' for step in steps))
        swtpm, tpm_options = self.start_tpm(tpm)
        began, came = time.monotonic(), []
        try:
            machine = self.start(steps[0], tpm_options)
            try:
                for step in steps:
                    came.append(self.wait_for(step, machine))
                    self.seconds[step] = time.monotonic() - began
                    began = time.monotonic()
                if until_then:
                    until(until_then, self.boot_s)
            finally:
                end(machine)
        finally:
            end(swtpm)
            if swtpm:
                with contextlib.suppress(FileNotFoundError):  # it may have ended by itself, with its machine
                    os.unlink(self.place(tpm + '.ctrl'))
        return came

    def start(self, step, options):
        console = self.place('console.' + step)
        return subprocess.Popen(
            ['setpriv', '--pdeathsig=KILL', self.emulator, '-accel', 'tcg,thread=multi', *self.processor,
             '-smp', '1', '-m', '1024', *BARE, '-serial', 'file:' + console,
             '-drive', 'if=virtio,format=qcow2,file=' + self.disk, '-virtfs',
             'local,security_model=none,mount_tag=out,path=' + self.place('out'), *options, *self.firmware()],
            stdin=subprocess.DEVNULL)

    def said(self, step):
        """A console is called after the first step of its boots."""
        try:
            return super().said(step)
        except FileNotFoundError:
            return ''

    def tell(self, title, step, came):
        """A line of what was seen, for whoever reads the tests, and in build/boots."""
        seen = came['seen']
        line = '%s, %s: Linux %s, systemd %s, %s, evidence %s, %s; %d s in all' % (
            title, step, seen['kernel'], seen['systemd'], seen['tpm'], seen['evidence'], seen['opened'],
            self.seconds[step])
        print('# ' + line, flush=True)
        directory = os.environ['MORTISE_TEST_SOURCE'] + '/build/boots'
        os.makedirs(directory, exist_ok=True)
        with open('%s/%s %s' % (directory, title, step), 'w') as file:
            file.write(line + '\n')


class Arm64(Machine):
    """No TPM: Debian 12's kernel for arm64 has no tpm_tis."""
    emulator, kind, console = 'qemu-system-aarch64', ('vm-dev', 'arm64'), 'ttyAMA0'
    processor = ('-machine', 'virt', '-cpu', 'max,pauth-impdef=on')


class Unified(Machine):
    def __init__(self, place, suite, script, *others):
        need('mkfs.vfat', 'mcopy', 'openssl')
        if not os.path.exists(OVMF % 'CODE'):
            raise Skip('ovmf is not installed')
        super().__init__(place, suite, script, *others)
        if not os.path.exists(self.tree + '/usr/lib/systemd/boot/efi/linuxx64.efi.stub'):
            raise Skip('that Debian has no systemd-stub')
        place.directory('uki')
        shutil.copy(boots.HERE + '/make_uki', place('uki'))
        shutil.copy(OVMF % 'VARS', place('vars.fd'))

    def make_key(self, name):
        """One that signs what PCR 11 is to hold."""
        path = self.place('uki/' + name)
        for command in (['genpkey', '-quiet', '-algorithm', 'RSA', '-out', path + '.pem'],
                        ['pkey', '-in', path + '.pem', '-pubout', '-out', path + '.pub']):
            subprocess.run(['openssl', *command], check=True)

    def make_image(self, name, key, *phases, options=''):
        """What boots from now on: a kernel, its initrd and command line, with phases signed by key."""
        self.place.file('uki/%s.cmdline' % name, ' '.join((CMDLINE % self.console, options)))
        done = subprocess.run(
            [boots.HERE + '/with-tpm', '--dir=' + self.place('uki/tpm'), boots.HERE + '/in_tree', self.tree,
             self.place('uki'), './make_uki', name, key, *phases], capture_output=True)
        assert done.returncode == 0, done.stderr.decode()
        esp = self.place('esp.img')
        with open(esp, 'wb') as file:
            file.truncate(ESP_BYTES)
        for command in (['mkfs.vfat', esp], ['mmd', '-i', esp, '::/EFI', '::/EFI/BOOT'],
                        ['mcopy', '-i', esp, self.place('uki/%s.efi' % name), '::/EFI/BOOT/BOOTX64.EFI']):
            subprocess.run(command, check=True, stdout=subprocess.DEVNULL)

    def firmware(self):
        return ('-machine', 'q35', '-drive', 'if=pflash,format=raw,readonly=on,file=' + OVMF % 'CODE',
                '-drive', 'if=pflash,format=raw,file=' + self.place('vars.fd'),
                '-drive', 'if=virtio,format=raw,file=' + self.place('esp.img'))
