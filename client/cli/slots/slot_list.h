/* SPDX-License-Identifier: ISC */
/* slot_list: the slots as the agent lists them, for the commands that name one. */
#ifndef MORTISE_CLI_SLOT_LIST_H
#define MORTISE_CLI_SLOT_LIST_H

#include "cli.h"

#define SLOT_LIST_MAX 32

struct slot_line {
	uint64_t id, of, shares, threshold, ends_us;
	uint64_t created_us, opened_us, tested_us; /* 0: never */
	char kind[20], state[16], key_id[8], pin[8], pcrs[100], pcr_policy[16], uri[WIRE_TEXT_MAX];
};

struct slot_list {
	struct slot_line lines[SLOT_LIST_MAX];
	size_t count;
};

/* MORTISE_OK, or mortise_message() says why not. */
enum mortise_status slot_list_ask(struct cli *cli, struct slot_list *out_list) MUST_USE;
/* The same as a command: CLI_DONE, or an exit status after the error. */
int slot_list_fetch(struct cli *cli, struct slot_list *out_list);

/* The slot that the first operand names. */
int slot_list_find(struct cli *cli, struct slot_list *out_list, const struct slot_line **out_line);

/* Is it a TPM's or a token's, and there to stay? And the same for a key that is typed. */
bool slot_is_hardware(const struct slot_line *line);
/* Does it depend on PCRs, and forgive failed PINs in time? In any state. */
bool slot_is_tpm(const struct slot_line *line);
bool slot_is_typed(const struct slot_line *line);

#endif
