/* SPDX-License-Identifier: ISC */
/*
 * keeper_settings: what the monitor tells a keeper at its start, in one frame with descriptors
 * (processes.h). Shared by keeper.c and keeper_settings.c; nobody else includes it.
 */
#ifndef MORTISE_KEEPER_SETTINGS_H
#define MORTISE_KEEPER_SETTINGS_H

#include "processes.h"
#include "request.h"

struct keeper_settings {
	char store[4096];
	char audit_log[4096];
	char audit_directory[4096];
	char environment[64];
	uint32_t ids[PROCESS_IDS];
	uint64_t flags;
	uint64_t overdue_ms; /* of a sealer */
	uint64_t anchor_window_s;
	uint64_t deleted_keep_s;                /* until a deleted secret is purged; 0: never */
	int descriptors[PROCESS_LISTENERS_MAX]; /* the listeners */
	size_t descriptor_count;
	struct entrance entrances[PROCESS_LISTENERS_MAX];
	size_t entrance_count;
	int credentials;              /* a listener for service managers; -1: none */
	uint64_t credentials_wait_ms; /* how long it waits while sealed */
};

/*
 * Waits for the frame on PROCESS_FD. settings is zeroed before; its contents count only after
 * MORTISE_OK. MORTISE_UNREACHABLE, MORTISE_INVALID.
 */
enum mortise_status keeper_settings_receive(struct keeper_settings *settings) MUST_USE;

/*
 * A CONFIGURE that came later, without descriptors: takes over the environment, the operators,
 * require-pidfd and the sealer's deadline, and nothing else. MORTISE_INVALID.
 */
enum mortise_status keeper_settings_again(
	const struct wire_message *frame, struct keeper_settings *settings) MUST_USE;

#endif
