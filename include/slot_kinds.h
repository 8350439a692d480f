/* SPDX-License-Identifier: ISC */
/*
 * slot_kinds: the kinds of slots, ways back to the master key; the one list of them, for the store,
 * for requests and for the command. A new one is a row in slot_kinds.c, and what makes and opens
 * it.
 */
#ifndef MORTISE_SLOT_KINDS_H
#define MORTISE_SLOT_KINDS_H

#include <stdbool.h>
#include <stddef.h>

#define SLOT_KIND_SIZE     16
#define SLOT_KIND_TPM2     "tpm2"
#define SLOT_KIND_PKCS11   "pkcs11"
#define SLOT_KIND_RECOVERY "recovery"
#define SLOT_KIND_SHARES   "recovery-shares"
#define SLOT_KIND_ESCROW   "escrow"

struct slot_kind {
	const char *name;
	bool is_hardware; /* a sealer opens it; else somebody types its key */
	/* Of hardware: */
	bool has_pcrs; /* it can be bound to them; it has a counter, and a failed PIN is forgiven in
			  time */
	bool has_uri;  /* which hardware it is a URI says, and has to */
	bool is_found_first; /* it is looked for before its PIN is tried, which may lock it for good
			      */
	bool changes_pin;    /* of a seal that is there */
	const char *option, *pin_option; /* on the command line */
};

/* NULL: there is no such kind. */
const struct slot_kind *slot_kind_of(const char *name);
/* The kinds in the order in which people are told them; NULL behind the last. */
const struct slot_kind *slot_kind_at(size_t index);

#define SLOT_KIND_WORDS_SIZE 128
/* "tpm2, pkcs11 or " and the last one: the names of all hardware. */
const char *slot_kind_words(const char *last, char out_words[SLOT_KIND_WORDS_SIZE]);

#endif
