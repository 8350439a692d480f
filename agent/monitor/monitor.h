/* SPDX-License-Identifier: ISC */
/*
 * monitor: keeps a keeper running, and does for it what its sandbox forbids: starting sealers
 * and asking name services. Holds no key, reads no client byte. The only connections that it
 * accepts are those of service managers, for the keeper, and it refuses those that a keeper leaves
 * unanswered. It believes nothing of what the keeper sends: a frame that is not of processes.h ends
 * the keeper.
 */
#ifndef MORTISE_MONITOR_H
#define MORTISE_MONITOR_H

#include <stdint.h>

#include "config.h"
#include "spawn.h"

struct monitor_timing {
	int restart_first_ms; /* the second restart in a row; the first one is at once */
	int restart_max_ms;
	int healthy_ms;      /* a keeper that lived so long has not failed in a row */
	int stop_ms;         /* between SIGTERM and SIGKILL */
	int sealer_grace_ms; /* beyond the sealer's own deadline */
	int unread_ms;       /* for which a service manager may leave a refusal unread */
	int refusals_ms;     /* the same at the monitor's end */
};

extern const struct monitor_timing monitor_usual_timing;

/* A listening socket, and what may be asked there: bits of enum verb. */
struct monitor_listener {
	const char *name;
	unsigned verbs;
	int fd;
	bool is_for_credentials; /* the last one, if any: service managers ask there, nobody else */
	int wait_ms;             /* they, while sealed */
};

/* All borrowed, for as long as monitor_run() runs. */
struct monitor_settings {
	const struct config *config;
	const struct identity *identity;
	uint32_t first_uid;     /* to whom the first policy gives every verb */
	uint32_t operators_gid; /* UINT32_MAX: none */
	const char *keeper_program;
	const char *sealer_program;
	const struct monitor_listener *listeners; /* up to PROCESS_LISTENERS_MAX */
	size_t listener_count;
	int ready_fd;              /* gets a newline at the first READY, and is closed; -1: none */
	const char *notify_socket; /* NULL: none */
	const char *runtime_directory; /* for the file of pin_flag.h; NULL: none */
	bool has_watchdog;             /* the service manager wants to hear from us */
	/* Reads the configuration again and changes *config and operators_gid; logs. May be NULL.
	 */
	enum mortise_status (*reload)(void *context);
	void *context;
	struct monitor_timing timing;
};

/*
 * Runs until SIGTERM or SIGINT (0), until the keeper says that it can never work (its 78, 73 or
 * 65), or until the monitor itself cannot (71). Logs. The result is the exit status.
 */
int monitor_run(const struct monitor_settings *settings);

#endif
