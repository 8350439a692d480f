#!/usr/bin/env python3
# SPDX-License-Identifier: ISC
"""Debian 12 with its own kernel and a TPM behind its driver: vm_story.py.

Linux 6.1 does not name who connects (no SO_PEERPIDFD); systemd 252.
"""

import tap
import vm_story

vm_story.told_on('bookworm', kernel='6.1.', systemd='252', evidence='hello')

if __name__ == '__main__':
    tap.main()
