# SPDX-License-Identifier: ISC
"""tpm: fixtures of end-to-end tests for TPMs.

Tpm     a software TPM (with-tpm), which can be stopped, frozen and started again
Tap     a recorder between an agent and its TPM (tpm_tap, in MORTISE_TEST_BUILD)
tool()  a command of tpm2-tools
"""

import os
import signal
import subprocess
import time

HERE = os.path.dirname(os.path.abspath(__file__))
IS_ROOT = os.geteuid() == 0
AGENT_USER = 'uucp'  # as whom the agent, and so its sealer, runs if root tests
DEADLINE_S = 20


def end_process(process, number=signal.SIGTERM):
    """Sends a signal to a process that may have ended, and waits: its exit status."""
    if process and process.poll() is None:
        process.send_signal(number)
    return process.wait(DEADLINE_S) if process else None


class Tpm:
    """A software TPM whose state stays in its directory."""

    def __init__(self, path):
        self.path = path
        self.tcti = 'swtpm:path=%s/tpm.sock' % path
        self.process = None
        os.mkdir(path)
        self.start()

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.stop()

    def start(self):
        command = [HERE + '/with-tpm', '--dir=' + self.path]
        command += ['--as=' + AGENT_USER] if IS_ROOT else []
        command += ['sh', '-c', 'echo $MORTISE_TEST_TPM_PID; exec cat']
        self.process = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE)
        line = self.process.stdout.readline()
        if not line:
            raise AssertionError('no software TPM: is swtpm installed?')
        self.pid = int(line)

    def stop(self):
        """Ends when its input does, so that a test that dies leaves none behind."""
        if self.process:
            self.process.stdin.close()
            self.process.wait(DEADLINE_S)
            self.process.stdout.close()
        self.process = None

    def cut(self):
        """The power fails, and comes back."""
        os.kill(self.pid, signal.SIGKILL)
        self.stop()
        self.start()

    def freeze(self):
        os.kill(self.pid, signal.SIGSTOP)

    def thaw(self):
        os.kill(self.pid, signal.SIGCONT)


def tool(tcti, name, *arguments):
    """Output of a tpm2-tools command."""
    done = subprocess.run([name, *arguments], capture_output=True, timeout=DEADLINE_S,
                          env={'PATH': os.environ['PATH'], 'TPM2TOOLS_TCTI': tcti})
    if done.returncode != 0:
        raise AssertionError('%s: %s' % (name, done.stderr.decode()))
    return done.stdout


class Tap:
    """Relays to a TPM and records each phase in a file of its own."""

    def __init__(self, path, tpm):
        self.socket, self.tpm, self.process = path + '.sock', tpm, None
        self.tcti = 'swtpm:path=' + self.socket
        self.program = os.environ['MORTISE_TEST_BUILD'] + '/tpm_tap'

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.stop()

    def start(self, log):
        upstream = self.tpm.path + '/tpm.sock'
        if os.path.exists(self.socket):
            os.unlink(self.socket)
        self.process = subprocess.Popen([self.program, self.socket, upstream, log],
                                        umask=0 if IS_ROOT else -1)
        end = time.monotonic() + DEADLINE_S
        while not os.path.exists(self.socket):
            assert time.monotonic() < end and self.process.poll() is None, 'no tpm_tap'
            time.sleep(0.01)

    def stop(self):
        if self.process:
            end_process(self.process)
        self.process = None

    def commands(self, log):
        """The names of the TPM commands in a recording, in their order."""
        lines = subprocess.run([self.program, '--count', log], capture_output=True, check=True)
        return lines.stdout.decode().split()[1:]
