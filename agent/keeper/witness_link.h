/* SPDX-License-Identifier: ISC */
/*
 * witness_link: the keeper's end of its socket to the witness (processes.h), who says which
 * program a process runs: Landlock keeps /proc/PID/exe from the keeper itself.
 * Waits for the answer, but not for long; while one is overdue nothing more is asked.
 */
#ifndef MORTISE_WITNESS_LINK_H
#define MORTISE_WITNESS_LINK_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "status.h"

#define WITNESS_PATH_SIZE 4096

struct witness_link {
	int descriptor; /* -1: none */
	uint32_t last_id;
	bool is_late; /* the last answer is still to come */
};

/*
 * The absolute path of the program. MORTISE_NOT_FOUND if it cannot be had; MORTISE_UNREACHABLE
 * if the witness does not answer.
 */
enum mortise_status witness_ask(
	struct witness_link *link, uint32_t pid, char out_path[WITNESS_PATH_SIZE]) MUST_USE;

#endif
