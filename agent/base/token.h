/* SPDX-License-Identifier: ISC */
/*
 * token: hardware that keeps 32 bytes (h) and gives them back, behind two functions.
 * Runs in the sealer only. Each call is complete in itself: it connects, works, leaves
 * nothing behind in the hardware but a persistent SRK, and disconnects.
 * Knows nothing of the master key: h is one input of the slot key (slots.h).
 */
#ifndef MORTISE_TOKEN_H
#define MORTISE_TOKEN_H

#include <stddef.h>
#include <stdint.h>

#include "secret.h"
#include "status.h"

#define TOKEN_BLOB_MAX 4096

/* What went wrong, as far as an operator would act differently; token_advice() says how. */
enum token_fault {
	TOKEN_FAULT_NONE = 0,
	TOKEN_FAULT_ABSENT,       /* no device, no simulator behind the socket */
	TOKEN_FAULT_BUSY,         /* RETRY, YIELDED, TESTING... until the deadline */
	TOKEN_FAULT_TIMEOUT,      /* did not answer before the deadline (told by the keeper) */
	TOKEN_FAULT_DIED,         /* the sealer died (told by the keeper) */
	TOKEN_FAULT_LOCKOUT,      /* dictionary-attack lockout */
	TOKEN_FAULT_FAILURE_MODE, /* the TPM is in failure mode */
	TOKEN_FAULT_OWNER_AUTH,   /* the owner hierarchy wants a password or is disabled */
	TOKEN_FAULT_NO_SRK,       /* nothing at 0x81000001: the TPM was cleared */
	TOKEN_FAULT_OTHER_SRK,    /* another key at 0x81000001: another TPM, cleared, or planted */
	TOKEN_FAULT_UNFIT_SRK,    /* the key there is not an SRK: not fixed, restricted, decrypt */
	TOKEN_FAULT_REFUSED,      /* the TPM does not accept the sealed blob */
	TOKEN_FAULT_FULL,         /* no room for objects or sessions */
	TOKEN_FAULT_MALFORMED,    /* an answer that no TPM would give */
	TOKEN_FAULT_UNSUPPORTED,  /* the hardware lacks what is needed, or the kind is unknown */
	TOKEN_FAULT_OTHER,
	TOKEN_FAULT_COUNT
};

/* What happened, for a person: "no TPM behind device:/dev/tpmrm0". Never NULL. */
const char *token_fault_text(enum token_fault fault);

/* What to do next: "check [tpm2] tcti in mortised.conf, ...". Never NULL. */
const char *token_advice(enum token_fault fault);

/* Is it worth trying again by itself? */
bool token_fault_is_passing(enum token_fault fault);

struct token_failure {
	enum token_fault fault;
	char detail[256]; /* what the hardware or library said; one printable line */
};

struct token_options {
	const char *tcti; /* "device:...", "tabrmd:..." or "swtpm:path=..." */
	int deadline_ms;  /* for the whole operation */
	int notes_fd;     /* a memfd shared by all sealers of one monitor; -1: none */
};

/* The device behind function pointers, so that tests can fake one. */
struct token {
	const char *kind; /* "tpm2" */

	/*
	 * Makes h from entropy (32 bytes of the kernel's) mixed with the hardware's own,
	 * seals it, proves that it opens again. MORTISE_HARDWARE with out_failure.
	 */
	enum mortise_status (*enrol)(const struct token_options *options,
		const uint8_t entropy[KEY_SIZE], uint8_t blob[TOKEN_BLOB_MAX],
		size_t *out_blob_size, struct secret **out_h, struct token_failure *out_failure);

	/* Gives h back. The blob comes from the disk: hostile until the hardware accepts it. */
	enum mortise_status (*open)(const struct token_options *options, const uint8_t *blob,
		size_t blob_size, struct secret **out_h, struct token_failure *out_failure);
};

extern const struct token token_tpm2;

#endif
