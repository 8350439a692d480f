#!/usr/bin/env python3
# SPDX-License-Identifier: ISC
"""Debian 13 with its own kernel and a TPM behind its driver: vm_story.py.

Linux 6.12 names who connects (SO_PEERPIDFD), and has no PIDFD_GET_INFO; systemd 257.
"""

import tap
import vm_story

vm_story.told_on('trixie', kernel='6.12.', systemd='257', evidence='pidfd')

if __name__ == '__main__':
    tap.main()
