/* SPDX-License-Identifier: ISC */
/* seal_wish: how hardware is to seal, by the options that init and slot add share. */
#ifndef MORTISE_CLI_SEAL_WISH_H
#define MORTISE_CLI_SEAL_WISH_H

#include "input.h"

struct seal_wish {
	const char *kind;
	struct input *pin;     /* NULL: none */
	struct input *pcr_key; /* NULL: none */
	uint64_t pcrs;
	const char *uri;
};

#define SEAL_OPTIONS                                                                               \
	{"pkcs11", 0, "URI", "bind to a PKCS #11 token, such as pkcs11:token=NAME"},               \
		{"pcrs", 0, "N,N", "only while these PCRs are what they are now; 7 is usual"},     \
		{"pcr-public-key", 0, "F", "only under PCR values that this key has signed"},      \
		{"tpm2-pin-file", 0, "F", "only with this PIN; - asks on a terminal"},             \
	{                                                                                          \
		"pin-file", 0, "F", "the token's PIN; - asks on a terminal"                        \
	}

#define SEAL_NOTES                                                                                 \
	"A slot with a\n"                                                                          \
	"PIN opens when somebody types it: the host does not unseal by itself then."

/* Reads the options and the files they name. CLI_DONE, or an exit status after the error. */
int seal_wish_read(const struct cli *cli, const char *kind, struct seal_wish *wish);
void seal_wish_done(struct seal_wish *wish);

/* Puts all of its fields, and DRY_RUN. */
void seal_wish_put(const struct cli *cli, const struct seal_wish *wish, struct wire_writer *writer);
/* COUNTER, for --no-anchor; it stands behind all others. */
void seal_wish_put_anchor(const struct cli *cli, struct wire_writer *writer);

#endif
