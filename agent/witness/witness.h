/* SPDX-License-Identifier: ISC */
/*
 * witness: a process that looks into /proc for the keeper (processes.h, LOOK and EXE).
 * Whoever looks up a name below /proc/PID can be kept waiting by any user for as long as he likes,
 * beyond the reach of signals: so the keeper looks nothing up before the witness has. And which
 * program a process runs the keeper cannot see: /proc/PID/exe of other users needs CAP_SYS_PTRACE,
 * and Landlock refuses it to whoever is confined, whatever his capabilities. The monitor executes
 * this same program again with `--witness`. Descriptor 3 (PROCESS_FD) is the keeper's socket; the
 * user is already the agent's, and no new privileges can be had. It reads numbers only, and has one
 * question at a time: the keeper has another one started where an answer does not come.
 */
#ifndef MORTISE_WITNESS_H
#define MORTISE_WITNESS_H

/* Serves until the keeper's end is closed. The exit status of the process. */
int witness_main(void);

#endif
