# SPDX-License-Identifier: ISC
"""readme: what README.md and docs/first-hour.md have a newcomer type, as it stands there.

text(heading, page)      the section below '# heading' or '## heading', or all of the page
commands(heading, nth)   the lines of the nth code block behind the line that has heading in it, without comments
"""

import os
import re

SOURCE = os.environ['MORTISE_TEST_SOURCE']
README = SOURCE + '/README.md'


def read(page):
    """A page, or README.md in a revision where it was a part of that still: tests/long/cases."""
    path = os.path.join(SOURCE, page)
    with open(path if os.path.exists(path) else README) as file:
        return file.read()


def text(heading=None, page='README.md'):
    whole = read(page)
    if not heading:
        return whole
    return re.split('^##? %s\n' % re.escape(heading), whole, flags=re.M)[1].split('\n## ')[0]


def commands(heading, nth=0):
    whole = text()
    assert heading in whole, 'README.md has no %r any more' % heading
    block = re.findall(r'^```\n(.*?)^```$', whole[whole.index(heading):], re.S | re.M)[nth]
    lines = [re.sub(r'\s+# .*', '', line) for line in block.splitlines()]
    return [line for line in lines if line]
