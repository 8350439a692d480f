/* SPDX-License-Identifier: ISC */
/*
 * typed_key: recovery keys and shares, from a file or the terminal; and the agent asked with them,
 * one share after another until there are enough.
 */
#ifndef MORTISE_CLI_TYPED_KEY_H
#define MORTISE_CLI_TYPED_KEY_H

#include "client.h"

#include "cli.h"
#include "input.h"

struct seal_wish;

/*
 * A whole recovery key, from --recovery-file or the terminal, in input, which the caller frees (and
 * which may be NULL: out of memory). CLI_DONE, or an exit status after the error.
 */
int typed_key(const struct cli *cli, struct input *input, const char **out_key, size_t *out_size);

struct typed_call {
	enum wire_opcode opcode;
	uint64_t number;              /* NUMBER, such as a slot's id; 0: none */
	const struct seal_wish *wish; /* its fields go along; NULL: none */
};

/*
 * Asks the agent with the recovery key, or with shares one after another until there are enough: in
 * the file of --recovery-file, or typed. CLI_DONE with the last reply, or an exit status after the
 * error.
 */
int typed_key_call(struct cli *cli, const struct typed_call *call, struct wire_message *out_reply);

#endif
