#!/usr/bin/env python3
# SPDX-License-Identifier: ISC
"""The Debian packages: built, judged by lintian, and installed, upgraded, removed and purged on a
booted Debian, behind a software TPM. package_inside.py is what runs there, once for all tests.
"""

import glob
import os
import re
import shutil
import subprocess

import tap
from nspawn import Machine, in_turn
from package import NAMES, built, packages, unpack
from tap import Skip, has, same, test

SOURCE = os.environ['MORTISE_TEST_SOURCE']


def run(*command, **options):
    came = subprocess.run(command, capture_output=True, timeout=300, **options)
    return came.returncode, (came.stdout + came.stderr).decode(errors='replace')


def must(*command, **options):
    status, said = run(*command, **options)
    same(status, 0, said)
    return said.strip()


def version():
    return must('dpkg-deb', '-f', packages()['mortise'], 'Version')


def next_version(place):
    """The same packages once more, as a later version whose socket unit has changed."""
    later = version() + '+next'
    for name in NAMES:
        tree = place('next-' + name)
        must('dpkg-deb', '-R', packages()[name], tree)
        must('sed', '-i', 's/%s/%s/' % (re.escape(version()), later), tree + '/DEBIAN/control')
        if name == 'mortise':
            must('sed', '-i', 's/^Backlog=.*/Backlog=1024/', *glob.glob(tree + '/**/mortised.socket', recursive=True))
        must('dpkg-deb', '--root-owner-group', '-Znone', '-b', tree, place('next'))


def plan(place, came):
    """What came of the packages' life on one host, in three boots."""
    machine = Machine(place, 'package_inside.py')
    place.directory('now')
    place.directory('next')
    for path in packages().values():
        shutil.copy(path, place('now'))
    next_version(place)
    machine.binds += ['--bind-ro=%s:/debs/%s' % (place(name), name) for name in ('now', 'next')]
    for name in ('first', 'removed', 'purged'):
        came[name] = machine.boot(name)
        machine.restart_tpm()


step = in_turn(plan)


def succeeded(came, case):
    same(came[case][0], 0, '%s: %s' % (case, came[case][1][-1500:]))
    return came[case][1]


@test
def build_deb_explains_itself_and_refuses_what_it_does_not_know(place):
    has(must(SOURCE + '/dist/build-deb', '--help'), 'usage:', 'build/deb')
    status, said = run(SOURCE + '/dist/build-deb', '--signed')
    same(status, 64)
    has(said, 'unknown option --signed')


@test(root=True)
def nothing_is_built_where_nothing_has_changed(place):
    before = os.stat(packages()['mortise']).st_mtime_ns
    packages.__wrapped__()
    same(os.stat(packages()['mortise']).st_mtime_ns, before)


@test(root=True)
def lintian_finds_no_error_and_no_warning(place):
    if not shutil.which('lintian'):
        raise Skip('lintian is not installed')
    packages()
    status, said = run('lintian', '--allow-root', '--no-tag-display-limit', *built('*.changes'))
    found = [line for line in said.splitlines() if re.match('[EW]: ', line)]
    same([status, found], [0, []], said)


@test(root=True)
def the_packages_have_the_version_of_the_source(place):
    with open(SOURCE + '/meson.build') as file:
        source = re.search(r"version: '([^']*)'", file.read()).group(1)
    same(version().rsplit('-', 1)[0], source, 'dist/debian/changelog and meson.build')


@test(root=True)
def the_programs_are_hardened_as_the_source_asks(place):
    status, said = run(SOURCE + '/tests/test_hardening', env={
        **os.environ, 'MORTISE_TEST_PREFIX': unpack(place) + '/usr',
        'MORTISE_TEST_PLAIN': built('tree/obj-*')[0]})
    # Somebody else's compiler may warn of more than ours.
    same([line.split(' - ')[1] for line in said.splitlines() if line.startswith('not ok')],
         ['every file is compiled with -Werror'], said)


@test(root=True)
def a_program_is_built_with_libmortise_dev_and_runs_with_libmortise1(place):
    root = unpack(place)
    lib = os.path.dirname(built('root/usr/lib/*/libmortise.so.1', place.path)[0])
    flags = must('pkg-config', '--cflags', '--libs', 'libmortise', env={
        **os.environ, 'PKG_CONFIG_SYSROOT_DIR': root, 'PKG_CONFIG_PATH': lib + '/pkgconfig'}).split()
    source = place.file('ask.c', '#include <mortise.h>\n#include <stdio.h>\n'
                        'int main(void) { puts(mortise_status_text(MORTISE_DENIED)); return 0; }\n')
    must('gcc', '-o', place('ask'), source, *flags)
    has(must(place('ask'), env={'LD_LIBRARY_PATH': lib}), 'denied')
    must('gcc', '-static', '-o', place('alone'), source, *flags)
    has(must(place('alone')), 'denied')


