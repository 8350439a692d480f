#!/usr/bin/env python3
# SPDX-License-Identifier: ISC
"""[tpm2] tcti: each string that tpm2-tools take leads to the same TPM, or is refused by --check; the
page says which. Resource managers are tpm2-abrmd on a system bus of the test's own."""

import contextlib
import os
import subprocess

import tap
from tap import has, same, test, until
from tpm import end_process

BUS = '''<busconfig><type>system</type><listen>unix:path=/run/dbus/system_bus_socket</listen>
<auth>EXTERNAL</auth><policy context="default"><allow user="*"/><allow own="*"/>
<allow send_destination="*"/><allow receive_sender="*"/></policy></busconfig>'''
NAME = 'com.intel.tss2.Tabrmd'


def takes(tcti, *front):
    """Do tpm2-tools?"""
    done = subprocess.run([*front, 'tpm2_getrandom', '--hex', '-T', tcti, '8'], capture_output=True,
                          check=False, env={'PATH': os.environ['PATH']})
    return done.returncode == 0 and len(done.stdout) == 16


def opens(agent, tcti):
    """init, a restart and a value; then all of it is removed."""
    agent.tcti = tcti
    agent.configure()
    same(agent.refuse(['--check']).status, 0, tcti)
    agent.start()
    agent.init()
    agent.set('a/b', b'hunter2')
    agent.restart()
    same(agent.run('status', '--wait=30').status, 0, tcti)
    same(agent.get('a/b'), b'hunter2')
    agent.stop()
    subprocess.run(['rm', '-rf', agent.store, agent.recovery, os.path.dirname(agent.audit)], check=True)


def refused(agent, tcti):
    agent.tcti = tcti
    agent.configure()
    result = agent.refuse(['--check'])
    same(result.status, 78, tcti)
    has(result.err, 'device:/dev/tpmrm0, tabrmd, tabrmd:bus_name=NAME or swtpm:path=/absolute/path')


@contextlib.contextmanager
def abrmd(place, tpm):
    """The words that run a command where tpm2-abrmd is on the system's bus."""
    with contextlib.ExitStack() as stack:
        def daemon(*command, **options):
            process = subprocess.Popen(['setpriv', '--pdeathsig=KILL', *command],
                                       stdin=subprocess.PIPE, stderr=subprocess.DEVNULL,
                                       env={'PATH': os.environ['PATH'] + ':/usr/sbin'}, **options)
            stack.callback(end_process, process)
            return process
        host = daemon('unshare', '--mount', '--propagation', 'private', 'sh', '-c',
                      'mount -t tmpfs none /run && mkdir /run/dbus && echo && exec cat',
                      stdout=subprocess.PIPE)
        if not host.stdout.readline():
            raise tap.Skip('no mount namespace can be made here')
        inside = ['nsenter', '--mount=/proc/%d/ns/mnt' % host.pid]
        daemon(*inside, 'dbus-daemon', '--nofork', '--nopidfile', '--nosyslog',
               '--config-file=' + place.file('bus.conf', BUS))
        until(lambda: os.path.exists('/proc/%d/root/run/dbus/system_bus_socket' % host.pid))
        daemon(*inside, 'tpm2-abrmd', '--allow-root', '--tcti=' + tpm.tcti)
        until(lambda: takes('tabrmd', *inside))
        yield inside


@test
def a_tpm_behind_a_socket_is_named_as_for_tpm2_tools_and_reached_no_other_way(place):
    tpm = place.tpm()
    agent, path = place.agent(tpm=tpm), tpm.tcti.removeprefix('swtpm:path=')
    same(takes(tpm.tcti), True)
    opens(agent, tpm.tcti)
    for tcti in ('swtpm:path=%s,port=5' % path, 'swtpm:port=5,path=' + path,
                 'libtss2-tcti-swtpm.so.0:path=' + path):
        same(takes(tcti), True, tcti)
        refused(agent, tcti)


@test
def a_tpm_behind_a_network_is_not_reached(place):
    state = place.directory('state')
    port = 2321 + os.getpid() % 20000
    server = subprocess.Popen(
        ['swtpm', 'socket', '--tpm2', '--tpmstate', 'dir=' + state, '--flags',
         'not-need-init,startup-clear', '--server', 'type=tcp,port=%d' % port, '--ctrl',
         'type=tcp,port=%d' % (port + 1)], stderr=subprocess.DEVNULL)
    place.callback(end_process, server)
    tcti = 'swtpm:host=127.0.0.1,port=%d' % port
    until(lambda: takes(tcti))
    agent = place.agent()
    for tcti in (tcti, 'swtpm:port=%d' % port, 'swtpm', 'mssim:host=127.0.0.1,port=%d' % port, 'mssim'):
        refused(agent, tcti)


@test(root=True)
def a_resource_manager_is_named_as_for_tpm2_tools(place):
    tpm = place.tpm()
    with abrmd(place, tpm) as inside:
        agent = place.wrapped(*inside)
        for tcti in ('tabrmd', 'tabrmd:', 'tabrmd:bus_name=' + NAME, 'tabrmd:bus_type=system',
                     'tabrmd:bus_name=%s,bus_type=system' % NAME, 'tabrmd:bus_type=system,'):
            same(takes(tcti, *inside), True, tcti)
            opens(agent, tcti)
        same(takes('libtss2-tcti-tabrmd.so.0', *inside), True)
        refused(agent, 'libtss2-tcti-tabrmd.so.0')
        for tcti in ('tabrmd:nonsense', 'tabrmd:bus_type=', 'tabrmd:bus_type=session', 'tabrmd:bus_name=',
                     'tabrmd:bus_name=a b', 'tabrmd,bus_type=system'):
            same(takes(tcti, *inside), False, tcti)
            refused(agent, tcti)


@test
def what_neither_takes_is_refused_before_the_agent_starts(place):
    agent = place.agent()
    for tcti in ('tpm', 'device', 'device:', 'device:tpmrm0', 'device:/dev/../etc', 'tpmrm0', '/dev/tpmrm0',
                 'Device:/dev/tpmrm0', 'swtpm:path=tpm.sock', 'swtpm:path=', 'cmd:cat', 'pcap:device'):
        refused(agent, tcti)


if __name__ == '__main__':
    tap.main()
