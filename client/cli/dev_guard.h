/* SPDX-License-Identifier: ISC */
/* dev_guard: the process that answers for a throw-away agent; see dev_agent.h. */
#ifndef MORTISE_CLI_DEV_GUARD_H
#define MORTISE_CLI_DEV_GUARD_H

#include "dev_agent.h"

/* What it sends once: the agent answers, or why not. */
struct dev_guard_report {
	bool is_ready;
	char text[512];
};

/* In a process of its own. link: when its other end is closed, all ends. */
_Noreturn void dev_guard_run(struct dev_agent *agent, int link);

#endif