@test(root=True)
def installed_it_runs_uninitialised_and_says_what_is_next(place):
    came = step('first')
    has(succeeded(came, 'install'), 'mortise init --recovery-file=')
    same(came['states'], {
        'mortised.socket': ['enabled', 'active'], 'mortised.service': ['enabled', 'active'],
        'mortise-ask-pin.path': ['enabled', 'active'], 'mortise-rotate.timer': ['disabled', 'inactive'],
        'mortise-credentials.socket': ['enabled', 'active']})
    has(came['text'], 'uninitialised')
    succeeded(came, 'check')
    same(came['groups'], ['mortise', 'tss'])
    same(came['user'], ['/var/lib/mortise', '/usr/sbin/nologin'])


@test(root=True)
def what_it_installs_is_root_s_and_as_packed(place):
    came = step('first')
    same(came['of packages'], [{}, [
        '/usr/bin/mortise', '/usr/libexec/mortise-sealer', '/usr/sbin/mortised',
        '/usr/share/doc/mortise/examples/client.py', '/usr/share/doc/mortise/examples/client.sh',
        '/usr/share/doc/mortise/examples/hooks/postgres-password',
        '/usr/share/doc/mortise/examples/read_store.py', '/usr/share/doc/mortise/examples/take-values',
        '/usr/share/mortise/mortised.openrc', '/usr/share/mortise/mortised.runit']])
    same(came['verify'], [0, ''])
    same(came['looks'], {
        '/etc/mortise': 'root:root 755 directory',
        '/etc/mortise/mortised.conf': 'root:root 644 file',
        '/etc/mortise/policy.d': 'root:root 755 directory',
        '/run/mortise': 'mortise:mortise 755 directory',
        '/run/mortise/mortise.sock': 'root:root 666 socket',
        '/var/lib/mortise': 'mortise:mortise 700 directory',
        '/var/log/mortise': 'mortise:mortise 750 directory',
        '/var/log/mortise/audit.log': 'mortise:mortise 640 file'})
    same(came['store'], 'mortise:mortise 600 file')


@test(root=True)
def an_upgrade_loses_no_request_and_takes_no_socket_away(place):
    came = step('first')
    succeeded(came, 'upgrade')
    same(came['versions'], [version() + '+next'] * 2)
    total, failures = came['clients']
    print('# %d requests, %d of them during the upgrade' % (total, came['during']))
    same(failures, [])
    assert came['during'] > 0, came['clients']
    before, after = came['whose']
    assert before[0] != after[0], 'the agent was not restarted'
    same(after[1:], before[1:], 'the sockets')
    same(came['program'], '/usr/sbin/mortised')


@test(root=True)
def an_upgrade_keeps_the_configuration_and_what_is_enabled(place):
    came = step('first')
    same(came['conf'], True)
    same(came['states then'], {unit: ['enabled', 'active'] for unit in came['states']})
    assert 'mortise init' not in came['upgrade'][1], came['upgrade']


@test(root=True)
def after_a_power_cut_the_upgraded_agent_opens_its_store(place):
    same(step('removed')['booted'], [0, 'secret'])


@test(root=True)
def a_removal_stops_it_and_keeps_all_that_an_installation_goes_on_with(place):
    came = step('removed')
    succeeded(came, 'remove')
    same(came['processes'], [])
    same(came['active'], ['inactive'] * 5)
    same(came['still'], [False, True, True, True])
    succeeded(came, 'reinstall')
    same(came['again'], {unit: ['enabled', 'active'] for unit in came['again']})
    same(came['get'], [0, 'secret'])


@test(root=True)
def a_purge_keeps_store_and_log_and_says_how_to_destroy_them(place):
    came = step('purged')
    has(succeeded(came, 'purge'), 'rm -r /var/lib/mortise /var/log/mortise')
    same(came['kept'], sorted(step('first')['before'] + [
        '/etc/mortise', '/var/lib/mortise', '/var/log/mortise']))
    same([came['pin'], came['policies']], [True, False])
    succeeded(came, 'install')
    same(came['get'], [0, 'secret'])
    succeeded(came, 'audit')


if __name__ == '__main__':
    tap.main()
