# SPDX-License-Identifier: ISC
"""boots: what the machines of nspawn.py and vm.py have in common.

tree()     the path of a Debian, made by swtpm-test/tree
Booted     a directory `out` that host and machine share: what to do, what is wanted, what came of it
in_turn()  boots that are made once, for all tests of a file
A script inside does what a boot is for: it does the step that out/step names, and writes its results
to out/STEP.json, see inside.py.
"""

import functools
import json
import os
import shutil
import subprocess
import time

from agent import Place
from tap import Skip

HERE = os.path.dirname(os.path.abspath(__file__))
TREE_S = 900  # to make one, if tests/run has not


@functools.lru_cache(None)
def tree(suite, kind, *arch):
    """The path of a Debian; skips where there is none."""
    done = subprocess.run([HERE + '/tree', suite, kind, *arch], capture_output=True, timeout=TREE_S)
    if done.returncode != 0:
        raise Skip((done.stderr.decode().strip() or 'no tree').splitlines()[-1])
    return done.stdout.decode().strip()


class Booted:
    """What a machine of any kind is given and what it says; boot_s bounds a step."""
    boot_s = 120

    def __init__(self, place, *scripts):
        self.place, self.wishes = place, {}
        place.directory('out')
        for name in (*scripts, 'inside.py'):
            shutil.copy(os.path.join(HERE, name), place('out'))

    def wait_for(self, step, process):
        """The results of step; meanwhile the script's wishes are granted."""
        path, end = self.place('out/%s.json' % step), time.monotonic() + self.boot_s
        while not os.path.exists(path):
            ended = process.poll() is not None and not os.path.exists(path)
            if ended or time.monotonic() > end:
                self.give_up(step)
            self.grant_wishes()
            time.sleep(0.02)
        with open(path) as file:
            results = json.load(file)
        assert 'failed' not in results, '%s: %s\n%s' % (step, results['failed'], results['journal'])
        return results

    def grant_wishes(self):
        """What inside.want() asks for; the script goes on when its file is gone."""
        for name, grant in self.wishes.items():
            path = self.place('out/want-' + name)
            if os.path.exists(path):
                grant()
                os.unlink(path)

    def said(self, step):
        with open(self.place('console.' + step), errors='replace') as console:
            return console.read()

    def give_up(self, step):
        raise AssertionError('%s began, and came to nothing:\n%s' % (step, self.said(step)[-1500:]))


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
