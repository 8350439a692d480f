#!/usr/bin/env python3
# SPDX-License-Identifier: ISC
"""README's commands, typed in fresh trees of Debian 13: tree_story.py."""

import tap
import tree_story

tree_story.told_in('trixie')

if __name__ == '__main__':
    tap.main()
