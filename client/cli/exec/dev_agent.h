/* SPDX-License-Identifier: ISC */
/*
 * dev_agent: a mortised with a TPM in software, both in a private directory, for as long as this
 * process wants it. A guard, a process of its own session, starts both and holds a socket to this
 * process: when that is closed, by whatever end, it ends them and removes the directory. They end
 * with the guard, and then dev_agent_stop() removes it.
 */
#ifndef MORTISE_CLI_DEV_AGENT_H
#define MORTISE_CLI_DEV_AGENT_H

#include <limits.h>
#include <stdbool.h>
#include <sys/types.h>

#include "cli.h"

/* Where a throw-away agent lives, and that nothing of it stays. */

#define DEV_DIRECTORY_MAX 86 /* bytes: leaves room for a socket's name */

struct dev_directory {
	char path[DEV_DIRECTORY_MAX + 1];
};

#define DEV_ENVIRONMENT "dev"

struct dev_agent {
	struct dev_directory directory;
	char socket[CLIENT_SOCKET_MAX + 1];
	char swtpm[PATH_MAX]; /* "": not installed */
	pid_t guard;
	int link;
};

/* Starts it; returns before it answers. CLI_DONE, or an exit status after the error. */
int dev_agent_begin(const struct cli *cli, struct dev_agent *out_agent);

/* Until it answers. CLI_DONE, or an exit status after the error. */
int dev_agent_await(const struct cli *cli, const struct dev_agent *agent);

/* Nothing is left of it. False: it had ended before. */
bool dev_agent_stop(struct dev_agent *agent);

#endif
