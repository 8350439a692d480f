/* SPDX-License-Identifier: ISC */
/*
 * The fake keeper, witness and sealer of a monitor's tests: the test's own program, which the
 * monitor runs again. What the keeper does is told by the configuration's `environment`; what it
 * saw comes back by way of READY, and so as a datagram of the monitor to the service manager.
 */
#ifndef MORTISE_MONITOR_FAKE_H
#define MORTISE_MONITOR_FAKE_H

/* The exit status of one of them, if it is what this process was run as; -1: it is the test. */
int monitor_fake(int argc, char **argv);

#endif
