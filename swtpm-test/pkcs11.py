# SPDX-License-Identifier: ISC
"""pkcs11: fixtures of end-to-end tests for PKCS #11 tokens, and a keeper for one sealer.

SoftHsm     a token of SoftHSM2, which can be taken out and put back
Tpm2Token   a token of tpm2-pkcs11 on a software TPM, behind tpm2-abrmd on a D-Bus of its own
Sealer      one mortise-sealer and its answers
"""

import contextlib
import os
import signal
import socket
import struct
import subprocess
import time

import wire
from tpm import DEADLINE_S, end_process

SOFTHSM = '/usr/lib/softhsm/libsofthsm2.so'
TPM2_PKCS11 = '/usr/lib/%s-linux-gnu/libtpm2_pkcs11.so.1' % os.uname().machine
PIN = b'correct-Horse'

ENROL, OPEN, HEALTH, HARDWARE = 528, 529, 531, 9
SLOT_KIND, TOKEN_PIN, URI, KEY, BLOB, ENTROPY, FAULT = 22, 37, 38, 40, 41, 42, 43
FAULTS = dict(enumerate((
    'none absent busy timeout died lockout failure-mode owner-auth no-srk other-srk unfit-srk '
    'refused full malformed unsupported other wrong-pin no-pin other-pcrs no-signature '
    'no-counter other-count no-module srk-auth unfit-wish').split()))

# What a blob has where (agent/sealer/pkcs11_link.h).
MECHANISM, HEADER_SIZE = 2, 116
MECHANISMS = {1: 'gcm', 2: 'oaep-sha256', 3: 'oaep-sha1', 4: 'ecdh'}


def sealer_program():
    return os.environ.get('MORTISE_TEST_SEALER',
                          os.environ['MORTISE_TEST_PREFIX'] + '/libexec/mortise-sealer')


def call(*command, **env):
    done = subprocess.run(command, capture_output=True, timeout=DEADLINE_S,
                          env={'PATH': os.environ['PATH'], **env})
    if done.returncode != 0:
        raise AssertionError('%s: %s' % (command, done.stderr.decode() + done.stdout.decode()))
    return done.stdout.decode()


class SoftHsm:
    """A token in path; env and modules are what [pkcs11] would have."""

    def __init__(self, path, label='mortise-test'):
        self.tokens, self.conf, self.label = path + '/tokens', path + '/softhsm2.conf', label
        os.makedirs(self.tokens, mode=0o700)
        with open(self.conf, 'w') as file:
            file.write('directories.tokendir = %s\nobjectstore.backend = file\n'
                       'log.level = ERROR\n' % self.tokens)
        self.env = {'SOFTHSM2_CONF': self.conf}
        self.modules = [SOFTHSM]
        self.add(label)

    def add(self, label, pin=PIN):
        call('softhsm2-util', '--init-token', '--free', '--label', label, '--so-pin', '12345678',
             '--pin', pin.decode(), **self.env)

    def take_out(self):
        os.rename(self.tokens, self.tokens + '-away')
        os.mkdir(self.tokens)

    def put_back(self):
        os.rmdir(self.tokens)
        os.rename(self.tokens + '-away', self.tokens)

    def objects(self):
        """How many object files all tokens have."""
        return sum(name.endswith('.object') and name != 'token.object'
                   for _, _, names in os.walk(self.tokens) for name in names)


class Tpm2Token(contextlib.ExitStack):
    """A token on a Tpm. The resource manager stands between: swtpm has three object slots."""

    def __init__(self, path, tpm, label='mortise-tpm'):
        super().__init__()
        self.path, self.modules = path, [TPM2_PKCS11]
        store, bus = path + '/store', path + '/bus'
        os.makedirs(store, mode=0o700)
        with open(path + '/bus.conf', 'w') as file:
            file.write('<busconfig><type>session</type><listen>unix:path=%s</listen>'
                       '<auth>EXTERNAL</auth><policy context="default"><allow user="*"/>'
                       '<allow own="*"/><allow send_destination="*"/>'
                       '<allow receive_sender="*"/></policy></busconfig>' % bus)
        tcti = 'tabrmd:bus_type=session'
        self.env = {'DBUS_SESSION_BUS_ADDRESS': 'unix:path=' + bus,
                    'TPM2_PKCS11_STORE': store, 'TPM2_PKCS11_TCTI': tcti}
        try:
            self.daemon('dbus-daemon', '--nofork', '--nopidfile', '--nosyslog',
                        '--config-file=%s/bus.conf' % path)
            self.until(lambda: os.path.exists(bus))
            self.daemon('tpm2-abrmd', '--session', '--allow-root', '--flush-all',
                        '--tcti=' + tpm.tcti, **self.env)
            self.until(lambda: self.answers(tcti))
            tool = {**self.env, 'TPM2TOOLS_TCTI': tcti}
            call('tpm2_ptool', 'init', '--path=' + store, **tool)
            call('tpm2_ptool', 'addtoken', '--pid=1', '--sopin=12345678',
                 '--userpin=' + PIN.decode(), '--label=' + label, '--path=' + store, **tool)
        except BaseException:
            self.close()
            raise

    def daemon(self, *command, **env):
        log = self.enter_context(open(self.path + '/log', 'ab'))
        process = subprocess.Popen(
            ['setpriv', '--pdeathsig=KILL', *command], stdin=subprocess.DEVNULL, stdout=log,
            stderr=log, env={'PATH': os.environ['PATH'] + ':/usr/sbin', **env})
        self.callback(end_process, process)

    def answers(self, tcti):
        return subprocess.run(
            ['tpm2_getcap', 'properties-fixed'], stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL, env={'PATH': os.environ['PATH'], 'TPM2TOOLS_TCTI': tcti,
                                            **self.env}).returncode == 0

    def until(self, condition):
        end = time.monotonic() + DEADLINE_S
        while not condition():
            if time.monotonic() > end:
                with open(self.path + '/log') as log:
                    raise AssertionError('no tpm2-abrmd: ' + log.read())
            time.sleep(0.05)


