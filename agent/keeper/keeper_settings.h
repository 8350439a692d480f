/* SPDX-License-Identifier: ISC */
/*
 * keeper_settings: what the monitor tells a keeper at its start, in one frame with descriptors
 * (processes.h). Shared by keeper.c and keeper_settings.c; nobody else includes it.
 */
#ifndef MORTISE_KEEPER_SETTINGS_H
#define MORTISE_KEEPER_SETTINGS_H

#include "processes.h"
#include "request.h"

#define KEEPER_DESCRIPTORS_MAX (PROCESS_LISTENERS_MAX + 1) /* and the witness's */

struct keeper_settings {
	char store[4096];
	char audit_log[4096];
	char audit_directory[4096];
	char environment[64];
	uint32_t ids[PROCESS_IDS];
	uint64_t flags;
	uint64_t overdue_ms; /* of a sealer */
	uint64_t anchor_window_s;
	int descriptors[KEEPER_DESCRIPTORS_MAX]; /* the listeners, perhaps the witness */
	size_t descriptor_count;
	struct entrance entrances[PROCESS_LISTENERS_MAX];
	size_t entrance_count;
	int credentials;              /* a listener for service managers; -1: none */
	uint64_t credentials_wait_ms; /* how long it waits while sealed */
	int witness;                  /* -1: none */
};

/*
 * Waits for the frame on PROCESS_FD. settings is zeroed before; its contents count only after
 * MORTISE_OK. MORTISE_UNREACHABLE, MORTISE_INVALID.
 */
enum mortise_status keeper_settings_receive(struct keeper_settings *settings) MUST_USE;

#endif
