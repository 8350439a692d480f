/* SPDX-License-Identifier: ISC */
/*
 * monitor_state: what the monitor knows of itself and its children; timers, frames to the keeper,
 * and the end of both. Below what the monitor does (its loop, the keeper's life, what a keeper asks
 * for, its other children); nobody else includes it.
 */
#ifndef MORTISE_MONITOR_STATE_H
#define MORTISE_MONITOR_STATE_H

#include <event2/event.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

#include "credential_hold.h"
#include "monitor.h"
#include "processes.h"
#include "wire.h"

#define MONITOR_RESOLVERS        8
#define MONITOR_SIGNALS          4
#define MONITOR_FDS_MAX          PROCESS_LISTENERS_MAX
#define MONITOR_WITNESSES_ENDING 32

/* pid 0: none runs. */
struct monitor_keeper {
	pid_t pid;
	int fd;            /* -1: none, or not to be read any more */
	unsigned number;   /* of keepers so far: an answer goes to whoever asked, or to nobody */
	unsigned failures; /* in a row */
	int64_t started_ms;
	struct event *readable;
	struct event *restart;
};

struct monitor_sealer {
	pid_t pid;
	struct event *deadline;
	bool has_waiting; /* a request that came while the one before was still ending */
	uint32_t waiting_id;
	unsigned waiting_keeper; /* the number of the keeper that asked */
};

struct monitor_resolver {
	pid_t pid;
	uint32_t request_id;
	unsigned keeper_number;
};

/* For one keeper; ends with it. */
struct monitor_witness {
	pid_t pids[PROCESS_WITNESSES];          /* 0: none runs */
	pid_t ending[MONITOR_WITNESSES_ENDING]; /* killed; 0: none */
};

struct monitor {
	const struct monitor_settings *settings;
	struct event_base *base;
	struct event *signals[MONITOR_SIGNALS];
	struct event *stop_deadline;
	struct monitor_keeper keeper;
	struct monitor_sealer sealer;
	struct monitor_witness witness;
	struct monitor_resolver resolvers[MONITOR_RESOLVERS];
	struct credential_hold *hold;
	int notes_fd; /* what sealers leave for the next one */
	int ready_fd;
	bool is_ready, stopping;
	bool is_ending; /* only refusals are left to be finished */
	bool has_pin_flag;
	int exit_status;
	char state[WIRE_TEXT_MAX + 1];  /* the keeper's last line */
	char logged[WIRE_TEXT_MAX + 1]; /* the last one in the log */
	uint8_t frame[WIRE_FRAME_MAX];
};

void monitor_arm(struct event *timer, int timeout_ms);
/* The keeper has ended, for good: so does the monitor when it has refused who is owed that. */
void monitor_end(struct monitor *monitor, int exit_status);

/* Sends a frame to the keeper, with up to MONITOR_FDS_MAX descriptors. MORTISE_IO. */
enum mortise_status monitor_send(struct monitor *monitor, uint8_t *frame, size_t size,
	const int *fds, size_t fd_count) MUST_USE;
/* Answers with a status, a text unless it is OK, and a descriptor unless that is -1. */
void monitor_answer(struct monitor *monitor, uint32_t request_id, enum mortise_status status,
	const char *text, int fd);

/* Nothing more is read of it. */
void monitor_keeper_stop_reading(struct monitor_keeper *keeper);
/* why: for the log; NULL: there is nothing to say. */
void monitor_keeper_kill(struct monitor *monitor, const char *why);

#endif