class Answer:
    """fault is '' after a success."""

    def __init__(self, frame):
        code, fields = wire.unpack(frame)
        self.h, self.blob = fields.get(KEY), fields.get(BLOB)
        self.uri = fields.get(URI, b'').decode('ascii')
        self.text = fields.get(wire.TEXT, b'').decode('ascii')
        self.code, self.fault = code, ''
        if code == HARDWARE:
            self.fault = FAULTS[struct.unpack('<Q', fields[FAULT])[0]]
        elif code != 0:
            self.fault = 'status %d' % code

    def __repr__(self):
        return 'fault %r, text %r' % (self.fault, self.text)

    @property
    def mechanism(self):
        return MECHANISMS[self.blob[MECHANISM]]


class Sealer:
    """A mortise-sealer at work; as the keeper would, this waits for its answer or its end."""

    def __init__(self, modules, env, pin_file=None, deadline_ms=15000, output=None, wrapper=()):
        ours, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        ours.settimeout(DEADLINE_S)
        options = ['--tcti=tabrmd', '--deadline-ms=%d' % deadline_ms]
        options += ['--pkcs11-modules=' + ' '.join(modules)] if modules else []
        options += ['--pkcs11-pin-file=' + pin_file] if pin_file else []
        self.socket = ours
        self.process = subprocess.Popen(
            [*wrapper, sealer_program(), *options], stdin=subprocess.DEVNULL,
            stdout=output or subprocess.DEVNULL, stderr=output,
            preexec_fn=lambda: os.dup2(theirs.fileno(), 3), pass_fds=(3,),
            env={'MORTISE_PKCS11_ENV': ' '.join('%s=%s' % pair for pair in env.items()),
                 'SOFTHSM2_CONF': '/nonexistent', 'PATH': '/usr/bin:/bin'})
        theirs.close()

    def ask(self, code, fields):
        """An Answer, or None if the sealer ended without one."""
        self.socket.send(wire.pack(code, {SLOT_KIND: b'pkcs11', **fields}))
        try:
            frame = self.socket.recv(131072)
        except ConnectionResetError:
            frame = b''
        return Answer(frame) if frame else None

    def finish(self):
        """Its exit status, or minus the signal."""
        self.socket.close()
        try:
            return self.process.wait(DEADLINE_S)
        finally:
            end_process(self.process, signal.SIGKILL)


def ask_once(token, code, fields, mock=None, modules=None, dies=False, **options):
    """mock: what MOCK is for tests/mock_pkcs11.c, which then stands before SoftHSM."""
    env = {**token.env, **({'MOCK': mock} if mock is not None else {})}
    own = [os.environ['MORTISE_TEST_BUILD'] + '/libmock_pkcs11.so'] if mock is not None else None
    sealer = Sealer(modules or own or token.modules, env, **options)
    try:
        answer = sealer.ask(code, fields)
    finally:
        status = sealer.finish()
    assert (status == 0) != dies or answer is None, 'the sealer ended with %d after %r' % (status, answer)
    return answer


def enrol(token, uri='pkcs11:', pin=PIN, **options):
    fields = {ENTROPY: b'e' * 32, **({URI: uri.encode()} if uri is not None else {}),
              **({TOKEN_PIN: pin} if pin else {})}
    return ask_once(token, ENROL, fields, **options)


def open_slot(token, blob, pin=PIN, **options):
    return ask_once(token, OPEN, {BLOB: blob, **({TOKEN_PIN: pin} if pin else {})}, **options)
