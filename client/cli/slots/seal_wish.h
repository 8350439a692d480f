/* SPDX-License-Identifier: ISC */
/* seal_wish: how hardware is to seal, by the options that init and slot add share. */
#ifndef MORTISE_CLI_SEAL_WISH_H
#define MORTISE_CLI_SEAL_WISH_H

#include <jansson.h>

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

/* The hardware that the options name, the TPM without any; or "none". */
int seal_wish_kind(const struct cli *cli, const char **out_kind);
/* Reads the options and the files they name. CLI_DONE, or an exit status after the error. */
int seal_wish_read(const struct cli *cli, const char *kind, struct seal_wish *wish);
void seal_wish_done(struct seal_wish *wish);

/* Puts all of its fields, and DRY_RUN. */
void seal_wish_put(const struct cli *cli, const struct seal_wish *wish, struct wire_writer *writer);
/* COUNTER, for --no-anchor; it stands behind all others. */
void seal_wish_put_anchor(const struct cli *cli, struct wire_writer *writer);

/* What to do about the two below. */
#define SEAL_REBIND       "bind one to other PCRs or to a PIN: mortise slot add --tpm2 --help"
#define SEAL_REPLACE_ROOT "replace it as docs/hardware.md has it, and then: mortise recover"

/*
 * What is weak about a TPM's slot, by the facts that DOCTOR tells of its hardware, and "" if
 * nothing is: of what it is bound to, and of the storage root key.
 */
void seal_weak_binding(const json_t *facts, char *text, size_t size);
void seal_weak_root(const json_t *facts, char *text, size_t size);
/* Says so on standard error of a slot that was just made. The reply of before is gone. */
void seal_wish_warn(struct cli *cli, uint64_t slot);

#endif
