# SPDX-License-Identifier: ISC
"""readme: what README.md has a newcomer type, as it stands there.

text(heading)            the section below '## heading', or all of it
commands(heading, nth)   the lines of the nth code block behind the line that has heading in it, without comments
"""

import os
import re

README = os.environ['MORTISE_TEST_SOURCE'] + '/README.md'


def text(heading=None):
    with open(README) as file:
        whole = file.read()
    return whole.split('\n## %s\n' % heading)[1].split('\n## ')[0] if heading else whole


def commands(heading, nth=0):
    whole = text()
    assert heading in whole, 'README.md has no %r any more' % heading
    block = re.findall(r'^```\n(.*?)^```$', whole[whole.index(heading):], re.S | re.M)[nth]
    lines = [re.sub(r'\s+# .*', '', line) for line in block.splitlines()]
    return [line for line in lines if line]
