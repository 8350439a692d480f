/* SPDX-License-Identifier: ISC */
/*
 * keeper: the process that holds the keys.
 * The monitor executes this same program again with `--keeper`; then main() does nothing but
 * call keeper_main(). Descriptor 3 (PROCESS_FD) is the socket to the monitor, and the first
 * frame on it is CONFIGURE (processes.h); 0 is /dev/null, 1 and 2 are the monitor's; nothing
 * else is open. The user is already the agent's, no new privileges can be had, SIGPIPE and
 * SIGXFSZ are ignored, every other signal has its default, and the monitor's end is ours.
 */
#ifndef MORTISE_KEEPER_H
#define MORTISE_KEEPER_H

/*
 * Runs until SIGTERM and returns the exit status of the process: 0, or 78, 73 or 65 when the
 * configuration or the store cannot be used, which ends the monitor with the same status. After
 * any other end the monitor starts a new keeper.
 */
int keeper_main(void);

#endif
